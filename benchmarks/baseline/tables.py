"""The tables, as SQLAlchemy 2 declares them: the same things that Tuanzi's core and money databases keep."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The parent of every table."""

    type_annotation_map = {  # noqa: RUF012 - the shape SQLAlchemy asks for
        str: String(64),
        int: BigInteger().with_variant(Integer, "sqlite"),  # where an INTEGER is as wide
    }


class Session(Base):
    """Somebody signed in; the token itself is not kept."""

    __tablename__ = "sessions"
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str]
    campus_id: Mapped[str]
    expires_at_ms: Mapped[int]


class Building(Base):
    """A dorm or teaching building that groups deliver to."""

    __tablename__ = "buildings"
    id: Mapped[str] = mapped_column(primary_key=True)
    campus_id: Mapped[str]
    name: Mapped[str]


class Campaign(Base):
    """What a group is opened under: its size, price and delivery fee, and the meal it is for."""

    __tablename__ = "campaigns"
    id: Mapped[str] = mapped_column(primary_key=True)
    campus_id: Mapped[str]
    meal_id: Mapped[str]
    size: Mapped[int]
    percent_off: Mapped[int]
    delivery_fee_fen: Mapped[int]
    seat_hold_ms: Mapped[int]
    opens_at_ms: Mapped[int]
    closes_at_ms: Mapped[int]


class Dish(Base):
    """What a merchant cooks."""

    __tablename__ = "dishes"
    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str]
    name: Mapped[str]
    price_fen: Mapped[int]


class Portion(Base):
    """How many portions of a dish there are for a meal."""

    __tablename__ = "portions"
    meal_id: Mapped[str] = mapped_column(primary_key=True)
    dish_id: Mapped[str] = mapped_column(ForeignKey("dishes.id"), primary_key=True)
    total: Mapped[int]
    held: Mapped[int]
    sold: Mapped[int]
    __table_args__ = (CheckConstraint("held >= 0 AND sold >= 0 AND held + sold <= total"),)


class Group(Base):
    """A group order and its seats."""

    __tablename__ = "groups"
    id: Mapped[str] = mapped_column(primary_key=True)
    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"))
    building_id: Mapped[str] = mapped_column(ForeignKey("buildings.id"))
    leader_id: Mapped[str]
    state: Mapped[str]
    size: Mapped[int]
    paid_count: Mapped[int]
    opened_at_ms: Mapped[int]
    closes_at_ms: Mapped[int]
    seats: Mapped[list[Seat]] = relationship(order_by="Seat.seat_no")
    __table_args__ = (
        CheckConstraint("paid_count BETWEEN 0 AND size"),
        Index("groups_open", "building_id", "state", "id"),
    )


class Seat(Base):
    """A member's place in a group, held until `pay_before_ms` and then his when paid."""

    __tablename__ = "seats"
    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id"), primary_key=True)
    seat_no: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[str]
    order_id: Mapped[str]
    state: Mapped[str]
    pay_before_ms: Mapped[int]
    __table_args__ = (Index("seats_member", "group_id", "member_id", unique=True),)


class Order(Base):
    """What one member of a group bought, with its price as frozen when it was placed."""

    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(primary_key=True)
    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id"))
    member_id: Mapped[str]
    building_id: Mapped[str]
    state: Mapped[str]
    items_fen: Mapped[int]
    discount_fen: Mapped[int]
    delivery_fen: Mapped[int]
    payable_fen: Mapped[int]
    paid_fen: Mapped[int]
    placed_at_ms: Mapped[int]
    lines: Mapped[list[OrderLine]] = relationship(order_by="OrderLine.line_no")
    group: Mapped[Group] = relationship(lazy="raise")  # also tells SQLAlchemy which row to write first
    __table_args__ = (
        CheckConstraint("payable_fen = items_fen - discount_fen + delivery_fen AND payable_fen >= 0"),
        Index("orders_group", "group_id"),
        Index("orders_member", "member_id", "id"),
    )


class OrderLine(Base):
    """Some portions of one dish in an order."""

    __tablename__ = "order_lines"
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(primary_key=True)
    dish_id: Mapped[str] = mapped_column(ForeignKey("dishes.id"))
    merchant_id: Mapped[str]
    quantity: Mapped[int]
    price_fen: Mapped[int]
    discount_fen: Mapped[int]


class Payment(Base):
    """Money of an order that the provider captured."""

    __tablename__ = "payments"
    id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), unique=True)
    amount_fen: Mapped[int]
    captured_at_ms: Mapped[int]


class Journal(Base):
    """One movement of money; its entries add up to nothing."""

    __tablename__ = "journals"
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    order_id: Mapped[str]
    posted_at_ms: Mapped[int]
    entries: Mapped[list[Entry]] = relationship(order_by="Entry.entry_no")


class Entry(Base):
    """One side of a journal: positive is a debit, negative a credit."""

    __tablename__ = "entries"
    journal_id: Mapped[str] = mapped_column(ForeignKey("journals.id"), primary_key=True)
    entry_no: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str]
    amount_fen: Mapped[int]
    __table_args__ = (Index("entries_account", "account"),)


class SubOrder(Base):
    """What one merchant makes for one member of a closed group, brought to one building."""

    __tablename__ = "sub_orders"
    id: Mapped[str] = mapped_column(primary_key=True)
    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id"))
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"))
    member_id: Mapped[str]
    merchant_id: Mapped[str]
    building_id: Mapped[str]
    state: Mapped[str]
    items_fen: Mapped[int]
    discount_fen: Mapped[int]
    delivery_fen: Mapped[int]
    payable_fen: Mapped[int]
    __table_args__ = (Index("sub_orders_order", "order_id"), Index("sub_orders_merchant", "merchant_id", "id"))


class IdempotencyKey(Base):
    """The answer given for a person's key; a repeat gets it again."""

    __tablename__ = "idempotency_keys"
    person_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    status: Mapped[int]
    body: Mapped[bytes]
    answered_at_ms: Mapped[int]


class Event(Base):
    """What happened, for other services to read, numbered."""

    __tablename__ = "events"
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    subject_id: Mapped[str]
    body: Mapped[bytes]
    at_ms: Mapped[int]

"""Placing and paying, each in the one transaction of the session it is given.

Tuned as a good engineer would: what hardly changes is cached for some seconds, one object and its children come in one
SELECT, stock moves by conditional UPDATEs sent together, and rows of a kind are inserted together. Stock, which many
want, is moved last: where rows are locked, its locks are held for the shortest time.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence

from sqlalchemy import Update, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from benchmarks.baseline.bodies import CartLine, JoinGroup, OpenGroup, Paid, Placed, PlannedSubOrder
from benchmarks.baseline.prices import price, split
from benchmarks.baseline.tables import (
    Building,
    Campaign,
    Dish,
    Entry,
    Event,
    Group,
    Journal,
    Order,
    OrderLine,
    Payment,
    Portion,
    Seat,
    SubOrder,
)

CATALOG_AGE_MS_MAX = 5_000
Happened = tuple[str, str, dict[str, object]]  # name, what it is about, facts

_HOLD = (
    update(Portion)
    .where(
        Portion.meal_id == bindparam("meal"),
        Portion.dish_id == bindparam("dish"),
        Portion.held + Portion.sold + bindparam("wanted") <= Portion.total,
    )
    .values(held=Portion.held + bindparam("wanted"))
)
_SELL = (
    update(Portion)
    .where(Portion.meal_id == bindparam("meal"), Portion.dish_id == bindparam("dish"))
    .values(held=Portion.held - bindparam("wanted"), sold=Portion.sold + bindparam("wanted"))
)


class Refused(Exception):
    """The request cannot be carried out; nothing was changed."""

    def __init__(self, status: int, reason: str) -> None:
        """status: the HTTP status to answer with."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Catalog:
    """What hardly changes, read again when it is older than `CATALOG_AGE_MS_MAX`."""

    def __init__(self) -> None:
        """Empty, so read at the first use."""
        self.campaigns: dict[str, Campaign] = {}
        self.buildings: dict[str, Building] = {}
        self.dishes: dict[str, Dish] = {}
        self._read_at_ms = 0

    async def refresh(self, session: AsyncSession) -> None:
        """Read campaigns, buildings and dishes if they are old."""
        now_ms = _now_ms()
        if now_ms - self._read_at_ms < CATALOG_AGE_MS_MAX:
            return
        self.campaigns = {campaign.id: campaign for campaign in await session.scalars(select(Campaign))}
        self.buildings = {building.id: building for building in await session.scalars(select(Building))}
        self.dishes = {dish.id: dish for dish in await session.scalars(select(Dish))}
        self._read_at_ms = now_ms
        session.expunge_all()


async def open_group(
    session: AsyncSession, body: OpenGroup, *, catalog: Catalog, campus_id: str, member_id: str
) -> Placed:
    """Open a group with the member as leader and place his order."""
    now_ms = _now_ms()
    campaign = catalog.campaigns.get(body.campaign_id)
    building = catalog.buildings.get(body.building_id)
    if campaign is None or building is None or {campaign.campus_id, building.campus_id} != {campus_id}:
        raise Refused(404, "no such campaign or building")
    if not campaign.opens_at_ms <= now_ms < campaign.closes_at_ms:
        raise Refused(409, "the campaign is not open")
    group = Group(
        id=_make_id("g"),
        campaign_id=campaign.id,
        building_id=building.id,
        leader_id=member_id,
        state="open",
        size=campaign.size,
        paid_count=0,
        opened_at_ms=now_ms,
        closes_at_ms=campaign.closes_at_ms,
    )
    session.add(group)
    opened: Happened = ("groups.opened", group.id, {"campaign_id": campaign.id, "leader_id": member_id})
    return await _place(
        session, body.lines, opened, catalog=catalog, group=group, campaign=campaign, seat_no=0, member_id=member_id
    )


async def join_group(
    session: AsyncSession, group_id: str, body: JoinGroup, *, catalog: Catalog, member_id: str
) -> Placed:
    """Take a seat in an open group and place an order."""
    group = await session.get(Group, group_id, options=[joinedload(Group.seats)], with_for_update=True)
    if group is None:
        raise Refused(404, "no such group")
    if group.state != "open" or _now_ms() >= group.closes_at_ms:
        raise Refused(409, "the group is closed")
    if len(group.seats) >= group.size:
        raise Refused(409, "the group is full")
    if any(seat.member_id == member_id for seat in group.seats):
        raise Refused(409, "already a member")
    if body.building_id not in (None, group.building_id):
        raise Refused(409, "the group is for another building")
    campaign = catalog.campaigns[group.campaign_id]
    return await _place(
        session,
        body.lines,
        catalog=catalog,
        group=group,
        campaign=campaign,
        seat_no=len(group.seats),
        member_id=member_id,
    )


async def pay(session: AsyncSession, order_id: str, *, catalog: Catalog, member_id: str) -> Paid:
    """Record the captured payment of an order; the last one closes its group and makes the exact split plan."""
    now_ms = _now_ms()
    order = await session.get(Order, order_id, options=[joinedload(Order.lines)], with_for_update=True)
    if order is None or order.member_id != member_id:
        raise Refused(404, "no such order")
    if order.state != "created":
        raise Refused(409, "the order is paid already")
    group = await session.get_one(Group, order.group_id, options=[joinedload(Group.seats)], with_for_update=True)
    campaign = catalog.campaigns[group.campaign_id]
    seat = next(seat for seat in group.seats if seat.order_id == order.id)
    if now_ms >= seat.pay_before_ms:
        raise Refused(409, "the seat is no longer held")
    seat.state = "paid"
    order.state = "paid"
    order.paid_fen = order.payable_fen
    group.paid_count += 1
    _post_payment(session, order, now_ms=now_ms)
    events: list[Happened] = [
        ("money.payment_captured", order.id, {"amount_fen": order.paid_fen}),
        ("orders.paid", order.id, {"group_id": group.id, "member_id": member_id, "paid_fen": order.paid_fen}),
    ]
    plan = None
    if group.paid_count == group.size:
        plan = await _close(session, group)
        events.append(("groups.formed", group.id, {"size": group.size}))
        events.append(("splitting.planned", group.id, {"sub_orders": [part.model_dump() for part in plan]}))
    await session.flush()
    await _record(session, now_ms, *events)
    await _move(session, _SELL, order.lines, meal_id=campaign.meal_id)
    return Paid(
        order_id=order.id,
        order_state=order.state,
        group_id=group.id,
        group_state=group.state,
        paid_count=group.paid_count,
        plan=plan,
    )


async def _place(
    session: AsyncSession,
    lines: list[CartLine],
    *before: Happened,
    catalog: Catalog,
    group: Group,
    campaign: Campaign,
    seat_no: int,
    member_id: str,
) -> Placed:
    now_ms = _now_ms()
    wanted = [line.dish_id for line in lines]
    if len(set(wanted)) != len(wanted):
        raise Refused(422, "a dish is named twice")
    dishes = catalog.dishes
    if not all(dish_id in dishes for dish_id in wanted):
        raise Refused(404, "no such dish")
    cost = price(
        [dishes[line.dish_id].price_fen * line.quantity for line in lines],
        percent_off=campaign.percent_off,
        delivery_fee=campaign.delivery_fee_fen,
        size=campaign.size,
        seat_no=seat_no,
    )
    order = Order(
        id=_make_id("o"),
        group_id=group.id,
        member_id=member_id,
        building_id=group.building_id,
        state="created",
        items_fen=cost.items,
        discount_fen=cost.discount,
        delivery_fen=cost.delivery,
        payable_fen=cost.payable,
        paid_fen=0,
        placed_at_ms=now_ms,
        lines=[
            OrderLine(
                line_no=line_no,
                dish_id=line.dish_id,
                merchant_id=dishes[line.dish_id].merchant_id,
                quantity=line.quantity,
                price_fen=dishes[line.dish_id].price_fen,
                discount_fen=line_discount,
            )
            for line_no, (line, line_discount) in enumerate(zip(lines, cost.line_discounts, strict=True))
        ],
    )
    seat = Seat(
        group_id=group.id,
        seat_no=seat_no,
        member_id=member_id,
        order_id=order.id,
        state="held",
        pay_before_ms=now_ms + campaign.seat_hold_ms,
    )
    session.add_all([order, seat])
    await session.flush()
    await _record(
        session,
        now_ms,
        *before,
        ("groups.seat_held", group.id, {"order_id": order.id, "member_id": member_id}),
        ("orders.placed", order.id, {"group_id": group.id, "payable_fen": order.payable_fen}),
    )
    if not await _move(session, _HOLD, lines, meal_id=campaign.meal_id):
        raise Refused(409, "sold out")
    return Placed(group_id=group.id, order_id=order.id, payable_fen=order.payable_fen)


async def _move(session: AsyncSession, change: Update, lines: Sequence[CartLine | OrderLine], *, meal_id: str) -> bool:
    """Change the stock of every line; whether all could be changed. In key order, as on a server with row locks."""
    connection = await session.connection()
    rows = [
        {"meal": meal_id, "dish": line.dish_id, "wanted": line.quantity}
        for line in sorted(lines, key=lambda line: line.dish_id)
    ]
    return (await connection.execute(change, rows)).rowcount == len(rows)


def _post_payment(session: AsyncSession, order: Order, *, now_ms: int) -> None:
    payment = Payment(id=_make_id("p"), order_id=order.id, amount_fen=order.paid_fen, captured_at_ms=now_ms)
    journal = Journal(
        id=_make_id("j"),
        kind="capture",
        order_id=order.id,
        posted_at_ms=now_ms,
        entries=[
            Entry(entry_no=0, account="provider:sandbox", amount_fen=order.paid_fen),
            Entry(entry_no=1, account="members:escrow", amount_fen=-order.paid_fen),
        ],
    )
    session.add_all([payment, journal])


async def _close(session: AsyncSession, group: Group) -> list[PlannedSubOrder]:
    orders = await session.scalars(
        select(Order).where(Order.group_id == group.id).order_by(Order.id).options(selectinload(Order.lines))
    )
    plan = []
    for order in orders:
        lines = [(line.merchant_id, line.price_fen * line.quantity, line.discount_fen) for line in order.lines]
        for part_no, part in enumerate(split(lines, delivery=order.delivery_fen), start=1):
            planned = PlannedSubOrder(
                sub_order_id=f"{order.id}.{part_no}",
                order_id=order.id,
                member_id=order.member_id,
                merchant_id=part.merchant_id,
                building_id=order.building_id,
                items_fen=part.items,
                discount_fen=part.discount,
                delivery_fen=part.delivery,
                payable_fen=part.payable,
            )
            plan.append(planned)
        order.state = "split"
    group.state = "closed"
    session.add_all(
        SubOrder(id=part.sub_order_id, group_id=group.id, state="created", **part.model_dump(exclude={"sub_order_id"}))
        for part in plan
    )
    return plan


async def _record(session: AsyncSession, now_ms: int, *events: Happened) -> None:
    rows = [
        {"name": name, "subject_id": subject_id, "body": json.dumps(body).encode(), "at_ms": now_ms}
        for name, subject_id, body in events
    ]
    await session.execute(insert(Event), rows)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _make_id(prefix: str) -> str:
    return f"{prefix}_{_now_ms():011x}{secrets.token_hex(8)}"

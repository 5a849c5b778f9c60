"""A group, its seats and tiers: pure values and rules (B1)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import BuildingId, CampaignId, CampusId, GroupId, MealId, MerchantId, OrderId, PersonId
from tuanzi.base.money import ZERO, Money
from tuanzi.catalog import CampaignTier
from tuanzi.groups.problems import AlreadyMember, GroupFull, GroupNotOpen, NoSeat

# Our choice: so many open groups of one campaign, building and meal can be listed and searched for a seat.
OPEN_GROUPS_MAX: Final = 200
# Our choice: who has so many orders under way at once is no newcomer, whatever becomes of them.
UNSERVED_MAX: Final = 20


# Our choice: so many orders of a member may hold stock on a campus unpaid, since the last he paid; more is no appetite.
UNPAID_MAX: Final = 3


class GroupState(StrEnum):
    """Where a group is in its life."""

    OPEN = "open"
    FORMED = "formed"
    CLOSED = "closed"
    FAILED = "failed"


class SeatState(StrEnum):
    """Whether the seat's money is in."""

    HELD = "held"
    PAID = "paid"


class Seat(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A member's place in a group. campus_id: of a guest, whose order is on that campus; None for the group's own."""

    member_id: PersonId
    order_id: OrderId
    building_id: BuildingId
    state: SeatState
    since: datetime
    campus_id: CampusId | None = None


class Home(Struct, frozen=True, kw_only=True, gc=False):
    """Where a group is at home whose part is here, and what was last heard of it (B7).

    version: of the group there. paid_elsewhere: its paid seats that are not in this part. delivery_fee: what this part
    pays of the whole.
    """

    campus_id: CampusId
    version: int
    paid_elsewhere: int
    delivery_fee: Money


class Group(Struct, frozen=True, kw_only=True, gc=False):
    """One group, with what its campaign was when it was opened (P22).

    tiers: ascending. building_id: where it is announced. building_ids: where its campaign delivers; empty for
    everywhere. seats: in the order in which they were taken. version: grows with every change. guest_campuses: whose
    students may sit in it. home: of a group that is another campus's; then this is the part of it that is here, with
    the seats of this campus's members, and `home` decides.
    """

    id: GroupId
    campaign_id: CampaignId
    leader_id: PersonId
    building_id: BuildingId
    meal_id: MealId
    state: GroupState
    tiers: tuple[CampaignTier, ...]
    merchant_ids: tuple[MerchantId, ...]
    building_ids: tuple[BuildingId, ...]
    delivery_fee: Money
    pay_within_s: int
    per_order_limit: int
    per_user_limit: int
    opened_at: datetime
    closes_at: datetime
    seats: tuple[Seat, ...]
    version: int = 1
    guest_campuses: tuple[CampusId, ...] = ()
    home: Home | None = None

    @property
    def seats_max(self) -> int:
        """The size of the largest tier."""
        return self.tiers[-1].size

    @property
    def paid_count(self) -> int:
        """How many seats are paid, on all campuses."""
        paid = [seat.state for seat in self.seats].count(SeatState.PAID)
        return paid if self.home is None else paid + self.home.paid_elsewhere

    @property
    def outcome(self) -> GroupState:
        """What its guests hear of it. A group fails with enough paid seats only by its own split, which is this
        campus's own affair: it had closed, and each campus splits or refunds its own (decision 0015)."""
        has_closed = self.state is GroupState.FAILED and self.paid_count >= self.tiers[0].size
        return GroupState.CLOSED if has_closed else self.state

    def counts(self, seat: Seat) -> bool:
        """Whether a seat of this group, which takes no more members, counts against its member's limit.

        All do once it has closed. A split that fails takes this campus's own out; guests may have their meals all the
        same, and their campuses say when they have not.
        """
        return self.state is GroupState.CLOSED or (seat.campus_id is not None and self.outcome is GroupState.CLOSED)

    @property
    def own_order_ids(self) -> tuple[OrderId, ...]:
        """The orders of this campus, in the order of their seats."""
        return tuple([seat.order_id for seat in self.seats if seat.campus_id is None])

    @property
    def spans_campuses(self) -> bool:
        """Whether it has members on several campuses."""
        return self.home is not None or any([seat.campus_id is not None for seat in self.seats])

    def delivery_fee_of(self, campus_id: CampusId | None) -> Money:
        """What the members of a campus pay of the delivery, of all paid seats in their order; None for the home's own.

        All campuses' parts add up to the whole fee, exactly.
        """
        paid = [seat.campus_id for seat in self.seats if seat.state is SeatState.PAID]
        if not paid:
            return ZERO
        shares = self.delivery_fee.share([1] * len(paid))
        return Money(sum([share.fen for share, of in zip(shares, paid, strict=True) if of == campus_id]))

    @property
    def delivery_fee_here(self) -> Money:
        """What this campus's members pay of the delivery."""
        return self.delivery_fee_of(None) if self.home is None else self.home.delivery_fee

    @property
    def is_full(self) -> bool:
        """Whether no seat is left; more than full is full too (P4, P5)."""
        return len(self.seats) >= self.seats_max

    @property
    def terms(self) -> tuple[object, ...]:
        """What a price depends on: who paid on these terms may sit in any group that has them."""
        return self.tiers, self.delivery_fee, self.merchant_ids, self.building_ids

    @property
    def pay_within(self) -> timedelta:
        """How long a seat is held."""
        return timedelta(seconds=self.pay_within_s)

    def tier_reached(self) -> CampaignTier | None:
        """The best tier that the paid seats reach; None below the smallest."""
        paid = self.paid_count
        reached = [tier for tier in self.tiers if tier.size <= paid]
        return reached[-1] if reached else None

    def takes_members(self, *, now: datetime) -> bool:
        """Whether a seat can be taken now; the deadline counts even when its timer is late."""
        is_live = self.state in (GroupState.OPEN, GroupState.FORMED) and self.home is None
        return is_live and now < self.closes_at and not self.is_full

    def seat_of(self, order_id: OrderId) -> Seat | None:
        """The seat of an order."""
        return next((seat for seat in self.seats if seat.order_id == order_id), None)

    def seat_of_member(self, member_id: PersonId) -> Seat:
        """The seat of a member. Raises NoSeat."""
        for seat in self.seats:
            if seat.member_id == member_id:
                return seat
        raise NoSeat(group_id=self.id)

    def seated(self, seat: Seat, *, now: datetime) -> Group:
        """With one more seat. Raises GroupNotOpen, AlreadyMember, GroupFull."""
        if self.state not in (GroupState.OPEN, GroupState.FORMED) or now >= self.closes_at:
            raise GroupNotOpen(group_id=self.id, state=self.state.value)
        if seat.member_id in [taken.member_id for taken in self.seats]:
            raise AlreadyMember(group_id=self.id)
        if self.is_full:
            raise GroupFull(group_id=self.id, size=self.seats_max)
        return self._with(seats=(*self.seats, seat))

    def paid(self, order_id: OrderId) -> Group:
        """With this order's seat paid."""
        return self._with(
            seats=tuple(
                [replace(seat, state=SeatState.PAID) if seat.order_id == order_id else seat for seat in self.seats]
            )
        )

    def without(self, order_ids: Iterable[OrderId]) -> Group:
        """Without these orders' seats; a leader among them hands over to the earliest paid, else the earliest."""
        gone = set(order_ids)
        seats = tuple([seat for seat in self.seats if seat.order_id not in gone])
        leader_id = self.leader_id
        if seats and all(seat.member_id != leader_id for seat in seats):
            paid = [seat for seat in seats if seat.state is SeatState.PAID]
            leader_id = (paid or list(seats))[0].member_id
        return replace(self, seats=seats, leader_id=leader_id, version=self.version + 1)

    def ended(self, state: GroupState) -> Group:
        """In another state."""
        return replace(self, state=state, version=self.version + 1)

    def _with(self, *, seats: tuple[Seat, ...]) -> Group:
        return replace(self, seats=seats, version=self.version + 1)


class CampaignUse(Struct, frozen=True, kw_only=True, gc=False):
    """How many orders a member has in a campaign that limits them; those that came to nothing do not count."""

    campaign_id: CampaignId
    member_id: PersonId
    orders: int


class OrderedBefore(Struct, frozen=True, kw_only=True, gc=False):
    """What a member ordered on this campus, as far as it tells whether an order is his first (B4).

    An order is a member's first when none of his others waits for its payment, is paid, or was ever split. What came to
    nothing before its split, cancelled or refunded, counts as little as a coupon that it gives back; what was split
    counts for good, even refunded. order_ids: placed while none was known to be split, oldest first; those that came to
    nothing leave by and by, at UNSERVED_MAX at the latest. is_regular: one was split; then order_ids has only such as
    may still wait for payment.
    """

    member_id: PersonId
    order_ids: tuple[OrderId, ...] = ()
    is_regular: bool = False

    @property
    def is_none(self) -> bool:
        """Whether the next order is the first."""
        return not self.order_ids and not self.is_regular

    def with_order(self, order_id: OrderId) -> OrderedBefore:
        """With one more; beyond UNSERVED_MAX he is a regular."""
        if order_id in self.order_ids:
            return self
        is_regular = self.is_regular or len(self.order_ids) >= UNSERVED_MAX
        return replace(self, order_ids=(*self.order_ids, order_id), is_regular=is_regular)


class OpenGroups(Struct, frozen=True, kw_only=True, gc=False):
    """Groups of a campaign, building and meal that may still take members, oldest first; at most OPEN_GROUPS_MAX."""

    campaign_id: CampaignId
    building_id: BuildingId
    meal_id: MealId
    group_ids: tuple[GroupId, ...]

"""What pages read of groups, and what became of a payment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct, structs

from tuanzi.base.branch import TransactionState
from tuanzi.base.ids import GroupId, OrderId, PersonId
from tuanzi.base.problem import Unknown
from tuanzi.base.time import from_ms, to_ms
from tuanzi.events import (
    GroupClosed,
    GroupFormed,
    LateMoneySettled,
    OrderAdvanced,
    OrderPaid,
    PlannedSubOrder,
    RefundDue,
    SeatPaid,
    SplitPlanned,
    TierReached,
)
from tuanzi.groups.model import Group, GroupState, SeatState
from tuanzi.groups.store import (
    EVENT_TIME,
    EVENTS_NAMING,
    GROUP,
    GROUPS,
    GROUPS_BEFORE,
    GROUPS_COUNTED,
    GROUPS_IN_STATE,
    LAST_EVENT,
    LAST_LOOKED_AT,
    NAMES_AT_ONCE,
)
from tuanzi.machinery.http.routes import Desk, Desks
from tuanzi.orders import Order, OrderState, OrderView, orders_by_id

# Our choice: half a day of a lunch wave's groups; about 10 ms.
GROUPS_LOOKED_AT_MAX = 5_000
# Measured: 100,000 events are looked through for two ids in 0.16 s, for twenty in 0.9 s, beside the writer.
EVENTS_LOOKED_AT_MAX = 100_000
EVENTS_SHOWN_MAX = 2_000


class TierView(Struct, frozen=True, kw_only=True, gc=False):
    """What a group of a size gets."""

    size: int
    off_percent: int
    off_fen: int


class GroupView(Struct, frozen=True, kw_only=True, gc=False):
    """A group as anybody of its campus sees it; members are counted, not named."""

    group_id: str
    campaign_id: str
    building_id: str
    meal_id: str
    state: GroupState
    tiers: tuple[TierView, ...]
    seats_max: int
    seats_taken: int
    paid_count: int
    missing: int
    closes_at: datetime
    version: int


class SeatView(Struct, frozen=True, kw_only=True, gc=False):
    """A seat as anybody sees it: since when it is taken and whether it is paid, but not by whom."""

    state: SeatState
    since: datetime
    is_leader: bool
    is_mine: bool


class GroupDetail(GroupView, frozen=True, kw_only=True, gc=False):
    """A group for its own page: its seats in the order in which they were taken, and the caller's order in it."""

    opened_at: datetime
    pay_within_s: int
    seats: tuple[SeatView, ...]
    my_order_id: str | None


class GroupPage(Struct, frozen=True, kw_only=True, gc=False):
    """Groups that take members, oldest first; `next` is None on the last page."""

    items: tuple[GroupView, ...]
    next: str | None


class CampusGroup(GroupView, frozen=True, kw_only=True, gc=False):
    """A group as operators list it."""

    leader_id: str
    opened_at: datetime


class CampusGroupPage(Struct, frozen=True, kw_only=True, gc=False):
    """Groups of a campus, newest first; `next` is None on the last page, and a page may be short or empty before it."""

    items: tuple[CampusGroup, ...]
    next: str | None


class MemberView(Struct, frozen=True, kw_only=True, gc=False):
    """A seat as operators see it."""

    member_id: str
    order_id: str
    building_id: str
    state: SeatState
    since: datetime
    is_leader: bool


class GroupRecord(CampusGroup, frozen=True, kw_only=True, gc=False):
    """A group with its members, in the order of their seats, and their orders, by id."""

    pay_within_s: int
    members: tuple[MemberView, ...]
    orders: tuple[OrderView, ...]


class TimelineEvent(Struct, frozen=True, kw_only=True, gc=False):
    """One event that names a group, one of its orders or what is brought of it; `number` in the log of `database`."""

    database: str
    number: int
    at: datetime
    name: str
    body: Raw


class GroupTimeline(Struct, frozen=True, kw_only=True, gc=False):
    """What happened to a group, in order, as far as the logs were read; `next` goes into `after`, None at their end."""

    group_id: str
    items: tuple[TimelineEvent, ...]
    next: str | None


class GroupsCounted(Struct, frozen=True, kw_only=True, gc=False):
    """Groups that take members now (`open`, `formed`), and how many were opened since a time and where those are."""

    open: int = 0
    formed: int = 0
    opened_since: int = 0
    formed_since: int = 0
    failed_since: int = 0


class PaidOutcome(Struct, frozen=True, kw_only=True, gc=False):
    """What a payment did: to the order, and to its group.

    plan: the group's split, when this payment completed it, or when its order is asked about again after that; it is
    accepted, and done when `split_state` is confirmed.
    is_late: the seat was gone; the money found another (`group_id`) or goes back (`refund_due_fen`). prepay: what the
    provider's client needs while the member still has to pay; the order is paid when its status says so.
    """

    order_id: str
    order_state: OrderState
    group_id: str
    group_state: GroupState
    paid_count: int
    plan: tuple[PlannedSubOrder, ...] | None = None
    split_state: TransactionState | None = None
    is_late: bool = False
    refund_due_fen: int = 0
    payment_id: str | None = None
    prepay: dict[str, str] | None = None


class PlannedSplit(Struct, frozen=True, kw_only=True, gc=False):
    """A closed group's plan, in the order of its seats, and where its transaction is."""

    state: TransactionState
    sub_orders: tuple[PlannedSubOrder, ...]


class FindPlan(Protocol):
    """What finds a group's plan: the room above, which makes it."""

    async def __call__(self, desk: Desk, group_id: GroupId) -> PlannedSplit | None:
        """The plan of a group; None when it has none."""


async def load_group(desk: Desk, group_id: GroupId) -> Group:
    """A group as it is kept. Raises Unknown."""
    group = desk.peek(Group, group_id)
    if group is None:
        rows = await desk.rows(GROUP, {"id": group_id})
        if not rows:
            raise Unknown(kind="group", id=group_id)
        group = GROUPS.from_row(rows[0])
    return group


async def group_page(
    desk: Desk, *, campaign_id: str, building_id: str, after: str, limit: int, now: datetime
) -> GroupPage:
    """Groups that take members, of a campaign and building when they are named; a page may be short, or even empty.

    Left out are those whose seats are all taken, paid or not.
    """
    slots = {
        "campaign_id": campaign_id,
        "building_id": building_id,
        "after": after,
        "limit": limit + 1,
        "now_ms": to_ms(now),
    }
    found = [GROUPS.from_row(row) for row in await desk.rows(GROUPS_IN_STATE, slots)]
    items = tuple([view_of(group) for group in found[:limit] if not group.is_full])
    return GroupPage(items=items, next=found[limit - 1].id if len(found) > limit else None)


async def campus_group_page(
    desk: Desk, *, state: GroupState | None, campaign_id: str, building_id: str, before: str, limit: int
) -> CampusGroupPage:
    """Groups of the campus older than `before`, of the next GROUPS_LOOKED_AT_MAX, that fit what is named."""
    slots = {"before": before or "~", "looked": GROUPS_LOOKED_AT_MAX}
    wanted = {"state": "" if state is None else state.value, "campaign_id": campaign_id, "building_id": building_id}
    rows = await desk.rows(GROUPS_BEFORE, {**slots, **wanted, "limit": limit + 1})
    items = [_campus_group(GROUPS.from_row(row)) for row in rows]
    if len(items) > limit:
        return CampusGroupPage(items=tuple(items[:limit]), next=items[limit - 1].group_id)
    ((last, looked),) = await desk.rows(LAST_LOOKED_AT, slots)
    return CampusGroupPage(items=tuple(items), next=last if looked == GROUPS_LOOKED_AT_MAX else None)


async def group_record(desk: Desk, group_id: GroupId) -> GroupRecord:
    """A group with its members and orders. Raises Unknown."""
    group = await load_group(desk, group_id)
    members = tuple(
        [
            MemberView(
                member_id=seat.member_id,
                order_id=seat.order_id,
                building_id=seat.building_id,
                state=seat.state,
                since=seat.since,
                is_leader=seat.member_id == group.leader_id,
            )
            for seat in group.seats
        ]
    )
    return GroupRecord(
        **structs.asdict(_campus_group(group)),
        pay_within_s=group.pay_within_s,
        members=members,
        orders=tuple(await orders_by_id(desk, [seat.order_id for seat in group.seats])),
    )


async def groups_counted(desk: Desk, *, since: str) -> GroupsCounted:
    """How many groups there are now, and of those whose ids come after `since`."""
    now: dict[str, int] = {}
    lately: dict[str, int] = {}
    for state, there, new in await desk.rows(GROUPS_COUNTED, {"since": since}):
        now[state], lately[state] = there, int(new)
    return GroupsCounted(
        open=now.get(GroupState.OPEN, 0),
        formed=now.get(GroupState.FORMED, 0),
        opened_since=sum(lately.values()),
        formed_since=lately.get(GroupState.FORMED, 0) + lately.get(GroupState.CLOSED, 0),
        failed_since=lately.get(GroupState.FAILED, 0),
    )


async def group_timeline(desks: Desks, group_id: GroupId, *, after: str | None) -> GroupTimeline:
    """Every event of a group, of orders that were ever in it, and of what is brought of it, in order.

    after: the `next` of an earlier reading. Who left his seat is known by the first EVENTS_LOOKED_AT_MAX events since
    the group was opened, and by those that are read. Raises Unknown.
    """
    group = await load_group(desks.core, group_id)
    by_name = {"core": desks.core, "money": desks.money, "delivery": desks.delivery}
    begins = {name: await _last_before(desk, group.opened_at) for name, desk in by_name.items()}
    places = begins if after is None else dict(zip(by_name, map(int, after.split(".")), strict=True))
    parts = [_LogPart(desk=desk, database=name, after=places[name]) for name, desk in by_name.items()]
    core, _, delivery = parts
    known = [group_id, *[seat.order_id for seat in group.seats]]
    # Who left is in the log only; a bundle's last event names nothing but itself.
    for part in (_LogPart(desk=desks.core, database="core", after=begins["core"]), core, delivery):
        for event in await part.naming(known):
            named = _read_names(event.body)
            of_it = (named.order_id if named.group_id == group_id else "", named.bundle_id)
            known += [id for id in of_it if id and id not in known]
    items = [event for part in parts for event in await part.naming(known) if _is_about(event, group_id)]
    ends = [await part.ends_at() for part in parts]
    is_over = all([await _is_last(part.desk, end) for part, end in zip(parts, ends, strict=True)])
    return GroupTimeline(
        group_id=group_id,
        items=tuple(sorted(items, key=lambda event: (event.at, event.database, event.number))),
        next=None if is_over else ".".join(map(str, ends)),
    )


class _LogPart:
    """The next EVENTS_LOOKED_AT_MAX events of one database's log; fewer when too many of them fit."""

    def __init__(self, *, desk: Desk, database: str, after: int) -> None:
        self.desk = desk
        self._database = database
        self._after = after
        self._until = after + EVENTS_LOOKED_AT_MAX

    async def naming(self, ids: Sequence[str]) -> list[TimelineEvent]:
        """The events in whose body one of the ids stands."""
        found: dict[int, TimelineEvent] = {}
        for i in range(0, len(ids), NAMES_AT_ONCE):
            some = [*ids[i : i + NAMES_AT_ONCE], *[None] * NAMES_AT_ONCE][:NAMES_AT_ONCE]
            slots: dict[str, str | int | None] = {f"id{place}": id for place, id in enumerate(some)}
            slots |= {"after": self._after, "until": self._until, "limit": EVENTS_SHOWN_MAX}
            rows = await self.desk.rows(EVENTS_NAMING, slots)
            if len(rows) == EVENTS_SHOWN_MAX:
                self._until = rows[-1][0]
            for number, at_ms, name, body in rows:
                found[number] = TimelineEvent(
                    database=self._database, number=number, at=from_ms(at_ms), name=name, body=Raw(body.encode())
                )
        return [event for number, event in found.items() if number <= self._until]

    async def ends_at(self) -> int:
        """The number of its last event."""
        ((last,),) = await self.desk.rows(LAST_EVENT)
        return min(int(last), self._until)


async def _is_last(desk: Desk, number: int) -> bool:
    """Whether the log of a database ends with this event."""
    ((last,),) = await desk.rows(LAST_EVENT)
    return int(last) == number


async def _last_before(desk: Desk, at: datetime) -> int:
    """The number of the last event before a time; times grow with numbers, so that it is soon found."""
    ((last,),) = await desk.rows(LAST_EVENT)
    low, high = 0, int(last)
    while low < high:
        middle = (low + high + 1) // 2
        times = await desk.rows(EVENT_TIME, {"number": middle})
        if not times or times[0][0] < to_ms(at):  # what is older than all that the log keeps still
            low = middle
        else:
            high = middle - 1
    return low


class _Named(Struct, frozen=True, gc=False):
    """What events call what they are about."""

    group_id: str | None = None
    order_id: str = ""
    bundle_id: str = ""


_read_names = msgspec.json.Decoder(_Named).decode


def _is_about(event: TimelineEvent, group_id: str) -> bool:
    """Whether it is of this group: an order that left may be in another one, whose own story is not told here."""
    return event.name == LateMoneySettled.name or _read_names(event.body).group_id in (None, group_id)


def _campus_group(group: Group) -> CampusGroup:
    return CampusGroup(**structs.asdict(view_of(group)), leader_id=group.leader_id, opened_at=group.opened_at)


def view_of(group: Group) -> GroupView:
    """A group as anybody of its campus sees it."""
    paid = group.paid_count
    return GroupView(
        group_id=group.id,
        campaign_id=group.campaign_id,
        building_id=group.building_id,
        meal_id=group.meal_id,
        state=group.state,
        tiers=tuple(
            [TierView(size=tier.size, off_percent=tier.off_percent, off_fen=tier.off.fen) for tier in group.tiers]
        ),
        seats_max=group.seats_max,
        seats_taken=len(group.seats),
        paid_count=paid,
        missing=max(0, group.tiers[0].size - paid),
        closes_at=group.closes_at,
        version=group.version,
    )


def detail_of(group: Group, person_id: PersonId | None) -> GroupDetail:
    """A group for its own page, as this person sees it; None is somebody who is not signed in."""
    mine = None if person_id is None else next((seat for seat in group.seats if seat.member_id == person_id), None)
    return GroupDetail(
        **structs.asdict(view_of(group)),
        opened_at=group.opened_at,
        pay_within_s=group.pay_within_s,
        seats=tuple(
            [
                SeatView(
                    state=seat.state,
                    since=seat.since,
                    is_leader=seat.member_id == group.leader_id,
                    is_mine=seat is mine,
                )
                for seat in group.seats
            ]
        ),
        my_order_id=None if mine is None else mine.order_id,
    )


def is_member(group: Group, person_id: PersonId) -> bool:
    """Whether a person has a seat in a group."""
    return any(seat.member_id == person_id for seat in group.seats)


def outcome_of(order_id: OrderId, events: Iterable[Any], *, group_id: str) -> PaidOutcome:
    """What a payment did, told by the events of its commit."""
    state, group_state, paid_count, plan, late, refund_fen = OrderState.CANCELLED, GroupState.OPEN, 0, None, False, 0
    split_state = None
    for event in events:
        match event:
            case OrderPaid() if event.order_id == order_id:
                state, group_id = OrderState.PAID, event.group_id
            case SeatPaid() if event.order_id == order_id:
                paid_count = event.paid_count
            case OrderAdvanced() if event.order_id == order_id:
                state = OrderState(event.state)
                if state is OrderState.GROUPED and group_state is GroupState.OPEN:
                    group_state = GroupState.FORMED  # it had formed before
            case GroupFormed() | TierReached() if group_state is GroupState.OPEN:
                group_state = GroupState.FORMED
            case GroupClosed():
                group_state = GroupState.CLOSED
            case SplitPlanned():
                plan, split_state = event.sub_orders, TransactionState.TRYING
            case LateMoneySettled():
                late = True
            case RefundDue() if event.order_id == order_id:
                refund_fen += event.amount_fen
            case _:
                pass
    if late and refund_fen and state is OrderState.CANCELLED:
        state = OrderState.REFUNDING
    return PaidOutcome(
        order_id=order_id,
        order_state=state,
        group_id=group_id,
        group_state=group_state,
        paid_count=paid_count,
        plan=plan,
        split_state=split_state,
        is_late=late,
        refund_due_fen=refund_fen,
    )


async def standing_of(desk: Desk, order: Order, *, find_plan: FindPlan) -> PaidOutcome:
    """What a payment had done, for one who asks again, perhaps because the first answer was lost: the plan too."""
    group = await load_group(desk, order.group_id)
    plan = None
    if group.state is GroupState.CLOSED and group.seat_of(order.id) is not None:
        plan = await find_plan(desk, group.id)
    return PaidOutcome(
        order_id=order.id,
        order_state=order.state,
        group_id=group.id,
        group_state=group.state,
        paid_count=group.paid_count,
        plan=None if plan is None else plan.sub_orders,
        split_state=None if plan is None else plan.state,
    )

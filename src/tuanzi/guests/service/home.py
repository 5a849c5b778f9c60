"""At home: the seat, the count and the deadline; one function for each message of a guest's campus."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from msgspec import structs

from tuanzi import groups
from tuanzi.base.branch import FenceState
from tuanzi.base.ids import BuildingId, CampusId, OrderId
from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Unit
from tuanzi.catalog import Building, Campaign, Campus
from tuanzi.groups import (
    AlreadyMember,
    Group,
    GroupFull,
    GroupNotOpen,
    GroupState,
    Seat,
    SeatState,
    UserLimitReached,
    detail_of,
    forget_use,
    news_of,
    release_seat,
    seat_guest,
)
from tuanzi.guests.model import (
    GRACE,
    ExpireGuestSeat,
    ForgetGuest,
    GuestForgotten,
    LeaveSeat,
    LookAtGroup,
    NeighbourGroup,
    PartTerms,
    PaySeat,
    SeatAnswer,
    TrySeat,
    branch_of,
)
from tuanzi.guests.problems import GuestsNotTaken
from tuanzi.machinery.fence import Fence, cancel_branch, confirm_branch, try_branch

LIVE = (GroupState.OPEN, GroupState.FORMED)


def try_seat(unit: Unit, command: TrySeat, *, now: datetime) -> SeatAnswer:
    """Hold a seat for a guest; a repeat holds no other.

    Raises Unknown, GuestsNotTaken, GroupNotOpen, AlreadyMember, GroupFull, UserLimitReached, Suspended, BranchDiffers.
    """
    group = unit.load(Group, command.group_id)
    if group.home is not None or command.campus_id not in group.guest_campuses:
        raise GuestsNotTaken(group_id=group.id, campus_id=command.campus_id)
    if try_branch(unit, command.branch, content=command, now=now):
        pay_before = min(now + group.pay_within, group.closes_at)
        seat = Seat(
            member_id=command.member_id,
            order_id=command.order_id,
            building_id=command.building_id,
            state=SeatState.HELD,
            since=now,
            campus_id=command.campus_id,
        )
        group = seat_guest(unit, group, seat=seat, pay_before=pay_before, now=now)
        expire = ExpireGuestSeat(
            group_id=group.id, order_id=seat.order_id, campus_id=command.campus_id, branch=command.branch
        )
        unit.schedule(_expiry_timer(seat.order_id), expire, at=pay_before + GRACE)
    return _answer(group, command.order_id, command.campus_id, terms=_terms(group))


def pay_seat(unit: Unit, command: PaySeat, *, now: datetime) -> SeatAnswer:
    """The one decision about a guest's money: the seat is paid if it is still held in a group that is not over.

    Of money that came when his seat was gone: a free seat of the group is held and paid at once.
    """
    group = unit.find(Group, command.group_id)
    fence = unit.find(Fence, (command.branch.gid, command.branch.branch))
    if fence is None and command.anew is not None:
        group = _seat_late(unit, group, command, building_id=command.anew, now=now)
    elif fence is None or fence.state is FenceState.TRIED:
        seat = None if group is None else group.seat_of(command.order_id)
        if fence is not None and group is not None and seat is not None and group.state in LIVE:
            confirm_branch(unit, command.branch, now=now)
            unit.unschedule(_expiry_timer(command.order_id))
            group = groups.pay_seat(unit, group, order_id=seat.order_id, member_id=seat.member_id)
        else:
            cancel_branch(unit, command.branch, now=now)
    return _answer(group, command.order_id, command.campus_id)


def leave_seat(unit: Unit, command: LeaveSeat, *, now: datetime) -> SeatAnswer:
    """Let a guest's seat go: an unpaid one always, a paid one until the group has formed."""
    group = unit.find(Group, command.group_id)
    fence = unit.find(Fence, (command.branch.gid, command.branch.branch))
    if fence is None and (group is None or group.state not in LIVE):
        is_free = False  # it is over, and refuses every Try that may still come
    elif fence is None or fence.state is FenceState.TRIED:
        is_free = cancel_branch(unit, command.branch, now=now)
    else:
        is_free = fence.state is FenceState.CONFIRMED and group is not None and group.state is GroupState.OPEN
    if is_free and group is not None:
        group = _let_go(unit, group, command.order_id, reason=command.reason)
    return _answer(group, command.order_id, command.campus_id)


def forget_guest(unit: Unit, command: ForgetGuest, *, now: datetime) -> GuestForgotten:
    """A guest's order that came to nothing after its group had closed no longer counts here; a repeat changes nothing.

    Nor does what is said of anybody else's seat, or of a group that failed, which gave its guests back by itself.
    """
    group = unit.find(Group, command.group_id)
    seat = None if group is None else group.seat_of(command.order_id)
    if group is None or seat is None or seat.campus_id != command.campus_id or not group.counts(seat):
        return GuestForgotten(order_id=command.order_id, is_forgotten=False)
    is_first = try_branch(unit, command.branch, content=command, now=now)
    if is_first:
        confirm_branch(unit, command.branch, now=now)
        forget_use(unit, group.id, order_id=seat.order_id)
    return GuestForgotten(order_id=seat.order_id, is_forgotten=is_first)


def expire_guest_seat(unit: Unit, command: ExpireGuestSeat, *, now: datetime) -> None:
    """A guest's seat that was not paid is free again, whether or not his campus can be reached."""
    branch = command.branch or branch_of(command.order_id, command.campus_id)
    fence = unit.find(Fence, (branch.gid, branch.branch))
    if fence is not None and fence.state is FenceState.TRIED:
        cancel_branch(unit, branch, now=now)
        _let_go(unit, unit.load(Group, command.group_id), command.order_id, reason="not_paid_in_time")


def look_at_group(unit: Unit, command: LookAtGroup, *, now: datetime) -> NeighbourGroup:
    """A group as its guests see it. Raises Unknown."""
    group = unit.load(Group, command.group_id)
    if command.campus_id not in group.guest_campuses:
        raise Unknown(kind="group", id=command.group_id)
    home = None if command.home_id is None else unit.find(Campus, command.home_id)
    campaign = unit.find(Campaign, group.campaign_id)
    building = unit.find(Building, group.building_id)
    return NeighbourGroup(
        **structs.asdict(detail_of(group, command.member_id)),
        home_zh="" if home is None else home.name_zh,
        home_en="" if home is None else home.name_en,
        campaign_zh="" if campaign is None else campaign.name_zh,
        campaign_en="" if campaign is None else campaign.name_en,
        building_zh="" if building is None else building.name_zh,
        building_en="" if building is None else building.name_en,
        delivery_fee_fen=group.delivery_fee.fen,
        per_order_limit=group.per_order_limit,
    )


def _seat_late(
    unit: Unit, group: Group | None, command: PaySeat, *, building_id: BuildingId, now: datetime
) -> Group | None:
    """The group with a paid seat for late money, if it can still take its member; else this branch never has one.

    Of a group that is over nothing is kept: it has no seat for any repeat either.
    """
    if group is None or group.state not in LIVE:
        return group
    seat = Seat(
        member_id=command.member_id,
        order_id=command.order_id,
        building_id=building_id,
        state=SeatState.HELD,
        since=now,
        campus_id=command.campus_id,
    )
    if group.home is None and command.campus_id in group.guest_campuses:
        with suppress(AlreadyMember, GroupFull, GroupNotOpen, UserLimitReached):
            group = seat_guest(unit, group, seat=seat, pay_before=now, now=now)
            try_branch(unit, command.branch, content=command, now=now)
            confirm_branch(unit, command.branch, now=now)
            return groups.pay_seat(unit, group, order_id=seat.order_id, member_id=seat.member_id)
    cancel_branch(unit, command.branch, now=now)
    return group


def _let_go(unit: Unit, group: Group, order_id: OrderId, *, reason: str) -> Group:
    seat = group.seat_of(order_id)
    unit.unschedule(_expiry_timer(order_id))
    if seat is None or group.state not in LIVE:
        return group
    return release_seat(unit, group, seat=seat, reason=reason)


def _answer(
    group: Group | None, order_id: OrderId, campus_id: CampusId, *, terms: PartTerms | None = None
) -> SeatAnswer:
    if group is None:
        return SeatAnswer(order_id=order_id, is_seated=False, news=None)
    return SeatAnswer(
        order_id=order_id,
        is_seated=group.seat_of(order_id) is not None and group.outcome is not GroupState.FAILED,
        news=news_of(group, campus_id=campus_id),
        terms=terms,
    )


def _terms(group: Group) -> PartTerms:
    return PartTerms(
        campaign_id=group.campaign_id,
        building_id=group.building_id,
        meal_id=group.meal_id,
        tiers=group.tiers,
        delivery_fee=group.delivery_fee,
        pay_within_s=group.pay_within_s,
        per_order_limit=group.per_order_limit,
        opened_at=group.opened_at,
        closes_at=group.closes_at,
    )


def _expiry_timer(order_id: OrderId) -> str:
    return f"guest-seat:{order_id}"

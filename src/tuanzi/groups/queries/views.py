"""Groups as pages show them."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, structs

from tuanzi.base.ids import PersonId
from tuanzi.groups.model import Group, GroupState, SeatState
from tuanzi.orders import OrderView


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
    """A group for its own page: its seats in the order in which they were taken, and the caller's order in it.

    home_campus_id: where the whole group is, when this is the part of it that another campus's guests have; its seats
    are those of this campus only.
    """

    opened_at: datetime
    pay_within_s: int
    seats: tuple[SeatView, ...]
    my_order_id: str | None
    home_campus_id: str | None = None


class CampusGroup(GroupView, frozen=True, kw_only=True, gc=False):
    """A group as operators list it."""

    leader_id: str
    opened_at: datetime


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


def campus_group_of(group: Group) -> CampusGroup:
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
        home_campus_id=None if group.home is None else group.home.campus_id,
    )


def is_member(group: Group, person_id: PersonId) -> bool:
    """Whether a person has a seat in a group."""
    return any(seat.member_id == person_id for seat in group.seats)

"""What happens to groups, told to the other campus: errands carry it until it is heard (B7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import CampusId, GroupId, OrderId
from tuanzi.base.unit import Unit
from tuanzi.events import GroupClosed, GroupFailed, GroupFormed, GuestLeaving, GuestPaid, OrderCancelled, TierReached
from tuanzi.groups import Group, GroupState, HomeNews, news_of
from tuanzi.guests.model import (
    ForgetGuest,
    GuestForgotten,
    GuestSeat,
    GuestSeatState,
    HearHome,
    LeaveSeat,
    NewsTaken,
    PaySeat,
    SeatAnswer,
    branch_of,
    forgetting_of,
)
from tuanzi.guests.service import RecordAnswer, SendWord, Word, send, take_late_money
from tuanzi.machinery.post import Letter, Post
from tuanzi.machinery.problems import Unavailable


def on_guest_paid(unit: Unit, event: GuestPaid, *, now: datetime) -> None:
    """A guest's money is in: home is asked to make the seat his. From now on it is home that decides."""
    seat = unit.load(GuestSeat, event.order_id)
    if event.is_late:
        take_late_money(unit, seat, now=now)
    elif seat.state is GuestSeatState.HELD:
        seat = replace(seat, state=GuestSeatState.PAYING)
        unit.put(seat)
        send(unit, seat, word=Word.PAY, now=now)


def on_guest_leaving(unit: Unit, event: GuestLeaving, *, now: datetime) -> None:
    """A guest gives up his seat: home lets it go, and decides when it was paid."""
    seat = unit.load(GuestSeat, event.order_id)
    if seat.state in (GuestSeatState.HELD, GuestSeatState.PAYING, GuestSeatState.PAID):
        seat = replace(seat, state=GuestSeatState.LEAVING, reason=event.reason)
        unit.put(seat)
        send(unit, seat, word=Word.LEAVE, now=now)


class ToldCampus(Struct, frozen=True, kw_only=True, gc=False):
    """What one campus is told."""

    campus_id: CampusId
    news: HomeNews


class TellGuests(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: tell the campuses of a group's guests how it stands; later news takes its place."""

    group_id: GroupId
    told: tuple[ToldCampus, ...]


class GuestsTold(Struct, frozen=True, kw_only=True, gc=False):
    """Every campus of a group's guests has heard the news."""

    group_id: GroupId


def guests_told(unit: Unit, command: GuestsTold, *, now: datetime) -> None:
    """Nothing is left to be told."""


def on_group_moved(unit: Unit, event: GroupFormed | TierReached | GroupClosed | GroupFailed, *, now: datetime) -> None:
    """A group came a step on: the campuses of its guests are told. Groups that take no guests cost one look."""
    group = unit.load(Group, event.group_id)
    if not group.guest_campuses:
        return
    campuses = {seat.campus_id: None for seat in group.seats if seat.campus_id is not None}
    if campuses:
        told = [ToldCampus(campus_id=id, news=news_of(group, campus_id=id)) for id in campuses]
        unit.schedule(f"guests:{group.id}", TellGuests(group_id=group.id, told=tuple(told)), at=now)


class TellCancelled(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: tell a group's home that a guest's order came to nothing after its split."""

    order_id: OrderId
    group_id: GroupId
    campus_id: CampusId
    home_id: CampusId


class CancelledTold(Struct, frozen=True, kw_only=True, gc=False):
    """Home counts the order no more."""

    order_id: OrderId


def cancelled_told(unit: Unit, command: CancelledTold, *, now: datetime) -> None:
    """Nothing is left to be told."""


def on_order_cancelled(unit: Unit, event: OrderCancelled, *, now: datetime) -> None:
    """An order came to nothing. Of a guest's whose group had closed his home is told, which counts it for him; what
    ended before, home decided or hears by his seat."""
    part = unit.load(Group, GroupId(event.group_id))
    if part.home is None or part.outcome is not GroupState.CLOSED:
        return
    order_id = OrderId(event.order_id)
    if part.seat_of(order_id) is not None:
        seat = unit.load(GuestSeat, order_id)
        told = TellCancelled(order_id=order_id, group_id=part.id, campus_id=seat.campus_id, home_id=part.home.campus_id)
        unit.schedule(f"guest-use:{order_id}", told, at=now)


class Courier:
    """Carries errands to the other campuses; what is not answered is tried again by the desk, later and later."""

    def __init__(self, post: Post) -> None:
        self._post = post

    async def send_word(self, errand: SendWord, *, now: datetime) -> RecordAnswer:
        """Errand: one word about one seat. Raises what came instead of an answer."""
        branch = branch_of(OrderId(errand.order_id), errand.campus_id, attempt=errand.attempt)
        letter: PaySeat | LeaveSeat
        if errand.word is not Word.LEAVE:
            letter = PaySeat(
                branch=branch,
                group_id=errand.group_id,
                order_id=errand.order_id,
                member_id=errand.member_id,
                campus_id=errand.campus_id,
                anew=errand.building_id if errand.word is Word.PAY_ANEW else None,
            )
        else:
            letter = LeaveSeat(
                branch=branch,
                group_id=errand.group_id,
                order_id=errand.order_id,
                campus_id=errand.campus_id,
                reason=errand.reason,
            )
        (answer,) = await self._post.send([_letter(errand.home_id, letter)])
        return RecordAnswer(word=errand.word, answer=_heard(answer, SeatAnswer), attempt=errand.attempt)

    async def tell_guests(self, errand: TellGuests, *, now: datetime) -> GuestsTold:
        """Errand: the news, to all at once. Raises what came instead of an answer."""
        letters = [_letter(each.campus_id, HearHome(news=each.news)) for each in errand.told]
        for answer in await self._post.send(letters):
            _heard(answer, NewsTaken)
        return GuestsTold(group_id=errand.group_id)

    async def tell_cancelled(self, errand: TellCancelled, *, now: datetime) -> CancelledTold:
        """Errand: one guest's order that came to nothing. Raises what came instead of an answer."""
        letter = ForgetGuest(
            branch=forgetting_of(errand.order_id, errand.campus_id),
            group_id=errand.group_id,
            order_id=errand.order_id,
            campus_id=errand.campus_id,
        )
        (answer,) = await self._post.send([_letter(errand.home_id, letter)])
        _heard(answer, GuestForgotten)
        return CancelledTold(order_id=errand.order_id)


def _letter(campus_id: CampusId, command: Any) -> Letter:
    return Letter(address=f"{campus_id}.core", command=command)


def _heard(answer: Any, kind: type[Any]) -> Any:
    if isinstance(answer, kind):
        return answer
    raise answer if isinstance(answer, Exception) else Unavailable()

"""Guests over HTTP: look at another campus's group and take a seat in it (B7). All after that is as for any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from tuanzi.base.branch import BranchRefused
from tuanzi.base.ids import BuildingId, CampaignId, CampusId, CouponId, GroupId, OrderId
from tuanzi.base.money import Money
from tuanzi.base.problem import Busy, Problem, Unknown
from tuanzi.base.who import Role
from tuanzi.catalog import CampaignTier, DishNotInCampaign, DishNotOnSale, MerchantClosed
from tuanzi.groups import (
    AlreadyMember,
    GroupFull,
    GroupNotOpen,
    Id,
    Lines,
    MinimumNotReached,
    OrderLimitExceeded,
    QuoteCart,
    Quoted,
    Seated,
    TooManyUnpaid,
    UserLimitReached,
    wanted,
)
from tuanzi.guests.model import GuestSeat, GuestSeatState, LeaveSeat, LookAtGroup, NeighbourGroup, SeatAnswer, TrySeat
from tuanzi.guests.problems import GuestsNotTaken, HomeAway, SeatGone
from tuanzi.guests.queries import load_guest_seat
from tuanzi.guests.service import AskAgain, AskSeat, GiveUpSeat, PlaceSeat, QuoteGuest, RecordAnswer, SeatAsked, Word
from tuanzi.machinery.http.routes import Call, Desk, Reply, Route
from tuanzi.machinery.post import Letter, Post
from tuanzi.machinery.problems import Crashed, TooSlow, Unavailable
from tuanzi.pricing import CouponExpired, CouponTaken
from tuanzi.stock import StockShort

_GROUP = "/v1/campuses/{campus}/neighbours/{home}/groups/{group_id}"
_MEMBERS = frozenset({Role.STUDENT, Role.AMBASSADOR})

# What says nothing about the seat; every other problem is a no.
_UNKNOWN = (Busy, Unavailable, Crashed, TooSlow)
_REFUSALS = (
    GuestsNotTaken,
    GroupNotOpen,
    GroupFull,
    AlreadyMember,
    TooManyUnpaid,
    UserLimitReached,
    DishNotInCampaign,
    DishNotOnSale,
    MerchantClosed,
    MinimumNotReached,
    OrderLimitExceeded,
    StockShort,
    CouponTaken,
    CouponExpired,
    HomeAway,
    SeatGone,
)
_CART = (DishNotInCampaign, DishNotOnSale, MerchantClosed, CouponTaken, CouponExpired)
_BY_CODE = {each.code: each for each in (*_REFUSALS, Unknown)}


class GuestBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A guest's cart, of dishes of his own campus, and the building there where it is brought."""

    lines: Lines
    building_id: Id
    coupon_id: Id | None = None


async def _look(call: Call[Any, None], post: Post, home: CampusId) -> NeighbourGroup:
    command = LookAtGroup(
        group_id=GroupId(call.path["group_id"]),
        campus_id=CampusId(call.path["campus"]),
        home_id=home,
        member_id=call.caller.person_id,
    )
    (answer,) = await post.send([Letter(address=f"{home}.core", command=command)])
    if isinstance(answer, NeighbourGroup):
        return answer
    raise _refusal(answer) or HomeAway(retry_after_s=5)


async def _quote(call: Call[GuestBody, None], post: Post, home: CampusId) -> Quoted:
    group = await _look(call, post, home)
    who = call.caller
    cart = QuoteCart(
        campaign_id=CampaignId(group.campaign_id),
        building_id=BuildingId(call.body.building_id),
        member_id=who.person_id,
        lines=wanted(call.body.lines),
        group_id=GroupId(group.group_id),
        coupon_id=None if call.body.coupon_id is None else CouponId(call.body.coupon_id),
        is_dorm_head=Role.DORM_HEAD in who.roles,
        is_returning=who.is_returning,
    )
    tiers = [
        CampaignTier(size=tier.size, off_percent=tier.off_percent, off=Money(tier.off_fen)) for tier in group.tiers
    ]
    command = QuoteGuest(cart=cart, tiers=tuple(tiers), delivery_fee=Money(group.delivery_fee_fen))
    committed = await call.desks.core.submit(command, who=who.person_id)
    quoted: Quoted = committed.answer
    return quoted


async def join_as_guest(call: Call[GuestBody, None], post: Post, home: CampusId) -> Reply:
    """POST /v1/campuses/{campus}/neighbours/{home}/groups/{group_id}/orders: the seat from home, then the order here.

    Each step is kept, so a repeat goes on where it was; when home was away, from the beginning.
    """
    who = call.caller
    desk = call.desks.core
    ask = AskSeat(
        order_id=OrderId(call.ids.make("o", now=call.now)),
        group_id=GroupId(call.path["group_id"]),
        campus_id=CampusId(call.path["campus"]),
        home_id=home,
        member_id=who.person_id,
        building_id=BuildingId(call.body.building_id),
        wanted=wanted(call.body.lines),
        coupon_id=None if call.body.coupon_id is None else CouponId(call.body.coupon_id),
        is_dorm_head=Role.DORM_HEAD in who.roles,
        is_returning=who.is_returning,
    )
    asked = await desk.submit(ask, who=who.person_id, key=call.key)
    order_id = msgspec.json.decode(asked.body, type=SeatAsked).order_id
    seat = await load_guest_seat(desk, order_id)
    if seat.reason == HomeAway.code and seat.state in (GuestSeatState.LEAVING, GuestSeatState.GONE):
        seat = await _begin_again(desk, post, seat)
    answer = SeatAnswer(order_id=order_id, is_seated=True, news=None)  # it was placed before, or refused
    if seat.state is GuestSeatState.ASKED:
        answer = await _try(desk, post, seat)
    return Reply(body=await _place(desk, seat, answer), replayed=asked.replayed)


async def _begin_again(desk: Desk, post: Post, seat: GuestSeat) -> GuestSeat:
    """Have home, which was away, let go of what it may hold for the guest all the same; then it is asked for anew.

    Raises HomeAway as long as home is away.
    """
    if seat.state is GuestSeatState.LEAVING:
        leave = LeaveSeat(
            branch=seat.branch,
            group_id=seat.group_id,
            order_id=seat.order_id,
            campus_id=seat.campus_id,
            reason=seat.reason,
        )
        (heard,) = await post.send([Letter(address=f"{seat.home_id}.core", command=leave)])
        if not isinstance(heard, SeatAnswer):
            raise HomeAway(retry_after_s=5)
        left = RecordAnswer(word=Word.LEAVE, answer=heard, attempt=seat.attempt)
        await desk.submit(left, is_accepted=True)
    await desk.submit(AskAgain(order_id=seat.order_id), is_accepted=True)
    return await load_guest_seat(desk, seat.order_id)


async def _try(desk: Desk, post: Post, seat: GuestSeat) -> SeatAnswer:
    """Have home hold the seat; when it does not, the seat is given up. Raises home's refusal, HomeAway."""
    command = TrySeat(
        branch=seat.branch,
        group_id=seat.group_id,
        order_id=seat.order_id,
        member_id=seat.member_id,
        building_id=seat.building_id,
        campus_id=seat.campus_id,
    )
    (heard,) = await post.send([Letter(address=f"{seat.home_id}.core", command=command)])
    if isinstance(heard, SeatAnswer) and heard.is_seated:
        return heard
    no = _refusal(heard) or HomeAway(retry_after_s=5)
    await _give_up(desk, seat, no)
    raise no


async def _place(desk: Desk, seat: GuestSeat, answer: SeatAnswer) -> Seated:
    """Place the order; when this campus cannot serve it, the seat is given up. Raises its refusal."""
    try:
        placed = await desk.submit(
            PlaceSeat(order_id=seat.order_id, answer=answer, attempt=seat.attempt), is_accepted=True
        )
    except _UNKNOWN:
        raise  # a repeat goes on, or the time to ask runs out
    except SeatGone as gone:
        raise _again(await load_guest_seat(desk, seat.order_id)) from gone
    except Problem as no:
        await _give_up(desk, seat, no)
        raise
    seated: Seated = placed.answer
    return seated


async def _give_up(desk: Desk, seat: GuestSeat, no: Problem) -> None:
    facts: dict[str, str | int] = {name: fact for name, fact in no.facts.items() if isinstance(fact, str | int)}
    await desk.submit(
        GiveUpSeat(order_id=seat.order_id, reason=no.code, facts=facts, attempt=seat.attempt), is_accepted=True
    )


def _refusal(heard: Any) -> Problem | None:
    """What home refused; None when nobody knows."""
    if isinstance(heard, BranchRefused) or (isinstance(heard, SeatAnswer) and not heard.is_seated):
        return SeatGone()
    return heard if isinstance(heard, Problem) and not isinstance(heard, _UNKNOWN) else None


def _again(seat: GuestSeat) -> Problem:
    """The refusal that ended a seat, for who asks again."""
    known = _BY_CODE.get(seat.reason)
    return SeatGone(order_id=seat.order_id, reason=seat.reason) if known is None else known(**seat.facts)


def routes(post: Post, is_campus: Callable[[str], bool]) -> tuple[Route, ...]:
    """The routes of guests; other campuses are reached by `post`."""

    def home_of(call: Call[Any, Any]) -> CampusId:
        home = call.path["home"]
        if home == call.path["campus"] or not is_campus(home):
            raise Unknown(campus=home)
        return CampusId(home)

    async def show_group(call: Call[None, None]) -> NeighbourGroup:
        """GET /v1/campuses/{campus}/neighbours/{home}/groups/{group_id}: a group that takes guests of this campus."""
        return await _look(call, post, home_of(call))

    async def quote(call: Call[GuestBody, None]) -> Quoted:
        """POST /v1/campuses/{campus}/neighbours/{home}/groups/{group_id}/quotes: what a guest's cart would cost."""
        return await _quote(call, post, home_of(call))

    async def join_group(call: Call[GuestBody, None]) -> Reply:
        """POST /v1/campuses/{campus}/neighbours/{home}/groups/{group_id}/orders: take a seat as a guest."""
        return await join_as_guest(call, post, home_of(call))

    return (
        Route(
            "GET",
            _GROUP,
            show_group,
            answer=NeighbourGroup,
            roles=_MEMBERS,
            problems=(HomeAway,),
            summary="Another campus's group that takes guests of this one",
        ),
        Route(
            "POST",
            _GROUP + "/quotes",
            quote,
            answer=Quoted,
            body=GuestBody,
            roles=_MEMBERS,
            keyed=False,
            problems=(HomeAway, *_CART),
            summary="What a cart of this campus would cost in another campus's group, at every tier",
        ),
        Route(
            "POST",
            _GROUP + "/orders",
            join_group,
            answer=Seated,
            body=GuestBody,
            status=201,
            roles=_MEMBERS,
            problems=_REFUSALS,
            summary="Take a seat in another campus's group, with dishes of this one",
        ),
    )

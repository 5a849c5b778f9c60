"""Groups over HTTP: open, join, pay, leave, watch (B1, B6)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from tuanzi.base.ids import BuildingId, CampaignId, CouponId, GroupId, OrderId, PersonId
from tuanzi.base.problem import Problem, Unfitting, Unknown, Words
from tuanzi.base.who import Role
from tuanzi.catalog import (
    BuildingNotServed,
    CampaignNotLive,
    CampaignNotServing,
    DishNotInCampaign,
    DishNotOnSale,
    MerchantClosed,
)
from tuanzi.events import GuestPaid
from tuanzi.groups.model import GroupState
from tuanzi.groups.problems import (
    AlreadyMember,
    BuildingNotInGroup,
    GroupElsewhere,
    GroupFull,
    GroupNotOpen,
    MinimumNotReached,
    NoSeat,
    OrderLimitExceeded,
    SeatCommitted,
    TooManyUnpaid,
    UserLimitReached,
)
from tuanzi.groups.queries import (
    CampusGroupPage,
    FindPlan,
    GroupDetail,
    GroupPage,
    GroupRecord,
    GroupTimeline,
    PaidOutcome,
    campus_group_page,
    detail_of,
    group_page,
    group_record,
    group_timeline,
    load_group,
    outcome_of,
    standing_of,
)
from tuanzi.groups.service import (
    CancelOrder,
    JoinGroup,
    LeaveGroup,
    Left,
    OpenGroup,
    QuoteCart,
    Quoted,
    Seated,
    Wanted,
)
from tuanzi.machinery.http.routes import Call, Committed, Desk, NoBody, Reply, Route
from tuanzi.money import (
    Awaiting,
    Cashier,
    PaymentDiffers,
    PaymentEnded,
    PaymentRefused,
    ProviderUnreachable,
)
from tuanzi.orders import NotPayable, Order, OrderState, find_order, find_placed
from tuanzi.people import Payers, WechatAbsent, WechatNeeded, WechatTooOften, WechatUnreachable
from tuanzi.pricing import CouponExpired, CouponTaken
from tuanzi.stock import StockShort

_GROUPS = "/v1/campuses/{campus}/groups"
_ORDER = "/v1/campuses/{campus}/orders/{order_id}"
_OPERATORS_GROUPS = "/v1/campuses/{campus}/operator/groups"
_MEMBERS = frozenset({Role.STUDENT, Role.AMBASSADOR})
_OPERATORS = frozenset({Role.OPERATOR})
Id = Annotated[str, Meta(min_length=1, max_length=64)]


class CartLineBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many portions of a dish; they are part of a set meal or an add-on, never both."""

    dish_id: Id
    quantity: Annotated[int, Meta(ge=1, le=100)]
    set_meal_id: Id | None = None
    addon: bool = False

    def __post_init__(self) -> None:
        if self.addon and self.set_meal_id is not None:
            raise Unfitting(Words(zh="套餐里的菜不能同时算加价购", en="a line of a set meal is no add-on"))


Lines = Annotated[tuple[CartLineBody, ...], Meta(min_length=1, max_length=50)]


class OpenBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The campaign, where to bring it, and the leader's own cart."""

    campaign_id: Id
    building_id: Id
    lines: Lines
    coupon_id: Id | None = None


class JoinBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member's cart; brought to the group's building when none is named."""

    lines: Lines
    building_id: Id | None = None
    coupon_id: Id | None = None


class QuoteBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cart to be priced. group_id: to join this group, whatever became of its campaign; without it, to open one."""

    campaign_id: Id
    building_id: Id
    lines: Lines
    coupon_id: Id | None = None
    group_id: Id | None = None


class GroupsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which groups."""

    campaign_id: Annotated[str, Meta(max_length=64)] = ""
    building_id: Annotated[str, Meta(max_length=64)] = ""
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class CampusGroupsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which groups of the campus; `after` is the `next` of the page before."""

    state: GroupState | None = None
    campaign_id: Annotated[str, Meta(max_length=64)] = ""
    building_id: Annotated[str, Meta(max_length=64)] = ""
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class TimelineQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after` is the `next` of an earlier reading."""

    after: Annotated[str, Meta(pattern=r"^\d{1,15}\.\d{1,15}\.\d{1,15}$")] | None = None


def wanted(lines: tuple[CartLineBody, ...]) -> tuple[Wanted, ...]:
    """The lines of a cart, as a command has them."""
    return tuple(
        [
            Wanted(
                dish_id=line.dish_id,  # type: ignore[arg-type]
                quantity=line.quantity,
                set_meal_id=line.set_meal_id,
                addon=line.addon,
            )
            for line in lines
        ]
    )


async def open_group(call: Call[OpenBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/groups: open a group and take its first seat."""
    body = call.body
    command = OpenGroup(
        group_id=GroupId(call.ids.make("g", now=call.now)),
        order_id=OrderId(call.ids.make("o", now=call.now)),
        member_id=call.caller.person_id,
        campaign_id=CampaignId(body.campaign_id),
        building_id=BuildingId(body.building_id),
        lines=wanted(body.lines),
        coupon_id=None if body.coupon_id is None else CouponId(body.coupon_id),
        is_dorm_head=Role.DORM_HEAD in call.caller.roles,
        is_returning=call.caller.is_returning,
    )
    return await call.desks.core.submit(command, who=command.member_id, key=call.key)


async def join_group(call: Call[JoinBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/groups/{group_id}/orders: take a seat."""
    body = call.body
    command = JoinGroup(
        group_id=GroupId(call.path["group_id"]),
        order_id=OrderId(call.ids.make("o", now=call.now)),
        member_id=call.caller.person_id,
        lines=wanted(body.lines),
        building_id=None if body.building_id is None else BuildingId(body.building_id),
        coupon_id=None if body.coupon_id is None else CouponId(body.coupon_id),
        is_dorm_head=Role.DORM_HEAD in call.caller.roles,
        is_returning=call.caller.is_returning,
    )
    return await call.desks.core.submit(command, who=command.member_id, key=call.key)


async def quote(call: Call[QuoteBody, None]) -> Quoted:
    """POST /v1/campuses/{campus}/quotes: what a cart would cost at each tier."""
    command = QuoteCart(
        campaign_id=CampaignId(call.body.campaign_id),
        building_id=BuildingId(call.body.building_id),
        member_id=call.caller.person_id,
        lines=wanted(call.body.lines),
        group_id=None if call.body.group_id is None else GroupId(call.body.group_id),
        coupon_id=None if call.body.coupon_id is None else CouponId(call.body.coupon_id),
        is_dorm_head=Role.DORM_HEAD in call.caller.roles,
        is_returning=call.caller.is_returning,
    )
    committed = await call.desks.core.submit(command, who=command.member_id)
    quoted: Quoted = committed.answer
    return quoted


async def list_groups(call: Call[None, GroupsQuery]) -> GroupPage:
    """GET /v1/campuses/{campus}/groups: groups that take members."""
    query = call.query
    return await group_page(
        call.desks.core,
        campaign_id=query.campaign_id,
        building_id=query.building_id,
        after=query.after,
        limit=query.limit,
        now=call.now,
    )


async def show_group(call: Call[None, None]) -> Reply:
    """GET /v1/campuses/{campus}/groups/{group_id}: how far a group is, and which seat is the caller's."""
    group = await load_group(call.desks.core, GroupId(call.path["group_id"]))
    return Reply(body=detail_of(group, None if call.who is None else call.who.person_id), etag=str(group.version))


async def list_campus_groups(call: Call[None, CampusGroupsQuery]) -> CampusGroupPage:
    """GET /v1/campuses/{campus}/operator/groups: groups of the campus, newest first."""
    query = call.query
    return await campus_group_page(
        call.desks.core,
        state=query.state,
        campaign_id=query.campaign_id,
        building_id=query.building_id,
        before=query.after,
        limit=query.limit,
    )


async def show_group_record(call: Call[None, None]) -> GroupRecord:
    """GET /v1/campuses/{campus}/operator/groups/{group_id}: a group with its members and orders."""
    return await group_record(call.desks.core, GroupId(call.path["group_id"]))


async def show_timeline(call: Call[None, TimelineQuery]) -> GroupTimeline:
    """GET /v1/campuses/{campus}/operator/groups/{group_id}/timeline: what happened to a group."""
    return await group_timeline(call.desks, GroupId(call.path["group_id"]), after=call.query.after)


async def leave_group(call: Call[None, None]) -> Committed:
    """DELETE /v1/campuses/{campus}/groups/{group_id}/seat: give up my seat."""
    command = LeaveGroup(group_id=GroupId(call.path["group_id"]), member_id=call.caller.person_id)
    return await call.desks.core.submit(command, who=command.member_id, key=call.key)


async def cancel_order(call: Call[NoBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/orders/{order_id}/cancel: give up my order."""
    command = CancelOrder(order_id=OrderId(call.path["order_id"]), member_id=call.caller.person_id)
    return await call.desks.core.submit(command, who=command.member_id, key=call.key)


async def _pay(call: Call[NoBody, None], cashier: Cashier, find_plan: FindPlan, payers: Payers | None) -> PaidOutcome:
    """Pay, wait until the campus has taken note, and say what it did: the group may have formed and split (B6)."""
    who = call.caller
    desks = call.desks
    order_id = OrderId(call.path["order_id"])
    due = await _due_of(desks.core, order_id, who.person_id)
    if isinstance(due, Order):
        return await standing_of(desks.core, due, find_plan=find_plan)
    payer = ""
    if app := cashier.provider.payer_app:
        assert payers is not None, "who pays by openid needs somebody who finds it"
        payer = await payers.openid_of(desks.platform, person_id=who.person_id, appid=app)
    paid = await cashier.pay(
        desks.money,
        order_id=order_id,
        member_id=who.person_id,
        amount_fen=due.payable_fen,
        now=call.now,
        payer=payer,
        pay_before=due.pay_before,
    )
    if isinstance(paid, Awaiting):
        order = await find_order(desks.core, order_id)
        _check_payable(order)  # it may have ended meanwhile: nobody is asked to pay for it
        standing = await standing_of(desks.core, order, find_plan=find_plan)
        return replace(standing, payment_id=paid.payment_id, prepay=dict(paid.prepay))
    if paid.events:
        events = await desks.core.followed("money", paid.events[-1][0])
        if events and not any(isinstance(event, GuestPaid) for event in events):
            return outcome_of(order_id, events, group_id=due.group_id)
    order = await find_order(desks.core, order_id)
    return await standing_of(desks.core, order, find_plan=find_plan)


class _Due(Struct, frozen=True, gc=False):
    """What is to be paid for an order."""

    group_id: str
    payable_fen: int
    pay_before: datetime


async def _due_of(core: Desk, order_id: OrderId, person_id: PersonId) -> _Due | Order:
    """What its member is to pay for an order; the order itself when that is nothing, or not any more.

    Raises Unknown where it is somebody else's, NotPayable.
    """
    placed = find_placed(core, order_id)
    if placed is not None and placed.member_id == person_id and placed.payable_fen:
        return _Due(placed.group_id, placed.payable_fen, placed.pay_before)
    order = await find_order(core, order_id)
    if order.member_id != person_id:
        raise Unknown(kind="order", id=order_id)
    _check_payable(order)
    if order.paid or not order.payable:
        return order
    return _Due(order.group_id, order.payable.fen, order.pay_before)


def _check_payable(order: Order) -> None:
    """Raises NotPayable when an order has ended."""
    if order.state in (OrderState.CANCELLED, OrderState.REFUNDING, OrderState.REFUNDED):
        raise NotPayable(order_id=order.id, state=order.state.value)


_CART = (DishNotInCampaign, DishNotOnSale, MerchantClosed, CouponTaken, CouponExpired)
_JOINING = (TooManyUnpaid, MinimumNotReached, OrderLimitExceeded, UserLimitReached, StockShort, *_CART)


def routes(cashier: Cashier, find_plan: FindPlan, payers: Payers | None) -> tuple[Route, ...]:
    """The routes of groups; payments are made at `cashier`, plans of closed groups found by `find_plan`.

    payers: by which openid somebody pays; None where the provider wants none.
    """
    refusals: tuple[type[Problem], ...] = (
        NotPayable,
        PaymentRefused,
        PaymentEnded,
        PaymentDiffers,
        ProviderUnreachable,
        WechatNeeded,
        WechatAbsent,
        WechatTooOften,
        WechatUnreachable,
    )

    async def pay(call: Call[NoBody, None]) -> PaidOutcome:
        """POST /v1/campuses/{campus}/orders/{order_id}/pay: pay, and hear at once what it did."""
        return await _pay(call, cashier.at(call.path["campus"]), find_plan, payers)

    return (
        Route(
            "POST",
            _ORDER + "/pay",
            pay,
            answer=PaidOutcome,
            body=NoBody,
            roles=_MEMBERS,
            problems=refusals,
            summary="Pay an order; when it completes the group the answer holds the exact split",
        ),
        *_ROUTES,
    )


_ROUTES = (
    Route(
        "POST",
        _GROUPS,
        open_group,
        answer=Seated,
        body=OpenBody,
        status=201,
        roles=_MEMBERS,
        problems=(CampaignNotLive, CampaignNotServing, BuildingNotServed, *_JOINING),
        summary="Open a group and take its first seat",
    ),
    Route(
        "POST",
        _GROUPS + "/{group_id}/orders",
        join_group,
        answer=Seated,
        body=JoinBody,
        status=201,
        roles=_MEMBERS,
        problems=(GroupNotOpen, GroupFull, AlreadyMember, BuildingNotInGroup, GroupElsewhere, *_JOINING),
        summary="Take a seat in a group",
    ),
    Route(
        "GET",
        _GROUPS,
        list_groups,
        answer=GroupPage,
        query=GroupsQuery,
        signed_in=False,
        summary="Groups that take members",
    ),
    Route(
        "GET", _GROUPS + "/{group_id}", show_group, answer=GroupDetail, signed_in=False, summary="How far a group is"
    ),
    Route(
        "GET",
        _OPERATORS_GROUPS,
        list_campus_groups,
        answer=CampusGroupPage,
        query=CampusGroupsQuery,
        roles=_OPERATORS,
        summary="Groups of the campus, newest first",
    ),
    Route(
        "GET",
        _OPERATORS_GROUPS + "/{group_id}",
        show_group_record,
        answer=GroupRecord,
        roles=_OPERATORS,
        summary="A group with its members and orders",
    ),
    Route(
        "GET",
        _OPERATORS_GROUPS + "/{group_id}/timeline",
        show_timeline,
        answer=GroupTimeline,
        query=TimelineQuery,
        roles=_OPERATORS,
        summary="What happened to a group, event by event",
    ),
    Route(
        "DELETE",
        _GROUPS + "/{group_id}/seat",
        leave_group,
        answer=Left,
        roles=_MEMBERS,
        problems=(GroupNotOpen, NoSeat, SeatCommitted),
        summary="Give up my seat",
    ),
    Route(
        "POST",
        _ORDER + "/cancel",
        cancel_order,
        answer=Left,
        body=NoBody,
        roles=_MEMBERS,
        problems=(GroupNotOpen, NoSeat, SeatCommitted),
        summary="Give up my order",
    ),
    Route(
        "POST",
        "/v1/campuses/{campus}/quotes",
        quote,
        answer=Quoted,
        body=QuoteBody,
        roles=_MEMBERS,
        problems=(CampaignNotLive, BuildingNotServed, *_CART),
        keyed=False,
        summary="What a cart would cost at each tier",
    ),
)

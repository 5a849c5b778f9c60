"""Orders over HTTP: their members, merchants and operators (B8, B9)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from tuanzi.base.ids import OrderId, PersonId, SubOrderId
from tuanzi.base.problem import Unknown
from tuanzi.base.who import Role
from tuanzi.machinery.http.routes import Call, Committed, NoBody, Reply, Route
from tuanzi.orders.model import MERCHANT_STEPS, REASON_MAX, AcceptanceTerms, OrderState, SubOrderState, SubStep
from tuanzi.orders.problems import (
    AcceptanceTermsInvalid,
    AfterSaleDecided,
    AfterSaleTooLate,
    IllegalStep,
    OrderHeld,
    RefundTooLarge,
)
from tuanzi.orders.queries import (
    AfterSaleView,
    CampusOrderPage,
    OpenAfterSalePage,
    OrderPage,
    OrderView,
    SubOrderPage,
    acceptance_terms,
    after_sale_view,
    board_of,
    campus_order_page,
    find_order,
    merchant_board,
    open_after_sales,
    order_page,
    unaccepted,
    unready,
)
from tuanzi.orders.service import (
    AcceptanceSet,
    AdvanceSubOrder,
    AskAfterSale,
    ConfirmOrder,
    DecideAfterSale,
    OrderAnswer,
    RefundOrder,
    SetAcceptanceTerms,
    SubOrderAnswer,
    WithdrawAfterSale,
    terms_set,
)

_ORDER = "/v1/campuses/{campus}/orders/{order_id}"
_MINE = frozenset({Role.STUDENT, Role.AMBASSADOR})
_OPERATORS = frozenset({Role.OPERATOR})
Reason = Annotated[str, Meta(min_length=1, max_length=80)]
Fen = Annotated[int, Meta(ge=0, le=100_000_000)]


class OrdersQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list; `after` is the `next` of the page before."""

    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class CampusOrdersQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which orders of the campus: of one member, or else in one state, or else all."""

    member_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    state: OrderState | None = None
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class BoardQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sub-orders."""

    state: SubOrderState
    after: Annotated[str, Meta(max_length=70)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class LateQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list; `after` is the `next` of the page before."""

    after: Annotated[str, Meta(max_length=70)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class TermsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """After so many minutes a shop is late to accept; after so many what it was given is given up and refunded.

    ready_minutes: after so many it is late to have ready what it accepted.
    """

    late_minutes: Annotated[int, Meta(ge=1, le=1440)]
    given_up_minutes: Annotated[int, Meta(ge=1, le=1440)]
    ready_minutes: Annotated[int, Meta(ge=1, le=1440)]


class RefundBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much goes back, all that is left when null, and why."""

    reason: Reason
    amount_fen: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None


class AfterSaleAsk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong, in the member's words; may be left out."""

    reason: Annotated[str, Meta(max_length=REASON_MAX)] = ""


class AfterSaleBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes back; 0 when the complaint is not accepted."""

    amount_fen: Fen


async def list_orders(call: Call[None, OrdersQuery]) -> OrderPage:
    """GET /v1/campuses/{campus}/orders: my orders, newest first."""
    person_id = call.caller.person_id
    return await order_page(call.desks.core, member_id=person_id, before=call.query.after, limit=call.query.limit)


async def list_campus_orders(call: Call[None, CampusOrdersQuery]) -> CampusOrderPage:
    """GET /v1/campuses/{campus}/operator/orders: orders of the campus, newest first."""
    query = call.query
    if query.member_id is None:
        return await campus_order_page(call.desks.core, state=query.state, before=query.after, limit=query.limit)
    member_id = PersonId(query.member_id)
    page = await order_page(call.desks.core, member_id=member_id, before=query.after, limit=query.limit)
    return CampusOrderPage(items=page.items, next=page.next)


async def show_order(call: Call[None, None]) -> Reply:
    """GET /v1/campuses/{campus}/orders/{order_id}: one order, for its member and operators."""
    who = call.caller
    order_id = OrderId(call.path["order_id"])
    status = await board_of(call.desks.core).load(order_id)
    if status.member_id != who.person_id and Role.OPERATOR not in who.roles:
        raise Unknown(kind="order", id=order_id)
    return Reply(body=status.body, etag=status.etag)


async def confirm(call: Call[NoBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/orders/{order_id}/confirm: I have my meal."""
    command = ConfirmOrder(order_id=OrderId(call.path["order_id"]), member_id=call.caller.person_id)
    return await call.desks.core.submit(command, who=command.member_id, key=call.key)


async def ask_after_sale(call: Call[AfterSaleAsk, None]) -> Committed:
    """POST /v1/campuses/{campus}/orders/{order_id}/after-sale: something is wrong with my meal."""
    command = AskAfterSale(
        order_id=OrderId(call.path["order_id"]), member_id=call.caller.person_id, reason=call.body.reason.strip()
    )
    return await call.desks.core.submit(command, who=command.member_id, key=call.key)


async def withdraw_after_sale(call: Call[None, None]) -> Committed:
    """DELETE /v1/campuses/{campus}/orders/{order_id}/after-sale: I am content after all."""
    command = WithdrawAfterSale(order_id=OrderId(call.path["order_id"]), member_id=call.caller.person_id)
    return await call.desks.core.submit(command, who=command.member_id, key=call.key)


async def show_after_sale(call: Call[None, None]) -> AfterSaleView:
    """GET /v1/campuses/{campus}/orders/{order_id}/after-sale: what is wrong, for its member and operators."""
    who = call.caller
    order = await find_order(call.desks.core, OrderId(call.path["order_id"]))
    if order.member_id != who.person_id and Role.OPERATOR not in who.roles:
        raise Unknown(kind="order", id=order.id)
    return await after_sale_view(call.desks.core, order)


async def list_after_sales(call: Call[None, LateQuery]) -> OpenAfterSalePage:
    """GET /v1/campuses/{campus}/operator/after-sales: those that nobody has decided."""
    return await open_after_sales(call.desks.core, after=call.query.after, limit=call.query.limit)


async def decide_after_sale(call: Call[AfterSaleBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/orders/{order_id}/after-sale/decision: what goes back."""
    who = call.caller
    command = DecideAfterSale(
        order_id=OrderId(call.path["order_id"]), amount_fen=call.body.amount_fen, by=who.person_id
    )
    return await call.desks.core.submit(command, who=who.person_id, key=call.key)


async def refund(call: Call[RefundBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/orders/{order_id}/refunds: money back by hand."""
    who = call.caller
    command = RefundOrder(
        order_id=OrderId(call.path["order_id"]),
        amount_fen=call.body.amount_fen,
        reason=call.body.reason,
        by=who.person_id,
    )
    return await call.desks.core.submit(command, who=who.person_id, key=call.key)


async def advance(call: Call[NoBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/sub-orders/{sub_order_id}/{step}: the merchant's next step, or an operator's by hand.

    Riders pick up and deliver through delivery, which tells orders; an operator's hand is told to delivery.
    """
    who = call.caller
    sub_order_id = SubOrderId(call.path["sub_order_id"])
    try:
        step = SubStep(call.path["step"])
    except ValueError:
        raise Unknown(kind="step", id=call.path["step"]) from None
    is_operator = Role.OPERATOR in who.roles
    if not is_operator and step not in MERCHANT_STEPS:
        raise Unknown(kind="suborder", id=sub_order_id)
    command = AdvanceSubOrder(
        sub_order_id=sub_order_id,
        step=step,
        by=who.person_id,
        merchant_id=None if is_operator else who.merchant_id or "",
    )
    return await call.desks.core.submit(command, who=who.person_id, key=call.key)


async def show_merchant_board(call: Call[None, BoardQuery]) -> SubOrderPage:
    """GET /v1/campuses/{campus}/merchant/sub-orders: what my shop has to make."""
    query = call.query
    return await merchant_board(
        call.desks.core,
        merchant_id=call.caller.merchant_id or "",
        state=query.state,
        after=query.after,
        limit=query.limit,
    )


async def show_unaccepted(call: Call[None, LateQuery]) -> SubOrderPage:
    """GET /v1/campuses/{campus}/operator/unaccepted: what shops are late to accept."""
    return await unaccepted(call.desks.core, after=call.query.after, limit=call.query.limit, now=call.now)


async def show_unready(call: Call[None, LateQuery]) -> SubOrderPage:
    """GET /v1/campuses/{campus}/operator/unready: what shops accepted and are late to have ready."""
    return await unready(call.desks.core, after=call.query.after, limit=call.query.limit, now=call.now)


async def show_acceptance_terms(call: Call[None, None]) -> AcceptanceSet:
    """GET /v1/campuses/{campus}/acceptance-terms: how long shops may take to accept, and until it is ready."""
    return terms_set(await acceptance_terms(call.desks.core))


async def put_acceptance_terms(call: Call[TermsBody, None]) -> Committed:
    """PUT /v1/campuses/{campus}/acceptance-terms: change that, from the next look on."""
    body = call.body
    terms = AcceptanceTerms(
        late_minutes=body.late_minutes, given_up_minutes=body.given_up_minutes, ready_minutes=body.ready_minutes
    )
    command = SetAcceptanceTerms(terms=terms, by=call.caller.person_id)
    return await call.desks.core.submit(command, who=command.by, key=call.key)


ROUTES = (
    Route(
        "GET",
        "/v1/campuses/{campus}/orders",
        list_orders,
        answer=OrderPage,
        query=OrdersQuery,
        summary="My orders, newest first",
    ),
    Route(
        "GET",
        "/v1/campuses/{campus}/operator/orders",
        list_campus_orders,
        answer=CampusOrderPage,
        query=CampusOrdersQuery,
        roles=_OPERATORS,
        summary="Orders of the campus, newest first",
    ),
    Route("GET", _ORDER, show_order, answer=OrderView, summary="One order"),
    Route(
        "POST",
        _ORDER + "/confirm",
        confirm,
        answer=OrderAnswer,
        body=NoBody,
        roles=_MINE,
        problems=(IllegalStep,),
        summary="I have my meal",
    ),
    Route(
        "POST",
        _ORDER + "/after-sale",
        ask_after_sale,
        answer=OrderAnswer,
        body=AfterSaleAsk,
        is_free_text=True,
        roles=_MINE,
        problems=(IllegalStep, AfterSaleTooLate),
        summary="Ask for after-sale",
    ),
    Route(
        "DELETE",
        _ORDER + "/after-sale",
        withdraw_after_sale,
        answer=OrderAnswer,
        roles=_MINE,
        problems=(IllegalStep, AfterSaleDecided),
        summary="Take an after-sale back that nobody has decided",
    ),
    Route(
        "GET",
        _ORDER + "/after-sale",
        show_after_sale,
        answer=AfterSaleView,
        summary="What is wrong with an order, for its member and operators",
    ),
    Route(
        "GET",
        "/v1/campuses/{campus}/operator/after-sales",
        list_after_sales,
        answer=OpenAfterSalePage,
        query=LateQuery,
        roles=_OPERATORS,
        summary="After-sales that wait for a decision",
    ),
    Route(
        "POST",
        _ORDER + "/after-sale/decision",
        decide_after_sale,
        answer=OrderAnswer,
        body=AfterSaleBody,
        roles=_OPERATORS,
        problems=(IllegalStep, RefundTooLarge),
        summary="Decide an after-sale",
    ),
    Route(
        "POST",
        _ORDER + "/refunds",
        refund,
        answer=OrderAnswer,
        body=RefundBody,
        roles=_OPERATORS,
        problems=(IllegalStep, RefundTooLarge),
        summary="Give money back by hand",
    ),
    Route(
        "POST",
        "/v1/campuses/{campus}/sub-orders/{sub_order_id}/{step}",
        advance,
        answer=SubOrderAnswer,
        body=NoBody,
        roles=frozenset({Role.MERCHANT, Role.OPERATOR}),
        problems=(IllegalStep, OrderHeld),
        summary="The next step of a sub-order: accept, cook, ready, reject, pick-up, deliver",
    ),
    Route(
        "GET",
        "/v1/campuses/{campus}/merchant/sub-orders",
        show_merchant_board,
        answer=SubOrderPage,
        query=BoardQuery,
        roles=frozenset({Role.MERCHANT}),
        summary="What my shop has to make",
    ),
    Route(
        "GET",
        "/v1/campuses/{campus}/operator/unaccepted",
        show_unaccepted,
        answer=SubOrderPage,
        query=LateQuery,
        roles=_OPERATORS,
        summary="What shops are late to accept",
    ),
    Route(
        "GET",
        "/v1/campuses/{campus}/operator/unready",
        show_unready,
        answer=SubOrderPage,
        query=LateQuery,
        roles=_OPERATORS,
        summary="What shops accepted and are late to have ready",
    ),
    Route(
        "GET",
        "/v1/campuses/{campus}/acceptance-terms",
        show_acceptance_terms,
        answer=AcceptanceSet,
        roles=frozenset({Role.MERCHANT, Role.OPERATOR}),
        summary="How long shops may take to accept, and until it is ready",
    ),
    Route(
        "PUT",
        "/v1/campuses/{campus}/acceptance-terms",
        put_acceptance_terms,
        answer=AcceptanceSet,
        body=TermsBody,
        roles=_OPERATORS,
        problems=(AcceptanceTermsInvalid,),
        summary="Say how long shops may take to accept, and until it is ready",
    ),
)

"""What money answers over HTTP: ledgers and payments; the pay route is above, where orders are known (C2, J2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

from tuanzi.base.problem import Forbidden
from tuanzi.base.who import Role
from tuanzi.machinery.http.routes import Call, Route
from tuanzi.money import queries
from tuanzi.money.problems import CaptureDiffers, PaymentEnded
from tuanzi.money.queries import OrderLedger, PaymentsPage, PaymentView, TrialBalance
from tuanzi.money.vendors.cashier import Cashier, payment_asked
from tuanzi.money.vendors.sandbox import SandboxProvider


class PaymentsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the page begins and how long it is."""

    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


async def show_trial_balance(call: Call[None, None]) -> TrialBalance:
    """GET /v1/campuses/{campus}/ledger/trial-balance"""
    return await queries.trial_balance(call.desks.money)


async def show_order_ledger(call: Call[None, None]) -> OrderLedger:
    """GET /v1/campuses/{campus}/orders/{order_id}/ledger"""
    return await queries.order_ledger(call.desks.money, call.path["order_id"], member_id=_sees_only(call))


async def list_payments(call: Call[None, PaymentsQuery]) -> PaymentsPage:
    """GET /v1/campuses/{campus}/payments"""
    return await queries.payments_page(call.desks.money, after=call.query.after, limit=call.query.limit)


def routes(cashier: Cashier) -> tuple[Route, ...]:
    """The routes of money; with the sandbox behind it also the one that makes a member pay."""
    campus = "/v1/campuses/{campus}"
    operator = frozenset({Role.OPERATOR})
    common = (
        Route(
            "GET",
            f"{campus}/ledger/trial-balance",
            show_trial_balance,
            TrialBalance,
            "All accounts of the campus, which add up to zero",
            roles=operator,
        ),
        Route(
            "GET",
            f"{campus}/orders/{{order_id}}/ledger",
            show_order_ledger,
            OrderLedger,
            "Who got what of an order's money",
        ),
        Route(
            "GET",
            f"{campus}/payments",
            list_payments,
            PaymentsPage,
            "Payments of the campus",
            query=PaymentsQuery,
            roles=operator,
        ),
    )
    if not isinstance(cashier.provider, SandboxProvider):
        return common
    pay = Route(
        "POST",
        f"{campus}/sandbox/payments/{{payment_id}}/pay",
        sandbox_payer(cashier, cashier.provider),
        PaymentView,
        "Pay an open payment with play money (sandbox only)",
        problems=(PaymentEnded, CaptureDiffers),
        keyed=False,
    )
    return (*common, pay)


def sandbox_payer(cashier: Cashier, sandbox: SandboxProvider) -> Callable[[Call[Any, Any]], Awaitable[PaymentView]]:
    """The handler that lets a member pay in the sandbox and delivers the callbacks that are due."""

    async def pay_in_sandbox(call: Call[None, None]) -> PaymentView:
        """POST /v1/campuses/{campus}/sandbox/payments/{payment_id}/pay"""
        desk = call.desks.money
        seen = await queries.payment(desk, call.path["payment_id"], member_id=_sees_only(call))
        asked = payment_asked(seen.id, order_id=seen.order_id, member_id=seen.member_id, amount_fen=seen.amount.fen)
        await sandbox.open(asked, now=call.now)  # the sandbox may have been restarted since; else it changes nothing
        sandbox.pay(asked.out_trade_no, now=call.now)
        for callback in sandbox.take_callbacks(now=call.now):
            await desk.submit(cashier.capture_of(callback))
        paid = await queries.payment(desk, seen.id, member_id=None)
        return queries.payment_view(paid)

    return pay_in_sandbox


def _sees_only(call: Call[Any, Any]) -> str | None:
    """Whose money the caller may see: his own, or everybody's (None) as an operator. Raises Forbidden."""
    if call.who is None:
        raise Forbidden
    return None if Role.OPERATOR in call.who.roles else call.who.person_id

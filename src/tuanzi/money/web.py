"""What money answers over HTTP: ledgers and payments; the pay route is above, where orders are known (C2, J2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

from tuanzi.base.once import once
from tuanzi.base.problem import Forbidden, Unknown
from tuanzi.base.who import Role
from tuanzi.machinery.http.routes import Call, Reply, Route
from tuanzi.money import queries
from tuanzi.money.model import RecordRefund
from tuanzi.money.problems import CaptureDiffers, NoticeRefused, PaymentEnded
from tuanzi.money.queries import PaymentsPage, PaymentView, TrialBalance
from tuanzi.money.vendors.cashier import Cashier, payment_asked
from tuanzi.money.vendors.sandbox import SandboxProvider
from tuanzi.money.vendors.wechatpay import NOTIFY_PATH, WeChatPay


class PaymentsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the page begins and how long it is."""

    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class AccountsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Behind which account the page begins and how long it is."""

    after: Annotated[str, Meta(max_length=100)] = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 500


class SealedResource(Struct, frozen=True, kw_only=True):
    """The sealed part of a notice."""

    algorithm: str
    ciphertext: str
    nonce: str
    associated_data: str = ""
    original_type: str = ""


class NoticeBody(Struct, frozen=True, kw_only=True):
    """A notice of WeChat Pay v3."""

    id: str
    event_type: str
    resource_type: str
    resource: SealedResource


async def show_trial_balance(call: Call[None, AccountsQuery]) -> TrialBalance:
    """GET /v1/campuses/{campus}/ledger/trial-balance"""
    return await queries.trial_balance(call.desks.money, after=call.query.after, limit=call.query.limit)


async def list_payments(call: Call[None, PaymentsQuery]) -> PaymentsPage:
    """GET /v1/campuses/{campus}/payments"""
    return await queries.payments_page(call.desks.money, after=call.query.after, limit=call.query.limit)


def routes(cashier: Cashier) -> tuple[Route, ...]:
    """The routes of money; also for the notices of WeChat Pay, or with the sandbox one that makes a member pay."""
    campus = "/v1/campuses/{campus}"
    operator = frozenset({Role.OPERATOR})
    common = (
        Route(
            "GET",
            f"{campus}/ledger/trial-balance",
            show_trial_balance,
            TrialBalance,
            "All accounts of the campus, which add up to zero",
            query=AccountsQuery,
            roles=operator,
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
    if isinstance(cashier.provider, WeChatPay):
        notify = Route(
            "POST",
            NOTIFY_PATH,
            notice_taker(cashier, cashier.provider),
            None,
            "What WeChat Pay tells of payments and refunds, by its signature",
            body=NoticeBody,
            signed_in=False,
            problems=(NoticeRefused, CaptureDiffers),
            keyed=False,
            is_raw=True,
        )
        return (*common, notify)
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
    """The handler that lets a member pay in the sandbox and delivers the callbacks of his campus that are due."""

    async def pay_in_sandbox(call: Call[None, None]) -> PaymentView:
        """POST /v1/campuses/{campus}/sandbox/payments/{payment_id}/pay"""
        desk = call.desks.money
        seen = await queries.payment(desk, call.path["payment_id"], member_id=_sees_only(call))
        asked = payment_asked(seen.id, order_id=seen.order_id, member_id=seen.member_id, amount_fen=seen.amount.fen)
        campus = call.path["campus"]
        # The sandbox may have been restarted since; else it changes nothing.
        await sandbox.at(campus).open(asked, now=call.now)
        sandbox.pay(asked.out_trade_no, now=call.now, campus=campus)
        for callback in sandbox.take_callbacks(now=call.now, campus=campus):
            await desk.submit(cashier.capture_of(callback))
        paid = await queries.payment(desk, seen.id, member_id=None)
        return queries.payment_view(paid)

    return pay_in_sandbox


def notice_taker(cashier: Cashier, wechat: WeChatPay) -> Callable[[Call[Any, Any]], Awaitable[Reply]]:
    """The handler of WeChat's callbacks: verified, recorded once for each id, answered 204 as WeChat wants it."""

    async def take_notice(call: Call[bytes, None]) -> Reply:
        """POST /v1/campuses/{campus}/payments/wechat/notify"""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in call.headers.items()}
        there = wechat.at(call.path["campus"])
        try:
            notice = await there.read_notice(headers, call.body, now=call.now)
        except NoticeRefused as refused:
            wechat.notices[str(refused.facts["reason"])] += 1
            raise
        try:
            command = cashier.command_of(notice)
        except ValueError:
            wechat.notices["strange"] += 1
            raise Unknown(kind="payment") from None
        if command is not None:
            said = once(notice.id, repr(notice.seen).encode())
            committed = await call.desks.money.submit(command, who=wechat.name, key=said, is_accepted=True)
            about = "refund" if isinstance(command, RecordRefund) else "payment"
            wechat.notices[f"{about}_{'repeated' if committed.replayed else 'taken'}"] += 1
        else:
            wechat.notices["ignored"] += 1
        return Reply(None, 204)

    return take_notice


def _sees_only(call: Call[Any, Any]) -> str | None:
    """Whose money the caller may see: his own, or everybody's (None) as an operator. Raises Forbidden."""
    if call.who is None:
        raise Forbidden
    return None if Role.OPERATOR in call.who.roles else call.who.person_id

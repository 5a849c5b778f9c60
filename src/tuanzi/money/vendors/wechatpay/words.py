"""WeChat Pay's words in the port's."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from tuanzi.base.time import SHANGHAI
from tuanzi.money.model import RefundProgress
from tuanzi.money.vendors import (
    PaymentSeen,
    ReceiverKind,
    ReceiverResult,
    ReceiverSeen,
    RefundSeen,
    ReturnSeen,
    ShareProgress,
    ShareSeen,
    TradeState,
)
from tuanzi.money.vendors.trade_numbers import own_number
from tuanzi.money.vendors.wechatpay.signed import Answer

TIME_EXPIRE_LEAST = timedelta(minutes=1)  # WeChat Pay v3: an order must be payable for longer than that

_TRADES = {
    "NOTPAY": TradeState.WAITING,
    "USERPAYING": TradeState.WAITING,
    "ACCEPT": TradeState.WAITING,
    "SUCCESS": TradeState.PAID,
    "REFUND": TradeState.PAID,
    "CLOSED": TradeState.CLOSED,
    "REVOKED": TradeState.CLOSED,
    "PAYERROR": TradeState.REFUSED,
}
_REFUNDS = {
    "PROCESSING": RefundProgress.PROCESSING,
    "SUCCESS": RefundProgress.SETTLED,
    "CLOSED": RefundProgress.REFUSED,
    "ABNORMAL": RefundProgress.REFUSED,
    "FAILED": RefundProgress.REFUSED,
}
_SHARES = {"PROCESSING": ShareProgress.PROCESSING, "FINISHED": ShareProgress.FINISHED}
_PARTS = {"PENDING": ReceiverResult.PENDING, "SUCCESS": ReceiverResult.SUCCESS, "CLOSED": ReceiverResult.CLOSED}
TYPES = {ReceiverKind.MERCHANT: "MERCHANT_ID", ReceiverKind.PERSON: "PERSONAL_OPENID"}
RELATIONS = {ReceiverKind.MERCHANT: "PARTNER", ReceiverKind.PERSON: "USER"}


def payment_seen(told: dict[str, Any], *, campus: str) -> PaymentSeen:
    """What WeChat says of an order, under the number it says; of another campus's not what was attached to it."""
    attach = told.get("attach", "")
    if campus:
        attach, _, whose = attach.rpartition(" ")
        attach = attach if whose == campus else ""
    return PaymentSeen(
        out_trade_no=told["out_trade_no"],
        state=_TRADES[told["trade_state"]],
        amount_fen=told.get("amount", {}).get("total", 0),
        transaction_id=told.get("transaction_id", ""),
        attach=attach,
        reason=told["trade_state"].lower() if told["trade_state"] == "PAYERROR" else "",
    )


def as_asked(seen: PaymentSeen) -> PaymentSeen:
    """The same under the payment's own number, the only one that the house knows."""
    return replace(seen, out_trade_no=own_number(seen.out_trade_no))


def unheard(number: str) -> PaymentSeen:
    """WeChat knows of no such order."""
    return PaymentSeen(out_trade_no=number, state=TradeState.UNKNOWN)


def refund_seen(told: dict[str, Any], *, status: str) -> RefundSeen:
    """What WeChat says of a refund."""
    progress = _REFUNDS[status]
    return RefundSeen(
        out_refund_no=told["out_refund_no"],
        progress=progress,
        amount_fen=told["amount"]["refund"],
        reason=status.lower() if progress is RefundProgress.REFUSED else "",
    )


def share_seen(answer: Answer, number: str, *, mchid: str) -> ShareSeen:
    """What WeChat says of a share; the merchant's own part is not told."""
    if not answer.is_good:
        return ShareSeen(out_order_no=number, progress=ShareProgress.REFUSED, reason=answer.code.lower())
    parts = tuple(
        ReceiverSeen(
            account=part["account"],
            amount_fen=part["amount"],
            result=_PARTS[part["result"]],
            reason=part.get("fail_reason", "").lower() if part["result"] == "CLOSED" else "",
        )
        for part in answer.json.get("receivers", ())
        if part["account"] != mchid
    )
    return ShareSeen(out_order_no=number, progress=_SHARES[answer.json["state"]], receivers=parts)


def return_seen(told: dict[str, Any]) -> ReturnSeen:
    """What WeChat says of a return."""
    return ReturnSeen(
        out_return_no=told["out_return_no"],
        progress=_REFUNDS[told["result"]],
        amount_fen=told["amount"],
        reason=told.get("fail_reason", "").lower() if told["result"] == "FAILED" else "",
    )


def time_expire(pay_before: datetime | None) -> str | None:
    """As WeChat wants it, the same for every try: other terms would be another order."""
    if pay_before is None:
        return None
    return (pay_before + TIME_EXPIRE_LEAST).astimezone(SHANGHAI).isoformat(timespec="seconds")

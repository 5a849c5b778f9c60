"""Refunds: once for each number, never above what was paid, frozen money first."""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Annotated, Any

from msgspec import Meta, Struct

from sandboxes.wechatpay import trades
from sandboxes.wechatpay.book import rfc3339
from sandboxes.wechatpay.company import Company
from sandboxes.wechatpay.faults import Kind
from sandboxes.wechatpay.refusals import Refusal, absent, invalid, not_enough, wrong

REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
YEAR_MS = 365 * 24 * 3600 * 1000


class RefundAmount(Struct, frozen=True):
    """amount of a refund."""

    refund: Annotated[int, Meta(ge=1)]
    total: Annotated[int, Meta(ge=1)]
    currency: str


class RefundBody(Struct, frozen=True):
    """The body of POST /v3/refund/domestic/refunds."""

    out_refund_no: str
    amount: RefundAmount
    out_trade_no: str = ""
    transaction_id: str = ""
    reason: Annotated[str, Meta(max_length=80)] = ""
    notify_url: Annotated[str, Meta(max_length=255)] = ""


def refund(company: Company, body: RefundBody) -> dict[str, Any]:
    """Begin to give money back, or the same refund again as it is now."""
    if REFUND_NO.fullmatch(body.out_refund_no) is None:
        raise wrong("商户退款单号字段值格式不正确")
    if bool(body.out_trade_no) == bool(body.transaction_id):
        raise wrong("微信订单号和商户订单号二选一")
    if body.amount.currency != "CNY":
        raise wrong("只支持人民币")
    book = company.book
    with book.change():
        trade = _trade_of(company, body)
        asked = json.dumps([trade["out_trade_no"], body.amount.refund, body.amount.total, body.reason])
        known = book.find(_BY_NUMBER, number=body.out_refund_no)
        if known is not None:
            if known["asked"] != asked:
                raise invalid("订单号与商户退款单号重复，请求参数与首次不一致")
            return shown(company, known)
        return shown(company, _begin(company, body, trade, asked))


def query(company: Company, out_refund_no: str) -> dict[str, Any]:
    """A refund as it is now."""
    known = company.book.find(_BY_NUMBER, number=out_refund_no)
    if known is None:
        raise absent("退款单不存在")
    return shown(company, known)


def settle_due(company: Company, *, now_ms: int) -> None:
    """Let refunds whose time has come arrive, and tell the merchant; inside a change."""
    due = company.book.rows("SELECT * FROM refunds WHERE settles_at_ms <= :now ORDER BY settles_at_ms", now=now_ms)
    for row in due:
        _arrive(company, row, at_ms=row["settles_at_ms"])


def shown(company: Company, row: sqlite3.Row) -> dict[str, Any]:
    """A refund as an answer shows it."""
    trade = trades.load(company, row["out_trade_no"])
    told = {
        "refund_id": row["refund_id"],
        "out_refund_no": row["out_refund_no"],
        "transaction_id": trade["transaction_id"],
        "out_trade_no": trade["out_trade_no"],
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": rfc3339(row["asked_at_ms"]),
        "status": row["state"],
        "funds_account": "UNSETTLED" if trade["frozen_fen"] else "AVAILABLE",
        "amount": {
            "total": trade["total_fen"],
            "refund": row["refund_fen"],
            "payer_total": trade["total_fen"],
            "payer_refund": row["refund_fen"],
            "settlement_refund": row["refund_fen"],
            "settlement_total": trade["total_fen"],
            "discount_refund": 0,
            "currency": "CNY",
        },
        "promotion_detail": [],
    }
    if row["settled_at_ms"]:
        told["success_time"] = rfc3339(row["settled_at_ms"])
    return told


_BY_NUMBER = "SELECT * FROM refunds WHERE out_refund_no = :number"


def _trade_of(company: Company, body: RefundBody) -> sqlite3.Row:
    sql = "SELECT * FROM trades WHERE out_trade_no = :number OR transaction_id = :number"
    trade = company.book.find(sql, number=body.out_trade_no or body.transaction_id)
    if trade is None:
        raise absent("订单不存在")
    if trade["state"] not in ("SUCCESS", "REFUND"):
        raise invalid("订单未支付，不允许退款")
    return trade


def _begin(company: Company, body: RefundBody, trade: sqlite3.Row, asked: str) -> sqlite3.Row:
    """Take the money and begin; inside a change."""
    book, now_ms, fen = company.book, company.now_ms(), body.amount.refund
    if body.amount.total != trade["total_fen"]:
        raise invalid("订单金额或退款金额与之前请求不一致")
    if trade["paid_at_ms"] + YEAR_MS < now_ms:
        raise invalid("订单已超过可退款期限")
    if trade["refunded_fen"] + fen > trade["total_fen"]:
        raise invalid("退款金额大于支付金额或可退金额不足")
    count = book.rows("SELECT 1 FROM refunds WHERE out_trade_no = :number", number=trade["out_trade_no"])
    if len(count) >= company.terms.refunds_max:
        raise invalid("订单退款次数超过限制")
    # The fee of what is given back is given back too, in whole fen (our choice: at the last refund what is left).
    fee = trade["fee_fen"] * (trade["refunded_fen"] + fen) // trade["total_fen"]
    fee -= trade["fee_fen"] * trade["refunded_fen"] // trade["total_fen"]
    need = fen - fee
    frozen = min(need, trade["frozen_fen"])
    if need - frozen > trade["own_fen"]:
        raise not_enough("基本账户余额不足，请先回退分账资金或充值后重新发起")
    slow = company.faults.strike("refund", frozenset({Kind.SLOW}))
    after_s = company.terms.refund_s if slow is None else slow.seconds
    refund_id = company.number("5030", now_ms=now_ms)
    book.write(
        "UPDATE trades SET state = 'REFUND', refunded_fen = refunded_fen + :fen, frozen_fen = frozen_fen - :frozen,"
        " own_fen = own_fen - :own WHERE out_trade_no = :number",
        fen=fen,
        frozen=frozen,
        own=need - frozen,
        number=trade["out_trade_no"],
    )
    row = {
        "out_refund_no": body.out_refund_no,
        "refund_id": refund_id,
        "out_trade_no": trade["out_trade_no"],
        "asked": asked,
        "refund_fen": fen,
        "reason": body.reason,
        "notify_url": body.notify_url,
        "state": "PROCESSING",
        "asked_at_ms": now_ms,
        "settles_at_ms": now_ms + int(after_s * 1000),
    }
    book.add("refunds", row)
    moved = {"business_id": refund_id, "voucher": body.out_refund_no, "transaction_id": trade["transaction_id"]}
    company.move("退款", **moved, fen=-fen, at_ms=now_ms)
    if fee:
        company.move("退还交易手续费", **moved, fen=fee, at_ms=now_ms)
    begun = book.find(_BY_NUMBER, number=body.out_refund_no)
    assert begun is not None
    if after_s <= 0:
        begun = _arrive(company, begun, at_ms=now_ms)
    return begun


def _arrive(company: Company, row: sqlite3.Row, *, at_ms: int) -> sqlite3.Row:
    number = row["out_refund_no"]
    company.book.write(
        "UPDATE refunds SET state = 'SUCCESS', settles_at_ms = NULL, settled_at_ms = :at WHERE out_refund_no = :number",
        at=at_ms,
        number=number,
    )
    arrived = company.book.find(_BY_NUMBER, number=number)
    assert arrived is not None
    if row["notify_url"]:
        trade = trades.load(company, row["out_trade_no"])
        told = {
            "mchid": company.keys.mchid,
            "out_trade_no": trade["out_trade_no"],
            "transaction_id": trade["transaction_id"],
            "out_refund_no": number,
            "refund_id": row["refund_id"],
            "refund_status": "SUCCESS",
            "success_time": rfc3339(at_ms),
            "user_received_account": "支付用户零钱",
            "amount": {
                "total": trade["total_fen"],
                "refund": row["refund_fen"],
                "payer_total": trade["total_fen"],
                "payer_refund": row["refund_fen"],
            },
        }
        company.tell(
            "REFUND.SUCCESS",
            trade=trade,
            url=row["notify_url"],
            original_type="refund",
            summary="退款成功",
            resource=told,
        )
    return arrived


def abandon(company: Company, out_refund_no: str, *, state: str) -> Refusal | None:
    """Let a refund that is on its way end as CLOSED or ABNORMAL: the money is the merchant's again."""
    with company.book.change():
        row = company.book.find(_BY_NUMBER, number=out_refund_no)
        if row is None or row["state"] != "PROCESSING" or state not in ("CLOSED", "ABNORMAL"):
            return invalid("退款单不在处理中")
        company.book.write(
            "UPDATE refunds SET state = :state, settles_at_ms = NULL WHERE out_refund_no = :number",
            state=state,
            number=out_refund_no,
        )
        trade = trades.load(company, row["out_trade_no"])
        if state == "CLOSED":
            company.book.write(
                "UPDATE trades SET refunded_fen = refunded_fen - :fen, own_fen = own_fen + :fen"
                " WHERE out_trade_no = :number",
                fen=row["refund_fen"],
                number=trade["out_trade_no"],
            )
            company.move(
                "退款",
                business_id=row["refund_id"],
                voucher=out_refund_no,
                transaction_id=trade["transaction_id"],
                fen=row["refund_fen"],
                at_ms=company.now_ms(),
            )
        told = {
            "mchid": company.keys.mchid,
            "out_trade_no": trade["out_trade_no"],
            "transaction_id": trade["transaction_id"],
            "out_refund_no": out_refund_no,
            "refund_id": row["refund_id"],
            "refund_status": state,
            "user_received_account": "支付用户零钱",
            "amount": {
                "total": trade["total_fen"],
                "refund": row["refund_fen"],
                "payer_total": trade["total_fen"],
                "payer_refund": row["refund_fen"],
            },
        }
        if row["notify_url"]:
            company.tell(
                f"REFUND.{state}",
                trade=trade,
                url=row["notify_url"],
                original_type="refund",
                summary="退款关闭" if state == "CLOSED" else "退款异常",
                resource=told,
            )
    return None

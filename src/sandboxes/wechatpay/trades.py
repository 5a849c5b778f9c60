"""Payments: prepay, query, close, and the member who pays (JSAPI and mini-program orders)."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from sandboxes.wechatpay.book import from_ms, rfc3339, to_ms
from sandboxes.wechatpay.company import WHOLE, Company
from sandboxes.wechatpay.refusals import Refusal, absent, invalid, wrong

PREPAY_MS = 2 * 3600 * 1000  # "prepay_id 有效期为 2 小时"
TRADE_NO = re.compile(r"[0-9A-Za-z_\-*|]{6,32}")
STATES = {
    "NOTPAY": "订单未支付",
    "SUCCESS": "支付成功",
    "REFUND": "订单发生过退款",
    "CLOSED": "订单已关闭",
}

Text = Annotated[str, Meta(min_length=1)]


class Amount(Struct, frozen=True):
    """amount of an order."""

    total: Annotated[int, Meta(ge=1, le=10_000_000_00)]
    currency: str = "CNY"


class Payer(Struct, frozen=True):
    """payer of an order."""

    openid: Annotated[str, Meta(min_length=1, max_length=128)]


class SettleInfo(Struct, frozen=True):
    """settle_info of an order."""

    profit_sharing: bool = False


class Order(Struct, frozen=True):
    """The body of POST /v3/pay/transactions/jsapi; fields that change nothing here are ignored."""

    appid: Text
    mchid: Text
    description: Annotated[str, Meta(min_length=1, max_length=127)]
    out_trade_no: Text
    notify_url: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^https?://[^?]+$")]
    amount: Amount
    payer: Payer
    attach: str = ""
    time_expire: str | None = None
    settle_info: SettleInfo = SettleInfo()


class Mchid(Struct, frozen=True):
    """The body of a close."""

    mchid: Text


def prepay(company: Company, order: Order, *, serial: str) -> dict[str, Any]:
    """Open an order, or the same one again."""
    if (order.mchid, order.appid) != (company.keys.mchid, company.keys.appid):
        raise Refusal(400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配")
    if TRADE_NO.fullmatch(order.out_trade_no) is None:
        raise wrong("商户订单号字段值格式不正确")
    if len(order.attach.encode()) > 128:
        raise wrong("附加数据长度不能超过128字节")
    if order.amount.currency != "CNY":
        raise wrong("只支持人民币")
    now_ms = company.now_ms()
    closes_at_ms = _closes_at(order.time_expire, now_ms=now_ms)
    asked = json.dumps(_terms(order), ensure_ascii=False, sort_keys=True)
    book = company.book
    with book.change():
        trade = close_late(company, book.find(_BY_NUMBER, number=order.out_trade_no), now_ms=now_ms)
        if trade is None:
            row = {
                "out_trade_no": order.out_trade_no,
                "asked": asked,
                "prepay_id": _prepay_id(now_ms),
                "prepay_until_ms": now_ms + PREPAY_MS,
                "openid": order.payer.openid,
                "description": order.description,
                "attach": order.attach,
                "total_fen": order.amount.total,
                "is_shared": int(order.settle_info.profit_sharing),
                "notify_url": order.notify_url,
                "serial": serial,
                "state": "NOTPAY",
                "closes_at_ms": closes_at_ms,
                "opened_at_ms": now_ms,
            }
            book.add("trades", row)
            return {"prepay_id": row["prepay_id"]}
        match trade["state"]:
            case "SUCCESS" | "REFUND":
                raise Refusal(400, "ORDERPAID", "该订单已支付")
            case "CLOSED":
                raise Refusal(400, "ORDER_CLOSED", "该订单已关闭")
        if trade["asked"] != asked:
            raise Refusal(403, "OUT_TRADE_NO_USED", "商户订单号重复，请求参数与首次不一致")
        if trade["prepay_until_ms"] > now_ms:
            return {"prepay_id": trade["prepay_id"]}
        prepay_id = _prepay_id(now_ms)
        book.write(
            "UPDATE trades SET prepay_id = :id, prepay_until_ms = :until WHERE out_trade_no = :number",
            id=prepay_id,
            until=now_ms + PREPAY_MS,
            number=order.out_trade_no,
        )
        return {"prepay_id": prepay_id}


def query(company: Company, *, out_trade_no: str = "", transaction_id: str = "", mchid: str) -> dict[str, Any]:
    """An order as it is now."""
    _check_mchid(company, mchid)
    sql = _BY_NUMBER if out_trade_no else _BY_TRANSACTION
    with company.book.change():
        trade = company.book.find(sql, number=out_trade_no or transaction_id)
        trade = close_late(company, trade, now_ms=company.now_ms())
    if trade is None:
        raise Refusal(404, "ORDER_NOT_EXIST", "订单不存在")
    return shown(company, trade)


def close(company: Company, out_trade_no: str, body: Mchid) -> None:
    """See that an order can no longer be paid."""
    _check_mchid(company, body.mchid)
    with company.book.change():
        trade = close_late(company, company.book.find(_BY_NUMBER, number=out_trade_no), now_ms=company.now_ms())
        if trade is None:
            raise Refusal(404, "ORDER_NOT_EXIST", "订单不存在")
        match trade["state"]:
            case "SUCCESS" | "REFUND":
                raise Refusal(400, "ORDERPAID", "该订单已支付")
            case "CLOSED":
                raise Refusal(400, "ORDER_CLOSED", "订单已关闭")
        _close(company, out_trade_no)


def find_by_prepay(company: Company, prepay_id: str) -> sqlite3.Row:
    """The order of a pay page. Raises Refusal when there is none."""
    with company.book.change():
        trade = company.book.find("SELECT * FROM trades WHERE prepay_id = :id", id=prepay_id)
        trade = close_late(company, trade, now_ms=company.now_ms())
    if trade is None:
        raise absent("支付页面不存在或已过期")
    return trade


def pay(company: Company, prepay_id: str) -> sqlite3.Row:
    """The member pays; a repeat changes nothing. Raises Refusal when it cannot be paid any more."""
    now_ms = company.now_ms()
    book = company.book
    with book.change():
        trade = find_by_prepay(company, prepay_id)
        if trade["state"] in ("SUCCESS", "REFUND"):
            return trade
        if trade["state"] == "CLOSED":
            raise Refusal(400, "ORDER_CLOSED", "该订单已关闭")
        if trade["prepay_until_ms"] <= now_ms:
            raise invalid("支付会话已过期，请返回商户重新发起支付")
        transaction_id = company.number("4200", now_ms=now_ms)
        total = trade["total_fen"]
        fee = (total * company.terms.fee + WHOLE // 2) // WHOLE
        frozen = total - fee if trade["is_shared"] else 0
        book.write(
            "UPDATE trades SET state = 'SUCCESS', transaction_id = :id, paid_at_ms = :at, fee_fen = :fee,"
            " frozen_fen = :frozen, own_fen = :own WHERE out_trade_no = :number",
            id=transaction_id,
            at=now_ms,
            fee=fee,
            frozen=frozen,
            own=total - fee - frozen,
            number=trade["out_trade_no"],
        )
        voucher = trade["out_trade_no"]
        company.move(
            "交易", business_id=transaction_id, voucher=voucher, transaction_id=transaction_id, fen=total, at_ms=now_ms
        )
        if fee:
            company.move(
                "扣除交易手续费",
                business_id=transaction_id,
                voucher=voucher,
                transaction_id=transaction_id,
                fen=-fee,
                at_ms=now_ms,
            )
        paid = find_by_prepay(company, prepay_id)
        company.tell(
            "TRANSACTION.SUCCESS",
            trade=paid,
            url=paid["notify_url"],
            original_type="transaction",
            summary="支付成功",
            resource=shown(company, paid),
        )
        return paid


def shown(company: Company, trade: sqlite3.Row) -> dict[str, Any]:
    """An order as a query and a callback show it."""
    state = trade["state"]
    told: dict[str, Any] = {
        "appid": company.keys.appid,
        "mchid": company.keys.mchid,
        "out_trade_no": trade["out_trade_no"],
        "trade_state": state,
        "trade_state_desc": STATES[state],
        "attach": trade["attach"],
        "payer": {"openid": trade["openid"]} if trade["paid_at_ms"] else {},
        "promotion_detail": [],
        "amount": {"total": trade["total_fen"], "currency": "CNY", "payer_currency": "CNY"},
    }
    if trade["paid_at_ms"]:
        told |= {
            "transaction_id": trade["transaction_id"],
            "trade_type": "JSAPI",
            "bank_type": "OTHERS",
            "success_time": rfc3339(trade["paid_at_ms"]),
        }
        told["amount"]["payer_total"] = trade["total_fen"]
    return told


def close_late(company: Company, trade: sqlite3.Row | None, *, now_ms: int) -> sqlite3.Row | None:
    """The order, closed when its time_expire is over; inside a change."""
    if trade is None or trade["state"] != "NOTPAY" or trade["closes_at_ms"] is None or trade["closes_at_ms"] > now_ms:
        return trade
    _close(company, trade["out_trade_no"])
    return company.book.find(_BY_NUMBER, number=trade["out_trade_no"])


def find_paid(company: Company, transaction_id: str) -> sqlite3.Row | None:
    """The paid order of this transaction_id."""
    return company.book.find(_BY_TRANSACTION, number=transaction_id)


def load(company: Company, out_trade_no: str) -> sqlite3.Row:
    """An order that is known to be there."""
    trade = company.book.find(_BY_NUMBER, number=out_trade_no)
    if trade is None:
        raise LookupError(out_trade_no)
    return trade


_BY_NUMBER = "SELECT * FROM trades WHERE out_trade_no = :number"
_BY_TRANSACTION = "SELECT * FROM trades WHERE transaction_id = :number"


def _close(company: Company, out_trade_no: str) -> None:
    company.book.write("UPDATE trades SET state = 'CLOSED' WHERE out_trade_no = :number", number=out_trade_no)


def _terms(order: Order) -> dict[str, Any]:
    """What must be the same when an order is opened again (our choice: everything that is kept of it)."""
    return {
        "appid": order.appid,
        "description": order.description,
        "notify_url": order.notify_url,
        "total": order.amount.total,
        "openid": order.payer.openid,
        "attach": order.attach,
        "time_expire": order.time_expire,
        "profit_sharing": order.settle_info.profit_sharing,
    }


def _closes_at(time_expire: str | None, *, now_ms: int) -> int | None:
    if time_expire is None:
        return None
    try:
        at_ms = to_ms(datetime.fromisoformat(time_expire))
    except (TypeError, ValueError):
        raise wrong("time_expire 格式不正确，应遵循 rfc3339") from None
    if at_ms <= now_ms + 60_000:
        raise wrong("time_expire 必须晚于当前时间至少1分钟")
    return at_ms


def _check_mchid(company: Company, mchid: str) -> None:
    if mchid != company.keys.mchid:
        raise Refusal(400, "MCH_NOT_EXISTS", "商户号不存在")


def _prepay_id(now_ms: int) -> str:
    return f"wx{from_ms(now_ms):%d%H%M%S}{secrets.token_hex(13)}"

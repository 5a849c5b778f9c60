"""Profit sharing: what merchants give back of their shares."""

from __future__ import annotations

import json
import sqlite3
from typing import Annotated, Any

from msgspec import Meta, Struct

from sandboxes.wechatpay import trades
from sandboxes.wechatpay.book import rfc3339
from sandboxes.wechatpay.company import Company
from sandboxes.wechatpay.faults import Kind
from sandboxes.wechatpay.refusals import Refusal, absent, invalid, wrong
from sandboxes.wechatpay.shares import BY_NUMBER, NEVER, Description, Text, check_number, move_balance

_RETURN = "SELECT * FROM returns WHERE out_return_no = :number"


class ReturnBody(Struct, frozen=True):
    """The body of POST /v3/profitsharing/return-orders."""

    out_return_no: str
    return_mchid: Text
    amount: Annotated[int, Meta(ge=1)]
    description: Description
    order_id: str = ""
    out_order_no: str = ""


def give_back(company: Company, body: ReturnBody) -> dict[str, Any]:
    """Take shared money back from a merchant, or the same return again as it is now."""
    check_number(body.out_return_no)
    if bool(body.order_id) == bool(body.out_order_no):
        raise wrong("微信分账单号和商户分账单号二选一")
    book = company.book
    with book.change():
        found = book.find(
            "SELECT * FROM shares WHERE out_order_no = :number OR order_id = :number",
            number=body.out_order_no or body.order_id,
        )
        if found is None:
            raise absent("分账单不存在")
        asked = json.dumps([found["out_order_no"], body.return_mchid, body.amount, body.description])
        known = book.find(_RETURN, number=body.out_return_no)
        if known is not None:
            if known["asked"] != asked:
                raise invalid("商户回退单号重复，请求参数与首次不一致")
            return shown_return(company, known)
        return shown_return(company, _begin_return(company, body, found, asked))


def query_return(company: Company, out_return_no: str, *, out_order_no: str) -> dict[str, Any]:
    """A return as it is now."""
    known = company.book.find(_RETURN, number=out_return_no)
    if known is None or known["out_order_no"] != out_order_no:
        raise absent("分账回退单不存在")
    return shown_return(company, known)


def settle_due(company: Company, *, now_ms: int) -> None:
    """Finish returns whose time has come; inside a change."""
    for row in company.book.rows(
        "SELECT * FROM returns WHERE settles_at_ms <= :now ORDER BY settles_at_ms", now=now_ms
    ):
        _settle_return(company, row, at_ms=row["settles_at_ms"])


def shown_return(company: Company, row: sqlite3.Row) -> dict[str, Any]:
    """A return as an answer shows it."""
    found = company.book.find(BY_NUMBER, number=row["out_order_no"])
    assert found is not None
    told = {
        "order_id": found["order_id"],
        "out_order_no": row["out_order_no"],
        "out_return_no": row["out_return_no"],
        "return_id": row["return_id"],
        "return_mchid": row["return_mchid"],
        "amount": row["amount_fen"],
        "description": row["description"],
        "result": row["result"],
        "create_time": rfc3339(row["asked_at_ms"]),
        "finish_time": rfc3339(row["finished_at_ms"]) if row["finished_at_ms"] else NEVER,
    }
    return told | ({"fail_reason": row["fail_reason"]} if row["fail_reason"] else {})


def _begin_return(company: Company, body: ReturnBody, found: sqlite3.Row, asked: str) -> sqlite3.Row:
    book, now_ms = company.book, company.now_ms()
    if found["state"] != "FINISHED":
        raise invalid("分账单处理中，请稍后重试")
    part = book.find(
        "SELECT * FROM parts WHERE out_order_no = :number AND type = 'MERCHANT_ID' AND account = :account"
        " AND result = 'SUCCESS'",
        number=found["out_order_no"],
        account=body.return_mchid,
    )
    if part is None or part["account"] == company.keys.mchid:
        raise invalid("回退商户不是该分账单的商户接收方")
    count = book.rows("SELECT 1 FROM returns WHERE out_order_no = :number", number=found["out_order_no"])
    if len(count) >= company.terms.returns_max:
        raise Refusal(403, "RULE_LIMIT", f"单笔分账单回退次数不能超过{company.terms.returns_max}次")
    if part["returned_fen"] + body.amount > part["amount_fen"]:
        raise invalid("回退金额超过分账接收方的可回退金额")
    slow = company.faults.strike("return", frozenset({Kind.SLOW}))
    poor = company.faults.strike("return", frozenset({Kind.NO_BALANCE}))
    balance = book.find("SELECT fen FROM balances WHERE account = :account", account=body.return_mchid)
    failed = poor is not None or balance is None or balance["fen"] < body.amount
    after_s = slow.seconds if slow is not None else company.terms.return_s
    row = {
        "out_return_no": body.out_return_no,
        "return_id": company.number("3100", now_ms=now_ms),
        "out_order_no": found["out_order_no"],
        "asked": asked,
        "return_mchid": body.return_mchid,
        "amount_fen": body.amount,
        "description": body.description,
        "result": "FAILED" if failed else "PROCESSING",
        "fail_reason": "BALANCE_NOT_ENOUGH" if failed else None,
        "asked_at_ms": now_ms,
        "settles_at_ms": None if failed else now_ms + int(after_s * 1000),
        "finished_at_ms": now_ms if failed else None,
    }
    book.add("returns", row)
    if not failed:
        book.write(
            "UPDATE parts SET returned_fen = returned_fen + :fen WHERE out_order_no = :number AND line = :line",
            fen=body.amount,
            number=found["out_order_no"],
            line=part["line"],
        )
        move_balance(company, body.return_mchid, -body.amount)
    begun = book.find(_RETURN, number=body.out_return_no)
    assert begun is not None
    return begun if failed or after_s > 0 else _settle_return(company, begun, at_ms=now_ms)


def _settle_return(company: Company, row: sqlite3.Row, *, at_ms: int) -> sqlite3.Row:
    """The money is back in the merchant's own hands; inside a change."""
    book = company.book
    found = book.find(BY_NUMBER, number=row["out_order_no"])
    assert found is not None
    trade = trades.load(company, found["out_trade_no"])
    book.write(
        "UPDATE returns SET result = 'SUCCESS', settles_at_ms = NULL, finished_at_ms = :at"
        " WHERE out_return_no = :number",
        at=at_ms,
        number=row["out_return_no"],
    )
    book.write(
        "UPDATE trades SET own_fen = own_fen + :fen WHERE out_trade_no = :number",
        fen=row["amount_fen"],
        number=trade["out_trade_no"],
    )
    company.move(
        "分账回退",
        business_id=row["return_id"],
        voucher=row["out_return_no"],
        transaction_id=trade["transaction_id"],
        fen=row["amount_fen"],
        at_ms=at_ms,
    )
    settled = book.find(_RETURN, number=row["out_return_no"])
    assert settled is not None
    return settled

"""Profit sharing: shares, carried out later, part by part, and unfreezing; see `receivers` and `returns`."""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Annotated, Any

from msgspec import Meta, Struct

from sandboxes.wechatpay import trades
from sandboxes.wechatpay.book import rfc3339
from sandboxes.wechatpay.company import WHOLE, Company
from sandboxes.wechatpay.faults import Fault, Kind
from sandboxes.wechatpay.refusals import Refusal, absent, invalid, not_enough, wrong

SHARE_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
TYPES = ("MERCHANT_ID", "PERSONAL_OPENID", "PERSONAL_SUB_OPENID")
FAIL_REASONS = (
    "ACCOUNT_ABNORMAL",
    "NO_RELATION",
    "RECEIVER_HIGH_RISK",
    "RECEIVER_REAL_NAME_NOT_VERIFIED",
    "NO_AUTH",
    "RECEIVER_RECEIPT_LIMIT",
    "PAYER_ACCOUNT_ABNORMAL",
)
NEVER = "1970-01-01T08:00:00+08:00"
REST = "解冻给分账方"

Text = Annotated[str, Meta(min_length=1)]
Description = Annotated[str, Meta(min_length=1, max_length=80)]


class Part(Struct, frozen=True):
    """One of the receivers of a share."""

    type: str
    account: Annotated[str, Meta(min_length=1, max_length=64)]
    amount: Annotated[int, Meta(ge=1)]
    description: Description
    name: str = ""


class ShareBody(Struct, frozen=True):
    """The body of POST /v3/profitsharing/orders."""

    appid: Text
    transaction_id: Text
    out_order_no: str
    receivers: Annotated[tuple[Part, ...], Meta(min_length=1)]
    unfreeze_unsplit: bool


class UnfreezeBody(Struct, frozen=True):
    """The body of POST /v3/profitsharing/orders/unfreeze."""

    transaction_id: Text
    out_order_no: str
    description: Description


def share(company: Company, body: ShareBody, *, serial: str) -> dict[str, Any]:
    """Begin to give frozen money to others, or the same share again as it is now."""
    check_number(body.out_order_no)
    if body.appid != company.keys.appid:
        raise Refusal(400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配")
    if len(body.receivers) > company.terms.receivers_max:
        raise wrong(f"分账接收方不能超过{company.terms.receivers_max}个")
    accounts = {(part.type, part.account) for part in body.receivers}
    if len(accounts) < len(body.receivers) or any(part.type not in TYPES for part in body.receivers):
        raise wrong("分账接收方重复或类型不正确")
    if any(part.account == company.keys.mchid for part in body.receivers):
        raise wrong("分账接收方不能是分账方自己")
    for part in body.receivers:
        if part.name and company.keys.open_name(part.name, serial=serial) is None:
            raise wrong("分账接收方姓名未使用微信支付公钥或平台证书加密")
    asked = json.dumps(
        [
            body.transaction_id,
            [[part.type, part.account, part.amount, part.description] for part in body.receivers],
            body.unfreeze_unsplit,
        ]
    )
    with company.book.change():
        known = _same(company, body.out_order_no, asked)
        if known is not None:
            return shown(company, known)
        trade = _shareable(company, body.transaction_id)
        total = sum(part.amount for part in body.receivers)
        if total > trade["frozen_fen"]:
            raise not_enough("分账金额超过订单剩余待分金额")
        if trade["promised_fen"] + total > trade["total_fen"] * company.terms.share_max // WHOLE:
            raise Refusal(403, "RULE_LIMIT", "分账金额超过最大分账比例")
        parts = list(body.receivers)
        rest = trade["frozen_fen"] - total
        if body.unfreeze_unsplit and rest:
            parts.append(_to_himself(company, rest))
        return _begin(company, trade, kind="share", number=body.out_order_no, asked=asked, parts=parts)


def unfreeze(company: Company, body: UnfreezeBody) -> dict[str, Any]:
    """Begin to make what is frozen the merchant's own, or the same again."""
    check_number(body.out_order_no)
    asked = json.dumps([body.transaction_id, body.description])
    with company.book.change():
        known = _same(company, body.out_order_no, asked)
        if known is not None:
            return shown(company, known)
        trade = _shareable(company, body.transaction_id)
        if not trade["frozen_fen"]:
            raise not_enough("订单已无待分金额，无需解冻")
        rest = _to_himself(company, trade["frozen_fen"])
        return _begin(company, trade, kind="unfreeze", number=body.out_order_no, asked=asked, parts=[rest])


def query(company: Company, out_order_no: str, *, transaction_id: str) -> dict[str, Any]:
    """A share or an unfreezing as it is now."""
    found = company.book.find(BY_NUMBER, number=out_order_no)
    if found is None or trades.load(company, found["out_trade_no"])["transaction_id"] != transaction_id:
        raise absent("分账单不存在")
    return shown(company, found)


def amounts(company: Company, transaction_id: str) -> dict[str, Any]:
    """What of an order is still to be shared."""
    trade = trades.find_paid(company, transaction_id)
    if trade is None:
        raise absent("订单不存在")
    if not trade["is_shared"]:
        raise invalid("非分账订单")
    return {"transaction_id": transaction_id, "unsplit_amount": trade["frozen_fen"]}


def max_ratio(company: Company, sub_mchid: str) -> dict[str, Any]:
    """How much of an order may go to others, of 10,000."""
    if sub_mchid != company.keys.mchid:
        raise Refusal(403, "NO_AUTH", "商户无权限")
    return {"sub_mchid": sub_mchid, "max_ratio": company.terms.share_max}


def settle_due(company: Company, *, now_ms: int) -> None:
    """Finish shares whose time has come; inside a change."""
    book = company.book
    for row in book.rows("SELECT * FROM shares WHERE finishes_at_ms <= :now ORDER BY finishes_at_ms", now=now_ms):
        _finish(company, row, at_ms=row["finishes_at_ms"])


def let_go(company: Company, out_order_no: str) -> bool:
    """Let a share that was stuck go on; whether there was one."""
    with company.book.change():
        touched = company.book.write(
            "UPDATE shares SET is_stuck = 0, finishes_at_ms = :now WHERE out_order_no = :number AND is_stuck = 1",
            now=company.now_ms(),
            number=out_order_no,
        )
    return touched == 1


def shown(company: Company, row: sqlite3.Row) -> dict[str, Any]:
    """A share as an answer shows it."""
    trade = trades.load(company, row["out_trade_no"])
    parts = company.book.rows(_PARTS, number=row["out_order_no"])
    return {
        "transaction_id": trade["transaction_id"],
        "out_order_no": row["out_order_no"],
        "order_id": row["order_id"],
        "state": row["state"],
        "receivers": [
            {
                "amount": part["amount_fen"],
                "description": part["description"],
                "type": part["type"],
                "account": part["account"],
                "result": part["result"],
                "detail_id": part["detail_id"],
                "create_time": rfc3339(row["asked_at_ms"]),
                "finish_time": rfc3339(part["finished_at_ms"]) if part["finished_at_ms"] else NEVER,
            }
            | ({"fail_reason": part["fail_reason"]} if part["fail_reason"] else {})
            for part in parts
        ],
    }


BY_NUMBER = "SELECT * FROM shares WHERE out_order_no = :number"
_PARTS = "SELECT * FROM parts WHERE out_order_no = :number ORDER BY line"


def check_number(number: str) -> None:
    """Raises a refusal of a number that a merchant may not give."""
    if SHARE_NO.fullmatch(number) is None:
        raise wrong("商户单号只能是数字、大小写字母_-|*@，且不超过64个字符")


def _same(company: Company, number: str, asked: str) -> sqlite3.Row | None:
    known = company.book.find(BY_NUMBER, number=number)
    if known is not None and known["asked"] != asked:
        raise invalid("商户分账单号重复，请求参数与首次不一致")
    return known


def _shareable(company: Company, transaction_id: str) -> sqlite3.Row:
    trade = trades.find_paid(company, transaction_id)
    if trade is None:
        raise absent("订单不存在")
    if not trade["is_shared"]:
        raise invalid("非分账订单不支持分账")
    if trade["paid_at_ms"] + company.terms.share_wait_s * 1000 > company.now_ms():
        raise invalid("订单处理中，请稍后重试")
    return trade


def _to_himself(company: Company, fen: int) -> Part:
    return Part(type="MERCHANT_ID", account=company.keys.mchid, amount=fen, description=REST)


def _begin(
    company: Company, trade: sqlite3.Row, *, kind: str, number: str, asked: str, parts: list[Part]
) -> dict[str, Any]:
    """Take the money out of what is frozen; inside a change."""
    book, now_ms = company.book, company.now_ms()
    count = book.rows("SELECT 1 FROM shares WHERE out_trade_no = :number", number=trade["out_trade_no"])
    if len(count) >= company.terms.shares_max:
        raise Refusal(403, "RULE_LIMIT", f"单笔订单分账次数不能超过{company.terms.shares_max}次")
    own = company.keys.mchid
    book.write(
        "UPDATE trades SET frozen_fen = frozen_fen - :all, promised_fen = promised_fen + :others"
        " WHERE out_trade_no = :number",
        all=sum(part.amount for part in parts),
        others=sum(part.amount for part in parts if part.account != own),
        number=trade["out_trade_no"],
    )
    slow = company.faults.strike(kind, frozenset({Kind.SLOW, Kind.STUCK}))
    after_s = slow.seconds if slow is not None else company.terms.share_s
    is_stuck = slow is not None and slow.kind is Kind.STUCK
    row = {
        "out_order_no": number,
        "order_id": company.number("3008", now_ms=now_ms),
        "out_trade_no": trade["out_trade_no"],
        "kind": kind,
        "asked": asked,
        "unfreezes": int(any(part.account == own for part in parts) or _is_last(asked)),
        "state": "PROCESSING",
        "asked_at_ms": now_ms,
        "finishes_at_ms": None if is_stuck else now_ms + int(after_s * 1000),
        "is_stuck": int(is_stuck),
    }
    book.add("shares", row)
    closed = company.faults.strike(kind, frozenset({Kind.CLOSED})) if kind == "share" else None
    for line, part in enumerate(parts):
        _add_part(company, number, line, part, closed=closed, now_ms=now_ms)
    begun = book.find(BY_NUMBER, number=number)
    assert begun is not None
    if not is_stuck and after_s <= 0:
        begun = _finish(company, begun, at_ms=now_ms)
    return shown(company, begun)


def _is_last(asked: str) -> bool:
    """Whether a share asked to unfreeze the rest, of which there was none."""
    told = json.loads(asked)
    return len(told) == 3 and told[2] is True


def _add_part(company: Company, number: str, line: int, part: Part, *, closed: Fault | None, now_ms: int) -> None:
    row = {
        "out_order_no": number,
        "line": line,
        "detail_id": company.number("3600", now_ms=now_ms),
        "type": part.type,
        "account": part.account,
        "amount_fen": part.amount,
        "description": part.description,
        "result": "PENDING",
        # Why it will be closed, shown when it is.
        "fail_reason": (closed.code or "ACCOUNT_ABNORMAL") if closed is not None and closed.line == line else None,
    }
    company.book.add("parts", row)


def _finish(company: Company, row: sqlite3.Row, *, at_ms: int) -> sqlite3.Row:
    """Carry out every part of a share; inside a change."""
    book, number = company.book, row["out_order_no"]
    trade = trades.load(company, row["out_trade_no"])
    closed_fen = own_fen = 0
    for part in book.rows(_PARTS, number=number):
        if part["account"] == company.keys.mchid:
            own_fen += part["amount_fen"]
            reason = None
        else:
            reason = part["fail_reason"] or _reason_to_close(company, part)
            if reason is None:
                _give(company, trade, row, part, at_ms=at_ms)
            else:
                closed_fen += part["amount_fen"]
        book.write(
            "UPDATE parts SET result = :result, fail_reason = :reason, finished_at_ms = :at"
            " WHERE out_order_no = :number AND line = :line",
            result="SUCCESS" if reason is None else "CLOSED",
            reason=reason,
            at=at_ms,
            number=number,
            line=part["line"],
        )
    book.write(
        "UPDATE trades SET own_fen = own_fen + :own, frozen_fen = frozen_fen + :frozen,"
        " promised_fen = promised_fen - :closed WHERE out_trade_no = :number",
        own=own_fen + (closed_fen if row["unfreezes"] else 0),
        frozen=0 if row["unfreezes"] else closed_fen,
        closed=closed_fen,
        number=trade["out_trade_no"],
    )
    book.write(
        "UPDATE shares SET state = 'FINISHED', finishes_at_ms = NULL WHERE out_order_no = :number", number=number
    )
    finished = book.find(BY_NUMBER, number=number)
    assert finished is not None
    return finished


def _reason_to_close(company: Company, part: sqlite3.Row) -> str | None:
    known = company.book.find(
        "SELECT 1 FROM receivers WHERE type = :type AND account = :account", type=part["type"], account=part["account"]
    )
    return None if known is not None else "NO_RELATION"


def _give(company: Company, trade: sqlite3.Row, row: sqlite3.Row, part: sqlite3.Row, *, at_ms: int) -> None:
    """One receiver gets his part, and a notice goes out when one was agreed."""
    move_balance(company, part["account"], part["amount_fen"])
    company.move(
        "分账",
        business_id=row["order_id"],
        voucher=row["out_order_no"],
        transaction_id=trade["transaction_id"],
        fen=-part["amount_fen"],
        at_ms=at_ms,
    )
    if company.terms.sharing_notify_url:
        told = {
            "mchid": company.keys.mchid,
            "transaction_id": trade["transaction_id"],
            "order_id": row["order_id"],
            "out_order_no": row["out_order_no"],
            "receiver": {
                "type": part["type"],
                "account": part["account"],
                "amount": part["amount_fen"],
                "description": part["description"],
            },
            "success_time": rfc3339(at_ms),
        }
        company.tell(
            "TRANSACTION.SUCCESS",
            trade=trade,
            url=company.terms.sharing_notify_url,
            original_type="profitsharing",
            summary="分账",
            resource=told,
        )


def move_balance(company: Company, account: str, fen: int) -> None:
    """What a receiver has is so much more; inside a change."""
    company.book.write(
        "INSERT INTO balances (account, fen) VALUES (:account, 0) ON CONFLICT (account) DO NOTHING", account=account
    )
    company.book.write("UPDATE balances SET fen = fen + :fen WHERE account = :account", fen=fen, account=account)

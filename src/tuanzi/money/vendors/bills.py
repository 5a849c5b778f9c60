"""Reads WeChat Pay's bills: text in yuan behind backticks, with its own count, totals and hash (C3)."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from functools import partial

from msgspec.structs import replace

from tuanzi.base.time import SHANGHAI
from tuanzi.money.vendors import BillKind, BillLine, BillState
from tuanzi.money.vendors.trade_numbers import own_number

READY_AT = time(10, tzinfo=SHANGHAI)  # pay.weixin.qq.com: "建议商户10点后再获取"
_YUAN = re.compile(r"(-?)(\d+)(?:\.(\d{1,2}))?")
_PAID = frozenset({"SUCCESS"})
_BACK = frozenset({"SUCCESS", "PROCESSING"})  # the money has left the merchant; what came back has a line of its own
_FUNDS = {
    "交易": BillState.PAID,
    "退款": BillState.REFUNDED,
    "分账": BillState.SHARED,
    "分账回退": BillState.RETURNED,
    "扣除交易手续费": BillState.FEE,
    "退还交易手续费": BillState.FEE,
}
# The column of the totals that must be the sum of a column of the lines.
_TOTALS = {
    BillKind.TRADES: {"订单总金额": "订单金额", "申请退款总金额": "申请退款金额"},
    BillKind.FUNDS: {},
    BillKind.SHARES: {},
}

Row = dict[str, str]


def is_ready(on: date, *, now: datetime) -> bool:
    """Whether the bill of a day can be there."""
    return now >= datetime.combine(on + timedelta(days=1), READY_AT)


def bill_lines(kind: BillKind, file: bytes, *, hash_value: str, campus: str = "") -> tuple[BillLine, ...]:
    """The lines of a bill as it was downloaded, gzipped or not.

    hash_value: SHA1 of the raw file, in hexadecimal. campus: who asks, where several have one account. Raises
    ValueError when the file is not what the hash, its count or its totals say, or has an amount that is no whole number
    of fen.
    """
    try:
        raw = gzip.decompress(file) if file[:2] == b"\x1f\x8b" else file
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError("the file is cut short") from error
    if not hmac.compare_digest(hashlib.sha1(raw, usedforsecurity=False).hexdigest(), hash_value.lower()):
        raise ValueError("the file is not what its hash says")
    rows, totals = _rows(raw.decode("utf-8-sig"))
    count = next(iter(totals.values()))
    if int(count) != len(rows):
        raise ValueError(f"{len(rows)} lines, and the bill counts {count}")
    for total, column in _TOTALS[kind].items():
        if fen_of(totals[total]) != sum(fen_of(row[column]) for row in rows):
            raise ValueError(f"{column} does not add up to {total}")
    reads: dict[BillKind, Callable[[Row], BillLine | None]] = {
        BillKind.TRADES: partial(_trade, campus=campus),
        BillKind.FUNDS: _fund,
        BillKind.SHARES: _part,
    }
    lines = (reads[kind](row) for row in rows)
    return tuple(line for line in lines if line is not None)


def fen_of(yuan: str) -> int:
    """Yuan as text in whole fen. Raises ValueError for more than two decimals and for what is no number."""
    found = _YUAN.fullmatch(yuan)
    if found is None:
        raise ValueError(f"not an amount in yuan: {yuan!r}")
    sign, whole, cents = found.groups()
    fen = int(whole) * 100 + int((cents or "0").ljust(2, "0"))
    return -fen if sign else fen


def _rows(text: str) -> tuple[list[Row], Row]:
    """The lines and the totals by the names of their columns; data begins with a backtick, headings do not."""
    heading: list[str] = []
    tables: list[list[Row]] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        if not line.startswith("`"):
            heading = line.split(",")
            tables.append([])
            continue
        cells = [cell.strip() for cell in line[1:].split(",`")]
        if len(cells) != len(heading):
            raise ValueError(f"{len(cells)} cells under {len(heading)} headings")
        tables[-1].append(dict(zip(heading, cells, strict=True)))
    if len(tables) != 2 or len(tables[1]) != 1:
        raise ValueError("a bill has lines and one line of totals")
    return tables[0], tables[1][0]


def _trade(row: Row, *, campus: str) -> BillLine | None:
    if row["交易状态"] == "REFUND":
        if row["退款状态"] not in _BACK:
            return None
        number, fen = row["商户退款单号"], -fen_of(row["申请退款金额"])
        line = _line(BillKind.TRADES, row, "交易时间", BillState.REFUNDED, number, fen)
    elif row["交易状态"] in _PAID:
        number = own_number(row["商户订单号"])
        line = _line(BillKind.TRADES, row, "交易时间", BillState.PAID, number, fen_of(row["订单金额"]))
    else:
        return None
    return replace(line, is_elsewhere=_is_elsewhere(row.get("商户数据包", ""), campus=campus))


def _is_elsewhere(attach: str, *, campus: str) -> bool:
    """Whether what was attached (see `payment_asked`) names another campus behind it; what others attached does not."""
    words = attach.split(" ")
    return bool(campus) and len(words) == 4 and words[3] != campus


def _fund(row: Row) -> BillLine | None:
    state = _FUNDS.get(row["业务名称"])
    if state is None:
        return None  # withdrawals, top-ups and the like are the merchant's own business
    fen = fen_of(row["收支金额(元)"])
    if row["收支类型"] == "支出":
        fen = -fen
    of_payment = row["微信支付业务单号"] if state in (BillState.PAID, BillState.FEE) else ""
    return BillLine(
        kind=BillKind.FUNDS,
        key=own_number(row["业务凭证号"]) if state is BillState.PAID else row["业务凭证号"],
        transaction_id=of_payment,
        amount_fen=fen,
        state=state,
        at=_at(row["记账时间"]),
    )


def _part(row: Row) -> BillLine | None:
    if row["处理状态"] != "SUCCESS":
        return None
    number, fen = row["商户分账/回退单号"], fen_of(row["分账金额"])
    if row["业务类型"] == "分账回退":
        return _line(BillKind.SHARES, row, "分账时间", BillState.RETURNED, number, fen)
    return _line(BillKind.SHARES, row, "分账时间", BillState.SHARED, f"{number}/{row['分账接收方']}", -fen)


def _line(kind: BillKind, row: Row, time_column: str, state: BillState, key: str, fen: int) -> BillLine:
    return BillLine(
        kind=kind, key=key, transaction_id=row["微信订单号"], amount_fen=fen, state=state, at=_at(row[time_column])
    )


def _at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)

"""Bills of a day: yuan as text behind backticks, a SHA1 of the raw file, an address that lives for 30 seconds."""

from __future__ import annotations

import gzip
import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from sandboxes.wechatpay.book import CHINA, from_ms, to_ms
from sandboxes.wechatpay.company import Company
from sandboxes.wechatpay.faults import OF_BILLS, Fault, Kind
from sandboxes.wechatpay.refusals import Refusal, invalid, wrong

READY_AT = time(10, tzinfo=CHINA)
KEPT = timedelta(days=92)
URL_MS = 30_000

Line = list[str]

TRADES = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
TRADES_SUM = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
FUNDS = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,"
    "备注,业务凭证号"
)
FUNDS_SUM = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
SHARES = (
    "分账时间,分账发起方,分账方,微信订单号,微信分账/回退单号,微信分账明细单号,商户分账/回退单号,订单金额,分账接收方,"
    "分账金额,业务类型,处理状态,分账描述,备注"
)
SHARES_SUM = "总条数,分账总金额,分账回退总金额"


def apply(company: Company, kind: str, *, bill_date: str, tar_type: str) -> dict[str, str]:
    """Make a bill and say where it can be fetched."""
    on = _day(company, bill_date)
    if tar_type not in ("", "GZIP"):
        raise wrong("tar_type 只支持 GZIP")
    head, sums, lines_of, totals_of = KINDS[kind]
    lines = lines_of(company, on)
    if not lines:
        raise Refusal(400, "NO_STATEMENT_EXIST", "账单文件不存在，请确认该日期是否有交易")
    for fault in company.faults.standing(kind, OF_BILLS):
        lines = _spoil(kind, lines, fault)
    rows = [head, *(_row(line) for line in lines), sums, _row(totals_of(lines))]
    raw = ("\ufeff" + "\r\n".join(rows) + "\r\n").encode()
    token = secrets.token_hex(24)
    until_ms = to_ms(company.clock.machine()) + URL_MS
    with company.book.change():
        company.book.write("DELETE FROM bill_files WHERE until_ms < :now", now=until_ms - URL_MS)
        content = gzip.compress(raw) if tar_type == "GZIP" else raw
        company.book.add("bill_files", {"token": token, "content": content, "until_ms": until_ms})
    url = f"{company.public_url}/v3/billdownload/file?token={token}"
    if tar_type == "GZIP":
        url += "&tartype=gzip"
    return {"hash_type": "SHA1", "hash_value": hashlib.sha1(raw).hexdigest(), "download_url": url}


def download(company: Company, token: str) -> bytes:
    """The file of a bill. Raises Refusal when its address is no longer valid."""
    found = company.book.find("SELECT * FROM bill_files WHERE token = :token", token=token)
    if found is None or found["until_ms"] < to_ms(company.clock.machine()):
        raise invalid("下载地址已失效，请重新申请账单")
    return bytes(found["content"])


def yuan(fen: int) -> str:
    """Fen as a bill writes them: -12.05."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def _fen(text: str) -> int:
    whole, _, cents = text.partition(".")
    return int(whole) * 100 + (-1 if text.startswith("-") else 1) * int(cents)


def _day(company: Company, bill_date: str) -> date:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", bill_date) is None:
        raise wrong("账单日期格式不正确")
    try:
        on = date.fromisoformat(bill_date)
    except ValueError:
        raise wrong("账单日期不正确") from None
    now = company.clock.now().astimezone(CHINA)
    if on >= now.date():
        raise invalid("账单日期必须早于当天")
    if on < now.date() - KEPT:
        raise invalid("仅支持三个月内的账单下载申请")
    if now < datetime.combine(on + timedelta(days=1), READY_AT):
        raise Refusal(400, "STATEMENT_CREATING", "账单生成中，请于10点后再试")
    return on


def _row(line: Line) -> str:
    return ",".join(f"`{_plain(cell)}" for cell in line)


def _plain(cell: str) -> str:
    return re.sub(r"[,`\r\n]", " ", cell)


def _span(on: date) -> dict[str, int]:
    start = datetime.combine(on, time(0, tzinfo=CHINA))
    return {"from": to_ms(start), "until": to_ms(start + timedelta(days=1))}


def _when(at_ms: int) -> str:
    return from_ms(at_ms).strftime("%Y-%m-%d %H:%M:%S")


def _trade_lines(company: Company, on: date) -> list[Line]:
    rate = f"{company.terms.fee / 100:.2f}%"
    paid = company.book.rows("SELECT * FROM trades WHERE paid_at_ms >= :from AND paid_at_ms < :until", **_span(on))
    back = company.book.rows(
        "SELECT refunds.*, trades.transaction_id, trades.openid, trades.description, trades.attach FROM refunds"
        " JOIN trades USING (out_trade_no)"
        " WHERE refunds.asked_at_ms >= :from AND refunds.asked_at_ms < :until AND refunds.state <> 'CLOSED'",
        **_span(on),
    )
    lines: list[tuple[int, Line]] = []
    for row in paid:
        total = yuan(row["total_fen"])
        lines.append(
            (
                row["paid_at_ms"],
                [
                    _when(row["paid_at_ms"]),
                    *_parties(company, row, row["out_trade_no"]),
                    *("JSAPI", "SUCCESS", "OTHERS", "CNY", total, "0.00"),
                    *("0", "0", "0.00", "0.00", "", ""),
                    *(row["description"], row["attach"], yuan(row["fee_fen"]), rate, total, "0.00", ""),
                ],
            )
        )
    for row in back:
        fen = yuan(row["refund_fen"])
        lines.append(
            (
                row["asked_at_ms"],
                [
                    _when(row["asked_at_ms"]),
                    *_parties(company, row, row["out_trade_no"]),
                    *("JSAPI", "REFUND", "OTHERS", "CNY", "0.00", "0.00"),
                    *(row["refund_id"], row["out_refund_no"], fen, "0.00", "ORIGINAL", row["state"]),
                    *(row["description"], row["attach"], "0.00", rate, "0.00", fen, ""),
                ],
            )
        )
    return [line for _, line in sorted(lines, key=lambda each: each[0])]


def _parties(company: Company, row: Any, out_trade_no: str) -> Line:
    keys = company.keys
    return [keys.appid, keys.mchid, "0", "", row["transaction_id"], out_trade_no, row["openid"]]


def _trade_totals(lines: list[Line]) -> Line:
    def total(column: int) -> str:
        return yuan(sum(_fen(line[column]) for line in lines))

    return [str(len(lines)), total(12), total(16), total(17), total(22), total(24), total(25)]


def _fund_lines(company: Company, on: date) -> list[Line]:
    rows = company.book.rows(
        "SELECT * FROM funds WHERE at_ms >= :from AND at_ms < :until ORDER BY at_ms, id", **_span(on)
    )
    return [
        [
            _when(row["at_ms"]),
            row["business_id"],
            f"{company.keys.mchid}{row['id']:018d}",
            row["business"],
            row["business"],
            "收入" if row["amount_fen"] > 0 else "支出",
            yuan(abs(row["amount_fen"])),
            yuan(row["balance_fen"]),
            "system",
            "",
            row["voucher"],
        ]
        for row in rows
    ]


def _fund_totals(lines: list[Line]) -> Line:
    told = [str(len(lines))]
    for way in ("收入", "支出"):
        fens = [_fen(line[6]) for line in lines if line[5] == way]
        told += [str(len(fens)), yuan(sum(fens))]
    return told


def _share_lines(company: Company, on: date) -> list[Line]:
    own = company.keys.mchid
    given = company.book.rows(
        "SELECT parts.*, shares.order_id, trades.transaction_id, trades.total_fen FROM parts"
        " JOIN shares USING (out_order_no) JOIN trades USING (out_trade_no)"
        " WHERE parts.finished_at_ms >= :from AND parts.finished_at_ms < :until AND parts.result = 'SUCCESS'"
        " AND parts.account <> :own",
        own=own,
        **_span(on),
    )
    returned = company.book.rows(
        "SELECT returns.*, trades.transaction_id, trades.total_fen FROM returns"
        " JOIN shares USING (out_order_no) JOIN trades USING (out_trade_no)"
        " WHERE returns.finished_at_ms >= :from AND returns.finished_at_ms < :until AND returns.result = 'SUCCESS'",
        **_span(on),
    )
    lines: list[tuple[int, Line]] = []
    for row in given:
        names = [row["order_id"], row["detail_id"], row["out_order_no"], yuan(row["total_fen"]), row["account"]]
        what = [yuan(row["amount_fen"]), "分账", "SUCCESS", row["description"], ""]
        head = [_when(row["finished_at_ms"]), own, own, row["transaction_id"]]
        lines.append((row["finished_at_ms"], [*head, *names, *what]))
    for row in returned:
        names = [row["return_id"], row["return_id"], row["out_return_no"], yuan(row["total_fen"]), row["return_mchid"]]
        what = [yuan(row["amount_fen"]), "分账回退", "SUCCESS", row["description"], ""]
        head = [_when(row["finished_at_ms"]), own, own, row["transaction_id"]]
        lines.append((row["finished_at_ms"], [*head, *names, *what]))
    return [line for _, line in sorted(lines, key=lambda each: each[0])]


def _share_totals(lines: list[Line]) -> Line:
    sums = [yuan(sum(_fen(line[9]) for line in lines if line[10] == what)) for what in ("分账", "分账回退")]
    return [str(len(lines)), *sums]


# Where a line has the numbers and the amounts that a fault goes by.
_NUMBERS = {"tradebill": (6, 15), "fundflowbill": (10,), "sharingbill": (6,)}
_AMOUNTS = {"tradebill": (12, 16, 24, 25), "fundflowbill": (6,), "sharingbill": (9,)}


def _spoil(kind: str, lines: list[Line], fault: Fault) -> list[Line]:
    """The lines as a fault leaves them; the totals follow, for a wrong bill adds up all the same."""

    def names(line: Line) -> bool:
        at = _NUMBERS[kind]
        # A refund's line names its order too; it goes by its own number.
        own = line[at[1]] if len(at) > 1 and line[at[1]] not in ("0", "") else line[at[0]]
        return own == fault.number

    match fault.kind:
        case Kind.LINE_DROPPED:
            return [line for line in lines if not names(line)]
        case Kind.LINE_EDITED:
            return [
                [
                    yuan(_fen(cell) + fault.fen) if i in _AMOUNTS[kind] and _fen(cell) else cell
                    for i, cell in enumerate(line)
                ]
                if names(line)
                else line
                for line in lines
            ]
        case _:
            made = list(lines[-1])
            for i in _NUMBERS[kind]:
                made[i] = fault.number if made[i] not in ("0", "") else made[i]
            for i in _AMOUNTS[kind]:
                made[i] = yuan(fault.fen) if _fen(made[i]) else made[i]
            return [*lines, made]


LinesOf = Callable[[Company, date], list[Line]]
TotalsOf = Callable[[list[Line]], Line]
KINDS: dict[str, tuple[str, str, LinesOf, TotalsOf]] = {
    "tradebill": (TRADES, TRADES_SUM, _trade_lines, _trade_totals),
    "fundflowbill": (FUNDS, FUNDS_SUM, _fund_lines, _fund_totals),
    "sharingbill": (SHARES, SHARES_SUM, _share_lines, _share_totals),
}

"""C1, C3: only what WeChat signed counts; a bill is what its hash, count and totals say."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.money.company import CompanyProcess
from tests.money.providers import COOK, LEADER, NUMBER, CompanyBench, asked, back, company, share, taken
from tests.money.till import NOON
from tuanzi.base.time import SHANGHAI
from tuanzi.money import Merchant, PaymentEnded, ProviderUnreachable, WeChatPay
from tuanzi.money.model import RefundProgress
from tuanzi.money.vendors import BillKind, TradeState
from tuanzi.money.vendors.bills import bill_lines, fen_of
from tuanzi.money.vendors.wechatpay.signed import ERRANDS_AT_ONCE

__all__ = ["company"]

TODAY = NOON.astimezone(SHANGHAI).date()


@pytest.fixture
async def bench(company: CompanyProcess) -> AsyncIterator[CompanyBench]:
    """The adapter against the sandbox's process."""
    made = CompanyBench(company)
    yield made
    await made.wechat.close_connections()


def calls(bench: CompanyBench, transaction: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Every call of the port, by the sandbox's name for it."""
    wechat, now = bench.wechat, bench.now
    return {
        "prepay": lambda: wechat.open(asked(number="p_000002"), now=now),
        "query": lambda: wechat.query(NUMBER, now=now),
        "close": lambda: wechat.close("p_000003", now=now),
        "refund": lambda: wechat.refund(back(), now=now),
        "query_refund": lambda: wechat.query_refund("r_1", now=now),
        "share": lambda: wechat.share(share((COOK, 1), transaction_id=transaction), now=now),
        "query_share": lambda: wechat.query_share("s_1", transaction, now=now),
        "unfreeze": lambda: wechat.unfreeze("u_1", transaction, "完结", now=now),
        "add_receiver": lambda: wechat.add_receiver(LEADER, "", now=now),
        "unsplit": lambda: wechat.unsplit(transaction, now=now),
        "return": lambda: wechat.return_share(taken(COOK, 1), now=now),
        "query_return": lambda: wechat.query_return("t_1", "s_1", now=now),
        "tradebill": lambda: wechat.bill(BillKind.TRADES, TODAY, now=now),
        "fundflowbill": lambda: wechat.bill(BillKind.FUNDS, TODAY, now=now),
        "sharingbill": lambda: wechat.bill(BillKind.SHARES, TODAY, now=now),
    }


async def test_nothing_is_paid_once_the_seat_it_is_for_is_no_longer_held(bench: CompanyBench) -> None:
    """B1: WeChat takes money for two hours unless it is told the time."""
    for_a_seat = replace(asked(), pay_before=bench.now + timedelta(minutes=5))
    await bench.wechat.open(for_a_seat, now=bench.now)
    await bench.wait(timedelta(minutes=4, seconds=59))
    again = await bench.wechat.open(for_a_seat, now=bench.now)
    assert again.seen.state is TradeState.WAITING
    assert (await bench.wechat.query(f"{NUMBER}*2", now=bench.now)).state is TradeState.UNKNOWN

    await bench.wait(timedelta(minutes=1, seconds=1))

    with pytest.raises(PaymentEnded):
        await bench.pay()
    assert (await bench.wechat.query(NUMBER, now=bench.now)).state is TradeState.CLOSED


async def test_what_has_no_time_may_be_paid_after_an_hour(bench: CompanyBench) -> None:
    await bench.wechat.open(asked(), now=bench.now)
    await bench.wait(timedelta(hours=1))

    await bench.pay()

    assert (await bench.wechat.query(NUMBER, now=bench.now)).state is TradeState.PAID


@pytest.mark.parametrize(
    "fault",
    ["lost", "answer_lost", "broken_before", "broken_after", "too_often", "forged", "probe", "unsigned"],
)
async def test_whatever_is_no_signed_answer_is_an_unknown_result(bench: CompanyBench, fault: str) -> None:
    transaction = await bench.paid()
    await bench.wait(timedelta(days=1))

    for endpoint, call in calls(bench, transaction).items():
        bench.company.breaks(endpoint, fault)
        with pytest.raises(ProviderUnreachable):
            await call()

    assert sum(bench.wechat.unknown.values()) == len(calls(bench, transaction))


@pytest.mark.parametrize("fault", ["forged", "probe", "unsigned"])
async def test_a_refusal_that_wechat_did_not_sign_is_an_unknown_result_too(bench: CompanyBench, fault: str) -> None:
    bench.company.breaks("query", fault)
    bench.company.breaks("refund", fault)

    with pytest.raises(ProviderUnreachable):
        await bench.wechat.query("p_unheard", now=bench.now)
    with pytest.raises(ProviderUnreachable):
        await bench.wechat.refund(back(trade="p_unheard"), now=bench.now)

    assert (await bench.wechat.query("p_unheard", now=bench.now)).state is TradeState.UNKNOWN
    refused = await bench.wechat.refund(back(trade="p_unheard"), now=bench.now)
    assert refused.progress is RefundProgress.REFUSED


async def test_a_merchant_with_another_key_is_unknown_and_not_refused(
    company: CompanyProcess, bench: CompanyBench
) -> None:
    right = company.merchant()
    other = (company.folder / "platform_key.pem").read_text()
    wechat = WeChatPay(
        Merchant(
            gateway=right.gateway,
            mchid=right.mchid,
            appid=right.appid,
            merchant_serial=right.merchant_serial,
            merchant_key=other,
            api_key=right.api_key,
            public_key=right.public_key,
            public_key_id=right.public_key_id,
            notify_url=right.notify_url,
        )
    )

    with pytest.raises(ProviderUnreachable):
        await wechat.open(asked(), now=bench.now)

    assert wechat.unknown == {"status_401": 1}
    await wechat.close_connections()


async def test_an_answer_that_does_not_come_in_time_is_unknown_and_what_was_done_is_found(bench: CompanyBench) -> None:
    bench.company.breaks("prepay", "delay", seconds=30)

    with pytest.raises(ProviderUnreachable):
        await bench.wechat.open(asked(), now=bench.now)

    assert (await bench.wechat.query(NUMBER, now=bench.now)).state is TradeState.WAITING


async def test_errands_of_an_outage_wait_for_each_other_and_keep_nobody_from_paying(bench: CompanyBench) -> None:
    running: list[str] = []
    may_end = asyncio.Event()

    async def errand(number: str, _: object) -> tuple[int, str]:
        running.append(number)
        await may_end.wait()
        return 200, "{}"

    numbers = [f"r_{i}" for i in range(4 * ERRANDS_AT_ONCE)]
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(bench.wechat._line.ask(partial(errand, each), number=each)) for each in numbers]
        looking = tasks.create_task(bench.wechat.query(NUMBER, now=bench.now))
        opening = await bench.wechat.open(asked(), now=bench.now)

        assert opening.seen.state is TradeState.WAITING
        assert running == numbers[:ERRANDS_AT_ONCE]
        assert not looking.done()
        may_end.set()

    assert all(answer.result().is_good for answer in asking)
    assert running == numbers
    assert looking.result().state is TradeState.WAITING
    assert bench.wechat.unknown == {}


async def test_by_certificates_it_is_the_same(company: CompanyProcess, bench: CompanyBench) -> None:
    wechat = WeChatPay(company.merchant(with_public_key=False)).at("beijing")

    opening = await wechat.open(asked(), now=bench.now)
    await wechat.add_receiver(COOK, "团子餐饮有限公司", now=bench.now)

    assert opening.seen.state is TradeState.WAITING
    assert (await wechat.query(NUMBER, now=bench.now)).attach == f"{NUMBER} o m"
    await wechat.close_connections()


async def test_a_share_too_soon_after_its_payment_is_asked_for_again(bench: CompanyBench) -> None:
    transaction = await bench.paid()
    await bench.befriend()
    bench.company.breaks("share", "stuck")
    await bench.wechat.share(share((COOK, 200), transaction_id=transaction), now=bench.now)

    with pytest.raises(ProviderUnreachable):
        await bench.wechat.return_share(taken(COOK, 1), now=bench.now)

    assert bench.wechat.unknown == {"busy": 1}


async def test_more_than_wechat_carries_back_is_refused_before_it_is_sent(bench: CompanyBench) -> None:
    long = asked(number=NUMBER)
    long = type(long)(out_trade_no=NUMBER, amount_fen=1, payer="m", about="团子", attach="团" * 43)

    with pytest.raises(ValueError, match="128 bytes"):
        await bench.wechat.open(long, now=bench.now)


HEAD = (
    "分账时间,分账发起方,分账方,微信订单号,微信分账/回退单号,微信分账明细单号,商户分账/回退单号,"
    "订单金额,分账接收方,分账金额,业务类型,处理状态,分账描述,备注"
)
LINE = "`2026-11-23 12:00:00,`1,`1,`42,`3,`36,`s_1,`12.00,`190,`2.00,`分账,`SUCCESS,`x,`"


def bill(*lines: str, count: int | None = None) -> tuple[bytes, str]:
    """A bill of shares and its hash."""
    told = len(lines) if count is None else count
    raw = "\r\n".join([HEAD, *lines, "总条数,分账总金额,分账回退总金额", f"`{told},`2.00,`0.00", ""]).encode()
    return raw, hashlib.sha1(raw, usedforsecurity=False).hexdigest()


def test_a_bill_is_read_gzipped_or_not() -> None:
    raw, hash_value = bill(LINE)

    plain = bill_lines(BillKind.SHARES, raw, hash_value=hash_value)
    zipped = bill_lines(BillKind.SHARES, gzip.compress(raw), hash_value=hash_value.upper())

    assert plain == zipped
    assert [(line.key, line.amount_fen, line.transaction_id, line.at) for line in plain] == [
        ("s_1/190", -200, "42", NOON)
    ]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw, sum_: (raw + b" ", sum_),
        lambda raw, sum_: (raw, "0" * 40),
        lambda raw, sum_: (gzip.compress(raw)[:-9], sum_),
        lambda raw, sum_: bill(LINE, count=2),
        lambda raw, sum_: bill(LINE + ",`more"),
        lambda raw, sum_: bill(LINE.replace("2.00", "2.005")),
        lambda raw, sum_: bill(LINE.replace("2.00", "2e3")),
    ],
)
def test_a_damaged_bill_is_not_read(spoil: Callable[[bytes, str], tuple[bytes, str]]) -> None:
    file, hash_value = spoil(*bill(LINE))

    with pytest.raises(ValueError, match=r"hash|cut short|counts|cells|yuan"):
        bill_lines(BillKind.SHARES, file, hash_value=hash_value)


@given(st.integers(-(10**12), 10**12))
def test_yuan_are_read_to_the_fen(fen: int) -> None:
    sign = "-" if fen < 0 else ""
    whole, cents = divmod(abs(fen), 100)

    assert fen_of(f"{sign}{whole}.{cents:02d}") == fen


async def test_a_bill_that_changed_on_its_way_is_unknown_and_a_line_that_is_wrong_is_seen(bench: CompanyBench) -> None:
    await bench.paid()
    await bench.wait(timedelta(days=1))
    right = await bench.wechat.bill(BillKind.TRADES, TODAY, now=bench.now)
    bench.company.breaks("tradebill", "line_edited", number=NUMBER, fen=7, times=None)
    edited = await bench.wechat.bill(BillKind.TRADES, TODAY, now=bench.now)
    bench.company.breaks("download", "broken_before")

    with pytest.raises(ProviderUnreachable):
        await bench.wechat.bill(BillKind.TRADES, TODAY, now=bench.now)

    assert [line.amount_fen for line in (*right, *edited)] == [1200, 1207]

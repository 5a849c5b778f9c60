"""C1: a member who binds another WeChat account pays what he began from the one before, once (0027)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from random import Random

import httpx
import pytest
from msgspec.structs import replace

from tests.money.company import CompanyProcess
from tests.money.providers import NUMBER, CompanyBench, asked, back, company
from tests.money.receiver import Receiver
from tests.money.test_notices import CAPTURED, House
from tests.money.till import MEMBER, ORDER, PAYMENT
from tuanzi.base.time import SHANGHAI
from tuanzi.events import PaymentCaptured
from tuanzi.money import Cashier
from tuanzi.money.model import RefundProgress
from tuanzi.money.problems import PaymentDiffers, PaymentEnded, PaymentRefused, ProviderUnreachable
from tuanzi.money.vendors import BillKind, PaymentOpening, TradeState
from tuanzi.money.vendors.trade_numbers import NUMBERS_MAX, numbers_of, own_number

__all__ = ["company"]

SECOND = f"{NUMBER}*2"
OLD, NEW = "o_old", "o_new"
FAULTS = ("lost", "answer_lost", "broken_before", "broken_after")


class Bench(CompanyBench):
    """The adapter against the sandbox's process, and the phones of its payers."""

    async def open(self, payer: str) -> PaymentOpening:
        """The payment, for whom this openid is."""
        return await self.wechat.open(replace(asked(), payer=payer), now=self.now)

    def pays(self, opening: PaymentOpening) -> bool:
        """Somebody pays by what he was given; whether it went through."""
        prepay_id = opening.prepay["package"].removeprefix("prepay_id=")
        return self.company.http.post(f"/pay/{prepay_id}/pay").status_code == 200

    @property
    def client(self) -> httpx.AsyncClient:
        """What speaks to WeChat, once it is open."""
        return self.wechat._line._client._core._client

    @property
    def ever_paid(self) -> tuple[int, int]:
        """How many orders were ever paid, and how many fen in all."""
        totals = self.company.totals()
        return totals["paid_count"], totals["paid_fen"]


@pytest.fixture
async def bench(company: CompanyProcess) -> AsyncIterator[Bench]:
    """Nothing is opened yet."""
    made = Bench(company)
    yield made
    await made.wechat.close_connections()


async def test_who_binds_another_account_pays_from_it_and_not_by_what_he_had_before(bench: Bench) -> None:
    old = await bench.open(OLD)

    new = await bench.open(NEW)
    again = await bench.open(NEW)

    assert (new.seen.state, new.seen.out_trade_no) == (TradeState.WAITING, NUMBER)
    assert again.prepay["package"] == new.prepay["package"] != old.prepay["package"]
    assert (bench.pays(old), bench.pays(new), bench.ever_paid) == (False, True, (1, 1200))
    paid = await bench.wechat.query(NUMBER, now=bench.now)
    assert (paid.state, paid.out_trade_no, paid.amount_fen) == (TradeState.PAID, NUMBER, 1200)
    assert (await bench.open(OLD)).seen == (await bench.open("o_third")).seen == paid


async def test_what_was_paid_from_the_account_before_counts(bench: Bench) -> None:
    old = await bench.open(OLD)
    bench.pays(old)

    new = await bench.open(NEW)

    assert (new.seen.state, new.prepay) == (TradeState.PAID, {})
    assert bench.ever_paid == (1, 1200)


async def test_what_is_paid_from_the_account_before_while_the_other_is_opened_counts(bench: Bench) -> None:
    old = await bench.open(OLD)
    was_paid: list[bool] = []

    async def pay_before_it_is_closed(request: httpx.Request) -> None:
        if request.url.path.endswith("/close"):  # so WeChat has the second order already
            was_paid.append(bench.pays(old))

    bench.client.event_hooks["request"].append(pay_before_it_is_closed)
    new = await bench.open(NEW)

    assert was_paid == [True]
    assert bench.company.trade(SECOND)["state"] == "NOTPAY"
    assert (new.seen.state, new.seen.out_trade_no, new.prepay) == (TradeState.PAID, NUMBER, {})
    assert bench.ever_paid == (1, 1200)
    assert (await bench.wechat.query(NUMBER, now=bench.now)).state is TradeState.PAID


async def test_nobody_is_given_the_other_before_the_first_is_known_to_be_closed(bench: Bench) -> None:
    old = await bench.open(OLD)
    bench.company.breaks("close", "lost")

    with pytest.raises(ProviderUnreachable):
        await bench.open(NEW)
    back_again = await bench.open(OLD)

    assert back_again.prepay["package"] == old.prepay["package"]
    assert bench.pays(old)
    assert (await bench.open(NEW)).seen.state is TradeState.PAID


@pytest.mark.parametrize(("at", "fault"), [("prepay", "answer_lost"), ("close", "lost"), ("close", "answer_lost")])
async def test_an_answer_that_is_lost_on_the_way_to_another_payer_ends_nothing(
    bench: Bench, at: str, fault: str
) -> None:
    await bench.open(OLD)
    bench.company.breaks(at, fault, times=1)

    with pytest.raises(ProviderUnreachable):
        await bench.open(NEW)
    new = await bench.open(NEW)

    assert (new.seen.state, bench.pays(new), bench.ever_paid) == (TradeState.WAITING, True, (1, 1200))


async def test_who_binds_the_account_before_again_is_given_a_number_again_up_to_a_bound(bench: Bench) -> None:
    openings = [await bench.open(OLD if i % 2 else NEW) for i in range(NUMBERS_MAX)]

    with pytest.raises(PaymentDiffers):
        await bench.open("o_third")

    assert [bench.pays(opening) for opening in openings] == [False] * (NUMBERS_MAX - 1) + [True]
    assert bench.ever_paid == (1, 1200)


async def test_another_amount_is_refused_as_ever_and_what_was_opened_stays_payable(bench: Bench) -> None:
    old = await bench.open(OLD)

    with pytest.raises(PaymentDiffers):
        await bench.wechat.open(replace(asked(amount_fen=1), payer=NEW), now=bench.now)

    assert bench.pays(old)


async def test_an_account_that_wechat_refuses_leaves_the_payment_as_it_was(bench: Bench) -> None:
    old = await bench.open(OLD)
    bench.company.breaks("prepay", "refuse", code="OUT_TRADE_NO_USED", times=2)

    with pytest.raises(PaymentRefused):
        await bench.open(NEW)

    assert (await bench.wechat.query(NUMBER, now=bench.now)).state is TradeState.WAITING
    assert bench.pays(old)


async def test_a_payment_is_closed_under_each_of_its_numbers(bench: Bench) -> None:
    openings = [await bench.open(payer) for payer in (OLD, NEW, "o_third")]

    closed = [(await bench.wechat.close(NUMBER, now=bench.now)).state for _ in range(2)]

    assert closed == [TradeState.CLOSED, TradeState.CLOSED]
    assert [bench.pays(opening) for opening in openings] == [False, False, False]
    for payer in (OLD, NEW, "o_third"):
        with pytest.raises(PaymentEnded):
            await bench.open(payer)


async def test_a_payment_from_another_account_stays_paid_when_it_is_closed(bench: Bench) -> None:
    await bench.open(OLD)
    bench.pays(await bench.open(NEW))

    assert (await bench.wechat.close(NUMBER, now=bench.now)).state is TradeState.PAID


async def test_what_was_paid_from_another_account_goes_back_there_once(bench: Bench) -> None:
    await bench.open(OLD)
    bench.pays(await bench.open(NEW))

    halves = [await bench.wechat.refund(back(amount_fen=600), now=bench.now) for _ in range(3)]
    above = await bench.wechat.refund(back(number="r_2", amount_fen=601), now=bench.now)

    assert halves[0] == halves[1] == halves[2] == await bench.wechat.query_refund("r_1", now=bench.now)
    assert (halves[0].progress, halves[0].amount_fen) == (RefundProgress.SETTLED, 600)
    assert above.progress is RefundProgress.REFUSED
    assert bench.company.totals()["refunded_fen"] == 600


async def test_a_bill_names_the_payment_whichever_account_paid_it(bench: Bench) -> None:
    await bench.open(OLD)
    bench.pays(await bench.open(NEW))
    today = bench.now.astimezone(SHANGHAI).date()
    await bench.wait(timedelta(days=1))

    lines = [
        line
        for kind in (BillKind.TRADES, BillKind.FUNDS)
        for line in await bench.wechat.bill(kind, today, now=bench.now)
    ]

    assert [line.key for line in lines if line.amount_fen == 1200] == [NUMBER, NUMBER]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_bound_lost_and_paid_in_whatever_order_it_is_paid_once(bench: Bench, seed: int) -> None:
    chance = Random(seed)
    given: list[PaymentOpening] = []

    for _ in range(8):
        if chance.random() < 0.4:
            bench.company.breaks(chance.choice(("prepay", "query", "close")), chance.choice(FAULTS))
        payers = chance.sample((OLD, NEW), k=chance.choice((1, 2)))
        for answer in await asyncio.gather(*map(bench.open, payers), return_exceptions=True):
            if isinstance(answer, PaymentOpening):
                given += [answer] if answer.prepay else []
            else:
                assert isinstance(answer, ProviderUnreachable | PaymentDiffers)
        if given and chance.random() < 0.2:
            bench.pays(chance.choice(given))
    bench.company.heal()
    with suppress(PaymentDiffers):  # he changed it too often
        last = await bench.open(NEW)
        given += [last] if last.prepay else []
    went_through = [bench.pays(opening) for opening in given]

    paid = await bench.wechat.query(NUMBER, now=bench.now)
    assert any(went_through)
    assert bench.ever_paid == (1, 1200)
    assert (paid.state, paid.amount_fen) == (TradeState.PAID, 1200)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where the sandbox's callbacks go."""
    made = Receiver()
    yield made
    made.close()


async def test_the_notice_of_a_payment_from_another_account_is_recorded_as_any(
    company: CompanyProcess, receiver: Receiver
) -> None:
    house = House(company, receiver)
    cashier = Cashier(house.wechat.at("beijing"))
    for payer in (OLD, NEW):
        await cashier.pay(
            house.till, order_id=ORDER, member_id=MEMBER, amount_fen=1200, now=house.till.now, payer=payer
        )
    pay: httpx.Response = company.pay(f"{PAYMENT}*2")
    (taken,) = receiver.wait_for(1)

    statuses = [await house.take(taken) for _ in range(2)]

    assert (pay.status_code, statuses) == (200, [204, 204])
    assert house.kept()[0] == CAPTURED
    (captured,) = [event for event in house.till.events if isinstance(event, PaymentCaptured)]
    assert (captured.payment_id, captured.order_id, captured.amount_fen) == (PAYMENT, ORDER, 1200)
    await house.wechat.close_connections()
    await house.till.provider.close_connections()


def test_a_payments_numbers_are_wechats_and_lead_back_to_it() -> None:
    numbers = numbers_of(NUMBER)

    assert len(set(numbers)) == NUMBERS_MAX
    assert {own_number(number) for number in numbers} == {NUMBER}
    assert max(map(len, numbers)) <= 32
    assert numbers_of("x" + "0" * 31) == ("x" + "0" * 31,)

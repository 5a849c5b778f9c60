"""C1: the promises of the payment port, the same for every provider; and what only the sandbox can do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.money.providers import LATE, NUMBER, Bench, asked, back, bench, company
from tests.money.till import NOON
from tuanzi.money.model import RefundProgress
from tuanzi.money.problems import PaymentDiffers, PaymentEnded, ProviderUnreachable
from tuanzi.money.vendors import TradeState
from tuanzi.money.vendors.sandbox import Fault, SandboxProvider

__all__ = ["bench", "company"]


class TestEveryProvider:
    """The contract of PaymentProvider."""

    async def test_a_payment_is_unknown_then_waiting_then_paid(self, bench: Bench) -> None:
        provider = bench.provider
        states = [(await provider.query(NUMBER, now=bench.now)).state]

        opening = await provider.open(asked(), now=bench.now)
        states.append((await provider.query(NUMBER, now=bench.now)).state)
        await bench.pay()
        paid = await provider.query(NUMBER, now=bench.now)

        assert [*states, paid.state] == [TradeState.UNKNOWN, TradeState.WAITING, TradeState.PAID]
        assert opening.seen.state is TradeState.WAITING
        assert opening.prepay
        assert paid.amount_fen == 1200
        assert paid.transaction_id
        assert paid.attach == f"{NUMBER} o m"

    async def test_opening_again_is_the_same_payment(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)
        await bench.pay()

        again = await bench.provider.open(asked(), now=bench.now)

        assert again.seen == await bench.provider.query(NUMBER, now=bench.now)
        assert again.seen.state is TradeState.PAID

    async def test_the_same_number_for_another_amount_is_refused(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)

        with pytest.raises(PaymentDiffers):
            await bench.provider.open(asked(amount_fen=1), now=bench.now)

        assert (await bench.provider.query(NUMBER, now=bench.now)).amount_fen == 1200

    async def test_another_payer_goes_on_with_a_payment(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)

        waiting = await bench.provider.open(replace(asked(), payer="n"), now=bench.now)
        closed = await bench.provider.close(NUMBER, now=bench.now)

        assert (waiting.seen.state, waiting.seen.out_trade_no) == (TradeState.WAITING, NUMBER)
        assert waiting.prepay
        assert closed.state is TradeState.CLOSED
        with pytest.raises(PaymentEnded):
            await bench.pay()

    async def test_another_payer_finds_a_payment_paid(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)
        await bench.pay()

        paid = await bench.provider.open(replace(asked(), payer="n"), now=bench.now)

        assert paid.seen == await bench.provider.query(NUMBER, now=bench.now)
        assert paid.seen.state is TradeState.PAID

    async def test_a_closed_payment_can_not_be_paid_or_opened(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)

        closed = [(await bench.provider.close(NUMBER, now=bench.now)).state for _ in range(2)]

        assert closed == [TradeState.CLOSED, TradeState.CLOSED]
        with pytest.raises(PaymentEnded):
            await bench.pay()
        with pytest.raises(PaymentEnded):
            await bench.provider.open(asked(), now=bench.now)

    async def test_a_paid_payment_stays_paid_when_it_is_closed(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)
        await bench.pay()

        closed = await bench.provider.close(NUMBER, now=bench.now)

        assert closed.state is TradeState.PAID
        assert (await bench.provider.query(NUMBER, now=bench.now)).state is TradeState.PAID

    async def test_closing_what_was_never_opened_says_so(self, bench: Bench) -> None:
        assert (await bench.provider.close(NUMBER, now=bench.now)).state is TradeState.UNKNOWN

    async def test_a_refused_payment_may_be_opened_again_under_its_number(self, bench: Bench) -> None:
        await bench.breaks("open", Fault.REFUSE)

        first = await bench.provider.open(asked(), now=bench.now)
        second = await bench.provider.open(asked(), now=bench.now)

        assert first.seen.state is TradeState.REFUSED
        assert second.seen.state is TradeState.WAITING

    async def test_a_refund_is_made_once_for_each_number(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)
        await bench.pay()

        halves = [await bench.provider.refund(back(amount_fen=600), now=bench.now) for _ in range(3)]
        rest = await bench.provider.refund(back(number="r_2", amount_fen=600), now=bench.now)

        assert {half.progress for half in halves} == {RefundProgress.SETTLED}
        assert halves[0] == halves[1] == halves[2] == await bench.provider.query_refund("r_1", now=bench.now)
        assert (rest.progress, rest.amount_fen) == (RefundProgress.SETTLED, 600)

    async def test_never_more_goes_back_than_was_paid(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)
        await bench.pay()
        await bench.provider.refund(back(amount_fen=600), now=bench.now)

        above = await bench.provider.refund(back(number="r_2", amount_fen=601), now=bench.now)

        assert above.progress is RefundProgress.REFUSED
        asked_about = await bench.provider.query_refund("r_2", now=bench.now)
        assert asked_about.progress in (RefundProgress.REFUSED, RefundProgress.UNKNOWN)

    async def test_a_number_used_for_another_refund_is_refused_and_the_first_stands(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)
        await bench.pay()
        first = await bench.provider.refund(back(amount_fen=600), now=bench.now)

        other = await bench.provider.refund(back(amount_fen=500), now=bench.now)

        assert other.progress is RefundProgress.REFUSED
        assert await bench.provider.query_refund("r_1", now=bench.now) == first

    async def test_what_was_not_paid_does_not_go_back(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)

        waiting = await bench.provider.refund(back(), now=bench.now)
        unheard = await bench.provider.refund(back(number="r_2", trade="p_unheard"), now=bench.now)

        assert waiting.progress is RefundProgress.REFUSED
        assert unheard.progress is RefundProgress.REFUSED

    async def test_an_unheard_refund_is_unknown(self, bench: Bench) -> None:
        assert (await bench.provider.query_refund("r_1", now=bench.now)).progress is RefundProgress.UNKNOWN

    async def test_a_slow_refund_is_in_progress_and_then_settled(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=bench.now)
        await bench.pay()
        await bench.breaks("refund", Fault.LATE)

        sent = await bench.provider.refund(back(), now=bench.now)
        again = await bench.provider.refund(back(), now=bench.now)
        await bench.wait(LATE)
        settled = await bench.provider.query_refund("r_1", now=bench.now)

        assert (sent.progress, again.progress) == (RefundProgress.PROCESSING, RefundProgress.PROCESSING)
        assert settled.progress is RefundProgress.SETTLED

    @pytest.mark.parametrize(
        ("fault", "state"), [(Fault.UNREACHABLE, TradeState.UNKNOWN), (Fault.ANSWER_LOST, TradeState.WAITING)]
    )
    async def test_an_unknown_opening_is_asked_about_and_repeated_under_its_number(
        self, bench: Bench, fault: Fault, state: TradeState
    ) -> None:
        await bench.breaks("open", fault)

        with pytest.raises(ProviderUnreachable):
            await bench.provider.open(asked(), now=bench.now)

        assert (await bench.provider.query(NUMBER, now=bench.now)).state is state
        assert (await bench.provider.open(asked(), now=bench.now)).seen.state is TradeState.WAITING

    @pytest.mark.parametrize(
        ("fault", "progress"),
        [(Fault.UNREACHABLE, RefundProgress.UNKNOWN), (Fault.ANSWER_LOST, RefundProgress.SETTLED)],
    )
    async def test_an_unknown_refund_is_asked_about_and_repeated_under_its_number(
        self, bench: Bench, fault: Fault, progress: RefundProgress
    ) -> None:
        await bench.provider.open(asked(), now=bench.now)
        await bench.pay()
        await bench.breaks("refund", fault)

        with pytest.raises(ProviderUnreachable):
            await bench.provider.refund(back(), now=bench.now)

        assert (await bench.provider.query_refund("r_1", now=bench.now)).progress is progress
        assert (await bench.provider.refund(back(), now=bench.now)).progress is RefundProgress.SETTLED
        above = await bench.provider.refund(back(number="r_2", amount_fen=1), now=bench.now)
        assert above.progress is RefundProgress.REFUSED

    @pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.ANSWER_LOST])
    async def test_a_query_or_close_without_an_answer_says_so(self, bench: Bench, fault: Fault) -> None:
        await bench.provider.open(asked(), now=bench.now)
        for operation in ("query", "close", "query_refund"):
            await bench.breaks(operation, fault)

        with pytest.raises(ProviderUnreachable):
            await bench.provider.query(NUMBER, now=bench.now)
        with pytest.raises(ProviderUnreachable):
            await bench.provider.query_refund("r_1", now=bench.now)
        with pytest.raises(ProviderUnreachable):
            await bench.provider.close(NUMBER, now=bench.now)

        seen = await bench.provider.query(NUMBER, now=bench.now)
        assert seen.state is (TradeState.WAITING if fault is Fault.UNREACHABLE else TradeState.CLOSED)


class TestTheSandbox:
    """What the simulation and the demo ask of the sandbox beyond the port."""

    async def test_members_pay_at_once_in_that_mode(self) -> None:
        provider = SandboxProvider()

        opening = await provider.open(asked(), now=NOON)

        assert opening.seen.state is TradeState.PAID
        assert opening.seen.transaction_id == f"sandbox_{NUMBER}"
        assert provider.take_callbacks(now=NOON) == []
        assert (provider.paid_fen, provider.refunded_fen) == (1200, 0)

    async def test_a_payment_on_demand_calls_back_once_for_each_time_it_is_paid(self) -> None:
        provider = SandboxProvider(pays_at_once=False)
        await provider.open(asked(), now=NOON)

        paid = provider.pay(NUMBER, now=NOON)

        assert provider.take_callbacks(now=NOON) == [paid]
        assert provider.take_callbacks(now=NOON) == []
        assert provider.paid_fen == 1200

    async def test_a_duplicate_callback_comes_twice(self) -> None:
        provider = SandboxProvider(faults=lambda operation, number: Fault.DUPLICATE)

        opening = await provider.open(asked(), now=NOON)

        assert provider.take_callbacks(now=NOON) == [opening.seen, opening.seen]
        assert provider.paid_fen == 1200

    async def test_a_late_callback_comes_later_and_the_answer_is_still_waiting(self) -> None:
        provider = SandboxProvider(faults=lambda operation, number: Fault.LATE, late_by=LATE)

        opening = await provider.open(asked(), now=NOON)

        assert opening.seen.state is TradeState.WAITING
        assert provider.take_callbacks(now=NOON + LATE - timedelta(milliseconds=1)) == []
        (callback,) = provider.take_callbacks(now=NOON + LATE)
        assert callback.state is TradeState.PAID

    async def test_its_memory_can_be_bounded_and_a_refund_of_what_it_forgot_is_believed_up_to_what_was_paid(
        self,
    ) -> None:
        provider = SandboxProvider(remembered_max=2)
        for i in range(3):
            await provider.open(asked(number=f"p_000{i}"), now=NOON)

        forgotten = await provider.query("p_0000", now=NOON)
        settled = await provider.refund(back(trade="p_0000"), now=NOON)
        above = await provider.refund(back(number="r_2", trade="p_unheard", amount_fen=1201), now=NOON)

        assert forgotten.state is TradeState.UNKNOWN
        assert settled.progress is RefundProgress.SETTLED
        assert above.progress is RefundProgress.REFUSED

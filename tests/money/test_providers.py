"""C1: the promises of the payment port, the same for every provider; and what only the sandbox can do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.money.till import NOON
from tuanzi.money.model import RefundProgress
from tuanzi.money.problems import PaymentDiffers, PaymentEnded, ProviderUnreachable
from tuanzi.money.vendors import PaymentAsked, PaymentProvider, RefundAsked, TradeState
from tuanzi.money.vendors.sandbox import Fault, SandboxProvider

NUMBER = "p_0sy2mwk3e8aaaaaaaaaaaaaa"
LATE = timedelta(minutes=20)


def asked(*, amount_fen: int = 1200, number: str = NUMBER) -> PaymentAsked:
    """A payment to be opened."""
    return PaymentAsked(out_trade_no=number, amount_fen=amount_fen, payer="m", about="团子", attach=f"{number} o m")


def back(*, number: str = "r_1", amount_fen: int = 1200, trade: str = NUMBER) -> RefundAsked:
    """A refund to be made."""
    return RefundAsked(
        out_refund_no=number, out_trade_no=trade, amount_fen=amount_fen, captured_fen=1200, reason="late"
    )


class Bench:
    """A provider whose calls go wrong in a prescribed way, and whose members pay on demand.

    broken: by operation, the faults of its next calls.
    """

    def __init__(self, make: Callable[[Bench], PaymentProvider], pay: Callable[[PaymentProvider, str], None]) -> None:
        self.broken: dict[str, list[Fault]] = {}
        self.provider = make(self)
        self._pay = pay

    def pay(self, number: str = NUMBER) -> None:
        """The member pays."""
        self._pay(self.provider, number)

    def fault(self, operation: str, number: str) -> Fault | None:
        """The fault of this call."""
        left = self.broken.get(operation)
        return left.pop(0) if left else None


def sandbox() -> Bench:
    """The in-process sandbox, members paying on demand."""

    def pay(provider: PaymentProvider, number: str) -> None:
        assert isinstance(provider, SandboxProvider)
        provider.pay(number, now=NOON)

    return Bench(lambda bench: SandboxProvider(pays_at_once=False, faults=bench.fault, late_by=LATE), pay)


@pytest.fixture(params=[sandbox], ids=["sandbox"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Every provider there is."""
    made: Bench = request.param()
    return made


class TestEveryProvider:
    """The contract of PaymentProvider."""

    async def test_a_payment_is_unknown_then_waiting_then_paid(self, bench: Bench) -> None:
        provider = bench.provider
        states = [(await provider.query(NUMBER, now=NOON)).state]

        opening = await provider.open(asked(), now=NOON)
        states.append((await provider.query(NUMBER, now=NOON)).state)
        bench.pay()
        paid = await provider.query(NUMBER, now=NOON)

        assert [*states, paid.state] == [TradeState.UNKNOWN, TradeState.WAITING, TradeState.PAID]
        assert opening.seen.state is TradeState.WAITING
        assert opening.prepay
        assert paid.amount_fen == 1200
        assert paid.transaction_id
        assert paid.attach == f"{NUMBER} o m"

    async def test_opening_again_is_the_same_payment(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=NOON)
        bench.pay()

        again = await bench.provider.open(asked(), now=NOON)

        assert again.seen == await bench.provider.query(NUMBER, now=NOON)
        assert again.seen.state is TradeState.PAID

    async def test_the_same_number_for_another_amount_is_refused(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=NOON)

        with pytest.raises(PaymentDiffers):
            await bench.provider.open(asked(amount_fen=1), now=NOON)

        assert (await bench.provider.query(NUMBER, now=NOON)).amount_fen == 1200

    async def test_a_closed_payment_can_not_be_paid_or_opened(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=NOON)

        closed = [(await bench.provider.close(NUMBER, now=NOON)).state for _ in range(2)]

        assert closed == [TradeState.CLOSED, TradeState.CLOSED]
        with pytest.raises(PaymentEnded):
            bench.pay()
        with pytest.raises(PaymentEnded):
            await bench.provider.open(asked(), now=NOON)

    async def test_a_paid_payment_stays_paid_when_it_is_closed(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=NOON)
        bench.pay()

        closed = await bench.provider.close(NUMBER, now=NOON)

        assert closed.state is TradeState.PAID
        assert (await bench.provider.query(NUMBER, now=NOON)).state is TradeState.PAID

    async def test_closing_what_was_never_opened_says_so(self, bench: Bench) -> None:
        assert (await bench.provider.close(NUMBER, now=NOON)).state is TradeState.UNKNOWN

    async def test_a_refused_payment_may_be_opened_again_under_its_number(self, bench: Bench) -> None:
        bench.broken["open"] = [Fault.REFUSE]

        first = await bench.provider.open(asked(), now=NOON)
        second = await bench.provider.open(asked(), now=NOON)

        assert first.seen.state is TradeState.REFUSED
        assert second.seen.state is TradeState.WAITING

    async def test_a_refund_is_made_once_for_each_number(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=NOON)
        bench.pay()

        halves = [await bench.provider.refund(back(amount_fen=600), now=NOON) for _ in range(3)]
        rest = await bench.provider.refund(back(number="r_2", amount_fen=600), now=NOON)

        assert {half.progress for half in halves} == {RefundProgress.SETTLED}
        assert halves[0] == halves[1] == halves[2] == await bench.provider.query_refund("r_1", now=NOON)
        assert (rest.progress, rest.amount_fen) == (RefundProgress.SETTLED, 600)

    async def test_never_more_goes_back_than_was_paid(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=NOON)
        bench.pay()
        await bench.provider.refund(back(amount_fen=600), now=NOON)

        above = await bench.provider.refund(back(number="r_2", amount_fen=601), now=NOON)

        assert above.progress is RefundProgress.REFUSED
        assert (await bench.provider.query_refund("r_2", now=NOON)).progress is RefundProgress.REFUSED

    async def test_a_number_used_for_another_refund_is_refused_and_the_first_stands(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=NOON)
        bench.pay()
        first = await bench.provider.refund(back(amount_fen=600), now=NOON)

        other = await bench.provider.refund(back(amount_fen=500), now=NOON)

        assert other.progress is RefundProgress.REFUSED
        assert await bench.provider.query_refund("r_1", now=NOON) == first

    async def test_what_was_not_paid_does_not_go_back(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=NOON)

        waiting = await bench.provider.refund(back(), now=NOON)
        unheard = await bench.provider.refund(back(number="r_2", trade="p_unheard"), now=NOON)

        assert waiting.progress is RefundProgress.REFUSED
        assert unheard.progress is RefundProgress.REFUSED

    async def test_an_unheard_refund_is_unknown(self, bench: Bench) -> None:
        assert (await bench.provider.query_refund("r_1", now=NOON)).progress is RefundProgress.UNKNOWN

    async def test_a_slow_refund_is_in_progress_and_then_settled(self, bench: Bench) -> None:
        await bench.provider.open(asked(), now=NOON)
        bench.pay()
        bench.broken["refund"] = [Fault.LATE]

        sent = await bench.provider.refund(back(), now=NOON)
        again = await bench.provider.refund(back(), now=NOON)
        settled = await bench.provider.query_refund("r_1", now=NOON + LATE)

        assert (sent.progress, again.progress) == (RefundProgress.PROCESSING, RefundProgress.PROCESSING)
        assert settled.progress is RefundProgress.SETTLED

    @pytest.mark.parametrize(
        ("fault", "state"), [(Fault.UNREACHABLE, TradeState.UNKNOWN), (Fault.ANSWER_LOST, TradeState.WAITING)]
    )
    async def test_an_unknown_opening_is_asked_about_and_repeated_under_its_number(
        self, bench: Bench, fault: Fault, state: TradeState
    ) -> None:
        bench.broken["open"] = [fault]

        with pytest.raises(ProviderUnreachable):
            await bench.provider.open(asked(), now=NOON)

        assert (await bench.provider.query(NUMBER, now=NOON)).state is state
        assert (await bench.provider.open(asked(), now=NOON)).seen.state is TradeState.WAITING

    @pytest.mark.parametrize(
        ("fault", "progress"),
        [(Fault.UNREACHABLE, RefundProgress.UNKNOWN), (Fault.ANSWER_LOST, RefundProgress.SETTLED)],
    )
    async def test_an_unknown_refund_is_asked_about_and_repeated_under_its_number(
        self, bench: Bench, fault: Fault, progress: RefundProgress
    ) -> None:
        await bench.provider.open(asked(), now=NOON)
        bench.pay()
        bench.broken["refund"] = [fault]

        with pytest.raises(ProviderUnreachable):
            await bench.provider.refund(back(), now=NOON)

        assert (await bench.provider.query_refund("r_1", now=NOON)).progress is progress
        assert (await bench.provider.refund(back(), now=NOON)).progress is RefundProgress.SETTLED
        above = await bench.provider.refund(back(number="r_2", amount_fen=1), now=NOON)
        assert above.progress is RefundProgress.REFUSED

    @pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.ANSWER_LOST])
    async def test_a_query_or_close_without_an_answer_says_so(self, bench: Bench, fault: Fault) -> None:
        await bench.provider.open(asked(), now=NOON)
        bench.broken = {"query": [fault], "close": [fault], "query_refund": [fault]}

        with pytest.raises(ProviderUnreachable):
            await bench.provider.query(NUMBER, now=NOON)
        with pytest.raises(ProviderUnreachable):
            await bench.provider.query_refund("r_1", now=NOON)
        with pytest.raises(ProviderUnreachable):
            await bench.provider.close(NUMBER, now=NOON)

        seen = await bench.provider.query(NUMBER, now=NOON)
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

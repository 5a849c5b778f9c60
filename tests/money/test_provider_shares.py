"""C1, C3: the promises of the payment port about shares, returns and bills, the same for every provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from tests.money.providers import COOK, LATE, LEADER, NUMBER, Bench, SandboxBench, back, bench, company, share, taken
from tests.money.providers import asked as payment
from tests.money.till import NOON
from tuanzi.base.time import SHANGHAI
from tuanzi.money.model import RefundProgress
from tuanzi.money.problems import BillNotReady, ProviderUnreachable
from tuanzi.money.vendors import (
    BillKind,
    BillState,
    Receiver,
    ReceiverKind,
    ReceiverResult,
    ShareProgress,
    TradeState,
)
from tuanzi.money.vendors.sandbox import Fault, SandboxProvider

__all__ = ["bench", "company"]

TODAY = NOON.astimezone(SHANGHAI).date()


class TestShares:
    """Frozen money given to others."""

    async def test_what_was_paid_is_frozen_until_it_is_shared(self, bench: Bench) -> None:
        before = await bench.provider.unsplit("never_paid", now=bench.now)
        transaction = await bench.paid()

        frozen = await bench.provider.unsplit(transaction, now=bench.now)

        assert (before, frozen) == (0, 1200)

    async def test_a_share_gives_each_receiver_his_part_and_leaves_the_rest_frozen(self, bench: Bench) -> None:
        transaction = await bench.paid()
        await bench.befriend()

        asked = share((COOK, 200), (LEADER, 40), transaction_id=transaction)
        sent = await bench.provider.share(asked, now=bench.now)
        seen = await bench.finished(sent, transaction)

        assert seen.progress is ShareProgress.FINISHED
        assert [(part.account, part.amount_fen, part.result, part.reason) for part in seen.receivers] == [
            (COOK.account, 200, ReceiverResult.SUCCESS, ""),
            (LEADER.account, 40, ReceiverResult.SUCCESS, ""),
        ]
        assert await bench.provider.unsplit(transaction, now=bench.now) == 960

    async def test_a_share_is_given_once_for_each_number(self, bench: Bench) -> None:
        transaction = await bench.paid()
        await bench.befriend()
        asked = share((COOK, 200), transaction_id=transaction)

        for _ in range(3):
            seen = await bench.finished(await bench.provider.share(asked, now=bench.now), transaction)
        other = await bench.provider.share(share((COOK, 100), transaction_id=transaction), now=bench.now)

        assert seen == await bench.provider.query_share("s_1", transaction, now=bench.now)
        assert other.progress is ShareProgress.REFUSED
        assert await bench.provider.unsplit(transaction, now=bench.now) == 1000

    async def test_never_more_is_shared_than_is_frozen_and_a_refused_number_may_be_used_again(
        self, bench: Bench
    ) -> None:
        transaction = await bench.paid()
        await bench.befriend()

        above = await bench.provider.share(share((COOK, 1201), transaction_id=transaction), now=bench.now)
        unknown = await bench.provider.query_share("s_1", transaction, now=bench.now)
        right = await bench.provider.share(share((COOK, 1), transaction_id=transaction), now=bench.now)

        assert above.progress is ShareProgress.REFUSED
        assert unknown.progress is ShareProgress.UNKNOWN
        assert (await bench.finished(right, transaction)).progress is ShareProgress.FINISHED

    async def test_the_rest_is_unfrozen_with_the_last_share(self, bench: Bench) -> None:
        transaction = await bench.paid()
        await bench.befriend()
        last = share((COOK, 200), transaction_id=transaction, unfreeze_rest=True)

        seen = await bench.finished(await bench.provider.share(last, now=bench.now), transaction)
        more = await bench.provider.share(share((COOK, 1), number="s_2", transaction_id=transaction), now=bench.now)

        assert [part.account for part in seen.receivers] == [COOK.account]
        assert await bench.provider.unsplit(transaction, now=bench.now) == 0
        assert more.progress is ShareProgress.REFUSED

    async def test_unfreezing_has_a_number_of_its_own_and_is_done_once(self, bench: Bench) -> None:
        transaction = await bench.paid()

        for _ in range(2):
            sent = await bench.provider.unfreeze("u_1", transaction, "完结", now=bench.now)
            seen = await bench.finished(sent, transaction)
        again = await bench.provider.unfreeze("u_2", transaction, "完结", now=bench.now)

        assert (seen.progress, seen.receivers) == (ShareProgress.FINISHED, ())
        assert seen == await bench.provider.query_share("u_1", transaction, now=bench.now)
        assert again.progress is ShareProgress.REFUSED
        assert await bench.provider.unsplit(transaction, now=bench.now) == 0

    async def test_a_receiver_never_added_is_given_nothing_and_the_others_are(self, bench: Bench) -> None:
        transaction = await bench.paid()
        await bench.befriend()
        stranger = Receiver(kind=ReceiverKind.PERSON, account="o_stranger")

        asked = share((stranger, 40), (COOK, 200), transaction_id=transaction)
        seen = await bench.finished(await bench.provider.share(asked, now=bench.now), transaction)

        assert [(part.result, bool(part.reason)) for part in seen.receivers] == [
            (ReceiverResult.CLOSED, True),
            (ReceiverResult.SUCCESS, False),
        ]
        assert await bench.provider.unsplit(transaction, now=bench.now) == 1000

    async def test_a_closed_part_is_the_merchants_own_when_the_rest_is_unfrozen(self, bench: Bench) -> None:
        transaction = await bench.paid()
        await bench.befriend()
        await bench.breaks("share", Fault.CLOSED)

        asked = share((LEADER, 40), (COOK, 200), transaction_id=transaction, unfreeze_rest=True)
        seen = await bench.finished(await bench.provider.share(asked, now=bench.now), transaction)
        refund = await bench.provider.refund(back(amount_fen=1000), now=bench.now)

        assert [part.result for part in seen.receivers] == [ReceiverResult.CLOSED, ReceiverResult.SUCCESS]
        assert refund.progress in (RefundProgress.SETTLED, RefundProgress.PROCESSING)

    async def test_a_slow_share_is_pending_and_then_finished(self, bench: Bench) -> None:
        transaction = await bench.paid()
        await bench.befriend()
        await bench.breaks("share", Fault.LATE)

        sent = await bench.provider.share(share((COOK, 200), transaction_id=transaction), now=bench.now)
        await bench.wait(LATE / 2)
        asked = await bench.provider.query_share("s_1", transaction, now=bench.now)
        await bench.wait(LATE)
        seen = await bench.provider.query_share("s_1", transaction, now=bench.now)

        assert [sent.progress, asked.progress] == [ShareProgress.PROCESSING] * 2
        assert [part.result for part in asked.receivers] == [ReceiverResult.PENDING]
        assert seen.progress is ShareProgress.FINISHED

    async def test_what_was_never_paid_or_asked_for_is_not_shared(self, bench: Bench) -> None:
        await bench.befriend()

        unpaid = await bench.provider.share(share((COOK, 1), transaction_id="never_paid"), now=bench.now)
        unknown = await bench.provider.query_share("s_1", "never_paid", now=bench.now)

        assert unpaid.progress is ShareProgress.REFUSED
        assert unknown.progress is ShareProgress.UNKNOWN

    @pytest.mark.parametrize(
        ("fault", "progress"),
        [(Fault.UNREACHABLE, ShareProgress.UNKNOWN), (Fault.ANSWER_LOST, ShareProgress.FINISHED)],
    )
    async def test_an_unknown_share_is_asked_about_and_repeated_under_its_number(
        self, bench: Bench, fault: Fault, progress: ShareProgress
    ) -> None:
        transaction = await bench.paid()
        await bench.befriend()
        asked = share((COOK, 200), transaction_id=transaction)
        await bench.breaks("share", fault)

        with pytest.raises(ProviderUnreachable):
            await bench.provider.share(asked, now=bench.now)

        seen = await bench.provider.query_share("s_1", transaction, now=bench.now)
        assert (await bench.finished(seen, transaction)).progress is progress
        again = await bench.finished(await bench.provider.share(asked, now=bench.now), transaction)
        assert again.progress is ShareProgress.FINISHED
        assert await bench.provider.unsplit(transaction, now=bench.now) == 1000


class TestReturns:
    """Shared money comes back before it can be refunded."""

    async def shared(self, bench: Bench) -> str:
        """A payment of which the cook has 200 and the leader 40; the rest is the merchant's own."""
        transaction = await bench.paid()
        await bench.befriend()
        asked = share((COOK, 200), (LEADER, 40), transaction_id=transaction, unfreeze_rest=True)
        await bench.finished(await bench.provider.share(asked, now=bench.now), transaction)
        return transaction

    async def test_shared_money_is_not_refunded_before_it_came_back(self, bench: Bench) -> None:
        await self.shared(bench)

        above = await bench.provider.refund(back(amount_fen=961), now=bench.now)
        returned = await bench.provider.return_share(taken(COOK, 200), now=bench.now)
        whole = await bench.provider.refund(back(number="r_2", amount_fen=1160), now=bench.now)

        assert above.progress is RefundProgress.REFUSED
        assert (returned.progress, returned.amount_fen) == (RefundProgress.SETTLED, 200)
        assert whole.progress in (RefundProgress.SETTLED, RefundProgress.PROCESSING)

    async def test_a_refund_takes_frozen_money(self, bench: Bench) -> None:
        transaction = await bench.paid()

        await bench.provider.refund(back(amount_fen=500), now=bench.now)

        assert await bench.provider.unsplit(transaction, now=bench.now) == 700

    async def test_money_is_returned_once_for_each_number_and_never_more_than_was_given(self, bench: Bench) -> None:
        await self.shared(bench)

        returns = [await bench.provider.return_share(taken(COOK, 150), now=bench.now) for _ in range(3)]
        other = await bench.provider.return_share(taken(COOK, 1), now=bench.now)
        above = await bench.provider.return_share(taken(COOK, 51, number="t_2"), now=bench.now)
        rest = await bench.provider.return_share(taken(COOK, 50, number="t_3"), now=bench.now)

        assert returns[0] == returns[1] == returns[2] == await bench.provider.query_return("t_1", "s_1", now=bench.now)
        assert [other.progress, above.progress] == [RefundProgress.REFUSED] * 2
        assert rest.progress is RefundProgress.SETTLED

    async def test_a_receiver_without_money_returns_nothing(self, bench: Bench) -> None:
        await self.shared(bench)
        await bench.breaks("return_share", Fault.REFUSE)

        refused = await bench.provider.return_share(taken(COOK, 200), now=bench.now)
        asked = await bench.provider.query_return("t_1", "s_1", now=bench.now)
        whole = await bench.provider.refund(back(amount_fen=1160), now=bench.now)

        assert (refused.progress, asked.progress) == (RefundProgress.REFUSED, RefundProgress.REFUSED)
        assert refused.reason == "balance_not_enough"
        assert whole.progress is RefundProgress.REFUSED

    async def test_an_unheard_return_is_unknown_and_one_of_an_unheard_share_is_refused(self, bench: Bench) -> None:
        await self.shared(bench)

        unknown = await bench.provider.query_return("t_1", "s_1", now=bench.now)
        refused = await bench.provider.return_share(taken(COOK, 1, of="s_unheard"), now=bench.now)

        assert unknown.progress is RefundProgress.UNKNOWN
        assert refused.progress is RefundProgress.REFUSED

    async def test_a_slow_return_cannot_be_refunded_before_it_settled(self, bench: Bench) -> None:
        await self.shared(bench)
        await bench.breaks("return_share", Fault.LATE)

        slow = await bench.provider.return_share(taken(COOK, 200), now=bench.now)
        early = await bench.provider.refund(back(amount_fen=1160), now=bench.now)
        await bench.wait(LATE)
        settled = await bench.provider.query_return("t_1", "s_1", now=bench.now)
        late = await bench.provider.refund(back(number="r_2", amount_fen=1160), now=bench.now)

        assert (slow.progress, settled.progress) == (RefundProgress.PROCESSING, RefundProgress.SETTLED)
        assert early.progress is RefundProgress.REFUSED
        assert late.progress in (RefundProgress.SETTLED, RefundProgress.PROCESSING)

    @pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.ANSWER_LOST])
    async def test_a_call_without_an_answer_says_so_and_does_nothing_twice(self, bench: Bench, fault: Fault) -> None:
        transaction = await self.shared(bench)
        provider = bench.provider
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "query_share": lambda: provider.query_share("s_1", transaction, now=bench.now),
            "unsplit": lambda: provider.unsplit(transaction, now=bench.now),
            "add_receiver": lambda: provider.add_receiver(COOK, "北京团子餐饮有限公司", now=bench.now),
            "return_share": lambda: provider.return_share(taken(COOK, 200), now=bench.now),
            "query_return": lambda: provider.query_return("t_1", "s_1", now=bench.now),
        }

        for operation, call in calls.items():
            await bench.breaks(operation, fault)
            with pytest.raises(ProviderUnreachable):
                await call()

        assert (await calls["return_share"]()).progress is RefundProgress.SETTLED
        above = await provider.return_share(taken(COOK, 1, number="t_2"), now=bench.now)
        assert above.progress is RefundProgress.REFUSED


class TestBills:
    """What the provider says it did on a day."""

    async def test_a_day_is_billed_on_the_next_one_at_ten(self, bench: Bench) -> None:
        await bench.paid()
        ready_at = timedelta(hours=22)  # 12:00 in Shanghai to 10:00 of the next day

        await bench.wait(ready_at - timedelta(minutes=1))
        with pytest.raises(BillNotReady):
            await bench.provider.bill(BillKind.TRADES, TODAY, now=bench.now)
        await bench.wait(timedelta(minutes=1))

        assert [line.key for line in await bench.provider.bill(BillKind.TRADES, TODAY, now=bench.now)] == [NUMBER]
        assert await bench.provider.bill(BillKind.SHARES, TODAY, now=bench.now) == ()

    async def test_a_bill_says_which_payments_and_refunds_are_another_campuss(self, bench: Bench) -> None:
        await bench.paid()
        await bench.provider.refund(back(amount_fen=100), now=bench.now)
        elsewhere = bench.provider.at("shanghai")
        await elsewhere.open(payment(number="p_000002"), now=bench.now)
        await bench.pay("p_000002")
        await bench.wait(timedelta(days=1))

        here = await bench.provider.bill(BillKind.TRADES, TODAY, now=bench.now)
        there = await elsewhere.bill(BillKind.TRADES, TODAY, now=bench.now)

        assert {line.key: line.is_elsewhere for line in here} == {NUMBER: False, "r_1": False, "p_000002": True}
        assert {line.key: line.is_elsewhere for line in there} == {NUMBER: True, "r_1": True, "p_000002": False}

    async def test_what_was_attached_is_said_to_the_campus_whose_payment_it_is(self, bench: Bench) -> None:
        await bench.paid()

        here = await bench.provider.query(NUMBER, now=bench.now)
        there = await bench.provider.at("shanghai").query(NUMBER, now=bench.now)

        assert here.attach == f"{NUMBER} o m"
        assert there == replace(here, attach="")

    async def test_bills_have_every_payment_refund_share_and_return_of_their_day(self, bench: Bench) -> None:
        transaction = await bench.paid()
        await bench.provider.open(payment(number="p_waiting", amount_fen=600), now=bench.now)
        await bench.befriend()
        asked = share((COOK, 200), (LEADER, 40), transaction_id=transaction, unfreeze_rest=True)
        await bench.finished(await bench.provider.share(asked, now=bench.now), transaction)
        await bench.provider.return_share(taken(COOK, 150), now=bench.now)
        await bench.provider.refund(back(amount_fen=300), now=bench.now)
        await bench.wait(timedelta(days=1))

        bills = {kind: await bench.provider.bill(kind, TODAY, now=bench.now) for kind in BillKind}

        trades = {(NUMBER, 1200, BillState.PAID), ("r_1", -300, BillState.REFUNDED)}
        shares = {
            (f"s_1/{COOK.account}", -200, BillState.SHARED),
            (f"s_1/{LEADER.account}", -40, BillState.SHARED),
            ("t_1", 150, BillState.RETURNED),
        }
        funds = trades | {
            ("s_1", -200, BillState.SHARED),
            ("s_1", -40, BillState.SHARED),
            ("t_1", 150, BillState.RETURNED),
        }
        found = {kind: {(line.key, line.amount_fen, line.state) for line in lines} for kind, lines in bills.items()}
        assert found == {BillKind.TRADES: trades, BillKind.SHARES: shares, BillKind.FUNDS: funds}
        for kind, lines in bills.items():
            assert {line.kind for line in lines} == {kind}
            assert {line.transaction_id for line in lines} - {""} == {transaction}
            assert {line.at.astimezone(SHANGHAI).date() for line in lines} == {TODAY}
        assert len(bills[BillKind.FUNDS]) == 5


class TestTheSandboxOnly:
    """What only the in-process sandbox can be told."""

    async def test_no_more_goes_to_others_than_was_agreed(self) -> None:
        provider = SandboxProvider(share_max=3000)
        bench = SandboxBench()
        bench.provider = provider
        opening = await provider.open(payment(number="p_waiting", amount_fen=600), now=NOON)
        await bench.befriend()

        transaction = opening.seen.transaction_id
        above = await provider.share(share((COOK, 181), transaction_id=transaction), now=NOON)
        within = await provider.share(share((COOK, 180), transaction_id=transaction), now=NOON)

        assert opening.seen.state is TradeState.PAID
        assert (above.progress, above.reason) == (ShareProgress.REFUSED, "above_ratio")
        assert within.progress is ShareProgress.FINISHED
        assert provider.shared_fen == 180

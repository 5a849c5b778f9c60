"""One difference: looked at again, and what its class needs is done."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec.structs import replace

from tuanzi import groups, money, orders, sharing, stock
from tuanzi.base.ids import DishId, MealId, OrderId, make_id
from tuanzi.base.money import ZERO
from tuanzi.money import (
    Cashier,
    PaymentProvider,
    RecordRefund,
    RefundAsked,
    RefundProgress,
    RefundState,
    TradeState,
    out_refund_no_of,
    out_trade_no_of,
    refund_named,
)
from tuanzi.reconciliation import store
from tuanzi.reconciliation.handlers.books import MEALS_LOOK_BACK, ORDERED_BEFORE_MEAL, Books, Comparison
from tuanzi.reconciliation.model import (
    NOTHING_WANTED,
    NOWHERE,
    AdvanceRefund,
    CaptureBooks,
    EndDifference,
    KeptDifference,
    Mend,
    MendDifference,
    Mending,
    OrderBooks,
    OweRefund,
    RaiseDifference,
    ReplayCapture,
    RestoreBalance,
    RestoreCapture,
    RestoreRefund,
    ReverseCapture,
    SetAside,
    State,
    TryAgain,
    captures_of,
    escrow_of,
    may_be,
    of_order,
    of_stock,
    promise_of,
    refunds_of,
    restored_order,
    restored_sub_orders,
)
from tuanzi.reconciliation.model import Book as Said


class Mender:
    """Mends differences of one campus, each by asking, and by the command that a callback or event would have given."""

    def __init__(self, books: Books, provider: PaymentProvider, comparison: Comparison) -> None:
        self._books = books
        self._provider = provider
        self._cashier = Cashier(provider)
        self._comparison = comparison

    async def mend(self, errand: MendDifference, *, now: datetime) -> Mending:
        """Look at a difference again and do what its class needs; gives the command that books and ends it.

        Raises ProviderUnreachable and what the core refuses: then it is tried again.
        """
        kept = await self._comparison.find_difference(errand.difference_id)
        if kept is None or kept.is_ended:
            return EndDifference(difference_id=errand.difference_id, state=State.SETTLED, reason="ended before")
        match kept.mend:
            case Mend.REPLAY_CAPTURE | Mend.ADVANCE_PAYMENT:
                return await self._replay(kept, now=now)
            case Mend.ADVANCE_REFUND:
                return await self._advance_refund(kept, now=now)
            case Mend.RESEND_REFUND:
                return await self._resend_refund(kept, now=now)
            case Mend.REVERSE_CAPTURE:
                return await self._reverse(kept, now=now)
            case Mend.SET_ASIDE:
                says = {side.book: side.fen or 0 for side in kept.sides}
                more_fen = says[Said.PROVIDER] - says[Said.LEDGER]
                if msgspec.json.decode(kept.evidence)["line"]["amount_fen"] < 0:
                    more_fen = -more_fen  # it went out
                return SetAside(difference_id=kept.id, order_id=kept.order_id, more_fen=more_fen)
            case Mend.AWAIT:
                return await self._await_share(kept)
            case Mend.RESTORE_BALANCE:
                return await self._restore_balance(kept)
            case Mend.RESTORE_PORTIONS:
                return await self._restore_portions(kept, now=now)
            case Mend.CARRY | Mend.NONE:
                return RaiseDifference(difference_id=kept.id, reason="a person must decide")
            case _:
                return await self._within(kept, now=now)

    async def _within(self, kept: KeptDifference, *, now: datetime) -> Mending:
        """A difference between the books of the campus, as it is now."""
        compared = await self._comparison.compare([kept.order_id])
        if not compared.books:
            return TryAgain(difference_id=kept.id, reason="events about the order are under way")
        (books,) = compared.books
        found = next((one for one in of_order(books) if one.id == kept.id), None)
        if found is None:
            return EndDifference(difference_id=kept.id, state=State.SETTLED, reason="gone when looked at again")
        core = self._books.core
        match found.mend:
            case Mend.RESTORE_CAPTURE:
                return await self._restore_capture(kept, books, now=now)
            case Mend.RESTORE_REFUND:
                return await self._restore_refund(kept, books, now=now)
            case Mend.ADVANCE_REFUND:
                return await self._advance_refund(kept, now=now)
            case Mend.OWE_REFUND:
                promise = promise_of(books, kept.item)
                assert books.order is not None
                assert promise is not None
                return OweRefund(
                    difference_id=kept.id,
                    refund_id=promise.id,
                    order_id=books.order_id,
                    member_id=books.order.member_id,
                    amount_fen=promise.amount.fen,
                    reason=promise.reason,
                )
            case Mend.RETELL_CAPTURE:
                payment = next(one for one in books.payments if one.captured)
                await core.submit(
                    groups.HearCapture(
                        order_id=OrderId(books.order_id),
                        payment_id=payment.id,
                        amount_fen=payment.captured.fen,
                    )
                )
            case Mend.RETELL_REFUND:
                refund_id = kept.item.partition("#")[2]
                seen_version = 0 if books.order is None else books.order.version
                await core.submit(
                    orders.HearRefund(order_id=OrderId(books.order_id), refund_id=refund_id, seen_version=seen_version)
                )
            case Mend.RESTORE_ORDER:
                try:
                    order = restored_order(books)
                except ValueError as error:
                    return RaiseDifference(difference_id=kept.id, reason=str(error)[:200])
                assert books.order is not None
                if order.state is books.order.state and not may_be(order):
                    return RaiseDifference(difference_id=kept.id, reason="nothing says which state it was in")
                done = await core.submit(orders.RestoreOrder(order=order, seen=books.order))
                if not done.answer.is_restored:
                    return TryAgain(difference_id=kept.id, reason="the order has moved on")
            case Mend.RESTORE_SUB_ORDERS:
                subs = restored_sub_orders(books, now=now)
                if subs is None:
                    return RaiseDifference(difference_id=kept.id, reason="which of its sub-orders were rejected?")
                await core.submit(orders.RestoreSubOrders(order_id=OrderId(books.order_id), subs=subs))
            case _:
                return RaiseDifference(difference_id=kept.id, reason="a person must decide")
        return EndDifference(difference_id=kept.id, state=State.REPAIRED, reason=found.mend.value)

    async def _restore_capture(self, kept: KeptDifference, books: OrderBooks, *, now: datetime) -> Mending:
        """What most rows say stands; when they leave it open the provider is asked, and so for what nobody knows."""
        capture = next(
            (one for one in captures_of(books) if one.payment_id == kept.item),
            CaptureBooks(
                payment_id=kept.item,
                order_id=books.order_id,
                payment=None,
                capture=NOWHERE,
                misfit=NOWHERE,
                promised=ZERO,
            ),
        )
        fen, member_id, transaction_id = capture.stands, "" if books.order is None else books.order.member_id, ""
        if fen is None or capture.payment is None:
            number = out_trade_no_of(kept.item) if capture.payment is None else capture.payment.out_trade_no
            seen = await self._provider.query(number, now=now)
            if seen.state is TradeState.PAID:
                transaction_id, member_id = seen.transaction_id, self._cashier.capture_of(seen).member_id
            if fen is None:
                said = {*capture.journal.votes(), capture.payment.captured.fen if capture.payment is not None else 0}
                if seen.state is not TradeState.PAID:
                    return RaiseDifference(difference_id=kept.id, reason=f"at the provider it is {seen.state.value}")
                if said != {0} and seen.amount_fen not in said:
                    return RaiseDifference(difference_id=kept.id, reason=f"the provider says {seen.amount_fen} fen")
                fen = seen.amount_fen
        payment = capture.restored(
            fen, member_id=member_id, transaction_id=transaction_id, provider=self._provider.name, now=now
        )
        return RestoreCapture(difference_id=kept.id, payment=payment, seen=capture.payment)

    async def _restore_refund(self, kept: KeptDifference, books: OrderBooks, *, now: datetime) -> Mending:
        back = next(one for one in refunds_of(books) if one.refund_id == kept.item)
        number = out_refund_no_of(kept.item) if back.refund is None else back.refund.out_refund_no
        fen = back.stands
        claims = back.refund is not None and back.refund.state is RefundState.SETTLED and not back.is_settled
        is_back = back.is_settled
        if fen is None or claims:
            seen = await self._provider.query_refund(number, now=now)
            is_back = seen.progress is RefundProgress.SETTLED
            if fen is None and seen.amount_fen not in {*back.due.votes(), *back.settled.votes()}:
                return RaiseDifference(difference_id=kept.id, reason=f"the provider says {seen.progress.value}")
            fen = seen.amount_fen if fen is None else fen
        refund = back.restored(fen, out_refund_no=number, now=now)
        if claims and not is_back:
            refund = replace(refund, state=RefundState.DUE, settled_at=None)
        return RestoreRefund(difference_id=kept.id, refund=refund, seen=back.refund)

    async def _replay(self, kept: KeptDifference, *, now: datetime) -> Mending:
        """Record what the provider has as its callback would have; what it has not is not believed."""
        seen = await self._provider.query(kept.item, now=now)
        if seen.state is not TradeState.PAID:
            return RaiseDifference(difference_id=kept.id, reason=f"asked, the provider says {seen.state.value}")
        return ReplayCapture(difference_id=kept.id, capture=self._cashier.capture_of(seen))

    async def _advance_refund(self, kept: KeptDifference, *, now: datetime) -> Mending:
        refund_id = kept.item.partition("#")[2] or refund_named(kept.item) or ""
        (refund,) = await self._books.money.look(lambda ask: money.refunds_by_id(ask, [refund_id])) or (None,)
        if refund is None:
            return RaiseDifference(difference_id=kept.id, reason="the refund is not there")
        seen = await self._provider.query_refund(refund.out_refund_no, now=now)
        if seen.progress is RefundProgress.UNKNOWN:
            return RaiseDifference(difference_id=kept.id, reason="asked, the provider never heard of it")
        record = RecordRefund(
            refund_id=refund.id, progress=seen.progress, amount_fen=seen.amount_fen, reason=seen.reason
        )
        return AdvanceRefund(difference_id=kept.id, refund=record)

    async def _resend_refund(self, kept: KeptDifference, *, now: datetime) -> Mending:
        """The ledger says the money is back and the provider does not: asked again under the same number."""
        refund_id = refund_named(kept.item) or ""
        (refund,) = await self._books.money.look(lambda ask: money.refunds_by_id(ask, [refund_id])) or (None,)
        if refund is None:
            return EndDifference(difference_id=kept.id, state=State.SETTLED, reason="gone when looked at again")
        (payment,) = await self._books.money.look(lambda ask: money.payments_by_id(ask, [refund.payment_id])) or (None,)
        if payment is None:
            return RaiseDifference(difference_id=kept.id, reason="its payment is not there")
        asked = RefundAsked(
            out_refund_no=refund.out_refund_no,
            out_trade_no=payment.out_trade_no,
            amount_fen=refund.amount.fen,
            captured_fen=payment.captured.fen,
            reason=refund.reason,
        )
        seen = await self._provider.refund(asked, now=now)
        if seen.progress is RefundProgress.SETTLED:
            return EndDifference(difference_id=kept.id, state=State.REPAIRED, reason=Mend.RESEND_REFUND.value)
        if seen.progress is RefundProgress.REFUSED:
            return RaiseDifference(difference_id=kept.id, reason=f"the provider refuses it: {seen.reason}"[:200])
        return TryAgain(difference_id=kept.id, reason="the provider works on it")

    async def _await_share(self, kept: KeptDifference) -> Mending:
        """Whether sharing knows by now what the provider did; it asks every few minutes."""
        number = kept.item.partition("/")[0]
        booked = await self._books.money.look(lambda ask: sharing.booked_by_number(ask, [number]))
        one = next((one for one in booked if one.key == kept.item), None)
        if one is None or not one.is_over:
            return TryAgain(difference_id=kept.id, reason="sharing has not heard of its end")
        if not one.is_done:
            return RaiseDifference(difference_id=kept.id, reason="the provider did it, and here it was given up")
        return EndDifference(difference_id=kept.id, state=State.REPAIRED, reason=Mend.AWAIT.value)

    async def _reverse(self, kept: KeptDifference, *, now: datetime) -> Mending:
        """Asked first: when it was not paid, nothing is made for it, and what was booked is reversed."""
        seen = await self._provider.query(kept.item, now=now)
        if seen.state is TradeState.PAID:
            return RaiseDifference(difference_id=kept.id, reason="asked, the provider says paid: its bill left it out")
        compared = await self._comparison.compare([kept.order_id])
        if not compared.books:
            return TryAgain(difference_id=kept.id, reason="events about the order are under way")
        (books,) = compared.books
        payment = next((one for one in books.payments if one.out_trade_no == kept.item), None)
        if payment is None:
            return EndDifference(difference_id=kept.id, state=State.SETTLED, reason="gone when looked at again")
        return ReverseCapture(
            difference_id=kept.id,
            payment_id=payment.id,
            escrow_fen=escrow_of(books).fen,
            holds_order=books.order is not None,
        )

    async def _restore_balance(self, kept: KeptDifference) -> Mending:
        account = kept.item.removeprefix("balance:")
        sums = await self._books.money.look(money.ledger_sums)
        found = next((one for one in sums if one.account == account), None)
        if found is None or found.summed_fen == found.running_fen:
            return EndDifference(difference_id=kept.id, state=State.SETTLED, reason="gone when looked at again")
        return RestoreBalance(difference_id=kept.id, account=account, fen=found.summed_fen, seen_fen=found.running_fen)

    async def _restore_portions(self, kept: KeptDifference, *, now: datetime) -> Mending:
        dish_id, _, meal_id = kept.item.removeprefix("portions:").partition("/")
        since = make_id("o", now=now - MEALS_LOOK_BACK - ORDERED_BEFORE_MEAL, chance=0)
        look = await self._books.core.look(lambda ask: store.look_at_stock(ask, meal_id, since=since))
        found = next((one for one in of_stock(look.wanted, look.kept) if one.id == kept.id), None)
        if found is None:
            return EndDifference(difference_id=kept.id, state=State.SETTLED, reason="gone when looked at again")
        if found.mend is not Mend.RESTORE_PORTIONS:
            return RaiseDifference(difference_id=kept.id, reason="more is held and sold than there is")
        due, seen = look.wanted.get((dish_id, meal_id), NOTHING_WANTED), look.kept.get((dish_id, meal_id))
        restore = stock.RestorePortions(
            dish_id=DishId(dish_id),
            meal_id=MealId(meal_id),
            held=due.held,
            sold=due.sold,
            seen_held=0 if seen is None else seen.held,
            seen_sold=0 if seen is None else seen.sold,
        )
        done = await self._books.core.submit(restore)
        if not done.answer.is_restored:
            return TryAgain(difference_id=kept.id, reason="portions are moving")
        return EndDifference(difference_id=kept.id, state=State.REPAIRED, reason=Mend.RESTORE_PORTIONS.value)

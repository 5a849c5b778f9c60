"""A payment company inside the process: for the demo, the tests and the simulation; deterministic."""

from __future__ import annotations

import copy
import heapq
from datetime import datetime, timedelta
from itertools import count

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.money.model import RefundProgress
from tuanzi.money.problems import PaymentDiffers, PaymentEnded
from tuanzi.money.vendors import (
    BillKind,
    BillLine,
    BillState,
    PaymentAsked,
    PaymentOpening,
    PaymentSeen,
    RefundAsked,
    RefundSeen,
    TradeState,
)
from tuanzi.money.vendors.sandbox_shares import WHOLE, Fault, Faults, Pool, SharingSandbox, faultless

__all__ = ["Fault", "Faults", "SandboxProvider", "faultless"]


class _Trade(Struct, frozen=True, kw_only=True, gc=False):
    seen: PaymentSeen
    campus: str = ""
    refunded_fen: int = 0
    paid_at: datetime | None = None


class _Refund(Struct, frozen=True, kw_only=True, gc=False):
    asked: RefundAsked
    seen: RefundSeen
    settles_at: datetime


class SandboxProvider(SharingSandbox):
    """Keeps payments, refunds and shares by their outside numbers, outside of every database and its crashes.

    pays_at_once: members pay in the moment of opening; else by `pay`.
    faults: what goes wrong with which call; all chance is in there.
    remembered_max: None remembers everything and refuses what it does not know (tests, simulation). A number bounds
        memory (about 500 bytes a payment) and lets a demo restart: a refund of a payment it no longer knows is
        believed, up to `captured_fen`; everybody may be given shares.
    share_max: how much of a payment may go to others, of 10,000 (WeChat: 3,000 unless agreed otherwise).
    """

    name = "sandbox"
    payer_app = ""

    def __init__(
        self,
        *,
        pays_at_once: bool = True,
        faults: Faults = faultless,
        late_by: timedelta = timedelta(minutes=20),
        remembered_max: int | None = None,
        share_max: int = WHOLE,
    ) -> None:
        super().__init__(faults=faults, late_by=late_by, remembered_max=remembered_max, share_max=share_max)
        self.pays_at_once = pays_at_once
        self.campus = ""
        self._trades: dict[str, _Trade] = {}
        self._refunds: dict[str, _Refund] = {}
        self._callbacks: list[tuple[datetime, int, str, PaymentSeen]] = []
        self._numbers = count()

    def at(self, campus: str) -> SandboxProvider:
        """The same company with all that it remembers; its callbacks are taken, not sent."""
        there = copy.copy(self)
        there.campus = campus
        return there

    async def open(self, asked: PaymentAsked, *, now: datetime) -> PaymentOpening:
        """Open a payment; paid at once in that mode. Raises PaymentDiffers, PaymentEnded, ProviderUnreachable."""
        number = asked.out_trade_no
        fault = self._reached("open", number, now=now)
        trade = self._trades.get(number)
        if trade is not None and trade.seen.amount_fen != asked.amount_fen:
            raise PaymentDiffers(out_trade_no=number, amount_fen=asked.amount_fen)
        if trade is not None and trade.seen.state is TradeState.CLOSED:
            raise PaymentEnded(out_trade_no=number)
        if trade is None or trade.seen.state is TradeState.REFUSED:
            refused = fault is Fault.REFUSE
            seen = PaymentSeen(
                out_trade_no=number,
                state=TradeState.REFUSED if refused else TradeState.WAITING,
                amount_fen=asked.amount_fen,
                attach=asked.attach,
                reason="refused" if refused else "",
            )
            self._remember(seen)
            if self.pays_at_once and not refused:
                paid = self._pay(number, fault=fault, now=now, told=False)
                seen = seen if fault is Fault.LATE else paid
        else:
            seen = trade.seen
        self._answered(fault, number)
        return PaymentOpening(seen=seen, prepay={"sandbox": number})

    async def query(self, out_trade_no: str, *, now: datetime) -> PaymentSeen:
        """What became of a payment."""
        fault = self._reached("query", out_trade_no, now=now)
        self._answered(fault, out_trade_no)
        trade = self._trades.get(out_trade_no)
        if trade is None:
            return _unheard(out_trade_no)
        return replace(trade.seen, attach="") if self._is_elsewhere(trade) else trade.seen

    async def close(self, out_trade_no: str, *, now: datetime) -> PaymentSeen:
        """Close a payment that is not paid; one never opened stays UNKNOWN."""
        fault = self._reached("close", out_trade_no, now=now)
        trade = self._trades.get(out_trade_no)
        seen = trade.seen if trade is not None else _unheard(out_trade_no)
        if seen.state in (TradeState.WAITING, TradeState.REFUSED):
            seen = replace(seen, state=TradeState.CLOSED)
            self._remember(seen)
        self._answered(fault, out_trade_no)
        return seen

    async def refund(self, asked: RefundAsked, *, now: datetime) -> RefundSeen:
        """Give money back once for each number; a number used for something else is refused and changes nothing."""
        number = asked.out_refund_no
        fault = self._reached("refund", number, now=now)
        before = self._refunds.get(number)
        if before is None:
            seen = self._give_back(asked, fault=fault, now=now)
        elif (before.asked.out_trade_no, before.asked.amount_fen) != (asked.out_trade_no, asked.amount_fen):
            seen = RefundSeen(out_refund_no=number, progress=RefundProgress.REFUSED, reason="number_used")
        else:
            seen = _progress(before, now=now)
        self._answered(fault, number)
        return seen

    async def query_refund(self, out_refund_no: str, *, now: datetime) -> RefundSeen:
        """What became of a refund."""
        fault = self._reached("query_refund", out_refund_no, now=now)
        self._answered(fault, out_refund_no)
        refund = self._refunds.get(out_refund_no)
        if refund is None:
            return RefundSeen(out_refund_no=out_refund_no, progress=RefundProgress.UNKNOWN)
        return _progress(refund, now=now)

    def pay(self, out_trade_no: str, *, now: datetime, campus: str = "") -> PaymentSeen:
        """The member pays: its callback comes out of `take_callbacks`. A repeat pays nothing and calls back again.

        campus: whose books the callback is for, where several have this company. Raises PaymentEnded when it was never
        opened, or can no longer be paid.
        """
        trade = self._trades.get(out_trade_no)
        if trade is None or trade.seen.state in (TradeState.CLOSED, TradeState.REFUSED):
            raise PaymentEnded(out_trade_no=out_trade_no)
        fault = self._faults("pay", out_trade_no)
        return self._pay(out_trade_no, fault=fault, now=now, told=True, campus=campus)

    def take_callbacks(self, *, now: datetime, campus: str | None = None) -> list[PaymentSeen]:
        """The callbacks that are to be delivered by `now`, in order of time; each is given once. campus: its alone."""
        due: list[tuple[datetime, int, str, PaymentSeen]] = []
        others: list[tuple[datetime, int, str, PaymentSeen]] = []
        while self._callbacks and self._callbacks[0][0] <= now:
            callback = heapq.heappop(self._callbacks)
            (due if campus in (None, callback[2]) else others).append(callback)
        for callback in others:
            heapq.heappush(self._callbacks, callback)
        return [seen for _, _, _, seen in due]

    @property
    def paid_fen(self) -> int:
        """All that was ever paid, as far as remembered: the provider's side of the reconciliation."""
        return sum(trade.seen.amount_fen for trade in self._trades.values() if trade.seen.state is TradeState.PAID)

    @property
    def refunded_fen(self) -> int:
        """All that was ever given back, on its way or settled, as far as remembered."""
        return sum(trade.refunded_fen for trade in self._trades.values())

    def _pay(self, number: str, *, fault: Fault | None, now: datetime, told: bool, campus: str = "") -> PaymentSeen:
        trade = self._trades[number]
        seen = replace(trade.seen, state=TradeState.PAID, transaction_id=_transaction_id(number))
        if trade.paid_at is None:
            self._trades[number] = replace(trade, seen=seen, paid_at=now)
            self._pools[seen.transaction_id] = Pool(
                transaction_id=seen.transaction_id, paid_fen=seen.amount_fen, frozen_fen=seen.amount_fen
            )
            self._forget_oldest()
        times = 2 if fault is Fault.DUPLICATE else int(told or fault in (Fault.LATE, Fault.ANSWER_LOST))
        for _ in range(times):
            at = now + self._late_by if fault is Fault.LATE else now
            heapq.heappush(self._callbacks, (at, next(self._numbers), campus, seen))
        return seen

    def _give_back(self, asked: RefundAsked, *, fault: Fault | None, now: datetime) -> RefundSeen:
        trade = self._trades.get(asked.out_trade_no)
        if trade is None and self._remembered_max is not None:
            trade = _believed(asked, campus=self.campus)
        refusal = _refusal(asked, trade, fault)
        pool = None
        if trade is not None and not refusal:
            kept = self._pools.get(trade.seen.transaction_id) or _believed_pool(trade)
            pool = kept.give_back(asked.amount_fen) or self._advanced(kept, asked.amount_fen)
            refusal = "" if pool is not None else "not_enough"  # it is with others: they give it back first
        seen = RefundSeen(
            out_refund_no=asked.out_refund_no,
            progress=RefundProgress.REFUSED if refusal else RefundProgress.SETTLED,
            amount_fen=asked.amount_fen,
            reason=refusal,
        )
        settles_at = now + self._late_by if fault is Fault.LATE and not refusal else now
        if trade is not None and pool is not None:
            self._trades[asked.out_trade_no] = replace(trade, refunded_fen=trade.refunded_fen + asked.amount_fen)
            self._pools[pool.transaction_id] = pool
        refund = _Refund(asked=asked, seen=seen, settles_at=settles_at)
        self._refunds[asked.out_refund_no] = refund
        self._forget_oldest()
        return _progress(refund, now=now)

    def _trade_lines(self) -> list[BillLine]:
        paid = [
            BillLine(
                kind=BillKind.TRADES,
                key=trade.seen.out_trade_no,
                transaction_id=trade.seen.transaction_id,
                amount_fen=trade.seen.amount_fen,
                state=BillState.PAID,
                at=trade.paid_at,
                is_elsewhere=self._is_elsewhere(trade),
            )
            for trade in self._trades.values()
            if trade.paid_at is not None
        ]
        refunded = [
            BillLine(
                kind=BillKind.TRADES,
                key=refund.asked.out_refund_no,
                transaction_id=_transaction_id(refund.asked.out_trade_no),
                amount_fen=-refund.asked.amount_fen,
                state=BillState.REFUNDED,
                at=refund.settles_at,
                is_elsewhere=self._is_elsewhere(self._trades.get(refund.asked.out_trade_no)),
            )
            for refund in self._refunds.values()
            if refund.seen.progress is RefundProgress.SETTLED
        ]
        return [*paid, *refunded]

    def _is_elsewhere(self, trade: _Trade | None) -> bool:
        return trade is not None and bool(self.campus and trade.campus) and trade.campus != self.campus

    def _remember(self, seen: PaymentSeen) -> None:
        trade = self._trades.get(seen.out_trade_no) or _Trade(seen=seen, campus=self.campus)
        self._trades[seen.out_trade_no] = replace(trade, seen=seen)
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        super()._forget_oldest()
        if self._remembered_max is None:
            return
        for kept in (self._trades, self._refunds):
            if len(kept) > self._remembered_max:
                del kept[next(iter(kept))]


def _transaction_id(out_trade_no: str) -> str:
    return f"sandbox_{out_trade_no}"


def _progress(refund: _Refund, *, now: datetime) -> RefundSeen:
    if now < refund.settles_at:
        return replace(refund.seen, progress=RefundProgress.PROCESSING)
    return refund.seen


def _unheard(out_trade_no: str) -> PaymentSeen:
    return PaymentSeen(out_trade_no=out_trade_no, state=TradeState.UNKNOWN)


def _believed(asked: RefundAsked, *, campus: str) -> _Trade:
    seen = PaymentSeen(
        out_trade_no=asked.out_trade_no,
        state=TradeState.PAID,
        amount_fen=asked.captured_fen,
        transaction_id=_transaction_id(asked.out_trade_no),
    )
    return _Trade(seen=seen, campus=campus)


def _believed_pool(trade: _Trade) -> Pool:
    left = trade.seen.amount_fen - trade.refunded_fen
    return Pool(transaction_id=trade.seen.transaction_id, paid_fen=trade.seen.amount_fen, frozen_fen=left)


def _refusal(asked: RefundAsked, trade: _Trade | None, fault: Fault | None) -> str:
    """Why the refund is refused; empty when it is not."""
    if trade is None or trade.seen.state is not TradeState.PAID:
        return "not_paid"
    if asked.amount_fen <= 0 or trade.refunded_fen + asked.amount_fen > trade.seen.amount_fen:
        return "not_enough"
    return "refused" if fault is Fault.REFUSE else ""

"""The half of the in-process payment company that keeps frozen money: shares, returns and bills (C1, C3)."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import partial
from itertools import count
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.time import SHANGHAI
from tuanzi.money.model import RefundProgress
from tuanzi.money.problems import BillNotReady, ProviderUnreachable, ReceiverRefused
from tuanzi.money.vendors import (
    BillKind,
    BillLine,
    BillState,
    Receiver,
    ReceiverKind,
    ReceiverResult,
    ReceiverSeen,
    ReturnAsked,
    ReturnSeen,
    ShareAsked,
    ShareProgress,
    ShareReceiver,
    ShareSeen,
)

WHOLE = 10_000
BILL_HOUR = time(10, tzinfo=SHANGHAI)  # WeChat Pay v3: the bill of a day is there after 10:00 of the next


class Fault(StrEnum):
    """What may go wrong with one call."""

    REFUSE = "refuse"
    UNREACHABLE = "unreachable"  # the request is lost: nothing was done
    ANSWER_LOST = "answer_lost"  # it was done, and nobody was told
    DUPLICATE = "duplicate"  # the callback comes twice
    LATE = "late"  # the callback, or the end of the refund, share or return, comes `late_by` later
    CLOSED = "closed"  # the first receiver of a share is given nothing


# Called with the operation ("open", "pay", "query", "share", ...: the port's methods) and the outside number.
Faults = Callable[[str, str], Fault | None]


def faultless(operation: str, number: str) -> Fault | None:
    """Nothing goes wrong."""
    return None


class Pool(Struct, frozen=True, kw_only=True, gc=False):
    """Where one payment's money is: frozen, the merchant's own, or with others.

    promised_fen: given to others and still on its way there, before any return; the cap on shares counts it.
    """

    transaction_id: str
    paid_fen: int
    frozen_fen: int
    own_fen: int = 0
    promised_fen: int = 0

    def give_back(self, fen: int) -> Pool | None:
        """With so much refunded, frozen money first; None when it is not there."""
        if fen > self.frozen_fen + self.own_fen:
            return None
        frozen = min(fen, self.frozen_fen)
        return replace(self, frozen_fen=self.frozen_fen - frozen, own_fen=self.own_fen - (fen - frozen))

    def unfreeze(self) -> Pool:
        """With nothing frozen."""
        return replace(self, frozen_fen=0, own_fen=self.own_fen + self.frozen_fen)


class _Share(Struct, frozen=True, kw_only=True, gc=False):
    """A share or, without receivers, an unfreezing. results: what they are to be at `finishes_at`."""

    asked: ShareAsked
    results: tuple[ReceiverSeen, ...]
    finishes_at: datetime


class _Return(Struct, frozen=True, kw_only=True, gc=False):
    asked: ReturnAsked
    seen: ReturnSeen
    transaction_id: str
    settles_at: datetime


class SharingSandbox(ABC):
    """Keeps frozen money, shares and returns by their outside numbers; see SandboxProvider, which is paid."""

    def __init__(self, *, faults: Faults, late_by: timedelta, remembered_max: int | None, share_max: int) -> None:
        self._faults = faults
        self._late_by = late_by
        self._remembered_max = remembered_max
        self._share_max = share_max
        self._pools: dict[str, Pool] = {}
        self._receivers: dict[Receiver, None] = {}
        self._shares: dict[str, _Share] = {}
        self._returns: dict[str, _Return] = {}
        self._returns_of: dict[str, tuple[_Return, ...]] = {}
        self._unfinished: list[tuple[datetime, int, Callable[[], None]]] = []
        self._unfinished_numbers = count()

    async def share(self, asked: ShareAsked, *, now: datetime) -> ShareSeen:
        """Give frozen money to others, once for each number; see the port."""
        return self._shared(asked, operation="share", now=now)

    async def unfreeze(self, out_order_no: str, transaction_id: str, about: str, *, now: datetime) -> ShareSeen:
        """Make what is frozen the merchant's own: a share with nobody; see the port."""
        asked = ShareAsked(
            out_order_no=out_order_no,
            out_trade_no="",
            transaction_id=transaction_id,
            receivers=(),
            unfreeze_rest=True,
        )
        return self._shared(asked, operation="unfreeze", now=now)

    async def query_share(self, out_order_no: str, transaction_id: str, *, now: datetime) -> ShareSeen:
        """What became of a share or an unfreezing; see the port."""
        fault = self._reached("query_share", out_order_no, now=now)
        self._answered(fault, out_order_no)
        kept = self._shares.get(out_order_no)
        if kept is None or kept.asked.transaction_id != transaction_id:
            return ShareSeen(out_order_no=out_order_no, progress=ShareProgress.UNKNOWN)
        return _share_seen(kept, now=now)

    async def add_receiver(self, receiver: Receiver, name: str, *, now: datetime) -> None:
        """Let somebody be given shares; see the port."""
        fault = self._reached("add_receiver", receiver.account, now=now)
        if receiver.kind is ReceiverKind.MERCHANT and not name:
            raise ReceiverRefused(reason="param_error")
        self._receivers[receiver] = None
        self._answered(fault, receiver.account)

    async def unsplit(self, transaction_id: str, *, now: datetime) -> int:
        """Fen still frozen; see the port."""
        fault = self._reached("unsplit", transaction_id, now=now)
        self._answered(fault, transaction_id)
        pool = self._pools.get(transaction_id)
        return pool.frozen_fen if pool is not None else 0

    async def return_share(self, asked: ReturnAsked, *, now: datetime) -> ReturnSeen:
        """Take shared money back, once for each number; see the port."""
        number = asked.out_return_no
        fault = self._reached("return_share", number, now=now)
        kept = self._returns.get(number)
        if kept is None:
            seen = self._take_back(asked, fault=fault, now=now)
        elif kept.asked != asked:
            seen = ReturnSeen(out_return_no=number, progress=RefundProgress.REFUSED, reason="number_used")
        else:
            seen = _return_seen(kept, now=now)
        self._answered(fault, number)
        return seen

    async def query_return(self, out_return_no: str, out_order_no: str, *, now: datetime) -> ReturnSeen:
        """What became of a return; see the port."""
        fault = self._reached("query_return", out_return_no, now=now)
        self._answered(fault, out_return_no)
        kept = self._returns.get(out_return_no)
        if kept is None or kept.asked.out_order_no != out_order_no:
            return ReturnSeen(out_return_no=out_return_no, progress=RefundProgress.UNKNOWN)
        return _return_seen(kept, now=now)

    async def bill(self, kind: BillKind, on: date, *, now: datetime) -> tuple[BillLine, ...]:
        """All lines of a day, by time; what was forgotten is in no bill. See the port."""
        fault = self._reached("bill", f"{kind.value}:{on.isoformat()}", now=now)
        if now < datetime.combine(on + timedelta(days=1), BILL_HOUR):
            raise BillNotReady(bill=kind.value, on=on.isoformat())
        self._answered(fault, on.isoformat())
        moves = {BillKind.TRADES: self._trade_lines, BillKind.SHARES: self._share_lines}
        lines = [
            _fund_line(line) if kind is BillKind.FUNDS else line
            for of, lines_of in moves.items()
            if kind in (of, BillKind.FUNDS)
            for line in lines_of()
            if line.at.astimezone(SHANGHAI).date() == on
        ]
        return tuple(sorted(lines, key=lambda line: line.at))

    @property
    def shared_fen(self) -> int:
        """All that others were given and have not given back, as far as remembered."""
        return -sum(line.amount_fen for line in self._share_lines())

    @abstractmethod
    def _trade_lines(self) -> list[BillLine]:
        """The lines of what was paid and refunded, which the half that is paid knows."""

    def _reached(self, operation: str, number: str, *, now: datetime) -> Fault | None:
        fault = self._faults(operation, number)
        if fault is Fault.UNREACHABLE:
            raise ProviderUnreachable(number=number)
        while self._unfinished and self._unfinished[0][0] <= now:
            heapq.heappop(self._unfinished)[2]()
        return fault

    def _answered(self, fault: Fault | None, number: str) -> None:
        if fault is Fault.ANSWER_LOST:
            raise ProviderUnreachable(number=number)

    def _shared(self, asked: ShareAsked, *, operation: str, now: datetime) -> ShareSeen:
        number = asked.out_order_no
        fault = self._reached(operation, number, now=now)
        kept = self._shares.get(number)
        if kept is None:
            refusal = "refused" if fault is Fault.REFUSE else self._refusal(asked)
            if refusal:
                seen = ShareSeen(out_order_no=number, progress=ShareProgress.REFUSED, reason=refusal)
            else:
                seen = self._carry_out(asked, fault=fault, now=now)
        elif kept.asked != asked:
            seen = ShareSeen(out_order_no=number, progress=ShareProgress.REFUSED, reason="number_used")
        else:
            seen = _share_seen(kept, now=now)
        self._answered(fault, number)
        return seen

    def _refusal(self, asked: ShareAsked) -> str:
        """Why a share is refused; empty when it is not."""
        pool = self._pools.get(asked.transaction_id)
        if pool is None:
            return "not_paid"
        accounts = {part.receiver.account for part in asked.receivers}
        if any(part.amount_fen <= 0 for part in asked.receivers) or len(accounts) != len(asked.receivers):
            return "invalid"
        total = sum(part.amount_fen for part in asked.receivers)
        if not pool.frozen_fen or total > pool.frozen_fen:
            return "not_enough"
        return "above_ratio" if pool.promised_fen + total > pool.paid_fen * self._share_max // WHOLE else ""

    def _carry_out(self, asked: ShareAsked, *, fault: Fault | None, now: datetime) -> ShareSeen:
        results = tuple(self._result(part, fault=fault if i == 0 else None) for i, part in enumerate(asked.receivers))
        finishes_at = now + self._late_by if fault is Fault.LATE else now
        kept = _Share(asked=asked, results=results, finishes_at=finishes_at)
        self._shares[asked.out_order_no] = kept
        total = sum(part.amount_fen for part in asked.receivers)
        pool = self._pools[asked.transaction_id]
        pool = replace(pool, frozen_fen=pool.frozen_fen - total, promised_fen=pool.promised_fen + total)
        self._pools[asked.transaction_id] = pool.unfreeze() if asked.unfreeze_rest else pool
        self._at(finishes_at, partial(self._finish, kept), now=now)
        self._forget_oldest()
        return _share_seen(kept, now=now)

    def _result(self, part: ShareReceiver, *, fault: Fault | None) -> ReceiverSeen:
        reason = "account_abnormal" if fault is Fault.CLOSED else ""
        if part.receiver not in self._receivers and self._remembered_max is None:
            reason = "no_relation"
        return ReceiverSeen(
            account=part.receiver.account,
            amount_fen=part.amount_fen,
            result=ReceiverResult.CLOSED if reason else ReceiverResult.SUCCESS,
            reason=reason,
        )

    def _at(self, at: datetime, act: Callable[[], None], *, now: datetime) -> None:
        """Act at `at`, or now when that is past; seen by the first call after it."""
        if at <= now:
            act()
        else:
            heapq.heappush(self._unfinished, (at, next(self._unfinished_numbers), act))

    def _finish(self, kept: _Share) -> None:
        """Put the money of the parts that were closed back to where it came from."""
        pool = self._pools.get(kept.asked.transaction_id)
        if pool is None:
            return
        closed = sum(part.amount_fen for part in kept.results if part.result is ReceiverResult.CLOSED)
        pool = replace(pool, frozen_fen=pool.frozen_fen + closed, promised_fen=pool.promised_fen - closed)
        self._pools[pool.transaction_id] = pool.unfreeze() if kept.asked.unfreeze_rest else pool

    def _take_back(self, asked: ReturnAsked, *, fault: Fault | None, now: datetime) -> ReturnSeen:
        number = asked.out_return_no
        share = self._shares.get(asked.out_order_no)
        if share is None or now < share.finishes_at:
            return ReturnSeen(out_return_no=number, progress=RefundProgress.REFUSED, reason="not_shared")
        given = sum(part.amount_fen for part in _given(share) if part.account == asked.receiver.account)
        if not 0 < asked.amount_fen <= given - self._returned_by(asked.receiver, asked.out_order_no):
            return ReturnSeen(out_return_no=number, progress=RefundProgress.REFUSED, reason="not_enough")
        is_refused = fault is Fault.REFUSE
        seen = ReturnSeen(
            out_return_no=number,
            progress=RefundProgress.REFUSED if is_refused else RefundProgress.SETTLED,
            amount_fen=asked.amount_fen,
            reason="balance_not_enough" if is_refused else "",
        )
        settles_at = now + self._late_by if fault is Fault.LATE else now
        transaction_id = share.asked.transaction_id
        kept = _Return(asked=asked, seen=seen, transaction_id=transaction_id, settles_at=settles_at)
        self._returns[number] = kept
        self._returns_of[asked.out_order_no] = (*self._returns_of.get(asked.out_order_no, ()), kept)
        if not is_refused:
            self._at(settles_at, partial(self._settle, kept), now=now)
        self._forget_oldest()
        return _return_seen(kept, now=now)

    def _advanced(self, pool: Pool, fen: int) -> Pool | None:
        """With so much refunded, the rest out of the merchant's own money of other payments: it is one account.

        None when that is not enough either.
        """
        missing = fen - pool.frozen_fen - pool.own_fen
        others = [each for each in self._pools.values() if each.own_fen and each.transaction_id != pool.transaction_id]
        if missing > sum(each.own_fen for each in others):
            return None
        for each in others:
            taken = min(missing, each.own_fen)
            missing -= taken
            self._pools[each.transaction_id] = replace(each, own_fen=each.own_fen - taken)
        return replace(pool, frozen_fen=0, own_fen=0)

    def _returned_by(self, receiver: Receiver, out_order_no: str) -> int:
        """Fen that this receiver of a share gave back, settled or on their way."""
        return sum(
            kept.asked.amount_fen
            for kept in self._returns_of.get(out_order_no, ())
            if kept.asked.receiver == receiver and kept.seen.progress is RefundProgress.SETTLED
        )

    def _settle(self, kept: _Return) -> None:
        """Put returned money into the merchant's own hands."""
        pool = self._pools.get(kept.transaction_id)
        if pool is not None:
            self._pools[pool.transaction_id] = replace(pool, own_fen=pool.own_fen + kept.asked.amount_fen)

    def _share_lines(self) -> list[BillLine]:
        shares = [
            BillLine(
                kind=BillKind.SHARES,
                key=f"{kept.asked.out_order_no}/{part.account}",
                transaction_id=kept.asked.transaction_id,
                amount_fen=-part.amount_fen,
                state=BillState.SHARED,
                at=kept.finishes_at,
            )
            for kept in self._shares.values()
            for part in _given(kept)
        ]
        returns = [
            BillLine(
                kind=BillKind.SHARES,
                key=kept.asked.out_return_no,
                transaction_id=kept.transaction_id,
                amount_fen=kept.asked.amount_fen,
                state=BillState.RETURNED,
                at=kept.settles_at,
            )
            for kept in self._returns.values()
            if kept.seen.progress is RefundProgress.SETTLED
        ]
        return [*shares, *returns]

    def _forget_oldest(self) -> None:
        if self._remembered_max is None:
            return
        books: tuple[dict[Any, Any], ...] = (
            self._pools,
            self._receivers,
            self._shares,
            self._returns,
            self._returns_of,
        )
        for kept in books:
            if len(kept) > self._remembered_max:
                del kept[next(iter(kept))]


def _fund_line(line: BillLine) -> BillLine:
    """The same in the bill of funds, which knows receivers and orders less well."""
    key = line.key.partition("/")[0] if line.state is BillState.SHARED else line.key
    transaction_id = line.transaction_id if line.state is BillState.PAID else ""
    return replace(line, kind=BillKind.FUNDS, key=key, transaction_id=transaction_id)


def _given(kept: _Share) -> list[ReceiverSeen]:
    """The parts of a share that their receivers get, or got."""
    return [part for part in kept.results if part.result is ReceiverResult.SUCCESS]


def _share_seen(kept: _Share, *, now: datetime) -> ShareSeen:
    number = kept.asked.out_order_no
    if now < kept.finishes_at:
        pending = tuple(replace(part, result=ReceiverResult.PENDING, reason="") for part in kept.results)
        return ShareSeen(out_order_no=number, progress=ShareProgress.PROCESSING, receivers=pending)
    return ShareSeen(out_order_no=number, progress=ShareProgress.FINISHED, receivers=kept.results)


def _return_seen(kept: _Return, *, now: datetime) -> ReturnSeen:
    if now < kept.settles_at:
        return replace(kept.seen, progress=RefundProgress.PROCESSING)
    return kept.seen

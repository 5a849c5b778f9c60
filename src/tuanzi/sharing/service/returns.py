"""Shared money on its way back from receivers."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.money import Account, JournalKind, RefundProgress, pause, send_refund
from tuanzi.sharing.model import (
    AskReturn,
    CaseKind,
    ClawBack,
    RecordReturn,
    ReturnStanding,
    ReturnState,
    SendReturn,
    Share,
    ShareReturn,
    Sharing,
)
from tuanzi.sharing.service.cases import open_case
from tuanzi.sharing.service.debts import owe
from tuanzi.sharing.service.journals import book


def record_return(unit: Unit, command: RecordReturn, *, now: datetime) -> ReturnStanding:
    """Book what a receiver gave back; when all returns of a refund are over, well or not, the refund is sent.

    A return that is refused stays owed by its receiver, and asks for a person. Repeats and late reports change
    nothing. Raises Unknown.
    """
    back = unit.load(ShareReturn, command.return_id)
    if back.state not in (ReturnState.DUE, ReturnState.SENT) or back.out_return_no != command.out_return_no:
        return _return_standing(back)
    match command.progress:
        case RefundProgress.PROCESSING | RefundProgress.UNKNOWN:
            sent = replace(back, state=ReturnState.SENT)
            unit.put(sent)
            ask = AskReturn(sent=return_errand(unit, sent))
            unit.schedule(return_timer(sent), ask, at=now + pause(sent.due_at, now=now))
            return _return_standing(sent)
        case RefundProgress.SETTLED if command.amount_fen == back.left.fen:
            ended = replace(back, state=ReturnState.SETTLED, ended_at=now, reason="")
            lines = {Account.PROVIDER_CLEARING.value: back.left.fen, back.owed_in: -back.left.fen}
            book(unit, JournalKind.SHARE_RETURNED, reference=back.id, order_id=back.order_id, lines=lines, now=now)
        case RefundProgress.SETTLED:
            ended = replace(back, state=ReturnState.REFUSED, ended_at=now, reason="amount_differs")
        case RefundProgress.REFUSED:
            ended = replace(back, state=ReturnState.REFUSED, ended_at=now, reason=command.reason or "refused")
        case _:
            assert_never(command.progress)
    unit.put(ended)
    unit.unschedule(return_timer(ended))
    if ended.state is ReturnState.REFUSED:
        owe(unit, ended)
        open_return_case(unit, ended, now=now)
    if ended.attempts == 1:
        _return_is_over(unit, ended, now=now)
    return _return_standing(ended)


def return_errand(unit: Unit, back: ShareReturn) -> SendReturn:
    """The errand that asks a receiver for what is left of a return."""
    return SendReturn(
        return_id=back.id,
        out_return_no=back.out_return_no,
        out_order_no=unit.load(Share, back.share_id).out_order_no,
        kind=back.kind,
        account=back.account,
        amount_fen=back.left.fen,
    )


def open_return_case(unit: Unit, back: ShareReturn, *, now: datetime) -> None:
    """A receiver does not give back what is left of a return: a person must look."""
    open_case(
        unit,
        CaseKind.RETURN,
        reference=back.id,
        order_id=back.order_id,
        amount=back.left,
        reason=back.reason,
        now=now,
    )


def _return_is_over(unit: Unit, back: ShareReturn, *, now: datetime) -> None:
    claw = unit.load(ClawBack, back.refund_id)
    claw = replace(claw, open_returns=claw.open_returns - 1)
    unit.put(claw)
    is_held = back.refund_id in unit.load(Sharing, back.order_id).held_refunds
    if not claw.open_returns and not is_held:
        send_refund(unit, back.refund_id, now=now)


def return_timer(back: ShareReturn) -> str:
    """The timer of the next step of a return."""
    return f"return:{back.id}"


def _return_standing(back: ShareReturn) -> ReturnStanding:
    return ReturnStanding(return_id=back.id, state=back.state, amount_fen=back.amount.fen, reason=back.reason)

"""Shares at the payment company: sent under the number of their round, and booked as it says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from tuanzi.base.money import ZERO, Money
from tuanzi.base.unit import Unit
from tuanzi.money import Account, JournalKind, Payment, ReceiverResult, ShareProgress, out_refund_no_of, pause
from tuanzi.sharing.model import (
    CLOSED_MAX,
    PERSON_ERASED,
    AskShare,
    CaseKind,
    Payee,
    PayeeState,
    PayoutStanding,
    PayoutState,
    RecordShare,
    SeenPart,
    SendShare,
    SentPart,
    Share,
    SharePart,
    ShareState,
    Sharing,
    StartPayout,
    Transfer,
    payee_id_of,
    share_id,
    unregistered_payee,
)
from tuanzi.sharing.service.cases import open_case
from tuanzi.sharing.service.journals import book
from tuanzi.sharing.service.transfers import keep_transfer, transfers_of


def record_share(unit: Unit, command: RecordShare, *, now: datetime) -> PayoutStanding:
    """Book what a share has given, and go on with what it has not; repeats and late reports change nothing.

    Raises Unknown.
    """
    share = unit.load(Share, command.share_id)
    sharing = unit.load(Sharing, share.order_id)
    if share.state is not ShareState.SENT:
        return payout_standing(sharing)
    parts = parts_of(unit, share)
    match command.progress:
        case ShareProgress.PROCESSING | ShareProgress.UNKNOWN:
            return _ask_share_later(unit, sharing, share, parts=parts, now=now)
        case ShareProgress.FINISHED:
            results = _results(parts, command.receivers)
            if results is None:
                open_case(
                    unit,
                    CaseKind.SHARE,
                    reference=share.id,
                    order_id=sharing.order_id,
                    amount=ZERO,
                    reason="results_differ",
                    now=now,
                )
                return _ask_share_later(unit, sharing, share, parts=parts, now=now)
            matched = [(part, results[part.account]) for part in parts]
            _record_parts(unit, sharing, share, results=matched, now=now)
        case ShareProgress.REFUSED:
            _record_refused_share(unit, sharing, parts, command=command, now=now)
        case _:
            assert_never(command.progress)
    is_finished = command.progress is ShareProgress.FINISHED
    ended = ShareState.FINISHED if is_finished else ShareState.REFUSED
    unit.put(replace(share, state=ended, ended_at=now, reason=command.reason))
    return go_on(unit, sharing, now=now)


def give_share(
    unit: Unit, sharing: Sharing, *, payment: Payment, due: list[Transfer], payees: dict[str, Payee], now: datetime
) -> PayoutStanding:
    """Send a share of all that is due, under the number of its round."""
    number = sharing.rounds + 1
    share = Share(
        id=share_id(sharing.order_id, number),
        order_id=sharing.order_id,
        payment_id=payment.id,
        out_order_no=out_refund_no_of(share_id(sharing.order_id, number)),
        state=ShareState.SENT,
        parts=len(due),
        sent_at=now,
    )
    unit.add(share)
    parts = []
    for i, each in enumerate(due):
        payee = payees[payee_id_of(each.account) or ""]
        part = SharePart(
            share_id=share.id,
            number=i,
            order_id=sharing.order_id,
            line=each.line,
            payee_id=payee.id,
            kind=payee.kind,
            account=payee.account,
            amount=each.due,
        )
        unit.add(part)
        keep_transfer(unit, replace(each, sent=each.due))
        parts.append(part)
    sharing = replace(sharing, payout=PayoutState.SHARING, rounds=number)
    unit.put(sharing)
    unit.schedule(payout_timer(sharing), _send_share(share, parts, payment), at=now)
    return payout_standing(sharing)


def _send_share(share: Share, parts: Sequence[SharePart], payment: Payment) -> SendShare:
    receivers: dict[str, SentPart] = {}
    for part in parts:
        before = receivers.get(part.account)
        fen = part.amount.fen + (before.amount_fen if before is not None else 0)
        receivers[part.account] = SentPart(kind=part.kind, account=part.account, amount_fen=fen)
    return SendShare(
        share_id=share.id,
        out_order_no=share.out_order_no,
        out_trade_no=payment.out_trade_no,
        transaction_id=payment.transaction_id or "",
        receivers=tuple(receivers.values()),
    )


def parts_of(unit: Unit, share: Share) -> list[SharePart]:
    """What a share gives, by number."""
    return [unit.load(SharePart, (share.id, number)) for number in range(share.parts)]


def _ask_share_later(
    unit: Unit, sharing: Sharing, share: Share, *, parts: Sequence[SharePart], now: datetime
) -> PayoutStanding:
    ask = AskShare(sent=_send_share(share, parts, unit.load(Payment, share.payment_id)))
    unit.schedule(payout_timer(sharing), ask, at=now + pause(share.sent_at, now=now))
    return payout_standing(sharing)


def _record_parts(
    unit: Unit,
    sharing: Sharing,
    share: Share,
    *,
    results: Sequence[tuple[SharePart, SeenPart]],
    now: datetime,
) -> None:
    """Book the parts that were given; a closed one is given once more with its receiver added anew, then closed."""
    lines: dict[str, int] = {}
    for part, seen in results:
        unit.put(replace(part, result=seen.result, reason=seen.reason))
        before = transfers_of(unit, sharing)[part.line]
        if seen.result is ReceiverResult.SUCCESS:
            keep_transfer(unit, replace(before, sent=before.sent - part.amount, given=before.given + part.amount))
            lines[before.account] = lines.get(before.account, 0) + part.amount.fen
            continue
        closed = replace(before, sent=before.sent - part.amount, closed=before.closed + 1)
        keep_transfer(unit, closed)
        payee = unit.find(Payee, part.payee_id) or unregistered_payee(part.payee_id)
        if payee.refusal != PERSON_ERASED:
            unit.put(replace(payee, state=PayeeState.NEW))
        if closed.closed >= CLOSED_MAX:
            close_transfer(unit, closed, reason=seen.reason or "closed", now=now)
    lines[Account.PROVIDER_CLEARING.value] = -sum(lines.values())
    book(unit, JournalKind.SHARE_GIVEN, reference=share.id, order_id=sharing.order_id, lines=lines, now=now)


def _record_refused_share(
    unit: Unit, sharing: Sharing, parts: Sequence[SharePart], *, command: RecordShare, now: datetime
) -> None:
    """Nothing was given. When less is frozen than was asked, that is shared out; what is left is owed, and a case."""
    wanted = [part.amount.fen for part in parts]
    frozen = Money(command.frozen_fen)
    is_short = 0 < frozen.fen < sum(wanted)
    allowed = frozen.share(wanted) if is_short else [ZERO] * len(parts)
    for part, fen in zip(parts, allowed, strict=True):
        unit.put(replace(part, result=ReceiverResult.CLOSED, reason=command.reason))
        before = transfers_of(unit, sharing)[part.line]
        back = replace(before, sent=before.sent - part.amount)
        close_transfer(unit, back, reason=command.reason or "refused", now=now, but=fen)


def close_transfer(unit: Unit, transfer: Transfer, *, reason: str, now: datetime, but: Money = ZERO) -> None:
    """Give no more of a transfer through the payment company, but for `but`: it is owed all the same."""
    closed = replace(transfer, outward=transfer.given + transfer.sent + but)
    keep_transfer(unit, closed)
    owed = closed.held - but
    if owed:
        reference = f"{transfer.order_id}.{transfer.line}"
        open_case(
            unit, CaseKind.SHARE, reference=reference, order_id=transfer.order_id, amount=owed, reason=reason, now=now
        )


def go_on(unit: Unit, sharing: Sharing, *, now: datetime) -> PayoutStanding:
    """A share is over: the next step of the payout is due at once."""
    due = replace(sharing, payout=PayoutState.DUE)
    unit.put(due)
    unit.schedule(payout_timer(due), StartPayout(order_id=due.order_id), at=now)
    return payout_standing(due)


def _results(parts: Sequence[SharePart], seen: Sequence[SeenPart]) -> dict[str, SeenPart] | None:
    """What was said of each receiver; None when that is not what was asked."""
    asked: dict[str, int] = {}
    for part in parts:
        asked[part.account] = asked.get(part.account, 0) + part.amount.fen
    said = {one.account: one for one in seen if one.result is not ReceiverResult.PENDING}
    is_as_asked = {account: one.amount_fen for account, one in said.items()} == asked
    return said if is_as_asked else None


def payout_timer(sharing: Sharing) -> str:
    """The timer of the next step of an order's payout; there is one at a time."""
    return f"payout:{sharing.order_id}"


def payout_standing(sharing: Sharing) -> PayoutStanding:
    """The answer of every payout command."""
    return PayoutStanding(order_id=sharing.order_id, payout=sharing.payout, rounds=sharing.rounds)

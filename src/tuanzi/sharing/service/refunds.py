"""Refunds of orders that were shared: out of what nobody claims, then from those who have shares (B8)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.money import Money
from tuanzi.base.unit import Unit
from tuanzi.money import (
    Account,
    JournalKind,
    ReceiverKind,
    Refund,
    RefundStanding,
    RefundState,
    RetryRefund,
    hold_refund,
    let_refund_wait,
    out_refund_no_of,
    payment_to_refund,
    promise_refund,
    refund_standing,
)
from tuanzi.sharing.model import (
    POOL,
    ClawBack,
    Loss,
    Party,
    PayoutState,
    ReturnState,
    Share,
    SharePart,
    ShareReturn,
    Sharing,
    SharingState,
    StartPayout,
    account_of,
    advance_of,
    losses,
    payee_id_of,
    share_id,
)
from tuanzi.sharing.service.debts import owe
from tuanzi.sharing.service.journals import book
from tuanzi.sharing.service.payouts import end_dispute
from tuanzi.sharing.service.returns import open_return_case, return_errand, return_timer
from tuanzi.sharing.service.shares import parts_of, payout_timer
from tuanzi.sharing.service.terms import unspend
from tuanzi.sharing.service.transfers import is_for_person, keep_transfer, transfers_of


def pay_back(unit: Unit, refund: Refund, *, now: datetime) -> RefundStanding:
    """Owe a refund to its member: out of what nobody lays claim to, then from those who have shares (B8).

    They lose in proportion to what they have left, exactly. What they were given already comes back first, and the
    member gets his money in any case (P12). A refund that comes while a share is with the payment company waits for it.
    """
    sharing = unit.find(Sharing, refund.order_id)
    payment = payment_to_refund(unit, refund)
    if sharing is None or payment is None or sharing.payment_id != payment.id:
        return promise_refund(unit, refund, now=now)
    short = refund.amount.fen - (payment.left() - sharing.claimed).fen
    if short <= 0:
        return promise_refund(unit, refund, now=now)
    if sharing.payout is PayoutState.SHARING:
        return let_refund_wait(unit, refund, now=now)
    open_returns = _claw_back(unit, sharing, refund, short=Money(short), now=now)
    if sharing.is_disputed:
        end_dispute(unit, unit.load(Sharing, sharing.order_id), now=now)
    standing = promise_refund(unit, refund, now=now)
    is_held = _give_persons_first(unit, refund, now=now)
    if open_returns or is_held:
        hold_refund(unit, refund.id)
    return standing


def retry_refund(unit: Unit, command: RetryRefund, *, now: datetime) -> RefundStanding:
    """Try a waiting refund again; one that is not waiting stays as it is. Raises Unknown."""
    refund = unit.load(Refund, command.refund_id)
    if refund.state is not RefundState.WAITING:
        return refund_standing(refund)
    return pay_back(unit, refund, now=now)


def _give_persons_first(unit: Unit, refund: Refund, *, now: datetime) -> bool:
    """Whether persons are given what is left of theirs before this refund takes what is frozen; it begins now."""
    sharing = unit.load(Sharing, refund.order_id)
    transfers = transfers_of(unit, sharing)
    are_merchants_paid = any([each.given for each in transfers if payee_id_of(each.account) is not None])
    waits = any([is_for_person(each) and payee_id_of(each.account) is not None for each in transfers])
    if sharing.payout is not PayoutState.DUE or not are_merchants_paid or not waits:
        return False
    unit.put(replace(sharing, persons_at=now, held_refunds=(*sharing.held_refunds, refund.id)))
    unit.schedule(payout_timer(sharing), StartPayout(order_id=sharing.order_id), at=now)
    return True


def _claw_back(unit: Unit, sharing: Sharing, refund: Refund, *, short: Money, now: datetime) -> int:
    """Take `short` from those who have shares; how many returns are open now."""
    lost = losses(transfers_of(unit, sharing), short, sub_order_id=refund.sub_order_id)
    lines = {Account.ORDER_ESCROW.value: -short.fen, Account.SUBSIDY_EXPENSE.value: 0}
    returns: list[ShareReturn] = []
    for loss in lost:
        before = loss.transfer
        keep_transfer(unit, loss.after())
        lines[before.account] = lines.get(before.account, 0) + loss.cut.fen
        if before.is_subsidy:
            lines[Account.SUBSIDY_EXPENSE.value] -= loss.cut.fen
            unspend(unit, loss.cut)
        if loss.back:
            owed_in = advance_of(before.account)
            lines[owed_in] = lines.get(owed_in, 0) + loss.back.fen
            returns += _returns_of(unit, sharing, loss, refund=refund, first=len(returns) + 1, owed_in=owed_in, now=now)
    for back in returns:
        unit.add(back)
        if back.state is ReturnState.DUE:
            unit.schedule(return_timer(back), return_errand(unit, back), at=now)
        else:
            owe(unit, back)
            if back.owed_in == advance_of(account_of(Party.RIDER, POOL)):
                open_return_case(unit, back, now=now)  # nothing more comes of which it could be kept
    open_returns = sum([back.state is ReturnState.DUE for back in returns])
    claw = ClawBack(
        refund_id=refund.id,
        order_id=refund.order_id,
        amount=short,
        losses=tuple([(loss.transfer.line, loss.cut, loss.back) for loss in lost]),
        returns=len(returns),
        open_returns=open_returns,
        at=now,
    )
    unit.add(claw)
    unit.put(replace(sharing, claimed=sharing.claimed - short))
    if sharing.state is SharingState.POSTED:
        book(unit, JournalKind.CLAW_BACK, reference=refund.id, order_id=refund.order_id, lines=lines, now=now)
    return open_returns


def _returns_of(
    unit: Unit, sharing: Sharing, loss: Loss, *, refund: Refund, first: int, owed_in: str, now: datetime
) -> list[ShareReturn]:
    """The returns that bring one transfer's loss back, from its shares in order."""
    left = loss.back.fen
    returns: list[ShareReturn] = []
    for number in range(1, sharing.rounds + 1):
        share = unit.load(Share, share_id(sharing.order_id, number))
        for part in parts_of(unit, share):
            if part.line == loss.transfer.line and (fen := min(left, part.kept.fen)):
                left -= fen
                unit.put(replace(part, back=part.back + Money(fen)))
                name = f"{refund.id}.b{first + len(returns)}"
                returns.append(_return_of(part, name, Money(fen), refund=refund, owed_in=owed_in, now=now))
    if left:  # it was paid otherwise, and so must come back
        name = f"{refund.id}.b{first + len(returns)}"
        bank = SharePart(
            share_id="",
            number=0,
            order_id=sharing.order_id,
            line=loss.transfer.line,
            payee_id="",
            kind=ReceiverKind.PERSON,
            account="",
            amount=Money(left),
        )
        returns.append(_return_of(bank, name, Money(left), refund=refund, owed_in=owed_in, now=now))
    return returns


def _return_of(part: SharePart, name: str, fen: Money, *, refund: Refund, owed_in: str, now: datetime) -> ShareReturn:
    """A return of a part. WeChat takes back from merchants only: a person owes it, and it is kept from his next."""
    is_merchants = part.kind is ReceiverKind.MERCHANT
    return ShareReturn(
        id=name,
        order_id=part.order_id,
        refund_id=refund.id,
        share_id=part.share_id,
        part=part.number,
        kind=part.kind,
        account=part.account,
        owed_in=owed_in,
        amount=fen,
        out_return_no=out_refund_no_of(name),
        attempts=1,
        state=ReturnState.DUE if is_merchants else ReturnState.REFUSED,
        due_at=now,
        ended_at=None if is_merchants else now,
        reason="" if is_merchants else "not_a_merchant",
    )

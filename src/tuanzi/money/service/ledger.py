"""The ledger: journals are booked once, and what reconciliation mends in them (C2, C3)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.money import Money
from tuanzi.base.unit import Unit
from tuanzi.money.model import (
    ASIDE_KINDS,
    Account,
    Balance,
    Entry,
    Journal,
    JournalHead,
    JournalKind,
    LedgerProof,
    Payment,
    PayoutHold,
    aside_reference,
    empty_account,
    transfer,
)
from tuanzi.money.problems import BookedDifferently, NotInSuspense


def book(unit: Unit, journal: Journal) -> bool:
    """Book a journal once: True when it is booked now, False when the very same was booked before.

    Raises BookedDifferently for other entries under the same id, where the first booking stands; Overdrawn.
    """
    head = unit.find(JournalHead, journal.id)
    if head is None:
        book_new(unit, journal)
        return True
    same = head.entry_count == len(journal.entries) and all(
        unit.find(Entry, (entry.journal_id, entry.line)) == entry for entry in journal.entries
    )
    if not same:
        raise BookedDifferently(journal_id=journal.id)
    return False


def book_new(unit: Unit, *journals: Journal) -> None:
    """Book journals whose ids are known to be new; the table's key says the same. Raises Overdrawn.

    Limits hold for what all of them leave: each account is moved once, however many of their lines it has.
    """
    moved: dict[str, int] = {}
    for journal in journals:
        unit.add(journal.head())
        for entry in journal.entries:
            unit.add(entry)
            moved[entry.account] = moved.get(entry.account, 0) + entry.amount.fen
    for account, fen in moved.items():
        balance = unit.find(Balance, account) or empty_account(account)
        unit.put(balance.moved(Money(fen)))


def restore_journal(unit: Unit, journal: Journal) -> None:
    """Write a journal's rows as they must have been, whatever is left of them; balances counted them before (C3)."""
    unit.restore(journal.head())
    for entry in journal.entries:
        unit.restore(entry)


def restore_balance(unit: Unit, account: str, *, amount: Money) -> None:
    """Write an account's running balance as the sum of its entries (C3)."""
    known = unit.find(Balance, account) or empty_account(account)
    unit.restore(replace(known, amount=amount))


def keep_proof(unit: Unit, proof: LedgerProof) -> None:
    """Keep what reading the whole ledger said, beside what a later reading did; a repeat changes nothing (C3)."""
    unit.put(proof.after(unit.find(LedgerProof, proof.id)))


def set_aside(unit: Unit, *, id: str, order_id: str, more: Money, now: datetime) -> Money:
    """Book what the provider has more (or less: negative) than the ledger into suspense (C3).

    Of a difference that had another amount before, whatever became of that, only the rest is booked: so a repeat books
    nothing. Gives what it has in suspense now: nothing where all of it was dealt with.
    """
    entries = _aside_entries(unit, id)
    if rest := more.fen - _moved(entries, Account.PROVIDER_CLEARING):
        aside = transfer(
            JournalKind.DIFFERENCE,
            _next_reference(unit, JournalKind.DIFFERENCE, id),
            order_id=order_id,
            debit=Account.PROVIDER_CLEARING.value,
            credit=Account.SUSPENSE.value,
            amount=Money(rest),
            at=now,
        )
        book_new(unit, aside)
    return Money(rest - _moved(entries, Account.SUSPENSE))


def reverse_capture(unit: Unit, payment: Payment, *, escrow: Money, id: str, now: datetime) -> None:
    """Book that the provider never had a payment's money, once for each id; the payment's row stays as evidence (C3).

    escrow: what its order still has in escrow, which is gone; what went on to others is now in suspense.
    """
    gone = min(escrow, payment.captured)
    own = f"{JournalKind.REVERSAL.value}:{id}"
    if unit.find(JournalHead, own) is not None:
        return  # what was in escrow then may be elsewhere now
    moves = (
        (Account.ORDER_ESCROW, gone),
        (Account.SUSPENSE, payment.captured - gone),
        (Account.PROVIDER_CLEARING, -payment.captured),
    )
    entries = [
        Entry(journal_id=own, line=i, account=account.value, order_id=payment.order_id, amount=amount)
        for i, (account, amount) in enumerate([move for move in moves if move[1]])
    ]
    book_new(unit, Journal(kind=JournalKind.REVERSAL, reference=id, at=now, entries=tuple(entries)))


def end_aside(unit: Unit, *, id: str, order_id: str, into: Account, now: datetime) -> Money:
    """Book what a difference has in suspense (`set_aside`, `reverse_capture`) into another account, once.

    Gives how much more it was than the ledger knew; negative for less. Raises NotInSuspense when there is nothing.
    """
    more = -_moved(_aside_entries(unit, id), Account.SUSPENSE)
    if not more:
        raise NotInSuspense(difference_id=id)
    ended = transfer(
        JournalKind.SUSPENSE_ENDED,
        _next_reference(unit, JournalKind.SUSPENSE_ENDED, id),
        order_id=order_id,
        debit=Account.SUSPENSE.value,
        credit=into.value,
        amount=Money(more),
        at=now,
    )
    book_new(unit, ended)
    return Money(more)


def _aside_entries(unit: Unit, id: str) -> list[Entry]:
    """All that was booked because of a difference."""
    heads = [head for kind in ASIDE_KINDS for head in _booked(unit, kind, id)]
    return [unit.load(Entry, (head.id, line)) for head in heads for line in range(head.entry_count)]


def _moved(entries: list[Entry], account: Account) -> int:
    return sum([entry.amount.fen for entry in entries if entry.account == account.value])


def _booked(unit: Unit, kind: JournalKind, id: str) -> list[JournalHead]:
    """The journals of one kind about a difference, in order."""
    heads: list[JournalHead] = []
    while (head := unit.find(JournalHead, f"{kind.value}:{aside_reference(id, len(heads) + 1)}")) is not None:
        heads.append(head)
    return heads


def _next_reference(unit: Unit, kind: JournalKind, id: str) -> str:
    return aside_reference(id, len(_booked(unit, kind, id)) + 1)


def hold_payouts(unit: Unit, merchant_id: str, *, because: str) -> None:
    """Pay this merchant nothing out until `free_payouts` was told the same reason; a repeat changes nothing (C3)."""
    hold = unit.find(PayoutHold, merchant_id)
    reasons = () if hold is None else hold.because
    if because not in reasons:
        unit.put(PayoutHold(merchant_id=merchant_id, because=(*reasons, because)))


def free_payouts(unit: Unit, merchant_id: str, *, because: str) -> None:
    """Forget one reason to hold a merchant's payouts; nothing happens when it was none."""
    hold = unit.find(PayoutHold, merchant_id)
    if hold is None or because not in hold.because:
        return
    left = tuple([reason for reason in hold.because if reason != because])
    if left:
        unit.put(replace(hold, because=left))
    else:
        unit.remove(PayoutHold, merchant_id)


def payouts_held(unit: Unit, merchant_id: str) -> bool:
    """Whether a merchant is to be paid nothing out for now: his books do not agree (C3)."""
    return unit.find(PayoutHold, merchant_id) is not None

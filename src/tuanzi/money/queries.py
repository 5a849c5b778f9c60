"""What pages show of money: who got what of an order, the trial balance, the payments (C2, C3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from tuanzi.base.money import Money
from tuanzi.base.problem import Unknown
from tuanzi.base.time import from_ms
from tuanzi.machinery.database import Ask
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import rows_of, rows_of_period, rows_of_there, several, whole_rows, whole_rows_there
from tuanzi.money import store
from tuanzi.money.model import (
    ASIDE_KINDS,
    OFF_MAX,
    Account,
    AccountOff,
    JournalKind,
    LedgerProof,
    Payment,
    Refund,
    aside_reference,
)


class AccountBalance(Struct, frozen=True, kw_only=True, gc=False):
    """An account and what its entries add up to: debit positive, credit negative."""

    account: str
    balance_fen: int


class AccountOffView(Struct, frozen=True, kw_only=True, gc=False):
    """An account whose entries came to another sum than its running balance said."""

    account: str
    balance_fen: int
    running_fen: int


class ProofView(Struct, frozen=True, kw_only=True, gc=False):
    """What reading the whole ledger said.

    summed_at, entries: the last time all entries were summed, and how many there were; difference_fen: their sum, 0.
    off_count, off: accounts whose running balance was another, and the first hundred. proven_at: the last time every
    journal was looked at too; null before the first time.
    """

    summed_at: datetime
    entries: int
    difference_fen: int
    off_count: int
    off: tuple[AccountOffView, ...]
    proven_at: datetime | None


class TrialBalance(Struct, frozen=True, kw_only=True, gc=False):
    """All accounts of a campus as of now, and a page of them. `difference_fen` is the sum of all: 0.

    account_count, debit_fen, credit_fen: of all accounts, and what those with a debit and those with a credit come to.
    next: what to ask for as `after`. proof: what the last reading of the whole ledger said; null before the first.
    agrees: nothing was made or lost, then and since; null where nobody has looked yet. unbalanced_journals: the first
    hundred that did not add up at `proof.proven_at`.
    """

    accounts: tuple[AccountBalance, ...]
    next: str | None
    account_count: int
    debit_fen: int
    credit_fen: int
    difference_fen: int
    agrees: bool | None
    unbalanced_journals: tuple[str, ...]
    proof: ProofView | None


class AccountSums(Struct, frozen=True, kw_only=True, gc=False):
    """An account: the sum of its entries (debit positive, credit negative) and the running balance kept beside them."""

    account: str
    summed_fen: int
    running_fen: int
    entry_count: int


class PaymentView(Struct, frozen=True, kw_only=True, gc=False):
    """A payment as an operator or its member sees it."""

    id: str
    order_id: str
    member_id: str
    amount_fen: int
    captured_fen: int
    refunded_fen: int
    state: str
    provider: str
    out_trade_no: str
    transaction_id: str | None
    opened_at: datetime
    captured_at: datetime | None


class PaymentsPage(Struct, frozen=True, kw_only=True, gc=False):
    """Payments in order of their ids; `next` is where the next page begins, None on the last."""

    items: list[PaymentView]
    next: str | None


class RefundView(Struct, frozen=True, kw_only=True, gc=False):
    """A refund and how far it is."""

    id: str
    payment_id: str
    out_refund_no: str
    amount_fen: int
    state: str
    reason: str
    refusal: str | None
    due_at: datetime
    settled_at: datetime | None


class EntryView(Struct, frozen=True, kw_only=True, gc=False):
    """One line of the ledger: debit positive, credit negative."""

    journal_id: str
    at: datetime
    account: str
    amount_fen: int


class OrderEntry(EntryView, frozen=True, kw_only=True, gc=False):
    """One line of the ledger, and whose order it is about."""

    order_id: str


class OrderLedger(Struct, frozen=True, kw_only=True, gc=False):
    """Who got what of an order so far.

    captured_fen = escrow_fen + refund_owed_fen + refunded_fen + what was shared with others.
    """

    order_id: str
    captured_fen: int
    escrow_fen: int
    refund_owed_fen: int
    refunded_fen: int
    payments: list[PaymentView]
    refunds: list[RefundView]
    entries: list[EntryView]


async def trial_balance(desk: Desk, *, after: str = "", limit: int = 500) -> TrialBalance:
    """What all accounts of the campus come to, those behind `after`, and the last proof that nothing was made or lost.

    Costs a row for each account, however long the ledger is: balances are kept in the commits that write entries. What
    was changed behind the house's back shows when the whole ledger is read next (`reconciliation`).
    """
    found = await desk.rows(store.BALANCES_PAGE, {"after": after, "limit": limit + 1})
    accounts = tuple(AccountBalance(account=account, balance_fen=fen) for account, fen in found[:limit])
    ((count, debit, credit),) = await desk.rows(store.BALANCES_SIDES)
    rows = await desk.rows(store.PROOF)
    proof = store.LEDGER_PROOFS.from_row(rows[0]) if rows else None
    difference = int(debit or 0) - int(credit or 0)
    return TrialBalance(
        accounts=accounts,
        next=accounts[-1].account if len(found) > limit else None,
        account_count=count,
        debit_fen=int(debit or 0),
        credit_fen=int(credit or 0),
        difference_fen=difference,
        agrees=False if difference else None if proof is None else proof.agrees,
        unbalanced_journals=() if proof is None else proof.unbalanced,
        proof=None if proof is None else _proof_view(proof),
    )


def _proof_view(proof: LedgerProof) -> ProofView:
    return ProofView(
        summed_at=proof.summed_at,
        entries=proof.entries,
        difference_fen=proof.difference.fen,
        off_count=proof.off_count,
        off=tuple(
            AccountOffView(account=one.account, balance_fen=one.summed_fen, running_fen=one.running_fen)
            for one in proof.accounts_off
        ),
        proven_at=proof.proven_at,
    )


async def order_ledger(desk: Desk, order_id: str, *, member_id: str | None) -> OrderLedger:
    """Who got what of an order so far. member_id: who may see it; None is an operator.

    Raises Unknown when nothing was paid for it, or by somebody else.
    """
    slots = {"order_id": order_id}
    payments = [
        store.PAYMENTS.from_row(row) for row in await whole_rows_there(desk.rows, store.PAYMENTS_OF_ORDER, slots)
    ]
    if not payments or any(member_id not in (None, payment.member_id) for payment in payments):
        raise Unknown(kind="order", id=order_id)
    refunds = [store.REFUNDS.from_row(row) for row in await whole_rows_there(desk.rows, store.REFUNDS_OF_ORDER, slots)]
    entries = await whole_rows_there(desk.rows, store.ENTRIES_OF_ORDER, slots)
    return OrderLedger(
        order_id=order_id,
        captured_fen=_sum(entries, Account.PROVIDER_CLEARING, JournalKind.CAPTURE),
        escrow_fen=-_sum(entries, Account.ORDER_ESCROW),
        refund_owed_fen=-_sum(entries, Account.USER_REFUND_PAYABLE),
        refunded_fen=-_sum(entries, Account.PROVIDER_CLEARING, JournalKind.REFUND_SETTLED),
        payments=[payment_view(payment) for payment in payments],
        refunds=[_refund_view(refund) for refund in refunds],
        entries=[
            EntryView(journal_id=journal_id, at=from_ms(at_ms), account=account, amount_fen=amount_fen)
            for journal_id, at_ms, account, amount_fen in entries
        ],
    )


async def entries_of_orders(desk: Desk, order_ids: Sequence[str]) -> list[OrderEntry]:
    """Every line of the ledger about these orders, by time and journal; they add up to zero, as each journal does."""
    return [
        OrderEntry(order_id=order_id, journal_id=journal_id, at=from_ms(at_ms), account=account, amount_fen=fen)
        for order_id, journal_id, at_ms, account, fen in await rows_of_there(
            desk.rows, store.ENTRIES_OF_ORDERS, order_ids
        )
    ]


async def balances_of(desk: Desk, accounts: Sequence[Account]) -> dict[Account, int]:
    """The running balance of accounts in fen, debit positive; 0 for one that nothing was booked on."""
    found = dict.fromkeys(accounts, 0)
    for slots in several([account.value for account in accounts]):
        for account, fen in await desk.rows(store.BALANCES_NAMED, slots):
            found[Account(account)] = fen
    return found


async def payments_page(desk: Desk, *, after: str, limit: int) -> PaymentsPage:
    """Payments whose id comes after `after`, at most `limit`; ids sort by the time of their orders."""
    rows = await desk.rows(store.PAYMENTS_AFTER, {"after": after, "limit": limit + 1})
    items = [payment_view(store.PAYMENTS.from_row(row)) for row in rows[:limit]]
    return PaymentsPage(items=items, next=items[-1].id if len(rows) > limit else None)


async def payment(desk: Desk, payment_id: str, *, member_id: str | None) -> Payment:
    """A payment. member_id: who may see it; None is an operator. Raises Unknown."""
    rows = await desk.rows(store.PAYMENT, {"payment_id": payment_id})
    found = store.PAYMENTS.from_row(rows[0]) if rows else None
    if found is None or member_id not in (None, found.member_id):
        raise Unknown(kind="payment", id=payment_id)
    return found


def _sum(entries: list[tuple[Any, ...]], account: Account, kind: JournalKind | None = None) -> int:
    start = "" if kind is None else f"{kind.value}:"
    return sum(fen for journal_id, _, name, fen in entries if name == account.value and journal_id.startswith(start))


def payment_view(seen: Payment) -> PaymentView:
    """A payment as it is shown."""
    return PaymentView(
        id=seen.id,
        order_id=seen.order_id,
        member_id=seen.member_id,
        amount_fen=seen.amount.fen,
        captured_fen=seen.captured.fen,
        refunded_fen=seen.refunded.fen,
        state=seen.state.value,
        provider=seen.provider,
        out_trade_no=seen.out_trade_no,
        transaction_id=seen.transaction_id,
        opened_at=seen.opened_at,
        captured_at=seen.captured_at,
    )


def _refund_view(refund: Refund) -> RefundView:
    return RefundView(
        id=refund.id,
        payment_id=refund.payment_id,
        out_refund_no=refund.out_refund_no,
        amount_fen=refund.amount.fen,
        state=refund.state.value,
        reason=refund.reason,
        refusal=refund.refusal,
        due_at=refund.due_at,
        settled_at=refund.settled_at,
    )


# the books side by side, within a look (C3)


def payments_of_orders(ask: Ask, order_ids: Sequence[str]) -> list[Payment]:
    """Every payment of these orders."""
    return [store.PAYMENTS.from_row(row) for row in rows_of(ask, store.PAYMENTS_OF_ORDERS, order_ids)]


async def in_suspense(desk: Desk, difference_ids: Sequence[str]) -> dict[str, int]:
    """What these differences have in suspense still, by their ids: fen more than the ledger knew, negative for less."""
    left: dict[str, int] = {}
    asked, number = list(difference_ids), 1
    while asked:
        about = {f"{kind.value}:{aside_reference(id, number)}": id for id in asked for kind in ASIDE_KINDS}
        rows = await rows_of_there(desk.rows, store.ENTRIES_OF_JOURNALS, list(about))
        entries = [store.ENTRIES.from_row(row) for row in rows]
        for entry in entries:
            if entry.account == Account.SUSPENSE.value:
                id = about[entry.journal_id]
                left[id] = left.get(id, 0) - entry.amount.fen
        asked, number = sorted({about[entry.journal_id] for entry in entries}), number + 1
    return {id: fen for id, fen in left.items() if fen}


async def payments_named(desk: Desk, payment_ids: Sequence[str]) -> list[Payment]:
    """The payments with these ids, as far as there are."""
    return [store.PAYMENTS.from_row(row) for row in await rows_of_there(desk.rows, store.PAYMENTS_NAMED, payment_ids)]


def payments_by_id(ask: Ask, payment_ids: Sequence[str]) -> list[Payment]:
    """The payments with these ids, as far as there are."""
    return [store.PAYMENTS.from_row(row) for row in rows_of(ask, store.PAYMENTS_NAMED, payment_ids)]


def refunds_by_id(ask: Ask, refund_ids: Sequence[str]) -> list[Refund]:
    """The refunds with these ids, as far as there are."""
    return [store.REFUNDS.from_row(row) for row in rows_of(ask, store.REFUNDS_NAMED, refund_ids)]


class OrderRows(Struct, frozen=True, kw_only=True, gc=False):
    """All rows of some orders' money, as they are kept: whoever has seen them before need not read them again."""

    payments: list[tuple[Any, ...]]
    refunds: list[tuple[Any, ...]]
    heads: list[tuple[Any, ...]]
    entries: list[tuple[Any, ...]]


def rows_of_orders(ask: Ask, order_ids: Sequence[str]) -> OrderRows:
    """Every payment, refund, journal head and entry of these orders; journals also by what they should be called."""
    payments = rows_of(ask, store.PAYMENTS_OF_ORDERS, order_ids)
    refunds = rows_of(ask, store.REFUNDS_OF_ORDERS, order_ids)
    booked = [row[0] for row in rows_of(ask, store.JOURNALS_OF_ORDERS, order_ids)]
    named = [f"{kind}:{row[0]}" for row in payments for kind in ("capture", "misfit")]
    named += [f"{kind}:{row[0]}" for row in refunds for kind in ("refund_due", "refund_settled")]
    ids = list(dict.fromkeys([*named, *booked]))
    return OrderRows(
        payments=payments,
        refunds=refunds,
        heads=rows_of(ask, store.JOURNALS_NAMED, ids),
        entries=rows_of(ask, store.ENTRIES_OF_JOURNALS, ids),
    )


def order_ids_between(ask: Ask, after: str, until: str, *, limit: int) -> list[str]:
    """Ids of orders that money knows of, from after `after` to `until`, at most so many."""
    slots = {"after": after, "until": until, "limit": limit}
    found = {row[0] for sql in (store.ORDER_IDS_PAID, store.ORDER_IDS_BOOKED) for row in ask(sql, slots)}
    return sorted(found)[:limit]


# A ledger of which some accounts are not summed says that money is missing. To ask again costs the whole reading again.
ACCOUNTS_AT_FIRST = 10_000_000


def ledger_sums(ask: Ask) -> list[AccountSums]:
    """Every account's sum of entries and running balance. Reads the whole ledger: about 1 s for 3 million entries."""
    return [
        AccountSums(account=account, summed_fen=int(summed), running_fen=int(running), entry_count=int(entries))
        for account, summed, running, entries in whole_rows(ask, store.SUMS, at_first=ACCOUNTS_AT_FIRST)
    ]


def prove_ledger(ask: Ask, *, now: datetime, is_full: bool) -> tuple[list[AccountSums], LedgerProof]:
    """Every account's sum, and what that proves. is_full: every journal is looked at too, which reads it all again."""
    sums = ledger_sums(ask)
    off = [one for one in sums if one.summed_fen != one.running_fen]
    unbalanced = ask(store.UNBALANCED_JOURNALS) if is_full else []
    proof = LedgerProof(
        summed_at=now,
        entries=sum(one.entry_count for one in sums),
        difference=Money(sum(one.summed_fen for one in sums)),
        off_count=len(off),
        accounts_off=tuple(
            AccountOff(account=one.account, summed_fen=one.summed_fen, running_fen=one.running_fen)
            for one in off[:OFF_MAX]
        ),
        proven_at=now if is_full else None,
        unbalanced=tuple(journal_id for (journal_id,) in unbalanced),
    )
    return sums, proof


def find_proof(ask: Ask) -> LedgerProof | None:
    """What the last reading of the whole ledger said; None before the first."""
    rows = ask(store.PROOF)
    return store.LEDGER_PROOFS.from_row(rows[0]) if rows else None


def captured_between(ask: Ask, begins: datetime, ends: datetime) -> list[Payment]:
    """Every payment whose money was noted in a period."""
    return [store.PAYMENTS.from_row(row) for row in rows_of_period(ask, store.PAYMENTS_CAPTURED, begins, ends)]


def settled_between(ask: Ask, begins: datetime, ends: datetime) -> list[Refund]:
    """Every refund that was noted as settled in a period."""
    return [store.REFUNDS.from_row(row) for row in rows_of_period(ask, store.REFUNDS_SETTLED, begins, ends)]

"""C2: double-entry ledger; every journal balances, every balance is derivable."""

from __future__ import annotations

import pytest

from tests.bench_unit import BenchUnit
from tests.money.till import NOON, ORDER, PAYMENT, Till, bench
from tuanzi.base.money import ZERO, Money
from tuanzi.money import SandboxProvider
from tuanzi.money.model import Account, Balance, Entry, Journal, JournalHead, JournalKind, transfer
from tuanzi.money.problems import BookedDifferently, Overdrawn
from tuanzi.money.service import book, book_new


def entry(line: int, account: str, fen: int, *, journal_id: str = f"capture:{PAYMENT}") -> Entry:
    """A line of a capture."""
    return Entry(journal_id=journal_id, line=line, account=account, order_id=ORDER, amount=Money(fen))


def journal(*entries: Entry) -> Journal:
    """The capture of a payment with these lines."""
    return Journal(kind=JournalKind.CAPTURE, reference=PAYMENT, at=NOON, entries=entries)


def capture(fen: int) -> Journal:
    """The capture of a payment of that much."""
    return transfer(
        JournalKind.CAPTURE,
        PAYMENT,
        order_id=ORDER,
        debit=Account.PROVIDER_CLEARING.value,
        credit=Account.ORDER_ESCROW.value,
        amount=Money(fen),
        at=NOON,
    )


def state(unit: BenchUnit) -> dict[object, object]:
    """Everything kept, to compare before and after."""
    return dict(unit.values)


@pytest.mark.parametrize(
    "entries",
    [
        (entry(0, "provider_clearing", 1200), entry(1, "order_escrow", -1199)),
        (entry(0, "provider_clearing", 1200),),
        (),
        (entry(0, "provider_clearing", 0), entry(1, "order_escrow", 0)),
        (entry(0, "provider_clearing", 1200), entry(2, "order_escrow", -1200)),
        (entry(0, "provider_clearing", 1200), entry(1, "order_escrow", -1200, journal_id="capture:p_other")),
    ],
    ids=["one fen off", "one line", "no line", "empty lines", "line left out", "line of another journal"],
)
def test_a_journal_that_does_not_balance_cannot_be_made(entries: tuple[Entry, ...]) -> None:
    with pytest.raises(ValueError, match="capture:"):
        journal(*entries)


def test_a_journal_may_share_one_amount_among_many_accounts() -> None:
    shared = journal(
        entry(0, "order_escrow", 1200),
        entry(1, Account.MERCHANT_PAYABLE.of("m_7"), -1000),
        entry(2, "rider_payable", -200),
    )

    assert shared.id == f"capture:{PAYMENT}"
    assert shared.entries[1].account == "merchant_payable:m_7"
    assert shared.head().turnover == Money(1200)
    assert shared.head().entry_count == 3


def test_a_booked_journal_moves_both_balances() -> None:
    unit = bench()

    booked = book(unit, capture(1200))

    assert booked is True
    assert unit.load(JournalHead, f"capture:{PAYMENT}") == JournalHead(
        id=f"capture:{PAYMENT}",
        kind=JournalKind.CAPTURE,
        reference=PAYMENT,
        entry_count=2,
        turnover=Money(1200),
        at=NOON,
    )
    assert unit.load(Entry, (f"capture:{PAYMENT}", 0)) == entry(0, "provider_clearing", 1200)
    assert unit.load(Entry, (f"capture:{PAYMENT}", 1)) == entry(1, "order_escrow", -1200)
    assert unit.load(Balance, "provider_clearing").amount == Money(1200)
    assert unit.load(Balance, "order_escrow").amount == Money(-1200)


def test_the_same_journal_again_has_no_second_effect() -> None:
    unit = bench()
    book(unit, capture(1200))
    before = state(unit)

    booked = book(unit, capture(1200))

    assert booked is False
    assert state(unit) == before


def test_other_amounts_under_the_same_id_are_refused_and_change_nothing() -> None:
    unit = bench()
    book(unit, capture(1200))
    before = state(unit)

    with pytest.raises(BookedDifferently):
        book(unit, capture(1))

    assert state(unit) == before


def test_the_same_turnover_between_other_accounts_is_refused_too() -> None:
    unit = bench()
    book(unit, capture(1200))

    with pytest.raises(BookedDifferently):
        book(unit, journal(entry(0, "provider_clearing", 1200), entry(1, "suspense", -1200)))


def booking(debit: str, credit: str, fen: int, *, reference: str = "x") -> Journal:
    """A journal of two lines."""
    return transfer(
        JournalKind.SHARING, reference, order_id=ORDER, debit=debit, credit=credit, amount=Money(fen), at=NOON
    )


@pytest.mark.parametrize(
    "owed",
    [
        "order_escrow",
        "user_refund_payable",
        "merchant_payable:m_7",
        "rider_payable:pool",
        "campus_agent_payable:m_lin",
        "platform_income",
        "provider_fee",
    ],
)
def test_nobody_is_paid_more_than_he_is_owed(owed: str) -> None:
    unit = bench()
    book(unit, booking("provider_clearing", owed, 100))

    book(unit, booking(owed, "provider_clearing", 100, reference="y"))
    with pytest.raises(Overdrawn):
        book(unit, booking(owed, "provider_clearing", 1, reference="z"))

    assert unit.load(Balance, owed).amount == ZERO


@pytest.mark.parametrize("owing", ["receiver_advance:m_7", "subsidy_expense"])
def test_nobody_pays_back_more_than_he_owes(owing: str) -> None:
    unit = bench()
    book(unit, booking(owing, "order_escrow", 100))

    with pytest.raises(Overdrawn):
        book(unit, booking("provider_clearing", owing, 101, reference="y"))


def test_several_journals_of_one_commit_move_an_account_once_by_all_their_lines() -> None:
    unit = bench()
    book(unit, booking("provider_clearing", "order_escrow", 100))
    shop = "merchant_payable:m_7"

    book_new(unit, booking("order_escrow", shop, 60, reference="y"), booking("order_escrow", shop, 40, reference="z"))

    assert unit.load(Balance, "order_escrow").amount == ZERO
    assert unit.load(Balance, shop).amount == Money(-100)
    assert [unit.load(Entry, (f"sharing:{one}", 0)).amount.fen for one in "yz"] == [60, 40]
    with pytest.raises(Overdrawn):
        book_new(unit, booking(shop, "suspense", 60, reference="v"), booking(shop, "suspense", 41, reference="w"))


async def test_the_database_says_the_same_of_limits() -> None:
    till = Till(SandboxProvider())
    till.database.execute_script("INSERT INTO balances VALUES ('order_escrow', -100, NULL, 0);")

    with pytest.raises(Exception, match="CHECK"):
        till.database.execute_script("UPDATE balances SET amount_fen = 1 WHERE account = 'order_escrow';")

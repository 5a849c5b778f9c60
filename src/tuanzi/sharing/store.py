"""Sharing's tables in the money database and the SQL its pages read with."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from tuanzi.base.ids import OrderId, SubOrderId
from tuanzi.base.money import Money
from tuanzi.machinery.room import Keeps
from tuanzi.machinery.several import SEVERAL
from tuanzi.machinery.tables import Form, Row, table
from tuanzi.sharing.model import (
    CarrierPayment,
    Case,
    CaseSettlement,
    ClawBack,
    Debt,
    OrderTransfers,
    Party,
    Payee,
    Share,
    SharePart,
    ShareReturn,
    Sharing,
    SharingBranch,
    SharingTerms,
    SubsidyBudget,
    TermsInForce,
    Transfer,
    UnbroughtOrder,
)


class _Line(Struct, frozen=True, gc=False, array_like=True):
    """A transfer as its order's row has it, in the place of its line: fen, and what it ends with is left out where it
    is as usual. sub_order: what its id has more than the order's. outward: None is all of the amount."""

    sub_order: str
    party: Party
    account: str
    amount: int
    outward: int | None = None
    cut: int = 0
    sent: int = 0
    given: int = 0
    back: int = 0
    closed: int = 0


_encode = msgspec.json.Encoder().encode
_lines = msgspec.json.Decoder(tuple[_Line, ...]).decode
_transfers = msgspec.json.Decoder(tuple[Transfer, ...]).decode
_WHOLE = "[{"  # so a row begins that was written with every transfer in full, as migration 0007 does


def _written(kept: OrderTransfers) -> str:
    """An order's transfers as text. Measured, with ten of them: 0.5 kB in 1.3 us; every one in full took 2.1 kB."""
    order_id = kept.order_id
    begin, skip = f"{order_id}.", len(order_id)
    lines: list[tuple[str | int, ...]] = []
    for each in kept.by_line:
        of, amount, outward = each.sub_order_id, each.amount.fen, each.outward.fen
        line = (of[skip:] if of.startswith(begin) else of, each.party._value_, each.account, amount)
        moved = (each.cut.fen, each.sent.fen, each.given.fen, each.back.fen, each.closed)
        if any(moved):
            lines.append((*line, outward, *moved))
        else:
            lines.append(line if outward == amount else (*line, outward))
    return _encode(lines).decode()


def _read(row: Row) -> tuple[Transfer, ...]:
    """An order's transfers out of its row, also one of an earlier release."""
    gid, order_id, text = row
    if text.startswith(_WHOLE):
        return _transfers(text)
    return tuple(
        [
            Transfer(
                gid=gid,
                order_id=OrderId(order_id),
                line=i,
                sub_order_id=SubOrderId(
                    order_id + each.sub_order if each.sub_order.startswith(".") else each.sub_order
                ),
                party=each.party,
                account=each.account,
                amount=Money(each.amount),
                outward=Money(each.amount if each.outward is None else each.outward),
                cut=Money(each.cut),
                sent=Money(each.sent),
                given=Money(each.given),
                back=Money(each.back),
                closed=each.closed,
            )
            for i, each in enumerate(_lines(text))
        ]
    )


TERMS = table("sharing_terms", SharingTerms, key="id")
TERMS_IN_FORCE = table("terms_in_force", TermsInForce, key="id")
BUDGETS = table("subsidy_budgets", SubsidyBudget, key="id")
BRANCHES = table("sharing_branches", SharingBranch, key="gid")
SHARINGS = table("sharings", Sharing, key="order_id")
TRANSFERS = table(
    "order_transfers", OrderTransfers, key=("gid", "order_id"), forms={"transfers": Form(_written, _read)}
)
PAYEES = table("payees", Payee, key="id")
SHARES = table("shares", Share, key="id")
SHARE_PARTS = table("share_parts", SharePart, key=("share_id", "number"))
CLAW_BACKS = table("claw_backs", ClawBack, key="refund_id")
RETURNS = table("share_returns", ShareReturn, key="id")
DEBTS = table("debts", Debt, key="account")
CASES = table("cases", Case, key="id")
CASE_SETTLEMENTS = table("case_settlements", CaseSettlement, key=("case_id", "number"))
UNBROUGHT_ORDERS = table("unbrought_orders", UnbroughtOrder, key="order_id")
CARRIER_PAYMENTS = table("carrier_payments", CarrierPayment, key="sub_order_id")
TABLES = (
    TERMS,
    TERMS_IN_FORCE,
    BUDGETS,
    BRANCHES,
    SHARINGS,
    TRANSFERS,
    PAYEES,
    SHARES,
    SHARE_PARTS,  # after the shares they refer to
    CLAW_BACKS,
    RETURNS,
    DEBTS,
    CASES,
    CASE_SETTLEMENTS,
    CARRIER_PAYMENTS,
    UNBROUGHT_ORDERS,
)

SHARING = """
SELECT order_id, gid, group_id, payment_id, terms_version, state, payable_fen, claimed_fen, transfers, tried_at_ms,
    decided_at_ms, completed_at_ms, payout, rounds, persons_at_ms, held_refunds, is_disputed
FROM sharings WHERE order_id = :order_id ORDER BY order_id LIMIT 1
"""

TRANSFERS_OF_ORDER = """
SELECT gid, order_id, transfers FROM order_transfers WHERE gid = :gid AND order_id = :order_id
ORDER BY order_id LIMIT 1
"""

SHARES_OF_ORDER = """
SELECT id, order_id, payment_id, out_order_no, state, parts, sent_at_ms, ended_at_ms, reason
FROM shares WHERE order_id = :order_id ORDER BY sent_at_ms, id LIMIT :limit
"""

SHARE_PARTS_OF_ORDER = """
SELECT share_id, number, order_id, line, payee_id, kind, account, amount_fen, result, reason, back_fen
FROM share_parts WHERE order_id = :order_id ORDER BY share_id, number LIMIT :limit
"""

RETURNS_OF_ORDER = """
SELECT id, order_id, refund_id, share_id, part, kind, account, owed_in, amount_fen, withheld_fen, out_return_no,
    attempts, state, due_at_ms, ended_at_ms, reason
FROM share_returns WHERE order_id = :order_id ORDER BY due_at_ms, id LIMIT :limit
"""

# Entries on both of a merchant's accounts: what he is owed, and what he owes of refunds that were advanced. That they
# have an owner is said for SQLite, whose index has no other accounts (migration 0010).
STATEMENT_OPENING = """
SELECT COALESCE(SUM(e.amount_fen), 0)
FROM entries e JOIN journals j ON j.id = e.journal_id
WHERE e.account IN (:owed, :advance) AND INSTR(e.account, ':') > 0 AND j.at_ms < :from_ms
"""

STATEMENT_LINES = """
SELECT j.at_ms, j.kind, e.journal_id, e.line, e.order_id, e.amount_fen
FROM entries e JOIN journals j ON j.id = e.journal_id
WHERE e.account IN (:owed, :advance) AND INSTR(e.account, ':') > 0 AND j.at_ms >= :from_ms AND j.at_ms < :until_ms
ORDER BY j.at_ms, e.journal_id, e.line LIMIT :limit
"""

BALANCES_AFTER = """
SELECT account, amount_fen FROM balances WHERE account > :after ORDER BY account LIMIT :limit
"""

# As for statements, that the account has an owner is said for SQLite.
UNBROUGHT_AFTER = "SELECT order_id FROM unbrought_orders WHERE order_id > :after ORDER BY order_id LIMIT :limit"

TRANSFERS_OF_ORDERS = (
    "SELECT "
    + "t.gid, t.order_id, t.transfers FROM sharings s"
    + " JOIN order_transfers t ON t.gid = s.gid AND t.order_id = s.order_id WHERE s.order_id IN ("
    + SEVERAL
    + ") ORDER BY s.order_id LIMIT :limit"
)

CARRIER_PAYMENTS_BEFORE = """
SELECT sub_order_id, order_id, amount_fen, note, paid_by, paid_at_ms
FROM carrier_payments WHERE sub_order_id < :before ORDER BY sub_order_id DESC LIMIT :limit
"""

TERMS_BEFORE = """
SELECT id, version, platform_rate, leader_rate, ambassador_rate, provider_rate, rider_rate, subsidy_rate,
    subsidy_budget_fen, outward_max, persons_max, note, made_by, made_at_ms
FROM sharing_terms WHERE version < :before ORDER BY version DESC LIMIT :limit
"""

BUDGET = """
SELECT id, most_fen, used_fen FROM subsidy_budgets ORDER BY id LIMIT 1
"""

CASE = """
SELECT id, kind, reference, order_id, amount_fen, reason, state, opened_at_ms, times, settled_at_ms, settled_by,
    settled_how, note
FROM cases WHERE id = :id ORDER BY id LIMIT 1
"""

CASES_AFTER = """
SELECT id, kind, reference, order_id, amount_fen, reason, state, opened_at_ms, times, settled_at_ms, settled_by,
    settled_how, note
FROM cases WHERE state = :state AND id > :after AND id < :until ORDER BY id LIMIT :limit
"""

SETTLEMENTS_OF_CASE = """
SELECT case_id, number, reason, how, settled_by, settled_at_ms, note
FROM case_settlements WHERE case_id = :case_id ORDER BY case_id, number DESC LIMIT :limit
"""

PAYEES_AFTER = """
SELECT id, kind, account, full_name, state, refusal FROM payees WHERE id > :after ORDER BY id LIMIT :limit
"""

# The books side by side (C3).

_SHARING = "SELECT " + ", ".join(SHARINGS.columns) + " FROM sharings "
_SHARE = "SELECT " + ", ".join(SHARES.columns) + " FROM shares "
_PART = "SELECT " + ", ".join(SHARE_PARTS.columns) + " FROM share_parts "
_RETURN = "SELECT " + ", ".join(RETURNS.columns) + " FROM share_returns "
_CLAW_BACK = "SELECT " + ", ".join(CLAW_BACKS.columns) + " FROM claw_backs "

SHARINGS_OF_ORDERS = _SHARING + "WHERE order_id IN (" + SEVERAL + ") ORDER BY order_id LIMIT 100"
SHARES_OF_ORDERS = _SHARE + "WHERE order_id IN (" + SEVERAL + ") ORDER BY id LIMIT :limit"
PARTS_OF_ORDERS = _PART + "WHERE order_id IN (" + SEVERAL + ") ORDER BY share_id, number LIMIT :limit"
RETURNS_OF_ORDERS = _RETURN + "WHERE order_id IN (" + SEVERAL + ") ORDER BY id LIMIT :limit"
CLAW_BACKS_OF_ORDERS = _CLAW_BACK + "WHERE order_id IN (" + SEVERAL + ") ORDER BY refund_id LIMIT :limit"
SHARES_NUMBERED = _SHARE + "WHERE out_order_no IN (" + SEVERAL + ") ORDER BY id LIMIT 100"
RETURNS_NUMBERED = _RETURN + "WHERE out_return_no IN (" + SEVERAL + ") ORDER BY id LIMIT 100"
PARTS_OF_SHARES = _PART + "WHERE share_id IN (" + SEVERAL + ") ORDER BY share_id, number LIMIT :limit"
# Of one day; they read the whole table once, beside the writer.
SHARES_ENDED = (
    _SHARE + "WHERE id > :after AND ended_at_ms >= :from_ms AND ended_at_ms < :until_ms ORDER BY id LIMIT :limit"
)
RETURNS_ENDED = (
    _RETURN + "WHERE id > :after AND ended_at_ms >= :from_ms AND ended_at_ms < :until_ms ORDER BY id LIMIT :limit"
)

# Of one person, for his export: as who is given shares. What he was owed is in the ledger.
KEPT_PAYEE = (
    "SELECT "
    + ", ".join(PAYEES.columns)
    + " FROM payees WHERE id = :person_id AND id > :after ORDER BY id LIMIT :limit"
)
# What somebody did as an operator; of a case, which is about an order of somebody else, that alone.
_MADE = ("id", "version", "note", "made_by", "made_at_ms")
KEPT_TERMS = (
    "SELECT "
    + ", ".join(_MADE)
    + " FROM sharing_terms WHERE made_by = :person_id AND id > :after ORDER BY id LIMIT :limit"
)
_SETTLED = ("id", "settled_by", "settled_at_ms", "settled_how", "note")
KEPT_CASES = (
    "SELECT "
    + ", ".join(_SETTLED)
    + " FROM cases WHERE settled_by = :person_id AND id > :after ORDER BY id LIMIT :limit"
)
# A case that came up again was settled as often; the times of one case are one row, so that a page cuts none in two.
_SETTLEMENTS = ("case_id", "settled_by", "settlements", "settled_at_ms")
KEPT_SETTLEMENTS = """
SELECT case_id, settled_by, COUNT(*), MAX(settled_at_ms) FROM case_settlements
WHERE settled_by = :person_id AND case_id > :after GROUP BY case_id, settled_by ORDER BY case_id LIMIT :limit
"""
_PAID = ("sub_order_id", "amount_fen", "note", "paid_by", "paid_at_ms")
KEPT_CARRIER_PAYMENTS = (
    "SELECT "
    + ", ".join(_PAID)
    + " FROM carrier_payments WHERE paid_by = :person_id AND sub_order_id > :after ORDER BY sub_order_id LIMIT :limit"
)
KEEPS = (
    Keeps(table="payees", columns=PAYEES.columns, sql=KEPT_PAYEE, prefix="person:"),
    Keeps(table="sharing_terms", columns=_MADE, sql=KEPT_TERMS),
    Keeps(table="cases", columns=_SETTLED, sql=KEPT_CASES),
    Keeps(table="carrier_payments", columns=_PAID, sql=KEPT_CARRIER_PAYMENTS),
    Keeps(table="case_settlements", columns=_SETTLEMENTS, sql=KEPT_SETTLEMENTS),
)

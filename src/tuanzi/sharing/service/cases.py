"""Cases: what will not go on by itself, until a person has looked."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.ids import OrderId
from tuanzi.base.money import Money
from tuanzi.base.unit import Unit
from tuanzi.sharing.model import Case, CaseKind, CaseState, case_id


def open_refund_case(unit: Unit, *, refund_id: str, order_id: str, amount_fen: int, reason: str, now: datetime) -> None:
    """A member does not get his money by itself: a person must look."""
    amount = Money(amount_fen)
    open_case(unit, CaseKind.REFUND, reference=refund_id, order_id=order_id, amount=amount, reason=reason, now=now)


def close_refund_case(unit: Unit, *, refund_id: str, now: datetime) -> None:
    """A refund that was refused has settled after all."""
    close_case(unit, CaseKind.REFUND, reference=refund_id, note="settled by the payment company", now=now)


def open_case(
    unit: Unit, kind: CaseKind, *, reference: str, order_id: str, amount: Money, reason: str, now: datetime
) -> None:
    """Ask for a person; a case that was settled before is open again, and one that is open stays as it is."""
    before = unit.find(Case, case_id(kind, reference))
    if before is not None and before.state is CaseState.OPEN:
        return
    case = Case(
        id=case_id(kind, reference),
        kind=kind,
        reference=reference,
        order_id=OrderId(order_id),
        amount=amount,
        reason=reason[:80],
        state=CaseState.OPEN,
        opened_at=now,
        times=1 if before is None else before.times + 1,
    )
    unit.put(case)


def lessen_case(unit: Unit, kind: CaseKind, *, reference: str, left: Money) -> None:
    """Part of it went on by itself: so much is left for a person, when anybody still looks."""
    case = unit.find(Case, case_id(kind, reference))
    if case is not None and case.state is CaseState.OPEN:
        unit.put(replace(case, amount=left))


def close_case(unit: Unit, kind: CaseKind, *, reference: str, note: str, now: datetime) -> None:
    """Nobody need look any more: it went on by itself."""
    case = unit.find(Case, case_id(kind, reference))
    if case is not None and case.state is CaseState.OPEN:
        unit.put(replace(case, state=CaseState.SETTLED, settled_at=now, note=note))

"""Who is given shares: registered, added at the payment company, forgotten."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.money import ReceiverKind
from tuanzi.people import ForgetPerson, Forgotten
from tuanzi.sharing.model import (
    PERSON_ERASED,
    Payee,
    PayeeState,
    PayoutStanding,
    PayoutState,
    Receivable,
    RecordReceivers,
    RegisterPayee,
    Sharing,
    StartPayout,
    unregistered_payee,
)
from tuanzi.sharing.service.shares import payout_standing, payout_timer


def forget_payee(unit: Unit, command: ForgetPerson, *, now: datetime) -> Forgotten:
    """A person is erased: his account and name go, and what he is still owed waits for an operator, as a case.

    Shares that were given keep the account they went to, for nothing could be taken back from another.
    """
    payee_id = f"{ReceiverKind.PERSON.value}:{command.person_id}"
    unit.put(
        Payee(
            id=payee_id,
            kind=ReceiverKind.PERSON,
            account="",
            full_name="",
            state=PayeeState.REFUSED,
            refusal=PERSON_ERASED,
        )
    )
    return Forgotten(person_id=command.person_id)


def register_payee(unit: Unit, command: RegisterPayee, *, now: datetime) -> Payee:
    """Say what the payment company calls somebody who is given shares; he is added there before the next share."""
    payee = Payee(
        id=f"{command.kind.value}:{command.owner_id}",
        kind=command.kind,
        account=command.account,
        full_name=command.full_name,
    )
    unit.put(payee)
    return payee


def record_receivers(unit: Unit, command: RecordReceivers, *, now: datetime) -> PayoutStanding:
    """Note whom the payment company lets receive shares, and go on. Raises Unknown."""
    for one in command.added:
        added = Payee(
            id=one.payee_id, kind=one.kind, account=one.account, full_name=one.full_name, state=PayeeState.ADDED
        )
        _note_payee(unit, added)
    for payee_id, refusal in command.refused:
        payee = unit.find(Payee, payee_id) or unregistered_payee(payee_id)
        unit.put(replace(payee, state=PayeeState.REFUSED, refusal=refusal))
    sharing = unit.load(Sharing, command.order_id)
    if sharing.payout is PayoutState.DUE:
        unit.schedule(payout_timer(sharing), StartPayout(order_id=sharing.order_id), at=now)
    return payout_standing(sharing)


def _note_payee(unit: Unit, added: Payee) -> None:
    """Keep that a payee was added, unless an operator has registered another account for him meanwhile."""
    known = unit.find(Payee, added.id)
    if known is None or (known.account, known.full_name) == (added.account, added.full_name):
        unit.put(added)


def receivable(payee: Payee) -> Receivable:
    """A payee as an errand carries him."""
    return Receivable(payee_id=payee.id, kind=payee.kind, account=payee.account, full_name=payee.full_name)

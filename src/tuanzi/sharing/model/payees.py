"""Who is given shares, and whether the payment company lets him be."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from tuanzi.money import Account, ReceiverKind
from tuanzi.sharing.model.transfers import POOL


class PayeeState(StrEnum):
    """Whether the payment company lets somebody receive shares."""

    NEW = "new"  # to be added before the next share
    ADDED = "added"
    REFUSED = "refused"  # until an operator registers him anew


# Why nobody gives shares to somebody who is not known any more.
PERSON_ERASED: Final = "person_erased"


class Payee(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody who is given shares. account: what the payment company calls him; full_name: a merchant's needs one."""

    id: str
    kind: ReceiverKind
    account: str
    full_name: str
    state: PayeeState = PayeeState.NEW
    refusal: str = ""


def payee_id_of(account: str) -> str | None:
    """Whose shares pay what is owed in an account; None when nobody's do, as for the pool."""
    kind, _, owner = account.partition(":")
    if not owner or owner == POOL:
        return None
    return f"{ReceiverKind.MERCHANT if kind == Account.MERCHANT_PAYABLE.value else ReceiverKind.PERSON}:{owner}"


def unregistered_payee(payee_id: str) -> Payee:
    """Who is nowhere registered: called at the payment company as he is here, as members are when they pay."""
    kind, _, owner = payee_id.partition(":")
    return Payee(id=payee_id, kind=ReceiverKind(kind), account=owner, full_name=owner)

"""The marks of phones whose owner was erased: whether who comes new has ordered before."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.people.model import ForgetFormerPhone, FormerPhone, Swept, former_mark


def is_returning(unit: Unit, phone_hash: str) -> bool:
    """Whether an erased person had this phone, as far as it is known yet or still."""
    return unit.find(FormerPhone, former_mark(phone_hash)) is not None


def remember(unit: Unit, former: FormerPhone) -> None:
    """Keep a mark until its time is over."""
    unit.put(former)
    unit.schedule(_former(former.mark), ForgetFormerPhone(mark=former.mark), at=former.forget_at)


def settle_former(unit: Unit, former: FormerPhone, *, has_ordered: bool) -> None:
    """Every campus has answered: the mark stays for who had ordered, and leads to his erasing no more."""
    if has_ordered:
        unit.put(replace(former, erasure=""))
    else:
        unit.remove(FormerPhone, former.mark)
        unit.unschedule(_former(former.mark))


def forget_former_phone(unit: Unit, command: ForgetFormerPhone, *, now: datetime) -> Swept:
    """Remove a mark whose time is over; a newer one for the same phone stays."""
    former = unit.find(FormerPhone, command.mark)
    if former is None or now < former.forget_at:
        return Swept(is_removed=False)
    unit.remove(FormerPhone, former.mark)
    return Swept(is_removed=True)


def _former(mark: str) -> str:
    return f"former:{mark}"

"""One person's row, and what is written down about those who change it."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.ids import PersonId
from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Unit
from tuanzi.people.model import AuditEntry, ChangeName, NameChanged, Person


def load_living(unit: Unit, person_id: PersonId) -> Person:
    """The person. Raises Unknown when there is none or he is erased."""
    person = unit.load(Person, person_id)
    if person.erased_at is not None:
        raise Unknown(kind="person", id=person_id)
    return person


def change_name(unit: Unit, command: ChangeName, *, now: datetime) -> NameChanged:
    """Call a person as he wants; a repeat changes nothing. Raises Unknown once he is erased."""
    unit.put(replace(load_living(unit, command.person_id), name=command.name).checked())
    return NameChanged(person_id=command.person_id)


def audit(id: str, *, by: str, action: str, subject: str, facts: dict[str, str], now: datetime) -> AuditEntry:
    """What `by` did to `subject`, to be added to what is written down."""
    return AuditEntry(id=id, at=now, person_id=by, action=action, subject=subject, facts=facts)

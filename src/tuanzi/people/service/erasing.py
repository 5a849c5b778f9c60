"""Forgetting a person, here and in every other database."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.ids import PersonId
from tuanzi.base.unit import Unit
from tuanzi.events import PersonErased
from tuanzi.people.model import (
    FORMER_LIFE,
    PLATFORM,
    AuditEntry,
    Erased,
    ErasePerson,
    FamiliarAddresses,
    Forgotten,
    FormerPhone,
    Person,
    PhoneOwner,
    PlatformOperators,
    RecordForgotten,
    TellErased,
    WechatUser,
    former_mark,
)
from tuanzi.people.service.codes import drop_challenge
from tuanzi.people.service.former import remember, settle_former
from tuanzi.people.service.persons import audit
from tuanzi.people.service.sessions import end_session


def erase_person(unit: Unit, command: ErasePerson, *, now: datetime) -> Erased:
    """Forget all that is personal of somebody and end his sessions; his id stays, as a pseudonym.

    Campuses are told by an errand of the same commit, so that a crash leaves none out. A repeat changes nothing. Raises
    LastOperator.
    """
    person = unit.load(Person, command.person_id)
    mark = ""
    if person.erased_at is not None:
        return Erased(person_id=person.id, erased_at=person.erased_at)
    if person.is_platform_operator:
        unit.put(unit.load(PlatformOperators, PLATFORM).left(person.id))

    for session_id in person.session_ids:
        end_session(unit, session_id, person_id=person.id)
    if person.phone_hash is not None:
        unit.remove(PhoneOwner, person.phone_hash)
        drop_challenge(unit, person.phone_hash)
        unit.remove(FamiliarAddresses, person.phone_hash)
        mark = former_mark(person.phone_hash)
        remember(unit, FormerPhone(mark=mark, erasure=command.audit_id, forget_at=now + FORMER_LIFE))
    if person.openid_hash is not None:
        unit.remove(WechatUser, person.openid_hash)
    unit.put(person.erased(now=now))
    unit.add(audit(command.audit_id, by=person.id, action="erase", subject=person.id, facts={}, now=now))
    unit.emit(PersonErased(person_id=person.id))
    # Of who returned it is known that his phone had ordered, whatever he did since.
    tell = TellErased(person_id=person.id, audit_id=command.audit_id, mark="" if person.is_returning else mark)
    unit.schedule(_erasure(person.id), tell, at=now)
    return Erased(person_id=person.id, erased_at=now)


def record_forgotten(unit: Unit, command: RecordForgotten, *, now: datetime) -> Forgotten:
    """Write down that every database has forgotten a person; a repeat changes nothing."""
    id = f"{command.audit_id}.done"
    if unit.find(AuditEntry, id) is None:
        facts = {"databases": ",".join(command.where)}
        former = unit.find(FormerPhone, command.mark) if command.mark else None
        if former is not None and former.erasure == command.audit_id:
            settle_former(unit, former, has_ordered=command.has_ordered)
        unit.add(audit(id, by="platform", action="forgotten", subject=command.person_id, facts=facts, now=now))
    return Forgotten(person_id=command.person_id)


def _erasure(person_id: PersonId) -> str:
    return f"erasure:{person_id}"

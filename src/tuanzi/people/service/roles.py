"""Who may do what: roles are given, and operators and staff appointed by phone."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.ids import MerchantId
from tuanzi.base.problem import Forbidden, Unknown
from tuanzi.base.unit import Unit
from tuanzi.base.who import Role
from tuanzi.events import PersonJoined, RolesChanged
from tuanzi.people.model import (
    PLATFORM,
    AppointOperator,
    AppointStaff,
    OperatorAppointed,
    Person,
    PhoneOwner,
    PlatformOperators,
    RolesSet,
    SetRoles,
    in_order,
)
from tuanzi.people.problems import CampusMissing, MerchantMismatch
from tuanzi.people.service.former import is_returning
from tuanzi.people.service.persons import audit, load_living


def set_roles(unit: Unit, command: SetRoles, *, now: datetime) -> RolesSet:
    """Give a person exactly these roles; a repeat changes nothing.

    An operator of a campus acts on its people only and moves nobody elsewhere. An operator of the platform stays one
    until he loses the role or is given a campus. Whether a shop or campus exists is for the caller to know.
    Raises Forbidden, Unknown, MerchantMismatch, CampusMissing and LastOperator.
    """
    before = _changeable(unit, command)
    roles = in_order(command.roles)
    campus_id = command.campus_id or before.campus_id
    _check_shop(roles, command.merchant_id)
    if campus_id is None and Role.OPERATOR not in roles:
        raise CampusMissing(person_id=before.id)
    person = replace(before, roles=roles, merchant_id=command.merchant_id, campus_id=campus_id).checked()
    if before.is_platform_operator and not person.is_platform_operator:
        unit.put(unit.load(PlatformOperators, PLATFORM).left(person.id))

    return _give(unit, before, person, by=command.by, audit_id=command.audit_id, now=now)


def appoint_staff(unit: Unit, command: AppointStaff, *, now: datetime) -> RolesSet:
    """Give the owner of a phone, known or not, exactly these roles on a campus; a repeat changes nothing.

    Raises MerchantMismatch, and Forbidden for an operator of the platform: another operator takes that from him.
    """
    roles = in_order(command.roles)
    _check_shop(roles, command.merchant_id)
    owner = unit.find(PhoneOwner, command.phone.hash)
    before = Person(
        id=command.person_id,
        campus_id=command.campus_id,
        roles=(),
        phone_hash=command.phone.hash,
        phone_masked=command.phone.masked,
        phone_sealed=command.phone.sealed,
        joined_at=now,
        is_returning=is_returning(unit, command.phone.hash),
    )
    if owner is not None:
        before = unit.load(Person, owner.person_id)
        if before.is_platform_operator:
            raise Forbidden(role=Role.OPERATOR)
    person = replace(before, roles=roles, merchant_id=command.merchant_id, campus_id=command.campus_id).checked()

    if owner is None:
        unit.add(PhoneOwner(phone_hash=command.phone.hash, person_id=person.id))
        unit.emit(PersonJoined(person_id=person.id, campus_id=person.campus_id))
    return _give(unit, before, person, by=command.by, audit_id=command.audit_id, now=now)


def appoint_operator(unit: Unit, command: AppointOperator, *, now: datetime) -> OperatorAppointed:
    """Make the owner of a phone an operator of the platform, known or not; a repeat changes nothing.

    Raises TooManyOperators.
    """
    owner = unit.find(PhoneOwner, command.phone.hash)
    before = None if owner is None else unit.load(Person, owner.person_id)
    if before is not None and before.is_platform_operator:
        return OperatorAppointed(person_id=before.id, is_changed=False)
    person = before or Person(
        id=command.person_id,
        campus_id=None,
        roles=(Role.OPERATOR,),
        phone_hash=command.phone.hash,
        phone_masked=command.phone.masked,
        phone_sealed=command.phone.sealed,
        joined_at=now,
        is_returning=is_returning(unit, command.phone.hash),
    )
    person = replace(person, campus_id=None, roles=in_order((*person.roles, Role.OPERATOR))).checked()
    operators = (unit.find(PlatformOperators, PLATFORM) or PlatformOperators()).joined(person.id)

    if before is None:
        unit.add(PhoneOwner(phone_hash=command.phone.hash, person_id=person.id))
        unit.emit(PersonJoined(person_id=person.id, campus_id=None))
    unit.put(operators)
    unit.put(person)
    unit.add(audit(command.audit_id, by=command.by, action="appoint", subject=person.id, facts={}, now=now))
    unit.emit(RolesChanged(person_id=person.id, roles=person.roles))
    return OperatorAppointed(person_id=person.id, is_changed=True)


def _check_shop(roles: tuple[Role, ...], merchant_id: MerchantId | None) -> None:
    if (Role.MERCHANT in roles) != (merchant_id is not None):
        raise MerchantMismatch()


def _give(unit: Unit, before: Person, person: Person, *, by: str, audit_id: str, now: datetime) -> RolesSet:
    """Keep a person with other rights, tell it, and write it down."""
    if person != before:
        facts = {
            "roles_before": ",".join(before.roles),
            "roles": ",".join(person.roles),
            "merchant_id": person.merchant_id or "",
            "campus_id": person.campus_id or "",
        }
        unit.put(person)
        unit.add(audit(audit_id, by=by, action="set_roles", subject=person.id, facts=facts, now=now))
        unit.emit(RolesChanged(person_id=person.id, roles=person.roles))
    return RolesSet(
        person_id=person.id,
        roles=person.roles,
        merchant_id=person.merchant_id,
        campus_id=person.campus_id,
        is_changed=person != before,
    )


def _changeable(unit: Unit, command: SetRoles) -> Person:
    """The person whose roles are to change, when the operator is one now and may change them."""
    operator = unit.load(Person, command.by)
    if Role.OPERATOR not in operator.roles:
        raise Forbidden(role=Role.OPERATOR)
    person = load_living(unit, command.person_id)
    if operator.campus_id is not None:
        if person.campus_id != operator.campus_id:
            raise Unknown(kind="person", id=command.person_id)
        if command.campus_id not in (None, operator.campus_id):
            raise Forbidden(campus_id=command.campus_id)
    return person

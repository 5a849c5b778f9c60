"""J3: operators give and take roles, all of it is in the audit log, and the platform never loses its last operator."""

from __future__ import annotations

import pytest

from tests.people.people_bench import BEIJING, OTHER_PHONE, PHONE, SHANGHAI, Platform, who_of
from tuanzi.base.ids import MerchantId, PersonId
from tuanzi.base.problem import Forbidden, Problem, Unknown
from tuanzi.base.who import Role
from tuanzi.events import PersonJoined, RolesChanged
from tuanzi.people import model
from tuanzi.people.problems import CampusMissing, CampusUnknown, LastOperator, MerchantMismatch, TooManyOperators

BOSS_PHONE = "13700000000"


def refused(
    platform: Platform, problem: type[Problem], person_id: PersonId, *roles: Role, by: PersonId, **given: object
) -> None:
    """Assert that roles are not set and nothing changed."""
    before = platform.snapshot()
    with pytest.raises(problem):
        platform.set_roles(person_id, *roles, by=by, **given)  # type: ignore[arg-type]
    assert platform.snapshot() == before


def test_the_first_operator_is_appointed_by_phone_and_a_repeat_changes_nothing() -> None:
    platform = Platform()

    boss = platform.appoint(BOSS_PHONE)
    after = platform.snapshot()
    again = platform.appoint("+86 137 0000 0000")

    assert again == boss
    assert platform.snapshot() == after
    person = platform.person(boss)
    assert (person.campus_id, person.roles, person.is_platform_operator) == (None, (Role.OPERATOR,), True)
    assert platform.unit.events == [
        PersonJoined(person_id=boss, campus_id=None),
        RolesChanged(person_id=boss, roles=(Role.OPERATOR,)),
    ]
    [entry] = platform.all_of(model.AuditEntry)
    assert (entry.person_id, entry.action, entry.subject, entry.facts) == ("cli", "appoint", boss, {})
    assert platform.sign_in(BOSS_PHONE).person_id == boss


def test_a_student_who_is_appointed_stays_who_he_is() -> None:
    platform = Platform()
    student = platform.sign_in().person_id

    assert platform.appoint(PHONE) == student

    person = platform.person(student)
    assert (person.campus_id, person.roles) == (None, (Role.OPERATOR, Role.STUDENT))
    assert platform.unit.load(model.PlatformOperators, "platform").person_ids == (student,)


def test_staff_is_appointed_by_phone_before_they_ever_signed_in_and_a_repeat_changes_nothing() -> None:
    platform = Platform()

    cook = platform.appoint_staff(OTHER_PHONE, Role.MERCHANT, merchant_id="bj-m01").person_id
    after = platform.snapshot()
    again = platform.appoint_staff(OTHER_PHONE, Role.MERCHANT, merchant_id="bj-m01")

    assert (again.person_id, again.is_changed) == (cook, False)
    assert platform.snapshot() == after
    person = platform.person(cook)
    assert (person.campus_id, person.roles, person.merchant_id) == (BEIJING, (Role.MERCHANT,), "bj-m01")
    assert platform.unit.events == [
        PersonJoined(person_id=cook, campus_id=BEIJING),
        RolesChanged(person_id=cook, roles=(Role.MERCHANT,)),
    ]
    [entry] = platform.all_of(model.AuditEntry)
    assert (entry.person_id, entry.action, entry.subject) == ("demo", "set_roles", cook)
    assert entry.facts == {"roles_before": "", "roles": "merchant", "merchant_id": "bj-m01", "campus_id": BEIJING}
    assert platform.sign_in(OTHER_PHONE).person_id == cook


def test_a_student_who_becomes_staff_stays_who_he_is() -> None:
    platform = Platform()
    student = platform.sign_in().person_id

    assert platform.appoint_staff(PHONE, Role.RIDER).person_id == student

    assert platform.person(student).roles == (Role.RIDER,)


def test_an_operator_of_the_platform_cannot_be_made_staff_and_a_merchant_needs_a_shop() -> None:
    platform = Platform()
    platform.appoint(BOSS_PHONE)
    before = platform.snapshot()

    with pytest.raises(Forbidden):
        platform.appoint_staff(BOSS_PHONE, Role.RIDER)
    with pytest.raises(MerchantMismatch):
        platform.appoint_staff(PHONE, Role.MERCHANT)
    with pytest.raises(MerchantMismatch):
        platform.appoint_staff(PHONE, Role.RIDER, merchant_id="bj-m01")

    assert platform.snapshot() == before


def test_an_operator_gives_roles_and_it_is_told_and_written_down() -> None:
    platform = Platform()
    boss, student = platform.appoint(BOSS_PHONE), platform.sign_in().person_id

    answer = platform.set_roles(student, Role.STUDENT, Role.MERCHANT, Role.STUDENT, by=boss, merchant_id="m_1")

    assert answer == model.RolesSet(
        person_id=student,
        roles=(Role.MERCHANT, Role.STUDENT),
        merchant_id=MerchantId("m_1"),
        campus_id=BEIJING,
        is_changed=True,
    )
    assert platform.person(student).roles == (Role.MERCHANT, Role.STUDENT)
    assert platform.unit.events[-1] == RolesChanged(person_id=student, roles=("merchant", "student"))
    entry = platform.all_of(model.AuditEntry)[-1]
    assert (entry.at, entry.person_id, entry.action, entry.subject) == (platform.now, boss, "set_roles", student)
    assert entry.facts == {
        "roles_before": "student",
        "roles": "merchant,student",
        "merchant_id": "m_1",
        "campus_id": "beijing",
    }


def test_setting_the_same_roles_again_changes_nothing() -> None:
    platform = Platform()
    boss, student = platform.appoint(BOSS_PHONE), platform.sign_in().person_id
    platform.set_roles(student, Role.RIDER, by=boss)
    after = platform.snapshot()

    answer = platform.set_roles(student, Role.RIDER, by=boss)

    assert answer.is_changed is False
    assert platform.snapshot() == after


def test_a_shop_and_the_merchant_role_come_and_go_together() -> None:
    platform = Platform()
    boss, student = platform.appoint(BOSS_PHONE), platform.sign_in().person_id

    refused(platform, MerchantMismatch, student, Role.MERCHANT, by=boss)
    refused(platform, MerchantMismatch, student, Role.STUDENT, by=boss, merchant_id="m_1")
    platform.set_roles(student, Role.MERCHANT, by=boss, merchant_id="m_1")
    platform.set_roles(student, Role.STUDENT, by=boss)

    assert platform.person(student).merchant_id is None


def test_only_who_is_an_operator_now_may_set_roles() -> None:
    platform = Platform()
    boss = platform.appoint(BOSS_PHONE)
    student, other = platform.sign_in().person_id, platform.sign_in(OTHER_PHONE).person_id
    platform.set_roles(other, Role.OPERATOR, by=boss)
    platform.set_roles(other, Role.STUDENT, by=boss)

    refused(platform, Forbidden, student, Role.OPERATOR, by=student)
    refused(platform, Forbidden, student, Role.OPERATOR, by=other)
    refused(platform, Unknown, PersonId("p_nobody"), Role.STUDENT, by=boss)


def test_a_campus_operator_rules_his_own_campus_only() -> None:
    platform = Platform()
    boss, local = platform.appoint(BOSS_PHONE), platform.sign_in().person_id
    platform.set_roles(local, Role.OPERATOR, by=boss)
    neighbour = platform.sign_in("13800000002").person_id
    stranger = platform.sign_in("13800000003", campus_id=SHANGHAI).person_id

    assert platform.set_roles(neighbour, Role.RIDER, by=local).roles == (Role.RIDER,)
    assert not platform.person(local).is_platform_operator
    refused(platform, Unknown, stranger, Role.RIDER, by=local)
    refused(platform, Unknown, boss, Role.STUDENT, by=local)
    refused(platform, Forbidden, neighbour, Role.RIDER, by=local, campus_id=SHANGHAI)
    assert platform.set_roles(neighbour, Role.RIDER, by=boss, campus_id=SHANGHAI).campus_id == SHANGHAI


def test_the_last_operator_of_the_platform_cannot_be_removed_nor_leave() -> None:
    platform = Platform()
    boss, second = platform.appoint(BOSS_PHONE), platform.appoint(OTHER_PHONE)

    platform.set_roles(second, Role.STUDENT, by=boss, campus_id=BEIJING)

    assert platform.unit.load(model.PlatformOperators, "platform").person_ids == (boss,)
    refused(platform, LastOperator, boss, Role.STUDENT, by=boss, campus_id=BEIJING)
    refused(platform, LastOperator, boss, Role.OPERATOR, by=boss, campus_id=BEIJING)
    before = platform.snapshot()
    with pytest.raises(LastOperator):
        platform.erase(boss)
    assert platform.snapshot() == before


def test_who_leaves_the_platform_must_belong_to_a_campus() -> None:
    platform = Platform()
    boss, second = platform.appoint(BOSS_PHONE), platform.appoint(OTHER_PHONE)

    refused(platform, CampusMissing, second, Role.STUDENT, by=boss)


def test_the_platform_has_a_hundred_operators_at_most() -> None:
    full = model.PlatformOperators(person_ids=tuple(PersonId(f"p_{i}") for i in range(100)))

    with pytest.raises(TooManyOperators):
        full.joined(PersonId("p_100"))


def test_a_person_that_cannot_be_cannot_be_made() -> None:
    def person(**given: object) -> model.Person:
        fields = {"id": "p", "campus_id": BEIJING, "roles": (Role.STUDENT,), "joined_at": Platform().now}
        phone = {"phone_hash": "h", "phone_masked": "m", "phone_sealed": "s"}
        return model.Person(**(fields | phone | given))  # type: ignore[arg-type]

    person()
    for wrong in (
        {"roles": (Role.STUDENT, Role.MERCHANT)},
        {"roles": (Role.STUDENT, Role.STUDENT)},
        {"roles": (Role.MERCHANT,)},
        {"merchant_id": "m_1"},
        {"campus_id": None},
        {"session_ids": tuple(f"s_{i}" for i in range(11))},
        {"erased_at": Platform().now, "roles": ()},
    ):
        with pytest.raises(ValueError, match=r"roles|sessions|shop|campus|erased"):
            person(**wrong)


async def test_operators_find_people_by_phone_and_page_by_page() -> None:
    platform = Platform()
    boss = platform.appoint(BOSS_PHONE)
    ids = [platform.sign_in(f"1380000000{i}").person_id for i in range(3)]
    who = who_of(platform.person(boss))

    found = await platform.request("POST /v1/people/owner", body={"phone": "+86 13800000001"}, who=who)
    first = await platform.request("GET /v1/people", query={"limit": "2"}, who=who)
    second = await platform.request("GET /v1/people", query={"limit": "2", "after": first.next}, who=who)

    assert [(line.person_id, line.phone_masked) for line in found.items] == [(ids[1], "138****0001")]
    assert found.next is None
    assert [line.person_id for line in first.items] == [boss, ids[0]]
    assert [line.person_id for line in second.items] == [ids[1], ids[2]]
    assert second.next is None


async def test_a_campus_operator_sees_people_of_his_campus_only_and_no_audit_log() -> None:
    platform = Platform()
    boss, local = platform.appoint(BOSS_PHONE), platform.sign_in().person_id
    platform.sign_in(OTHER_PHONE, campus_id=SHANGHAI)
    platform.set_roles(local, Role.OPERATOR, by=boss)
    who = who_of(platform.person(local))

    seen = await platform.request("GET /v1/people", who=who)
    stranger = await platform.request("POST /v1/people/owner", body={"phone": OTHER_PHONE}, who=who)

    assert [line.person_id for line in seen.items] == [local]
    assert stranger.items == ()
    with pytest.raises(Forbidden):
        await platform.request("GET /v1/audit", who=who)


async def test_the_audit_log_is_read_newest_first_page_by_page() -> None:
    platform = Platform()
    boss = platform.appoint(BOSS_PHONE)
    student = platform.sign_in().person_id
    platform.set_roles(student, Role.RIDER, by=boss)
    who = who_of(platform.person(boss))

    first = await platform.request("GET /v1/audit", query={"limit": "1"}, who=who)
    second = await platform.request("GET /v1/audit", query={"limit": "1", "after": first.next}, who=who)

    assert [(line.person_id, line.action, line.subject) for line in first.items] == [(boss, "set_roles", student)]
    assert first.items[0].facts["roles"] == "rider"
    assert [(line.person_id, line.action) for line in second.items] == [("cli", "appoint")]
    assert second.next is None


async def test_roles_are_set_over_http_and_an_unknown_campus_is_refused() -> None:
    platform = Platform()
    boss, student = platform.appoint(BOSS_PHONE), platform.sign_in().person_id
    who, path = who_of(platform.person(boss)), {"person_id": student}

    await platform.request("PUT /v1/people/{person_id}/roles", body={"roles": ["rider"]}, who=who, path=path)
    with pytest.raises(CampusUnknown):
        await platform.request(
            "PUT /v1/people/{person_id}/roles", body={"roles": ["rider"], "campus_id": "nowhere"}, who=who, path=path
        )

    assert platform.person(student).roles == (Role.RIDER,)


def test_every_route_says_who_may_call_it() -> None:
    routes = {f"{route.method} {route.path}": route for route in Platform().room.routes}

    assert {name for name, route in routes.items() if not route.signed_in} == {
        "POST /v1/codes",
        "POST /v1/sessions",
        "POST /v1/wechat/sessions",
    }
    assert {name for name, route in routes.items() if route.roles == frozenset({Role.OPERATOR})} == {
        "PUT /v1/people/{person_id}/roles",
        "GET /v1/people",
        "POST /v1/people/owner",
        "GET /v1/audit",
    }
    for name, route in routes.items():
        assert (route.handler.__doc__ or "").startswith(f"{name}: ")

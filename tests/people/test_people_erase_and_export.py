"""J3 (PIPL): a person sees all that is kept of him, and can have it forgotten."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from tests.people.people_bench import BEIJING, NOON, OTHER_PHONE, PERSONAL, PHONE, Platform, who_of
from tuanzi import people
from tuanzi.base.problem import Unknown
from tuanzi.base.who import Role
from tuanzi.events import PersonErased, SessionEnded
from tuanzi.people import find_who, model
from tuanzi.people.problems import CodeExpired, NameInvalid

NAME = "小团子"


async def named(platform: Platform, phone: str = PHONE) -> model.Person:
    """A person who signed in and has a name."""
    person = platform.person(platform.sign_in(phone).person_id)
    await platform.request("PUT /v1/me/name", body={"name": f" {NAME} "}, who=who_of(person))
    return platform.person(person.id)


async def test_a_person_sees_himself() -> None:
    platform = Platform()
    person = await named(platform)

    seen = await platform.request("GET /v1/me", who=who_of(person))

    assert msgspec.json.decode(msgspec.json.encode(seen)) == {
        "person_id": person.id,
        "name": NAME,
        "phone_masked": "138****1234",
        "roles": ["student"],
        "campus_id": "beijing",
        "merchant_id": None,
        "joined_at": "2026-09-01T04:00:00Z",
        "has_wechat": False,
    }


async def test_a_wrong_name_is_refused_and_the_answer_to_a_right_one_does_not_hold_it() -> None:
    platform = Platform()
    person = await named(platform)

    with pytest.raises(NameInvalid):
        await platform.request("PUT /v1/me/name", body={"name": "a\u202eb"}, who=who_of(person))
    answer = await platform.request("PUT /v1/me/name", body={"name": "团"}, who=who_of(person))

    assert platform.person(person.id).name == "团"
    assert msgspec.json.decode(answer.body) == {"person_id": person.id}


async def test_the_export_holds_everything_that_is_kept_of_a_person() -> None:
    platform = Platform()
    boss = platform.appoint("13700000000")
    person = await named(platform)
    second = platform.sign_in()
    platform.set_roles(person.id, Role.MERCHANT, by=boss, merchant_id="m_1")
    await named(platform, OTHER_PHONE)

    answer = await platform.request("GET /v1/me/export", who=who_of(person))

    exported = msgspec.json.decode(msgspec.json.encode(answer))

    assert exported["phone"] == PHONE
    assert exported["person"] == {
        "person_id": person.id,
        "name": NAME,
        "phone_masked": "138****1234",
        "roles": ["merchant"],
        "campus_id": "beijing",
        "merchant_id": "m_1",
        "joined_at": "2026-09-01T04:00:00Z",
        "has_wechat": False,
    }
    assert exported["sessions"] == [
        {"id": person.session_ids[0], "created_at": "2026-09-01T04:00:00Z", "expires_at": "2026-10-01T04:00:00Z"},
        {"id": second.session_id, "created_at": "2026-09-01T04:02:00Z", "expires_at": "2026-10-01T04:02:00Z"},
    ]
    assert [(entry["action"], entry["subject"]) for entry in exported["audit"]] == [("set_roles", person.id)]
    assert exported["audit_next"] is None
    shown = set(msgspec.to_builtins(platform.person(person.id)))
    assert shown - set(exported["person"]) == {
        "id",  # as person_id
        "phone_hash",  # a way to find him, made of the phone
        "phone_sealed",  # as phone
        "session_ids",  # as sessions
        "erased_at",
        "is_returning",  # as is_returning
        "openid_hash",  # a way to find him, made of the openid that `wechat` shows
    }
    assert exported["is_returning"] is False


async def test_a_long_audit_log_is_exported_in_parts() -> None:
    platform = Platform()
    person = await named(platform)
    for i in range(501):
        entry = model.AuditEntry(
            id=f"a_{i:03}", at=NOON, person_id=person.id, action="set_roles", subject="p_1", facts={}
        )
        platform.unit.add(entry)

    first = await platform.request("GET /v1/me/export", who=who_of(person))
    rest = await platform.request("GET /v1/me/export", query={"after": first.audit_next}, who=who_of(person))

    assert [line.id for line in first.audit] == [f"a_{i:03}" for i in range(500, 0, -1)]
    assert ([line.id for line in rest.audit], rest.audit_next) == (["a_000"], None)


async def test_after_erasing_no_value_holds_anything_personal() -> None:
    platform = Platform()
    boss = platform.appoint("13700000000")
    person = await named(platform)
    platform.set_roles(person.id, Role.MERCHANT, by=boss, merchant_id="m_1")
    sessions = [person.session_ids[0], platform.sign_in().session_id]
    platform.ask_code()
    sealed = platform.keys.seal(PHONE)

    answer = await platform.request("DELETE /v1/me", who=who_of(person))

    stored = platform.everything()
    for personal in (PHONE, sealed.hash, sealed.masked, sealed.sealed, NAME):
        assert personal not in stored
    assert platform.person(person.id) == model.Person(
        id=person.id,
        campus_id=BEIJING,
        roles=(),
        phone_hash=None,
        phone_masked=None,
        phone_sealed=None,
        joined_at=NOON,
        erased_at=platform.now,
    )
    assert platform.all_of(model.Session) == []
    assert platform.all_of(model.CodeChallenge) == []
    assert [event.session_id for event in platform.unit.events if isinstance(event, SessionEnded)] == sessions
    assert platform.unit.events[-1] == PersonErased(person_id=person.id)
    entry = platform.all_of(model.AuditEntry)[-1]
    assert (entry.person_id, entry.action, entry.subject, entry.facts) == (person.id, "erase", person.id, {})
    assert answer.answer == model.Erased(person_id=person.id, erased_at=platform.now)


async def test_only_he_is_erased() -> None:
    platform = Platform()
    person, other = await named(platform), await named(platform, OTHER_PHONE)

    platform.erase(person.id)

    assert platform.person(other.id) == other
    assert [session.person_id for session in platform.all_of(model.Session)] == [other.id]


async def test_erasing_twice_changes_nothing() -> None:
    platform = Platform()
    person = await named(platform)
    first = platform.erase(person.id)
    after = platform.snapshot()

    platform.wait(timedelta(hours=1))

    assert platform.erase(person.id) == first
    assert platform.snapshot() == after


async def test_an_erased_person_is_unknown_and_cannot_be_changed() -> None:
    platform = Platform()
    boss, person = platform.appoint("13700000000"), await named(platform)
    platform.erase(person.id)

    with pytest.raises(Unknown):
        await platform.request("GET /v1/me", who=who_of(person))
    with pytest.raises(Unknown):
        await platform.request("GET /v1/me/export", who=who_of(person))
    with pytest.raises(Unknown):
        platform.do(model.ChangeName(person_id=person.id, name="again"))
    with pytest.raises(Unknown):
        platform.set_roles(person.id, Role.STUDENT, by=boss)


async def test_an_open_code_dies_with_the_person_and_the_cool_down_does_not() -> None:
    platform = Platform()
    person = await named(platform)
    code = platform.ask_code()

    platform.erase(person.id)

    with pytest.raises(CodeExpired):
        platform.try_code(code)
    await platform.run_errands()
    assert platform.inbox.sent == []
    assert platform.keys.seal(PHONE).mark in [limit.id for limit in platform.all_of(model.RateLimit)]


async def test_who_comes_back_is_somebody_new() -> None:
    platform = Platform()
    person = await named(platform)
    platform.erase(person.id)

    back = platform.sign_in()

    assert back.person_id != person.id
    assert platform.person(back.person_id).name == ""


async def comes_back(platform: Platform, *, having_ordered: bool) -> model.Person:
    """Sign in, be erased, and sign in again."""
    person = platform.person(platform.sign_in().person_id)
    if having_ordered:
        platform.campuses.ordered.add(person.id)
    platform.erase(person.id)
    await platform.run_errands()
    return platform.person(platform.sign_in().person_id)


async def test_of_who_comes_back_it_is_known_that_he_had_ordered_and_nothing_else() -> None:
    platform = Platform()

    back = await comes_back(platform, having_ordered=True)

    sealed = platform.keys.seal(PHONE)
    (former,) = platform.all_of(model.FormerPhone)
    assert back.is_returning
    assert former.erasure == ""
    assert former.mark not in (sealed.hash, sealed.mark)
    who = await find_who(platform.desk, back.session_ids[0], now=platform.now)
    assert who is not None
    assert who.is_returning
    assert not platform.person(platform.sign_in(OTHER_PHONE).person_id).is_returning


async def test_who_never_ordered_is_as_new_as_anybody_when_he_comes_back() -> None:
    platform = Platform()

    back = await comes_back(platform, having_ordered=False)

    assert not back.is_returning
    assert platform.all_of(model.FormerPhone) == []
    assert [id for id in platform.unit.timers if id.startswith("former:")] == []


async def test_while_no_campus_has_answered_he_counts_as_one_who_had_ordered() -> None:
    platform = Platform()
    platform.erase(platform.sign_in().person_id)

    assert platform.person(platform.sign_in().person_id).is_returning


async def test_who_had_ordered_stays_so_however_often_he_is_erased() -> None:
    platform = Platform()
    back = await comes_back(platform, having_ordered=True)

    for _ in range(2):
        platform.erase(back.id)
        await platform.run_errands()
        back = platform.person(platform.sign_in().person_id)

        assert back.is_returning


async def test_an_answer_that_comes_late_takes_no_mark_of_a_later_erasing_away() -> None:
    platform = Platform()
    first = platform.sign_in().person_id
    platform.erase(first)
    (late,) = [errand for _, errand in platform.unit.timers.values() if isinstance(errand, model.TellErased)]
    second = platform.sign_in().person_id
    platform.campuses.ordered.add(second)
    platform.erase(second)

    for errand in (late, *[one for _, one in platform.unit.timers.values() if isinstance(one, model.TellErased)]):
        platform.do(await platform.room.errands[model.TellErased](errand, now=platform.now))

    assert platform.person(platform.sign_in().person_id).is_returning


async def test_after_two_years_nothing_is_known_of_the_phone() -> None:
    platform = Platform()
    await comes_back(platform, having_ordered=True)
    ((at, timer),) = [due for id, due in platform.unit.timers.items() if id.startswith("former:")]
    assert platform.do(timer) == model.Swept(is_removed=False)

    platform.wait(at - platform.now)

    assert platform.do(timer) == model.Swept(is_removed=True)
    assert platform.all_of(model.FormerPhone) == []


async def test_every_database_that_knows_who_he_is_is_told_to_forget_him_and_that_is_written_down() -> None:
    platform = Platform()
    person = await named(platform)
    platform.erase(person.id)

    await platform.run_errands()

    told = [(letter.address, letter.command) for letter in platform.campuses.sent]
    assert told == [(address, people.ForgetPerson(person_id=person.id)) for address in PERSONAL]
    entry = platform.all_of(model.AuditEntry)[-1]
    assert (entry.person_id, entry.action, entry.subject) == ("platform", "forgotten", person.id)
    assert entry.facts == {"databases": "beijing.money,beijing.notices,shanghai.notices"}
    assert [id for id in platform.unit.timers if id.startswith("erasure:")] == []


async def test_while_one_of_them_is_away_nothing_is_written_down_and_all_are_told_again() -> None:
    platform = Platform()
    person = await named(platform)
    platform.erase(person.id)
    errand = model.TellErased(person_id=person.id, audit_id="a_1")
    tell = platform.room.errands[model.TellErased]
    platform.campuses.away = {"shanghai.notices"}

    with pytest.raises(TimeoutError):
        await tell(errand, now=platform.now)
    platform.campuses.away = set()
    again = await tell(errand, now=platform.now)

    assert [letter.address for letter in platform.campuses.sent] == [*PERSONAL, *PERSONAL]
    assert again == model.RecordForgotten(person_id=person.id, audit_id="a_1", where=PERSONAL)


async def test_the_erasing_and_the_telling_are_one_commit_and_each_is_recorded_once() -> None:
    platform = Platform()
    person = await named(platform)

    platform.erase(person.id)
    platform.erase(person.id)
    record = model.RecordForgotten(person_id=person.id, audit_id="a_1", where=PERSONAL)
    platform.do(record)
    platform.do(record)

    assert [id for id in platform.unit.timers if id.startswith("erasure:")] == [f"erasure:{person.id}"]
    assert [entry.action for entry in platform.all_of(model.AuditEntry)] == ["erase", "forgotten"]


async def test_he_is_told_what_is_kept_on_and_why() -> None:
    platform = Platform()
    person = await named(platform)

    answer = await platform.request("DELETE /v1/me", who=who_of(person))

    kept_on = msgspec.json.decode(answer.body)["kept_on"]
    assert len(kept_on) == 4
    assert all(each[name] for each in kept_on for name in ("what", "what_zh", "why", "why_zh"))

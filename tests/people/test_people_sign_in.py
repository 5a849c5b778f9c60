"""J3, C4: sign in with a phone and a one-time code; few tries, few codes, nothing secret kept."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from tests.people.people_bench import BEIJING, NOON, OTHER_PHONE, PHONE, SHANGHAI, Platform, who_of
from tuanzi.base.problem import Problem, Unknown
from tuanzi.base.who import Role
from tuanzi.events import PersonJoined, SessionEnded
from tuanzi.people import ConsoleSender, Quota, Quotas, model
from tuanzi.people.handlers import send_code
from tuanzi.people.problems import CampusUnknown, CodeExpired, CodeLocked, CodeWrong, TooManyCodes

MINUTE = timedelta(minutes=1)
MS = timedelta(milliseconds=1)


def wrong(code: str) -> str:
    return str((int(code) + 1) % 1_000_000).zfill(6)


def refused(platform: Platform, problem: type[Problem], code: str) -> dict[str, object]:
    """Assert that the code is refused and nothing changed; the facts."""
    before = platform.snapshot()
    with pytest.raises(problem) as refusal:
        platform.try_code(code)
    assert platform.snapshot() == before
    return refusal.value.facts


def test_the_first_sign_in_makes_a_student_of_the_campus() -> None:
    platform = Platform()

    answer = platform.try_code(platform.ask_code(campus_id=SHANGHAI))

    person = platform.person(answer.person_id)
    assert answer == model.SignedIn(
        session_id=person.session_ids[0],
        person_id=person.id,
        roles=(Role.STUDENT,),
        campus_id=SHANGHAI,
        merchant_id=None,
        expires_at=NOON + timedelta(days=30),
    )
    assert (person.phone_masked, person.name, person.joined_at) == ("138****1234", "", NOON)
    assert platform.unit.events == [PersonJoined(person_id=person.id, campus_id=SHANGHAI)]
    assert platform.all_of(model.CodeChallenge) == []


def test_the_next_sign_in_is_the_same_person_on_his_own_campus() -> None:
    platform = Platform()
    first = platform.sign_in(campus_id=BEIJING)

    second = platform.sign_in("+86 138-0000-1234", campus_id=SHANGHAI)

    assert (second.person_id, second.campus_id) == (first.person_id, BEIJING)
    assert platform.person(first.person_id).session_ids == (first.session_id, second.session_id)
    assert len(platform.unit.events) == 1


def test_a_used_code_is_refused() -> None:
    platform = Platform()
    code = platform.ask_code()
    platform.try_code(code)

    refused(platform, CodeExpired, code)


def test_a_code_lives_for_five_minutes_and_not_longer() -> None:
    platform = Platform()
    code = platform.ask_code()

    platform.wait(5 * MINUTE)
    refused(platform, CodeExpired, code)

    platform.wait(-MS)
    assert isinstance(platform.try_code(code), model.SignedIn)


def test_a_code_of_another_phone_or_before_the_last_is_wrong() -> None:
    platform = Platform()
    older = platform.ask_code()
    other = platform.ask_code(OTHER_PHONE)
    platform.wait(MINUTE)
    platform.ask_code()

    assert platform.try_code(older) == model.CodeRefused(tries_left=4)
    assert platform.try_code(other) == model.CodeRefused(tries_left=3)


def test_after_five_wrong_tries_even_the_right_code_is_refused() -> None:
    platform = Platform()
    code = platform.ask_code()

    answers = [platform.try_code(wrong(code)) for _ in range(5)]

    assert [answer.tries_left for answer in answers] == [4, 3, 2, 1, 0]
    refused(platform, CodeLocked, code)
    refused(platform, CodeLocked, wrong(code))
    assert platform.all_of(model.Person) == []


def test_the_fifth_try_may_still_be_right_and_a_new_code_gives_new_tries() -> None:
    platform = Platform()
    code = platform.ask_code()
    for _ in range(4):
        platform.try_code(wrong(code))
    assert isinstance(platform.try_code(code), model.SignedIn)

    platform.wait(MINUTE)
    code = platform.ask_code()

    assert platform.try_code(wrong(code)) == model.CodeRefused(tries_left=4)


def test_who_never_asked_for_a_code_is_refused() -> None:
    refused(Platform(), CodeExpired, "000000")


def test_a_code_is_answered_alike_for_a_known_and_an_unknown_phone() -> None:
    platform = Platform()
    platform.sign_in(PHONE)
    asked: list[bytes] = []

    for phone in (PHONE, OTHER_PHONE):
        platform.ask_code(phone)
        platform.wait(MINUTE)
        sealed = platform.keys.seal(phone)
        command = model.RequestCode(
            challenge_id="v_1", phone=sealed, code_hash="c", campus_id=BEIJING, address_mark="m"
        )
        asked.append(platform.desk.carry_out(command).body)

    assert asked == [b'{"expires_in_s":300,"again_in_s":60}'] * 2


def limited(platform: Platform, phone: str = PHONE, *, address: str = "10.0.0.1") -> object:
    """Assert that a code is refused and nothing changed; the seconds to wait."""
    before = platform.snapshot()
    with pytest.raises(TooManyCodes) as refusal:
        platform.ask_code(phone, address=address)
    assert platform.snapshot() == before
    return refusal.value.facts["retry_after_s"]


def test_a_phone_gets_one_code_a_minute() -> None:
    platform = Platform()
    platform.ask_code()

    assert limited(platform) == 60
    platform.wait(MINUTE - MS)
    assert limited(platform) == 1
    platform.wait(MS)
    platform.ask_code()
    platform.ask_code(OTHER_PHONE)


def test_an_address_gets_five_codes_an_hour_and_ten_a_day_for_one_phone() -> None:
    platform = Platform()
    for _ in range(5):
        platform.ask_code()
        platform.wait(MINUTE)

    assert limited(platform) == 55 * 60

    platform.wait(55 * MINUTE)
    for _ in range(5):
        platform.ask_code()
        platform.wait(MINUTE)
    assert limited(platform) == (24 * 60 - 65) * 60
    platform.wait(timedelta(minutes=24 * 60 - 65))
    platform.ask_code()


def test_an_address_gets_so_many_codes_for_whatever_phone() -> None:
    platform = Platform(quotas=Quotas(per_asker=(), per_phone=(), per_address=(Quota(times=2, within=10 * MINUTE),)))
    platform.ask_code("13800000001")
    platform.wait(MINUTE)
    platform.ask_code("13800000002")

    assert limited(platform, "13800000003") == 9 * 60
    platform.ask_code("13800000003", address="10.0.0.2")
    platform.wait(9 * MINUTE)
    platform.ask_code("13800000003")


def test_limits_are_rows_and_survive_a_restart() -> None:
    platform, restarted = Platform(), Platform()
    platform.ask_code()

    for table in platform.room.tables:
        for value in platform.all_of(table.kind):
            restarted.unit.put(table.from_row(table.to_row(value)))

    assert limited(restarted) == 60


def test_a_limit_is_forgotten_when_its_last_window_is_over_and_not_before() -> None:
    platform = Platform()
    platform.ask_code()
    mark = platform.keys.seal(PHONE).mark
    at, forget = platform.unit.timers[f"limit:{mark}"]
    assert at == NOON + timedelta(days=1)
    platform.wait(timedelta(hours=23))
    platform.ask_code()
    platform.wait(timedelta(hours=1))
    platform.ask_code()

    assert platform.do(forget) == model.Swept(is_removed=False)
    assert platform.unit.timers[f"limit:{mark}"] == (NOON + timedelta(days=2), forget)

    platform.wait(timedelta(days=1))
    assert platform.do(forget) == model.Swept(is_removed=True)
    assert mark not in [limit.id for limit in platform.all_of(model.RateLimit)]
    assert platform.do(forget) == model.Swept(is_removed=False)


def test_an_old_code_is_forgotten_and_a_newer_one_is_not() -> None:
    platform = Platform()
    platform.ask_code()
    timer = f"challenge:{platform.keys.seal(PHONE).hash}"
    at, forget_old = platform.unit.timers[timer]
    platform.wait(MINUTE)
    platform.ask_code()
    _, forget_new = platform.unit.timers[timer]

    assert at == NOON + 5 * MINUTE
    assert platform.do(forget_old) == model.Swept(is_removed=False)
    assert platform.do(forget_new) == model.Swept(is_removed=True)
    assert platform.do(forget_new) == model.Swept(is_removed=False)


async def test_the_code_reaches_the_phone_and_that_is_noted() -> None:
    platform = Platform()
    code = platform.ask_code("+86 138 0000 1234")

    await platform.run_errands()

    [challenge] = platform.all_of(model.CodeChallenge)
    [sent] = challenge.codes
    assert platform.inbox.sent == [(PHONE, code, sent.id)]
    assert sent.sent_at == NOON
    assert isinstance(platform.try_code(code), model.SignedIn)


async def test_sending_twice_sends_the_same_code_and_too_late_sends_nothing() -> None:
    platform = Platform()
    platform.ask_code()
    [errand] = [command for _, command in platform.unit.timers.values() if isinstance(command, model.SendCode)]

    for now in (NOON, NOON + MINUTE, NOON + 5 * MINUTE):
        outcome = await send_code(errand, now=now, keys=platform.keys, sender=platform.inbox)

    assert outcome.is_sent is False
    assert platform.do(outcome) == model.CodeSent(is_recorded=False)
    assert len(platform.inbox.sent) == 2
    assert len(set(platform.inbox.sent)) == 1


async def test_the_outcome_of_an_older_code_is_not_noted_on_the_newer() -> None:
    platform = Platform()
    platform.ask_code()
    [(_, errand)] = [timer for timer in platform.unit.timers.values() if isinstance(timer[1], model.SendCode)]
    outcome = await send_code(errand, now=NOON, keys=platform.keys, sender=platform.inbox)
    platform.wait(MINUTE)
    platform.ask_code()

    assert platform.do(outcome) == model.CodeSent(is_recorded=False)
    assert [code.sent_at for code in platform.all_of(model.CodeChallenge)[0].codes] == [None]


async def test_the_sandbox_sender_shows_the_code_and_masks_the_phone() -> None:
    lines: list[str] = []

    await ConsoleSender(lines.append).send(phone=PHONE, code="012345", challenge_id="v_1")

    assert lines == ["[demo] code for 138****1234: 012345\n"]


async def test_nothing_secret_or_personal_is_kept_in_plain() -> None:
    platform = Platform()
    asked = await platform.request("POST /v1/codes", body={"phone": PHONE, "campus_id": BEIJING})
    stored = platform.everything()
    await platform.run_errands()
    [(_, code, _)] = platform.inbox.sent

    opened = await platform.request("POST /v1/sessions", body={"phone": PHONE, "code": code})

    stored += platform.everything()
    assert code not in stored
    assert code.encode() not in asked.body
    assert PHONE not in stored
    assert "10.0.0.1" not in stored
    assert opened.body.token not in stored
    assert len(opened.body.token) == 64
    assert platform.keys.made(opened.body.token)
    assert model.hash_token(opened.body.token) in stored


async def test_the_token_is_answered_once_and_not_by_the_writer() -> None:
    platform = Platform()
    code = platform.ask_code()
    before = len(platform.desk.kept)

    opened = await platform.request("POST /v1/sessions", body={"phone": PHONE, "code": code})

    [kept] = platform.desk.kept[before:]
    assert opened.body.token not in kept.body.decode()
    assert opened.body.person_id == kept.answer.person_id
    with pytest.raises(CodeExpired):
        await platform.request("POST /v1/sessions", body={"phone": PHONE, "code": code})


async def test_a_wrong_code_is_a_problem_to_the_client_and_still_counted() -> None:
    platform = Platform()
    code = platform.ask_code()

    with pytest.raises(CodeWrong) as refusal:
        await platform.request("POST /v1/sessions", body={"phone": PHONE, "code": wrong(code)})

    assert refusal.value.facts == {"tries_left": 4}
    assert [tries.count for tries in platform.all_of(model.CodeChallenge)[0].wrong] == [1]


@pytest.mark.parametrize("code", ["12345", "1234567", "12345\n", "12345a", "１２３４５６", "-12345", "      "])
async def test_a_code_that_is_not_six_digits_is_bad_input(code: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        await Platform().request("POST /v1/sessions", body={"phone": PHONE, "code": code})


async def test_an_unknown_campus_is_refused() -> None:
    platform = Platform()

    with pytest.raises(CampusUnknown):
        await platform.request("POST /v1/codes", body={"phone": PHONE, "campus_id": "nowhere"})

    assert platform.unit.values == {}


def test_an_eleventh_session_ends_the_oldest() -> None:
    platform = Platform(quotas=Quotas(per_asker=(), per_phone=(), per_address=()))
    opened = [platform.sign_in() for _ in range(11)]

    person = platform.person(opened[0].person_id)
    assert person.session_ids == tuple(answer.session_id for answer in opened[1:])
    assert {session.id for session in platform.all_of(model.Session)} == set(person.session_ids)
    assert platform.unit.events[1:] == [SessionEnded(person_id=person.id, session_id=opened[0].session_id)]
    assert f"session:{opened[0].session_id}" not in platform.unit.timers


async def test_signing_out_ends_this_session_only_and_twice_is_harmless() -> None:
    platform = Platform()
    first, second = platform.sign_in(), platform.sign_in()
    who = who_of(platform.person(first.person_id), first.session_id)

    await platform.request("DELETE /v1/sessions/current", who=who)
    after = platform.snapshot()
    repeated = await platform.request("DELETE /v1/sessions/current", who=who)

    assert repeated.answer == model.SignedOut(session_id=first.session_id)
    assert platform.snapshot() == after
    assert [session.id for session in platform.all_of(model.Session)] == [second.session_id]
    assert platform.person(first.person_id).session_ids == (second.session_id,)
    assert platform.unit.events[-1] == SessionEnded(person_id=first.person_id, session_id=first.session_id)


def test_nobody_ends_a_session_of_somebody_else() -> None:
    platform = Platform()
    mine, other = platform.sign_in(), platform.sign_in(OTHER_PHONE)
    before = platform.snapshot()

    with pytest.raises(Unknown):
        platform.do(model.SignOut(session_id=other.session_id, person_id=mine.person_id))

    assert platform.snapshot() == before


def test_a_session_is_removed_after_thirty_days_and_not_before() -> None:
    platform = Platform()
    answer = platform.try_code(platform.ask_code())
    at, expire = platform.unit.timers[f"session:{answer.session_id}"]
    assert at == NOON + timedelta(days=30)

    platform.wait(timedelta(days=30) - MS)
    assert platform.do(expire) == model.Swept(is_removed=False)
    platform.wait(MS)
    assert platform.do(expire) == model.Swept(is_removed=True)

    assert platform.all_of(model.Session) == []
    assert platform.person(answer.person_id).session_ids == ()
    assert platform.do(expire) == model.Swept(is_removed=False)

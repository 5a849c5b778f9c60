"""J3: who asks for codes of somebody else's phone, or guesses them, does not keep its owner from signing in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.people.people_bench import NOON, OTHER_PHONE, PHONE, Platform
from tuanzi.people import model
from tuanzi.people.problems import CodeLocked, TooManyCodes

MINUTE = timedelta(minutes=1)
HOME, STRANGE = "10.0.0.1", "203.0.113.7"


def wrong(code: str) -> str:
    return str((int(code) + 1) % 1_000_000).zfill(6)


def flood(platform: Platform, *, times: int, address: str = STRANGE) -> int:
    """Somebody asks for codes of the phone, a minute apart, whatever he is answered; how many were sent."""
    sent = 0
    for _ in range(times):
        try:
            platform.ask_code(address=address)
            sent += 1
        except TooManyCodes:
            pass
        platform.wait(MINUTE)
    return sent


def test_ten_requests_of_a_stranger_leave_the_owner_his_code() -> None:
    platform = Platform()
    assert flood(platform, times=10) == 5

    code = platform.ask_code(address=HOME)

    assert isinstance(platform.try_code(code, address=HOME), model.SignedIn)


def test_a_code_that_was_sent_stays_usable_when_a_stranger_asks_for_another() -> None:
    platform = Platform()
    code = platform.ask_code(address=HOME)

    strange = platform.ask_code(address=STRANGE)

    assert strange != code
    assert isinstance(platform.try_code(code, address=HOME), model.SignedIn)
    assert platform.all_of(model.CodeChallenge) == []


def test_the_owner_may_use_the_code_that_a_stranger_had_sent_to_him() -> None:
    platform = Platform()
    sent = [platform.ask_code(address=f"203.0.113.{i}") for i in range(3)]

    with pytest.raises(TooManyCodes) as refusal:
        platform.ask_code(address=HOME)

    assert refusal.value.facts == {"retry_after_s": 300}
    assert isinstance(platform.try_code(sent[0], address=HOME), model.SignedIn)


def test_guesses_of_a_stranger_take_no_tries_from_the_owner() -> None:
    platform = Platform()
    code = platform.ask_code(address=HOME)

    for left in (4, 3, 2, 1, 0):
        assert platform.try_code(wrong(code), address=STRANGE) == model.CodeRefused(tries_left=left)
    with pytest.raises(CodeLocked):
        platform.try_code(code, address=STRANGE)

    assert platform.try_code(wrong(code), address=HOME) == model.CodeRefused(tries_left=4)
    assert isinstance(platform.try_code(code, address=HOME), model.SignedIn)


def test_many_addresses_guess_twenty_times_a_day_in_all() -> None:
    platform = Platform()
    code = platform.ask_code(address=HOME)
    for i in range(4):
        for _ in range(5):
            platform.try_code(wrong(code), address=f"203.0.113.{i}")

    before = platform.snapshot()
    for guess in (wrong(code), code):
        with pytest.raises(CodeLocked):
            platform.try_code(guess, address="203.0.113.99")
    assert platform.snapshot() == before

    assert isinstance(platform.try_code(code, address=HOME), model.SignedIn)


def test_a_phone_gets_twenty_messages_a_day_for_all_strangers_together() -> None:
    platform = Platform()
    sent = 0
    while platform.now < NOON + timedelta(hours=24):
        sent += flood(platform, times=1, address=f"203.0.113.{platform.now.minute}")
        platform.wait(2 * MINUTE)

    assert sent == 20


def test_where_he_signed_in_before_the_owner_gets_his_code_whatever_strangers_use_up() -> None:
    platform = Platform()
    platform.sign_in()
    for i in range(200):
        flood(platform, times=1, address=f"198.51.100.{i}")
        platform.wait(2 * MINUTE)
    with pytest.raises(TooManyCodes):
        platform.ask_code(address="192.0.2.1")

    code = platform.ask_code(address=HOME)

    assert isinstance(platform.try_code(code, address=HOME), model.SignedIn)


def test_the_three_addresses_last_signed_in_from_are_known_and_forgotten_with_him() -> None:
    platform = Platform()
    for i in range(5):
        address = f"10.0.0.{i}"
        answer = platform.try_code(platform.ask_code(address=address), address=address)
        platform.wait(MINUTE)

    [known] = platform.all_of(model.FamiliarAddresses)
    assert known.marks == tuple([platform.keys.mark_address(f"10.0.0.{i}") for i in (2, 3, 4)])
    assert "10.0.0" not in platform.everything()

    platform.do(model.ErasePerson(person_id=answer.person_id, audit_id=platform.make("a")))
    assert platform.all_of(model.FamiliarAddresses) == []


def test_a_neighbour_behind_the_same_address_uses_up_nothing_of_a_device_that_was_signed_in() -> None:
    """Decision 0039."""
    platform = Platform()
    platform.sign_in()
    device = platform.keys.device_of(platform.keys.seal(PHONE).hash)
    sent = 0
    while platform.now < NOON + timedelta(hours=20):
        sent += flood(platform, times=1, address=HOME)
        platform.wait(10 * MINUTE)
    with pytest.raises(TooManyCodes):
        platform.ask_code(address=HOME)

    code = platform.ask_code(address=HOME, device=device)
    for left in (4, 3, 2, 1, 0):  # which are the neighbour's
        assert platform.try_code(wrong(code), address=HOME) == model.CodeRefused(tries_left=left)

    assert isinstance(platform.try_code(code, address=HOME, device=device), model.SignedIn)
    assert sent == 9  # and the one that he signed in with


def test_a_device_gets_ten_codes_a_day_and_takes_none_from_others() -> None:
    platform = Platform()
    device = platform.keys.device_of(platform.keys.seal(PHONE).hash)
    sent = refused = 0
    while platform.now < NOON + timedelta(hours=24):
        try:
            platform.ask_code(address=f"203.0.113.{platform.now.minute}", device=device)
            sent += 1
        except TooManyCodes:
            refused += 1
        platform.wait(10 * MINUTE)

    assert (sent, refused > 0) == (10, True)
    assert isinstance(platform.try_code(platform.ask_code(address=STRANGE), address=STRANGE), model.SignedIn)


@pytest.mark.parametrize("device", ["0" * 64, "of another phone"])
def test_a_device_that_was_not_signed_in_with_this_phone_is_a_stranger(device: str) -> None:
    platform = Platform()
    if device == "of another phone":
        device = platform.keys.device_of(platform.keys.seal(OTHER_PHONE).hash)
    assert flood(platform, times=10) == 5

    with pytest.raises(TooManyCodes):
        platform.ask_code(address=STRANGE, device=device)


async def test_who_signs_in_is_given_what_shows_his_device_and_no_number_is_in_it() -> None:
    platform = Platform()
    code = platform.ask_code()

    opened = await platform.request("POST /v1/sessions", body={"phone": PHONE, "code": code})

    assert opened.body.device == platform.keys.device_of(platform.keys.seal(PHONE).hash)
    assert PHONE not in opened.body.device


def test_another_phone_is_not_concerned() -> None:
    platform = Platform()
    flood(platform, times=10)

    assert isinstance(platform.try_code(platform.ask_code(OTHER_PHONE), OTHER_PHONE), model.SignedIn)
    assert PHONE != OTHER_PHONE


async def test_a_code_that_another_replaced_before_it_went_out_is_not_sent() -> None:
    platform = Platform()
    platform.ask_code()
    strange = platform.ask_code(address=STRANGE)
    platform.wait(MINUTE)
    newest = platform.ask_code()

    await platform.run_errands()

    assert sorted(code for _, code, _ in platform.inbox.sent) == sorted([strange, newest])

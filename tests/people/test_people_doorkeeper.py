"""J3, A2: who a token is comes from memory; misses are shared, and rights that change are believed at once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.people.people_bench import NOON, OTHER_PHONE, PHONE, SECRET, Platform, who_of
from tuanzi.base.ids import PersonId
from tuanzi.base.once import Once
from tuanzi.base.problem import Busy
from tuanzi.base.who import Role, Who
from tuanzi.events import PersonJoined, SessionEnded
from tuanzi.machinery.http.problems import TooManyRequests
from tuanzi.people import Doorkeeper, Keys
from tuanzi.people.queries.doorkeeper import GUESSES_AT_ONCE, GUESSES_PER_S

SOON = NOON + timedelta(seconds=1)
KEYS = Keys(SECRET)


class SlowDesk:
    """A desk whose reads wait until they are let go."""

    def __init__(self, platform: Platform) -> None:
        self._desk = platform.desk
        self.reads = 0
        self.gate = asyncio.Event()
        self.fails = False

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        self.reads += 1
        rows = await self._desk.rows(sql, slots)
        await self.gate.wait()
        if self.fails:
            raise ConnectionError
        return rows

    few = rows

    async def submit(self, command: Any, *, who: str = "", key: Once | None = None) -> Any:
        return await self._desk.submit(command, who=who, key=key)

    async def followed(self, source: str, number: int) -> tuple[Any, ...]:
        return await self._desk.followed(source, number)


async def opened(platform: Platform, phone: str = PHONE) -> tuple[str, Who]:
    """A session over HTTP; its token and who it belongs to."""
    code = platform.ask_code(phone)
    session = (await platform.request("POST /v1/sessions", body={"phone": phone, "code": code})).body
    return session.token, who_of(platform.person(session.person_id), session.session_id)


async def settle() -> None:
    """Let everything that can run, run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_token_is_known_and_asked_for_once() -> None:
    platform = Platform()
    token, who = await opened(platform)
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS)

    answers = [await doorkeeper.authenticate(token, SOON) for _ in range(3)]

    assert answers == [who] * 3
    assert platform.desk.reads == 1


async def test_what_is_remembered_is_recalled_without_waiting_until_it_is_too_old() -> None:
    platform = Platform()
    token, who = await opened(platform)
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS)

    assert doorkeeper.recall(token, NOON) is None
    await doorkeeper.authenticate(token, NOON)

    assert doorkeeper.recall(token, NOON + timedelta(seconds=299)) == who
    assert doorkeeper.recall(token, NOON + timedelta(seconds=300)) is None
    assert doorkeeper.recall("0" * 64, NOON) is None
    assert doorkeeper.recall("é" * 64, NOON) is None
    doorkeeper.forget(who.person_id)
    assert doorkeeper.recall(token, NOON) is None


@pytest.mark.parametrize("token", ["", "x", "0" * 63, "0" * 65, "é" * 64])
async def test_what_cannot_be_a_token_is_not_even_looked_up(token: str) -> None:
    platform = Platform()

    assert await Doorkeeper(platform.desk, keys=KEYS).authenticate(token, SOON) is None
    assert platform.desk.reads == 0


async def test_an_unknown_token_is_remembered_only_briefly() -> None:
    platform = Platform()
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS)

    for seconds in (0, 1, 2):
        assert await doorkeeper.authenticate("0" * 64, NOON + timedelta(seconds=seconds)) is None

    assert platform.desk.reads == 2


async def test_a_session_is_over_after_thirty_days_whatever_is_remembered() -> None:
    platform = Platform()
    token, who = await opened(platform)
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS, fresh_for=timedelta(days=60))
    end = NOON + timedelta(days=30)

    assert await doorkeeper.authenticate(token, end - timedelta(milliseconds=1)) == who
    assert await doorkeeper.authenticate(token, end) is None


async def test_what_is_remembered_is_read_again_after_a_while() -> None:
    platform = Platform()
    token, who = await opened(platform)
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS)
    await doorkeeper.authenticate(token, NOON)

    platform.erase(who.person_id)

    assert await doorkeeper.authenticate(token, NOON + timedelta(seconds=299)) == who
    assert await doorkeeper.authenticate(token, NOON + timedelta(seconds=300)) is None


async def test_signing_out_changing_roles_and_erasing_are_believed_at_once() -> None:
    platform = Platform()
    boss = platform.appoint("13700000000")
    token, who = await opened(platform)
    kept, other = await opened(platform, OTHER_PHONE)
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS)
    assert [await doorkeeper.authenticate(each, SOON) for each in (token, kept)] == [who, other]

    platform.set_roles(who.person_id, Role.RIDER, by=boss)
    doorkeeper.on_event(platform.unit.events[-1])
    changed = await doorkeeper.authenticate(token, SOON)
    assert changed is not None
    assert changed.roles == frozenset({Role.RIDER})

    await platform.request("DELETE /v1/sessions/current", who=who)
    doorkeeper.on_event(platform.unit.events[-1])
    assert await doorkeeper.authenticate(token, SOON) is None

    platform.erase(other.person_id)
    doorkeeper.on_event(platform.unit.events[-1])
    assert await doorkeeper.authenticate(kept, SOON) is None


async def test_who_came_long_ago_is_forgotten_too() -> None:
    platform = Platform()
    token, who = await opened(platform)
    other, _ = await opened(platform, OTHER_PHONE)
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS, remembered_max=2)
    await doorkeeper.authenticate(token, SOON)
    await doorkeeper.authenticate(other, SOON)

    platform.erase(who.person_id)
    doorkeeper.on_event(platform.unit.events[-1])

    assert await doorkeeper.authenticate(token, SOON) is None


async def test_other_events_and_other_people_cost_nothing() -> None:
    platform = Platform()
    token, who = await opened(platform)
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS)
    await doorkeeper.authenticate(token, SOON)

    doorkeeper.on_event(PersonJoined(person_id=who.person_id, campus_id=None))
    doorkeeper.on_event(object())
    doorkeeper.forget(PersonId("p_other"))
    await doorkeeper.authenticate(token, SOON)

    assert platform.desk.reads == 1


async def test_many_who_ask_the_same_wait_for_one_read() -> None:
    platform = Platform()
    token, who = await opened(platform)
    desk = SlowDesk(platform)
    doorkeeper = Doorkeeper(desk, keys=KEYS)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(doorkeeper.authenticate(token, SOON)) for _ in range(100)]
        await settle()
        desk.gate.set()

    assert [task.result() for task in tasks] == [who] * 100
    assert desk.reads == 1


async def test_those_who_come_in_one_turn_are_asked_for_in_one_read_and_each_is_told_who_he_is() -> None:
    platform = Platform()
    opening = [await opened(platform, phone) for phone in (PHONE, OTHER_PHONE)]
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS)

    tokens = [opening[0][0], "f" * 64, opening[1][0]]
    answers = await asyncio.gather(*[doorkeeper.authenticate(token, SOON) for token in tokens])

    assert answers == [opening[0][1], None, opening[1][1]]
    assert platform.desk.reads == 1


async def test_rights_that_change_while_they_are_read_are_read_again() -> None:
    platform = Platform()
    boss = platform.appoint("13700000000")
    token, who = await opened(platform)
    desk = SlowDesk(platform)
    doorkeeper = Doorkeeper(desk, keys=KEYS)
    asking = asyncio.create_task(doorkeeper.authenticate(token, SOON))
    await settle()

    platform.set_roles(who.person_id, Role.RIDER, by=boss)
    doorkeeper.on_event(platform.unit.events[-1])
    desk.gate.set()
    answer = await asking

    assert answer is not None
    assert answer.roles == frozenset({Role.RIDER})
    assert await doorkeeper.authenticate(token, SOON) == answer
    assert desk.reads == 2


async def test_who_is_cancelled_does_not_take_the_others_with_him() -> None:
    platform = Platform()
    token, who = await opened(platform)
    desk = SlowDesk(platform)
    doorkeeper = Doorkeeper(desk, keys=KEYS)
    first, second, third = [asyncio.create_task(doorkeeper.authenticate(token, SOON)) for _ in range(3)]
    await settle()

    first.cancel()
    third.cancel()
    await settle()
    desk.gate.set()

    assert await second == who
    assert first.cancelled()
    assert third.cancelled()
    assert desk.reads == 2


async def test_a_failed_read_fails_for_all_who_wait_and_is_not_remembered() -> None:
    platform = Platform()
    token, who = await opened(platform)
    desk = SlowDesk(platform)
    desk.fails = True
    doorkeeper = Doorkeeper(desk, keys=KEYS)
    tasks = [asyncio.create_task(doorkeeper.authenticate(token, SOON)) for _ in range(2)]
    await settle()
    desk.gate.set()

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(answer) for answer in answers] == [ConnectionError] * 2
    assert desk.reads == 1
    desk.fails = False
    assert await doorkeeper.authenticate(token, SOON) == who


async def test_guesses_at_tokens_are_bounded() -> None:
    desk = SlowDesk(Platform())
    doorkeeper = Doorkeeper(desk, keys=KEYS)
    tasks = [asyncio.create_task(doorkeeper.authenticate(f"{i:064x}", SOON)) for i in range(512)]
    await settle()

    with pytest.raises(Busy):
        await doorkeeper.authenticate("f" * 64, SOON)

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert desk.reads == 512 / 16  # asked for together


async def test_memory_is_bounded_and_keeps_who_comes_often() -> None:
    platform = Platform()
    often, _ = await opened(platform)
    others = [(await opened(platform, f"1390000000{i}"))[0] for i in range(4)]
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS, remembered_max=4)
    await doorkeeper.authenticate(often, SOON)

    for token in others:
        await doorkeeper.authenticate(token, SOON)
        await doorkeeper.authenticate(often, SOON)

    assert platform.desk.reads == 5
    await doorkeeper.authenticate(others[0], SOON)
    assert platform.desk.reads == 6


async def test_strangers_are_bounded_too() -> None:
    platform = Platform()
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS, remembered_max=4)

    for i in (0, 1, 2, 0):
        await doorkeeper.authenticate(f"{i:064x}", SOON)

    assert platform.desk.reads == 4


async def test_who_signs_out_while_the_newest_sessions_are_read_is_not_remembered_as_he_was() -> None:
    platform = Platform()
    token, who = await opened(platform)
    other, still_there = await opened(platform, OTHER_PHONE)
    desk = SlowDesk(platform)
    doorkeeper = Doorkeeper(desk, keys=KEYS)

    warming = asyncio.create_task(doorkeeper.warm_up(SOON))
    await settle()
    doorkeeper.on_event(SessionEnded(person_id=who.person_id, session_id=who.session_id))
    desk.gate.set()
    await warming

    assert doorkeeper.recall(token, SOON) is None
    assert doorkeeper.recall(other, SOON) == still_there


async def guess(doorkeeper: Doorkeeper, times: int, *, asker: str, now: datetime = SOON) -> int:
    """Send tokens that this house did not make, all different; how many were looked up before one was refused."""
    for i in range(times):
        try:
            assert await doorkeeper.authenticate(secrets.token_hex(32), now, asker) is None
        except TooManyRequests:
            return i
    return times


async def test_a_flood_of_made_up_tokens_is_read_for_no_more_often_than_one_network_may_guess() -> None:
    platform = Platform()
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS)

    assert await guess(doorkeeper, 1_000, asker="2001:db8:7::1") == GUESSES_AT_ONCE
    assert await guess(doorkeeper, 10, asker="2001:db8:7::2") == 0  # the same /64
    assert platform.desk.reads == GUESSES_AT_ONCE
    assert doorkeeper.guesses_refused == 2
    assert await guess(doorkeeper, 10, asker="2001:db8:7:1::1") == 10
    later = SOON + timedelta(seconds=1)
    assert await guess(doorkeeper, 100, asker="2001:db8:7::3", now=later) == GUESSES_PER_S


async def test_who_signed_in_gets_through_beside_a_flood_from_his_own_network() -> None:
    platform = Platform()
    token, who = await opened(platform)
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS)
    await guess(doorkeeper, GUESSES_AT_ONCE + 1, asker="10.0.0.1")

    assert await doorkeeper.authenticate(token, SOON, "10.0.0.1") == who
    doorkeeper.on_event(SessionEnded(person_id=who.person_id, session_id="s_other"))
    assert await doorkeeper.authenticate(token, SOON, "10.0.0.1") == who
    # So is told who comes when his session has ended, however often the others guess.
    await platform.request("DELETE /v1/sessions/current", who=who)
    doorkeeper.on_event(platform.unit.events[-1])
    assert await doorkeeper.authenticate(token, SOON, "10.0.0.1") is None


async def test_tokens_of_before_there_were_marks_open_their_sessions_and_cost_no_guess() -> None:
    platform = Platform()
    tokens = [secrets.token_hex(32) for _ in range(8)]
    for i, token in enumerate(tokens):
        phone = f"1380000000{i}"
        platform.try_code(platform.ask_code(phone, address=f"10.0.1.{i}"), phone, token=token)
    doorkeeper = Doorkeeper(platform.desk, keys=KEYS)
    await guess(doorkeeper, GUESSES_AT_ONCE - 1, asker="10.0.0.1")

    for token in tokens:
        assert await doorkeeper.authenticate(token, SOON, "10.0.0.1") is not None

    assert await guess(doorkeeper, 10, asker="10.0.0.1") == 1
    # Who was here is no guess any more, though what was remembered of him has grown old.
    much_later = SOON + timedelta(minutes=5)
    assert await guess(doorkeeper, GUESSES_AT_ONCE + 1, asker="10.0.0.1", now=much_later) == GUESSES_AT_ONCE
    assert await doorkeeper.authenticate(tokens[0], much_later, "10.0.0.1") is not None

"""D3, J5: what one process says and another cannot read - of a later release, or damaged - stops neither."""

from __future__ import annotations

from typing import cast as typed

import pytest

from tests.installation.test_paying_apart import CAMPUS, core_of, ordered
from tests.journeys.conftest import Cast, done
from tests.waiting import until
from tuanzi.installation import Front
from tuanzi.machinery.calls import Call, Reply, pack_call

A_CALL = pack_call(Call(1, "127.0.0.1:1", "core", "groups.OpenGroup", b'{"group_id": "\xff'))


async def test_an_event_of_a_later_release_ends_nobody_who_serves(cast: Cast) -> None:
    core, events = core_of(cast), typed(Front, cast.town.house).engines.events
    assert events is not None
    told: list[int] = []
    core.subscribe(lambda numbered: told.extend(number for number, _ in numbered))
    await ordered(cast)
    await until(lambda: core.event_number == max(told))
    newest = core.event_number

    await events.publish(f"{CAMPUS}.core", [(newest + 1, "orders.danced", 1, 0, b"{}")])
    await until(lambda: core.event_number == newest + 1)

    assert max(told) == newest
    await done(cast.ming.get("groups"))


async def test_an_answer_with_an_event_of_a_later_release_is_an_answer(cast: Cast) -> None:
    words = typed(Front, cast.town.house)._words["core"]

    outcome = words.outcome("groups.ExpireSeat", Reply(1, events=[(7, "orders.danced", 1, b"{}")]))

    assert outcome.problem is None
    assert [number for number, _ in outcome.events] == [7]


@pytest.mark.parametrize(
    "body",
    [A_CALL, A_CALL[:9], b"\x95\x01\xa2\xff\xfe\xa4core\xa1x\xc4\x00", b"\xc0", b""],
    ids=["its command", "cut off", "its address", "nothing", "empty"],
)
async def test_a_damaged_call_is_passed_over_and_the_next_is_carried_out(cast: Cast, body: bytes) -> None:
    await typed(Front, cast.town.house).engines.commands.append(CAMPUS, [body])

    await ordered(cast)

"""B6, D3: who pays is told what his money did to his group, by one answer from those who decide."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from typing import cast as typed

from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Cast, done
from tests.waiting import until
from tuanzi.engines.logs.here import HereCommandLog
from tuanzi.installation import Front, WriterSide
from tuanzi.installation.meeting import FIGURES
from tuanzi.machinery.afar import Readable, RemoteDesk
from tuanzi.machinery.calls import Call, unpack_call
from tuanzi.machinery.tables import Row

CAMPUS = "beijing"


async def ordered(cast: Cast) -> str:
    """An order of ming's that is not paid."""
    return str((await done(cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201))["order_id"])


def calls(cast: Cast) -> list[Call]:
    """What those who serve have had written into the command log, but for how everybody does."""
    log = typed(HereCommandLog, typed(Front, cast.town.house).engines.commands)
    said = [unpack_call(entry.body) for entry in log._lanes[CAMPUS].entries]
    return [call for call in said if call.command != FIGURES]


async def test_a_payment_is_one_call_though_two_databases_take_note(cast: Cast) -> None:
    order_id = await ordered(cast)
    before = len(calls(cast))

    paid = await done(cast.ming.post(f"orders/{order_id}/pay"))

    assert paid["paid_count"] == 1
    assert [(call.desk, call.heard_by) for call in calls(cast)[before:]] == [("money", "core")]
    assert (await done(cast.ming.get(f"orders/{order_id}")))["state"] == "paid"


async def test_a_payment_is_answered_though_the_campus_begins_anew_before_core_has_heard(cast: Cast) -> None:
    order_id = await ordered(cast)
    writers = typed(WriterSide, cast.town.writers)
    held = writers.held[CAMPUS]

    held.writers["core"].close()  # it hears nothing more
    paying = asyncio.create_task(done(cast.ming.post(f"orders/{order_id}/pay")))
    await until(lambda: held.unheard)
    await writers.end(CAMPUS)

    assert (await paying)["paid_count"] == 1
    assert (await done(cast.ming.get(f"orders/{order_id}")))["state"] == "paid"


class Counting:
    """A database that counts how often it is asked for orders."""

    def __init__(self, database: Readable) -> None:
        self.asked = 0
        self._database = database

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None, *, as_of: float) -> list[Row]:
        self.asked += "FROM orders" in sql
        return self._database.rows(sql, slots, as_of=as_of)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def core_of(cast: Cast) -> RemoteDesk:
    """The campus's orders, as those who serve see them."""
    return typed(Front, cast.town.house).remote[f"{CAMPUS}.core"]


async def test_who_pays_as_soon_as_he_has_ordered_is_not_read_for(cast: Cast) -> None:
    core = core_of(cast)
    core.database = counting = Counting(core.database)
    order_id = await ordered(cast)

    paid = await done(cast.ming.post(f"orders/{order_id}/pay"))

    assert paid["paid_count"] == 1
    assert counting.asked == 0
    assert (await done(cast.ming.post(f"orders/{order_id}/pay"))) == paid  # who pays again is read for
    assert counting.asked == 1


async def test_what_was_just_ordered_is_still_only_its_members_to_pay(cast: Cast) -> None:
    order_id = await ordered(cast)

    problem = await done(cast.hua.post(f"orders/{order_id}/pay"), 404)

    assert problem["code"] == "base/unknown"


async def test_what_was_given_up_as_soon_as_it_was_ordered_is_not_paid(cast: Cast) -> None:
    order_id = await ordered(cast)
    await done(cast.ming.post(f"orders/{order_id}/cancel"))

    problem = await done(cast.ming.post(f"orders/{order_id}/pay"), 409)

    assert problem["code"] == "orders/not-payable"


async def test_what_an_answer_told_the_event_log_does_not_tell_again(cast: Cast) -> None:
    core = core_of(cast)
    told: list[int] = []
    core.subscribe(lambda events: told.extend(number for number, _ in events if number))
    since = core.event_number

    await ordered(cast)
    newest = max(told)
    await until(lambda: core.event_number >= newest)

    assert sorted(told) == list(range(since + 1, newest + 1))


async def test_only_databases_of_which_somebody_wants_to_hear_are_listened_to(cast: Cast) -> None:
    remote = typed(Front, cast.town.house).remote

    heard = sorted(name for name, desk in remote.items() if desk.is_heard)
    assert heard == [f"{CAMPUS}.core", "platform", "shanghai.core"]

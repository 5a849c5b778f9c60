"""B6, D3: who pays is told what his money did to his group, by one answer from those who decide."""

from __future__ import annotations

import asyncio
from typing import cast as typed

from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Cast, done
from tests.waiting import until
from tuanzi.engines.logs.here import HereCommandLog
from tuanzi.installation import Front, WriterSide
from tuanzi.installation.meeting import FIGURES
from tuanzi.machinery.calls import Call, unpack_call

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

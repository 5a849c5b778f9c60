"""J5: what a database laid aside is heard, while everything runs, by whoever decides elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journeys.conftest import Town
from tuanzi.events import OrderPlaced, RefundDue
from tuanzi.machinery.codec import encode
from tuanzi.machinery.internal import PARKED_EVENTS, HearParked, ParkedEvent, Rows
from tuanzi.machinery.problems import NotParked


@pytest.mark.parametrize(
    ("kind", "event", "sql"),
    [
        (
            "money",
            lambda now: RefundDue(refund_id="r_1", order_id="o_1", member_id="p_1", amount_fen=500, reason="left"),
            "SELECT id FROM refunds",
        ),
        (
            "notices",
            lambda now: OrderPlaced(order_id="o_1", group_id="g_1", member_id="p_1", payable_fen=500, pay_before=now),
            "SELECT member_id FROM order_owners",
        ),
    ],
)
async def test_an_event_is_heard_once_while_the_installation_runs(town: Town, kind: str, event: Any, sql: str) -> None:
    happened = event(town.now)
    command = HearParked(source="core", number=90, name=happened.name, version=1, body=encode(happened).decode())
    desk: Any = getattr(town.house.campuses["beijing"], kind)
    aside = ParkedEvent(source="core", number=90, name=happened.name, reason="a bug", parked_at=town.now)
    (writer,) = [each for each in town.writers.desks if each.name == f"beijing.{kind}"]
    await writer.keep_rows(Rows(inserts=[(PARKED_EVENTS, [PARKED_EVENTS.to_row(aside)])]))

    await desk.submit(command, is_accepted=True)
    with pytest.raises(NotParked):
        await desk.submit(command, is_accepted=True)

    assert len(desk.database.rows(sql, as_of=0.0)) == 1
    assert desk.database.rows("SELECT COUNT(*) FROM parked_events", as_of=0.0) == [(0,)]

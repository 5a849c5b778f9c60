"""B1, J5: of a campus in an installation, events go when all have heard them and the event log has them too."""

from __future__ import annotations

from tests.journeys.conftest import Cast
from tests.waiting import until
from tuanzi.machinery.desk.sweeping import EVENTS_KEPT_FOR


async def test_events_are_kept_for_those_who_follow_tell_and_publish_them(cast: Cast) -> None:
    town = cast.town
    await cast.closed_group()
    await town.settled()
    held = town.writers.held["beijing"]
    core = held.writers["core"]
    (relay,) = [each for each in held.relays if each.source == "beijing.core"]
    await until(lambda: relay.position == core.event_number)
    followed = [desk._feeds["core"].follower.position for desk in held.writers.values() if "core" in desk._feeds]
    told = held.telling.keeper.positions["core"]

    kept_for = [await heard() for heard in core.old_events._hearers]
    old = await core.old_events.find(core.rows, now=town.now + 2 * EVENTS_KEPT_FOR)

    assert len(followed) == 2
    assert sorted(kept_for) == sorted([*followed, told, relay.position])
    assert old == list(range(1, min(kept_for) + 1))

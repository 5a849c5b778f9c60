"""Dedup is a Bloom filter over a window in front of an exact check: a hit of the filter alone drops nothing (A3)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.office import FILTERS, Direct
from tuanzi import live, wiring
from tuanzi.engines.fanout.here import Here
from tuanzi.engines.post.desks import DeskPost
from tuanzi.machinery.push.keeper import Keeper
from tuanzi.machinery.push.keeper import numbers as keeping
from tuanzi.machinery.push.ports import Draft, Kept
from tuanzi.machinery.push.seen import ITEMS_MAX, WINDOW_S, Seen
from tuanzi.money import SandboxProvider
from tuanzi.people import ConsoleSender, Keys

ROOMS = wiring.rooms_of(
    keys=Keys(b"s" * 32),
    sender=ConsoleSender(),
    provider=SandboxProvider(),
    is_campus=lambda name: True,
    post=DeskPost(lambda address: None),
)
SCHEMA = wiring.schema_of("notices", ROOMS)
posts = st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), max_size=8), max_size=12)


class Told:
    """A gateway that remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Kept]] = []

    def deliver(self, batch: Sequence[Kept]) -> None:
        """Remember a batch."""
        self.batches.append(batch)

    def change(self, channel: str) -> None:
        """No pictures here."""

    def catch_up(self) -> None:
        """Nothing is missed here."""


async def told(batches: Sequence[Sequence[tuple[int, int]]], filter_name: str) -> tuple[Keeper, Told, Direct]:
    """Post batches of (event, person), some again and again; the keeper starts anew before each third batch."""
    desk, node, fan_out = Direct(SCHEMA), Told(), Here()
    fan_out.join("beijing", node)
    archive = live.StreamArchive(desk)

    def open_keeper() -> Keeper:
        seen = Seen(clock=lambda: 0.0, make=FILTERS[filter_name])
        return Keeper(
            "beijing",
            [],
            teller=live.LiveTeller(desk),
            archive=archive,
            fan_out=fan_out,
            seen=seen,
            now=wiring.wall_clock,
        )

    keeper = open_keeper()
    for i, batch in enumerate(batches):
        if i % 3 == 2:
            keeper = open_keeper()
        drafts = [Draft(f"user:p{person}", b'"%d"' % event, event_id=f"e{event}") for event, person in batch]
        posted = asyncio.ensure_future(keeper.post(drafts))
        await asyncio.sleep(0)
        await keeper.step()
        await posted
    return keeper, node, desk


@settings(max_examples=30, deadline=None)
@given(posts, st.sampled_from(sorted(FILTERS)))
def test_whatever_the_filter_says_each_event_is_told_once_and_none_is_lost(
    batches: list[list[tuple[int, int]]], filter_name: str
) -> None:
    _, node, desk = asyncio.run(told(batches, filter_name))

    first: dict[int, int] = {}
    for batch in batches:
        for event, person in batch:
            first.setdefault(event, person)
    expected = {f"user:p{person}": [event for event in first if first[event] == person] for person in first.values()}
    kept: dict[str, list[int]] = {}
    for stream, number, body in desk.database.rows(
        "SELECT stream, first_number + m.key, m.value FROM stream_runs, json_each(messages) m ORDER BY 1, 2"
    ):
        kept.setdefault(stream, []).append(int(body))
        assert number == len(kept[stream])
    sent: dict[str, list[int]] = {}
    for message in (message for batch in node.batches for message in batch):
        sent.setdefault(message.stream, []).append(int(message.data.strip(b'"')))
    assert kept == expected
    assert sent == expected


@pytest.mark.parametrize("filter_name", sorted(FILTERS))
async def test_only_the_exact_check_drops(filter_name: str) -> None:
    batch = [(event, 0) for event in range(100)]
    keeper, node, _ = await told([batch, batch], filter_name)

    assert sum(len(batch) for batch in node.batches) == 100
    assert keeper.figures.repeats == 100
    # A filter that forgot is found out by the table's key, and then everything is asked.
    assert (keeper.seen.maybes >= 100) is (filter_name != "wiped")


def test_the_filter_remembers_for_one_to_two_windows() -> None:
    now = 0.0
    seen = Seen(clock=lambda: now)
    seen.add(["first"])

    now = WINDOW_S
    seen.add(["second"])
    assert seen.may_know("first")

    now = 2 * WINDOW_S
    seen.add(["third"])
    assert not seen.may_know("first")
    assert seen.may_know("second")


def test_a_filter_that_fills_up_is_turned_before_it_is_wrong_too_often() -> None:
    seen = Seen(clock=lambda: 0.0)
    for i in range(ITEMS_MAX):
        seen.add([f"core.{i}.0"])

    wrong = sum(seen.may_know(f"money.{i}.0") for i in range(20_000))

    assert wrong <= 20


class Asked(live.StreamArchive):
    """An archive that counts how often it is asked where a stream is."""

    asked = 0

    async def newest(self, streams: Sequence[str]) -> dict[str, int]:
        """As ever."""
        self.asked += 1
        return await super().newest(streams)


async def test_who_starts_anew_learns_all_numbers_and_asks_neither_for_old_streams_nor_for_new_ones() -> None:
    _, _, desk = await told([[(event, event % 3) for event in range(9)]], "bloom")
    archive, node, fan_out = Asked(desk), Told(), Here()
    fan_out.join("beijing", node)
    keeper = Keeper(
        "beijing",
        [],
        teller=live.LiveTeller(desk),
        archive=archive,
        fan_out=fan_out,
        seen=Seen(clock=lambda: 0.0),
        now=wiring.wall_clock,
    )

    async with asyncio.timeout(60):
        running = asyncio.create_task(keeper.run())
        for _ in range(10):
            await asyncio.sleep(0)
        await keeper.post([Draft(f"user:p{event % 5}", b"1", event_id=f"e{event}") for event in range(10, 20)])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    numbers = {message.stream: message.number for batch in node.batches for message in batch}
    assert numbers == {"user:p0": 5, "user:p1": 5, "user:p2": 5, "user:p3": 2, "user:p4": 2}
    assert archive.asked == 0


acts = st.lists(st.sampled_from([*range(6), *range(6), "begin", "begin", "learn", "learn", "forget"]), max_size=40)


@settings(max_examples=1_000, deadline=None)
@given(acts)
def test_what_memory_knows_of_a_stream_is_never_behind_whatever_was_read_when(acts: list[int | str]) -> None:
    truth: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "NUMBERS_MAX", 2)
        numbers = keeping.Numbers()
        read, history = truth.copy(), numbers.history
        for act in acts:
            match act:
                case "begin":
                    read, history = truth.copy(), numbers.history
                case "learn":
                    numbers.learn(read, history=history)
                case "forget":
                    numbers.forget()
                case _:
                    truth[f"s{act}"] = truth.get(f"s{act}", 0) + 1
                    numbers.keep(f"s{act}", truth[f"s{act}"])
            for stream in (f"s{i}" for i in range(6)):
                assert numbers.find(stream) in (None, truth.get(stream, 0))

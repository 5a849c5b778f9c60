"""Architecture 2: the identity map is bounded, and gives what was committed last or nothing."""

from __future__ import annotations

import gc
from itertools import pairwise
from random import Random
from typing import Any

from msgspec import Struct

from tuanzi.machinery.memory import ABSENT, UNKNOWN, Damaged, Memory, Place


class Hall(Struct, frozen=True, gc=False):
    """A value of a kind."""

    seats: int


class Seat(Struct, frozen=True, gc=False):
    """A value of another kind, under the same keys."""

    number: int


def by_kind(values: dict[Place, Any]) -> dict[type[Any], dict[Any, Any]]:
    kinds: dict[type[Any], dict[Any, Any]] = {}
    for (kind, key), value in values.items():
        kinds.setdefault(kind, {})[key] = value
    return kinds


def test_memory_gives_what_was_kept_last_or_says_that_it_does_not_know() -> None:
    for seed in range(300):
        chance = Random(seed)
        places_max = chance.randint(2, 12)
        memory, truth = Memory(places_max), dict[Place, Any]()
        for step in range(120):
            place: Place = (chance.choice((Hall, Seat)), chance.choice(("a", "b", "c", ("d", 1), ("d", 2))))
            match chance.randint(0, 4):
                case 0:
                    truth[place] = chance.choice((Hall(step), ABSENT))
                    memory.keep(place, truth[place])
                case 1:
                    batch = {(Hall, f"h{chance.randint(0, 9)}"): Hall(step) for _ in range(chance.randint(0, 8))}
                    truth |= batch
                    memory.keep_all(by_kind(batch))
                case 2 if memory.find(place) is UNKNOWN:
                    memory.hold(place, truth.setdefault(place, ABSENT))  # as it is fetched from the database
                    assert memory.find(place) is truth[place], seed
                    memory.release()
                case 3 if step % 40 == 0:
                    memory.drop()

            for known, value in truth.items():
                assert memory.find(known) in (value, UNKNOWN), (seed, step, known)
            assert len(memory) <= 2 * places_max, (seed, step)


def test_what_has_left_is_dropped_with_what_is_kept_and_not_all_at_once() -> None:
    """So nobody waits for it (issue 2: p99 at half load)."""
    gone = 0

    class Counted:
        def __del__(self) -> None:
            nonlocal gone
            gone += 1

    memory = Memory(1_000)
    dropped = []
    for batch in range(50):
        memory.keep_all({Counted: {(batch, i): Counted() for i in range(100)}})
        dropped.append(gone)
    at_once = [after - before for before, after in pairwise(dropped)]
    left = gone
    memory.keep((Hall, "h"), Hall(1))

    assert max(at_once) <= 100
    assert min(at_once[25:]) >= 90
    assert gone == left + 1
    memory.drop()
    assert gone == 5_000


def test_what_was_used_among_the_last_places_is_always_there() -> None:
    memory = Memory(10)
    for i in range(100):
        memory.keep((Hall, f"h{i}"), Hall(i))

        assert all(memory.find((Hall, f"h{j}")) == Hall(j) for j in range(max(0, i - 8), i + 1)), i


def test_a_batch_that_does_not_fit_is_kept_value_by_value() -> None:
    memory = Memory(10)

    memory.keep_all({Hall: {f"h{i}": Hall(i) for i in range(35)}})

    assert len(memory) <= 20
    assert memory.find((Hall, "h34")) == Hall(34)


def test_a_damaged_row_is_forgotten_with_its_batch() -> None:
    memory = Memory(10)
    memory.hold((Hall, "h"), Damaged("no number"))

    memory.release()

    assert memory.find((Hall, "h")) is UNKNOWN


def test_what_nobody_keeps_here_is_forgotten_with_its_batch_for_it_may_be_there_by_then() -> None:
    memory = Memory(10)
    for place in ((Hall, "h1"), (Seat, "s1")):
        memory.hold(place, ABSENT)

    memory.release(but={Seat})

    assert memory.find((Hall, "h1")) is ABSENT
    assert memory.find((Seat, "s1")) is UNKNOWN


def test_the_cycle_collector_has_nothing_to_walk_in_memory() -> None:
    memory = Memory(100_000)
    gc.collect()
    before = len(gc.get_objects())

    memory.keep_all({Hall: {f"h{i}": Hall(i) for i in range(5_000)}})
    for i in range(5_000):
        memory.keep((Seat, f"s{i}"), Seat(i))
    gc.collect()

    assert len(gc.get_objects()) < before + 500
    assert len(memory) == 10_000

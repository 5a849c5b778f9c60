"""What a batch's commands changed: what a refused one did is taken back, whatever it was (architecture 2)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.machinery.toy import HALLS, SCHEMA, Hall, Take, carry_out, open_database, open_writer, state
from tuanzi.base.unit import Unit
from tuanzi.machinery.memory import ABSENT, UNKNOWN, Kinds, Memory, Place
from tuanzi.machinery.overlay import Added, Overlay

KEYS = ("a", "b", "c")
Step = tuple[str, str]

steps = st.lists(st.tuples(st.sampled_from(("add", "put", "remove", "restore")), st.sampled_from(KEYS)), max_size=8)


class Batch:
    """A batch over nothing, and what its commands left."""

    def __init__(self) -> None:
        self.changes: Kinds = defaultdict(dict)
        self.added: Added = defaultdict(set)
        self.restored: set[Place] = set()
        self.events: list[Hall] = []
        keys = {Hall: HALLS.key_of}
        self.overlay = Overlay(self.changes, defaultdict(dict), Memory(10), keys, added=self.added)

    def keep(self) -> None:
        """As the writer does."""
        self.restored.update(self.overlay.restored)
        self.overlay.restored.clear()
        self.events += self.overlay.keep()


def carry(overlay: Overlay, does: list[Step], *, seats: int) -> None:
    """Do what a command may do; a second adding is left out, for it is a bug that ends the command."""
    for i, (step, key) in enumerate(does):
        value = Hall(id=key, seats=seats * 100 + i)
        match step:
            case "add":
                if overlay.knows((Hall, key)) in (ABSENT, UNKNOWN):
                    overlay.add(value)
            case "put":
                overlay.put(value)
            case "restore":
                overlay.restore(value)
            case _:
                overlay.remove(Hall, key)
        overlay.emit(value)


@given(st.lists(st.tuples(steps, st.booleans()), max_size=8))
def test_what_a_refused_command_did_is_as_if_it_had_not_been(commands: list[tuple[list[Step], bool]]) -> None:
    batch, only_kept = Batch(), Batch()

    for number, (does, is_kept) in enumerate(commands):
        for each in (batch, only_kept) if is_kept else (batch,):
            each.overlay.begin()
            carry(each.overlay, does, seats=number)
            if is_kept:
                each.keep()
            else:
                each.overlay.take_back()

    assert list(batch.changes[Hall].items()) == list(only_kept.changes[Hall].items())
    assert batch.added[Hall] == only_kept.added[Hall]
    assert (batch.restored, batch.events) == (only_kept.restored, only_kept.events)
    assert not batch.overlay.keep()


def test_what_is_removed_and_added_by_one_command_is_the_row_of_the_new_value() -> None:
    def renew(unit: Unit, command: Take, *, now: object) -> None:
        unit.remove(Hall, command.hall_id)
        unit.add(Hall(id=command.hall_id, seats=7))

    database = open_database()
    writer = open_writer(database, schema=replace(SCHEMA, decides={Take: renew}))
    carry_out(writer, database, [Take(ticket_id="t", hall_id="h")])

    (outcome,) = carry_out(writer, database, [Take(ticket_id="t", hall_id="h")])

    assert outcome.problem is None
    assert state(database)["halls"] == [("h", 7, 0)]

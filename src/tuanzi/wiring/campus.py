"""The writers of one campus, all in this process, and how they keep up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tuanzi import reconciliation
from tuanzi.engines.post.desks import CarrierDesk
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.migrate import Migratable
from tuanzi.machinery.room import ErrandHandler, Room
from tuanzi.wiring.databases import CAMPUS_DATABASES, position_of
from tuanzi.wiring.desks import CampusBooks, CampusDesks, FindDesk
from tuanzi.wiring.hearing import FOLLOWS, follower_of
from tuanzi.wiring.rooms import schema_of
from tuanzi.wiring.workshop import Workshop


class LocalCampus:
    """The writers of one campus, all in this process."""

    def __init__(
        self,
        campus: str,
        shop: Workshop,
        databases: Mapping[str, Migratable],
        *,
        platform: Any,
        find: FindDesk,
        errands: Callable[[Sequence[Room]], Mapping[type, ErrandHandler]] | None = None,
    ) -> None:
        """databases: open, by kind. platform: its desk, here or elsewhere. find: desks of other campuses.

        Raises DatabaseUnavailable when one has heard of more than another says happened: it would pass over so much of
        what happens next.

        errands: who does which errands of the rooms, where it is not the rooms themselves.
        """
        self.campus = campus
        self.rooms = shop.rooms_for(campus, self._find_or(find), CampusBooks(lambda: self.writers))
        others = {} if errands is None else errands(self.rooms)
        self.writers = {
            kind: shop.desk(kind, f"{campus}.{kind}", self.rooms, databases[kind], errands=others)
            for kind in CAMPUS_DATABASES
        }
        for target, source in FOLLOWS:
            schema = schema_of(target, self.rooms)
            position = position_of(self.writers[target].database, source)
            if position > self.writers[source].event_number:
                raise DatabaseUnavailable(
                    f"{campus}.{target} has heard {position} events of {source}, of which there are"
                    f" {self.writers[source].event_number}: one of the two was put back alone"
                )
            follower = follower_of(target, source, schema=schema, position=position)
            self.writers[target].follow(self.writers[source], follower)
        self.desks = CampusDesks(**self.writers, platform=platform)
        self.watch = reconciliation.Watch(campus, self.writers["money"])
        self.writers["money"].subscribe(self.watch.on_events)

    def lines(self, *, batch_max: int) -> list[WriterLine]:
        """How each writer keeps up."""
        return [_writer_line(kind, desk, batch_max=batch_max) for kind, desk in self.writers.items()]

    def _find_or(self, find: FindDesk) -> FindDesk:
        def find_here(address: str) -> CarrierDesk | None:
            elsewhere, _, kind = address.rpartition(".")
            return self.writers.get(kind) if elsewhere in ("", self.campus) else find(address)

        return find_here


class WriterLine(Struct, frozen=True, kw_only=True, gc=False):
    """How one database's writer keeps up.

    waiting: commands in its queue. wait_ms: about how long a new one waits, by the mean batch so far. batch_ms_max: the
    longest batch. turned_away: commands refused because too many waited. lag_events: of other databases, not heard yet.
    """

    database: str
    is_open: bool
    waiting: int
    wait_ms: int
    batch_ms: int
    batch_ms_max: int
    commands: int
    turned_away: int
    timers: int
    lag_events: int


def _writer_line(database: str, desk: WriterDesk, *, batch_max: int) -> WriterLine:
    figures = desk.figures
    batch_ms = 1000 * figures.busy_s / figures.batches if figures.batches else 0.0
    batches_before = -(-desk.queue_length // batch_max)
    return WriterLine(
        database=database,
        is_open=desk.is_open,
        waiting=desk.queue_length,
        wait_ms=round(batches_before * batch_ms),
        batch_ms=round(batch_ms),
        batch_ms_max=round(1000 * figures.batch_s_max),
        commands=figures.commands,
        turned_away=figures.turned_away,
        timers=desk.timers_held,
        lag_events=sum(desk.lags.values()),
    )

"""The writer of a database: takes batches, has them decided and kept, and remembers how things stand."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from tuanzi.base.time import to_ms
from tuanzi.machinery.codec import name_of
from tuanzi.machinery.database import DatabaseUnavailable, Flush, RowRefused
from tuanzi.machinery.fence import COORDINATOR_EPOCHS, FENCES
from tuanzi.machinery.internal import (
    COMMAND_LOG,
    FOLLOWER_POSITIONS,
    KEPT_ANSWERS,
    PARKED_EVENTS,
    TIMERS,
    FollowerPosition,
    KeptAnswer,
    Timer,
)
from tuanzi.machinery.memory import ABSENT, UNKNOWN, Kinds, Memory, Place
from tuanzi.machinery.overlay import Miss, Overlay
from tuanzi.machinery.problems import Crashed, TooSlow, Unavailable
from tuanzi.machinery.stopwatch import Stopwatch
from tuanzi.machinery.tables import Table
from tuanzi.machinery.writer.batch import Work
from tuanzi.machinery.writer.deciding import Decider
from tuanzi.machinery.writer.layout import Layout
from tuanzi.machinery.writer.words import Commit, Fetch, Outcome, Request, Schema, Step, Steps

log = logging.getLogger("tuanzi.writer")


class Writer:
    """Decides for one database; the one and only place where it changes.

    places_max: how many values stay in memory in each of two generations (about 1 kB each).
    """

    def __init__(
        self,
        schema: Schema,
        *,
        position: int,
        event_number: int,
        places_max: int = 100_000,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.schema = schema
        # Where the next batch begins: after those that are being kept, if there are any.
        self.position = position
        self.event_number = event_number
        self.kept_position = position
        self.kept_number = event_number
        self._flying: deque[Kinds] = deque()
        self._pending: Kinds = defaultdict(dict)  # all of them as one, the latest on top
        self.memory = Memory(places_max)
        self._answers = Memory(max(1, places_max // 5))
        own: list[Table[Any]] = [TIMERS, KEPT_ANSWERS, FOLLOWER_POSITIONS, PARKED_EVENTS, FENCES, COORDINATOR_EPOCHS]
        self._layout = Layout(schema.database, [*schema.tables, *own])
        # Committed, and not yet noted by whoever takes due timers: set, or gone (None).
        self.timer_changes: dict[str, Timer | None] = {}
        self._decider = Decider(schema, answers=self._answers, timer_changes=self.timer_changes, watch=stopwatch)

    def carry_out(self, requests: Sequence[Request], *, now: datetime, careful: bool = False) -> Steps:
        """Decide and keep `requests`; gives their outcomes in order. Raises Fenced when another writer took over.

        A batch whose rows the database refuses is decided again carefully, then tried in halves, so that a bad command
        hurts itself alone; what cannot be kept even alone gets Crashed or Unavailable, and nothing of it remains. While
        nothing at all can be kept the rest is not tried one by one: a batch would take hundreds of time limits.

        While the caller has a batch kept it may decide the next ones, up to their Commits: on top of what is being
        kept. It must have them kept, and send their outcomes, in this order; and when one fails it must close those
        after it before it says so, and carry their requests out again: the cursor has kept them out of the database.

        careful: ask the database for what is otherwise taken for new - keys and the `assumed_new` of a command - and
        found out by the tables' keys if it is not.
        """
        outcomes: list[Outcome] = []
        is_any_kept = False
        parts = [(requests, careful)]
        while parts:
            part, careful = parts.pop()
            try:
                outcomes += yield from self._carry_out_together(part, now=now, careful=careful)
                is_any_kept = True
                continue
            except (RowRefused, DatabaseUnavailable) as error:
                self.forget()
                if isinstance(error, RowRefused) and not careful:
                    # Mostly repeats: one look at the tables tells all of them, halves would cost commits for each.
                    parts.append((part, True))
                    continue
                if len(part) == 1:
                    outcomes.append(self._refused_alone(part[0], error))
                    if not is_any_kept and isinstance(error, DatabaseUnavailable):
                        break
                    continue
                log.warning(
                    "writer.batch_refused",
                    extra={"database": self.schema.database, "size": len(part), "reason": type(error).__name__},
                )
            half = len(part) // 2
            parts += [(part[half:], careful), (part[:half], careful)]
        outcomes += [_unavailable() for _ in requests[len(outcomes) :]]
        return outcomes

    def forget(self) -> None:
        """Drop all that is in memory and what is not kept; the database is asked again."""
        self.position = self.kept_position
        self.event_number = self.kept_number
        self._flying.clear()
        self._pending = defaultdict(dict)
        self.memory.drop()
        self._answers.drop()

    def _refused_alone(self, request: Request, error: Exception) -> Outcome:
        log.error(
            "writer.command_refused",
            extra={
                "database": self.schema.database,
                "command": name_of(type(request.command)),
                "reason": f"{type(error).__name__}: {error}",
            },
        )
        if isinstance(error, RowRefused):
            return Outcome(problem=Crashed(command=name_of(type(request.command))))
        return _unavailable()

    def _carry_out_together(self, requests: Sequence[Request], *, now: datetime, careful: bool) -> Steps:
        work = Work(number=self.event_number, at_ms=to_ms(now))
        unsure = self._unsure(requests) if careful else []
        if asked := [*unsure, *self._unknown(self.schema.asks, requests, work.changes)]:
            yield from self._fetch(asked)
        while misses := self._decide_on(work, requests, now=now):
            yield from self._fetch(misses)
        if foreseen := self._unknown(self.schema.foresees, requests, work.changes):
            yield from self._fetch(foreseen)
        changes = work.changes
        if entry := max(request.entry for request in requests):
            changes[FollowerPosition][COMMAND_LOG] = FollowerPosition(source=COMMAND_LOG, number=entry)
        flush = self._layout.flush_of(
            work, before=self.position, commands=len(requests), memory=self.memory, pending=self._pending
        )
        outcomes = work.outcomes
        del work  # what only deciding needed
        # From here the next batch may be decided on top of this one, though it is not kept yet: see `carry_out`.
        self.position, self.event_number = flush.after, flush.event_number
        self._flying.append(changes)
        self._pending = _over(self._pending, changes) if len(self._flying) > 1 else changes
        yield Commit(flush)
        self._committed(flush, changes)
        return outcomes

    def _unsure(self, requests: Sequence[Request]) -> list[Place]:
        """What else is taken for new: keys, and places that commands assume new, as far as memory does not know."""
        places: list[Place] = [
            (KeptAnswer, (request.who, request.key.key)) for request in requests if request.key is not None
        ]
        unsure = [place for place in places if self._answers.find(place) is UNKNOWN]
        for request in requests:
            unsure += [place for place in self._assumed(request) if self.memory.find(place) is UNKNOWN]
        return unsure

    def _unknown(
        self,
        places_of: Mapping[type, Callable[[Any], Sequence[Place]]],
        requests: Sequence[Request],
        changes: Kinds,
    ) -> list[Place]:
        """What these requests, or those after them, will ask for that is not at hand: asked for by a command that is
        being decided, it would have that one decided twice."""
        if not places_of:
            return []
        return [
            place
            for request in requests
            if type(request.command) in places_of and not request.source
            for place in places_of[type(request.command)](request.command)
            if place[1] not in changes[place[0]]
            and place[1] not in self._pending[place[0]]
            and self.memory.find(place) is UNKNOWN
        ]

    def _assumed(self, request: Request) -> Sequence[Place]:
        """The places that this request will look at and, if they are new, fill."""
        assume = None if request.source else self.schema.assumed_new.get(type(request.command))
        return () if assume is None else assume(request.command)

    def _decide_on(self, work: Work, requests: Sequence[Request], *, now: datetime) -> list[Place]:
        """Decide the requests that are not yet, in order, up to the first that misses; gives all places missed.

        The ones after the first miss are run only to learn what else is needed, so that one fetch serves them all.
        """
        misses: list[Place] = []
        overlay = Overlay(work.changes, self._pending, self.memory, self._layout.key_of, added=work.added)
        assume, decide = self.schema.assumed_new, self._decider.decide
        for request in requests[len(work.outcomes) :]:
            assumed = () if request.source or type(request.command) not in assume else self._assumed(request)
            overlay.begin(assumed)
            try:
                decided = decide(request, overlay, now=now)
                if assumed:
                    overlay.check_assumed(kept=decided.is_kept)
            except Miss as miss:
                overlay.take_back()
                if not misses:
                    trial = _over(work.changes, defaultdict(dict))
                    added = defaultdict(set, {kind: set(keys) for kind, keys in work.added.items()})
                    overlay = Overlay(trial, self._pending, self.memory, self._layout.key_of, added=added)
                misses.append(miss.place)
                if request.source:
                    # Else all events behind it would be out of turn, and learn nothing: a fetch for each.
                    reached = FollowerPosition(source=request.source, number=request.number)
                    trial[FollowerPosition][request.source] = reached
                continue
            if decided.problem is not None:
                request.was_too_slow = isinstance(decided.problem, TooSlow)
            if not misses:
                work.settle(decided, overlay)
            elif decided.is_kept:
                overlay.keep()
            else:
                overlay.take_back()
        return misses

    def _fetch(self, places: list[Place]) -> Generator[Step, Any, None]:
        """Bring places into memory; what the database does not have is remembered as ABSENT."""
        wanted: dict[type[Any], dict[Any, None]] = {}
        for kind, key in places:
            wanted.setdefault(kind, {})[key] = None
        got = yield Fetch([(self._layout.tables[kind], list(keys)) for kind, keys in wanted.items()])
        for table, keys, rows in got:
            memory = self._answers if table.kind is KeptAnswer else self.memory
            for key in keys:
                memory.hold((table.kind, key), ABSENT)
            for row in rows:
                key, value = self._layout.value_of(table, row)
                memory.hold((table.kind, key), value)

    def _committed(self, flush: Flush, changes: Kinds) -> None:
        self.kept_position = flush.after
        self.kept_number = flush.event_number
        flying = self._flying
        flying.popleft()
        self._pending = flying[0] if flying else defaultdict(dict)
        for after in islice(flying, 1, None):
            self._pending = _over(self._pending, after)
        self.memory.release(but=self._layout.history)
        self._answers.release()
        for key, value in changes[Timer].items():
            self.timer_changes[str(key)] = None if value is ABSENT else value
        if answers := changes[KeptAnswer]:
            self._answers.keep_all({KeptAnswer: answers})
        history = self._layout.history
        self.memory.keep_all({kind: values for kind, values in changes.items() if values and kind not in history})


def _unavailable() -> Outcome:
    return Outcome(problem=Unavailable(retry_after_s=2))


def _over(below: Kinds, above: Kinds) -> Kinds:
    """Both as one of its own, the latter on top."""
    made: Kinds = defaultdict(dict, {kind: values.copy() for kind, values in below.items() if values})
    for kind, values in above.items():
        if values:
            made[kind].update(values)
    return made

"""The writer: takes a batch of commands, decides them in memory, has all of it kept in one commit (architecture 1, 2).

It does no I/O itself. `Writer.carry_out` is a generator that says what it needs, a `Fetch` or a `Commit`, and is sent
the outcome; `drive` does that synchronously (simulation, tests), `desk.py` with a thread (the real thing).
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from tuanzi.base.once import Once
from tuanzi.base.problem import Problem
from tuanzi.base.time import to_ms
from tuanzi.base.unit import Key
from tuanzi.machinery.codec import Codec, encode, name_of
from tuanzi.machinery.database import Database, DatabaseUnavailable, Fenced, Flush, RowRefused, Update
from tuanzi.machinery.fence import COORDINATOR_EPOCHS, FENCES
from tuanzi.machinery.internal import (
    COMMAND_LOG,
    FOLLOWER_POSITIONS,
    KEPT_ANSWERS,
    PARKED_EVENTS,
    TIMERS,
    FollowerPosition,
    ForgetAnswers,
    HearParked,
    KeptAnswer,
    ParkedEvent,
    Rows,
    Timer,
)
from tuanzi.machinery.memory import ABSENT, UNKNOWN, Damaged, Kinds, Memory, Place
from tuanzi.machinery.overlay import Added, Miss, Overlay
from tuanzi.machinery.problems import Crashed, KeyReused, NotParked, TooSlow, Unavailable
from tuanzi.machinery.stopwatch import OutOfTime, Stopwatch
from tuanzi.machinery.tables import Differing, Row, Table, differing

log = logging.getLogger("tuanzi.writer")

Handler = Callable[..., Any]

# Our choice: a chain of listeners longer than this is a circle, not a story.
EVENTS_PER_COMMAND_MAX = 10_000
# What is due, or has happened elsewhere, has to be done: were it refused for its length, it would come again and again,
# and its people's money hang. Measured: to close the largest group there may be (100 members with 50 dishes each, 60
# rules) takes 170 ms of a fast processor, of a usual limit of 250.
LIMITS_OF_WORK = 8


@dataclass(frozen=True, slots=True)
class Schema:
    """What one database's writer knows: its tables, who decides which command, who hears which event.

    hears: listeners within the same database. follows: listeners to other databases' events, by (source, event type).
    errands: command types that are not decided here but done outside.
    assumed_new: places that a command looks at and, when they are new, fills; taken for new where memory does not know.
    asks: places that a command will ask for and memory seldom has; they are brought there before its batch is decided.
    foresees: places that commands after this one will ask for; they are brought into memory before its commit.
    """

    database: str
    tables: Sequence[Table[Any]]
    decides: Mapping[type, Handler]
    hears: Mapping[type, Sequence[Handler]]
    follows: Mapping[tuple[str, type], Sequence[Handler]]
    errands: frozenset[type]
    codec: Codec
    assumed_new: Mapping[type, Callable[[Any], Sequence[Place]]] = field(default_factory=dict)
    asks: Mapping[type, Callable[[Any], Sequence[Place]]] = field(default_factory=dict)
    foresees: Mapping[type, Callable[[Any], Sequence[Place]]] = field(default_factory=dict)


class Request(Struct):
    """One thing to be decided.

    A command of a person (`who`, `key`), of a timer (`timer`), or an event of another database (`source`, `number`,
    following `after`). `postpones`: the timer that failed, in whose place `timer` is kept. `parked` says why an event
    is laid aside instead of being heard; an event None only moves the position. `was_too_slow`: it used up its time
    when its batch was decided before. `entry`: its number in the command log, kept with what it does; a command None
    only keeps that number.
    """

    command: Any
    who: str = ""
    key: Once | None = None
    timer: Timer | None = None
    source: str = ""
    number: int = 0
    after: int = 0
    postpones: Timer | None = None
    parked: str | None = None
    was_too_slow: bool = False
    entry: int = 0


class Outcome(Struct, frozen=True):
    """What became of a request: an answer and its events after the commit, or a problem and nothing."""

    answer: Any = None
    body: bytes = b"null"
    events: tuple[tuple[int, Any], ...] = ()
    replayed: bool = False
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Fetch:
    """The rows the writer needs to go on; send it a list of (table, keys asked, rows)."""

    wanted: list[tuple[Table[Any], list[Any]]]


@dataclass(frozen=True, slots=True)
class Commit:
    """The batch to keep; send None, or throw the database's error into the generator."""

    flush: Flush


Step = Fetch | Commit
Steps = Generator[Step, Any, list[Outcome]]


class _Decided(Struct):
    """A decided request, before the commit. is_kept: whether what it changed is."""

    is_kept: bool = False
    answer: Any = None
    body: bytes = b"null"
    replayed: bool = False
    problem: Problem | None = None
    rows: Rows | None = None


class _Work:
    """A batch that is being decided: what became of its requests so far, and what is to be kept."""

    __slots__ = ("added", "at_ms", "changes", "events", "number", "outcomes", "restored", "rows")

    def __init__(self, *, number: int, at_ms: int) -> None:
        """number: of the last event before it."""
        self.number = number
        self.at_ms = at_ms
        self.outcomes: list[Outcome] = []
        self.changes: Kinds = defaultdict(dict)
        self.added: Added = defaultdict(set)
        self.restored: set[Place] = set()
        self.events: list[Row] = []
        self.rows: list[Rows] = []

    def settle(self, decided: _Decided, overlay: Overlay) -> None:
        """A request is decided, for good. Here and not for all of the batch at its end, when each is far from the
        processor: measured, that was an eighth of what an order costs."""
        numbered: tuple[tuple[int, Any], ...] = ()
        if decided.is_kept:
            if overlay.restored:
                self.restored.update(overlay.restored)
                overlay.restored.clear()
            if events := overlay.keep():
                number, at_ms, names, rows = self.number, self.at_ms, _NAMED, self.events
                numbered = tuple(enumerate(events, number + 1))
                for event in events:
                    number += 1
                    name, version = names.get(type(event)) or _named(type(event))
                    rows.append((number, name, version, at_ms, encode(event).decode()))
                self.number = number
        else:
            overlay.take_back()
            if decided.rows is not None:
                self.rows.append(decided.rows)
        self.outcomes.append(Outcome(decided.answer, decided.body, numbered, decided.replayed, decided.problem))


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
        self._watch = stopwatch
        own: list[Table[Any]] = [TIMERS, KEPT_ANSWERS, FOLLOWER_POSITIONS, PARKED_EVENTS, FENCES, COORDINATOR_EPOCHS]
        tables = [*schema.tables, *own]
        self._tables = {table.kind: table for table in tables}
        self._order = {table.kind: i for i, table in enumerate(tables)}
        self._key_of = {table.kind: table.key_of for table in tables}
        self._to_row = {table.kind: table.to_row for table in tables}
        self._history = {Timer, KeptAnswer, *[table.kind for table in tables if table.is_history]}
        self._hearing: dict[tuple[str, type], Handler] = {}  # by source and event: who hears it here
        # Committed, and not yet noted by whoever takes due timers: set, or gone (None).
        self.timer_changes: dict[str, Timer | None] = {}

    def carry_out(self, requests: Sequence[Request], *, now: datetime, careful: bool = False) -> Steps:
        """Decide and keep `requests`; gives their outcomes in order. Raises Fenced when another writer took over.

        A batch whose rows the database refuses is decided again carefully, then tried in halves, so that a bad command
        hurts itself alone; what cannot be kept even alone gets Crashed or Unavailable, and nothing of it remains.

        While the caller has a batch kept it may decide the next ones, up to their Commits: on top of what is being
        kept. It must have them kept, and send their outcomes, in this order; and when one fails it must close those
        after it before it says so, and carry their requests out again: the cursor has kept them out of the database.

        careful: ask the database for what is otherwise taken for new - keys and the `assumed_new` of a command - and
        found out by the tables' keys if it is not.
        """
        try:
            return (yield from self._carry_out_together(requests, now=now, careful=careful))
        except (RowRefused, DatabaseUnavailable) as error:
            self.forget()
            if isinstance(error, RowRefused) and not careful:
                # Mostly repeats: one look at the tables tells all of them, halves would cost commits for each.
                return (yield from self.carry_out(requests, now=now, careful=True))
            if len(requests) == 1:
                return [self._refused_alone(requests[0], error)]
            log.warning(
                "writer.batch_refused",
                extra={"database": self.schema.database, "size": len(requests), "reason": type(error).__name__},
            )
        half = len(requests) // 2
        first = yield from self.carry_out(requests[:half], now=now, careful=careful)
        second = yield from self.carry_out(requests[half:], now=now, careful=careful)
        return first + second

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
        return Outcome(problem=Unavailable(retry_after_s=2))

    def _carry_out_together(self, requests: Sequence[Request], *, now: datetime, careful: bool) -> Steps:
        work = _Work(number=self.event_number, at_ms=to_ms(now))
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
        flush = self._flush_of(work, commands=len(requests))
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

    def _decide_on(self, work: _Work, requests: Sequence[Request], *, now: datetime) -> list[Place]:
        """Decide the requests that are not yet, in order, up to the first that misses; gives all places missed.

        The ones after the first miss are run only to learn what else is needed, so that one fetch serves them all.
        """
        misses: list[Place] = []
        overlay = Overlay(work.changes, self._pending, self.memory, self._key_of, added=work.added)
        assume = self.schema.assumed_new
        for request in requests[len(work.outcomes) :]:
            assumed = () if request.source or type(request.command) not in assume else self._assumed(request)
            overlay.begin(assumed)
            try:
                decided = self._decide(request, overlay, now=now)
                if assumed:
                    overlay.check_assumed(kept=decided.is_kept)
            except Miss as miss:
                overlay.take_back()
                if not misses:
                    trial = _over(work.changes, defaultdict(dict))
                    added = defaultdict(set, {kind: set(keys) for kind, keys in work.added.items()})
                    overlay = Overlay(trial, self._pending, self.memory, self._key_of, added=added)
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

    def _decide(self, request: Request, overlay: Overlay, *, now: datetime) -> _Decided:
        """Decide one request on a fresh overlay. Raises Miss."""
        if request.was_too_slow and request.key is None:
            return _too_slow(request)
        if request.source:
            return self._hear(request, overlay, now=now)
        if request.timer is not None:
            return self._fire(request, request.timer, overlay, now=now)
        command = request.command
        if type(command) is Rows:
            return _Decided(rows=command)
        if command is None:
            return _Decided(is_kept=True)
        if type(command) is ForgetAnswers:
            for answer in command.answers:
                overlay.remove(KeptAnswer, answer)
            return _Decided(is_kept=True)
        if type(command) is HearParked:
            return self._run(self._hear_parked, command, overlay, now=now, limits=LIMITS_OF_WORK)
        if request.key is None:
            return self._run(self.schema.decides.get(type(command)), command, overlay, now=now)
        place = (KeptAnswer, (request.who, request.key.key))
        kept = overlay.knows(place)
        if kept is UNKNOWN:
            kept = self._answers.find(place)
        if isinstance(kept, KeptAnswer):
            return _repeat(kept, request.key.fingerprint)
        outcome = (
            _too_slow(request)
            if request.was_too_slow
            else self._run(self.schema.decides.get(type(command)), command, overlay, now=now)
        )
        if outcome.problem is None:
            kept = KeptAnswer(
                who=request.who,
                idempotency_key=request.key.key,
                command=name_of(type(command)),
                fingerprint=request.key.fingerprint,
                body=outcome.body.decode(),
                kept_at=now,
            )
            overlay.add(kept)
        elif kept is UNKNOWN:
            # What was done under this key before may be why it is refused now: only the table knows.
            request.was_too_slow = isinstance(outcome.problem, TooSlow)
            raise Miss(place)
        return outcome

    def _fire(self, request: Request, timer: Timer, overlay: Overlay, *, now: datetime) -> _Decided:
        """A timer's command; the timer is gone with it, whatever it answers, unless it failed by a bug."""
        place = (Timer, timer.id)
        current = overlay.knows(place)
        if current is UNKNOWN and timer.id in self.timer_changes:
            # A part of its batch was kept alone meanwhile, and set it anew: it must not be taken for its successor.
            current = self.timer_changes[timer.id] or ABSENT
        if current is ABSENT or (isinstance(current, Timer) and current != timer):
            return _Decided()
        overlay.unschedule(timer.id)
        if request.postpones is not None:
            overlay.put(timer)
            return _Decided(is_kept=True)
        decide = self.schema.decides.get(type(request.command))
        outcome = self._run(decide, request.command, overlay, now=now, limits=LIMITS_OF_WORK)
        if outcome.problem is None:
            return outcome
        overlay.take_back()
        if not isinstance(outcome.problem, (Crashed, TooSlow)):
            overlay.unschedule(timer.id)
            outcome.is_kept = True
        return outcome

    def _hear(self, request: Request, overlay: Overlay, *, now: datetime) -> _Decided:
        """An event of another database; its number is kept in the same commit as its effect."""
        position = overlay.find(FollowerPosition, request.source)
        reached = 0 if position is None else position.number
        if request.number <= reached:
            return _Decided(replayed=True)
        if request.after != reached:
            return _Decided(problem=Crashed(source=request.source, expected=reached, number=request.number))
        overlay.put(FollowerPosition(source=request.source, number=request.number))
        event = request.command
        if event is None:
            return _Decided(is_kept=True)
        if request.parked is not None:
            parked = ParkedEvent(
                source=request.source,
                number=request.number,
                name=type(event).name,
                reason=request.parked,
                parked_at=now,
            )
            overlay.put(parked)
            return _Decided(is_kept=True)
        hearing = self._hearing_of(request.source, type(event))
        return self._run(hearing, event, overlay, now=now, limits=LIMITS_OF_WORK)

    def _hear_parked(self, unit: Overlay, command: HearParked, *, now: datetime) -> None:
        """An event that was laid aside has its effect, and is laid aside no more. Raises NotParked, what a repeat gets,
        and what its listeners raise: then it stays where it is."""
        place = (command.source, command.number)
        if unit.find(ParkedEvent, place) is None:
            raise NotParked(source=command.source, number=command.number)
        event = self.schema.codec.event(command.name, command.version, command.body)
        self._hearing_of(command.source, type(event))(unit, event, now=now)
        unit.remove(ParkedEvent, place)

    def _hearing_of(self, source: str, event: type) -> Handler:
        """Who hears such events of another database here."""
        about = (source, event)
        hearing = self._hearing.get(about)
        if hearing is None:
            listeners = self.schema.follows.get((source.split(":")[0], event), ())
            hearing = self._hearing[about] = _all_of(listeners)
        return hearing

    def _run(
        self, handler: Handler | None, command: Any, overlay: Overlay, *, now: datetime, limits: int = 1
    ) -> _Decided:
        """Run a handler and the listeners of its events; the answer, or the problem and an overlay to forget.

        limits: how many times the usual limit on the processor it may use.
        """
        watch = self._watch
        if watch is not None:
            watch.start(limits)
        try:
            try:
                if handler is None:
                    raise RuntimeError(f"nobody decides {name_of(type(command))} in {self.schema.database}")
                answer = handler(overlay, command, now=now)
                self._tell(overlay, now=now)
                body = b"null" if answer is None else encode(answer)
            finally:
                # Inside: what rings while the watch is being stopped is caught too, and nothing rings below.
                if watch is not None:
                    watch.stop()
        except Problem as problem:
            # Without the frames it came through: they refer to it, and nothing but the collector would find that ring.
            return _Decided(problem=problem.with_traceback(None))
        except OutOfTime:
            self._log_crash("writer.command_too_slow", command)
            return _Decided(problem=TooSlow(command=type(command).__name__))
        except Exception:
            self._log_crash("writer.command_crashed", command)
            return _Decided(problem=Crashed(command=type(command).__name__))
        return _Decided(True, answer, body)

    def _tell(self, overlay: Overlay, *, now: datetime) -> None:
        """Let the same database's listeners hear what was emitted, in order, and what they emit in turn."""
        hears = self.schema.hears
        i = 0
        while i < len(overlay.events):
            event = overlay.events[i]
            for listener in hears.get(type(event), ()):
                listener(overlay, event, now=now)
            i += 1
            if i > EVENTS_PER_COMMAND_MAX:
                raise RuntimeError("listeners answer each other without end")

    def _log_crash(self, event: str, command: Any) -> None:
        log.error(event, exc_info=True, extra={"database": self.schema.database, "command": type(command).__name__})

    def _fetch(self, places: list[Place]) -> Generator[Step, Any, None]:
        """Bring places into memory; what the database does not have is remembered as ABSENT."""
        wanted: dict[type[Any], dict[Any, None]] = {}
        for kind, key in places:
            wanted.setdefault(kind, {})[key] = None
        got = yield Fetch([(self._tables[kind], list(keys)) for kind, keys in wanted.items()])
        for table, keys, rows in got:
            memory = self._answers if table.kind is KeptAnswer else self.memory
            for key in keys:
                memory.hold((table.kind, key), ABSENT)
            for row in rows:
                key, value = self._value_of(table, row)
                memory.hold((table.kind, key), value)

    def _value_of(self, table: Table[Any], row: Row) -> tuple[Any, Any]:
        """The key and value of a row; a damaged one fails the commands that read it, not the desk."""
        try:
            value = table.from_row(row)
        except (ValueError, TypeError, msgspec.MsgspecError) as error:
            key = tuple(row[table.columns.index(column)] for column in table.key)
            log.error(
                "writer.row_damaged",
                extra={"database": self.schema.database, "table": table.name, "reason": type(error).__name__},
            )
            return key if len(key) > 1 else key[0], Damaged(f"{type(error).__name__}: {error}")
        return table.key_of(value), value

    def _flush_of(self, work: _Work, *, commands: int) -> Flush:
        history, kept, young = self._history, self.memory.find, self.memory.young
        inserts: dict[type[Any], list[Any]] = {}
        upserts: dict[type[Any], list[Any]] = {}
        removes: dict[type[Any], list[Any]] = {}
        updates: defaultdict[tuple[type[Any], Differing], list[Any]] = defaultdict(list)
        for kind, values in work.changes.items():
            added = work.added[kind]
            pending, at_hand = self._pending.get(kind, _NOTHING), young[kind]
            whole, restored = kind in history, work.restored
            new, old, gone = [], [], []
            for key, value in values.items():
                if value is ABSENT:
                    if key not in added:
                        gone.append(key)
                elif key in added:
                    new.append(value)
                elif whole or (restored and (kind, key) in restored):
                    old.append(value)
                else:
                    # What stands there before this batch, as far as memory knows: what the row says.
                    before = pending.get(key) or at_hand.get(key) or kept((kind, key))
                    if type(before) is kind:
                        updates[kind, differing(before, value)].append(value)
                    else:
                        old.append(value)
            if new:
                inserts[kind] = new
            if old:
                upserts[kind] = old
            if gone:
                removes[kind] = gone
        flush = Flush(
            before=self.position,
            after=self.position + commands,
            event_number=work.number,
            inserts=self._rows_in_order(inserts),
            upserts=self._rows_in_order(upserts),
            updates=self._updates_in_order(updates),
            removes=[(self._tables[kind], removes[kind]) for kind in reversed(self._in_order(removes))],
            events=work.events,
        )
        for rows in work.rows:
            flush.inserts += rows.inserts
            flush.upserts += rows.upserts
            flush.removes += rows.removes
        return flush

    def _rows_in_order(self, values: Mapping[type[Any], list[Any]]) -> list[tuple[Table[Any], list[Row]]]:
        to_row = self._to_row
        return [(self._tables[kind], list(map(to_row[kind], values[kind]))) for kind in self._in_order(values)]

    def _updates_in_order(self, values: Mapping[tuple[type[Any], Differing], list[Any]]) -> list[Update]:
        made = []
        for kind, differs in sorted(values, key=lambda one: self._order[one[0]]):
            table, some = self._tables[kind], values[kind, differs]
            if part := table.part_of(differs):
                rows = list(map(part.to_row, some))
                made.append(Update(table, part.columns, rows, partial(_rows, table, some)))
        return made

    def _in_order(self, kinds: Iterable[type[Any]]) -> list[type[Any]]:
        return sorted(kinds, key=self._order.__getitem__)

    def _committed(self, flush: Flush, changes: Kinds) -> None:
        self.kept_position = flush.after
        self.kept_number = flush.event_number
        flying = self._flying
        flying.popleft()
        self._pending = flying[0] if flying else defaultdict(dict)
        for after in islice(flying, 1, None):
            self._pending = _over(self._pending, after)
        self.memory.release()
        self._answers.release()
        for key, value in changes[Timer].items():
            self.timer_changes[str(key)] = None if value is ABSENT else value
        if answers := changes[KeptAnswer]:
            self._answers.keep_all({KeptAnswer: answers})
        history = self._history
        self.memory.keep_all({kind: values for kind, values in changes.items() if values and kind not in history})


_NOTHING: dict[Key, Any] = {}


def _over(below: Kinds, above: Kinds) -> Kinds:
    """Both as one of its own, the latter on top."""
    made: Kinds = defaultdict(dict, {kind: values.copy() for kind, values in below.items() if values})
    for kind, values in above.items():
        if values:
            made[kind].update(values)
    return made


def _all_of(listeners: Sequence[Handler]) -> Handler:
    """One who has all of them hear."""
    if len(listeners) == 1:
        return listeners[0]

    def hear(unit: Overlay, event: Any, *, now: datetime) -> None:
        for listener in listeners:
            listener(unit, event, now=now)

    return hear


def _rows(table: Table[Any], values: list[Any]) -> list[Row]:
    return list(map(table.to_row, values))


_NAMED: dict[type[Any], tuple[str, int]] = {}


def _named(event: type[Any]) -> tuple[str, int]:
    """An event's stable name and version; to look at its class twice costs more than to remember them."""
    named = _NAMED[event] = (event.name, event.version)
    return named


def _too_slow(request: Request) -> _Decided:
    """A command that used up its time once is not given it again when its batch is decided again."""
    return _Decided(problem=TooSlow(command=type(request.command).__name__))


def _repeat(kept: KeptAnswer, fingerprint: str) -> _Decided:
    if kept.fingerprint != fingerprint:
        return _Decided(problem=KeyReused(used_for=kept.command))
    return _Decided(body=kept.body.encode(), replayed=True)


def drive(steps: Steps, database: Database) -> list[Outcome]:
    """Carry out a writer's steps on a database, here and now. Raises Fenced."""
    reply: Any = None
    error: Exception | None = None
    while True:
        try:
            step = steps.throw(error) if error is not None else steps.send(reply)
        except StopIteration as done:
            outcomes: list[Outcome] = done.value
            return outcomes
        reply, error = take(step, database)


def take(step: Step, database: Database) -> tuple[Any, Exception | None]:
    """Do what a step asks; its result, or the database's error. Raises Fenced."""
    try:
        if isinstance(step, Fetch):
            return [(table, keys, database.fetch(table, keys)) for table, keys in step.wanted], None
        keep(step.flush, database)
    except (RowRefused, DatabaseUnavailable) as error:
        return None, error
    return None, None


def keep(flush: Flush, database: Database) -> None:
    """Commit a batch; when the outcome is unknown, the cursor tells. Raises RowRefused, DatabaseUnavailable, Fenced."""
    try:
        database.commit(flush)
    except DatabaseUnavailable as error:
        position, _ = database.cursor()
        find_out(flush, position, error)


def find_out(flush: Flush, position: int, error: DatabaseUnavailable, *, until: int | None = None) -> None:
    """Return when a batch was kept all the same, else raise `error`, or Fenced when another writer has gone on.

    position: where the cursor stands now. until: where it stands when those that were said after it are kept too.
    """
    if position == flush.before:
        raise error
    if not flush.after <= position <= (flush.after if until is None else until):
        raise Fenced(f"the cursor stands at {position}, not {flush.before}") from None

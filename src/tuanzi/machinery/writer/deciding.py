"""Deciding: one request, with its listeners, against the campus as it is after those before it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tuanzi.base.problem import Problem
from tuanzi.machinery.codec import encode, name_of
from tuanzi.machinery.internal import FollowerPosition, ForgetAnswers, HearParked, KeptAnswer, ParkedEvent, Rows, Timer
from tuanzi.machinery.memory import ABSENT, UNKNOWN, Memory
from tuanzi.machinery.overlay import Miss, Overlay
from tuanzi.machinery.problems import Crashed, KeyReused, NotParked, TooSlow
from tuanzi.machinery.stopwatch import OutOfTime, Stopwatch
from tuanzi.machinery.writer.batch import Decided
from tuanzi.machinery.writer.words import Handler, Request, Schema

log = logging.getLogger("tuanzi.writer")

# Our choice: a chain of listeners longer than this is a circle, not a story.
EVENTS_PER_COMMAND_MAX = 10_000
# What is due, or has happened elsewhere, has to be done: were it refused for its length, it would come again and again,
# and its people's money hang. Measured: to close the largest group there may be (100 members with 50 dishes each, 60
# rules) takes 170 ms of a fast processor, of a usual limit of 250.
LIMITS_OF_WORK = 8


class Decider:
    """Decides one request at a time: its handler, and the listeners of what it emits; all in memory."""

    def __init__(
        self, schema: Schema, *, answers: Memory, timer_changes: Mapping[str, Timer | None], watch: Stopwatch | None
    ) -> None:
        """answers: those kept under Idempotency-Keys, as far as memory knows. timer_changes: see `Writer`."""
        self._schema = schema
        self.watch = watch
        self._answers = answers
        self._timer_changes = timer_changes
        self._hearing: dict[tuple[str, type], Handler] = {}  # by source and event: who hears it here

    def decide(self, request: Request, overlay: Overlay, *, now: datetime) -> Decided:
        """Decide one request on a fresh overlay. Raises Miss."""
        if request.was_too_slow and request.key is None:
            return _too_slow(request)
        if request.source:
            return self._hear(request, overlay, now=now)
        if request.timer is not None:
            return self._fire(request, request.timer, overlay, now=now)
        command = request.command
        if type(command) is Rows:
            return Decided(rows=command)
        if command is None:
            return Decided(is_kept=True)
        if type(command) is ForgetAnswers:
            for answer in command.answers:
                overlay.remove(KeptAnswer, answer)
            return Decided(is_kept=True)
        if type(command) is HearParked:
            return self._run(self._hear_parked, command, overlay, now=now, limits=LIMITS_OF_WORK)
        if request.key is None:
            return self._run(self._schema.decides.get(type(command)), command, overlay, now=now)
        place = (KeptAnswer, (request.who, request.key.key))
        kept = overlay.knows(place)
        if kept is UNKNOWN:
            kept = self._answers.find(place)
        if isinstance(kept, KeptAnswer):
            return _repeat(kept, request.key.fingerprint)
        outcome = (
            _too_slow(request)
            if request.was_too_slow
            else self._run(self._schema.decides.get(type(command)), command, overlay, now=now)
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

    def _fire(self, request: Request, timer: Timer, overlay: Overlay, *, now: datetime) -> Decided:
        """A timer's command; the timer is gone with it, whatever it answers, unless it failed by a bug."""
        place = (Timer, timer.id)
        current = overlay.knows(place)
        if current is UNKNOWN and timer.id in self._timer_changes:
            # A part of its batch was kept alone meanwhile, and set it anew: it must not be taken for its successor.
            current = self._timer_changes[timer.id] or ABSENT
        if current is ABSENT or (isinstance(current, Timer) and current != timer):
            return Decided()
        overlay.unschedule(timer.id)
        if request.postpones is not None:
            overlay.put(timer)
            return Decided(is_kept=True)
        decide = self._schema.decides.get(type(request.command))
        outcome = self._run(decide, request.command, overlay, now=now, limits=LIMITS_OF_WORK)
        if outcome.problem is None:
            return outcome
        overlay.take_back()
        if not isinstance(outcome.problem, (Crashed, TooSlow)):
            overlay.unschedule(timer.id)
            outcome.is_kept = True
        return outcome

    def _hear(self, request: Request, overlay: Overlay, *, now: datetime) -> Decided:
        """An event of another database; its number is kept in the same commit as its effect."""
        position = overlay.find(FollowerPosition, request.source)
        reached = 0 if position is None else position.number
        if request.number <= reached:
            return Decided(replayed=True)
        if request.after != reached:
            return Decided(problem=Crashed(source=request.source, expected=reached, number=request.number))
        overlay.put(FollowerPosition(source=request.source, number=request.number))
        event = request.command
        if event is None:
            return Decided(is_kept=True)
        if request.parked is not None:
            parked = ParkedEvent(
                source=request.source,
                number=request.number,
                name=event.name,
                reason=request.parked,
                parked_at=now,
            )
            overlay.put(parked)
            return Decided(is_kept=True)
        hearing = self._hearing_of(request.source, type(event))
        return self._run(hearing, event, overlay, now=now, limits=LIMITS_OF_WORK)

    def _hear_parked(self, unit: Overlay, command: HearParked, *, now: datetime) -> None:
        """An event that was laid aside has its effect, and is laid aside no more. Raises NotParked, what a repeat gets,
        and what its listeners raise: then it stays where it is."""
        place = (command.source, command.number)
        if unit.find(ParkedEvent, place) is None:
            raise NotParked(source=command.source, number=command.number)
        event = self._schema.codec.event(command.name, command.version, command.body)
        self._hearing_of(command.source, type(event))(unit, event, now=now)
        unit.remove(ParkedEvent, place)

    def _hearing_of(self, source: str, event: type) -> Handler:
        """Who hears such events of another database here."""
        about = (source, event)
        hearing = self._hearing.get(about)
        if hearing is None:
            listeners = self._schema.follows.get((source.split(":")[0], event), ())
            hearing = self._hearing[about] = _all_of(listeners)
        return hearing

    def _run(
        self, handler: Handler | None, command: Any, overlay: Overlay, *, now: datetime, limits: int = 1
    ) -> Decided:
        """Run a handler and the listeners of its events; the answer, or the problem and an overlay to forget.

        limits: how many times the usual limit on the processor it may use.
        """
        watch = self.watch
        if watch is not None:
            watch.start(limits)
        try:
            try:
                if handler is None:
                    raise RuntimeError(f"nobody decides {name_of(type(command))} in {self._schema.database}")
                answer = handler(overlay, command, now=now)
                self._tell(overlay, now=now)
                body = b"null" if answer is None else encode(answer)
            finally:
                # Inside: what rings while the watch is being stopped is caught too, and nothing rings below.
                if watch is not None:
                    watch.stop()
        except Problem as problem:
            # Without the frames it came through: they refer to it, and nothing but the collector would find that ring.
            return Decided(problem=problem.with_traceback(None))
        except OutOfTime:
            self._log_crash("writer.command_too_slow", command)
            return Decided(problem=TooSlow(command=type(command).__name__))
        except Exception:
            self._log_crash("writer.command_crashed", command)
            return Decided(problem=Crashed(command=type(command).__name__))
        return Decided(True, answer, body)

    def _tell(self, overlay: Overlay, *, now: datetime) -> None:
        """Let the same database's listeners hear what was emitted, in order, and what they emit in turn."""
        hears = self._schema.hears
        i = 0
        while i < len(overlay.events):
            event = overlay.events[i]
            for listener in hears.get(type(event), ()):
                listener(overlay, event, now=now)
            i += 1
            if i > EVENTS_PER_COMMAND_MAX:
                raise RuntimeError("listeners answer each other without end")

    def _log_crash(self, event: str, command: Any) -> None:
        log.error(event, exc_info=True, extra={"database": self._schema.database, "command": type(command).__name__})


def _all_of(listeners: Sequence[Handler]) -> Handler:
    """One who has all of them hear."""
    if len(listeners) == 1:
        return listeners[0]

    def hear(unit: Overlay, event: Any, *, now: datetime) -> None:
        for listener in listeners:
            listener(unit, event, now=now)

    return hear


def _too_slow(request: Request) -> Decided:
    """A command that used up its time once is not given it again when its batch is decided again."""
    return Decided(problem=TooSlow(command=type(request.command).__name__))


def _repeat(kept: KeptAnswer, fingerprint: str) -> Decided:
    if kept.fingerprint != fingerprint:
        return Decided(problem=KeyReused(used_for=kept.command))
    return Decided(body=kept.body.encode(), replayed=True)

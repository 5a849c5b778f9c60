"""The keeper: reads the logs, has told what events mean, has it kept, and sends it (A3, A4)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from tuanzi.base.problem import Problem
from tuanzi.machinery.follower import Numbered
from tuanzi.machinery.internal import EVENTS_AFTER
from tuanzi.machinery.problems import Crashed, NotParked, Unavailable
from tuanzi.machinery.push.escalation import Escalator
from tuanzi.machinery.push.keeper.shelf import Shelf
from tuanzi.machinery.push.keeper.words import AT_ONCE, KeeperFigures, Log, Pace, Parked, ToldEvents
from tuanzi.machinery.push.ports import Archive, Batch, Draft, Drafts, FanOut, Kept, Teller
from tuanzi.machinery.push.seen import Seen
from tuanzi.machinery.writer import Request

log = logging.getLogger("tuanzi.push")

# Our choice: so many wait only where the processor is used up, and a commit of them takes some 15 ms. Measured, a
# message costs a tenth less than in commits of 512.
EVENTS_AT_ONCE = 1024
POSTS_WAITING_MAX = 20_000
RETRY_S = 1.0
# Measured: after three turns of the loop the desk has had the commit begun, and whoever does it needs this loop no
# more; to send and to tell meanwhile takes some 30 ms.
UNDER_WAY_TURNS = 4
# What is kept is sent after this long, though the next batch needs to be read for.
SENT_S_MAX = 0.02


class Keeper:
    """The one who writes the streams of a campus."""

    def __init__(
        self,
        campus_id: str,
        logs: Sequence[Log],
        *,
        teller: Teller,
        archive: Archive,
        fan_out: FanOut,
        seen: Seen,
        now: Callable[[], datetime],
        pace: Pace = AT_ONCE,
        escalator: Escalator | None = None,
    ) -> None:
        """escalator: who looks after what nobody acknowledges; None where nobody does."""
        self.campus_id = campus_id
        self.figures = KeeperFigures()
        self.seen = seen
        self._logs = logs
        self._teller = teller
        self._archive = archive
        self._fan_out = fan_out
        self._now = now
        self._shelf = Shelf(archive, seen=seen, figures=self.figures, escalator=escalator)
        self._kept: dict[str, int] = {}  # by source: up to which event the table has all messages, as far as was asked
        self._posts: list[tuple[Sequence[Draft], asyncio.Future[None]]] = []
        self._again: list[tuple[str, int, Any, asyncio.Future[None]]] = []  # source, number, event
        self._wake = asyncio.Event()
        self._pace = pace
        self.escalator = escalator
        self._hurrying = frozenset(teller.heard) - frozenset(teller.patient)
        self._is_hurried = False  # whether anything waits that is not patient
        # When the last batch began, on the loop's clock, which begins at 0 or later.
        self._began_at = -max(pace.every_s, pace.patient_s)
        self._room = 0  # while more is gathered: how much more may come before work begins
        self._flight: asyncio.Task[bool] | None = None  # the batch that is being numbered and kept
        self._unsent: list[Kept] = []  # kept, and not sent yet
        self._sending: asyncio.TimerHandle | None = None
        for each in logs:
            each.source.subscribe(partial(self._offer, each))

    def _offer(self, each: Log, events: Sequence[Numbered]) -> None:
        each.follower.offer(events)
        if self._is_hurried:
            self._come(len(events), is_hurried=True)
        else:
            hurrying = self._hurrying
            self._come(len(events), is_hurried=any([type(event) in hurrying for _, event in events]))

    def _come(self, count: int, *, is_hurried: bool) -> None:
        """So much more waits: go to work, or on gathering."""
        self._room -= count
        if self._room <= 0 or (is_hurried and not self._is_hurried):
            self._wake.set()
        self._is_hurried |= is_hurried

    @property
    def positions(self) -> dict[str, int]:
        """By source: the last event that was told."""
        return {each.follower.source: each.follower.position for each in self._logs}

    @property
    def lags(self) -> dict[str, int]:
        """By source: how many events were not told yet."""
        return {each.follower.source: each.follower.lag for each in self._logs}

    async def post(self, messages: Sequence[Draft]) -> None:
        """Keep and send messages that no event means, such as reminders; returns after the commit. A repeat of an
        event id changes nothing. Raises Unavailable when too many wait or the keeper ends, Crashed when the table
        refuses one of them: then none of these is kept."""
        if len(self._posts) >= POSTS_WAITING_MAX:
            raise Unavailable(retry_after_s=2)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._posts.append((messages, future))
        self._come(1, is_hurried=True)
        await future

    async def heard(self, source: str) -> int:
        """The last event of a source that is needed no more: none that was laid aside, for that may be told yet."""
        parked = await self._archive.oldest_parked(source)
        position = self.positions[source]
        return position if parked is None else min(position, parked - 1)

    async def hear_parked(self, source: str, number: int, event: Any) -> None:
        """Tell an event after all that was laid aside; returns after the commit, in which it is laid aside no more.

        Raises NotParked, what a repeat gets, Crashed when it cannot be told now either, Unavailable.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._again.append((source, number, event, future))
        self._come(1, is_hurried=True)
        await future

    async def run(self) -> None:
        """Work until cancelled."""
        loop = asyncio.get_running_loop()
        for each in self._logs:
            each.follower.expect(each.source.event_number)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._shelf.tend(self._now))
                if self.escalator is not None:
                    tasks.create_task(self.escalator.run())
                while True:
                    try:
                        if self._has_more:
                            await self._gather()
                        began_at = loop.time()
                        if await self.step():
                            self._began_at = began_at
                        else:
                            self._wake.clear()
                            if not self._has_more:
                                await self._wake.wait()
                    except Problem as problem:
                        facts = {"campus": self.campus_id, "refusal": problem.title_en()}
                        log.warning("push.keeper_waiting", extra=facts)
                        with contextlib.suppress(Problem):
                            await self._land()
                        self.start_over()
                        await asyncio.sleep(RETRY_S)
        finally:
            if self._flight is not None:
                self._flight.cancel()
            self._send()
            for future in [future for _, future in self._posts] + [future for *_, future in self._again]:
                if not future.done():
                    future.set_exception(Unavailable(retry_after_s=2))

    async def _gather(self) -> None:
        """Let more come, as long as the pace says so."""
        if self._wait_s <= 0:
            return
        await self._land()
        self._send()
        loop = asyncio.get_running_loop()
        try:
            while (wait_s := self._wait_s) > 0:
                self._wake.clear()
                self._room = self._pace.events_max - self._waiting
                timer = loop.call_later(wait_s, self._wake.set)
                try:
                    await self._wake.wait()
                finally:
                    timer.cancel()
        finally:
            self._room = 0

    async def step(self) -> bool:
        """Take what waits and carry it all the way; whether there was anything. While still more waits, the last batch
        is left in the air: the next step tells what comes after it meanwhile, and raises what came of it."""
        taken = False
        self._is_hurried = False
        for each in self._logs:
            if each.follower.is_behind:
                rows = await each.source.rows(EVENTS_AFTER, {"after": each.follower.read_after, "limit": 1000})
                each.follower.read(rows)
            requests = each.follower.take(EVENTS_AT_ONCE)
            if requests:
                taken = True
                told = await self._tell(each, requests)
                if not await self._land():
                    told = await self._tell(each, requests)  # after those before it, as ever
                self._hold_back()
                self._flight = asyncio.create_task(self._carry(told))
                for _ in range(UNDER_WAY_TURNS):
                    await asyncio.sleep(0)
                self._send()
        if self._posts:
            taken = True
            await self._land()
            posts, self._posts = self._posts, []
            await self._carry_posts(posts)
        while self._again:
            taken = True
            await self._land()
            await self._carry_again(*self._again.pop(0))
        if not self._has_more:
            await self._land()
            self._send()
        return taken

    async def _land(self) -> bool:
        """Wait until the batch in the air is kept; False when its events had to be told anew. Raises what kept it from
        being so."""
        if self._flight is None:
            return True
        flight, self._flight = self._flight, None
        return await flight

    def start_over(self) -> None:
        """Read again from the logs what was handed out and not kept; no batch may be in the air."""
        self._shelf.forget()
        self._kept.clear()
        for each in self._logs:
            each.follower.start_over(each.follower.position)
            each.follower.expect(each.source.event_number)

    @property
    def _waiting(self) -> int:
        """How much waits to be told."""
        return len(self._posts) + len(self._again) + sum(each.follower.left for each in self._logs)

    @property
    def _wait_s(self) -> float:
        """How long the next batch may wait for more."""
        since_s = asyncio.get_running_loop().time() - self._began_at
        # What is to be read first may be anything.
        is_hurried = self._is_hurried or any(each.follower.is_behind for each in self._logs)
        return self._pace.wait_s(since_s=since_s, waiting=self._waiting, is_hurried=is_hurried)

    @property
    def _has_more(self) -> bool:
        """Whether anything waits to be told."""
        return bool(self._posts or self._again) or any(each.follower.left for each in self._logs)

    def _send(self) -> None:
        """Have every gateway hear what was kept, if it has not yet."""
        self._hold_back()
        kept, self._unsent = self._unsent, []
        if kept:
            self._fan_out.publish(self.campus_id, kept)

    def _hold_back(self) -> None:
        """Let what was kept wait until it is sent here."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    async def _tell(self, each: Log, requests: Sequence[Request]) -> ToldEvents:
        """Say what some of one source's events mean."""
        began = asyncio.get_running_loop().time()
        source = each.follower.source
        kept = self._kept.get(source)
        if kept is None:
            kept = self._kept[source] = await self._archive.position(source)
        heard = [request for request in requests if request.command is not None]
        if heard and heard[0].number <= kept:
            some, heard = heard, [request for request in heard if request.number > kept]
            self.figures.repeats += len(some) - len(heard)
        parked = [_unreadable(source, request) for request in heard if request.parked is not None]
        heard = await self._prepared(source, [request for request in heard if request.parked is None], parked)
        now = self._now()
        drafts = Drafts()
        for request in heard:
            try:
                self._teller.tell(request.command, drafts, now=now)
            except Exception as error:
                parked.append(_laid_aside(source, request, error))
        self.figures.busy_s += asyncio.get_running_loop().time() - began
        return ToldEvents(each, requests, len(heard), drafts, parked, now)

    async def _prepared(self, source: str, heard: list[Request], parked: list[Parked]) -> list[Request]:
        """Let the teller learn what it needs for these; gives those for which it did, and lays the others aside: one
        damaged row must not keep all that comes after it from being told. Raises Unavailable."""
        try:
            await self._teller.prepare([request.command for request in heard])
        except Unavailable:
            raise
        except Exception as error:
            if len(heard) > 1:
                return [ready for request in heard for ready in await self._prepared(source, [request], parked)]
            parked += [_laid_aside(source, request, error) for request in heard]
            return []
        return heard

    async def _carry(self, told: ToldEvents) -> bool:
        """Keep what was told of some events; what the table refuses is told again one by one, and False."""
        began = asyncio.get_running_loop().time()
        each, requests, drafts = told.log, told.requests, told.drafts
        source = each.follower.source
        last = max(requests[-1].number, self._kept[source])
        batch = Batch(
            at=told.at, inserts=drafts.inserts, upserts=drafts.upserts, positions={source: last}, parked=told.parked
        )
        try:
            self._publish(await self._shelf.keep(batch, drafts.messages))
        except Crashed:
            if len(requests) == 1:
                self.figures.parked += 1
                reason = (source, last, requests[0].command.name, "refused by the table")
                await self._archive.keep(Batch(at=told.at, positions={source: last}, parked=[reason]))
            else:
                for request in requests:
                    await self._carry(await self._tell(each, [request]))
                return False
        self._kept[source] = last
        each.follower.kept(last)
        self.figures.parked += len(told.parked)
        self.figures.events += told.events
        self.figures.busy_s += asyncio.get_running_loop().time() - began
        if drafts.pictures:
            self._fan_out.change(self.campus_id, list(drafts.pictures))
        return True

    async def _carry_again(self, source: str, number: int, event: Any, told: asyncio.Future[None]) -> None:
        """Tell one event that was laid aside; what comes of it only concerns whoever asks for it."""
        try:
            if not await self._archive.is_parked(source, number):
                raise NotParked(source=source, number=number)
            drafts, now = Drafts(), self._now()
            await self._teller.prepare([event])
            self._teller.tell(event, drafts, now=now)
            batch = Batch(at=now, inserts=drafts.inserts, upserts=drafts.upserts, heard=[(source, number)])
            self._publish(await self._shelf.keep(batch, drafts.messages))
        except Exception as error:
            if not isinstance(error, Problem):
                log.exception("push.event_parked", extra={"source": source, "number": number})
                error = Crashed(command=type(event).__name__)
            if not told.done():
                told.set_exception(error)
            return
        if drafts.pictures:
            self._fan_out.change(self.campus_id, list(drafts.pictures))
        if not told.done():
            told.set_result(None)

    async def _carry_posts(self, posts: list[tuple[Sequence[Draft], asyncio.Future[None]]]) -> None:
        """Keep posts in one commit; where the table refuses that, one by one, so that only the refused is. What is not
        kept, though it may be later, waits again."""
        left = [posts]
        while left:
            some = left.pop(0)
            messages = [draft for drafts, _ in some for draft in drafts]
            try:
                self._publish(await self._shelf.keep_posts(messages, at=self._now()))
            except Crashed as crashed:
                if len(some) > 1:
                    left = [[post] for post in some]
                elif not some[0][1].done():
                    some[0][1].set_exception(crashed)
                continue
            except BaseException:
                self._posts = [post for some in [some, *left] for post in some] + self._posts
                raise
            for _, future in some:
                if not future.done():
                    future.set_result(None)

    def _publish(self, kept: list[Kept]) -> None:
        """Have every gateway hear what was kept, in a moment."""
        self.figures.batches += 1
        self.figures.messages += len(kept)
        self._send()
        self._unsent = kept
        if kept:
            self._sending = asyncio.get_running_loop().call_later(SENT_S_MAX, self._send)


def _laid_aside(source: str, request: Request, error: Exception) -> Parked:
    """An event that could not be told, logged, as it is kept for a person."""
    log.error("push.event_parked", exc_info=error, extra={"source": source, "number": request.number})
    return source, request.number, request.command.name, type(error).__name__


def _unreadable(source: str, request: Request) -> Parked:
    """The same, of one that this release cannot read."""
    reason = request.parked or ""
    log.error("push.event_parked", extra={"source": source, "number": request.number, "reason": reason})
    return source, request.number, request.command.name, reason

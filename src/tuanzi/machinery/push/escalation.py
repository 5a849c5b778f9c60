"""What nobody acknowledged in time is handed to other means, once, and that it was is kept (A4).

A message is committed, sent, and then acknowledged or escalated. Nothing is done for it on its way: the keeper notes
the newest number of each stream that it wrote to, and once in a while those of some time ago are compared with how far
each stream was acknowledged. What was noted and not compared when a process ended is read from the archive by the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import islice

from tuanzi.base.problem import Problem
from tuanzi.machinery.push.ports import Elsewhere, EscalationBook

log = logging.getLogger("tuanzi.push")

# Our choice: how often is looked. Acknowledgements are kept every five seconds, so it makes no sense more often.
LOOK_EVERY_S = 5.0
# Our choice: a process that wakes so much later than it wanted stood still, and its sockets hold what it has not read.
STOOD_STILL_S = 1.0
# What was kept so long before the newest message is looked at when a process begins: more than was noted and not
# compared when the one before ended.
LOOKED_BACK = timedelta(minutes=2)
HANDED_AT_ONCE = 500
# Streams of one commit, and what is between two: nobody waits for an escalation, and others for the processor. Measured
# at 850 orders a second of which nobody is acknowledged: all of five seconds in one commit took 50 to 120 ms of a core
# beside whoever decides, and 34 ms of his own; in parts of 512 without a pause, everybody waited for half a second.
ESCALATED_AT_ONCE = 256
PAUSE_S_MAX = 0.1
# Our choice: all pauses of a look together take less than what is noted meanwhile.
PAUSES_S_MAX = 4.0


class EscalationFigures:
    """What became of messages that were not acknowledged in time, since this started, for `/metrics`."""

    def __init__(self) -> None:
        self.expected = 0  # messages that somebody ought to acknowledge
        self.arrived = 0  # of which were acknowledged in time
        self.escalated = 0  # of which were not
        self.handed = 0  # of which other means took
        self.late = 0  # of which were acknowledged after all
        self.tries_failed = 0

    @property
    def waiting(self) -> int:
        """Messages whose time is not over yet."""
        return self.expected - self.arrived - self.escalated


class _Noted:
    """Streams that were written to, up to which number, how many messages that were, and how many are escalated."""

    __slots__ = ("escalated", "messages", "streams")

    def __init__(self) -> None:
        self.streams: dict[str, int] = {}
        self.messages = 0
        self.escalated = 0


class Escalator:
    """Looks after the messages of a campus that ought to be acknowledged.

    prefix: of the streams whose readers acknowledge. after_s: how long a message may wait for it; more than the five
    seconds after which acknowledgements are kept. elsewhere: None where no other means is set up; what is escalated
    stays due then, for nobody was told. clock: seconds that never go back.
    """

    def __init__(
        self,
        campus_id: str,
        *,
        book: EscalationBook,
        elsewhere: Elsewhere | None,
        prefix: str,
        after_s: float,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self.figures = EscalationFigures()
        # How far a stream was acknowledged, as the gateway of this process knows; the book is asked of the others.
        self.acked_here: Callable[[str], int] | None = None
        self._campus_id = campus_id
        self._book = book
        self._elsewhere = elsewhere
        self._prefix = prefix
        self._after_s = after_s
        self._clock = clock
        self._now = now
        self._noted = _Noted()  # since the last look
        self._waiting: deque[tuple[float, _Noted]] = deque()  # of each look: when, and what was noted until then

    def note(self, before: Mapping[str, int | None], newest: Mapping[str, int | None]) -> None:
        """These streams were written to, up to these numbers."""
        prefix, streams = self._prefix, self._noted.streams
        messages = 0
        for stream, number in newest.items():
            if number and stream.startswith(prefix):
                streams[stream] = number
                messages += number - (before[stream] or 0)
        self._noted.messages += messages
        self.figures.expected += messages

    async def run(self) -> None:
        """Work until cancelled."""
        has_begun = False
        while True:
            try:
                if not has_begun:
                    await self.begin()
                    has_begun = True
                await self.look()
            except Problem as problem:
                facts = {"campus": self._campus_id, "refusal": problem.title_en()}
                log.warning("push.escalation_waiting", extra=facts)
            slept_from = self._clock()
            await asyncio.sleep(LOOK_EVERY_S)
            if (still_s := self._clock() - slept_from - LOOK_EVERY_S) >= STOOD_STILL_S:
                self.stood_still(still_s)

    def stood_still(self, seconds: float) -> None:
        """This process did nothing for so long: the machine was asleep, or somebody stopped it. In that time nobody
        could acknowledge: whoever did is heard before the next look but one, and who lost his connection may come
        back."""
        log.warning("push.stood_still", extra={"campus": self._campus_id, "seconds": round(seconds)})
        least = self._clock() - self._after_s + LOOK_EVERY_S
        self._waiting = deque((max(at + seconds, least), noted) for at, noted in self._waiting)

    async def begin(self) -> None:
        """Note what the process before may have noted and not compared."""
        for stream, number in (await self._book.recent(self._prefix, back=LOOKED_BACK)).items():
            self._noted.streams.setdefault(stream, number)

    async def look(self) -> None:
        """Escalate what has waited too long, hand over what was not handed over yet, see what arrived after all.

        What cannot be done now is done by the next look; a repeat changes nothing.
        """
        at = self._clock()
        if self._noted.streams:
            self._waiting.append((at, self._noted))
            self._noted = _Noted()
        while self._waiting and at - self._waiting[0][0] >= self._after_s:
            _, noted = self._waiting[0]
            pause_s = min(PAUSE_S_MAX, PAUSES_S_MAX * ESCALATED_AT_ONCE / max(1, len(noted.streams)))
            while noted.streams:
                some = dict(islice(noted.streams.items(), ESCALATED_AT_ONCE))
                if asked := self._left_to_ask(some):
                    escalated = await self._book.escalate(asked, at=self._now())
                    noted.escalated += sum(each.count for each in escalated)
                for stream in some:
                    del noted.streams[stream]
                if asked and noted.streams:
                    await asyncio.sleep(pause_s)
            self._waiting.popleft()
            self._count(noted)
        await self._hand_over()
        await self._count_late()

    def _left_to_ask(self, streams: Mapping[str, int]) -> Mapping[str, int]:
        """Those that this process does not know to be acknowledged; mostly a few of a hundred."""
        acked = self.acked_here
        return streams if acked is None else {name: number for name, number in streams.items() if acked(name) < number}

    def _count(self, noted: _Noted) -> None:
        """The time of what was noted is over; of what the process before had noted only the escalated is counted."""
        figures, escalated = self.figures, noted.escalated
        figures.escalated += escalated
        figures.arrived += max(0, noted.messages - escalated)
        figures.expected += max(0, escalated - noted.messages)

    async def _count_late(self) -> None:
        """Keep what was acknowledged after all: after a stop many come back at once."""
        while late := await self._book.find_late(limit=HANDED_AT_ONCE):
            self.figures.late += sum(each.count for each in late)
            if len(late) < HANDED_AT_ONCE:
                return

    async def _hand_over(self) -> None:
        """Have other means take what is due, then keep that they did: after a crash between they get it once more,
        under the same ids."""
        elsewhere = self._elsewhere
        while elsewhere is not None and (due := await self._book.due(limit=HANDED_AT_ONCE)):
            try:
                await elsewhere.hand_over(self._campus_id, due)
            except Exception as error:
                self.figures.tries_failed += 1
                log.warning("push.elsewhere_failed", extra={"campus": self._campus_id, "reason": type(error).__name__})
                return
            await self._book.handed(due)
            self.figures.handed += sum(escalated.count for escalated in due)

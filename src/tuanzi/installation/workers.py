"""Those who do errands of every campus, as many at once as is good (D1, decision 0017)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tuanzi import reconciliation
from tuanzi.base.ids import Ids
from tuanzi.installation.meeting import BUSY_ROOMS, ERRANDS, Engines, ErrandCall, Tellers, waited_for
from tuanzi.machinery.answers import AnswerLines
from tuanzi.machinery.calls import Reply
from tuanzi.machinery.codec import encode, name_of
from tuanzi.machinery.desk import ERRAND_S_MAX, WriterDesk
from tuanzi.machinery.pool import Pool, PoolLimits
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.room import ErrandHandler, Room
from tuanzi.machinery.workqueue import Work
from tuanzi.settings import Settings, SettingWrong
from tuanzi.wiring import Vendors, Workshop, wall_clock

log = logging.getLogger("tuanzi.installation")

# Ten times as long as whoever put an errand waits for it, and five times the longest pause of the timer that puts it
# again (a minute): so the clocks of two machines may differ by minutes, and none is left that would not come again.
STALE_AFTER = timedelta(minutes=5)


class WorkerSide(Workshop):
    """Does errands of every campus: asks companies outside, plans rounds. As many at once as is good (D1)."""

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        engines: Engines,
        *,
        clock: Callable[[], datetime] = wall_clock,
        ids: Ids | None = None,
    ) -> None:
        """Raises SettingWrong when there is no queue to take errands from."""
        super().__init__(settings, vendors, clock=clock, ids=ids)
        if engines.works is None:
            raise SettingWrong("TUANZI_RABBIT is missing: workers take their work from there")
        self.engines = engines
        self.pool = Pool(PoolLimits(most=settings.workers_max), name=ERRANDS)
        self.lines = AnswerLines(settings.secret)
        self.stale = 0  # errands left undone since this process started
        self._works = engines.works
        self._closing = asyncio.Event()
        self._errands: dict[tuple[str, str], ErrandHandler] = {}
        self._decode: dict[str, Callable[[bytes], Any]] = {}
        for campus in settings.campuses:
            for room in self.rooms_for(campus, lambda _: None, None):
                if room.name in BUSY_ROOMS:
                    for kind, handler in room.errands.items():
                        self._errands[campus, name_of(kind)] = handler
                        self._decode[name_of(kind)] = msgspec.json.Decoder(kind).decode
        # What a process that decides nothing has none of, for those who count.
        self.desks: list[WriterDesk] = []
        self.campus_rooms: dict[str, list[Room]] = {}
        self.watches: list[reconciliation.Watch] = []
        self.closed: list[str] = []
        self.live = Tellers({})

    async def run(self) -> None:
        """Work until `close`; what is under way then is done again by another."""
        working = asyncio.create_task(self._works.work(ERRANDS, self._do, pool=self.pool))
        closing = asyncio.create_task(waited_for(self._closing))
        try:
            await asyncio.wait({working, closing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            working.cancel()
            closing.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await self.lines.close()

    def close(self) -> None:
        """Stop."""
        self._closing.set()

    async def _do(self, work: Work) -> None:
        """Do an errand and send its command back; one that fails is told, for whoever sent it insists by its timer.

        One that was put long ago, before an outage of the queue or of all workers, is left undone: its timer has put
        it again since, again and again, and a company would be asked as often.
        """
        now = self.clock()
        if now - work.put_at > STALE_AFTER:
            self.stale += 1
            self.pool.overlook()
            log.info("installation.errand_stale", extra={"work": work.id, "put_at": work.put_at.isoformat()})
            return
        call = _unpack_errand(work.body)
        try:
            async with asyncio.timeout(ERRAND_S_MAX):
                command = await self._errands[call.campus, call.name](self._decode[call.name](call.body), now=now)
            reply = Reply(call.number, msgspec.msgpack.encode((name_of(type(command)), encode(command))))
        except Exception as error:
            # The type only: a vendor's text may hold a phone number.
            log.warning("installation.errand_failed", extra={"errand": call.name, "reason": type(error).__name__})
            self.lines.send(call.reply_to, Reply(call.number, problem=Unavailable.code, facts=b"{}"))
            self.pool.blame()
            return
        self.lines.send(call.reply_to, reply)


_unpack_errand = msgspec.msgpack.Decoder(ErrandCall).decode

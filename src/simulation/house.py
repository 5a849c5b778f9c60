"""The house in virtual time: the real rooms, writers, desks and followers over databases that outlive each process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from simulation.asking import LOST, Answer, Ask, CampusDesks, Counter
from simulation.faults import Company, FaultyDatabase, Trouble
from simulation.letters import FaultyPost
from simulation.virtual import Clock, VirtualLoop
from tuanzi import wiring
from tuanzi.base.ids import Ids
from tuanzi.base.problem import Problem
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.engines.post.desks import DeskPost
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.post import Letter
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.writer import Schema, Writer
from tuanzi.money import Cashier
from tuanzi.people import ConsoleSender, Keys
from tuanzi.reconciliation import Begin

KINDS = wiring.CAMPUS_DATABASES
# What a request is given before it is answered 503 (our choice, as in the API).
REQUEST_S_MAX = 10.0


@dataclass(slots=True)
class _Process:
    """All that a kill takes away. has_ended: a desk has stopped by itself, which is a crash."""

    loop: VirtualLoop
    desks: dict[str, WriterDesk]
    databases: list[FaultyDatabase]
    requests: dict[int, Callable[[Answer], None]]
    has_ended: bool = False

    def end(self, _: asyncio.Task[None]) -> None:
        """A desk has stopped."""
        self.has_ended = True


class VirtualHouse:
    """One campus: its databases in memory, which are its disks, and a process over them that can be killed.

    alter: changes the schema of a database; tests plant bugs with it. plug: how a process reaches a disk. company: who
    is paid. reconciles: whether the books are compared every minute, as in the real house; from the next start on.
    beside: another campus's house, in whose process this one's writers work too, as in the embedded house; that one is
    started, stepped and killed for both.
    """

    def __init__(
        self,
        clock: Clock,
        chance: Random,
        trouble: Trouble,
        *,
        campus: str = "beijing",
        alter: Callable[[Schema], Schema] | None = None,
        plug: Callable[[Sqlite, Trouble], FaultyDatabase] = FaultyDatabase,
        company: Callable[[Trouble, Callable[[], datetime]], Company] = Company,
        places_max: int = 100_000,
        reconciles: bool = False,
        beside: VirtualHouse | None = None,
    ) -> None:
        self.campus = campus
        self._host = self if beside is None else beside
        self._houses: list[VirtualHouse] = []  # that work in this process
        self._host._houses.append(self)
        self.trouble = trouble
        self.clock = clock
        self.provider = company(trouble, clock.true)
        self._cashier = Cashier(self.provider)
        self._post = FaultyPost(DeskPost(self._find_desk), trouble, clock)
        self.disks = {kind: wiring.open_database(None, kind, now=clock.true()) for kind in KINDS}
        self.ids: Ids = Ids(chance.getrandbits) if beside is None else beside.ids
        rooms = wiring.rooms_of(
            keys=Keys(b"simulated secret of 32 bytes ..."),
            sender=ConsoleSender(),
            provider=self.provider,
            is_campus=lambda name: name in {house.campus for house in self._host._houses},
            post=self._post,
            campus=campus,
            books=wiring.CampusBooks(self._desks),
        )
        self._counter = Counter(rooms, campus=campus, ids=self.ids, clock=clock.machine)
        schemas = {kind: wiring.schema_of(kind, rooms) for kind in KINDS}
        self._schemas = {kind: alter(schema) if alter else schema for kind, schema in schemas.items()}
        self._errands = {
            kind: {
                errand: handler for room in rooms if room.database == kind for errand, handler in room.errands.items()
            }
            for kind in KINDS
        }
        self._openings = {
            kind: [opening for room in rooms if room.database == kind for opening in room.openings] for kind in KINDS
        }
        self._plug = plug
        self._places_max = places_max
        self.reconciles = reconciles
        self._count = 0
        self._running: _Process | None = None

    @property
    def _process(self) -> _Process | None:
        return self._host._running

    @property
    def is_up(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def start(self) -> None:
        """A new process over the disks as they are."""
        loop = VirtualLoop(self.clock, latency=self.trouble.latency)
        process = _Process(loop=loop, desks={}, databases=[], requests={})
        self._running = process
        asyncio_before = asyncio._get_running_loop()
        asyncio._set_running_loop(loop)
        try:
            for house in self._houses:
                house._move_in(process)
        finally:
            asyncio._set_running_loop(asyncio_before)

    def _move_in(self, process: _Process) -> None:
        """Have the writers of this campus work in a process that starts."""
        desks = {kind: self._desk(kind, process) for kind in KINDS}
        for target, source in wiring.FOLLOWS:
            position = wiring.position_of(self.disks[target], source)
            follower = wiring.follower_of(target, source, schema=self._schemas[target], position=position)
            desks[target].follow(desks[source], follower)
        process.desks |= {f"{self.campus}.{kind}": desk for kind, desk in desks.items()}
        for desk in desks.values():
            process.loop.create_task(desk.run()).add_done_callback(process.end)
        if self.reconciles:
            process.loop.create_task(_begin(desks["money"]))

    def _desk(self, kind: str, process: _Process) -> WriterDesk:
        database = self._plug(self.disks[kind], self.trouble)
        process.databases.append(database)
        position, number = database.cursor()
        writer = Writer(self._schemas[kind], position=position, event_number=number, places_max=self._places_max)
        return WriterDesk(
            kind,
            writer,
            database,
            clock=self.clock.machine,
            errands=self._errands[kind],
            openings=self._openings[kind],
        )

    def _find_desk(self, address: str) -> WriterDesk | None:
        """The desk at an address as this campus writes it: of its own, or e.g. `shanghai.core`."""
        place = address if "." in address else f"{self.campus}.{address}"
        return None if self._process is None else self._process.desks.get(place)

    def _desks(self) -> Mapping[str, WriterDesk]:
        assert self._process is not None
        return {kind: self._process.desks[f"{self.campus}.{kind}"] for kind in KINDS}

    def kill(self) -> None:
        """The process is gone at this instant; who waited for an answer gets none."""
        process, self._running = self._running, None
        if process is None:
            return
        for database in process.databases:
            database.unplug()
        waiting = list(process.requests.values())
        process.requests.clear()
        before = asyncio._get_running_loop()
        process.loop.dismantle()
        asyncio._set_running_loop(before)
        for tell in waiting:
            tell(Answer(LOST))

    def step(self) -> None:
        """Let the process do all it can now; a kill or a crash in it ends it."""
        process = self._process
        if process is None:
            return
        process.loop.step()
        if process.loop.killed:
            self.kill()
        elif process.has_ended:
            self.trouble.hits["crashed"] += 1
            self.kill()

    def wake(self) -> None:
        """Time has passed."""
        if self._process is not None:
            self._process.loop.wake()
        for house in self._houses:
            house._post.deliver(house._hand_in)

    def _hand_in(self, letter: Letter) -> None:
        """Carry a letter that comes late, to whatever process is there now; its answer is nobody's."""
        process = self._process
        if process is not None:
            process.loop.create_task(self._carry(letter, process))

    async def _carry(self, letter: Letter, process: _Process) -> None:
        place = letter.address if "." in letter.address else f"{self.campus}.{letter.address}"
        with contextlib.suppress(Problem):
            await process.desks[place].submit(letter.command)

    @property
    def next_at(self) -> float | None:
        """When the process has something to do next."""
        times = [house._post.next_at for house in self._houses]
        times.append(None if self._process is None else self._process.loop.next_at)
        return min([at for at in times if at is not None], default=None)

    @property
    def is_busy(self) -> bool:
        """Whether commands or requests are under way."""
        process = self._process
        if process is None:
            return False
        desks = process.desks.values()
        return bool(process.requests) or any(desk.queue_length for desk in desks)

    def ask(self, ask: Ask, tell: Callable[[Answer], None]) -> None:
        """Carry out a request; `tell` gets its answer, at once when nobody is there."""
        process = self._process
        if process is None:
            tell(Answer(LOST))
            return
        number = self._number()
        process.requests[number] = tell
        process.loop.create_task(self._carry_out(ask, process, number))

    def _number(self) -> int:
        """Of a request to this process."""
        self._host._count += 1
        return self._host._count

    async def _carry_out(self, ask: Ask, process: _Process, number: int) -> None:
        desks = {kind: process.desks[f"{self.campus}.{kind}"] for kind in KINDS}
        try:
            async with asyncio.timeout(REQUEST_S_MAX):
                answer = await self._counter.answer(ask, CampusDesks(**desks))
        except TimeoutError:
            answer = Answer(503, code="api/too-late")
        tell = process.requests.pop(number, None)
        if tell is not None:
            tell(answer)

    def callback(self, seen: Any) -> Callable[[Callable[[Answer], None]], None]:
        """What delivers a report of the payment company; may be called again until it is taken."""
        command = self._cashier.capture_of(seen)

        def deliver(tell: Callable[[Answer], None]) -> None:
            process = self._process
            if process is None:
                tell(Answer(LOST))
                return
            number = self._number()
            process.requests[number] = tell
            process.loop.create_task(self._note_payment(command, process, number))

        return deliver

    async def _note_payment(self, command: Any, process: _Process, number: int) -> None:
        try:
            await process.desks[f"{self.campus}.money"].submit(command)
            answer = Answer(200)
        except Problem as problem:
            answer = Answer(problem.status, json=problem.facts, code=problem.code)
        tell = process.requests.pop(number, None)
        if tell is not None:
            tell(answer)

    def heard(self, target: str, source: str) -> frozenset[str]:
        """The names of the events of `source` to which `target` listens."""
        follows: Any = self._schemas[target].follows
        return frozenset(event.name for emitter, event in follows if emitter == source)

    def rows(self, kind: str, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """What stands on a disk, seen from outside."""
        return self.disks[kind].rows(sql, slots)

    def close(self) -> None:
        """End the process and let go of the disks of all campuses in it."""
        self.kill()
        for house in self._houses:
            for disk in house.disks.values():
                disk.close()


async def _begin(desk: WriterDesk) -> None:
    """Have the books compared from now on; where nothing can be kept, tried until something can."""
    await desk.opened.wait()
    while True:
        try:
            await desk.submit(Begin(), is_accepted=True)
        except Unavailable:
            await asyncio.sleep(1.0)
        else:
            return

"""The world around a house: what happens when, and people's apps, which ask again when no answer comes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import NamedTuple, Protocol

from simulation import invariants
from simulation.asking import LOST, Answer, Ask
from simulation.auditor import Auditor, Hearer
from simulation.faults import CALM, Swarm, Trouble
from simulation.house import VirtualHouse
from simulation.invariants import guests
from simulation.virtual import MORNING, Clock
from tuanzi.money import PaymentEnded

# An app gives up after so many tries; with its growing pauses that is after about five minutes.
TRIES_MAX = 14
PAUSE_S_MAX = 30.0
KEY_BITS = 96
MINUTE_S = 60.0
# Our choice: what is broken beyond that says nothing new.
BROKEN_MAX = 20


class Wait(NamedTuple):
    """Do nothing for so many seconds."""

    seconds: float


# What a person does: he waits or asks, and goes on when the time has passed or the answer is there.
Script = Generator[Wait | Ask, Answer, None]


class Stage(Protocol):
    """Where people act: a simulated world, or a real house in real time."""

    chance: Random

    @property
    def now(self) -> datetime:
        """The time."""

    def act(self, script: Script, *, after: float = 0.0) -> None:
        """Let somebody act by his script, in so many seconds."""

    def hear(self, hearer: Hearer) -> None:
        """Call `hearer` with the name and body of every event of the campus."""

    def pay_in_app(self, prepay: Mapping[str, str], *, after: float) -> None:
        """Pay at the payment company itself, in so many seconds, with what the house gave for that."""


class Side:
    """One campus of a world: its house, who audits it, and where its people act (`Stage`)."""

    def __init__(self, world: World, house: VirtualHouse) -> None:
        self.house = house
        self.auditor = Auditor(house)
        self.chance = world.chance
        self._world = world

    @property
    def now(self) -> datetime:
        """The true time."""
        return self._world.now

    def act(self, script: Script, *, after: float = 0.0) -> None:
        """Let somebody act by his script."""
        self._world.act(script, after=after)

    def hear(self, hearer: Hearer) -> None:
        """Call `hearer` with the name and body of every event of this campus, soon after it is committed."""
        self.auditor.hear(hearer)

    def pay_in_app(self, prepay: Mapping[str, str], *, after: float) -> None:
        """Pay at the payment company itself; too late is too late."""

        def pay() -> None:
            try:
                self.house.provider.pay(prepay["sandbox"], now=self.now)
            except PaymentEnded:
                self.auditor.counts["app: payment ended"] += 1

        self._world.later(after, pay)


class World:
    """Virtual time, the house in it, and the scripts of everybody who acts. All chance comes from `chance`.

    neighbours: other campuses, whose houses work in the same process; `sides` has all, by name, the first at home.
    """

    def __init__(
        self,
        seed: int,
        *,
        swarm: Swarm | None = None,
        house: Callable[[Clock, Random, Trouble], VirtualHouse] = VirtualHouse,
        neighbours: Sequence[str] = (),
    ) -> None:
        self.chance = Random(seed)
        self.clock = Clock()
        self.trouble = Trouble(swarm or CALM, self.chance)
        self.house = house(self.clock, self.chance, self.trouble)
        others = [
            VirtualHouse(self.clock, self.chance, self.trouble, campus=name, beside=self.house) for name in neighbours
        ]
        self.sides = {each.campus: Side(self, each) for each in (self.house, *others)}
        self.home = self.sides[self.house.campus]
        self.auditor = self.home.auditor
        self.acting = 0
        self.pace = 1.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.house.start()
        self._starting = False
        if swarm is not None:
            self.later(MINUTE_S, self._each_minute)

    @property
    def now(self) -> datetime:
        """The true time."""
        return self.clock.true()

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        self._count += 1
        heapq.heappush(self._agenda, (self.clock.seconds + seconds, self._count, act))

    def every(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something again and again; more seldom where nothing is to be missed (`pace`)."""

        def again() -> None:
            act()
            self.later(seconds * self.pace, again)

        self.later(seconds, again)

    def seconds_until(self, at: datetime) -> float:
        """How long it is until `at`; negative when it has passed."""
        return (at - MORNING).total_seconds() - self.clock.seconds

    def act(self, script: Script, *, after: float = 0.0) -> None:
        """Let somebody act by his script."""
        self.acting += 1
        self.later(after, lambda: self._go_on(script, None))

    def hear(self, hearer: Hearer) -> None:
        """Call `hearer` with the name and body of every event of home, soon after it is committed."""
        self.home.hear(hearer)

    def pay_in_app(self, prepay: Mapping[str, str], *, after: float) -> None:
        """Pay at home's payment company itself; too late is too late."""
        self.home.pay_in_app(prepay, after=after)

    def read_logs(self) -> None:
        """Read what the logs of all campuses have got."""
        for side in self.sides.values():
            side.auditor.read_logs()

    def look(self, *, at_rest: bool) -> None:
        """Read all books now, each for itself, and of several campuses all together."""
        for side in self.sides.values():
            side.auditor.look(at_rest=at_rest)
        if len(self.sides) > 1 and len(self.auditor.broken) <= BROKEN_MAX:
            books = {name: invariants.Books(side.house) for name, side in self.sides.items()}
            for told in guests.broken(books, at_rest=at_rest):
                name, _, what = told.partition(": ")
                self.auditor.broken.append(invariants.Broken(name, what))

    @property
    def broken(self) -> list[invariants.Broken]:
        """All that is broken, of every campus."""
        return [each for side in self.sides.values() for each in side.auditor.broken]

    def run(self, *, until: float) -> None:
        """Let time pass until so many seconds since the beginning."""
        house = self.house
        while True:
            house.step()
            if not house.is_up and not self._starting:
                self._starting = True
                self.later(self._down_s(), self._restart)
            next_at = house.next_at
            if self._agenda and (next_at is None or self._agenda[0][0] < next_at):
                next_at = self._agenda[0][0]
            if next_at is None or next_at > until:
                self.clock.seconds = until
                return
            self.clock.seconds = max(self.clock.seconds, next_at)
            house.wake()
            while self._agenda and self._agenda[0][0] <= self.clock.seconds:
                heapq.heappop(self._agenda)[2]()

    def _down_s(self) -> float:
        """How long until somebody starts the house again; longer and longer when it falls over by itself."""
        crashes = self.trouble.hits["crashed"]
        return self.trouble.between(0.1, 20.0) + (2.0 ** min(crashes, 12) if crashes > 3 else 0.0)

    def _restart(self) -> None:
        self._starting = False
        self.look(at_rest=False)
        self.house.start()

    def _each_minute(self) -> None:
        trouble = self.trouble
        if trouble.strikes("kill_between"):
            self.house.kill()
        if trouble.strikes("clock_jump"):
            self.clock.offset = trouble.jump()
        if trouble.swarm != CALM:
            self.later(MINUTE_S, self._each_minute)

    def heal(self) -> None:
        """End all faults; the machine's clock is right again."""
        self.trouble.heal()
        self.clock.offset = self.clock.offset * 0

    # people and their apps

    def _go_on(self, script: Script, answer: Answer | None) -> None:
        try:
            wish = next(script) if answer is None else script.send(answer)
        except StopIteration:
            self.acting -= 1
            return
        if isinstance(wish, Wait):
            self.later(max(0.0, wish.seconds), lambda: self._go_on_after_wait(script))
        else:
            self._ask(wish, script)

    def _go_on_after_wait(self, script: Script) -> None:
        self._go_on(script, _NOTHING_ASKED)

    def _ask(self, ask: Ask, script: Script) -> None:
        if ask.method != "GET" and not ask.key:
            ask = replace(ask, key=self._key())
        self._try(ask, script, tries=1)

    def _key(self) -> str:
        return f"{self.chance.getrandbits(KEY_BITS):024x}"

    def _try(self, ask: Ask, script: Script, *, tries: int) -> None:
        trouble = self.trouble
        is_write = ask.method != "GET"
        side = self._side_of(ask)
        if is_write and trouble.strikes("twice"):
            self.later(trouble.between(0.0, 3.0), lambda: side.house.ask(ask, self._copy_told(ask)))

        def told(answer: Answer) -> None:
            side.auditor.told(ask, answer)
            if is_write and answer.status != LOST and trouble.strikes("answer_lost"):
                answer = Answer(LOST)
            if answer.is_unsure and tries < TRIES_MAX:
                pause = min(PAUSE_S_MAX, 0.5 * 2.0**tries) * trouble.between(0.5, 1.0)
                self.later(pause, lambda: self._again(ask, script, tries=tries + 1))
            else:
                # Not from within the house's own step: people are slower than machines.
                self.later(0.0, lambda: self._go_on(script, answer))

        if is_write and trouble.strikes("late"):
            self.later(trouble.between(0.0, 20.0), lambda: side.house.ask(ask, told))
        else:
            side.house.ask(ask, told)

    def _side_of(self, ask: Ask) -> Side:
        """The campus of whoever asks."""
        campus = None if ask.who is None else ask.who.campus_id
        return self.home if campus is None else self.sides[campus]

    def _again(self, ask: Ask, script: Script, *, tries: int) -> None:
        if ask.method != "GET" and self.trouble.strikes("new_key"):
            ask = replace(ask, key=self._key())
        self._try(ask, script, tries=tries)

    def _copy_told(self, ask: Ask) -> Callable[[Answer], None]:
        return lambda answer: self._side_of(ask).auditor.told(ask, answer)


_NOTHING_ASKED = Answer(LOST, code="nothing asked")

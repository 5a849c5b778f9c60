"""What goes wrong in a simulated run: each seed draws which faults are on, and how strong ('swarm', after TigerBeetle).

`Trouble` decides by chance where something may go wrong; `FaultyDatabase` is a database that trouble hits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

from simulation.virtual import Killed
from tuanzi.base.unit import Key
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import Ask, DatabaseUnavailable, Flush, Update
from tuanzi.machinery.tables import Row, Table
from tuanzi.money import Fault, SandboxProvider

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Swarm:
    """The chance of each fault, each time it could happen; all 0 is a world without faults.

    Of a commit: kill_before, kill_torn (in the middle of its statements), kill_after (kept, and nobody was told),
    fail_before, fail_torn, fail_after (kept, but it looks failed). fail_read: of a fetch.
    kill_between, clock_jump: for each minute. Of a request: answer_lost (a client gives up on it), twice (sent twice at
    once), new_key (repeated as if it were another), late (delayed, so that another overtakes it).
    refuse, unreachable, unknown, duplicate, tardy: what the payment company does with a call.
    Of a letter to another database's writer: letter_lost, letter_unanswered (carried, and nobody is told),
    letter_twice, letter_late (carried long after it was given up, perhaps to the next process), letter_refused (a no).
    slow_s: how long a commit may take.
    """

    kill_before: float = 0.0
    kill_torn: float = 0.0
    kill_after: float = 0.0
    fail_before: float = 0.0
    fail_torn: float = 0.0
    fail_after: float = 0.0
    fail_read: float = 0.0
    kill_between: float = 0.0
    clock_jump: float = 0.0
    answer_lost: float = 0.0
    twice: float = 0.0
    new_key: float = 0.0
    late: float = 0.0
    refuse: float = 0.0
    unreachable: float = 0.0
    unknown: float = 0.0
    duplicate: float = 0.0
    tardy: float = 0.0
    slow_s: float = 0.1
    letter_lost: float = 0.0
    letter_unanswered: float = 0.0
    letter_twice: float = 0.0
    letter_late: float = 0.0
    letter_refused: float = 0.0


CALM = Swarm()

# The strongest that a seed may draw (our choice: strong enough for several hits in a run of 40 students).
STRONGEST = Swarm(
    kill_before=0.01,
    kill_torn=0.01,
    kill_after=0.01,
    fail_before=0.03,
    fail_torn=0.03,
    fail_after=0.03,
    fail_read=0.02,
    kill_between=0.05,
    clock_jump=0.03,
    answer_lost=0.15,
    twice=0.15,
    new_key=0.3,
    late=0.15,
    refuse=0.1,
    unreachable=0.2,
    unknown=0.15,
    duplicate=0.3,
    tardy=0.15,
    slow_s=2.0,
    letter_lost=0.3,
    letter_unanswered=0.3,
    letter_twice=0.3,
    letter_late=0.3,
    letter_refused=0.1,
)


def draw(chance: Random) -> Swarm:
    """A seed's own faults: each is off half of the time, else anything up to the strongest."""
    drawn = {}
    for each in fields(Swarm):
        most = getattr(STRONGEST, each.name)
        drawn[each.name] = most * chance.random() ** 2 if chance.random() < 0.5 else getattr(CALM, each.name)
    return Swarm(**drawn)


class Trouble:
    """Decides what goes wrong; `hits` counts what did, `commits` the tries to keep something."""

    def __init__(self, swarm: Swarm, chance: Random) -> None:
        self.swarm = swarm
        self.hits: Counter[str] = Counter()
        self.commits = 0
        self._chance = chance

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self.swarm = CALM

    def strikes(self, fault: str) -> bool:
        """Whether this fault happens now."""
        likely: float = getattr(self.swarm, fault)
        if likely <= 0.0 or self._chance.random() >= likely:
            return False
        self.hits[fault] += 1
        return True

    def latency(self) -> float:
        """How long a piece of blocking work takes, in seconds."""
        slow = self.swarm.slow_s
        return slow if slow <= CALM.slow_s else 0.005 + slow * self._chance.random()

    def between(self, least: float, most: float) -> float:
        """A number by chance."""
        return least + (most - least) * self._chance.random()

    def below(self, n: int) -> int:
        """A whole number below `n` by chance."""
        return self._chance.randrange(n)

    def jump(self) -> timedelta:
        """How far the machine's clock is off from now on: up to 3 h ahead or 20 min behind, or right again."""
        which = self._chance.random()
        if which < 0.4:
            return timedelta(seconds=self.between(1, 3 * 3600))
        return timedelta() if which < 0.7 else -timedelta(seconds=self.between(1, 1200))

    def of_provider(self, operation: str, number: str) -> Fault | None:
        """What the payment company does wrong with one call."""
        if self.strikes("unreachable"):
            return Fault.UNREACHABLE
        if self.strikes("unknown"):
            return Fault.ANSWER_LOST
        if operation in ("open", "refund", "return_share") and self.strikes("refuse"):
            return Fault.REFUSE
        if operation == "share" and self.strikes("refuse"):
            return Fault.CLOSED if self.below(2) else Fault.REFUSE
        if self.strikes("duplicate"):
            return Fault.DUPLICATE
        return Fault.LATE if self.strikes("tardy") else None


class Company(SandboxProvider):
    """The payment company outside of the house: like every real one it also reports what was paid at once.

    So money that came just before the house died is heard of after all. In a world without faults nobody needs that.
    It has a clock of its own: a report that is late by the house's, which may be hours ahead, would hardly ever come.
    """

    def __init__(self, trouble: Trouble, clock: Callable[[], datetime]) -> None:
        super().__init__(faults=trouble.of_provider)
        self._trouble = trouble
        self._clock = clock

    async def open(self, asked: Any, *, now: datetime) -> Any:
        """Open a payment now, by its own clock; see the sandbox."""
        return await self.open_at(self._clock(), asked)

    async def open_at(self, now: datetime, asked: Any) -> Any:
        """Open a payment at another time."""
        opening = await super().open(asked, now=now)
        if self.pays_at_once and self._trouble.swarm != CALM and opening.seen.transaction_id:
            self.pay(asked.out_trade_no, now=now)
        return opening


class FaultyDatabase:
    """One process's connection to a database that outlives it; `unplug` ends it with the process."""

    def __init__(self, disk: Sqlite, trouble: Trouble) -> None:
        self._disk = disk
        self._trouble = trouble
        self._plugged = True

    def unplug(self) -> None:
        """The process is gone: what is left of it reads and writes nothing any more."""
        self._plugged = False

    def cursor(self) -> tuple[int, int]:
        """The kept (position, event number)."""
        self._check()
        return self._disk.cursor()

    def fetch(self, table: Table[Any], keys: Sequence[Key]) -> list[Row]:
        """The rows with these keys."""
        self._check()
        if self._trouble.strikes("fail_read"):
            raise DatabaseUnavailable("simulated: cannot read")
        return self._disk.fetch(table, keys)

    def commit(self, flush: Flush) -> None:
        """Keep a batch, unless something goes wrong before, in the middle, or after. Raises Killed."""
        self._check()
        trouble = self._trouble
        trouble.commits += 1
        if trouble.strikes("kill_before"):
            raise Killed
        if trouble.strikes("fail_before"):
            raise DatabaseUnavailable("simulated: cannot write")
        if trouble.strikes("kill_torn"):
            self._disk.commit(torn(flush, trouble, Killed()))
        if trouble.strikes("fail_torn"):
            self._disk.commit(torn(flush, trouble, DatabaseUnavailable("simulated: disk full")))
        self._disk.commit(flush)
        if trouble.strikes("kill_after"):
            raise Killed
        if trouble.strikes("fail_after"):
            raise DatabaseUnavailable("simulated: the connection broke after the commit")

    def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a query."""
        self._check()
        return self._disk.rows(sql, slots)

    def look(self, reading: Callable[[Ask], T]) -> T:
        """What several queries say of one state."""
        self._check()
        return self._disk.look(reading)

    def close(self) -> None:
        """Nothing: the disk outlives the process."""

    def _check(self) -> None:
        if not self._plugged:
            raise DatabaseUnavailable("simulated: the process is gone")


class _Torn(list[T]):
    """A list whose reader is interrupted after `whole` elements."""

    def __init__(self, elements: Sequence[T], whole: int, interruption: BaseException) -> None:
        super().__init__(elements)
        self._whole = whole
        self._interruption = interruption

    def __iter__(self) -> Iterator[T]:
        for i, element in enumerate(super().__iter__()):
            if i >= self._whole:
                break
            yield element
        raise self._interruption


def torn(flush: Flush, trouble: Trouble, interruption: BaseException) -> Flush:
    """The same batch, interrupted in the middle: some of its statements are carried out, then `interruption` is raised.

    SQLite's own rollback, the one that recovery after a real crash does, must leave nothing of it.
    """
    where = trouble.below(len(flush.removes) + len(flush.inserts) + len(flush.upserts) + len(flush.updates) + 1)
    removes: list[tuple[Table[Any], list[Key]]] = flush.removes
    inserts: list[tuple[Table[Any], list[Row]]] = flush.inserts
    upserts: list[tuple[Table[Any], list[Row]]] = flush.upserts
    updates: list[Update] = flush.updates
    if where < len(removes):
        removes = _Torn(removes, where, interruption)
    elif where < len(removes) + len(inserts):
        inserts = _Torn(inserts, where - len(removes), interruption)
    elif where < len(removes) + len(inserts) + len(upserts):
        upserts = _Torn(upserts, where - len(removes) - len(inserts), interruption)
    else:
        updates = _Torn(updates, where - len(removes) - len(inserts) - len(upserts), interruption)
    return Flush(
        before=flush.before,
        after=flush.after,
        event_number=flush.event_number,
        inserts=inserts,
        upserts=upserts,
        updates=updates,
        removes=removes,
        events=flush.events,
    )

"""A campus at the end of a day, its payment company, and hands that change their books."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from msgspec.structs import replace

from simulation.faults import Company
from simulation.reconciling import store as planted
from simulation.world import World
from tuanzi.money import BillKind, BillLine, payment_asked, payment_of

TODAY = date(2026, 11, 23)


class Place(NamedTuple):
    """An order in whose books something is made to differ."""

    order_id: str
    member_id: str
    payable_fen: int

    @property
    def payment_id(self) -> str:
        """The payment that is its own."""
        return payment_of(self.order_id)


class Planted(NamedTuple):
    """What must be found. off_fen: how much more the ledger has with the provider than it holds, till a person acts."""

    kind: str
    item: str
    mend: str
    off_fen: int = 0


class Bills(Company):
    """The payment company, some of whose bills' lines are others than what it did; and which may forget a refund."""

    def __init__(self, trouble: Any, clock: Any) -> None:
        super().__init__(trouble, clock)
        self.changes: dict[str, Callable[[BillLine], list[BillLine]]] = {}
        self.more: list[BillLine] = []
        self._forgotten = 0

    async def bill(self, kind: BillKind, on: date, *, now: datetime) -> tuple[BillLine, ...]:
        """The lines of a day as they are billed; see the port."""
        lines = await super().bill(kind, on, now=now)
        told = [one for line in lines for one in self.changes.get(line.key, _unchanged)(line)]
        if kind is not BillKind.SHARES and on == TODAY:
            told += [replace(line, kind=kind) for line in self.more]
        return tuple(told)

    def forget_refund(self, out_refund_no: str) -> None:
        """It never heard of it, and has its money still."""
        refund = self._refunds.pop(out_refund_no)
        trade = self._trades[refund.asked.out_trade_no]
        self._trades[refund.asked.out_trade_no] = replace(trade, refunded_fen=0)
        pool = self._pools[trade.seen.transaction_id]
        self._pools[pool.transaction_id] = replace(pool, frozen_fen=refund.asked.amount_fen)

    @property
    def held_fen(self) -> int:
        """What it holds of the campus by its own bills."""
        lines = [line for line in self._trade_lines() if line.key in self.changes]
        told = sum(one.amount_fen for line in lines for one in self.changes[line.key](line))
        more = told - sum(line.amount_fen for line in lines) + sum(line.amount_fen for line in self.more)
        return self.paid_fen - self.refunded_fen - self.shared_fen + more


class Bench:
    """A campus at the end of a day, and hands that change its books."""

    def __init__(self, world: World, company: Bills, places: Mapping[str, Sequence[Place]]) -> None:
        self.world = world
        self.company = company
        self._places = {who: iter(of) for who, of in places.items()}
        self._dishes: Iterator[tuple[str, str]] = iter(())

    def next_place(self, who: str) -> Place:
        """An order nobody has changed yet."""
        return next(self._places[who])

    def sql(self, database: str, script: str) -> None:
        """Change rows behind everybody's back; the house is not up."""
        disk = self.world.house.disks[database]
        disk._writer.execute("PRAGMA foreign_keys = OFF")
        disk.execute_script(script)
        disk._writer.execute("PRAGMA foreign_keys = ON")

    def next_dish(self) -> tuple[str, str]:
        """A dish of a meal that is sold, each once in a round."""
        found = next(self._dishes, None)
        if found is None:
            rows = self.world.house.rows("core", planted.SOLD)
            self._dishes = iter([(str(row[0]), str(row[1])) for row in rows])
            found = next(self._dishes)
        return found

    def pays(self, place: Place, *, payment_id: str = "", later: timedelta = timedelta()) -> Any:
        """He pays at the payment company, and its callback is lost; gives what it would have said."""
        asked = payment_asked(
            payment_id or place.payment_id,
            order_id=place.order_id,
            member_id=place.member_id,
            amount_fen=place.payable_fen,
        )
        at = self.world.now + later
        done_at_once(self.company.open_at(at, asked))
        seen = self.company.pay(asked.out_trade_no, now=at)
        self.company.take_callbacks(now=at + timedelta(days=9))
        return seen


def done_at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The outcome of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("it waits")


def _unchanged(line: BillLine) -> list[BillLine]:
    return [line]

"""The money database - money and sharing - on the real writer and SQLite in memory, with a clock that a test moves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.bench_unit import BenchUnit
from tuanzi import money, sharing, wiring
from tuanzi.base.ids import Ids
from tuanzi.base.once import Once
from tuanzi.base.problem import Busy
from tuanzi.base.who import Who
from tuanzi.events import (
    AfterSaleAsked,
    Event,
    OrderCompleted,
    ParcelDelivered,
    PaymentCaptured,
    RefundDue,
    RefundRefused,
    RefundSettled,
)
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.http.routes import Call
from tuanzi.machinery.internal import FIRST_TIMERS, TIMERS
from tuanzi.machinery.room import Listener
from tuanzi.machinery.writer import Outcome, Request, Schema, Writer, drive
from tuanzi.money import LedgerProof, ProviderUnreachable, store
from tuanzi.money.vendors import PaymentProvider

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
ORDER = "o_0sy2mwk3e8aaaaaaaaaaaaaa"
PAYMENT = "p_0sy2mwk3e8aaaaaaaaaaaaaa"
MEMBER = "m_0sy2mwk3e8aaaaaaaaaaaaaa"


def bench() -> BenchUnit:
    """A unit of the money room without a writer."""
    return BenchUnit({table.kind: table.key_of for table in store.TABLES})


def proven(till: Till) -> LedgerProof:
    """What reading the whole ledger of a till says."""
    return till.database.look(lambda ask: money.prove_ledger(ask, now=till.now, is_full=True))[1]


# Of other databases; by whom.
_HEARD: dict[type[Event], Listener] = {
    RefundDue: sharing.on_refund_due,
    OrderCompleted: sharing.on_order_completed,
    AfterSaleAsked: sharing.on_after_sale_asked,
    ParcelDelivered: sharing.on_parcel_delivered,
}


def _source_of(heard: type[Event]) -> str:
    return "delivery" if heard is ParcelDelivered else "core"


class Till:
    """A desk of the money database that works when it is told to; `events` and `commands` are all that were kept."""

    def __init__(self, provider: PaymentProvider) -> None:
        self.provider = provider
        rooms = [money.room(provider), sharing.room(provider)]
        self.room = rooms[0]
        self.errands = {kind: errand for room in rooms for kind, errand in room.errands.items()}
        self.now = NOON
        self.is_busy = False
        self.events: list[Any] = []
        self.commands: list[Any] = []
        self.database = wiring.open_database(None, "money", now=NOON)
        schema = Schema(
            database="money",
            tables=[table for room in rooms for table in room.tables],
            decides={kind: decide for room in rooms for kind, decide in room.commands.items()},
            hears={RefundRefused: (sharing.on_refund_refused,), RefundSettled: (sharing.on_refund_settled,)},
            follows={
                ("delivery" if heard is ParcelDelivered else "core", heard): (by,) for heard, by in _HEARD.items()
            },
            errands=frozenset(self.errands),
            codec=Codec(
                commands=[kind for room in rooms for kind in (*room.commands, *room.errands)],
                events=[*_HEARD, PaymentCaptured, RefundSettled, RefundRefused],
            ),
            assumed_new={kind: places for room in rooms for kind, places in room.assumed_new.items()},
        )
        self._writer = Writer(schema, position=0, event_number=0)
        self._heard = {"core": 0, "delivery": 0}

    async def submit(
        self, command: Any, *, who: str = "", key: Once | None = None, is_accepted: bool = False, heard_by: str = ""
    ) -> Outcome:
        """Carry out one command in a batch of its own; while many wait, only what happened already is taken."""
        if self.is_busy and not is_accepted:
            raise Busy(retry_after_s=1)
        outcome = self._carry_out(Request(command, who=who, key=key))
        if outcome.problem is not None:
            raise outcome.problem
        return outcome

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Committed rows."""
        return self.database.rows(sql, slots)

    async def followed(self, source: str, number: int) -> tuple[Any, ...]:
        """Nothing is followed here."""
        raise NotImplementedError

    def hear(self, event: Any, *, source: str = "core") -> None:
        """Hear the next event of another database."""
        self._heard[source] += 1
        number = self._heard[source]
        outcome = self._carry_out(Request(event, source=source, number=number, after=number - 1))
        assert outcome.problem is None, outcome.problem

    def forget(self) -> None:
        """Drop the writer's memory, as a restart does."""
        self._writer.forget()

    async def pass_time(self, span: timedelta = timedelta()) -> int:
        """Move the clock, firing what comes due on the way; an errand that fails is tried again a minute later.

        Gives how many errands failed.
        """
        until = self.now + span
        failed = 0
        while True:
            due = [timer for timer in map(TIMERS.from_row, self.database.rows(FIRST_TIMERS, {"limit": 1}))]
            if not due or due[0].due_at > until:
                self.now = until
                return failed
            (timer,) = due
            self.now = max(self.now, timer.due_at)
            command = self._writer.schema.codec.command(timer.command, timer.body)
            errand = self.errands.get(type(command))
            if errand is not None:
                try:
                    command = await errand(command, now=self.now)
                except ProviderUnreachable:
                    failed += 1
                    command = None
            if command is None:
                later = type(timer)(
                    id=timer.id,
                    due_at=self.now + timedelta(minutes=1),
                    command=timer.command,
                    body=timer.body,
                    attempts=timer.attempts + 1,
                )
                self.database.execute_script(
                    f"UPDATE timers SET due_at_ms = {TIMERS.to_row(later)[1]}, attempts = {later.attempts} "
                    f"WHERE id = '{timer.id}';"
                )
                self.forget()
                continue
            outcome = self._carry_out(Request(command, timer=timer))
            assert outcome.problem is None, outcome.problem

    def call(self, *, who: Who | None, path: Mapping[str, str], query: Any = None) -> Call[Any, Any]:
        """A request to one of the room's routes."""
        return Call(
            who=who,
            path=path,
            body=None,
            query=query,
            key=None,
            now=self.now,
            ids=Ids(lambda bits: 7),
            desks=Desks(self),
            client="192.0.2.1",
        )

    def column(self, sql: str) -> list[Any]:
        """The first column of a query."""
        return [row[0] for row in self.database.rows(sql)]

    def balances(self) -> dict[str, int]:
        """What the entries of every account add up to; empty accounts are left out."""
        sql = "SELECT account, SUM(amount_fen) FROM entries GROUP BY account HAVING SUM(amount_fen) <> 0"
        return dict(self.database.rows(sql))

    def _carry_out(self, request: Request) -> Outcome:
        (outcome,) = drive(self._writer.carry_out([request], now=self.now), self.database)
        self._writer.timer_changes.clear()  # due timers are read from the table
        self.commands.append(request.command)
        self.events += [event for _, event in outcome.events]
        return outcome


class Desks:
    """Only money is at hand."""

    def __init__(self, till: Till) -> None:
        self.core = self.money = self.delivery = self.notices = self.platform = till

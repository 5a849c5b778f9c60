"""A campus whose books are compared: real writers, a payment company that remembers, and hands that change rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar

from tests.heart import OPERATOR, Books, Campus, run
from tuanzi import reconciliation, wiring
from tuanzi.base.ids import make_id
from tuanzi.base.time import SHANGHAI
from tuanzi.machinery.database import Ask
from tuanzi.machinery.room import Room
from tuanzi.machinery.writer import Request
from tuanzi.money import BillKind, BillLine, Cashier, RecordCapture, SandboxProvider, payment_of
from tuanzi.money.vendors.cashier import payment_asked
from tuanzi.orders import AcceptanceTerms, SetAcceptanceTerms
from tuanzi.reconciliation.model import AskRun, Begin, KeptDifference, RecordRun, Report
from tuanzi.reconciliation.store import DIFFERENCES, REPORTS

V = TypeVar("V")

# Columns that hold when something was noted or who noted it, and are not restored: nothing else in the books has them.
NOT_KEPT_TWICE = {
    "money.payments": {"opened_at_ms"},
    "core.orders": {"version"},
    "money.refunds": {"reason"},
}
# What is compared before and after: everything in which money or food is counted.
COUNTED = (
    "core.orders",
    "core.sub_orders",
    "core.portions",
    "money.payments",
    "money.refunds",
    "money.journals",
    "money.entries",
    "money.balances",
)


class Billing(SandboxProvider):
    """The payment company, whose bills a test may alter before they are given out."""

    alter: Callable[[BillKind, date, list[BillLine]], list[BillLine]] = staticmethod(lambda kind, on, lines: lines)

    async def bill(self, kind: BillKind, on: date, *, now: datetime) -> tuple[BillLine, ...]:
        """The lines of a day, altered."""
        return tuple(self.alter(kind, on, list(await super().bill(kind, on, now=now))))


class Hand:
    """One database as the reconciliation reaches it."""

    def __init__(self, campus: Audited, kind: str) -> None:
        self._campus = campus
        self._kind = kind

    @property
    def _books(self) -> Books:
        return self._campus.books[self._kind]

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """Nobody else works meanwhile."""
        return self._books.database.look(reading)

    async def submit(self, command: Any, *, who: str = "", key: None = None, is_accepted: bool = False) -> Any:
        """Carry it out now."""
        outcome = self._campus._one(self._books, Request(command))
        self._campus.hear()
        return outcome


class Hands:
    """The books of a campus, found when they are needed."""

    def __init__(self, campus: Audited) -> None:
        self.core = Hand(campus, "core")
        self.money = Hand(campus, "money")


class Audited(Campus):
    """A campus with a reconciliation; `begin` starts it. Members really pay at the payment company."""

    provider: Billing
    _begun = False

    def __init__(self) -> None:
        super().__init__()
        # The day's bills come in the morning after, when shops that never accepted would have given it all back.
        terms = AcceptanceTerms(late_minutes=1439, given_up_minutes=1440, ready_minutes=1440)
        self.do(SetAcceptanceTerms(terms=terms, by=OPERATOR))

    def make_provider(self) -> SandboxProvider:
        """It remembers everything, and believes nothing."""
        return Billing(pays_at_once=False)

    def rooms_beside(self, provider: SandboxProvider) -> list[Room]:
        """The reconciliation of this campus."""
        return [reconciliation.room(Hands(self), provider, hears=lambda: wiring.names_heard(self.rooms))]

    def new_id(self, prefix: str) -> str:
        """An id as the house makes them: it sorts by its time."""
        self._ids += 1
        return make_id(prefix, now=self.now, chance=self._ids)

    def pay(self, order_id: str, *, amount_fen: int | None = None, payment_id: str | None = None) -> None:
        """The member pays at the payment company, and its callback comes."""
        self.callback(self.pay_unheard(order_id))

    def pay_unheard(
        self, order_id: str, *, payment_id: str | None = None, later: timedelta = timedelta()
    ) -> RecordCapture:
        """The member pays at the payment company, and nobody is told; gives what the callback would have said.

        later: how far the payment company's clock is ahead.
        """
        order = self.order(order_id)
        asked = payment_asked(
            payment_id or payment_of(order_id),
            order_id=order_id,
            member_id=order.member_id,
            amount_fen=order.payable.fen,
        )
        run(self.provider.open(asked, now=self.now + later))
        seen = self.provider.pay(asked.out_trade_no, now=self.now + later)
        return Cashier(self.provider).capture_of(seen)

    def callback(self, capture: RecordCapture) -> None:
        """A callback comes."""
        self._one(self.money, Request(capture))
        self._go_on()

    # the reconciliation

    def begin(self) -> None:
        """From now on books are compared every minute."""
        self._one(self.money, Request(Begin()))
        self._begun = True
        self.pass_time(seconds=1)

    def minute(self) -> list[KeptDifference]:
        """A minute passes, with its comparison and what that mends; gives all differences there are."""
        self.pass_time(seconds=61)
        return self.differences()

    def ask(self, command: Any) -> None:
        """An operator asks for a comparison, or settles something. Raises its problem."""
        self._one(self.money, Request(command))
        self.pass_time(seconds=1)

    def next_bill(self, on: date) -> list[KeptDifference]:
        """It is 10:06 of the day after `on`, and its bills are compared; an operator asks for it when nobody began."""
        self.pass_time(until=datetime.combine(on + timedelta(days=1), time(10, 6), tzinfo=SHANGHAI).astimezone(UTC))
        if not self._begun:
            self.ask(AskRun(by="p_operator", on=on))
        return self.differences()

    def tell(self, record: RecordRun) -> None:
        """A comparison comes home."""
        self._one(self.money, Request(record))

    def differences(self) -> list[KeptDifference]:
        """Every difference that was ever found, in order of class and item."""
        rows = self.rows(f"SELECT {', '.join(DIFFERENCES.columns)} FROM differences", database="money")
        return sorted(map(DIFFERENCES.from_row, rows), key=lambda one: (one.kind, one.item))

    def reports(self) -> list[Report]:
        """Every report, in order."""
        rows = self.rows(
            f"SELECT {', '.join(REPORTS.columns)} FROM reconciliation_reports ORDER BY number", database="money"
        )
        return [REPORTS.from_row(row) for row in rows]

    def held(self) -> list[str]:
        """The merchants who are paid nothing out."""
        return [
            row[0] for row in self.rows("SELECT merchant_id FROM payout_holds ORDER BY merchant_id", database="money")
        ]

    # the books

    def plant(self, database: str, script: str, *, forgets: bool = True) -> None:
        """Change rows behind everybody's back. forgets: the writers' memory is empty, as after a restart."""
        disk = self.books[database].database
        disk._writer.execute("PRAGMA foreign_keys = OFF")
        disk.execute_script(script)
        disk._writer.execute("PRAGMA foreign_keys = ON")
        if forgets:
            self.evict()

    def counted(self) -> dict[str, list[dict[str, Any]]]:
        """All rows in which money or food is counted, as they are restored."""
        kept = {}
        for name in COUNTED:
            database, _, table = name.partition(".")
            columns = [row[1] for row in self.rows(f"PRAGMA table_info({table})", database=database)]
            rows = self.rows(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2", database=database)
            left_out = NOT_KEPT_TWICE.get(name, set())
            kept[name] = [
                {column: cell for column, cell in zip(columns, row, strict=True) if column not in left_out}
                for row in rows
            ]
        return kept

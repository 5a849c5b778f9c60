"""Planted bugs: houses that are wrong in one way, to prove that the simulation would find it (reliability.md, L5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as replace_fields
from datetime import datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from simulation.faults import FaultyDatabase, Trouble
from simulation.house import VirtualHouse
from tuanzi.base.money import Money
from tuanzi.delivery import DeliverParcel
from tuanzi.delivery.model import Parcel, ReleaseBundle
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.events import ParcelDelivered, PaymentCaptured, RefundDue, SubOrderAdvanced
from tuanzi.groups import CloseGroup, Group, JoinGroup
from tuanzi.groups.service import ExpireSeat
from tuanzi.machinery.database import Flush
from tuanzi.machinery.internal import FOLLOWER_POSITIONS, KEPT_ANSWERS
from tuanzi.machinery.writer import Schema
from tuanzi.money import RecordCapture
from tuanzi.money.model import Entry, RecordRefund
from tuanzi.orders import Order, OrderState, SubOrder
from tuanzi.splitting import RecordAnswers
from tuanzi.stock import Portions

MakeHouse = Callable[..., VirtualHouse]
Handler = Callable[..., Any]


class Twisted:
    """A unit that forgets, changes or repeats what a handler does to it."""

    def __init__(self, unit: Any, twist: Twist) -> None:
        self._unit = unit
        self._twist = twist

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unit, name)

    def load(self, kind: Any, key: Any) -> Any:
        """As the twist shows it."""
        return self._twist.shown(self._unit.load(kind, key))

    def find(self, kind: Any, key: Any) -> Any:
        """As the twist shows it; None is not there."""
        value = self._unit.find(kind, key)
        return None if value is None else self._twist.shown(value)

    def put(self, value: Any) -> None:
        """As the twist keeps it; None is not kept."""
        kept = self._twist.kept(value)
        if kept is not None:
            self._unit.put(kept)

    def add(self, value: Any) -> None:
        """As the twist keeps it; None is not kept."""
        kept = self._twist.kept(value)
        if kept is not None:
            self._unit.add(kept)

    def emit(self, event: Any) -> None:
        """As often as the twist tells it."""
        for told in self._twist.told(event):
            self._unit.emit(told)


class Twist:
    """What is wrong; nothing, in this one."""

    def shown(self, value: Any) -> Any:
        """A value as a handler sees it."""
        return value

    def kept(self, value: Any) -> Any:
        """A value as it is kept."""
        return value

    def told(self, event: Any) -> list[Any]:
        """An event as it is told."""
        return [event]


class Forgets(Twist):
    """Does not keep values of a kind."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def kept(self, value: Any) -> Any:
        """None for that kind."""
        return None if isinstance(value, self._kind) else value


class TellsTwice(Twist):
    """Tells an event twice."""

    def __init__(self, kind: type | tuple[type, ...]) -> None:
        self._kind = kind

    def told(self, event: Any) -> list[Any]:
        """Twice, that kind."""
        return [event] * (2 if isinstance(event, self._kind) else 1)


class KeepsToItself(Twist):
    """Does not tell an event."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def told(self, event: Any) -> list[Any]:
        """None of that kind."""
        return [] if isinstance(event, self._kind) else [event]


class LosesAnEntry(Twist):
    """Books only the first line of a journal."""

    def kept(self, value: Any) -> Any:
        """None for the second."""
        return None if isinstance(value, Entry) and value.line == 1 else value


class OneSeatMore(Twist):
    """Sees room for one more than the largest tier."""

    def shown(self, value: Any) -> Any:
        """A group whose largest tier is larger."""
        if not isinstance(value, Group):
            return value
        largest = replace(value.tiers[-1], size=value.tiers[-1].size + 1)
        return replace(value, tiers=(*value.tiers[:-1], largest))

    def kept(self, value: Any) -> Any:
        """With its own tiers again."""
        if not isinstance(value, Group):
            return value
        largest = replace(value.tiers[-1], size=value.tiers[-1].size - 1)
        return replace(value, tiers=(*value.tiers[:-1], largest))


class LosesAFen(Twist):
    """Makes a sub-order a fen cheaper than planned."""

    def kept(self, value: Any) -> Any:
        """A fen less."""
        if not isinstance(value, SubOrder) or not value.payable:
            return value
        return replace(value, discount=value.discount + Money(1), payable=value.payable - Money(1))


def commanded(schema: Schema, database: str, kind: type, twist: Twist) -> Schema:
    """A command's handler, twisted."""
    if schema.database != database:
        return schema
    return replace_fields(schema, decides={**schema.decides, kind: twisted(schema.decides[kind], twist)})


def followed(schema: Schema, database: str, place: tuple[str, type], wrap: Callable[[Handler], Handler]) -> Schema:
    """The listeners to another database's event, wrapped."""
    if schema.database != database:
        return schema
    listeners = [wrap(listener) for listener in schema.follows[place]]
    return replace_fields(schema, follows={**schema.follows, place: listeners})


def heard(schema: Schema, database: str, kind: type, twist: Twist) -> Schema:
    """The listeners to the same database's event, twisted."""
    if schema.database != database:
        return schema
    return replace_fields(schema, hears={**schema.hears, kind: [twisted(each, twist) for each in schema.hears[kind]]})


def twisted(handler: Handler, twist: Twist) -> Handler:
    """A handler that works on a twisted unit."""

    def handle(unit: Any, command: Any, *, now: datetime) -> Any:
        return handler(Twisted(unit, twist), command, now=now)

    return handle


def ignored(schema: Schema, database: str, kind: type) -> Schema:
    """A command that does nothing."""

    def ignore(unit: Any, command: Any, *, now: datetime) -> None:
        return None

    return schema if schema.database != database else replace_fields(schema, decides={**schema.decides, kind: ignore})


def only_in_time(listener: Handler) -> Handler:
    """Hears of money only for orders that still wait for it (peers' P2)."""

    def hear(unit: Any, event: Any, *, now: datetime) -> None:
        order = unit.find(Order, event.order_id)
        if order is not None and order.state is OrderState.CREATED:
            listener(unit, event, now=now)

    return hear


def deaf_to_rejects(listener: Handler) -> Handler:
    """Hears a kitchen, but not that it cannot."""

    def listen(unit: Any, event: SubOrderAdvanced, *, now: datetime) -> None:
        if event.state != "rejected":
            listener(unit, event, now=now)

    return listen


def a_fen_more(listener: Handler) -> Handler:
    """Gives back a fen more than is due."""

    def hear(unit: Any, event: Any, *, now: datetime) -> None:
        listener(unit, replace(event, amount_fen=event.amount_fen + 1), now=now)

    return hear


class LyingDatabase(FaultyDatabase):
    """Says that a batch is kept before it is, so that a kill loses what was answered."""

    def __init__(self, disk: Sqlite, trouble: Trouble) -> None:
        super().__init__(disk, trouble)
        self._late: Flush | None = None

    def commit(self, flush: Flush) -> None:
        """Keep the batch before this one."""
        late, self._late = self._late, flush
        if late is not None:
            super().commit(late)

    def fetch(self, table: Any, keys: Any) -> Any:
        """Keeps what is late first, as a write-behind cache would."""
        late, self._late = self._late, None
        if late is not None:
            super().commit(late)
        return super().fetch(table, keys)


class ForgetfulDatabase(FaultyDatabase):
    """Does not keep the rows of one table."""

    table: Any = None

    def commit(self, flush: Flush) -> None:
        """Keep a batch without them."""
        flush.inserts = [(table, rows) for table, rows in flush.inserts if table.name != self.table.name]
        flush.upserts = [(table, rows) for table, rows in flush.upserts if table.name != self.table.name]
        flush.updates = [update for update in flush.updates if update.table.name != self.table.name]
        super().commit(flush)


class ForgetsPositions(ForgetfulDatabase):
    """Does not keep how far it has followed."""

    table = FOLLOWER_POSITIONS


class ForgetsAnswers(ForgetfulDatabase):
    """Does not keep what was answered under a key."""

    table = KEPT_ANSWERS


class TornDatabase(FaultyDatabase):
    """Keeps a batch in two transactions, so that a crash between them leaves half of it."""

    def commit(self, flush: Flush) -> None:
        """Keep the rows, then, perhaps, the events."""
        if flush.events and (flush.upserts or flush.updates) and self._trouble.strikes("kill_torn"):
            half = Flush(
                before=flush.before,
                after=flush.after,
                event_number=flush.event_number,
                inserts=flush.inserts,
                upserts=flush.upserts,
                updates=flush.updates,
                removes=flush.removes,
            )
            self._disk.commit(half)
            self._trouble.hits["torn"] += 1
            super().commit(flush)  # too late: the cursor has moved
            return
        super().commit(flush)


# By the bug: the invariant that must break, and the house that has it.
MUTANTS: dict[str, tuple[str, MakeHouse]] = {
    "a capture is told twice": (
        "I4",
        partial(VirtualHouse, alter=lambda s: commanded(s, "money", RecordCapture, TellsTwice(PaymentCaptured))),
    ),
    "a journal loses its second entry": (
        "I1",
        partial(VirtualHouse, alter=lambda s: commanded(s, "money", RecordCapture, LosesAnEntry())),
    ),
    "a refund is a fen too much": (
        "I1",
        partial(VirtualHouse, alter=lambda s: followed(s, "money", ("core", RefundDue), a_fen_more)),
    ),
    "late money is swallowed": (
        "I1",
        partial(VirtualHouse, alter=lambda s: followed(s, "core", ("money", PaymentCaptured), only_in_time)),
    ),
    "a seat that expires keeps its portions": (
        "I2",
        partial(VirtualHouse, alter=lambda s: commanded(s, "core", ExpireSeat, Forgets(Portions))),
    ),
    "joining holds no portions": (
        "I2",
        partial(VirtualHouse, alter=lambda s: commanded(s, "core", JoinGroup, Forgets(Portions))),
    ),
    "a seat that expires stays in its group": (
        "SEATS",
        partial(VirtualHouse, alter=lambda s: commanded(s, "core", ExpireSeat, Forgets(Group))),
    ),
    "a group takes one member too many": (
        "SEATS",
        partial(VirtualHouse, alter=lambda s: commanded(s, "core", JoinGroup, OneSeatMore())),
    ),
    "the deadline is not looked at": (
        "I5",
        partial(VirtualHouse, alter=lambda s: ignored(s, "core", CloseGroup)),
    ),
    "what the provider says of a refund is not recorded": (
        "I5",
        partial(VirtualHouse, alter=lambda s: ignored(s, "money", RecordRefund)),
    ),
    "the split loses a fen": (
        "I10",
        partial(VirtualHouse, alter=lambda s: commanded(s, "core", RecordAnswers, LosesAFen())),
    ),
    "a rider's hand-over is not told": (
        "I11",
        partial(VirtualHouse, alter=lambda s: commanded(s, "delivery", DeliverParcel, KeepsToItself(ParcelDelivered))),
    ),
    "a parcel stays with a rider who did not come": (
        "I11",
        partial(VirtualHouse, alter=lambda s: commanded(s, "delivery", ReleaseBundle, Forgets(Parcel))),
    ),
    "what a merchant rejects is still to be brought": (
        "I11",
        partial(VirtualHouse, alter=lambda s: followed(s, "delivery", ("core", SubOrderAdvanced), deaf_to_rejects)),
    ),
    "answers come before the commit": ("I6", partial(VirtualHouse, plug=LyingDatabase)),
    "a follower forgets its position": ("I4", partial(VirtualHouse, plug=ForgetsPositions)),
    "an answer is not kept under its key": ("I4", partial(VirtualHouse, plug=ForgetsAnswers)),
    "a batch is kept in two transactions": ("EVENTS", partial(VirtualHouse, plug=TornDatabase)),
}

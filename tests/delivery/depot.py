"""A campus's delivery by itself: the real writer, events of core as they come, a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.watched import Watched
from tuanzi import delivery, wiring
from tuanzi.base.branch import Branch
from tuanzi.delivery import (
    CancelDelivery,
    ConfirmDelivery,
    DeliverParcel,
    DropOff,
    GoOnShift,
    PickUpBundle,
    Spot,
    TryDelivery,
    store,
)
from tuanzi.delivery.model import Board, Bundle, Parcel, PlacedDropOff, Rider
from tuanzi.events import BundleAssigned, SubOrderAdvanced
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.problems import Crashed
from tuanzi.machinery.timers import TimerBook
from tuanzi.machinery.writer import Request, Schema, Writer, drive

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
LUNCH = "2026-11-23.lunch"
# Some 400 m from end to end.
SPOTS = {
    "canteen": Spot(latitude_e6=39_999_000, longitude_e6=116_300_000),
    "noodles": Spot(latitude_e6=40_000_500, longitude_e6=116_301_000),
    "dorm-1": Spot(latitude_e6=40_002_000, longitude_e6=116_300_500),
    "dorm-2": Spot(latitude_e6=40_002_200, longitude_e6=116_301_500),
    "library": Spot(latitude_e6=40_000_000, longitude_e6=116_303_000),
}


def drop_off(
    sub_order_id: str,
    *,
    merchant: str = "canteen",
    building: str = "dorm-1",
    portions: int = 1,
    meal: str = LUNCH,
    ready_at: datetime | None = None,
) -> DropOff:
    """One sub-order's way; `o1.2` is of order o1 and member m-o1."""
    order_id = sub_order_id.rpartition(".")[0]
    return DropOff(
        sub_order_id=sub_order_id,
        order_id=order_id,
        member_id=f"m-{order_id}",
        merchant_id=merchant,
        building_id=building,
        meal_id=meal,
        portions=portions,
        from_spot=SPOTS[merchant],
        to_spot=SPOTS[building],
        ready_at=ready_at,
    )


def branch(gid: str, *, epoch: int = 1) -> Branch:
    """The delivery branch of a transaction."""
    return Branch(gid=gid, branch="delivery", coordinator="beijing", epoch=epoch)


class Depot(Watched):
    """Commands and events one by one or in batches; a kill forgets all but the database."""

    def __init__(self) -> None:
        self.now = NOON
        self.events: list[Any] = []
        room = delivery.room()
        self._errands = room.errands
        self.schema = Schema(
            database="delivery",
            tables=room.tables,
            decides=room.commands,
            hears={},
            follows={("core", SubOrderAdvanced): [delivery.on_sub_order_advanced]},
            errands=frozenset(room.errands),
            codec=Codec(commands=[*room.commands, *room.errands], events=wiring.all_events()),
            assumed_new=room.assumed_new,
        )
        self.database = wiring.open_database(None, "delivery", now=self.now)
        self.kill()

    def kill(self) -> None:
        """The process dies and begins again from what is kept."""
        position, number = self.database.cursor()
        self.writer = Writer(self.schema, position=position, event_number=number)
        self.timers = TimerBook()
        self.timers.read(self.database, self.now)
        self._heard = wiring.position_of(self.database, "core")

    # what happens

    def do(self, *commands: Any) -> Any:
        """Carry out commands in one batch; the answer of the last. Raises its problem."""
        outcomes = self._carry_out([Request(command) for command in commands])
        for outcome in outcomes:
            if outcome.problem is not None:
                raise outcome.problem
        return outcomes[-1].answer

    def hear(self, event: Any) -> None:
        """An event of core comes."""
        self._heard += 1
        (outcome,) = self._carry_out([Request(event, source="core", number=self._heard, after=self._heard - 1)])
        assert outcome.problem is None, outcome.problem

    def advanced(self, sub_order_id: str, *states: str) -> None:
        """A sub-order goes through these states, as core tells it."""
        for state in states:
            event = SubOrderAdvanced(
                sub_order_id=sub_order_id,
                order_id=sub_order_id.rpartition(".")[0],
                merchant_id="canteen",
                before="",
                state=state,
                by="kitchen",
            )
            self.hear(event)

    def cancelled(self, order_id: str) -> None:
        """An order of one sub-order is given back as a whole."""
        self.advanced(f"{order_id}.1", "withdrawn")

    def tried(self, gid: str, *drop_offs: DropOff) -> TryDelivery:
        """A split's Try."""
        command = TryDelivery(branch=branch(gid), group_id=f"g-{gid}", drop_offs=drop_offs, split_at=self.now)
        self.do(command)
        return command

    def confirmed(self, gid: str, *drop_offs: DropOff) -> None:
        """A split, confirmed."""
        self.tried(gid, *drop_offs)
        self.do(ConfirmDelivery(branch=branch(gid)))

    def made(self, gid: str, *drop_offs: DropOff) -> None:
        """A split, confirmed, and ready on the counter."""
        self.confirmed(gid, *drop_offs)
        for one in drop_offs:
            self.advanced(one.sub_order_id, "accepted", "cooking", "ready")

    def on_shift(self, *rider_ids: str, at: str = "canteen", hours: float = 4.0, portions: int = 20) -> None:
        """Riders begin to work."""
        for rider_id in rider_ids:
            until = self.now + timedelta(hours=hours)
            self.do(GoOnShift(rider_id=rider_id, spot=SPOTS[at], until=until, portions_max=portions))

    def pick_up(self, rider_id: str) -> Any:
        """A rider takes what he is given."""
        return self.do(PickUpBundle(bundle_id=self.rider(rider_id).bundle_id, rider_id=rider_id))

    def deliver(self, rider_id: str) -> None:
        """A rider brings all he has."""
        for parcel_id in self.bundle(self.rider(rider_id).bundle_id).parcel_ids:
            self.do(DeliverParcel(parcel_id=parcel_id, rider_id=rider_id))

    # time

    def pass_time(self, **amount: float) -> None:
        """Move the clock; all that comes due fires at its time."""
        end = self.now + timedelta(**amount)
        while (at := self.timers.next_at) is not None and at <= end:
            self.now = max(self.now, at)
            self.fire()
        self.now = end

    def fire(self, *, home: bool = True) -> list[Any]:
        """Fire what is due now; errands are run and their commands carried out, or given back for later."""
        kept: list[Any] = []
        for timer in self.timers.take_due(self.now, limit=100):
            command = self.schema.codec.command(timer.command, timer.body)
            if type(command) in self._errands:
                command = asyncio.run(self._errands[type(command)](command, now=self.now))
                if not home:
                    kept.append(command)
                    continue
            self._carry_out([Request(command, timer=timer)])
        return kept

    # looking

    def parcel(self, parcel_id: str) -> Parcel:
        return self._kept(store.PARCELS, parcel_id)

    def parcels(self) -> list[Parcel]:
        return [store.PARCELS.from_row(row) for row in self._all(store.PARCELS)]

    def drop_offs(self) -> list[PlacedDropOff]:
        return [store.DROP_OFFS.from_row(row) for row in self._all(store.DROP_OFFS)]

    def bundles(self) -> list[Bundle]:
        return [store.BUNDLES.from_row(row) for row in self._all(store.BUNDLES)]

    def riders(self) -> list[Rider]:
        return [store.RIDERS.from_row(row) for row in self._all(store.RIDERS)]

    def rider(self, rider_id: str) -> Rider:
        return self._kept(store.RIDERS, rider_id)

    def bundle(self, bundle_id: str) -> Bundle:
        return self._kept(store.BUNDLES, bundle_id)

    def board(self) -> Board:
        return self._kept(store.BOARDS, "campus")

    def portions(self) -> dict[str, int]:
        """Portions promised by meal."""
        return dict(self._all(store.MEAL_LOADS))

    def assigned(self) -> list[tuple[str, tuple[str, ...]]]:
        """Who was given which parcels so far."""
        return [(event.rider_id, event.parcel_ids) for event in self.told(BundleAssigned)]

    def everything(self) -> dict[str, list[Any]]:
        """All that is kept, but for positions."""
        names = [
            name
            for (name,) in self.database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            if name not in ("writer_cursor", "follower_positions")
        ]
        return {name: sorted(self.database.rows(f"SELECT * FROM {name}"), key=repr) for name in names}

    def _all(self, table: Any) -> list[Any]:
        return self.database.rows(f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY 1")

    def _kept(self, table: Any, key: str) -> Any:
        (row,) = self.database.fetch(table, [key])
        return table.from_row(row)

    def _carry_out(self, requests: Sequence[Request]) -> Any:
        outcomes = drive(self.writer.carry_out(requests, now=self.now), self.database)
        self.timers.note(self.writer.timer_changes.items())
        self.writer.timer_changes.clear()
        self.events += [event for outcome in outcomes for _, event in outcome.events]
        crashed = [outcome.problem for outcome in outcomes if isinstance(outcome.problem, Crashed)]
        assert not crashed, crashed
        return outcomes


def cancel(gid: str, *, epoch: int = 1) -> CancelDelivery:
    """A split's Cancel."""
    return CancelDelivery(branch=branch(gid, epoch=epoch))


def confirm(gid: str, *, epoch: int = 1) -> ConfirmDelivery:
    """A split's Confirm."""
    return ConfirmDelivery(branch=branch(gid, epoch=epoch))

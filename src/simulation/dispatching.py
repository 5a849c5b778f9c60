"""A public delivery day in virtual time over the real delivery room: its commands, its planning, its timers (B10)."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from simulation.mdrp import Brought, Instance, MealOrder, Place, Solution
from tuanzi import delivery, wiring
from tuanzi.base.branch import Branch
from tuanzi.base.ids import BuildingId, GroupId, MealId, MerchantId, OrderId, PersonId, SubOrderId
from tuanzi.delivery import ConfirmDelivery, DeliverParcel, DropOff, GoOnShift, PickUpBundle, Spot, Terms, TryDelivery
from tuanzi.events import BundleAssigned, SubOrderAdvanced
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.timers import TimerBook
from tuanzi.machinery.writer import Request, Schema, Writer, drive

# Minute 0. Any midnight will do: the room sees times, the instance minutes.
MIDNIGHT = delivery.EPOCH
MINUTE = timedelta(minutes=1)
# Our choices for a city: the same shares of a promise as on a campus.
HORIZON = 30
PATIENCE = 12


class Dispatched(NamedTuple):
    """What a day came to. plans: how many were made; their times run from reading the rows to the commit."""

    solution: Solution
    plans: int
    replan_ms_max: float
    replan_ms_mean: float
    replan_cpu_ms_max: float


def dispatch(instance: Instance) -> Dispatched:
    """Let a day pass minute by minute; nobody knows of an order before it is placed."""
    with asyncio.Runner() as runner:
        day = _Day(instance, runner)
        last = max([order.placed for order in instance.orders.values()] + [each.off for each in _couriers(instance)])
        minute = min([order.placed for order in instance.orders.values()] + [each.on for each in _couriers(instance)])
        while minute <= last or day.is_busy:
            day.pass_minute(minute)
            minute += 1
        return day.dispatched()


def _couriers(instance: Instance) -> list[Any]:
    return list(instance.couriers.values())


def terms_of(instance: Instance) -> Terms:
    """The instance's rules as the room's terms: a tick is a minute, a millionth of a degree a metre."""
    return Terms(
        tick=MINUTE,
        metres_per_tick=instance.metres_per_minute,
        pick_up=instance.pick_up,
        drop_off=instance.drop_off,
        late=instance.target,
        horizon=HORIZON,
        patience=PATIENCE,
        every=1,
        pause=0,
        north_m=1.0,
        east_m=1.0,
    )


@dataclass(slots=True)
class _Plan:
    """How long one plan took."""

    wall_s: float
    cpu_s: float


class _Day:
    """The room's writer over a database in memory, and the couriers, who do what they are told."""

    def __init__(self, instance: Instance, runner: asyncio.Runner) -> None:
        self.instance = instance
        terms = terms_of(instance)
        room = delivery.room(terms)
        self._errands = room.errands
        self._schema = Schema(
            database="delivery",
            tables=room.tables,
            decides=room.commands,
            hears={},
            follows={("core", SubOrderAdvanced): [partial(delivery.on_sub_order_advanced, terms=terms)]},
            errands=frozenset(room.errands),
            codec=Codec(commands=[*room.commands, *room.errands], events=wiring.all_events()),
            assumed_new=room.assumed_new,
        )
        self._database = wiring.open_database(None, "delivery", now=MIDNIGHT)
        position, number = self._database.cursor()
        self._writer = Writer(self._schema, position=position, event_number=number)
        self._timers = TimerBook()
        self._runner = runner
        self._heard = 0
        self._agenda: dict[int, list[Any]] = defaultdict(list)
        self._place = {courier.id: courier.place for courier in instance.couriers.values()}
        self._rounds: list[Brought] = []
        self._plans: list[_Plan] = []
        self._planning: _Plan | None = None
        self._brought = 0
        for courier in instance.couriers.values():
            self._agenda[courier.on].append(_on_shift(courier.id, courier.place, courier.off))
        for order in instance.orders.values():
            self._agenda[order.placed].append(order)
            self._agenda[max(order.placed, order.ready)].append(_advanced(order, "cooking", "ready"))
        # What is loaded once is no part of a plan's time.
        warm = delivery.Situation(
            now=0,
            loads=(
                delivery.Load(
                    parcel_id="",
                    merchant_id="",
                    from_spot=_spot(Place(0, 0)),
                    to_spot=_spot(Place(0, 0)),
                    portions=1,
                    ordered_at=0,
                    ready_at=0,
                ),
            ),
            hands=(delivery.Hand(rider_id="", spot=_spot(Place(0, 0)), free_at=0, until=99, portions_max=1),),
        )
        delivery.plan(warm, terms=terms)

    @property
    def is_busy(self) -> bool:
        """Whether a courier has still something to do."""
        return bool(self._agenda)

    def pass_minute(self, minute: int) -> None:
        """What happens in this minute: orders and the kitchens first, then hand-overs, then plans."""
        now = MIDNIGHT + minute * MINUTE
        todo = self._agenda.pop(minute, [])
        for order in [each for each in todo if isinstance(each, MealOrder)]:
            branch = Branch(gid=order.id, branch="delivery", coordinator="day", epoch=1)
            self._do(_try(order, self.instance, branch, now=now), now=now)
            self._do(ConfirmDelivery(branch=branch), now=now)
            self._hear(_advanced(order, "accepted", "cooking"), now=now)
        for event in [each for each in todo if isinstance(each, SubOrderAdvanced)]:
            self._hear(event, now=now)
        for command in [each for each in todo if not isinstance(each, MealOrder | SubOrderAdvanced)]:
            self._do(command, now=now)
        while due := self._timers.take_due(now, limit=1_000):
            for timer in due:
                self._fire(timer, now=now, minute=minute)

    def _fire(self, timer: Any, *, now: datetime, minute: int) -> None:
        command = self._schema.codec.command(timer.command, timer.body)
        began, cpu = time.perf_counter(), time.process_time()
        errand = self._errands.get(type(command))
        if errand is not None:
            command = self._runner.run(errand(command, now=now))  # type: ignore[arg-type]
        events = self._carry_out(Request(command, timer=timer), now=now)
        took = _Plan(time.perf_counter() - began, time.process_time() - cpu)
        if errand is not None:
            before = self._planning or _Plan(0.0, 0.0)
            self._plans.append(_Plan(before.wall_s + took.wall_s, before.cpu_s + took.cpu_s))
        self._planning = took
        for event in events:
            if isinstance(event, BundleAssigned):
                self._send(event, minute=minute)

    def _send(self, bundle: BundleAssigned, *, minute: int) -> None:
        """A courier leaves for the restaurant, and then brings all in the order he was told."""
        instance = self.instance
        orders = [instance.orders[parcel_id.removesuffix(".d1")] for parcel_id in bundle.parcel_ids]
        at = instance.restaurants[orders[0].restaurant]
        arrives = minute + instance.travel(self._place[bundle.rider_id], at)
        picked_up = max([arrives + instance.half_pick_up, *(order.ready for order in orders)])
        rider_id = PersonId(bundle.rider_id)
        self._agenda[picked_up].append(PickUpBundle(bundle_id=bundle.bundle_id, rider_id=rider_id))
        minute_free = picked_up + instance.half_pick_up
        dropped_off = []
        for order, parcel_id in zip(orders, bundle.parcel_ids, strict=True):
            door = minute_free + instance.travel(at, order.place) + instance.half_drop_off
            dropped_off.append(door)
            self._agenda[door].append(DeliverParcel(parcel_id=parcel_id, rider_id=rider_id))
            minute_free, at = door + instance.half_drop_off, order.place
        self._place[bundle.rider_id] = at
        one = Brought(
            courier=bundle.rider_id,
            assigned=minute,
            leaves=minute,
            picked_up=picked_up,
            orders=tuple([order.id for order in orders]),
            dropped_off=tuple(dropped_off),
        )
        self._rounds.append(one)

    def _do(self, command: Any, *, now: datetime) -> None:
        self._carry_out(Request(command), now=now)

    def _hear(self, event: SubOrderAdvanced, *, now: datetime) -> None:
        self._heard += 1
        self._carry_out(Request(event, source="core", number=self._heard, after=self._heard - 1), now=now)

    def _carry_out(self, request: Request, *, now: datetime) -> list[Any]:
        """A refusal here is a fault of ours, and ends the day."""
        (outcome,) = drive(self._writer.carry_out([request], now=now), self._database)
        self._timers.note(self._writer.timer_changes.items())
        self._writer.timer_changes.clear()
        if outcome.problem is not None:
            raise outcome.problem
        return [event for _, event in outcome.events]

    def dispatched(self) -> Dispatched:
        """What it came to."""
        self._database.close()
        walls = [each.wall_s for each in self._plans]
        return Dispatched(
            solution=Solution(rounds=tuple(self._rounds)),
            plans=len(walls),
            replan_ms_max=round(1000 * max(walls, default=0.0), 1),
            replan_ms_mean=round(1000 * sum(walls) / max(1, len(walls)), 1),
            replan_cpu_ms_max=round(1000 * max([each.cpu_s for each in self._plans], default=0.0), 1),
        )


def _spot(place: Place) -> Spot:
    return Spot(latitude_e6=place.y, longitude_e6=place.x)


def _on_shift(courier_id: str, place: Place, off: int) -> GoOnShift:
    # There is no limit to the number of orders that are carried at once (section 1).
    return GoOnShift(
        rider_id=PersonId(courier_id), spot=_spot(place), until=MIDNIGHT + off * MINUTE, portions_max=1_000
    )


def _try(order: MealOrder, instance: Instance, branch: Branch, *, now: datetime) -> TryDelivery:
    drop_off = DropOff(
        sub_order_id=SubOrderId(f"{order.id}.1"),
        order_id=OrderId(order.id),
        member_id=PersonId("diner"),
        merchant_id=MerchantId(order.restaurant),
        building_id=BuildingId(f"door of {order.id}"),
        meal_id=MealId("day"),
        portions=1,
        from_spot=_spot(instance.restaurants[order.restaurant]),
        to_spot=_spot(order.place),
        ready_at=MIDNIGHT + order.ready * MINUTE,
    )
    return TryDelivery(branch=branch, group_id=GroupId(order.id), drop_offs=(drop_off,), split_at=now)


def _advanced(order: MealOrder, before: str, state: str) -> SubOrderAdvanced:
    return SubOrderAdvanced(
        sub_order_id=f"{order.id}.1",
        order_id=order.id,
        merchant_id=order.restaurant,
        before=before,
        state=state,
        by="kitchen",
    )


def nearest_courier(instance: Instance) -> Solution:
    """The baseline: each order at once to the nearest courier on duty who has nothing to do; nobody carries two.

    Orders nobody is free for wait, the oldest first. He goes at once, and waits there for the food.
    """
    free_at = {courier.id: courier.on for courier in instance.couriers.values()}
    place = {courier.id: courier.place for courier in instance.couriers.values()}
    todo = sorted(instance.orders.values(), key=lambda order: (order.placed, order.id))
    waiting: list[MealOrder] = []
    rounds: list[Brought] = []
    minute = todo[0].placed
    last = max(courier.off for courier in instance.couriers.values()) if instance.couriers else minute
    while (todo or waiting) and minute <= max(last, todo[-1].placed if todo else 0):
        while todo and todo[0].placed <= minute:
            waiting.append(todo.pop(0))
        for order in list(waiting):
            one = _nearest(instance, order, minute, free_at, place)
            if one is not None:
                waiting.remove(order)
                rounds.append(one)
                free_at[one.courier] = one.dropped_off[0] + instance.half_drop_off
                place[one.courier] = order.place
        minute += 1
    return Solution(rounds=tuple(rounds))


def _nearest(
    instance: Instance, order: MealOrder, minute: int, free_at: dict[str, int], place: dict[str, Place]
) -> Brought | None:
    restaurant = instance.restaurants[order.restaurant]
    near = []
    for courier in instance.couriers.values():
        if courier.on <= minute and free_at[courier.id] <= minute:
            travel = instance.travel(place[courier.id], restaurant)
            picked_up = max(order.ready, minute + travel + instance.half_pick_up)
            if picked_up <= courier.off:
                near.append((travel, courier.id, picked_up))
    if not near:
        return None
    _, courier_id, picked_up = min(near)
    door = picked_up + instance.half_pick_up + instance.travel(restaurant, order.place) + instance.half_drop_off
    return Brought(
        courier=courier_id, assigned=minute, leaves=minute, picked_up=picked_up, orders=(order.id,), dropped_off=(door,)
    )

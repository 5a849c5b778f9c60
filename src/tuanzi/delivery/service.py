"""Delivery, one function for each sentence of the spec: promises, riders, plans, hand-overs (B2, B3, B9, B10)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from tuanzi.base.branch import BranchAnswer
from tuanzi.base.ids import MealId
from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Unit
from tuanzi.delivery.model import (
    COOKING_TAKES,
    NOWHERE,
    OVERDUE_ARRIVES_IN,
    OVERDUE_FOR,
    PICK_UP_WITHIN,
    PLANNED_MAX,
    PROMISE_STEADY,
    RIDER_WAITS_MAX,
    RIDERS_MAX,
    SHIFT_MAX,
    Assignment,
    Board,
    Bundle,
    BundleAnswer,
    BundleState,
    CancelDelivery,
    ConfirmDelivery,
    Consignment,
    DeliverParcel,
    DropOffState,
    EndShift,
    ExpectRiders,
    GoOffShift,
    GoOnShift,
    Hand,
    Load,
    MealLoad,
    Parcel,
    ParcelState,
    PickUpBundle,
    PlacedDropOff,
    PlanBundles,
    ReleaseBundle,
    Replan,
    Rider,
    RiderAnswer,
    RidersExpected,
    Situation,
    TakePlan,
    Terms,
    TryDelivery,
    parcels_of,
    plan,
    portions_promised_max,
)
from tuanzi.delivery.problems import NotPickedUp, NotPromised, NotReady, RidersEnough, ShiftTooLong, StillCarrying
from tuanzi.events import (
    BundleAssigned,
    BundleDelivered,
    BundlePickedUp,
    BundleReleased,
    ParcelDelivered,
    ParcelDropped,
    PromisedParcel,
    PromiseMade,
    PromiseMoved,
    RiderCameOn,
    RiderWentOff,
)
from tuanzi.machinery.fence import answer_of, cancel_branch, confirm_branch, try_branch
from tuanzi.people import ForgetPerson, Forgotten

_BOARD = "campus"
# A plan that did not come home by then is made anew.
_PLANNING_MAX = timedelta(minutes=1)


# The branch of a split


def try_delivery(unit: Unit, command: TryDelivery, *, now: datetime, terms: Terms) -> BranchAnswer:
    """Promise a split's drop-offs, as parcels. A repeat changes nothing. Raises NotPromised, StaleCoordinator."""
    content = replace(command, branch=replace(command.branch, epoch=0))
    if try_branch(unit, command.branch, content=content, now=now):
        _promise(unit, command, terms=terms)
    return answer_of(unit, command.branch)


def _promise(unit: Unit, command: TryDelivery, *, terms: Terms) -> None:
    parcels, drop_offs = parcels_of(command, arrives_at=command.split_at + terms.late * terms.tick)
    by_meal: dict[MealId, int] = {}
    for parcel in parcels:
        by_meal[parcel.meal_id] = by_meal.get(parcel.meal_id, 0) + parcel.portions
    most = portions_promised_max(_board(unit))
    for meal_id, portions in by_meal.items():
        load = unit.find(MealLoad, meal_id) or MealLoad(meal_id=meal_id, portions=0)
        if most is not None and load.portions + portions > most:
            raise NotPromised(meal_id=meal_id, portions=portions, left=max(0, most - load.portions))
        unit.put(replace(load, portions=load.portions + portions))
    consignment = Consignment(
        gid=command.branch.gid, group_id=command.group_id, parcel_ids=tuple([parcel.id for parcel in parcels])
    )
    unit.add(consignment)
    for value in (*parcels, *drop_offs):
        unit.add(value)


def confirm_delivery(unit: Unit, command: ConfirmDelivery, *, now: datetime, terms: Terms) -> BranchAnswer:
    """Make a split's drop-offs live. A repeat changes nothing. Raises EmptyConfirm, StaleCoordinator."""
    if confirm_branch(unit, command.branch, now=now):
        consignment = unit.load(Consignment, command.branch.gid)
        parcels = [unit.load(Parcel, parcel_id) for parcel_id in consignment.parcel_ids]
        promised = []
        for parcel in parcels:
            if parcel.state is ParcelState.PROMISED:
                _keep(unit, replace(parcel, state=ParcelState.WAITING), before=parcel, now=now, terms=terms)
                promised.append(_promised(parcel))
        unit.emit(PromiseMade(group_id=consignment.group_id, parcels=tuple(promised)))
    return answer_of(unit, command.branch)


def cancel_delivery(unit: Unit, command: CancelDelivery, *, now: datetime) -> BranchAnswer:
    """Give up a split's drop-offs. A repeat changes nothing. Raises CancelRefused, StaleCoordinator."""
    if cancel_branch(unit, command.branch, now=now):
        consignment = unit.load(Consignment, command.branch.gid)
        for parcel_id in consignment.parcel_ids:
            parcel = unit.load(Parcel, parcel_id)
            if parcel.state is ParcelState.PROMISED:
                unit.put(replace(parcel, state=ParcelState.DROPPED))
                _unload(unit, parcel.meal_id, parcel.portions)
    return answer_of(unit, command.branch)


def expect_riders(unit: Unit, command: ExpectRiders, *, now: datetime) -> RidersExpected:
    """Say how many riders a meal has; a repeat changes nothing. What is promised stays promised."""
    board = replace(_board(unit), riders_expected=command.riders)
    unit.put(board)
    return RidersExpected(riders=board.riders_expected, portions_max=portions_promised_max(board))


# What the kitchen says


def note_cooking(unit: Unit, sub_order_id: str, *, now: datetime, terms: Terms) -> None:
    """A drop-off is being made; a repeat, or one that is further on, changes nothing."""
    drop_off = unit.find(PlacedDropOff, sub_order_id)
    if drop_off is None or drop_off.state is not DropOffState.PLANNED:
        return
    unit.put(replace(drop_off, state=DropOffState.COOKING))
    parcel = unit.load(Parcel, drop_off.parcel_id)
    ready_at = max(drop_off.ready_at or now + COOKING_TAKES, parcel.ready_at or now)
    begun = replace(parcel, unbegun=parcel.unbegun - 1, ready_at=ready_at)
    _keep(unit, begun, before=parcel, now=now, terms=terms)


def note_ready(unit: Unit, sub_order_id: str, *, now: datetime, terms: Terms) -> None:
    """A drop-off can be picked up; a repeat, or one that is further on, changes nothing."""
    drop_off = unit.find(PlacedDropOff, sub_order_id)
    if drop_off is None or drop_off.state not in (DropOffState.PLANNED, DropOffState.COOKING):
        return
    unit.put(replace(drop_off, state=DropOffState.READY))
    parcel = unit.load(Parcel, drop_off.parcel_id)
    _keep(unit, _without(parcel, drop_off, now=now), before=parcel, now=now, terms=terms)


def note_brought(unit: Unit, sub_order_id: str, *, now: datetime, terms: Terms) -> None:
    """An operator says that a drop-off is at its building; what a rider said himself changes nothing.

    When all of a parcel is there, its rider has handed it over.
    """
    drop_off = unit.find(PlacedDropOff, sub_order_id)
    if drop_off is None or drop_off.state is not DropOffState.PICKED_UP:
        drop(unit, sub_order_id, now=now, terms=terms)
        return
    unit.put(replace(drop_off, state=DropOffState.DELIVERED))
    parcel = unit.load(Parcel, drop_off.parcel_id)
    own = [unit.load(PlacedDropOff, one) for one in parcel.sub_order_ids]
    if parcel.bundle_id is not None and all(one.state is DropOffState.DELIVERED for one in own):
        _deliver(unit, parcel, unit.load(Bundle, parcel.bundle_id), now=now, terms=terms)


def drop(unit: Unit, sub_order_id: str, *, now: datetime, terms: Terms) -> None:
    """A drop-off is not wanted any more; a repeat changes nothing, and what was picked up is brought all the same."""
    drop_off = unit.find(PlacedDropOff, sub_order_id)
    if drop_off is None or drop_off.state not in _ON_THE_COUNTER:
        return
    unit.put(replace(drop_off, state=DropOffState.DROPPED))
    before = unit.load(Parcel, drop_off.parcel_id)
    if before.state is ParcelState.DROPPED:
        return
    parcel = replace(
        before,
        sub_order_ids=tuple([one for one in before.sub_order_ids if one != sub_order_id]),
        portions=before.portions - drop_off.portions,
    )
    if drop_off.state is not DropOffState.READY:
        parcel = _without(parcel, drop_off, now=now)
    _unload(unit, parcel.meal_id, drop_off.portions)
    if not parcel.sub_order_ids:
        _take_out_of_bundle(unit, parcel, now=now, terms=terms)
        parcel = replace(parcel, state=ParcelState.DROPPED, bundle_id=None)
        unit.emit(ParcelDropped(parcel_id=parcel.id, group_id=parcel.group_id))
    _keep(unit, parcel, before=before, now=now, terms=terms)


_ON_THE_COUNTER = (DropOffState.PLANNED, DropOffState.COOKING, DropOffState.READY)


def _without(parcel: Parcel, drop_off: PlacedDropOff, *, now: datetime) -> Parcel:
    """A parcel that does not wait for this drop-off any more; `drop_off` as it was."""
    unready = parcel.unready - 1
    unbegun = parcel.unbegun - (drop_off.state is DropOffState.PLANNED)
    return replace(parcel, unready=unready, unbegun=unbegun, ready_at=parcel.ready_at if unready else now)


def _take_out_of_bundle(unit: Unit, parcel: Parcel, *, now: datetime, terms: Terms) -> None:
    """A parcel with nothing left in it leaves its bundle; a bundle with nothing left in it, its rider."""
    if parcel.bundle_id is None:
        return
    bundle = unit.load(Bundle, parcel.bundle_id)
    bundle = replace(bundle, parcel_ids=tuple([one for one in bundle.parcel_ids if one != parcel.id]))
    unit.put(bundle)
    if not bundle.parcel_ids:
        _release(unit, bundle, reason="nothing_left", now=now, terms=terms)


# Riders


def go_on_shift(unit: Unit, command: GoOnShift, *, now: datetime, terms: Terms) -> RiderAnswer:
    """A rider begins to work; said again, he tells where he is and until when. Raises ShiftTooLong, RidersEnough."""
    if not now < command.until <= now + SHIFT_MAX:
        raise ShiftTooLong(until=command.until)
    rider = unit.find(Rider, command.rider_id)
    if rider is None:
        rider = Rider(
            id=command.rider_id,
            is_on=False,
            spot=command.spot,
            free_at=now,
            until=command.until,
            portions_max=command.portions_max,
        )
    was_on = rider.is_on
    rider = replace(rider, is_on=True, until=command.until, portions_max=command.portions_max)
    if rider.bundle_id is None:
        rider = replace(rider, spot=command.spot, free_at=now)
    unit.put(rider)
    unit.schedule(f"shift:{rider.id}", EndShift(rider_id=rider.id), at=rider.until)
    if not was_on:
        board = _board(unit)
        if len(board.riders) >= RIDERS_MAX:
            raise RidersEnough(riders=RIDERS_MAX)
        unit.put(replace(board, riders=(*board.riders, rider.id)))
        unit.emit(RiderCameOn(rider_id=rider.id, until=rider.until))
    _plan_soon(unit, now=now, terms=terms)
    return _rider_answer(rider)


def go_off_shift(unit: Unit, command: GoOffShift, *, now: datetime, terms: Terms) -> RiderAnswer:
    """A rider ends; a repeat changes nothing. What he was to pick up is planned anew. Raises Unknown, StillCarrying."""
    rider = unit.load(Rider, command.rider_id)
    if rider.is_on and rider.bundle_id is not None:
        bundle = unit.load(Bundle, rider.bundle_id)
        if bundle.state is BundleState.PICKED_UP:
            raise StillCarrying(bundle_id=bundle.id)
        _release(unit, bundle, reason="rider_went_off", now=now, terms=terms)
    return _rider_answer(_off(unit, rider.id))


def forget_rider(unit: Unit, command: ForgetPerson, *, now: datetime, terms: Terms) -> Forgotten:
    """A rider is erased: he is off, and where he was is not known any more. Raises StillCarrying: not yet."""
    if unit.find(Rider, command.person_id) is not None:
        go_off_shift(unit, GoOffShift(rider_id=command.person_id), now=now, terms=terms)
        rider = unit.load(Rider, command.person_id)
        unit.put(replace(rider, spot=NOWHERE))
    return Forgotten(person_id=command.person_id)


def end_shift(unit: Unit, command: EndShift, *, now: datetime) -> RiderAnswer:
    """A rider's time is up: he is off when he has nothing, else as soon as all is handed over."""
    rider = unit.load(Rider, command.rider_id)
    if rider.bundle_id is None and rider.until <= now:
        rider = _off(unit, rider.id)
    return _rider_answer(rider)


def _off(unit: Unit, rider_id: str) -> Rider:
    rider = unit.load(Rider, rider_id)
    if rider.is_on:
        rider = replace(rider, is_on=False)
        unit.put(rider)
        unit.unschedule(f"shift:{rider.id}")
        board = _board(unit)
        unit.put(replace(board, riders=tuple([one for one in board.riders if one != rider_id])))
        unit.emit(RiderWentOff(rider_id=rider.id))
    return rider


def _free(unit: Unit, rider_id: str, *, at: datetime, now: datetime, terms: Terms) -> None:
    """A rider has nothing any more; when his time is up, he is off."""
    rider = replace(unit.load(Rider, rider_id), bundle_id=None, free_at=at)
    unit.put(rider)
    if rider.until <= now:
        _off(unit, rider_id)
    _plan_soon(unit, now=now, terms=terms)


def _rider_answer(rider: Rider) -> RiderAnswer:
    return RiderAnswer(rider_id=rider.id, is_on=rider.is_on, until=rider.until, bundle_id=rider.bundle_id)


# Hand-overs


def pick_up_bundle(unit: Unit, command: PickUpBundle, *, now: datetime) -> BundleAnswer:
    """A rider takes all of a bundle; a repeat changes nothing. Raises Unknown (none, or not his), NotReady."""
    bundle = unit.load(Bundle, command.bundle_id)
    if bundle.rider_id != command.rider_id or bundle.state is BundleState.RELEASED:
        raise Unknown(kind="bundle", id=command.bundle_id)
    if bundle.state is not BundleState.ASSIGNED:
        return _bundle_answer(bundle)
    parcels = [unit.load(Parcel, parcel_id) for parcel_id in bundle.parcel_ids]
    unready = [parcel.id for parcel in parcels if not parcel.is_ready]
    if unready:
        raise NotReady(bundle_id=bundle.id, parcel_ids=unready)
    sub_order_ids: list[str] = []
    for parcel in parcels:
        unit.put(replace(parcel, state=ParcelState.PICKED_UP))
        _mark(unit, parcel, DropOffState.PICKED_UP)
        sub_order_ids += parcel.sub_order_ids
    bundle = replace(bundle, state=BundleState.PICKED_UP)
    unit.put(bundle)
    unit.unschedule(f"bundle:{bundle.id}")
    unit.emit(BundlePickedUp(bundle_id=bundle.id, rider_id=bundle.rider_id, sub_order_ids=tuple(sub_order_ids)))
    return _bundle_answer(bundle)


def deliver_parcel(unit: Unit, command: DeliverParcel, *, now: datetime, terms: Terms) -> BundleAnswer:
    """A rider hands a parcel over; a repeat changes nothing. Raises Unknown (none, or not his), NotPickedUp."""
    parcel = unit.load(Parcel, command.parcel_id)
    bundle = None if parcel.bundle_id is None else unit.load(Bundle, parcel.bundle_id)
    if bundle is None or bundle.rider_id != command.rider_id:
        raise Unknown(kind="parcel", id=command.parcel_id)
    if parcel.state is ParcelState.DELIVERED:
        return _bundle_answer(bundle)
    if parcel.state is not ParcelState.PICKED_UP:
        raise NotPickedUp(parcel_id=parcel.id)
    return _bundle_answer(_deliver(unit, parcel, bundle, now=now, terms=terms))


def _deliver(unit: Unit, parcel: Parcel, bundle: Bundle, *, now: datetime, terms: Terms) -> Bundle:
    unit.put(replace(parcel, state=ParcelState.DELIVERED, arrives_at=now))
    _mark(unit, parcel, DropOffState.DELIVERED)
    delivered = ParcelDelivered(
        parcel_id=parcel.id,
        bundle_id=bundle.id,
        rider_id=bundle.rider_id,
        building_id=parcel.building_id,
        sub_order_ids=parcel.sub_order_ids,
    )
    unit.emit(delivered)
    rest = [unit.load(Parcel, parcel_id) for parcel_id in bundle.parcel_ids]
    if all(one.state is ParcelState.DELIVERED for one in rest):
        bundle = replace(bundle, state=BundleState.DELIVERED, ended_at=now)
        unit.put(bundle)
        unit.emit(BundleDelivered(bundle_id=bundle.id, rider_id=bundle.rider_id))
        unit.put(replace(unit.load(Rider, bundle.rider_id), spot=parcel.to_spot))
        _free(unit, bundle.rider_id, at=now + terms.half_drop_off * terms.tick, now=now, terms=terms)
    return bundle


def release_bundle(unit: Unit, command: ReleaseBundle, *, now: datetime, terms: Terms) -> BundleAnswer:
    """Ready food that nobody came for is planned anew, and who was to come is off.

    Who came for food that is not made goes free at RIDER_WAITS_MAX; it waits without a rider until it is ready.
    """
    bundle = unit.load(Bundle, command.bundle_id)
    if bundle.state is not BundleState.ASSIGNED:
        return _bundle_answer(bundle)
    parcels = [unit.load(Parcel, parcel_id) for parcel_id in bundle.parcel_ids]
    at = _released_at(parcels, bundle)
    if at > now:
        unit.schedule(f"bundle:{bundle.id}", command, at=at)
        return _bundle_answer(bundle)
    if not all(parcel.is_ready for parcel in parcels):
        return _bundle_answer(_release(unit, bundle, reason="not_ready", now=now, terms=terms))
    bundle = _release(unit, bundle, reason="nobody_came", now=now, terms=terms)
    _off(unit, bundle.rider_id)
    return _bundle_answer(bundle)


def _released_at(parcels: Sequence[Parcel], bundle: Bundle) -> datetime:
    """When a bundle that is still not picked up is taken from its rider, by what is known of its food now."""
    unready = [parcel.ready_at for parcel in parcels if not parcel.is_ready and parcel.ready_at is not None]
    if unready:
        return max(unready) + RIDER_WAITS_MAX
    ready = [parcel.ready_at for parcel in parcels if parcel.ready_at is not None]
    return max(bundle.picks_up_at, *ready) + PICK_UP_WITHIN


def _release(unit: Unit, bundle: Bundle, *, reason: str, now: datetime, terms: Terms) -> Bundle:
    """A bundle's parcels wait for somebody else, its rider is free where he was going."""
    for parcel_id in bundle.parcel_ids:
        parcel = unit.load(Parcel, parcel_id)
        waiting = replace(parcel, state=ParcelState.WAITING, bundle_id=None)
        _keep(unit, waiting, before=parcel, now=now, terms=terms)
    released = replace(bundle, state=BundleState.RELEASED, ended_at=now)
    unit.put(released)
    unit.unschedule(f"bundle:{bundle.id}")
    told = BundleReleased(
        bundle_id=bundle.id,
        rider_id=bundle.rider_id,
        parcel_ids=bundle.parcel_ids,
        reason=reason,
        merchant_id=bundle.merchant_id,
    )
    unit.emit(told)
    unit.put(replace(unit.load(Rider, bundle.rider_id), spot=bundle.from_spot))
    _free(unit, bundle.rider_id, at=now, now=now, terms=terms)
    return released


def _mark(unit: Unit, parcel: Parcel, state: DropOffState) -> None:
    for sub_order_id in parcel.sub_order_ids:
        unit.put(replace(unit.load(PlacedDropOff, sub_order_id), state=state))


def _bundle_answer(bundle: Bundle) -> BundleAnswer:
    return BundleAnswer(bundle_id=bundle.id, state=bundle.state, parcel_ids=bundle.parcel_ids)


# Plans


def replan(unit: Unit, command: Replan, *, now: datetime, terms: Terms) -> None:
    """See what waits and who is there, and have it planned outside; not while a plan is being made."""
    board = replace(_board(unit), plan_at=None)
    unit.put(board)
    if board.planning_since is not None and now < board.planning_since + _PLANNING_MAX:
        _plan_by(unit, board, at=now + terms.every * terms.tick)
        return
    if not board.parcels or not board.riders:
        return
    board = _without_overdue(unit, board, now=now)
    if not board.parcels:
        return
    situation = _situation(unit, board, now=now, terms=terms)
    if not any(hand.until >= situation.now for hand in situation.hands):
        return  # everybody's time is up, though some have not brought what they have; who comes is planned with soon
    unit.put(replace(board, planning_since=now))
    unit.schedule("planning", PlanBundles(situation=situation), at=now)


async def make_plan(errand: PlanBundles, *, now: datetime, terms: Terms) -> TakePlan:
    """Plan in a thread, so that nobody waits for it."""
    made = await asyncio.to_thread(plan, errand.situation, terms=terms)
    return TakePlan(assignments=tuple(made))


def take_plan(unit: Unit, command: TakePlan, *, now: datetime, terms: Terms) -> None:
    """Send the riders who must leave now and move promises; what no longer holds of a plan is left to the next one."""
    unit.put(replace(_board(unit), planning_since=None))
    unit.unschedule("planning")
    for assignment in command.assignments:
        parcels = [unit.find(Parcel, parcel_id) for parcel_id in assignment.parcel_ids]
        waiting = [parcel for parcel in parcels if parcel is not None and parcel.is_planned_with]
        if len(waiting) == len(parcels):
            if assignment.is_due:
                _assign(unit, assignment, waiting, now=now, terms=terms)
            else:
                for parcel, ticks in zip(waiting, assignment.arrives_at, strict=True):
                    _expect(unit, parcel, arrives_at=terms.time(ticks))
    board = _board(unit)
    if board.parcels:
        _plan_by(unit, board, at=now + terms.every * terms.tick)


def _without_overdue(unit: Unit, board: Board, *, now: datetime) -> Board:
    """The board without food that was to be ready and is not: it would be expected soon for ever, before all that is.

    It comes back when it is ready.
    """
    overdue: set[str] = set()
    for parcel_id in board.parcels:
        parcel = unit.load(Parcel, parcel_id)
        if parcel.is_overdue(now=now):
            overdue.add(parcel_id)
            _expect(unit, parcel, arrives_at=max(parcel.arrives_at, now + OVERDUE_ARRIVES_IN))
    if overdue:
        board = replace(board, parcels=tuple([one for one in board.parcels if one not in overdue]))
        unit.put(board)
    return board


def _situation(unit: Unit, board: Board, *, now: datetime, terms: Terms) -> Situation:
    """Those that need a rider longest, and everybody on shift."""
    overdue = now + OVERDUE_FOR
    loads = []
    for parcel_id in board.parcels[:PLANNED_MAX]:
        parcel = unit.load(Parcel, parcel_id)
        assert parcel.ready_at is not None, f"parcel {parcel_id} is on the board before it is made"
        load = Load(
            parcel_id=parcel.id,
            merchant_id=parcel.merchant_id,
            from_spot=parcel.from_spot,
            to_spot=parcel.to_spot,
            portions=parcel.portions,
            ordered_at=terms.ticks(parcel.ordered_at),
            ready_at=terms.ticks(parcel.ready_at),
        )
        loads.append(load)
    hands = []
    for rider_id in board.riders:
        rider = unit.load(Rider, rider_id)
        is_late = rider.bundle_id is not None and rider.free_at <= now
        hand = Hand(
            rider_id=rider.id,
            spot=rider.spot,
            free_at=terms.ticks(overdue if is_late else rider.free_at),
            until=terms.ticks(rider.until),
            portions_max=rider.portions_max,
        )
        hands.append(hand)
    return Situation(now=terms.ticks(now), loads=tuple(loads), hands=tuple(hands))


def _assign(unit: Unit, assignment: Assignment, parcels: Sequence[Parcel], *, now: datetime, terms: Terms) -> None:
    """Give a bundle to its rider, if he is still there and free."""
    rider = unit.find(Rider, assignment.rider_id)
    if rider is None or not rider.is_on or rider.bundle_id is not None or rider.until < now:
        return
    bundle = Bundle(
        id=f"{rider.id}.b{rider.bundles + 1}",
        rider_id=rider.id,
        merchant_id=parcels[0].merchant_id,
        from_spot=parcels[0].from_spot,
        state=BundleState.ASSIGNED,
        parcel_ids=assignment.parcel_ids,
        assigned_at=now,
        picks_up_at=terms.time(assignment.picks_up_at),
    )
    unit.add(bundle)
    for parcel, ticks in zip(parcels, assignment.arrives_at, strict=True):
        parcel = _expect(unit, parcel, arrives_at=terms.time(ticks))
        assigned = replace(parcel, state=ParcelState.ASSIGNED, bundle_id=bundle.id)
        _keep(unit, assigned, before=parcel, now=now, terms=terms)
    rider = replace(
        rider,
        bundle_id=bundle.id,
        bundles=rider.bundles + 1,
        spot=parcels[-1].to_spot,
        free_at=terms.time(assignment.arrives_at[-1] + terms.half_drop_off),
    )
    unit.put(rider)
    unit.schedule(f"bundle:{bundle.id}", ReleaseBundle(bundle_id=bundle.id), at=_released_at(parcels, bundle))
    assigned_to = BundleAssigned(
        bundle_id=bundle.id,
        rider_id=bundle.rider_id,
        merchant_id=bundle.merchant_id,
        parcel_ids=bundle.parcel_ids,
        sub_order_ids=tuple([one for parcel in parcels for one in parcel.sub_order_ids]),
        picks_up_at=bundle.picks_up_at,
    )
    unit.emit(assigned_to)


def _expect(unit: Unit, parcel: Parcel, *, arrives_at: datetime) -> Parcel:
    """Move a promise that is not kept to two minutes; else leave it as it is."""
    if abs(parcel.arrives_at - arrives_at) <= PROMISE_STEADY:
        return parcel
    parcel = replace(parcel, arrives_at=arrives_at)
    unit.put(parcel)
    unit.emit(PromiseMoved(group_id=parcel.group_id, parcel=_promised(parcel)))
    return parcel


def _promised(parcel: Parcel) -> PromisedParcel:
    return PromisedParcel(
        parcel_id=parcel.id,
        merchant_id=parcel.merchant_id,
        building_id=parcel.building_id,
        sub_order_ids=parcel.sub_order_ids,
        arrives_at=parcel.arrives_at,
    )


def _keep(unit: Unit, parcel: Parcel, *, before: Parcel, now: datetime, terms: Terms) -> None:
    """Put a parcel, on the board as long as a rider is to be found for it; news of it are planned with soon.

    What left the board as overdue is there again when there are news of it.
    """
    unit.put(parcel)
    if not parcel.is_planned_with and not before.is_planned_with:
        return
    board = _board(unit)
    if parcel.is_planned_with != (parcel.id in board.parcels):
        others = tuple([one for one in board.parcels if one != parcel.id])
        unit.put(replace(board, parcels=(*others, parcel.id) if parcel.is_planned_with else others))
    if parcel.is_planned_with and parcel != before:
        _plan_soon(unit, now=now, terms=terms)


def _plan_soon(unit: Unit, *, now: datetime, terms: Terms) -> None:
    board = _board(unit)
    if board.parcels and board.riders and board.planning_since is None:
        _plan_by(unit, board, at=now + terms.pause * terms.tick)


def _plan_by(unit: Unit, board: Board, *, at: datetime) -> None:
    """Plan no later than that; a stream of news does not put a plan off."""
    if board.plan_at is None or at < board.plan_at:
        unit.put(replace(board, plan_at=at))
        unit.schedule("plan", Replan(), at=at)


def _board(unit: Unit) -> Board:
    return unit.find(Board, _BOARD) or Board()


def _unload(unit: Unit, meal_id: str, portions: int) -> None:
    load = unit.load(MealLoad, meal_id)
    unit.put(replace(load, portions=load.portions - portions))

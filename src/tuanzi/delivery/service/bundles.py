"""Hand-overs: bundles are picked up, delivered and released (B10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Unit
from tuanzi.delivery.model import (
    PICK_UP_WITHIN,
    RIDER_WAITS_MAX,
    Bundle,
    BundleAnswer,
    BundleState,
    DeliverParcel,
    DropOffState,
    Parcel,
    ParcelAnswer,
    ParcelState,
    PickUpBundle,
    PlacedDropOff,
    ReleaseBundle,
    Rider,
    SendAnother,
    Terms,
    WatchFetching,
)
from tuanzi.delivery.problems import NotPickedUp, NotReady
from tuanzi.delivery.service.board import board_of, fetching_timer, keep_parcel, plan_soon, set_free, sign_off
from tuanzi.events import BundleDelivered, BundlePickedUp, BundleReleased, ParcelDelivered, ParcelUnfetched


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
        unit.unschedule(fetching_timer(parcel))
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
    return _bundle_answer(hand_over(unit, parcel, bundle=bundle, now=now, terms=terms))


def release_bundle(unit: Unit, command: ReleaseBundle, *, now: datetime, terms: Terms) -> BundleAnswer:
    """Ready food that nobody came for is planned anew, and who was to come is off.

    Who came for food that is not made goes free at RIDER_WAITS_MAX; it waits without a rider until it is ready.
    """
    bundle = unit.load(Bundle, command.bundle_id)
    if bundle.state is not BundleState.ASSIGNED:
        return _bundle_answer(bundle)
    parcels = [unit.load(Parcel, parcel_id) for parcel_id in bundle.parcel_ids]
    at = time_released(parcels, bundle)
    if at > now:
        unit.schedule(f"bundle:{bundle.id}", command, at=at)
        return _bundle_answer(bundle)
    return _bundle_answer(_take_back(unit, bundle, parcels, now=now, terms=terms))


def watch_fetching(unit: Unit, command: WatchFetching, *, now: datetime) -> None:
    """Say that a ready parcel is still on the counter, once of each (B9, B10); it goes on to be planned with."""
    parcel = unit.load(Parcel, command.parcel_id)
    if parcel.is_on_the_counter:
        late = ParcelUnfetched(
            parcel_id=parcel.id,
            group_id=parcel.group_id,
            merchant_id=parcel.merchant_id,
            building_id=parcel.building_id,
            sub_order_ids=parcel.sub_order_ids,
            bundle_id=parcel.bundle_id,
        )
        unit.emit(late)


def send_another(unit: Unit, command: SendAnother, *, now: datetime, terms: Terms) -> ParcelAnswer:
    """Plan a parcel anew as if its rider's time had come; a repeat, or one that was fetched, changes nothing.

    Raises Unknown.
    """
    parcel = unit.load(Parcel, command.parcel_id)
    if parcel.state is ParcelState.ASSIGNED and parcel.bundle_id is not None:
        bundle = unit.load(Bundle, parcel.bundle_id)
        parcels = [unit.load(Parcel, parcel_id) for parcel_id in bundle.parcel_ids]
        _take_back(unit, bundle, parcels, now=now, terms=terms)
    elif parcel.is_planned_with:
        plan_soon(unit, now=now, terms=terms)
    parcel = unit.load(Parcel, parcel.id)
    return ParcelAnswer(parcel_id=parcel.id, state=parcel.state, riders=len(board_of(unit).riders))


def hand_over(unit: Unit, parcel: Parcel, *, bundle: Bundle, now: datetime, terms: Terms) -> Bundle:
    """A parcel of a bundle has arrived; after the last of them the rider is free."""
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
        set_free(unit, bundle.rider_id, at=now + terms.half_drop_off * terms.tick, now=now, terms=terms)
    return bundle


def release(unit: Unit, bundle: Bundle, *, reason: str, now: datetime, terms: Terms) -> Bundle:
    """A bundle's parcels wait for somebody else, its rider is free where he was going."""
    for parcel_id in bundle.parcel_ids:
        parcel = unit.load(Parcel, parcel_id)
        waiting = replace(parcel, state=ParcelState.WAITING, bundle_id=None)
        keep_parcel(unit, waiting, before=parcel, now=now, terms=terms)
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
    set_free(unit, bundle.rider_id, at=now, now=now, terms=terms)
    return released


def _take_back(unit: Unit, bundle: Bundle, parcels: Sequence[Parcel], *, now: datetime, terms: Terms) -> Bundle:
    """Nobody waits any longer for a bundle's rider: he is off, unless there was nothing ready for him to take."""
    if not all(parcel.is_ready for parcel in parcels):
        return release(unit, bundle, reason="not_ready", now=now, terms=terms)
    bundle = release(unit, bundle, reason="nobody_came", now=now, terms=terms)
    sign_off(unit, bundle.rider_id)
    return bundle


def time_released(parcels: Sequence[Parcel], bundle: Bundle) -> datetime:
    """When a bundle that is still not picked up is taken from its rider, by what is known of its food now."""
    unready = [parcel.ready_at for parcel in parcels if not parcel.is_ready and parcel.ready_at is not None]
    if unready:
        return max(unready) + RIDER_WAITS_MAX
    ready = [parcel.ready_at for parcel in parcels if parcel.ready_at is not None]
    return max(bundle.picks_up_at, *ready) + PICK_UP_WITHIN


def _mark(unit: Unit, parcel: Parcel, state: DropOffState) -> None:
    for sub_order_id in parcel.sub_order_ids:
        unit.put(replace(unit.load(PlacedDropOff, sub_order_id), state=state))


def _bundle_answer(bundle: Bundle) -> BundleAnswer:
    return BundleAnswer(bundle_id=bundle.id, state=bundle.state, parcel_ids=bundle.parcel_ids)

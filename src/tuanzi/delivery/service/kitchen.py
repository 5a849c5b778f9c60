"""What the kitchen says of food on its way to a rider (B9)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.delivery.model import COOKING_TAKES, Bundle, DropOffState, Parcel, ParcelState, PlacedDropOff, Terms
from tuanzi.delivery.service.board import keep_parcel, unload
from tuanzi.delivery.service.bundles import hand_over, release
from tuanzi.events import ParcelDropped

_ON_THE_COUNTER = (DropOffState.PLANNED, DropOffState.COOKING, DropOffState.READY)


def note_cooking(unit: Unit, sub_order_id: str, *, now: datetime, terms: Terms) -> None:
    """A drop-off is being made; a repeat, or one that is further on, changes nothing."""
    drop_off = unit.find(PlacedDropOff, sub_order_id)
    if drop_off is None or drop_off.state is not DropOffState.PLANNED:
        return
    unit.put(replace(drop_off, state=DropOffState.COOKING))
    parcel = unit.load(Parcel, drop_off.parcel_id)
    ready_at = max(drop_off.ready_at or now + COOKING_TAKES, parcel.ready_at or now)
    begun = replace(parcel, unbegun=parcel.unbegun - 1, ready_at=ready_at)
    keep_parcel(unit, begun, before=parcel, now=now, terms=terms)


def note_ready(unit: Unit, sub_order_id: str, *, now: datetime, terms: Terms) -> None:
    """A drop-off can be picked up; a repeat, or one that is further on, changes nothing."""
    drop_off = unit.find(PlacedDropOff, sub_order_id)
    if drop_off is None or drop_off.state not in (DropOffState.PLANNED, DropOffState.COOKING):
        return
    unit.put(replace(drop_off, state=DropOffState.READY))
    parcel = unit.load(Parcel, drop_off.parcel_id)
    keep_parcel(unit, _without(parcel, drop_off, now=now), before=parcel, now=now, terms=terms)


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
        hand_over(unit, parcel, bundle=unit.load(Bundle, parcel.bundle_id), now=now, terms=terms)


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
    unload(unit, parcel.meal_id, portions=drop_off.portions)
    if not parcel.sub_order_ids:
        _take_out_of_bundle(unit, parcel, now=now, terms=terms)
        parcel = replace(parcel, state=ParcelState.DROPPED, bundle_id=None)
        unit.emit(ParcelDropped(parcel_id=parcel.id, group_id=parcel.group_id))
    keep_parcel(unit, parcel, before=before, now=now, terms=terms)


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
        release(unit, bundle, reason="nothing_left", now=now, terms=terms)

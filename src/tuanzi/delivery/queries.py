"""What pages read of delivery: the rider's board, the merchant's parcels, the member's promise, the operator's list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from tuanzi.base.problem import Unknown
from tuanzi.base.time import from_ms, to_ms
from tuanzi.delivery.model import (
    UNFETCHED_AFTER,
    Board,
    Bundle,
    BundleState,
    DropOffState,
    Parcel,
    ParcelState,
    Rider,
    RidersExpected,
    Spot,
    portions_promised_max,
)
from tuanzi.delivery.store import (
    BOARD,
    BOARDS,
    BUNDLE,
    BUNDLES,
    BUNDLES_NAMED,
    CONSIGNMENT,
    CONSIGNMENTS,
    DELIVERY_OF_ORDER,
    PARCELS,
    PARCELS_IN_STATE,
    PARCELS_NAMED,
    PARCELS_OF_BUNDLE,
    PARCELS_OF_MERCHANT,
    PARCELS_UNFETCHED,
    RIDER,
    RIDERS,
    RIDERS_AFTER,
)
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import several, whole_rows_there


class ParcelView(Struct, frozen=True, kw_only=True, gc=False):
    """A parcel. ready_at: when it is or will be ready, null before cooking. arrives_at: promised, or when it came."""

    parcel_id: str
    group_id: str
    merchant_id: str
    building_id: str
    meal_id: str
    to_spot: Spot
    state: ParcelState
    sub_order_ids: tuple[str, ...]
    portions: int
    is_ready: bool
    ready_at: datetime | None
    arrives_at: datetime
    bundle_id: str | None


class ParcelPage(Struct, frozen=True, kw_only=True, gc=False):
    """Parcels in the order of their ids; `next` is None on the last page.

    fetch_minutes: so long after its `ready_at` a ready one is late to be fetched.
    """

    items: tuple[ParcelView, ...]
    next: str | None
    fetch_minutes: int


class BundleView(Struct, frozen=True, kw_only=True, gc=False):
    """A bundle: where to pick it up and when, and its parcels in the order of their doors."""

    bundle_id: str
    state: BundleState
    merchant_id: str
    from_spot: Spot
    picks_up_at: datetime
    parcels: tuple[ParcelView, ...]


class RiderBoard(Struct, frozen=True, kw_only=True, gc=False):
    """A rider's shift and what he has to bring now."""

    is_on: bool
    until: datetime | None
    bundle: BundleView | None


class RiderView(Struct, frozen=True, kw_only=True, gc=False):
    """A rider, for operators. spot, free_at: where and when he is free."""

    rider_id: str
    is_on: bool
    spot: Spot
    free_at: datetime
    until: datetime
    portions_max: int
    bundle_id: str | None
    bundles: int


class RiderPage(Struct, frozen=True, kw_only=True, gc=False):
    """Riders in the order of their ids; `next` is None on the last page."""

    items: tuple[RiderView, ...]
    next: str | None


class DropOffView(Struct, frozen=True, kw_only=True, gc=False):
    """A sub-order on its way. arrives_at: when it is promised, or came."""

    sub_order_id: str
    parcel_id: str
    merchant_id: str
    building_id: str
    state: DropOffState
    arrives_at: datetime


class OrderDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """How an order's sub-orders come to their member."""

    order_id: str
    drop_offs: tuple[DropOffView, ...]


class BundleLine(Struct, frozen=True, kw_only=True, gc=False):
    """A bundle as operators see it; it may carry parcels of other groups too."""

    bundle_id: str
    rider_id: str
    merchant_id: str
    state: BundleState
    parcel_ids: tuple[str, ...]
    assigned_at: datetime
    picks_up_at: datetime
    ended_at: datetime | None


class SplitDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """What is brought of a split, and with whom; both empty when nothing was promised."""

    parcels: tuple[ParcelView, ...]
    bundles: tuple[BundleLine, ...]


async def delivery_of_split(desk: Desk, gid: str) -> SplitDelivery:
    """The parcels of a split by id, and the bundles that they are in now."""
    rows = await desk.rows(CONSIGNMENT, {"gid": gid})
    parcel_ids = CONSIGNMENTS.from_row(rows[0]).parcel_ids if rows else ()
    parcels = [
        _parcel_view(PARCELS.from_row(row))
        for slots in several(parcel_ids)
        for row in await desk.rows(PARCELS_NAMED, slots)
    ]
    bundle_ids = sorted({parcel.bundle_id for parcel in parcels if parcel.bundle_id is not None})
    bundles = [BUNDLES.from_row(row) for slots in several(bundle_ids) for row in await desk.rows(BUNDLES_NAMED, slots)]
    return SplitDelivery(parcels=tuple(parcels), bundles=tuple([_bundle_line(bundle) for bundle in bundles]))


def _bundle_line(bundle: Bundle) -> BundleLine:
    return BundleLine(
        bundle_id=bundle.id,
        rider_id=bundle.rider_id,
        merchant_id=bundle.merchant_id,
        state=bundle.state,
        parcel_ids=bundle.parcel_ids,
        assigned_at=bundle.assigned_at,
        picks_up_at=bundle.picks_up_at,
        ended_at=bundle.ended_at,
    )


async def rider_board(desk: Desk, *, rider_id: str) -> RiderBoard:
    """A rider's board; who never was on shift has an empty one."""
    rows = await desk.rows(RIDER, {"rider_id": rider_id})
    if not rows:
        return RiderBoard(is_on=False, until=None, bundle=None)
    rider = RIDERS.from_row(rows[0])
    bundle = None if rider.bundle_id is None else await _bundle(desk, rider.bundle_id)
    return RiderBoard(is_on=rider.is_on, until=rider.until, bundle=bundle)


async def _bundle(desk: Desk, bundle_id: str) -> BundleView | None:
    rows = await desk.rows(BUNDLE, {"bundle_id": bundle_id})
    if not rows:
        return None
    bundle = BUNDLES.from_row(rows[0])
    parcels = [PARCELS.from_row(row) for row in await desk.rows(PARCELS_OF_BUNDLE, {"bundle_id": bundle_id})]
    place = {parcel_id: i for i, parcel_id in enumerate(bundle.parcel_ids)}
    # One more may be there that left the bundle between the two readings.
    parcels = sorted((parcel for parcel in parcels if parcel.id in place), key=lambda parcel: place[parcel.id])
    return BundleView(
        bundle_id=bundle.id,
        state=bundle.state,
        merchant_id=bundle.merchant_id,
        from_spot=bundle.from_spot,
        picks_up_at=bundle.picks_up_at,
        parcels=tuple([_parcel_view(parcel) for parcel in parcels]),
    )


async def parcels_of_merchant(
    desk: Desk, *, merchant_id: str, state: ParcelState, after: str, limit: int
) -> ParcelPage:
    """A merchant's parcels in a state."""
    slots = {"merchant_id": merchant_id, "state": state.value, "after": after, "limit": limit + 1}
    return _page(await desk.rows(PARCELS_OF_MERCHANT, slots), limit=limit)


async def parcels_in_state(desk: Desk, *, state: ParcelState, after: str, limit: int) -> ParcelPage:
    """All parcels in a state."""
    return _page(
        await desk.rows(PARCELS_IN_STATE, {"state": state.value, "after": after, "limit": limit + 1}), limit=limit
    )


async def unfetched(desk: Desk, *, after: str, limit: int, now: datetime) -> ParcelPage:
    """All parcels that are late to be fetched."""
    slots = {"before_ms": to_ms(now - UNFETCHED_AFTER), "after": after, "limit": limit + 1}
    return _page(await desk.rows(PARCELS_UNFETCHED, slots), limit=limit)


async def rider_page(desk: Desk, *, after: str, limit: int) -> RiderPage:
    """All riders that ever were on shift."""
    riders = [RIDERS.from_row(row) for row in await desk.rows(RIDERS_AFTER, {"after": after, "limit": limit + 1})]
    return RiderPage(
        items=tuple([_rider_view(rider) for rider in riders[:limit]]),
        next=riders[limit - 1].id if len(riders) > limit else None,
    )


async def riders_expected(desk: Desk) -> RidersExpected:
    """How many riders a meal is said to have."""
    rows = await desk.rows(BOARD)
    board = BOARDS.from_row(rows[0]) if rows else Board()
    return RidersExpected(riders=board.riders_expected, portions_max=portions_promised_max(board))


async def delivery_of_order(desk: Desk, *, order_id: str, member_id: str | None) -> OrderDelivery:
    """How an order comes; member_id: who asks, None for an operator. Raises Unknown (not his, or not split yet)."""
    rows = await whole_rows_there(desk.rows, DELIVERY_OF_ORDER, {"order_id": order_id})
    if not rows or (member_id is not None and rows[0][1] != member_id):
        raise Unknown(kind="delivery", id=order_id)
    drop_offs = [
        DropOffView(
            sub_order_id=sub_order_id,
            parcel_id=parcel_id,
            merchant_id=merchant_id,
            building_id=building_id,
            state=DropOffState(state),
            arrives_at=from_ms(arrives_at_ms),
        )
        for sub_order_id, _, state, parcel_id, merchant_id, building_id, arrives_at_ms in rows
    ]
    return OrderDelivery(order_id=order_id, drop_offs=tuple(drop_offs))


def _page(rows: Sequence[tuple[Any, ...]], *, limit: int) -> ParcelPage:
    items = [_parcel_view(PARCELS.from_row(row)) for row in rows]
    return ParcelPage(
        items=tuple(items[:limit]),
        next=items[limit - 1].parcel_id if len(items) > limit else None,
        fetch_minutes=UNFETCHED_AFTER // timedelta(minutes=1),
    )


def _parcel_view(parcel: Parcel) -> ParcelView:
    return ParcelView(
        parcel_id=parcel.id,
        group_id=parcel.group_id,
        merchant_id=parcel.merchant_id,
        building_id=parcel.building_id,
        meal_id=parcel.meal_id,
        to_spot=parcel.to_spot,
        state=parcel.state,
        sub_order_ids=parcel.sub_order_ids,
        portions=parcel.portions,
        is_ready=parcel.is_ready,
        ready_at=parcel.ready_at,
        arrives_at=parcel.arrives_at,
        bundle_id=parcel.bundle_id,
    )


def _rider_view(rider: Rider) -> RiderView:
    return RiderView(
        rider_id=rider.id,
        is_on=rider.is_on,
        spot=rider.spot,
        free_at=rider.free_at,
        until=rider.until,
        portions_max=rider.portions_max,
        bundle_id=rider.bundle_id,
        bundles=rider.bundles,
    )

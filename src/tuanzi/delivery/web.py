"""Delivery over HTTP: shifts and hand-overs, parcels of a shop, promises to members, lists for operators (B9, B10)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from tuanzi.base.who import Role
from tuanzi.delivery.model import (
    PORTIONS_PER_PARCEL,
    BundleAnswer,
    DeliverParcel,
    ExpectRiders,
    GoOffShift,
    GoOnShift,
    ParcelAnswer,
    ParcelState,
    PickUpBundle,
    RiderAnswer,
    RidersExpected,
    SendAnother,
    Spot,
)
from tuanzi.delivery.problems import NotPickedUp, NotReady, RidersEnough, ShiftTooLong, StillCarrying
from tuanzi.delivery.queries import (
    OrderDelivery,
    ParcelPage,
    RiderBoard,
    RiderPage,
    delivery_of_order,
    parcels_in_state,
    parcels_of_merchant,
    rider_board,
    rider_page,
    riders_expected,
    unfetched,
)
from tuanzi.machinery.http.routes import Call, Committed, NoBody, Route

_CAMPUS = "/v1/campuses/{campus}"
_RIDERS = frozenset({Role.RIDER})
_OPERATORS = frozenset({Role.OPERATOR})


class ShiftBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the rider is, until when he picks up, and how many portions his box holds."""

    latitude_e6: Annotated[int, Meta(ge=-90_000_000, le=90_000_000)]
    longitude_e6: Annotated[int, Meta(ge=-180_000_000, le=180_000_000)]
    until: Annotated[datetime, Meta(tz=True)]
    portions_max: Annotated[int, Meta(ge=1, le=200)] = PORTIONS_PER_PARCEL


class RidersBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many riders a meal has; null promises without limit."""

    riders: Annotated[int, Meta(ge=0, le=100_000)] | None


class ParcelsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which parcels; `after` is the `next` of the page before."""

    state: ParcelState
    after: Annotated[str, Meta(max_length=90)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class UnfetchedQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list; `after` is the `next` of the page before."""

    after: Annotated[str, Meta(max_length=90)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class RidersQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list."""

    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


async def begin_shift(call: Call[ShiftBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/rider/shift: I work now, from here."""
    body = call.body
    command = GoOnShift(
        rider_id=call.caller.person_id,
        spot=Spot(latitude_e6=body.latitude_e6, longitude_e6=body.longitude_e6),
        until=body.until,
        portions_max=body.portions_max,
    )
    return await call.desks.delivery.submit(command, who=command.rider_id, key=call.key)


async def end_shift(call: Call[NoBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/rider/shift/end: I stop."""
    command = GoOffShift(rider_id=call.caller.person_id)
    return await call.desks.delivery.submit(command, who=command.rider_id, key=call.key)


async def show_rider_board(call: Call[None, None]) -> RiderBoard:
    """GET /v1/campuses/{campus}/rider/board: what I have to bring."""
    return await rider_board(call.desks.delivery, rider_id=call.caller.person_id)


async def pick_up(call: Call[NoBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/rider/bundles/{bundle_id}/pick-up: I have it."""
    command = PickUpBundle(bundle_id=call.path["bundle_id"], rider_id=call.caller.person_id)
    return await call.desks.delivery.submit(command, who=command.rider_id, key=call.key)


async def deliver(call: Call[NoBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/rider/parcels/{parcel_id}/deliver: it is at its building."""
    command = DeliverParcel(parcel_id=call.path["parcel_id"], rider_id=call.caller.person_id)
    return await call.desks.delivery.submit(command, who=command.rider_id, key=call.key)


async def list_parcels_of_shop(call: Call[None, ParcelsQuery]) -> ParcelPage:
    """GET /v1/campuses/{campus}/merchant/parcels: what my shop hands over, by building."""
    query = call.query
    return await parcels_of_merchant(
        call.desks.delivery,
        merchant_id=call.caller.merchant_id or "",
        state=query.state,
        after=query.after,
        limit=query.limit,
    )


async def list_parcels(call: Call[None, ParcelsQuery]) -> ParcelPage:
    """GET /v1/campuses/{campus}/parcels: all parcels in a state."""
    query = call.query
    return await parcels_in_state(call.desks.delivery, state=query.state, after=query.after, limit=query.limit)


async def list_unfetched(call: Call[None, UnfetchedQuery]) -> ParcelPage:
    """GET /v1/campuses/{campus}/operator/unfetched: what is ready and late to be fetched."""
    return await unfetched(call.desks.delivery, after=call.query.after, limit=call.query.limit, now=call.now)


async def send_another(call: Call[NoBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/parcels/{parcel_id}/send-another: do not wait for its rider."""
    command = SendAnother(parcel_id=call.path["parcel_id"], by=call.caller.person_id)
    return await call.desks.delivery.submit(command, who=command.by, key=call.key)


async def list_riders(call: Call[None, RidersQuery]) -> RiderPage:
    """GET /v1/campuses/{campus}/riders: who works, and where he is free when."""
    return await rider_page(call.desks.delivery, after=call.query.after, limit=call.query.limit)


async def show_riders_expected(call: Call[None, None]) -> RidersExpected:
    """GET /v1/campuses/{campus}/riders-expected: how many riders a meal has."""
    return await riders_expected(call.desks.delivery)


async def put_riders_expected(call: Call[RidersBody, None]) -> Committed:
    """PUT /v1/campuses/{campus}/riders-expected: how many riders a meal has."""
    command = ExpectRiders(riders=call.body.riders, by=call.caller.person_id)
    return await call.desks.delivery.submit(command, who=command.by, key=call.key)


async def show_delivery(call: Call[None, None]) -> OrderDelivery:
    """GET /v1/campuses/{campus}/orders/{order_id}/delivery: when my order comes."""
    who = call.caller
    member_id = None if Role.OPERATOR in who.roles else who.person_id
    return await delivery_of_order(call.desks.delivery, order_id=call.path["order_id"], member_id=member_id)


ROUTES = (
    Route(
        "POST",
        f"{_CAMPUS}/rider/shift",
        begin_shift,
        answer=RiderAnswer,
        body=ShiftBody,
        roles=_RIDERS,
        problems=(ShiftTooLong, RidersEnough),
        summary="Begin my shift, or say where I am now",
    ),
    Route(
        "POST",
        f"{_CAMPUS}/rider/shift/end",
        end_shift,
        answer=RiderAnswer,
        body=NoBody,
        roles=_RIDERS,
        problems=(StillCarrying,),
        summary="End my shift",
    ),
    Route(
        "GET",
        f"{_CAMPUS}/rider/board",
        show_rider_board,
        answer=RiderBoard,
        roles=_RIDERS,
        summary="My shift, and the bundle I have to bring",
    ),
    Route(
        "POST",
        f"{_CAMPUS}/rider/bundles/{{bundle_id}}/pick-up",
        pick_up,
        answer=BundleAnswer,
        body=NoBody,
        roles=_RIDERS,
        problems=(NotReady,),
        summary="I have picked my bundle up",
    ),
    Route(
        "POST",
        f"{_CAMPUS}/rider/parcels/{{parcel_id}}/deliver",
        deliver,
        answer=BundleAnswer,
        body=NoBody,
        roles=_RIDERS,
        problems=(NotPickedUp,),
        summary="I have brought a parcel to its building",
    ),
    Route(
        "GET",
        f"{_CAMPUS}/merchant/parcels",
        list_parcels_of_shop,
        answer=ParcelPage,
        query=ParcelsQuery,
        roles=frozenset({Role.MERCHANT}),
        summary="What my shop hands over, by building, and when it is promised",
    ),
    Route(
        "GET",
        f"{_CAMPUS}/parcels",
        list_parcels,
        answer=ParcelPage,
        query=ParcelsQuery,
        roles=_OPERATORS,
        summary="Parcels of the campus in a state",
    ),
    Route(
        "GET",
        f"{_CAMPUS}/operator/unfetched",
        list_unfetched,
        answer=ParcelPage,
        query=UnfetchedQuery,
        roles=_OPERATORS,
        summary="Ready parcels of the campus that are late to be fetched",
    ),
    Route(
        "POST",
        f"{_CAMPUS}/parcels/{{parcel_id}}/send-another",
        send_another,
        answer=ParcelAnswer,
        body=NoBody,
        roles=_OPERATORS,
        summary="Do not wait for a parcel's rider: he is off, and it is planned anew",
    ),
    Route(
        "GET",
        f"{_CAMPUS}/riders",
        list_riders,
        answer=RiderPage,
        query=RidersQuery,
        roles=_OPERATORS,
        summary="Riders of the campus",
    ),
    Route(
        "GET",
        f"{_CAMPUS}/riders-expected",
        show_riders_expected,
        answer=RidersExpected,
        roles=_OPERATORS,
        summary="How many riders a meal has, and how much is promised at most",
    ),
    Route(
        "PUT",
        f"{_CAMPUS}/riders-expected",
        put_riders_expected,
        answer=RidersExpected,
        body=RidersBody,
        roles=_OPERATORS,
        summary="Say how many riders a meal has",
    ),
    Route(
        "GET",
        f"{_CAMPUS}/orders/{{order_id}}/delivery",
        show_delivery,
        answer=OrderDelivery,
        summary="When an order comes, for its member and operators",
    ),
)

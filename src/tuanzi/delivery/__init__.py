"""Delivery: parcels by merchant, building and time, bundled and given to riders (B2, B3, B9, B10). Database: delivery.

Owns consignments, parcels, drop_offs, meal_loads, riders, bundles, boards.
Hears SubOrderAdvanced (of core, through its log).
Emits PromiseMade, PromiseMoved, BundleAssigned, BundleReleased, BundlePickedUp, ParcelDelivered, ParcelDropped,
ParcelUnfetched, BundleDelivered, RiderCameOn, RiderWentOff.
A drop-off is in one parcel, a parcel in at most one bundle at a time. Plans are made outside of every batch; what a
plan assumed is checked again when it is taken over.
"""

from __future__ import annotations

from functools import partial

from tuanzi.delivery import model, service
from tuanzi.delivery.handlers import on_sub_order_advanced
from tuanzi.delivery.model import (
    CAMPUS_TERMS,
    EPOCH,
    Assignment,
    BundleAnswer,
    BundleState,
    CancelDelivery,
    ConfirmDelivery,
    DeliverParcel,
    DropOff,
    DropOffState,
    ExpectRiders,
    GoOffShift,
    GoOnShift,
    Hand,
    Load,
    ParcelState,
    PickUpBundle,
    PlanBundles,
    RiderAnswer,
    RidersExpected,
    Situation,
    Spot,
    TakePlan,
    Terms,
    TryDelivery,
    plan,
)
from tuanzi.delivery.problems import NotPickedUp, NotPromised, NotReady, RidersEnough, ShiftTooLong, StillCarrying
from tuanzi.delivery.queries import (
    BundleLine,
    DropOffView,
    OrderDelivery,
    ParcelPage,
    ParcelView,
    RiderBoard,
    SplitDelivery,
    delivery_of_split,
)
from tuanzi.delivery.store import KEEPS, TABLES
from tuanzi.delivery.web import ROUTES
from tuanzi.machinery.fence import fence_place
from tuanzi.machinery.room import Room
from tuanzi.people import ForgetPerson

__all__ = [
    "CAMPUS_TERMS",
    "EPOCH",
    "TABLES",
    "Assignment",
    "BundleAnswer",
    "BundleLine",
    "BundleState",
    "CancelDelivery",
    "ConfirmDelivery",
    "DeliverParcel",
    "DropOff",
    "DropOffState",
    "DropOffView",
    "ExpectRiders",
    "GoOffShift",
    "GoOnShift",
    "Hand",
    "Load",
    "NotPickedUp",
    "NotPromised",
    "NotReady",
    "OrderDelivery",
    "ParcelPage",
    "ParcelState",
    "ParcelView",
    "PickUpBundle",
    "PlanBundles",
    "RiderAnswer",
    "RiderBoard",
    "RidersEnough",
    "RidersExpected",
    "ShiftTooLong",
    "Situation",
    "SplitDelivery",
    "Spot",
    "StillCarrying",
    "TakePlan",
    "Terms",
    "TryDelivery",
    "delivery_of_split",
    "on_sub_order_advanced",
    "plan",
    "room",
]


def room(terms: Terms = CAMPUS_TERMS) -> Room:
    """Delivery as wiring puts it into the house; `terms` are how its riders move and serve."""
    return Room(
        name="delivery",
        database="delivery",
        tables=TABLES,
        commands={
            model.TryDelivery: partial(service.try_delivery, terms=terms),
            model.ConfirmDelivery: partial(service.confirm_delivery, terms=terms),
            model.CancelDelivery: service.cancel_delivery,
            model.ExpectRiders: service.expect_riders,
            model.GoOnShift: partial(service.go_on_shift, terms=terms),
            model.GoOffShift: partial(service.go_off_shift, terms=terms),
            model.EndShift: service.end_shift,
            ForgetPerson: partial(service.forget_rider, terms=terms),
            model.PickUpBundle: service.pick_up_bundle,
            model.DeliverParcel: partial(service.deliver_parcel, terms=terms),
            model.ReleaseBundle: partial(service.release_bundle, terms=terms),
            model.WatchFetching: service.watch_fetching,
            model.SendAnother: partial(service.send_another, terms=terms),
            model.Replan: partial(service.replan, terms=terms),
            model.TakePlan: partial(service.take_plan, terms=terms),
        },
        errands={model.PlanBundles: partial(service.make_plan, terms=terms)},
        assumed_new={model.TryDelivery: lambda command: [fence_place(command.branch)]},
        routes=ROUTES,
        keeps=KEEPS,
    )

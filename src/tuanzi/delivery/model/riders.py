"""Who brings it: riders, their shifts and bundles, the board of dispatch, and what they are asked and told."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tuanzi.base.ids import MerchantId, PersonId
from tuanzi.delivery.model.parcels import PORTIONS_PER_PARCEL, ParcelState, Spot

# Our choices. In a meal's 150 minutes a rider makes ten rounds of a quarter of an hour.
ROUNDS_PER_MEAL: Final = 10
COOKING_TAKES: Final = timedelta(minutes=10)
# A rider expected by now and not there yet is expected in so long.
OVERDUE_FOR: Final = timedelta(minutes=2)
# Food that was to be ready by now and is not is promised in so long: some minutes to be made, some to be brought.
OVERDUE_ARRIVES_IN: Final = timedelta(minutes=15)
# So long after food was to be ready its rider waits for it; then he goes, and somebody is sent when it is ready.
RIDER_WAITS_MAX: Final = timedelta(minutes=10)
# Ready food that was not picked up so long after it was planned to be goes to somebody else.
PICK_UP_WITHIN: Final = timedelta(minutes=15)
# Food that is ready so long is late to be fetched: nobody was sent, or who was sent did not come. A person looks.
UNFETCHED_AFTER: Final = timedelta(minutes=15)
# A promise that is kept to so much is not changed.
PROMISE_STEADY: Final = timedelta(minutes=2)
SHIFT_MAX: Final = timedelta(hours=16)
# On shift at once: it bounds the time of planning as well.
RIDERS_MAX: Final = 1_000


class Board(Struct, frozen=True, kw_only=True, gc=False):
    """What dispatch has before it: parcels that need a rider, and riders on shift. One of a campus.

    parcels: not those that were to be ready and are not; they come back when they are.
    riders_expected: how many the operator counts on for a meal; None when he does not limit what is promised.
    plan_at: when planning is due. planning_since: when the plan under way was begun.
    """

    id: str = "campus"
    parcels: tuple[str, ...] = ()
    riders: tuple[str, ...] = ()
    riders_expected: int | None = None
    plan_at: datetime | None = None
    planning_since: datetime | None = None


class Rider(Struct, frozen=True, kw_only=True, gc=False):
    """A rider. spot, free_at: where and when he is free, of what is known. until: after it he picks nothing up.

    bundles: how many he was given so far; their ids count on.
    """

    id: PersonId
    is_on: bool
    spot: Spot
    free_at: datetime
    until: datetime
    portions_max: int
    bundle_id: str | None = None
    bundles: int = 0


class BundleState(StrEnum):
    """Where a bundle is."""

    ASSIGNED = "assigned"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    RELEASED = "released"  # not picked up: its parcels wait again, or nothing was left in it


class Bundle(Struct, frozen=True, kw_only=True, gc=False):
    """Parcels of one merchant on their way with one rider, in the order of their doors."""

    id: str
    rider_id: PersonId
    merchant_id: MerchantId
    from_spot: Spot
    state: BundleState
    parcel_ids: tuple[str, ...]
    assigned_at: datetime
    picks_up_at: datetime
    ended_at: datetime | None = None


class ExpectRiders(Struct, frozen=True, kw_only=True, gc=False):
    """Say how many riders a meal has; None promises without limit."""

    riders: int | None
    by: PersonId


class GoOnShift(Struct, frozen=True, kw_only=True, gc=False):
    """A rider begins, or says where he is now and until when he works."""

    rider_id: PersonId
    spot: Spot
    until: datetime
    portions_max: int = PORTIONS_PER_PARCEL


class GoOffShift(Struct, frozen=True, kw_only=True, gc=False):
    """A rider ends; what he was to pick up goes to somebody else."""

    rider_id: PersonId


class EndShift(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a rider's time is up."""

    rider_id: PersonId


class PickUpBundle(Struct, frozen=True, kw_only=True, gc=False):
    """A rider has a bundle in hand."""

    bundle_id: str
    rider_id: PersonId


class DeliverParcel(Struct, frozen=True, kw_only=True, gc=False):
    """A rider handed a parcel over at its building."""

    parcel_id: str
    rider_id: PersonId


class ReleaseBundle(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a bundle that nobody came for goes to somebody else, and its rider is off; one not made lets him go."""

    bundle_id: str


class WatchFetching(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: was a ready parcel fetched in time?"""

    parcel_id: str


class SendAnother(Struct, frozen=True, kw_only=True, gc=False):
    """An operator does not wait any longer for a parcel's rider."""

    parcel_id: str
    by: PersonId


class Replan(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: see what there is to plan."""


class RiderAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """How a rider stands now."""

    rider_id: str
    is_on: bool
    until: datetime
    bundle_id: str | None


class BundleAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """How a bundle stands now, and its parcels in the order of their doors."""

    bundle_id: str
    state: BundleState
    parcel_ids: tuple[str, ...]


class ParcelAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """How a parcel stands now. riders: how many are on shift; with none nobody can be sent."""

    parcel_id: str
    state: ParcelState
    riders: int


class RidersExpected(Struct, frozen=True, kw_only=True, gc=False):
    """How many riders a meal has, and how many portions are promised for it at most; None is no limit."""

    riders: int | None
    portions_max: int | None


def portions_promised_max(board: Board) -> int | None:
    """How many portions the riders of a meal can carry; None when nobody said how many riders there will be."""
    if board.riders_expected is None:
        return None
    return max(board.riders_expected, len(board.riders)) * ROUNDS_PER_MEAL * PORTIONS_PER_PARCEL

"""What is to be brought: a split's branch, its drop-offs, and the parcels they are carried in."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.branch import Branch
from tuanzi.base.ids import BuildingId, GroupId, MealId, MerchantId, OrderId, PersonId, SubOrderId

# Our choice. A rider's box holds so many dishes; so does what is handed over as one.
PORTIONS_PER_PARCEL: Final = 20


class Spot(Struct, frozen=True, kw_only=True, gc=False):
    """A place on the map: a merchant's counter or a building's door, in millionths of a degree."""

    latitude_e6: int
    longitude_e6: int


NOWHERE: Final = Spot(latitude_e6=0, longitude_e6=0)


class DropOff(Struct, frozen=True, kw_only=True, gc=False):
    """One sub-order's way from its merchant to its building. portions: how many dishes there are to carry.

    ready_at: when the merchant means to have it ready; None when he did not say.
    """

    sub_order_id: SubOrderId
    order_id: OrderId
    member_id: PersonId
    merchant_id: MerchantId
    building_id: BuildingId
    meal_id: MealId
    portions: int
    from_spot: Spot
    to_spot: Spot
    ready_at: datetime | None = None


class TryDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """Try: promise to bring all of a split group's sub-orders. split_at: when the group closed."""

    branch: Branch
    group_id: GroupId
    drop_offs: tuple[DropOff, ...]
    split_at: datetime


class ConfirmDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """Confirm: what was promised is to be brought."""

    branch: Branch


class CancelDelivery(Struct, frozen=True, kw_only=True, gc=False):
    """Cancel: what was promised is not wanted any more."""

    branch: Branch


class ParcelState(StrEnum):
    """Where a parcel is."""

    PROMISED = "promised"  # tried, not confirmed
    WAITING = "waiting"  # to be brought, by nobody yet
    ASSIGNED = "assigned"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    DROPPED = "dropped"  # cancelled, or nothing is left in it


class Parcel(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant hands over for one building out of one split: its drop-offs are made and carried together.

    sub_order_ids: of those still to be brought. unready, unbegun: how many of them are not ready, and not even being
    made. ready_at: when all are ready, or are expected to be. arrives_at: what was promised, or when it came.
    """

    id: str
    gid: str
    group_id: GroupId
    merchant_id: MerchantId
    building_id: BuildingId
    meal_id: MealId
    from_spot: Spot
    to_spot: Spot
    state: ParcelState
    sub_order_ids: tuple[str, ...]
    portions: int
    unready: int
    unbegun: int
    ordered_at: datetime
    arrives_at: datetime
    ready_at: datetime | None = None
    bundle_id: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether all of it can be picked up."""
        return self.unready == 0

    @property
    def is_planned_with(self) -> bool:
        """Whether a rider is to be found for it now: it is being made, and nobody has it."""
        return self.state is ParcelState.WAITING and self.unbegun == 0

    @property
    def is_on_the_counter(self) -> bool:
        """Whether all of it is ready, and no rider has it yet."""
        return self.is_ready and self.state in (ParcelState.WAITING, ParcelState.ASSIGNED)

    def is_overdue(self, *, now: datetime) -> bool:
        """Whether it was to be ready by now and is not: nobody knows when it will be, so nobody is sent for it."""
        return not self.is_ready and self.ready_at is not None and self.ready_at < now


class DropOffState(StrEnum):
    """Where one drop-off is."""

    PLANNED = "planned"
    COOKING = "cooking"
    READY = "ready"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    DROPPED = "dropped"


class PlacedDropOff(Struct, frozen=True, kw_only=True, gc=False):
    """A drop-off in its parcel."""

    sub_order_id: SubOrderId
    order_id: OrderId
    member_id: PersonId
    parcel_id: str
    portions: int
    state: DropOffState
    ready_at: datetime | None = None


class Consignment(Struct, frozen=True, kw_only=True, gc=False):
    """All that one split has to have brought."""

    gid: str
    group_id: GroupId
    parcel_ids: tuple[str, ...]


class MealLoad(Struct, frozen=True, kw_only=True, gc=False):
    """How many portions are promised for a meal."""

    meal_id: MealId
    portions: int


def parcels_of(command: TryDelivery, *, arrives_at: datetime) -> tuple[list[Parcel], list[PlacedDropOff]]:
    """A split's drop-offs as parcels, by merchant, building and meal; the same command gives the same parcels.

    None holds more than PORTIONS_PER_PARCEL, but for a single drop-off that is larger.
    """
    parcels: list[Parcel] = []
    placed: list[PlacedDropOff] = []
    open_parcel: dict[tuple[str, str, str, Spot, Spot], int] = {}
    for drop_off in command.drop_offs:
        place = (
            drop_off.merchant_id,
            drop_off.building_id,
            drop_off.meal_id,
            drop_off.from_spot,
            drop_off.to_spot,
        )
        i = open_parcel.get(place)
        if i is None or parcels[i].portions + drop_off.portions > PORTIONS_PER_PARCEL:
            i = open_parcel[place] = len(parcels)
            parcels.append(_empty_parcel(command, drop_off, number=i + 1, arrives_at=arrives_at))
        parcel = parcels[i]
        parcels[i] = replace(
            parcel,
            sub_order_ids=(*parcel.sub_order_ids, drop_off.sub_order_id),
            portions=parcel.portions + drop_off.portions,
            unready=parcel.unready + 1,
            unbegun=parcel.unbegun + 1,
        )
        one = PlacedDropOff(
            sub_order_id=drop_off.sub_order_id,
            order_id=drop_off.order_id,
            member_id=drop_off.member_id,
            parcel_id=parcel.id,
            portions=drop_off.portions,
            state=DropOffState.PLANNED,
            ready_at=drop_off.ready_at,
        )
        placed.append(one)
    return parcels, placed


def _empty_parcel(command: TryDelivery, drop_off: DropOff, *, number: int, arrives_at: datetime) -> Parcel:
    return Parcel(
        id=f"{command.branch.gid}.d{number}",
        gid=command.branch.gid,
        group_id=command.group_id,
        merchant_id=drop_off.merchant_id,
        building_id=drop_off.building_id,
        meal_id=drop_off.meal_id,
        from_spot=drop_off.from_spot,
        to_spot=drop_off.to_spot,
        state=ParcelState.PROMISED,
        sub_order_ids=(),
        portions=0,
        unready=0,
        unbegun=0,
        ordered_at=command.split_at,
        arrives_at=arrives_at,
    )

"""A split's branch: what is promised, confirmed and given up (B3)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.branch import BranchAnswer
from tuanzi.base.ids import MealId
from tuanzi.base.unit import Unit
from tuanzi.delivery.model import (
    CancelDelivery,
    ConfirmDelivery,
    Consignment,
    MealLoad,
    Parcel,
    ParcelState,
    Terms,
    TryDelivery,
    parcels_of,
    portions_promised_max,
)
from tuanzi.delivery.problems import NotPromised
from tuanzi.delivery.service.board import board_of, keep_parcel, promised_parcel, unload
from tuanzi.events import PromiseMade
from tuanzi.machinery.fence import answer_of, cancel_branch, confirm_branch, try_branch


def try_delivery(unit: Unit, command: TryDelivery, *, now: datetime, terms: Terms) -> BranchAnswer:
    """Promise a split's drop-offs, as parcels. A repeat changes nothing. Raises NotPromised, StaleCoordinator."""
    content = replace(command, branch=replace(command.branch, epoch=0))
    if try_branch(unit, command.branch, content=content, now=now):
        _promise(unit, command, terms=terms)
    return answer_of(unit, command.branch)


def confirm_delivery(unit: Unit, command: ConfirmDelivery, *, now: datetime, terms: Terms) -> BranchAnswer:
    """Make a split's drop-offs live. A repeat changes nothing. Raises EmptyConfirm, StaleCoordinator."""
    if confirm_branch(unit, command.branch, now=now):
        consignment = unit.load(Consignment, command.branch.gid)
        parcels = [unit.load(Parcel, parcel_id) for parcel_id in consignment.parcel_ids]
        promised = []
        for parcel in parcels:
            if parcel.state is ParcelState.PROMISED:
                keep_parcel(unit, replace(parcel, state=ParcelState.WAITING), before=parcel, now=now, terms=terms)
                promised.append(promised_parcel(parcel))
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
                unload(unit, parcel.meal_id, portions=parcel.portions)
    return answer_of(unit, command.branch)


def _promise(unit: Unit, command: TryDelivery, *, terms: Terms) -> None:
    parcels, drop_offs = parcels_of(command, arrives_at=command.split_at + terms.late * terms.tick)
    by_meal: dict[MealId, int] = {}
    for parcel in parcels:
        by_meal[parcel.meal_id] = by_meal.get(parcel.meal_id, 0) + parcel.portions
    most = portions_promised_max(board_of(unit))
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

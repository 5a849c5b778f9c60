"""What plans go by: parcels and when they are promised, riders who are free, when is planned next."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.delivery.model import (
    PROMISE_STEADY,
    UNFETCHED_AFTER,
    Board,
    MealLoad,
    Parcel,
    Replan,
    Rider,
    Terms,
    WatchFetching,
)
from tuanzi.events import PromisedParcel, PromiseMoved, RiderWentOff

_BOARD = "campus"


def board_of(unit: Unit) -> Board:
    """What waits for riders and which riders are on, on this campus."""
    return unit.find(Board, _BOARD) or Board()


def keep_parcel(unit: Unit, parcel: Parcel, *, before: Parcel, now: datetime, terms: Terms) -> None:
    """Put a parcel, on the board as long as a rider is to be found for it; news of it are planned with soon.

    What left the board as overdue is there again when there are news of it. From when all of it is ready until it is
    fetched, one timer watches that it is.
    """
    unit.put(parcel)
    if parcel.is_on_the_counter and not before.is_on_the_counter:
        unit.schedule(fetching_timer(parcel), WatchFetching(parcel_id=parcel.id), at=now + UNFETCHED_AFTER)
    elif before.is_on_the_counter and not parcel.is_on_the_counter:
        unit.unschedule(fetching_timer(parcel))
    if not parcel.is_planned_with and not before.is_planned_with:
        return
    board = board_of(unit)
    if parcel.is_planned_with != (parcel.id in board.parcels):
        others = tuple([one for one in board.parcels if one != parcel.id])
        unit.put(replace(board, parcels=(*others, parcel.id) if parcel.is_planned_with else others))
    if parcel.is_planned_with and parcel != before:
        plan_soon(unit, now=now, terms=terms)


def fetching_timer(parcel: Parcel) -> str:
    """The name of the timer that watches whether a ready parcel is fetched."""
    return f"fetch:{parcel.id}"


def expect_parcel(unit: Unit, parcel: Parcel, *, arrives_at: datetime) -> Parcel:
    """Move a promise that is not kept to two minutes; else leave it as it is."""
    if abs(parcel.arrives_at - arrives_at) <= PROMISE_STEADY:
        return parcel
    parcel = replace(parcel, arrives_at=arrives_at)
    unit.put(parcel)
    unit.emit(PromiseMoved(group_id=parcel.group_id, parcel=promised_parcel(parcel)))
    return parcel


def promised_parcel(parcel: Parcel) -> PromisedParcel:
    """A parcel as its members are told of it."""
    return PromisedParcel(
        parcel_id=parcel.id,
        merchant_id=parcel.merchant_id,
        building_id=parcel.building_id,
        sub_order_ids=parcel.sub_order_ids,
        arrives_at=parcel.arrives_at,
    )


def unload(unit: Unit, meal_id: str, *, portions: int) -> None:
    """So many portions of a meal are promised no more."""
    load = unit.load(MealLoad, meal_id)
    unit.put(replace(load, portions=load.portions - portions))


def sign_off(unit: Unit, rider_id: str) -> Rider:
    """A rider works no more; harmless for one who is off."""
    rider = unit.load(Rider, rider_id)
    if rider.is_on:
        rider = replace(rider, is_on=False)
        unit.put(rider)
        unit.unschedule(f"shift:{rider.id}")
        board = board_of(unit)
        unit.put(replace(board, riders=tuple([one for one in board.riders if one != rider_id])))
        unit.emit(RiderWentOff(rider_id=rider.id))
    return rider


def set_free(unit: Unit, rider_id: str, *, at: datetime, now: datetime, terms: Terms) -> None:
    """A rider has nothing any more; when his time is up, he is off."""
    rider = replace(unit.load(Rider, rider_id), bundle_id=None, free_at=at)
    unit.put(rider)
    if rider.until <= now:
        sign_off(unit, rider_id)
    plan_soon(unit, now=now, terms=terms)


def plan_soon(unit: Unit, *, now: datetime, terms: Terms) -> None:
    """Have a plan made shortly, where there is something to plan and nobody is at it."""
    board = board_of(unit)
    if board.parcels and board.riders and board.planning_since is None:
        plan_by(unit, board, at=now + terms.pause * terms.tick)


def plan_by(unit: Unit, board: Board, *, at: datetime) -> None:
    """Plan no later than that; a stream of news does not put a plan off."""
    if board.plan_at is None or at < board.plan_at:
        unit.put(replace(board, plan_at=at))
        unit.schedule("plan", Replan(), at=at)

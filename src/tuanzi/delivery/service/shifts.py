"""Riders come and go (B10)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.delivery.model import (
    NOWHERE,
    RIDERS_MAX,
    SHIFT_MAX,
    Bundle,
    BundleState,
    EndShift,
    ExpectRiders,
    GoOffShift,
    GoOnShift,
    Rider,
    RiderAnswer,
    RidersExpected,
    Terms,
    portions_promised_max,
)
from tuanzi.delivery.problems import RidersEnough, ShiftTooLong, StillCarrying
from tuanzi.delivery.service.board import board_of, plan_soon, sign_off
from tuanzi.delivery.service.bundles import release
from tuanzi.events import RiderCameOn
from tuanzi.people import ForgetPerson, Forgotten


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
        board = board_of(unit)
        if len(board.riders) >= RIDERS_MAX:
            raise RidersEnough(riders=RIDERS_MAX)
        unit.put(replace(board, riders=(*board.riders, rider.id)))
        unit.emit(RiderCameOn(rider_id=rider.id, until=rider.until))
    plan_soon(unit, now=now, terms=terms)
    return _rider_answer(rider)


def go_off_shift(unit: Unit, command: GoOffShift, *, now: datetime, terms: Terms) -> RiderAnswer:
    """A rider ends; a repeat changes nothing. What he was to pick up is planned anew. Raises Unknown, StillCarrying."""
    rider = unit.load(Rider, command.rider_id)
    if rider.is_on and rider.bundle_id is not None:
        bundle = unit.load(Bundle, rider.bundle_id)
        if bundle.state is BundleState.PICKED_UP:
            raise StillCarrying(bundle_id=bundle.id)
        release(unit, bundle, reason="rider_went_off", now=now, terms=terms)
    return _rider_answer(sign_off(unit, rider.id))


def end_shift(unit: Unit, command: EndShift, *, now: datetime) -> RiderAnswer:
    """A rider's time is up: he is off when he has nothing, else as soon as all is handed over."""
    rider = unit.load(Rider, command.rider_id)
    if rider.bundle_id is None and rider.until <= now:
        rider = sign_off(unit, rider.id)
    return _rider_answer(rider)


def forget_rider(unit: Unit, command: ForgetPerson, *, now: datetime, terms: Terms) -> Forgotten:
    """A rider is erased: he is off, and where he was is not known any more. Raises StillCarrying: not yet."""
    if unit.find(Rider, command.person_id) is not None:
        go_off_shift(unit, GoOffShift(rider_id=command.person_id), now=now, terms=terms)
        rider = unit.load(Rider, command.person_id)
        unit.put(replace(rider, spot=NOWHERE))
    return Forgotten(person_id=command.person_id)


def expect_riders(unit: Unit, command: ExpectRiders, *, now: datetime) -> RidersExpected:
    """Say how many riders a meal has; a repeat changes nothing. What is promised stays promised."""
    board = replace(board_of(unit), riders_expected=command.riders)
    unit.put(board)
    return RidersExpected(riders=board.riders_expected, portions_max=portions_promised_max(board))


def _rider_answer(rider: Rider) -> RiderAnswer:
    return RiderAnswer(rider_id=rider.id, is_on=rider.is_on, until=rider.until, bundle_id=rider.bundle_id)

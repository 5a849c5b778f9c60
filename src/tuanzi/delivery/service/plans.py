"""Plans: who brings what, made outside of every batch and checked again when they come home (B9)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.delivery.model import (
    OVERDUE_ARRIVES_IN,
    OVERDUE_FOR,
    PLANNED_MAX,
    Assignment,
    Board,
    Bundle,
    BundleState,
    Hand,
    Load,
    Parcel,
    ParcelState,
    PlanBundles,
    ReleaseBundle,
    Replan,
    Rider,
    Situation,
    TakePlan,
    Terms,
    plan,
)
from tuanzi.delivery.service.board import board_of, expect_parcel, keep_parcel, plan_by
from tuanzi.delivery.service.bundles import time_released
from tuanzi.events import BundleAssigned

# A plan that did not come home by then is made anew.
_PLANNING_MAX = timedelta(minutes=1)


def replan(unit: Unit, command: Replan, *, now: datetime, terms: Terms) -> None:
    """See what waits and who is there, and have it planned outside; not while a plan is being made."""
    board = replace(board_of(unit), plan_at=None)
    unit.put(board)
    if board.planning_since is not None and now < board.planning_since + _PLANNING_MAX:
        plan_by(unit, board, at=now + terms.every * terms.tick)
        return
    if not board.parcels or not board.riders:
        return
    board = _without_overdue(unit, board, now=now)
    if not board.parcels:
        return
    situation = _situation(unit, board, now=now, terms=terms)
    if not any(hand.until >= situation.now for hand in situation.hands):
        return  # everybody's time is up, though some have not brought what they have; who comes is planned with soon
    unit.put(replace(board, planning_since=now))
    unit.schedule("planning", PlanBundles(situation=situation), at=now)


async def make_plan(errand: PlanBundles, *, now: datetime, terms: Terms) -> TakePlan:
    """Plan in a thread, so that nobody waits for it."""
    made = await asyncio.to_thread(plan, errand.situation, terms=terms)
    return TakePlan(assignments=tuple(made))


def take_plan(unit: Unit, command: TakePlan, *, now: datetime, terms: Terms) -> None:
    """Send the riders who must leave now and move promises; what no longer holds of a plan is left to the next one."""
    unit.put(replace(board_of(unit), planning_since=None))
    unit.unschedule("planning")
    for assignment in command.assignments:
        parcels = [unit.find(Parcel, parcel_id) for parcel_id in assignment.parcel_ids]
        waiting = [parcel for parcel in parcels if parcel is not None and parcel.is_planned_with]
        if len(waiting) == len(parcels):
            if assignment.is_due:
                _assign(unit, assignment, waiting, now=now, terms=terms)
            else:
                for parcel, ticks in zip(waiting, assignment.arrives_at, strict=True):
                    expect_parcel(unit, parcel, arrives_at=terms.time(ticks))
    board = board_of(unit)
    if board.parcels:
        plan_by(unit, board, at=now + terms.every * terms.tick)


def _without_overdue(unit: Unit, board: Board, *, now: datetime) -> Board:
    """The board without food that was to be ready and is not: it would be expected soon for ever, before all that is.

    It comes back when it is ready.
    """
    overdue: set[str] = set()
    for parcel_id in board.parcels:
        parcel = unit.load(Parcel, parcel_id)
        if parcel.is_overdue(now=now):
            overdue.add(parcel_id)
            expect_parcel(unit, parcel, arrives_at=max(parcel.arrives_at, now + OVERDUE_ARRIVES_IN))
    if overdue:
        board = replace(board, parcels=tuple([one for one in board.parcels if one not in overdue]))
        unit.put(board)
    return board


def _situation(unit: Unit, board: Board, *, now: datetime, terms: Terms) -> Situation:
    """Those that need a rider longest, and everybody on shift."""
    overdue = now + OVERDUE_FOR
    loads = []
    for parcel_id in board.parcels[:PLANNED_MAX]:
        parcel = unit.load(Parcel, parcel_id)
        assert parcel.ready_at is not None, f"parcel {parcel_id} is on the board before it is made"
        load = Load(
            parcel_id=parcel.id,
            merchant_id=parcel.merchant_id,
            from_spot=parcel.from_spot,
            to_spot=parcel.to_spot,
            portions=parcel.portions,
            ordered_at=terms.ticks(parcel.ordered_at),
            ready_at=terms.ticks(parcel.ready_at),
        )
        loads.append(load)
    hands = []
    for rider_id in board.riders:
        rider = unit.load(Rider, rider_id)
        is_late = rider.bundle_id is not None and rider.free_at <= now
        hand = Hand(
            rider_id=rider.id,
            spot=rider.spot,
            free_at=terms.ticks(overdue if is_late else rider.free_at),
            until=terms.ticks(rider.until),
            portions_max=rider.portions_max,
        )
        hands.append(hand)
    return Situation(now=terms.ticks(now), loads=tuple(loads), hands=tuple(hands))


def _assign(unit: Unit, assignment: Assignment, parcels: Sequence[Parcel], *, now: datetime, terms: Terms) -> None:
    """Give a bundle to its rider, if he is still there and free."""
    rider = unit.find(Rider, assignment.rider_id)
    if rider is None or not rider.is_on or rider.bundle_id is not None or rider.until < now:
        return
    bundle = Bundle(
        id=f"{rider.id}.b{rider.bundles + 1}",
        rider_id=rider.id,
        merchant_id=parcels[0].merchant_id,
        from_spot=parcels[0].from_spot,
        state=BundleState.ASSIGNED,
        parcel_ids=assignment.parcel_ids,
        assigned_at=now,
        picks_up_at=terms.time(assignment.picks_up_at),
    )
    unit.add(bundle)
    for parcel, ticks in zip(parcels, assignment.arrives_at, strict=True):
        parcel = expect_parcel(unit, parcel, arrives_at=terms.time(ticks))
        assigned = replace(parcel, state=ParcelState.ASSIGNED, bundle_id=bundle.id)
        keep_parcel(unit, assigned, before=parcel, now=now, terms=terms)
    rider = replace(
        rider,
        bundle_id=bundle.id,
        bundles=rider.bundles + 1,
        spot=parcels[-1].to_spot,
        free_at=terms.time(assignment.arrives_at[-1] + terms.half_drop_off),
    )
    unit.put(rider)
    unit.schedule(f"bundle:{bundle.id}", ReleaseBundle(bundle_id=bundle.id), at=time_released(parcels, bundle))
    assigned_to = BundleAssigned(
        bundle_id=bundle.id,
        rider_id=bundle.rider_id,
        merchant_id=bundle.merchant_id,
        parcel_ids=bundle.parcel_ids,
        sub_order_ids=tuple([one for parcel in parcels for one in parcel.sub_order_ids]),
        picks_up_at=bundle.picks_up_at,
    )
    unit.emit(assigned_to)

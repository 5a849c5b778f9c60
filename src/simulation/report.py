"""What a run came to, for people and for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from msgspec import Struct

from simulation.house import VirtualHouse
from simulation.invariants import Broken, digest, store
from simulation.virtual import MORNING
from simulation.world import World
from tuanzi.base.time import show


class Report(Struct, frozen=True, kw_only=True):
    """A finished run, of all its campuses. Amounts in fen; `events` of every database; `kills` and other faults by name
    in `faults`; `guests`: paid seats of students in groups of another campus."""

    orders: int
    orders_told: int
    groups_formed: int
    groups_failed: int
    paid_fen: int
    refunded_fen: int
    payments: int
    refunds: int
    events: int
    answers: dict[str, int]
    orders_by_state: dict[str, int]
    sub_orders_by_state: dict[str, int]
    refunds_by_state: dict[str, int]
    faults: dict[str, int]
    ended_at: str
    digest: str
    guests: int
    invariants_broken: list[str]
    broken: list[Broken]


def report_of(world: World) -> Report:
    """What the books say now, of all campuses together; a group counts where it is at home."""
    houses = [side.house for side in world.sides.values()]
    groups = _counted(houses, "core", store.GROUPS_BY_STATE)
    orders = _counted(houses, "core", store.ORDERS_BY_STATE)
    paid = [house.rows("money", store.PAID_FEN)[0] for house in houses]
    refunded = [house.rows("money", store.REFUNDED_FEN)[0] for house in houses]
    paid_fen, payments = (sum(column) for column in zip(*paid, strict=True))
    refunded_fen, refunds = (sum(column) for column in zip(*refunded, strict=True))
    answers = sum((side.auditor.counts for side in world.sides.values()), Counter())
    broken = world.broken
    return Report(
        orders=sum(orders.values()),
        orders_told=sum(side.auditor.orders_told for side in world.sides.values()),
        groups_formed=groups.get("closed", 0) + groups.get("formed", 0),
        groups_failed=groups.get("failed", 0),
        paid_fen=paid_fen,
        refunded_fen=refunded_fen,
        payments=payments,
        refunds=refunds,
        events=sum(house.rows(kind, store.LAST_EVENT_NUMBER)[0][0] for house in houses for kind in house.disks),
        answers=dict(sorted(answers.items())),
        orders_by_state=orders,
        sub_orders_by_state=_counted(houses, "core", store.SUB_ORDERS_BY_STATE),
        refunds_by_state=_counted(houses, "money", store.REFUNDS_BY_STATE),
        faults=dict(sorted(world.trouble.hits.items())),
        ended_at=show(world.now),
        digest=digest(houses[0]) if len(houses) == 1 else _together([digest(house) for house in houses]),
        guests=sum(house.rows("core", store.GUESTS_SEATED)[0][0] for house in houses),
        invariants_broken=sorted({each.name for each in broken}),
        broken=broken,
    )


def _counted(houses: Sequence[VirtualHouse], kind: str, sql: str) -> dict[str, int]:
    """A count by state, of all campuses, in the order of the first."""
    counts: dict[str, int] = {}
    for house in houses:
        for state, count in house.rows(kind, sql):
            counts[state] = counts.get(state, 0) + count
    return counts


def _together(digests: Sequence[str]) -> str:
    return sha256(" ".join(digests).encode()).hexdigest()


def lines(report: Report) -> list[str]:
    """The report for a person's eye."""
    told = [
        f"{report.orders} orders, {report.groups_formed} groups formed, {report.groups_failed} failed, "
        f"until {report.ended_at} ({show(MORNING)} was the beginning)",
        f"{yuan(report.paid_fen)} paid in {report.payments} payments, "
        f"{yuan(report.refunded_fen)} given back in {report.refunds} refunds",
        f"orders: {_counts(report.orders_by_state)}",
        f"sub-orders: {_counts(report.sub_orders_by_state)}",
        f"answers: {_counts(report.answers)}",
        f"{report.events} events; digest {report.digest[:16]}",
    ]
    if report.guests:
        told.append(f"{report.guests} guests of other campuses had seats")
    if report.faults:
        told.append(f"faults: {_counts(report.faults)}")
    if not report.broken:
        told.append(
            "invariants: I1 money, I2 stock, I4 once, I5 ends, I6 durable, I10 price, I11 delivery, seats, events hold"
        )
    told += [f"BROKEN {each.name}: {each.what}" for each in report.broken[:20]]
    return told


def yuan(fen: int) -> str:
    """An amount as people write it."""
    return f"¥{fen // 100:,}.{fen % 100:02d}"


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"

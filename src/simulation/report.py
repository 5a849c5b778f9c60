"""What a run came to, for people and for scripts."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from simulation.invariants import Broken, digest, store
from simulation.virtual import MORNING
from simulation.world import World
from tuanzi.base.time import show


class Report(Struct, frozen=True, kw_only=True):
    """A finished run. Amounts in fen; `events` of both databases; `kills` and other faults by name in `faults`."""

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
    invariants_broken: list[str]
    broken: list[Broken]


def report_of(world: World) -> Report:
    """What the books say now."""
    house = world.house
    groups = dict(house.rows("core", store.GROUPS_BY_STATE))
    orders = dict(house.rows("core", store.ORDERS_BY_STATE))
    paid_fen, payments = house.rows("money", store.PAID_FEN)[0]
    refunded_fen, refunds = house.rows("money", store.REFUNDED_FEN)[0]
    broken = world.auditor.broken
    return Report(
        orders=sum(orders.values()),
        orders_told=world.auditor.orders_told,
        groups_formed=groups.get("closed", 0) + groups.get("formed", 0),
        groups_failed=groups.get("failed", 0),
        paid_fen=paid_fen,
        refunded_fen=refunded_fen,
        payments=payments,
        refunds=refunds,
        events=sum(house.rows(kind, store.LAST_EVENT_NUMBER)[0][0] for kind in house.disks),
        answers=dict(sorted(world.auditor.counts.items())),
        orders_by_state=orders,
        sub_orders_by_state=dict(house.rows("core", store.SUB_ORDERS_BY_STATE)),
        refunds_by_state=dict(house.rows("money", store.REFUNDS_BY_STATE)),
        faults=dict(sorted(world.trouble.hits.items())),
        ended_at=show(world.now),
        digest=digest(house),
        invariants_broken=sorted({each.name for each in broken}),
        broken=broken,
    )


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

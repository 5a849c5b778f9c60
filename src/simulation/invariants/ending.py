"""Everything ends (I5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from simulation.invariants import store
from simulation.invariants.books import Books, OrderRow
from tuanzi.base.time import to_ms

UNSETTLED = frozenset({"created", "paid", "grouped", "refunding"})


def all_has_ended(books: Books) -> Iterator[str]:
    """I5 at rest: no group is open, no order or shop waits, no event is parked, no timer is overdue."""
    for group in books.groups:
        if group.state not in ("closed", "failed"):
            yield f"group {group.id} is still {group.state}"
    for order in books.orders.values():
        if order.state in UNSETTLED and not (order.state == "refunding" and _is_refused(books, order)):
            yield f"order {order.id} is still {order.state}"
    watched = {id for (id,) in books.house.rows("core", store.WATCHED)}
    for sub in books.sub_orders:
        if sub.state == "planned" and f"accept:{sub.group_id}" not in watched:
            yield f"sub-order {sub.id} waits for its shop, and nobody looks"
    for refund in books.refunds.values():
        if refund.state not in ("settled", "refused"):
            yield f"refund {refund.id} is still {refund.state}"
    now_ms = to_ms(books.house.clock.true() - timedelta(minutes=5))
    for kind in books.house.disks:
        for source, number, name, reason in books.house.rows(kind, store.PARKED):
            yield f"{kind} has parked event {number} of {source} ({name}): {reason}"
        for timer_id, command in books.house.rows(kind, store.TIMERS_DUE, {"by_ms": now_ms}):
            yield f"{kind}: the timer {timer_id} ({command}) is overdue"


def _is_refused(books: Books, order: OrderRow) -> bool:
    """Whether the provider refused one of its refunds, so that a person must look."""
    return any(
        refund.state == "refused" for promise in order.refunds if (refund := books.refunds.get(promise.id)) is not None
    )

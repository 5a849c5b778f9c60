"""What the files must say after every fault: all that was acknowledged, nothing twice, every sum exact.

The provider in the process forgets at a kill, so what it held is not asked: only what the databases can prove.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.faults.city import SIZE, Files
from tests.faults.crowd import Crowd
from tests.waiting import until

MANY_CANCELLED = "more splits than one in ten that came to nothing"
# (what is wrong, database, rows that must not be there)
NEVER = (
    (
        "journals that do not balance",
        "money",
        """
        SELECT j.id, j.entry_count, COUNT(e.line), SUM(e.amount_fen) FROM journals j
        LEFT JOIN entries e ON e.journal_id = j.id GROUP BY j.id, j.entry_count
        HAVING COUNT(e.line) <> j.entry_count OR SUM(e.amount_fen) <> 0
        """,
    ),
    (
        "accounts whose balance is not the sum of their entries",
        "money",
        """
        SELECT b.account, b.amount_fen, SUM(e.amount_fen) FROM balances b
        LEFT JOIN entries e ON e.account = b.account GROUP BY b.account, b.amount_fen
        HAVING b.amount_fen <> COALESCE(SUM(e.amount_fen), 0)
        """,
    ),
    ("a ledger that is not zero", "money", "SELECT SUM(amount_fen) FROM entries HAVING SUM(amount_fen) <> 0"),
    (
        "captures that are not booked exactly once",
        "money",
        """
        SELECT p.id, p.captured_fen, COUNT(j.id), SUM(j.turnover_fen) FROM payments p
        LEFT JOIN journals j ON j.kind = 'capture' AND j.reference = p.id WHERE p.state = 'captured'
        GROUP BY p.id, p.captured_fen HAVING COUNT(j.id) <> 1 OR SUM(j.turnover_fen) <> p.captured_fen
        """,
    ),
    ("orders paid twice", "money", "SELECT order_id, COUNT(*) FROM payments GROUP BY order_id HAVING COUNT(*) > 1"),
    (
        "groups with more seats than they have",
        "core",
        f"SELECT id, seats FROM campus_groups WHERE json_array_length(seats) > {SIZE}",
    ),
    (
        "seats taken twice, or by nobody's order",
        "core",
        """
        SELECT s.value ->> 'order_id', COUNT(*), COUNT(o.id) FROM campus_groups g, json_each(g.seats) s
        LEFT JOIN orders o
        ON o.id = s.value ->> 'order_id' AND o.group_id = g.id AND o.member_id = s.value ->> 'member_id'
        GROUP BY 1 HAVING COUNT(*) <> 1 OR COUNT(o.id) <> 1
        """,
    ),
    (
        "live orders without a seat of their state",
        "core",
        """
        SELECT o.id, o.state FROM orders o WHERE o.state IN ('created', 'paid', 'grouped', 'split') AND NOT EXISTS (
            SELECT 1 FROM campus_groups g, json_each(g.seats) s WHERE g.id = o.group_id
            AND s.value ->> 'order_id' = o.id AND (s.value ->> 'state' = 'held') = (o.state = 'created')
        )
        """,
    ),
    (
        "portions held that are not those of open orders",
        "core",
        """
        SELECT p.dish_id, p.held, h.held FROM portions p LEFT JOIN (
            SELECT l.value ->> 'dish_id' AS dish_id, o.meal_id AS meal_id, SUM(l.value ->> 'quantity') AS held
            FROM orders o, json_each(o.quote, '$.lines') l WHERE o.state IN ('created', 'paid', 'grouped') GROUP BY 1, 2
        ) h ON h.dish_id = p.dish_id AND h.meal_id = p.meal_id WHERE p.held <> COALESCE(h.held, 0)
        """,
    ),
    (
        "portions sold that are not those of sub-orders",
        "core",
        """
        SELECT p.dish_id, p.sold, h.sold FROM portions p LEFT JOIN (
            SELECT l.value ->> 'dish_id' AS dish_id, o.meal_id AS meal_id, SUM(l.value ->> 'quantity') AS sold
            FROM sub_orders o, json_each(o.order_lines) l WHERE o.state NOT IN ('rejected', 'withdrawn') GROUP BY 1, 2
        ) h ON h.dish_id = p.dish_id AND h.meal_id = p.meal_id WHERE p.sold <> COALESCE(h.sold, 0)
        """,
    ),
    (
        "split orders whose parts are not what was paid",
        "core",
        """
        SELECT o.id, o.paid_fen, o.sub_orders, COUNT(s.id), SUM(s.payable_fen) FROM orders o
        LEFT JOIN sub_orders s ON s.order_id = o.id WHERE o.state = 'split' GROUP BY o.id, o.paid_fen, o.sub_orders
        HAVING COUNT(s.id) <> o.sub_orders OR SUM(s.payable_fen) <> o.paid_fen
        """,
    ),
    (
        "splits that are not as they were decided",
        "core",
        """
        SELECT s.gid, s.state, COUNT(b.value), COUNT(k.id)
        FROM splits s JOIN plans_of_splits p ON p.gid = s.gid, json_each(p.orders) o, json_each(o.value -> 'subs') b
        LEFT JOIN sub_orders k ON k.id = b.value ->> 'id' AND k.payable_fen = b.value ->> '$.payable[0]' GROUP BY 1, 2
        HAVING COUNT(k.id) <> CASE WHEN s.state IN ('confirming', 'confirmed') THEN COUNT(b.value) ELSE 0 END
        """,
    ),
    (
        "splits that were cancelled, though nobody refused and there was time",
        "core",
        "SELECT gid, reason FROM splits WHERE state LIKE 'cancel%' AND reason <> 'deadline'",
    ),
    (
        MANY_CANCELLED,
        "core",
        "SELECT SUM(state LIKE 'cancel%'), COUNT(*) FROM splits HAVING SUM(state LIKE 'cancel%') * 10 > COUNT(*)",
    ),
    (
        "full groups that are not split",
        "core",
        f"""
        SELECT g.id, g.state, COUNT(*) FROM campus_groups g JOIN orders o ON o.group_id = g.id
        WHERE o.state IN ('paid', 'grouped', 'split') GROUP BY g.id, g.state
        HAVING (COUNT(*) = {SIZE}) <> (g.state = 'closed')
            OR (COUNT(*) = {SIZE}) <> (MIN(o.state) IN ('grouped', 'split'))
        """,
    ),
    (
        "things told twice",
        "core",
        """
        SELECT name, COALESCE(body ->> 'order_id', body ->> 'group_id') AS whose, COUNT(*) FROM events
        WHERE name IN ('orders.placed', 'orders.paid', 'groups.opened', 'groups.closed', 'splitting.planned')
        GROUP BY 1, 2 HAVING COUNT(*) > 1
        """,
    ),
    *(
        (
            "events with a gap",
            kind,
            """
            SELECT COUNT(*), MIN(number), MAX(number), event_number FROM writer_cursor LEFT JOIN events
            HAVING COUNT(number) <> event_number OR MAX(number) <> event_number OR MIN(number) <> 1
            """,
        )
        for kind in ("core", "money", "delivery")
    ),
    *(("events laid aside", kind, "SELECT * FROM parked_events") for kind in ("core", "money", "delivery")),
)
PAYMENTS = "SELECT order_id, captured_fen FROM payments WHERE state = 'captured'"
ORDERS = "SELECT id, group_id, payable_fen, paid_fen, state FROM orders"
PLANNED = """
SELECT s.group_id, b.value ->> 'id' AS id, b.value ->> 'order_id', b.value ->> '$.items[0]',
    b.value ->> '$.discount[0]', b.value ->> '$.delivery[0]', b.value ->> '$.payable[0]'
FROM splits s JOIN plans_of_splits p ON p.gid = s.gid, json_each(p.orders) o, json_each(o.value -> 'subs') b
ORDER BY s.group_id, id
"""
UNDER_WAY = "SELECT COUNT(*) FROM splits WHERE state IN ('trying', 'confirming', 'cancelling')"
EACH = "sub_order_id", "order_id", "items_fen", "discount_fen", "delivery_fen", "payable_fen"
LAST_CAPTURE = "SELECT COALESCE(MAX(number), 0) FROM events WHERE name = 'money.payment_captured'"
HEARD = "SELECT COALESCE(MAX(number), 0) FROM follower_positions WHERE source = 'money'"


def wrong_in(files: Files, *, crowd: Crowd | None = None) -> list[str]:
    """What does not hold in the files at rest, in a few lines each; empty when all is well."""
    wrong = [f"{what}: {row}" for what, kind, sql in NEVER for row in files.rows(kind, sql)[:3]]
    captured = dict(files.rows("money", PAYMENTS))
    kept = {row[0]: row for row in files.rows("core", ORDERS)}
    wrong += [
        f"{row[0]}: {row[3]} fen paid, {captured.get(row[0])} captured"
        for row in kept.values()
        if row[3] != captured.get(row[0], 0)
    ][:3]
    if crowd is not None:
        wrong += _lost(files, crowd, kept, captured)[:20]
    return wrong


async def finish(crowd: Crowd, ordering: asyncio.Task[None], files: Callable[[], Files], *, within_s: float) -> None:
    """End a crowd's orders, ask again for all that it remembers, and wait until nothing is under way any more."""
    crowd.end()
    await ordering
    await crowd.repeat()
    await until(lambda: is_at_rest(files()), within_s=within_s, every_s=0.1)


def is_at_rest(files: Files) -> bool:
    """Whether core has heard of every capture, and every split has come to its end."""
    heard, last = files.rows("core", HEARD)[0][0], files.rows("money", LAST_CAPTURE)[0][0]
    return bool(heard >= last) and files.rows("core", UNDER_WAY) == [(0,)]


def _lost(files: Files, crowd: Crowd, kept: dict[str, tuple[object, ...]], captured: dict[str, int]) -> list[str]:
    """What was acknowledged and is not there as it was."""
    wrong = []
    for placed in crowd.placed.values():
        row = kept.get(placed.order_id)
        if row is None or row[1:3] != (placed.group_id, placed.payable_fen):
            wrong.append(f"acknowledged {placed}, kept {row}")
    for order_id in crowd.paid:
        payable_fen = crowd.placed[order_id].payable_fen
        if captured.get(order_id) != payable_fen:
            wrong.append(f"{order_id}: {payable_fen} fen acknowledged, {captured.get(order_id)} captured")
    planned: dict[str, list[tuple[object, ...]]] = {}
    for group_id, *cells in files.rows("core", PLANNED):
        planned.setdefault(group_id, []).append(tuple(cells))
    for group_id, plan in crowd.plans.items():
        told = sorted(tuple(sub[name] for name in EACH) for sub in plan)
        if told != planned.get(group_id):
            wrong.append(f"{group_id}: told {told}, kept {planned.get(group_id)}")
    return wrong

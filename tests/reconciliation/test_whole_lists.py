"""J5: what a sum or a person relies on is read as a whole, however much there is; nothing is silently left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.heart import BEIJING, LUNCH, Campus, run, students
from tests.reconciliation.auditor import Audited
from tests.reconciliation.test_bills import TODAY
from tests.shown import Shown
from tuanzi import catalog, stock
from tuanzi.base.ids import BuildingId
from tuanzi.catalog.queries import campaign_page, campus_page
from tuanzi.machinery.several import WHOLE_AT_FIRST, whole_rows
from tuanzi.money.queries import entries_of_orders, order_ledger
from tuanzi.orders import sub_orders_of_group
from tuanzi.orders.queries import unaccepted
from tuanzi.reconciliation.handlers.books import Comparison
from tuanzi.reconciliation.model import State


def copied(campus: Campus, table: str, count: int, *, key: str = "id", database: str = "core", **changed: str) -> None:
    """So many more rows of a table, as its first, with keys that sort after all; `changed` says of columns in SQL."""
    columns = [row[1] for row in campus.rows(f"PRAGMA table_info({table})", database=database)]
    said = {key: f"'z' || printf('%05d', n.i) || {key}", **changed}
    wanted = ", ".join([said.get(column, f"t.{column}") for column in columns])
    campus.books[database].database.execute_script(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
        f" INSERT INTO {table} ({', '.join(columns)})"
        f" SELECT {wanted} FROM (SELECT * FROM {table} ORDER BY 1 LIMIT 1) AS t, n;"
    )


@pytest.mark.parametrize("count", [0, WHOLE_AT_FIRST - 1, WHOLE_AT_FIRST, WHOLE_AT_FIRST + 1, 20_000])
def test_all_rows_come_and_mostly_at_once(count: int) -> None:
    bounds: list[int] = []

    def ask(sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        assert slots is not None
        assert slots["of"] == "these"
        bounds.append(slots["limit"])
        return [(i,) for i in range(min(count, slots["limit"]))]

    rows = whole_rows(ask, "SELECT", {"of": "these"})

    assert rows == [(i,) for i in range(count)]
    assert bounds == [bound for bound in (1_000, 8_000, 64_000) if bound == 1_000 or count >= bound // 8]


def test_a_campus_shows_more_than_a_thousand_buildings() -> None:
    campus = Campus()
    copied(campus, "buildings", 1_200)

    page = run(campus_page(Shown(campus), campus_id=BEIJING))

    assert len(page.buildings) == 1_203


def test_late_sub_orders_of_every_merchant_are_listed() -> None:
    campus = Campus()
    copied(campus, "merchants", 1_200)
    seated = campus.group(*students(3))
    campus.core.database.execute_script(
        f"UPDATE sub_orders SET merchant_id = 'z01200noodles' WHERE order_id = '{seated[0].order_id}';"
    )
    now = campus.now + timedelta(hours=1)

    page = run(unaccepted(Shown(campus), after="", limit=50, now=now))

    assert sorted({sub.order_id for sub in page.items}) == sorted(one.order_id for one in seated)


def test_campaigns_of_a_building_are_found_behind_five_hundred_of_others() -> None:
    campus = Campus()
    copied(campus, "campaigns", 1_200, building_ids="'[\"dorm-9\"]'")
    campus.core.database.execute_script(
        "UPDATE campaigns SET building_ids = '[\"dorm-3\"]' WHERE id LIKE 'z01200%';"
        "UPDATE campaigns SET state = 'ended' WHERE id < 'z';"
    )

    page = run(campaign_page(Shown(campus), building_id=BuildingId("dorm-3"), after="", limit=20, now=campus.now))

    assert [one.id[:6] for one in page.items] == ["z01200"]
    assert page.next is None
    assert isinstance(page.items[0], catalog.CampaignEntry)


def test_a_group_shows_more_than_two_thousand_sub_orders() -> None:
    campus = Campus()
    group_id = campus.group(*students(3))[0].group_id
    copied(campus, "sub_orders", 2_500)

    subs = run(sub_orders_of_group(Shown(campus), group_id))

    assert len(subs) == 2_503


def test_stock_is_compared_for_more_than_ten_thousand_dishes_of_a_meal() -> None:
    campus = Campus()
    campus.group(*students(3))
    copied(campus, "portions", 11_000, key="dish_id")

    kept = stock.portions_of_meal(campus.core.database.rows, LUNCH)

    assert len(kept) == 11_001


def test_an_order_shows_and_sums_each_of_its_refunds() -> None:
    campus = Campus()
    order_id = campus.group(*students(3))[0].order_id
    campus.settle_refunds()
    before = run(order_ledger(Shown(campus, "money"), order_id, member_id=None))
    copied(campus, "refunds", 1_100, database="money", order_id=f"'{order_id}'")
    copied(campus, "journals", 12_000, database="money")
    copied(campus, "entries", 12_000, key="journal_id", database="money", order_id=f"'{order_id}'")

    after = run(order_ledger(Shown(campus, "money"), order_id, member_id=None))
    about = run(entries_of_orders(Shown(campus, "money"), [order_id]))

    assert len(after.refunds) == len(before.refunds) + 1_100
    assert len(after.entries) == len(about) == len(before.entries) + 12_000


def test_every_carried_difference_is_looked_at_again() -> None:
    campus = Audited()
    seats = campus.group(*students(3), paid=2)
    campus.pay_unheard(seats[2].order_id)
    assert len(campus.next_bill(TODAY)) == 1
    copied(campus, "differences", 1_200, database="money", state="'carried'")
    hands: Any = SimpleNamespace(money=SimpleNamespace(look=lambda reading: _soon(campus.money.database.look(reading))))

    carried = run(Comparison(hands, hears=dict).in_state(State.CARRIED))

    assert len(carried) == 1_200


async def _soon(value: Any) -> Any:
    return value

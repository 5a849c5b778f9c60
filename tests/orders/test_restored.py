"""An order that is written as other books prove it has a version that nobody has read (C3, A2)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import asdict, replace

from tests.heart import Campus
from tuanzi.orders import Order, OrderRecord, OrderRestored, RestoreOrder


def seen(order: Order, **wrong: object) -> OrderRecord:
    """The row of an order as somebody read it, with something wrong."""
    row: dict[str, Any] = {name: getattr(order, name) for name in asdict(order)}
    return OrderRecord(**{**row, **wrong})


@pytest.mark.parametrize("forgets", [True, False])
def test_an_order_that_is_written_anew_has_a_version_of_its_own(forgets: bool) -> None:
    """forgets: memory knows no better than the row."""
    campus = Campus()
    order_id = campus.group("m1", "m2", "m3")[0].order_id
    right = campus.order(order_id)
    campus.core.database.execute_script(f"UPDATE orders SET building_id = 'dorm-9' WHERE id = '{order_id}';")
    if forgets:
        campus.evict()

    answer = campus.do(RestoreOrder(order=right, seen=seen(right, building_id="dorm-9")))

    assert answer == OrderRestored(is_restored=True)
    assert campus.order(order_id) == replace(right, version=right.version + 1)


def test_a_row_with_a_version_of_the_future_is_left_behind_too() -> None:
    campus = Campus()
    order_id = campus.group("m1", "m2", "m3")[0].order_id
    right = campus.order(order_id)

    campus.do(RestoreOrder(order=right, seen=seen(right, version=40)))

    assert campus.order(order_id).version == 41


def test_an_order_that_has_moved_on_is_left_as_it_is() -> None:
    campus = Campus()
    order_id = campus.group("m1", "m2", "m3")[0].order_id
    before = campus.order(order_id)
    campus.deliver(order_id)

    with campus.nothing_changes():
        answer = campus.do(RestoreOrder(order=before, seen=seen(before)))

    assert answer == OrderRestored(is_restored=False)

"""After-sales that waited before operators were told which wait are told of too (B8; migration core/0023)."""

from __future__ import annotations

from tests.heart import Campus
from tests.orders.test_steps import order_in
from tests.orders.test_watched_again import migration
from tuanzi.base.time import from_ms
from tuanzi.orders import OrderState


def test_what_waits_already_waits_since_it_was_delivered() -> None:
    campus = Campus()
    waits = order_in(campus, OrderState.AFTER_SALE)
    order_in(campus, OrderState.COMPLETED)
    core = campus.core.database
    core.execute_script("DROP TABLE open_after_sales;")

    core.execute_script(migration("core", "0023_open_after_sales"))

    ((order_id, asked_at_ms),) = core.rows("SELECT order_id, asked_at_ms FROM open_after_sales")
    assert order_id == waits
    assert from_ms(asked_at_ms) == campus.order(waits).delivered_at

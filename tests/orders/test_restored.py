"""An order that is written as other books prove it has a version that nobody has read (C3, A2)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import asdict, replace

from tests.heart import OPERATOR, Campus
from tuanzi.base.ids import OrderId
from tuanzi.events import OrderRefunded
from tuanzi.orders import ORDERS, HearRefund, Order, OrderRecord, OrderRestored, RefundOrder, RestoreOrder


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


@pytest.mark.parametrize("seen_version", [0, 40])
def test_a_refund_that_the_row_forgot_is_written_again_with_a_version_of_its_own(seen_version: int) -> None:
    """seen_version: of the row that did not say so; memory knows better."""
    campus = Campus()
    order_id = partly_refunded(campus)
    campus.settle_refunds()
    right = campus.order(order_id)
    assert [refund.is_settled for refund in right.refunds] == [True]
    forget = f"UPDATE orders SET refunds = replace(refunds, 'true', 'false') WHERE id = '{order_id}';"
    campus.core.database.execute_script(forget)
    assert not row(campus, order_id).refunds[0].is_settled
    told = len(campus.events)

    campus.do(HearRefund(order_id=right.id, refund_id=right.refunds[0].id, seen_version=seen_version))

    version = max(right.version, seen_version) + 1
    assert campus.order(order_id) == row(campus, order_id) == replace(right, version=version)
    assert len(campus.events) == told


@pytest.mark.parametrize("seen_version", [0, 40])
def test_a_refund_that_nobody_heard_of_is_heard_once_and_has_a_version_that_nobody_read(seen_version: int) -> None:
    campus = Campus()
    order_id = partly_refunded(campus)
    before = campus.order(order_id)
    retold = HearRefund(order_id=before.id, refund_id=before.refunds[0].id, seen_version=seen_version)

    campus.do(retold)
    heard = campus.order(order_id)
    campus.do(retold)

    assert heard == replace(before.settled(before.refunds[0].id), version=max(before.version, seen_version) + 1)
    assert campus.order(order_id) == replace(heard, version=heard.version + 1) == row(campus, order_id)
    assert [event.refund_id for event in campus.told(OrderRefunded)] == [before.refunds[0].id]


def partly_refunded(campus: Campus) -> str:
    """An order of which a yuan is on its way back."""
    order_id = campus.group("m1", "m2", "m3")[0].order_id
    campus.do(RefundOrder(order_id=OrderId(order_id), amount_fen=100, reason="kind", by=OPERATOR))
    return order_id


def row(campus: Campus, order_id: str) -> Order:
    """An order as its row says."""
    ((kept,),) = [campus.rows(f"SELECT {', '.join(ORDERS.columns)} FROM orders WHERE id = '{order_id}'")]
    return ORDERS.from_row(kept)

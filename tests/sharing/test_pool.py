"""B2, C2: what nobody is known to have brought stays owed, exactly (decision 0035)."""

from __future__ import annotations

from tests.heart import Campus, students
from tuanzi.base.ids import OrderId, PersonId
from tuanzi.orders import RefundOrder
from tuanzi.sharing.model import OrderTransfers, Party
from tuanzi.sharing.store import TRANSFERS

POOL = "rider_payable:pool"


def riders_parts(campus: Campus) -> dict[str, int]:
    """What is left of the riders' transfers, in fen by sub-order."""
    rows = campus.rows(f"SELECT {', '.join(TRANSFERS.columns)} FROM order_transfers", database="money")
    kept: list[OrderTransfers] = [TRANSFERS.from_row(row) for row in rows]
    transfers = [one for each in kept for one in each.transfers if one.party is Party.RIDER]
    return {one.sub_order_id: one.held_fen for one in transfers if one.account == POOL}


def delivered_by_hand(campus: Campus) -> list[OrderId]:
    """The orders of a group of three that an operator has marked as delivered; all of it is over and paid out."""
    orders = [OrderId(one.order_id) for one in campus.group(*students(3))]
    for order_id in orders:
        campus.deliver(order_id)
    campus.pass_time(days=3)
    assert [campus.state(order_id) for order_id in orders] == ["completed"] * 3
    return orders


def test_the_pool_owes_what_was_brought_by_hand_to_the_fen_and_by_sub_order() -> None:
    campus = Campus()

    orders = delivered_by_hand(campus)

    parts = riders_parts(campus)
    assert sorted(parts) == [f"{order_id}.1" for order_id in sorted(orders)]
    assert campus.balances()[POOL] == -sum(parts.values())
    assert sum(parts.values()) > 0
    assert sum(campus.balances().values()) == 0
    assert {account for account in campus.balances() if account.startswith("rider_payable")} == {POOL}


def test_a_refund_takes_from_the_pool_as_from_every_party() -> None:
    campus = Campus()
    orders = delivered_by_hand(campus)
    before = riders_parts(campus)

    refund = RefundOrder(order_id=orders[0], amount_fen=None, reason="spilt", by=PersonId("p_operator"))
    campus.do(refund)
    campus.pass_time(hours=1)

    after = riders_parts(campus)
    assert after == {**before, f"{orders[0]}.1": 0}
    assert campus.balances()[POOL] == -sum(after.values())
    assert sum(campus.balances().values()) == 0

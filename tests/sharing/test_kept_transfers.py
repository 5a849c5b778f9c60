"""An order's transfers are kept without what their row and place say already, and rows of before are read (B2)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tuanzi.base.ids import OrderId, SubOrderId
from tuanzi.base.money import Money
from tuanzi.machinery.tables import differing
from tuanzi.sharing.model import OrderTransfers, Party, Transfer
from tuanzi.sharing.store import TRANSFERS

ORDER = OrderId("o_1")


def transfer(line: int, party: Party, account: str, fen: int, outward: int, **more: Any) -> Transfer:
    """A transfer of the order's first part, or of `sub_order_id`."""
    whole: dict[str, Any] = {"sub_order_id": SubOrderId("o_1.1"), **more}
    amount = Money(fen)
    return Transfer(
        gid="g.split",
        order_id=ORDER,
        line=line,
        party=party,
        account=account,
        amount=amount,
        outward=Money(outward),
        **whole,
    )


MERCHANT = transfer(0, Party.MERCHANT, "merchant_payable:m_1", 1000, 1000)
PLATFORM = transfer(1, Party.PLATFORM, "platform_income", 80, 0)
RIDER = transfer(2, Party.RIDER, "rider_payable:pool", 30, 12, sub_order_id=SubOrderId("o_1.2"))
NEW = OrderTransfers(gid="g.split", order_id=ORDER, transfers=(MERCHANT, PLATFORM, RIDER))


def test_a_new_order_s_row_says_only_what_its_key_and_place_do_not() -> None:
    row = TRANSFERS.to_row(NEW)

    assert row == (
        "g.split",
        "o_1",
        '[[".1","merchant","merchant_payable:m_1",1000],[".1","platform","platform_income",80,0],'
        '[".2","rider","rider_payable:pool",30,12]]',
    )
    assert TRANSFERS.from_row(row) == NEW


@pytest.mark.parametrize(
    "moved",
    [
        {"cut": Money(7)},
        {"sent": Money(7)},
        {"given": Money(7)},
        {"given": Money(7), "back": Money(7)},
        {"closed": 2},
        {"cut": Money(1), "sent": Money(2), "given": Money(4), "back": Money(3), "closed": 5},
        {"sub_order_id": SubOrderId("s_of_another_name")},
        {"sub_order_id": SubOrderId("o_1")},
        {"sub_order_id": SubOrderId("o_11.1")},
    ],
)
def test_whatever_became_of_a_transfer_is_read_as_it_was_kept(moved: dict[str, Any]) -> None:
    after = NEW.after(replace(MERCHANT, **moved))

    assert TRANSFERS.from_row(TRANSFERS.to_row(after)) == after


def test_a_transfer_s_line_is_its_place_also_where_they_stood_in_another_order() -> None:
    mixed = replace(NEW, transfers=(RIDER, MERCHANT, PLATFORM))

    assert TRANSFERS.from_row(TRANSFERS.to_row(mixed)) == NEW


def test_a_change_of_transfers_writes_that_column_alone() -> None:
    after = NEW.after(replace(PLATFORM, cut=Money(5)))

    part = TRANSFERS.part_of(differing(NEW, after))

    assert part is not None
    assert part.columns == ("transfers", "gid", "order_id")
    assert part.to_row(after)[0] == TRANSFERS.to_row(after)[2]


def test_a_row_of_before_is_read_and_kept_in_the_new_form() -> None:
    before = (
        "g.split",
        "o_1",
        '[{"gid":"g.split","order_id":"o_1","line":0,"sub_order_id":"o_1.1","party":"merchant",'
        '"account":"merchant_payable:m_1","amount":[1000],"outward":[1000]},'
        '{"gid":"g.split","order_id":"o_1","line":1,"sub_order_id":"o_1.1","party":"platform",'
        '"account":"platform_income","amount":[80],"outward":[0]},'
        '{"gid":"g.split","order_id":"o_1","line":2,"sub_order_id":"o_1.2","party":"rider",'
        '"account":"rider_payable:pool","amount":[30],"outward":[12]}]',
    )

    kept = TRANSFERS.from_row(before)

    assert kept == NEW
    assert TRANSFERS.to_row(kept) == TRANSFERS.to_row(NEW)


def test_an_order_without_transfers_is_kept_so() -> None:
    none = replace(NEW, transfers=())

    assert TRANSFERS.to_row(none) == ("g.split", "o_1", "[]")
    assert TRANSFERS.from_row(TRANSFERS.to_row(none)) == none

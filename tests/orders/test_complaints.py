"""What members say is wrong with their orders, one row for each member (B8, J3)."""

from __future__ import annotations

from tests.heart import START
from tuanzi.base.ids import OrderId, PersonId
from tuanzi.orders.model import COMPLAINTS_MAX, Complaint, Complaints


def said(order: int, reason: str = "cold") -> Complaint:
    return Complaint(order_id=OrderId(f"o_{order:03d}"), reason=reason, asked_at=START)


def test_of_very_many_the_newest_are_kept() -> None:
    complaints = Complaints(member_id=PersonId("m1"))

    for i in range(COMPLAINTS_MAX + 5):
        complaints = complaints.with_one(said(i))

    assert [one.order_id for one in complaints.said] == [f"o_{i:03d}" for i in range(5, COMPLAINTS_MAX + 5)]


def test_of_one_order_the_last_word_counts() -> None:
    complaints = Complaints(member_id=PersonId("m1"))

    for complaint in (said(1), said(2), said(1, "and late")):
        complaints = complaints.with_one(complaint)

    assert [(one.order_id, one.reason) for one in complaints.said] == [("o_002", "cold"), ("o_001", "and late")]
    assert complaints.of(OrderId("o_003")) is None

"""What members say is wrong with their orders, and which of them wait for a decision (B8)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import OrderId, PersonId

# Our choice: what a person writes about one meal; and of one person so many are kept, the newest. A row of them is at
# most 57 kB, where MariaDB's TEXT holds 64.
REASON_MAX: Final = 200
COMPLAINTS_MAX: Final = 40


class OpenAfterSale(Struct, frozen=True, kw_only=True, gc=False):
    """An after-sale that nobody has decided."""

    order_id: OrderId
    asked_at: datetime


class Complaint(Struct, frozen=True, kw_only=True, gc=False):
    """What a member says is wrong with an order, in his words; withdrawn_at: when he took it back."""

    order_id: OrderId
    reason: str
    asked_at: datetime
    withdrawn_at: datetime | None = None


class Complaints(Struct, frozen=True, kw_only=True, gc=False):
    """What one member said of his orders; in one row, so that it is forgotten with him."""

    member_id: PersonId
    said: tuple[Complaint, ...] = ()

    def with_one(self, complaint: Complaint) -> Complaints:
        """With another; what was said of the same order before, and the oldest of very many, are no more."""
        others = [one for one in self.said if one.order_id != complaint.order_id]
        return replace(self, said=(*others[1 - COMPLAINTS_MAX :], complaint))

    def of(self, order_id: OrderId) -> Complaint | None:
        """What was said of an order."""
        return next((one for one in self.said if one.order_id == order_id), None)

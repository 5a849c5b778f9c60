"""What the routes read of guests' seats."""

from __future__ import annotations

from tuanzi.base.ids import OrderId
from tuanzi.base.problem import Unknown
from tuanzi.guests.model import GuestSeat
from tuanzi.guests.store import GUEST_SEAT, GUEST_SEATS
from tuanzi.machinery.http.routes import Desk


async def load_guest_seat(desk: Desk, order_id: OrderId) -> GuestSeat:
    """A guest's seat as it is kept. Raises Unknown."""
    seat = desk.peek(GuestSeat, order_id)
    if seat is None:
        rows = await desk.rows(GUEST_SEAT, {"id": order_id})
        if not rows:
            raise Unknown(kind="order", id=order_id)
        seat = GUEST_SEATS.from_row(rows[0])
    return seat

"""Rows of guests' seats."""

from __future__ import annotations

from tuanzi.guests.model import GuestSeat
from tuanzi.machinery.room import Keeps
from tuanzi.machinery.tables import table

GUEST_SEATS = table("guest_seats", GuestSeat, key="order_id")

GUEST_SEAT = (
    "SELECT " + ", ".join(GUEST_SEATS.columns) + " FROM guest_seats WHERE order_id = :id ORDER BY order_id LIMIT 1"
)

KEPT_SEATS = (
    "SELECT "
    + ", ".join(GUEST_SEATS.columns)
    + " FROM guest_seats WHERE member_id = :person_id AND order_id > :after ORDER BY order_id LIMIT :limit"
)
KEEPS = (Keeps(table="guest_seats", columns=GUEST_SEATS.columns, sql=KEPT_SEATS),)

"""What is known of an order that was placed a moment ago, without reading it (B6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from tuanzi.base.ids import OrderId
from tuanzi.events import OrderPlaced, SeatHeld
from tuanzi.machinery.http.routes import Desk
from tuanzi.orders.queries.status import changed_by

# About 400 bytes each. Most are paid within seconds, and then forgotten.
PLACED_MAX = 20_000


class PlacedOrders:
    """The orders that were just placed and to which nothing has happened since, as far as a process has heard.

    Who orders mostly pays at once: where orders are decided elsewhere he is not read for in the database. Measured, a
    chain is 60 us cheaper so.
    """

    def __init__(self, desk: Desk) -> None:
        """desk: of core."""
        self._placed: dict[str, OrderPlaced] = {}
        desk.subscribe(self._hear)

    def find(self, order_id: str) -> OrderPlaced | None:
        """What was said of an order when it was placed; None when it must be read."""
        return self._placed.get(order_id)

    def _hear(self, numbered: Sequence[tuple[int, Any]]) -> None:
        placed = self._placed
        for _, event in numbered:
            match event:
                case OrderPlaced():
                    placed[event.order_id] = event
                    if len(placed) > PLACED_MAX:
                        del placed[next(iter(placed))]
                case SeatHeld():
                    pass  # it is a part of being placed
                case _:
                    for order_id in changed_by([(0, event)]):
                        placed.pop(order_id, None)


def remember_placed(desk: Desk) -> None:
    """Have `find_placed` know from now on what is heard at this desk."""
    _placed_orders[desk] = PlacedOrders(desk)


def find_placed(desk: Desk, order_id: OrderId) -> OrderPlaced | None:
    """What was said of an order when it was placed, if nothing has happened to it since; None when it must be read."""
    placed = _placed_orders.get(desk)
    return None if placed is None else placed.find(order_id)


_placed_orders: WeakKeyDictionary[Any, PlacedOrders] = WeakKeyDictionary()

"""The status of an order, from a cache that events keep fresh (A2)."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from tuanzi.base.ids import OrderId, PersonId
from tuanzi.base.problem import Unknown
from tuanzi.machinery.cache import Absent, Counts, ReadCache
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import FEW_AT_ONCE, several
from tuanzi.machinery.sharedcache import KEEP_S, NOTHING_SHARED, Shared, SharedCache, SharedReads
from tuanzi.machinery.together import Together
from tuanzi.orders.model import Order
from tuanzi.orders.queries.views import view_of
from tuanzi.orders.store import ORDER, ORDERS, ORDERS_FEW

_encode = msgspec.json.Encoder().encode
_encode_status = msgspec.msgpack.Encoder().encode
# About 1 kB each, in each of two generations.
STATUSES_MAX = 50_000


class OrderStatus(Struct, frozen=True, kw_only=True, gc=False):
    """An order ready to be sent: whose it is, its version and its JSON."""

    member_id: PersonId
    etag: str
    body: bytes


_decode_status = msgspec.msgpack.Decoder(OrderStatus).decode


class StatusBoard:
    """Order statuses of one campus, kept until an event changes them; unknown ids are remembered briefly.

    Read in three levels (A2): here, in the cache that processes share, in the database. A change is heard before its
    caller is answered, so whoever wrote reads his own write.
    """

    def __init__(self, desk: Desk, *, shared: SharedCache = NOTHING_SHARED, campus: str = "") -> None:
        """campus: whose orders these are; names them in the shared cache."""
        self.database_reads = 0
        self._desk = desk
        self._cache: ReadCache[str, OrderStatus] = ReadCache(
            size_max=STATUSES_MAX, keep_s=60, absent_s=1, clock=asyncio.get_running_loop().time
        )
        self._shared = None if shared is NOTHING_SHARED else SharedReads(shared, prefix=_prefix_of(campus))
        desk.subscribe(self._hear)

    async def load(self, order_id: OrderId) -> OrderStatus:
        """The status of an order. Raises Unknown."""
        status = await self._cache.load(order_id, self._read)
        if isinstance(status, Absent):
            raise Unknown(kind="order", id=order_id)
        return status

    @property
    def counts(self) -> Counts:
        """How reads went at the first level."""
        return self._cache.counts

    async def _read(self, order_id: str) -> OrderStatus | Absent:
        order = self._desk.peek(Order, order_id)
        if order is not None:
            return _status_of(order)
        if self._shared is None:
            return await self._read_rows(order_id)
        found = await self._shared.load(order_id, self._read_shared)
        return found if isinstance(found, Absent) else _decode_status(found.body)

    async def _read_rows(self, order_id: str) -> OrderStatus | Absent:
        self.database_reads += 1
        order = await _reads_of(self._desk).load(order_id)
        return Absent.ABSENT if order is None else _status_of(order)

    async def _read_shared(self, order_id: str) -> Shared | Absent:
        status = await self._read_rows(order_id)
        return status if isinstance(status, Absent) else Shared(int(status.etag), _encode_status(status))

    def _hear(self, numbered: Sequence[tuple[int, Any]]) -> None:
        for order_id in changed_by(numbered):
            self._cache.invalidate(order_id)
            if self._shared is not None:
                self._shared.heard(order_id)


def share_versions(desk: Desk, shared: SharedCache, *, campus: str) -> None:
    """Where orders are decided: say to the shared cache which version is the newest, before anybody is answered.

    So that a process which starts afterwards, and hears of no change from before, finds nothing older there. Where the
    cache loses this too, in a failover, such a process may read what was so a minute ago (KEEP_S).
    """

    def hear(numbered: Sequence[tuple[int, Any]]) -> None:
        for order_id in changed_by(numbered):
            order = desk.peek(Order, order_id)
            if order is not None and order.version > 1:  # of a new one there is nothing older
                shared.forget(_prefix_of(campus) + order_id, version=order.version, keep_s=KEEP_S)

    if shared is not NOTHING_SHARED:
        desk.subscribe(hear)


def _prefix_of(campus: str) -> str:
    return f"order:{campus}:"


def changed_by(numbered: Sequence[tuple[int, Any]]) -> dict[str, None]:
    """The orders that some events are about."""
    changed: dict[str, None] = {}
    for _, event in numbered:
        order_id = getattr(event, "order_id", None)
        if order_id is not None:
            changed[order_id] = None
        for each in getattr(event, "order_ids", ()):
            changed[each] = None
    return changed


def _status_of(order: Order) -> OrderStatus:
    return OrderStatus(member_id=order.member_id, etag=str(order.version), body=_encode(view_of(order)))


_boards: WeakKeyDictionary[Any, StatusBoard] = WeakKeyDictionary()


def board_of(desk: Desk, *, shared: SharedCache = NOTHING_SHARED, campus: str = "") -> StatusBoard:
    """The status board of a desk, made when it is first asked for; what is shared is said then, or not at all."""
    board = _boards.get(desk)
    if board is None:
        board = _boards[desk] = StatusBoard(desk, shared=shared, campus=campus)
    return board


async def find_order(desk: Desk, order_id: OrderId) -> Order:
    """An order as it is kept. Raises Unknown."""
    order = desk.peek(Order, order_id)
    if order is None:
        order = await _reads_of(desk).load(order_id)
    if order is None:
        raise Unknown(kind="order", id=order_id)
    return order


_reads: WeakKeyDictionary[Any, Together[Order]] = WeakKeyDictionary()


def _reads_of(desk: Desk) -> Together[Order]:
    """Reads of single orders at a desk, together with whoever else wants one."""
    reads = _reads.get(desk)
    if reads is None:
        of = weakref.ref(desk)  # or the desk would be kept by what is kept for it

        async def read(ids: Sequence[str]) -> dict[str, Order]:
            here = of()
            assert here is not None, "who waits for it holds it"
            slots = {"id": ids[0]} if len(ids) == 1 else next(several(ids, at_once=FEW_AT_ONCE))
            rows = await here.few(ORDER if len(ids) == 1 else ORDERS_FEW, slots)
            return {order.id: order for order in map(ORDERS.from_row, rows)}

        reads = _reads[desk] = Together(read, at_once=FEW_AT_ONCE)
    return reads

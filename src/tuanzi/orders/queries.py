"""What pages read of orders: the status from a cache that events keep fresh, lists from the database (A2)."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from tuanzi.base.ids import OrderId, PersonId
from tuanzi.base.problem import Unknown
from tuanzi.base.time import to_ms
from tuanzi.catalog import merchant_ids
from tuanzi.machinery.cache import Absent, Counts, ReadCache
from tuanzi.machinery.database import Ask
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import FEW_AT_ONCE, rows_of, several
from tuanzi.machinery.sharedcache import KEEP_S, NOTHING_SHARED, Shared, SharedCache, SharedReads
from tuanzi.machinery.together import Together
from tuanzi.orders.model import AcceptanceTerms, Complaints, Order, OrderRecord, OrderState, SubOrder, SubOrderState
from tuanzi.orders.store import (
    ACCEPTANCE_TERMS,
    COMPLAINTS,
    COMPLAINTS_OF_MEMBER,
    LAST_LOOKED_AT,
    ORDER,
    ORDER_IDS_AFTER,
    ORDER_IDS_OF_MEMBER,
    ORDER_RECORDS,
    ORDERS,
    ORDERS_BEFORE,
    ORDERS_FEW,
    ORDERS_NAMED,
    ORDERS_OF_MEAL,
    ORDERS_OF_MEMBER,
    SUB_ORDERS,
    SUB_ORDERS_NAMED,
    SUB_ORDERS_OF_GROUP,
    SUB_ORDERS_OF_MERCHANT,
    SUB_ORDERS_OF_ORDER,
    SUB_ORDERS_UNACCEPTED,
    SUB_ORDERS_UNREADY,
    TERMS_OF_ACCEPTANCE,
)

_encode = msgspec.json.Encoder().encode
_encode_status = msgspec.msgpack.Encoder().encode

# About 1 kB each, in each of two generations.
STATUSES_MAX = 50_000
# Our choice: an hour of a lunch wave; about 10 ms.
ORDERS_LOOKED_AT_MAX = 5_000


class LineView(Struct, frozen=True, kw_only=True, gc=False):
    """One line of an order; `list_fen` is the price of all its portions without discounts."""

    dish_id: str
    merchant_id: str
    quantity: int
    list_fen: int
    payable_fen: int


class RefundView(Struct, frozen=True, kw_only=True, gc=False):
    """Money on its way back, or back already."""

    refund_id: str
    amount_fen: int
    reason: str
    is_settled: bool


class SubOrderView(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant makes for one member."""

    sub_order_id: str
    order_id: str
    merchant_id: str
    building_id: str
    meal_id: str
    state: SubOrderState
    items_fen: int
    discount_fen: int
    delivery_fen: int
    payable_fen: int
    rider_id: str | None
    dishes: dict[str, int]
    planned_at: datetime


class OrderView(Struct, frozen=True, kw_only=True, gc=False):
    """An order as its member sees it. `saved_fen`: against ordering alone."""

    order_id: str
    group_id: str
    campaign_id: str
    member_id: str
    building_id: str
    meal_id: str
    state: OrderState
    lines: tuple[LineView, ...]
    delivery_fen: int
    payable_fen: int
    saved_fen: int
    paid_fen: int
    refund_due_fen: int
    refunded_fen: int
    refunds: tuple[RefundView, ...]
    rule_version: int
    placed_at: datetime
    pay_before: datetime
    delivered_at: datetime | None
    version: int


class AfterSaleView(Struct, frozen=True, kw_only=True, gc=False):
    """What the member said is wrong, and when; "" and None when he said nothing, or was erased since."""

    order_id: str
    reason: str
    asked_at: datetime | None


class OrderPage(Struct, frozen=True, kw_only=True, gc=False):
    """Orders of a member, newest first; `next` is None on the last page."""

    items: tuple[OrderView, ...]
    next: str | None


class CampusOrderPage(Struct, frozen=True, kw_only=True, gc=False):
    """Orders of a campus, newest first; `next` is None on the last page, and a page may be short or empty before it."""

    items: tuple[OrderView, ...]
    next: str | None


class SubOrderPage(Struct, frozen=True, kw_only=True, gc=False):
    """Sub-orders, oldest first; `next` is None on the last page.

    late_minutes, given_up_minutes: since `planned_at`, for one that is not accepted yet; ready_minutes: for one that is
    (`AcceptanceTerms`).
    """

    items: tuple[SubOrderView, ...]
    next: str | None
    late_minutes: int
    given_up_minutes: int
    ready_minutes: int


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
        for order_id in _changed_by(numbered):
            self._cache.invalidate(order_id)
            if self._shared is not None:
                self._shared.heard(order_id)


def share_versions(desk: Desk, shared: SharedCache, *, campus: str) -> None:
    """Where orders are decided: say to the shared cache which version is the newest, before anybody is answered.

    So that a process which starts afterwards, and hears of no change from before, finds nothing older there. Where the
    cache loses this too, in a failover, such a process may read what was so a minute ago (KEEP_S).
    """

    def hear(numbered: Sequence[tuple[int, Any]]) -> None:
        for order_id in _changed_by(numbered):
            order = desk.peek(Order, order_id)
            if order is not None and order.version > 1:  # of a new one there is nothing older
                shared.forget(_prefix_of(campus) + order_id, version=order.version, keep_s=KEEP_S)

    if shared is not NOTHING_SHARED:
        desk.subscribe(hear)


def _prefix_of(campus: str) -> str:
    return f"order:{campus}:"


def _changed_by(numbered: Sequence[tuple[int, Any]]) -> dict[str, None]:
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


async def after_sale_view(desk: Desk, order: Order) -> AfterSaleView:
    """What an order's member says is wrong with it."""
    kept = desk.peek(Complaints, order.member_id)
    if kept is None:
        rows = await desk.rows(COMPLAINTS_OF_MEMBER, {"member_id": order.member_id})
        kept = COMPLAINTS.from_row(rows[0]) if rows else Complaints(member_id=order.member_id)
    said = kept.of(order.id)
    return AfterSaleView(
        order_id=order.id, reason=said.reason if said else "", asked_at=said.asked_at if said else None
    )


async def order_page(desk: Desk, *, member_id: PersonId, before: str, limit: int) -> OrderPage:
    """Orders of a member, older than `before`."""
    slots = {"member_id": member_id, "before": before or "~", "limit": limit + 1}
    rows = await desk.rows(ORDERS_OF_MEMBER, slots)
    items = [view_of(ORDERS.from_row(row)) for row in rows]
    return OrderPage(items=tuple(items[:limit]), next=items[limit - 1].order_id if len(items) > limit else None)


async def campus_order_page(desk: Desk, *, state: OrderState | None, before: str, limit: int) -> CampusOrderPage:
    """Orders of the campus older than `before`, in a state or all, of the next ORDERS_LOOKED_AT_MAX."""
    slots = {"before": before or "~", "state": "" if state is None else state.value, "looked": ORDERS_LOOKED_AT_MAX}
    rows = await desk.rows(ORDERS_BEFORE, {**slots, "limit": limit + 1})
    items = [view_of(ORDERS.from_row(row)) for row in rows]
    if len(items) > limit:
        return CampusOrderPage(items=tuple(items[:limit]), next=items[limit - 1].order_id)
    ((last, looked),) = await desk.rows(LAST_LOOKED_AT, slots)
    return CampusOrderPage(items=tuple(items), next=last if looked == ORDERS_LOOKED_AT_MAX else None)


async def orders_by_id(desk: Desk, order_ids: Sequence[str]) -> list[OrderView]:
    """The orders with these ids, as far as there are, by id."""
    return [
        view_of(ORDERS.from_row(row)) for slots in several(order_ids) for row in await desk.rows(ORDERS_NAMED, slots)
    ]


async def sub_orders_of_order(desk: Desk, order_id: OrderId) -> list[SubOrderView]:
    """An order's sub-orders, in the order of the cart."""
    rows = await desk.rows(SUB_ORDERS_OF_ORDER, {"from_id": f"{order_id}.", "to_id": f"{order_id}/"})
    return [sub_view_of(SUB_ORDERS.from_row(row)) for row in rows]


async def sub_orders_of_group(desk: Desk, group_id: str) -> list[SubOrderView]:
    """A closed group's sub-orders: its split plan, and how far each is."""
    rows = await desk.rows(SUB_ORDERS_OF_GROUP, {"group_id": group_id})
    return [sub_view_of(SUB_ORDERS.from_row(row)) for row in rows]


async def merchant_board(desk: Desk, *, merchant_id: str, state: SubOrderState, after: str, limit: int) -> SubOrderPage:
    """A merchant's sub-orders in a state."""
    slots = {"merchant_id": merchant_id, "state": state.value, "after": after, "limit": limit + 1}
    rows = await desk.rows(SUB_ORDERS_OF_MERCHANT, slots)
    return _page(rows, limit=limit, terms=await acceptance_terms(desk))


async def unaccepted(desk: Desk, *, after: str, limit: int, now: datetime) -> SubOrderPage:
    """Sub-orders that their shops are late to accept."""
    terms = await acceptance_terms(desk)
    slots = {"before_ms": to_ms(now - terms.late), "after": after, "limit": limit + 1}
    return _page(await _rows_of_all_shops(desk, SUB_ORDERS_UNACCEPTED, slots), limit=limit, terms=terms)


async def unready(desk: Desk, *, after: str, limit: int, now: datetime) -> SubOrderPage:
    """Sub-orders that their shops accepted and are late to have ready."""
    terms = await acceptance_terms(desk)
    slots = {"before_ms": to_ms(now - terms.ready), "after": after, "limit": limit + 1}
    return _page(await _rows_of_all_shops(desk, SUB_ORDERS_UNREADY, slots), limit=limit, terms=terms)


async def _rows_of_all_shops(desk: Desk, sql: str, slots: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for merchants in several(await merchant_ids(desk)):
        rows += await desk.rows(sql, {**slots, **merchants})
    return sorted(rows, key=itemgetter(0))[: slots["limit"]]


async def acceptance_terms(desk: Desk) -> AcceptanceTerms:
    """How long shops may take to accept, and until it is ready."""
    rows = await desk.rows(TERMS_OF_ACCEPTANCE)
    return ACCEPTANCE_TERMS.from_row(rows[0]) if rows else AcceptanceTerms()


def _page(rows: Sequence[tuple[Any, ...]], *, limit: int, terms: AcceptanceTerms) -> SubOrderPage:
    items = [sub_view_of(SUB_ORDERS.from_row(row)) for row in rows]
    return SubOrderPage(
        items=tuple(items[:limit]),
        next=items[limit - 1].sub_order_id if len(items) > limit else None,
        late_minutes=terms.late_minutes,
        given_up_minutes=terms.given_up_minutes,
        ready_minutes=terms.ready_minutes,
    )


def view_of(order: Order) -> OrderView:
    """An order as its member sees it."""
    quote = order.quote
    return OrderView(
        order_id=order.id,
        group_id=order.group_id,
        campaign_id=order.campaign_id,
        member_id=order.member_id,
        building_id=order.building_id,
        meal_id=order.meal_id,
        state=order.state,
        lines=tuple(
            [
                LineView(
                    dish_id=line.dish_id,
                    merchant_id=line.merchant_id,
                    quantity=line.quantity,
                    list_fen=line.list_price.fen,
                    payable_fen=line.payable.fen,
                )
                for line in quote.lines
            ]
        ),
        delivery_fen=quote.delivery_fee.fen,
        payable_fen=quote.payable.fen,
        saved_fen=quote.saved.fen,
        paid_fen=order.paid.fen,
        refund_due_fen=order.promised.fen,
        refunded_fen=order.refunded.fen,
        refunds=tuple(
            [
                RefundView(
                    refund_id=refund.id,
                    amount_fen=refund.amount.fen,
                    reason=refund.reason,
                    is_settled=refund.is_settled,
                )
                for refund in order.refunds
            ]
        ),
        rule_version=quote.rule_version,
        placed_at=order.placed_at,
        pay_before=order.pay_before,
        delivered_at=order.delivered_at,
        version=order.version,
    )


def sub_view_of(sub: SubOrder) -> SubOrderView:
    """A sub-order as pages show it."""
    dishes: dict[str, int] = {}
    for line in sub.order_lines:
        dishes[line.dish_id] = dishes.get(line.dish_id, 0) + line.quantity
    return SubOrderView(
        sub_order_id=sub.id,
        order_id=sub.order_id,
        merchant_id=sub.merchant_id,
        building_id=sub.building_id,
        meal_id=sub.meal_id,
        state=sub.state,
        items_fen=sub.items.fen,
        discount_fen=sub.discount.fen,
        delivery_fen=sub.delivery.fen,
        payable_fen=sub.payable.fen,
        rider_id=sub.rider_id,
        dishes=dishes,
        planned_at=sub.planned_at,
    )


# the order book beside others, within a look (C3)

SUB_ORDERS_MAX = 100
SUB_ORDERS_OF_LOST = 5  # of an order that is not there itself, so many are looked for
MEAL_AT_ONCE = 1_000


class OrderBook(Struct, frozen=True, kw_only=True, gc=False):
    """What the order book says of some orders: by id; the sub-orders of each; `unreadable`: rows that are no orders."""

    orders: dict[str, OrderRecord]
    subs: dict[str, tuple[SubOrder, ...]]
    unreadable: frozenset[str]


def order_rows(ask: Ask, order_ids: Sequence[str]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of these orders and of their sub-orders, as they are kept; see `order_book_of`."""
    rows = rows_of(ask, ORDERS_NAMED, order_ids)
    there = {row[0] for row in rows}
    lost = [f"{id}.{i}" for id in order_ids if id not in there for i in range(1, SUB_ORDERS_OF_LOST + 1)]
    left = rows_of(ask, SUB_ORDERS_NAMED, lost)
    return rows, [*_sub_rows(ask, rows), *left]


def order_book(ask: Ask, order_ids: Sequence[str]) -> OrderBook:
    """The order book of these orders."""
    return order_book_of(*order_rows(ask, order_ids))


def order_ids_after(ask: Ask, after: str, *, limit: int) -> list[str]:
    """The ids of the orders that come after one, in order."""
    return [row[0] for row in ask(ORDER_IDS_AFTER, {"after": after, "limit": limit})]


def rows_of_meal(ask: Ask, meal_id: str, *, since: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of a meal's orders that may hold or have bought portions, and of their sub-orders.

    since: an order id below theirs.
    """
    found: list[tuple[Any, ...]] = []
    after = since
    while True:
        rows = ask(ORDERS_OF_MEAL, {"after": after, "meal_id": meal_id, "limit": MEAL_AT_ONCE})
        found += rows
        if len(rows) < MEAL_AT_ONCE:
            return found, _sub_rows(ask, found)
        after = rows[-1][0]


def order_book_of(rows: Sequence[tuple[Any, ...]], sub_rows: Sequence[tuple[Any, ...]]) -> OrderBook:
    """What rows of orders and of their sub-orders say; a row that is no order is told apart."""
    orders: dict[str, OrderRecord] = {}
    unreadable: set[str] = set()
    for row in rows:
        try:
            orders[row[0]] = ORDER_RECORDS.from_row(row)
        except (ValueError, TypeError, msgspec.MsgspecError):
            unreadable.add(row[0])
    subs: dict[str, list[SubOrder]] = {}
    for sub in map(SUB_ORDERS.from_row, sub_rows):
        subs.setdefault(sub.order_id, []).append(sub)
    return OrderBook(
        orders=orders,
        subs={order_id: tuple(made) for order_id, made in subs.items()},
        unreadable=frozenset(unreadable),
    )


def _sub_rows(ask: Ask, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The sub-orders of orders; one more is asked for than each knows of, so that one too many is seen as well."""
    count_at = ORDERS.columns.index("sub_orders")
    named = [f"{row[0]}.{i}" for row in rows for i in range(1, min(int(row[count_at]) + 1, SUB_ORDERS_MAX) + 1)]
    return rows_of(ask, SUB_ORDERS_NAMED, named)


async def order_ids_of(desk: Desk, person_id: str, *, after: str, limit: int) -> list[OrderId]:
    """The orders of a member, oldest first."""
    slots = {"person_id": person_id, "after": after, "limit": limit}
    return [OrderId(id) for (id,) in await desk.rows(ORDER_IDS_OF_MEMBER, slots)]

"""What must hold in the books of a campus, whatever happened (reliability.md 2.3): read by SQL, told by name.

I1 money, I2 stock, I4 once, I5 ends, I10 price, I11 delivery, SEATS, EVENTS; I6 (durable) is the auditor's, who knows
what was told.
Those in `ALWAYS` hold after every commit; the others when nothing is under way any more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from simulation.house import VirtualHouse
from simulation.invariants import splits, store
from tuanzi.base.money import Money, total
from tuanzi.base.time import to_ms
from tuanzi.catalog import CampaignTier
from tuanzi.groups import Home, Seat
from tuanzi.orders import Refund, SubLine
from tuanzi.pricing import Quote
from tuanzi.wiring import FOLLOWS

# Orders whose portions are held, and whose money is with the campus for good or until it goes back.
HOLDING = frozenset({"created", "paid", "grouped"})
UNPAID = frozenset({"created", "cancelled"})
UNSETTLED = frozenset({"created", "paid", "grouped", "refunding"})
TOLD_MAX = 5


class Broken(NamedTuple):
    """An invariant that does not hold, and where."""

    name: str
    what: str


class Books:
    """Everything kept of a campus, decoded once; `house` is not changed."""

    def __init__(self, house: VirtualHouse) -> None:
        self.house = house
        self.provider = house.provider
        self.orders = {row[0]: _order(*row) for row in house.rows("core", store.ORDERS)}
        self.sub_orders = [_sub_order(*row) for row in house.rows("core", store.SUB_ORDERS)]
        self.groups = [_group(*row) for row in house.rows("core", store.GROUPS)]
        self.portions = house.rows("core", store.PORTIONS)
        self.parcels = {row[0]: _parcel(*row) for row in house.rows("delivery", store.PARCELS)}
        self.drop_offs = {row[0]: DropOffRow(*row) for row in house.rows("delivery", store.DROP_OFFS)}
        self.bundles = {row[0]: _bundle(*row) for row in house.rows("delivery", store.BUNDLES)}
        self.payments = [PaymentRow(*row) for row in house.rows("money", store.PAYMENTS)]
        self.refunds = {row[0]: RefundRow(*row) for row in house.rows("money", store.REFUNDS)}

    @cached_property
    def transactions(self) -> splits.Transactions:
        """The splits as transactions."""
        return splits.Transactions(self.house)

    @cached_property
    def events(self) -> dict[str, list[tuple[int, str, dict[str, Any]]]]:
        """By database: (number, name, body) of every event."""
        return {
            kind: [
                (number, name, _event(body))
                for number, name, _, body in self.house.rows(kind, store.EVENTS_AFTER, {"after": 0, "limit": -1})
            ]
            for kind in self.house.disks
        }

    def told(self, name: str) -> Iterator[dict[str, Any]]:
        """The bodies of all events of one name."""
        room = name.partition(".")[0]
        database = room if room in self.house.disks else "core"
        return (body for _, each, body in self.events[database] if each == name)


class OrderRow(NamedTuple):
    """A row of `orders`."""

    id: str
    group_id: str
    member_id: str
    meal_id: str
    state: str
    quote: Quote
    payable_fen: int
    paid_fen: int
    refundable: tuple[Money, ...]
    refunds: tuple[Refund, ...]
    sub_orders: int


class SubOrderRow(NamedTuple):
    """A row of `sub_orders`."""

    id: str
    order_id: str
    group_id: str
    merchant_id: str
    building_id: str
    meal_id: str
    state: str
    order_lines: tuple[SubLine, ...]
    items_fen: int
    discount_fen: int
    delivery_fen: int
    payable_fen: int


class ParcelRow(NamedTuple):
    """A row of `parcels`."""

    id: str
    merchant_id: str
    building_id: str
    meal_id: str
    state: str
    sub_order_ids: tuple[str, ...]
    portions: int
    bundle_id: str | None


class DropOffRow(NamedTuple):
    """A row of `drop_offs`."""

    sub_order_id: str
    parcel_id: str
    portions: int
    state: str


class BundleRow(NamedTuple):
    """A row of `bundles`."""

    id: str
    rider_id: str
    merchant_id: str
    state: str
    parcel_ids: tuple[str, ...]


class GroupRow(NamedTuple):
    """A row of `campus_groups`; home: of a part of a group that is at home on another campus."""

    id: str
    campaign_id: str
    state: str
    tiers: tuple[CampaignTier, ...]
    seats: tuple[Seat, ...]
    per_user_limit: int
    delivery_fee_fen: int
    home: Home | None


class PaymentRow(NamedTuple):
    """A row of `payments`."""

    id: str
    order_id: str
    member_id: str
    state: str
    amount_fen: int
    captured_fen: int
    refunded_fen: int


class RefundRow(NamedTuple):
    """A row of `refunds`."""

    id: str
    order_id: str
    payment_id: str
    amount_fen: int
    state: str


def money_adds_up(books: Books) -> Iterator[str]:
    """I1: every journal and all accounts sum to 0, and the running balances say the same."""
    for journal_id, kept, found, fen in books.house.rows("money", store.UNBALANCED_JOURNALS):
        yield f"journal {journal_id}: {found} of {kept} entries, off by {fen} fen"
    (all_fen,) = books.house.rows("money", store.ALL_ENTRIES_FEN)[0]
    if all_fen:
        yield f"all entries sum to {all_fen} fen"
    for account, running, summed in books.house.rows("money", store.ACCOUNTS):
        if running != summed:
            yield f"account {account}: {running} fen kept, {summed} fen booked"
    back: Counter[str] = Counter()
    for refund in books.refunds.values():
        if refund.state not in ("waiting", "parked"):
            back[refund.payment_id] += refund.amount_fen
    for payment in books.payments:
        if back[payment.id] != payment.refunded_fen or payment.refunded_fen > payment.captured_fen:
            yield f"payment {payment.id}: {payment.refunded_fen} fen noted as promised back, {back[payment.id]} are"


def books_agree(books: Books) -> Iterator[str]:
    """I1 at rest: ledger = provider = orders, to the fen, order by order."""
    captured: Counter[str] = Counter()
    for payment in books.payments:
        captured[payment.order_id] += payment.captured_fen
        if payment.captured_fen and payment.order_id not in books.orders:
            yield f"payment {payment.id}: captured for an order that does not exist"
    due: Counter[str] = Counter()
    settled: Counter[str] = Counter()
    returned: Counter[str] = Counter()
    for refund in books.refunds.values():
        due[refund.order_id] += refund.amount_fen
        if refund.state == "settled":
            settled[refund.order_id] += refund.amount_fen
        if refund.id.endswith(".back"):
            returned[refund.order_id] += refund.amount_fen
    for order in books.orders.values():
        yield from _order_agrees(books, order, captured[order.id] - returned[order.id])
    escrow: Counter[str] = Counter()
    owed: Counter[str] = Counter()
    for order_id, account, fen in books.house.rows("money", store.ORDER_ACCOUNTS):
        escrow[order_id] -= fen if account in ("order_escrow", "suspense") else 0
        owed[order_id] -= fen if account == "user_refund_payable" else 0
    claimed = dict(books.house.rows("money", store.CLAIMS))
    for order_id, fen in captured.items():
        if fen != escrow[order_id] + owed[order_id] + settled[order_id] + claimed.get(order_id, 0):
            yield (
                f"order {order_id}: {fen} fen captured, {escrow[order_id]} in escrow, {owed[order_id]} owed, "
                f"{settled[order_id]} given back, {claimed.get(order_id, 0)} the parties'"
            )
    provider = books.provider
    if provider.paid_fen != sum(captured.values()):
        yield f"the provider holds {provider.paid_fen} fen, the ledger {sum(captured.values())}"
    if provider.refunded_fen != sum(settled.values()):
        yield f"the provider gave {provider.refunded_fen} fen back, the ledger says {sum(settled.values())}"
    accounts = {account: running for account, running, _ in books.house.rows("money", store.ACCOUNTS)}
    held = provider.paid_fen - provider.refunded_fen - provider.shared_fen
    if accounts.get("provider_clearing", 0) != held:
        yield f"the provider holds {held} fen, the ledger says {accounts.get('provider_clearing', 0)}"


def _order_agrees(books: Books, order: OrderRow, captured_fen: int) -> Iterator[str]:
    if order.paid_fen != captured_fen:
        yield f"order {order.id} ({order.state}): {order.paid_fen} fen paid, {captured_fen} fen captured and kept"
    promised = sum(refund.amount.fen for refund in order.refunds)
    if order.refundable and total(order.refundable).fen + promised != order.paid_fen:
        yield f"order {order.id}: {total(order.refundable).fen} fen left and {promised} promised of {order.paid_fen}"
    if order.state in ("refunding", "refunded") and promised != order.paid_fen:
        yield f"order {order.id} is {order.state}, but {promised} of {order.paid_fen} fen were promised back"
    if order.state == "cancelled" and order.paid_fen:
        yield f"order {order.id} is cancelled with {order.paid_fen} fen in it"
    for promise in order.refunds:
        refund = books.refunds.get(promise.id)
        if refund is None or refund.amount_fen != promise.amount.fen:
            yield f"order {order.id}: refund {promise.id} of {promise.amount} is not in the ledger so"
        elif (refund.state == "settled") != promise.is_settled:
            yield f"order {order.id}: refund {promise.id} is {refund.state}, the order says {promise}"


def stock_adds_up(books: Books) -> Iterator[str]:
    """I2: of each dish and meal as many are held and sold as orders say, and no more than there are."""
    held: Counter[tuple[str, str]] = Counter()
    sold: Counter[tuple[str, str]] = Counter()
    for order in books.orders.values():
        if order.state in HOLDING:
            for wanted in order.quote.lines:
                held[wanted.dish_id, order.meal_id] += wanted.quantity
                for part in wanted.parts:
                    held[part.dish_id, order.meal_id] += wanted.quantity * part.quantity
    for sub in books.sub_orders:
        if sub.state not in ("rejected", "withdrawn"):
            for line in sub.order_lines:
                sold[line.dish_id, sub.meal_id] += line.quantity
                for part in line.parts:
                    sold[part.dish_id, sub.meal_id] += line.quantity * part.quantity
    for dish_id, meal_id, made, kept_held, kept_sold in books.portions:
        place = dish_id, meal_id
        if (kept_held, kept_sold) != (held.pop(place, 0), sold.pop(place, 0)) or min(kept_held, kept_sold) < 0:
            yield f"{dish_id} of {meal_id}: {kept_held} held and {kept_sold} sold are not what the orders say"
        if kept_held + kept_sold > made:
            yield f"{dish_id} of {meal_id}: {kept_held} held and {kept_sold} sold of {made}"
    for place in sorted({**held, **sold}):
        if held[place] or sold[place]:
            yield f"{place}: {held[place]} held and {sold[place]} sold without stock"


def effects_happen_once(books: Books) -> Iterator[str]:
    """I4: every payment is captured and told once, every refund is settled once, an order is paid once, and so on."""
    for name, field in ONCE:
        counts = Counter(body[field] for body in books.told(name))
        for one, count in counts.items():
            if count > 1:
                yield f"{name} of {one} was told {count} times"
    booked: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, reference, fen in books.house.rows("money", store.JOURNALS_BY_KIND):
        booked[kind][reference] += fen
    for payment in books.payments:
        fen = booked["capture"].pop(payment.id, 0) + booked["misfit"].pop(payment.id, 0)
        if fen != payment.captured_fen:
            yield f"payment {payment.id}: {payment.captured_fen} fen captured, {fen} fen booked"
    for refund in books.refunds.values():
        fen = booked["refund_settled"].pop(refund.id, 0)
        if fen != (refund.amount_fen if refund.state == "settled" else 0):
            yield f"refund {refund.id}: {refund.state}, {fen} fen booked as given back"
    for kind in ("capture", "misfit", "refund_settled"):
        for reference in booked[kind]:
            yield f"{kind} of {reference} is booked for nothing"


ONCE = (
    ("money.payment_captured", "payment_id"),
    ("money.refund_settled", "refund_id"),
    ("orders.placed", "order_id"),
    ("orders.paid", "order_id"),
    ("orders.refund_due", "refund_id"),
    ("orders.refunded", "refund_id"),
    ("groups.opened", "group_id"),
    ("groups.formed", "group_id"),
    ("groups.closed", "group_id"),
    ("groups.failed", "group_id"),
    ("splitting.planned", "group_id"),
    ("splitting.confirmed", "gid"),
    ("splitting.cancelled", "gid"),
    ("splitting.confirmed", "group_id"),
    ("splitting.cancelled", "group_id"),
)


def followers_are_there(books: Books) -> Iterator[str]:
    """I4 at rest: each database has noted the last event of the other that it hears."""
    for target, source, last, reached in _followers(books.house):
        if reached < last:
            yield f"{target} has noted event {reached} of {source}, and the last it hears is {last}"


def are_followed(house: VirtualHouse) -> bool:
    """Whether each database has heard all that it hears of the other."""
    return all(reached >= last for _, _, last, reached in _followers(house))


def _followers(house: VirtualHouse) -> Iterator[tuple[str, str, int, int]]:
    """(target, source, the last event it hears, the one it has noted)."""
    for target, source in FOLLOWS:
        heard = house.heard(target, source)
        last = max((number for name, number in house.rows(source, store.LAST_BY_NAME) if name in heard), default=0)
        rows = house.rows(target, store.POSITION, {"source": source})
        yield target, source, last, rows[0][0] if rows else 0


def all_has_ended(books: Books) -> Iterator[str]:
    """I5 at rest: no group is open, no order or shop waits, no event is parked, no timer is overdue."""
    for group in books.groups:
        if group.state not in ("closed", "failed"):
            yield f"group {group.id} is still {group.state}"
    for order in books.orders.values():
        if order.state in UNSETTLED and not (order.state == "refunding" and _is_refused(books, order)):
            yield f"order {order.id} is still {order.state}"
    watched = {id for (id,) in books.house.rows("core", store.WATCHED)}
    for sub in books.sub_orders:
        if sub.state == "planned" and f"accept:{sub.group_id}" not in watched:
            yield f"sub-order {sub.id} waits for its shop, and nobody looks"
    for refund in books.refunds.values():
        if refund.state not in ("settled", "refused"):
            yield f"refund {refund.id} is still {refund.state}"
    now_ms = to_ms(books.house.clock.true() - timedelta(minutes=5))
    for kind in books.house.disks:
        for source, number, name, reason in books.house.rows(kind, store.PARKED):
            yield f"{kind} has parked event {number} of {source} ({name}): {reason}"
        for timer_id, command in books.house.rows(kind, store.TIMERS_DUE, {"by_ms": now_ms}):
            yield f"{kind}: the timer {timer_id} ({command}) is overdue"


def _is_refused(books: Books, order: OrderRow) -> bool:
    """Whether the provider refused one of its refunds, so that a person must look."""
    return any(
        refund.state == "refused" for promise in order.refunds if (refund := books.refunds.get(promise.id)) is not None
    )


def prices_are_exact(books: Books) -> Iterator[str]:
    """I10: lines add up to the price, sub-orders to the order, and a plan to what its members paid."""
    for order in books.orders.values():
        quote = order.quote
        lines = [line.payable.fen for line in quote.lines]
        delivery, payable = quote.delivery_fee.fen, quote.payable.fen
        if sum(lines) + delivery != payable or min(lines) < 0:
            yield f"order {order.id}: lines of {lines} and {delivery} for delivery make {payable}"
        if order.paid_fen not in (0, order.payable_fen):
            yield f"order {order.id}: {order.paid_fen} of {order.payable_fen} fen paid"
    made: Counter[str] = Counter()
    for sub in books.sub_orders:
        made[sub.order_id] += sub.payable_fen
        if sub.items_fen - sub.discount_fen + sub.delivery_fen != sub.payable_fen:
            yield f"sub-order {sub.id} does not add up"
    for order in books.orders.values():
        if order.sub_orders and made[order.id] != order.quote.payable.fen:
            yield f"order {order.id}: sub-orders of {made[order.id]} fen make {order.quote.payable.fen}"
    for plan in books.told("splitting.planned"):
        yield from _plan_adds_up(books, plan)


def _plan_adds_up(books: Books, plan: dict[str, Any]) -> Iterator[str]:
    planned = sum(sub["payable_fen"] for sub in plan["sub_orders"])
    if planned + plan["returned_fen"] != plan["paid_fen"] or min(planned, plan["returned_fen"]) < 0:
        yield f"group {plan['group_id']}: {planned} planned and {plan['returned_fen']} returned of {plan['paid_fen']}"
    order_ids = {sub["order_id"] for sub in plan["sub_orders"]}
    paid = sum(books.orders[order_id].paid_fen for order_id in order_ids if order_id in books.orders)
    if paid != plan["paid_fen"]:
        yield f"group {plan['group_id']}: its members paid {paid} fen, its plan says {plan['paid_fen']}"


def seats_are_right(books: Books) -> Iterator[str]:
    """SEATS: never more than the largest tier, one for each member, for an order of this group in a fitting state."""
    seated: dict[str, str] = {}
    for group in books.groups:
        seats = group.seats
        if len(seats) > group.tiers[-1].size:
            yield f"group {group.id}: {len(seats)} seats of {group.tiers[-1].size}"
        if len({seat.member_id for seat in seats}) != len(seats):
            yield f"group {group.id}: somebody has two seats"
        for seat in seats:
            if seat.campus_id is not None:
                continue  # a guest's; his order is on his own campus
            order = books.orders.get(seat.order_id)
            if order is None or order.member_id != seat.member_id:
                yield f"group {group.id}: the seat of {seat.order_id} is nobody's"
            elif group.state == "failed":
                # Late money may have found another group since; here nobody may still wait for a meal.
                if order.group_id == group.id and order.state not in ("cancelled", "refunding", "refunded"):
                    yield f"group {group.id} failed, and its order {order.id} is {order.state}"
            elif order.group_id != group.id:
                yield f"group {group.id}: the seat of {order.id} is in {order.group_id}"
            elif group.state in ("open", "formed", "closed"):
                waits = group.home is not None and order.state == "paid"  # its home has not answered for his money
                if (seat.state == "held") != (order.state in UNPAID or (seat.state == "held" and waits)):
                    yield f"group {group.id}: the seat of {order.id} is {seat.state}, the order {order.state}"
                seated[order.id] = group.id
    for order in books.orders.values():
        if order.state in HOLDING and seated.get(order.id) != order.group_id:
            yield f"order {order.id} is {order.state} and has no seat"


def groups_form_rightly(books: Books) -> Iterator[str]:
    """SEATS at rest: a group was formed exactly if its paid seats reached the smallest tier when it closed."""
    formed = {body["group_id"] for body in books.told("groups.formed")}
    split = {body["group_id"] for body in books.told("splitting.planned")}
    cancelled = {body["group_id"] for body in books.told("splitting.cancelled")}
    for group in books.groups:
        paid = sum(seat.state == "paid" for seat in group.seats)
        paid += 0 if group.home is None else group.home.paid_elsewhere
        if not any(seat.campus_id is None for seat in group.seats):
            continue  # nothing of it is split here
        if group.state == "closed" and (paid < group.tiers[0].size or group.id not in formed or group.id not in split):
            yield f"group {group.id} closed with {paid} paid seats"
        if group.state == "failed" and group.id not in cancelled and (group.id in formed or group.id in split):
            yield f"group {group.id} failed after it had formed"
    largest = {group.id: group.tiers[0].size for group in books.groups}
    paid_in: dict[str, set[str]] = defaultdict(set)
    for _, name, body in books.events["core"]:
        if name == "groups.seat_paid":
            paid_in[body["group_id"]].add(body["order_id"])
        elif name == "groups.seat_released":
            paid_in[body["group_id"]].discard(body["order_id"])
        elif name == "groups.failed" and body["reason"] == "split_cancelled":
            if body["group_id"] not in cancelled:
                yield f"group {body['group_id']} failed by a split that was not cancelled"
        elif name == "groups.failed" and len(paid_in[body["group_id"]]) >= largest[body["group_id"]]:
            yield f"group {body['group_id']} failed with {len(paid_in[body['group_id']])} paid seats"


def splits_are_whole(books: Books) -> Iterator[str]:
    """I3: all branches of a split are confirmed, or all undone, and its orders, transfers and parcels follow."""
    yield from splits.never_mixed(books.transactions)
    yield from splits.orders_follow(books.transactions)
    yield from splits.effects_follow_fences(books.transactions)


def fences_are_known(books: Books) -> Iterator[str]:
    """I4: each branch has at most one fence, in its own database, and was registered before."""
    yield from splits.fences_are_known(books.transactions)


def coordinators_follow(books: Books) -> Iterator[str]:
    """I4: nobody listens to a coordinator that was taken over."""
    yield from splits.the_newest_is_heard(books.transactions)


def deadlines_count(books: Books) -> Iterator[str]:
    """I5: what a split's deadline says is decided when it comes."""
    yield from splits.decided_in_time(books.transactions)


def splits_have_ended(books: Books) -> Iterator[str]:
    """I5 at rest: every split is confirmed or cancelled, and none needs a person."""
    yield from splits.all_have_ended(books.transactions)


def events_have_no_gap(books: Books) -> Iterator[str]:
    """EVENTS: numbered from 1 without gap in both databases, and the cursor knows the last."""
    for kind in books.house.disks:
        count, first, last = books.house.rows(kind, store.EVENT_NUMBERS)[0]
        (kept,) = books.house.rows(kind, store.LAST_EVENT_NUMBER)[0]
        if (count and (first != 1 or last != count)) or last != kept:
            yield f"{kind} has {count} events from {first} to {last}, its cursor stands at {kept}"


def items_are_in_one_delivery(books: Books) -> Iterator[str]:
    """I11: a drop-off is in one live parcel until nobody wants it, a parcel in one bundle of one rider and merchant."""
    live: Counter[str] = Counter()
    for parcel in books.parcels.values():
        own = [books.drop_offs.get(sub_order_id) for sub_order_id in parcel.sub_order_ids]
        if parcel.state != "dropped":
            live.update(parcel.sub_order_ids)
            if parcel.portions != sum(one.portions for one in own if one is not None):
                yield f"parcel {parcel.id} has not the {parcel.portions} portions it says"
    for one in books.drop_offs.values():
        home = books.parcels.get(one.parcel_id)
        held = () if home is None or home.state == "dropped" else home.sub_order_ids
        is_wanted = one.state != "dropped" and (home is None or home.state != "dropped")
        if live.pop(one.sub_order_id, 0) != is_wanted or (one.sub_order_id in held) != is_wanted:
            yield f"drop-off {one.sub_order_id} ({one.state}) is not in its parcel {one.parcel_id} alone"
    if live:
        yield f"parcels hold what is no drop-off: {sorted(live)[:3]}"
    yield from _bundles_hold_parcels(books)


def _bundles_hold_parcels(books: Books) -> Iterator[str]:
    carried: dict[str, str] = {}
    for bundle in books.bundles.values():
        for parcel_id in bundle.parcel_ids if bundle.state != "released" else ():
            parcel = books.parcels.get(parcel_id)
            if carried.setdefault(parcel_id, bundle.id) != bundle.id:
                yield f"parcel {parcel_id} is in {bundle.id} and in {carried[parcel_id]}"
            if parcel is None or parcel.merchant_id != bundle.merchant_id:
                yield f"bundle {bundle.id} of {bundle.merchant_id} holds {parcel_id}"
    for parcel in books.parcels.values():
        if parcel.bundle_id != carried.get(parcel.id):
            yield f"parcel {parcel.id} ({parcel.state}) names bundle {parcel.bundle_id}, not {carried.get(parcel.id)}"
        if (parcel.state in ("assigned", "picked_up", "delivered")) != (parcel.bundle_id is not None):
            yield f"parcel {parcel.id} is {parcel.state} in bundle {parcel.bundle_id}"
    busy = {
        bundle.rider_id: bundle.id for bundle in books.bundles.values() if bundle.state in ("assigned", "picked_up")
    }
    for rider_id, bundle_id in books.house.rows("delivery", store.RIDERS_BUNDLES):
        if busy.get(rider_id) != bundle_id:
            yield f"rider {rider_id} has {bundle_id}, and bundle {busy.get(rider_id)} is his"


# A sub-order's state, and that of its drop-off at rest; a rider may have had it when it was withdrawn.
BROUGHT = {
    "rejected": {"dropped"},
    "withdrawn": {"dropped", "delivered", "picked_up"},
    "picked_up": {"picked_up", "dropped"},
    "delivered": {"delivered", "dropped"},
    "ready": {"ready"},
    "cooking": {"cooking"},
}


def deliveries_agree(books: Books) -> Iterator[str]:
    """I11 at rest: each sub-order has one drop-off, to its building, as far as it is; a cancelled split has none."""
    for sub in books.sub_orders:
        one = books.drop_offs.get(sub.id)
        if one is None:
            yield f"sub-order {sub.id} ({sub.state}) is brought by nobody"
            continue
        home = books.parcels[one.parcel_id]
        if (home.merchant_id, home.building_id, home.meal_id) != (sub.merchant_id, sub.building_id, sub.meal_id):
            yield f"sub-order {sub.id} is in parcel {home.id}, which is for somebody else"
        if one.portions != sum(line.quantity for line in sub.order_lines):
            yield f"sub-order {sub.id} has other portions than its drop-off"
        if one.state not in BROUGHT.get(sub.state, {"planned"}):
            yield f"sub-order {sub.id} is {sub.state}, and its drop-off {one.state}"
    known = {sub.id for sub in books.sub_orders}
    for one in books.drop_offs.values():
        if one.sub_order_id not in known and books.parcels[one.parcel_id].state != "dropped":
            yield f"drop-off {one.sub_order_id} is of no sub-order, and still to be brought"


Check = Callable[[Books], Iterator[str]]
ALWAYS: tuple[tuple[str, Check], ...] = (
    ("I1", money_adds_up),
    ("I2", stock_adds_up),
    ("I4", effects_happen_once),
    ("I10", prices_are_exact),
    ("I11", items_are_in_one_delivery),
    ("SEATS", seats_are_right),
    ("EVENTS", events_have_no_gap),
    ("I3", splits_are_whole),
    ("I4", fences_are_known),
    ("I4", coordinators_follow),
    ("I5", deadlines_count),
)
AT_REST: tuple[tuple[str, Check], ...] = (
    ("I1", books_agree),
    ("I4", followers_are_there),
    ("I5", all_has_ended),
    ("I11", deliveries_agree),
    ("I5", splits_have_ended),
    ("SEATS", groups_form_rightly),
)


def broken(books: Books, *, at_rest: bool) -> list[Broken]:
    """The invariants that do not hold, each with at most a few places."""
    found = []
    for name, check in (*ALWAYS, *AT_REST) if at_rest else ALWAYS:
        for i, what in enumerate(check(books)):
            if i >= TOLD_MAX:
                break
            found.append(Broken(name, what))
    return found


def last_timer(house: VirtualHouse) -> datetime | None:
    """When the last timer of both databases is due; None when there is none."""
    due = [row[0] for kind in house.disks for row in house.rows(kind, store.LAST_TIMER) if row[0] is not None]
    return None if not due else datetime.fromtimestamp(max(due) / 1000, tz=house.clock.true().tzinfo)


def digest(house: VirtualHouse) -> str:
    """A fingerprint of every row that is kept."""
    told = sha256()
    for kind, disk in house.disks.items():
        for (name,) in disk.rows(store.TABLES):
            told.update(f"{kind}.{name}".encode())
            told.update(repr(disk.rows(store.whole_table(name))).encode())
    return told.hexdigest()


def _order(*row: Any) -> OrderRow:
    id, group_id, member_id, meal_id, state, quote, payable_fen, paid_fen, refundable, refunds, sub_orders = row
    priced, left, promised = _quote(quote), _amounts(refundable), _refunds(refunds)
    return OrderRow(id, group_id, member_id, meal_id, state, priced, payable_fen, paid_fen, left, promised, sub_orders)


def _sub_order(*row: Any) -> SubOrderRow:
    return SubOrderRow._make((*row[:7], _lines(row[7]), *row[8:]))


def _parcel(*row: Any) -> ParcelRow:
    return ParcelRow._make((*row[:5], tuple(_json(row[5])), *row[6:]))


def _bundle(*row: Any) -> BundleRow:
    return BundleRow._make((*row[:4], tuple(_json(row[4]))))


def _group(*row: Any) -> GroupRow:
    id, campaign_id, state, tiers, seats, per_user_limit, delivery_fee_fen, home = row
    is_at = None if home is None else _home(home)
    return GroupRow(id, campaign_id, state, _tiers(tiers), _seats(seats), per_user_limit, delivery_fee_fen, is_at)


_json = msgspec.json.decode


@lru_cache(maxsize=10_000)
def _event(body: str) -> dict[str, Any]:
    """An event as it was told, not to be changed: the books are read again after each crash, and hold the same ones."""
    event: dict[str, Any] = _json(body)
    return event


_quote = msgspec.json.Decoder(Quote).decode
_amounts = msgspec.json.Decoder(tuple[Money, ...]).decode
_refunds = msgspec.json.Decoder(tuple[Refund, ...]).decode
_lines = msgspec.json.Decoder(tuple[SubLine, ...]).decode
_tiers = msgspec.json.Decoder(tuple[CampaignTier, ...]).decode
_seats = msgspec.json.Decoder(tuple[Seat, ...]).decode
_home = msgspec.json.Decoder(Home).decode

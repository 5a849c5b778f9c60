"""What is eaten: no portion more than there is, and each is brought once (I2, I11)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from simulation.invariants import store
from simulation.invariants.books import HOLDING, Books

# A sub-order's state, and that of its drop-off at rest; a rider may have had it when it was withdrawn.
BROUGHT = {
    "rejected": {"dropped"},
    "withdrawn": {"dropped", "delivered", "picked_up"},
    "picked_up": {"picked_up", "dropped"},
    "delivered": {"delivered", "dropped"},
    "ready": {"ready"},
    "cooking": {"cooking"},
}


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

"""Everything kept of a campus, decoded: the rows that invariants are about, and the events that were told."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import msgspec

from simulation.house import VirtualHouse
from simulation.invariants import splits, store
from tuanzi.base.money import Money
from tuanzi.catalog import CampaignTier
from tuanzi.groups import Home, Seat
from tuanzi.orders import Refund, SubLine
from tuanzi.pricing import Quote

# Orders whose portions are held, and whose money is with the campus for good or until it goes back.
HOLDING = frozenset({"created", "paid", "grouped"})


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

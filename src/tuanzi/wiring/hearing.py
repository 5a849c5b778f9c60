"""Events meet listeners: who hears what, in which database; nowhere else is it said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tuanzi import delivery, events, groups, guests, live, orders, reconciliation, sharing, splitting
from tuanzi.events import Event
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.follower import Follower
from tuanzi.machinery.room import Listener, Room
from tuanzi.machinery.writer import Schema

# Who hears what: (the listener's database, the listener). In the emitter's own database a listener runs in the
# same commit; in another one it hears through the event log, in order and once in effect.
HEARD: dict[type[Event], tuple[tuple[str, Listener], ...]] = {
    events.GroupFormed: (("core", guests.on_group_moved),),
    events.TierReached: (("core", guests.on_group_moved),),
    events.GroupClosed: (("core", splitting.on_group_closed), ("core", guests.on_group_moved)),
    events.GroupFailed: (("core", guests.on_group_moved),),
    events.GuestPaid: (("core", guests.on_guest_paid),),
    events.GuestLeaving: (("core", guests.on_guest_leaving),),
    events.PaymentCaptured: (("core", groups.on_payment_captured),),
    events.OrderCompleted: (("money", sharing.on_order_completed),),
    events.AfterSaleAsked: (("money", sharing.on_after_sale_asked),),
    events.RefundDue: (("money", sharing.on_refund_due),),
    events.RefundRefused: (("money", sharing.on_refund_refused),),
    events.RefundSettled: (("core", orders.on_refund_settled), ("money", sharing.on_refund_settled)),
    events.OrderDoubted: (("core", orders.on_order_doubted),),
    events.DifferenceRepaired: (("core", orders.on_difference_repaired),),
    events.OrderPutOnHold: (("money", reconciliation.on_order_put_on_hold),),
    events.SubOrderAdvanced: (("delivery", delivery.on_sub_order_advanced),),
    events.OrderCancelled: (("core", groups.on_order_cancelled), ("core", guests.on_order_cancelled)),
    events.BundlePickedUp: (("core", orders.on_bundle_picked_up),),
    events.ParcelDelivered: (("core", orders.on_parcel_delivered), ("money", sharing.on_parcel_delivered)),
}

# Told for those who read the log from outside: the doorkeeper's and status board's caches, pages, auditors, operators.
FOR_OUTSIDE_READERS: frozenset[type[Event]] = frozenset(
    {
        events.PersonJoined,
        events.PersonErased,
        events.RolesChanged,
        events.SessionEnded,
        events.CatalogChanged,
        events.CampaignChanged,
        events.DishSoldOut,
        events.RuleBookSwitched,
        events.CouponsGranted,
        events.GroupOpened,
        events.SeatHeld,
        events.SeatPaid,
        events.SeatReleased,
        events.LeaderChanged,
        events.LateMoneySettled,
        events.SplitPlanned,
        events.SplitConfirmed,
        events.SplitCancelled,
        events.OrderPlaced,
        events.OrderPaid,
        events.OrderAdvanced,
        events.AfterSaleWithdrawn,
        events.OrderRefunded,
        events.SubOrdersLate,
        events.SubOrdersUnready,
        events.DifferenceFound,
        events.DifferenceRaised,
        events.BillsUnusable,
        events.PromiseMade,
        events.PromiseMoved,
        events.BundleAssigned,
        events.BundleReleased,
        events.ParcelDropped,
        events.ParcelUnfetched,
        events.BundleDelivered,
        events.RiderCameOn,
        events.RiderWentOff,
    }
)

# (the target, its source)
FOLLOWS = (
    ("core", "money"),
    ("money", "core"),
    ("core", "delivery"),
    ("delivery", "core"),
    ("money", "delivery"),
)
# Whose events are told live; see `live.TELLS` for which becomes what for whom.
TOLD_LIVE = ("core", "money", "delivery")


def all_events() -> list[type[Event]]:
    """Every event that can happen."""
    return [
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    ]


class Hearing(NamedTuple):
    """One listener: it works in the database `target`; the event is in the log of `source`, which may be the same."""

    target: str
    source: str
    event: type[Event]
    listener: Listener


def hearings(rooms: Sequence[Room]) -> Iterator[Hearing]:
    """Who hears what among these rooms; the events of a room that is not there never happen."""
    home = {room.name: room.database for room in rooms}
    for event, listeners in HEARD.items():
        if source := home.get(event.name.partition(".")[0]):
            yield from (Hearing(target, source, event, listener) for target, listener in listeners)


def names_heard(rooms: Sequence[Room]) -> dict[tuple[str, str], set[str]]:
    """By (target, source): the names of the events of one database that another one hears."""
    heard: dict[tuple[str, str], set[str]] = {}
    for one in hearings(rooms):
        heard.setdefault((one.target, one.source), set()).add(one.event.name)
    return heard


def follower_of(target: str, source: str, *, schema: Schema, position: int) -> Follower:
    """What carries the events of `source` to the database `target`, whose schema is given."""
    heard = [event for emitter, event in schema.follows if emitter == source]
    return Follower(source, heard=heard, codec=schema.codec, position=position)


def follower_of_log(source: str, *, position: int) -> Follower:
    """What carries the events that are told live from the log of `source`."""
    codec = Codec(commands=(), events=all_events())
    return Follower(source, heard=list(live.TELLS), codec=codec, position=position)

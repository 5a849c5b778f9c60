"""Everything that can happen, one frozen struct each, past tense.

`name` and `version` are what is stored: neither changes once released; a field may be added with a default, anything
else is a new version. Who hears what is one dict in `wiring/hearing.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from msgspec import Struct


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """Something that happened; amounts in fen, times aware UTC."""

    name: ClassVar[str]
    version: ClassVar[int] = 1


# people (platform)


class PersonJoined(Event, frozen=True, kw_only=True, gc=False):
    """Somebody signed in for the first time."""

    name = "people.person_joined"
    person_id: str
    campus_id: str | None


class PersonErased(Event, frozen=True, kw_only=True, gc=False):
    """A person's data was erased at his request (PIPL); other rooms forget what they hold of him."""

    name = "people.person_erased"
    person_id: str


class RolesChanged(Event, frozen=True, kw_only=True, gc=False):
    """An operator gave or took roles."""

    name = "people.roles_changed"
    person_id: str
    roles: tuple[str, ...]


class SessionEnded(Event, frozen=True, kw_only=True, gc=False):
    """A person signed out, or a newer sign-in took his oldest session's place; its token opens nothing any more."""

    name = "people.session_ended"
    person_id: str
    session_id: str


# catalog (core)


class CatalogChanged(Event, frozen=True, kw_only=True, gc=False):
    """A campus, building, merchant, dish or meal was added or changed."""

    name = "catalog.changed"
    kind: str
    id: str


class CampaignChanged(Event, frozen=True, kw_only=True, gc=False):
    """A campaign was added or changed; groups already open keep what they were opened with (P22)."""

    name = "catalog.campaign_changed"
    campaign_id: str


class DishSoldOut(Event, frozen=True, kw_only=True, gc=False):
    """The last portion of a dish for a meal is held or sold, or the merchant closed it."""

    name = "stock.dish_sold_out"
    dish_id: str
    meal_id: str


# pricing (core)


class RuleBookSwitched(Event, frozen=True, kw_only=True, gc=False):
    """Another version of the price rules is in force; also told when an older one is brought back."""

    name = "pricing.rule_book_switched"
    book_version: int
    before: int
    by: str


class CouponsGranted(Event, frozen=True, kw_only=True, gc=False):
    """An operator gave members coupons, whose ids begin with `grant_id`. granted: how many were not there before."""

    name = "pricing.coupons_granted"
    grant_id: str
    granted: int
    off_fen: int
    by: str


# groups (core)


class GroupOpened(Event, frozen=True, kw_only=True, gc=False):
    """A leader opened a group (开团)."""

    name = "groups.opened"
    group_id: str
    campaign_id: str
    building_id: str
    leader_id: str
    closes_at: datetime


class SeatHeld(Event, frozen=True, kw_only=True, gc=False):
    """A member took a seat (参团) and has until `pay_before` to pay."""

    name = "groups.seat_held"
    group_id: str
    order_id: str
    member_id: str
    pay_before: datetime


class SeatPaid(Event, frozen=True, kw_only=True, gc=False):
    """A seat is paid; `paid_count` of the group so far."""

    name = "groups.seat_paid"
    group_id: str
    order_id: str
    member_id: str
    paid_count: int


class SeatReleased(Event, frozen=True, kw_only=True, gc=False):
    """A seat became free again: its member left, was too late, or was refunded."""

    name = "groups.seat_released"
    group_id: str
    order_id: str
    member_id: str
    reason: str


class LeaderChanged(Event, frozen=True, kw_only=True, gc=False):
    """The leader left and the earliest member took over."""

    name = "groups.leader_changed"
    group_id: str
    leader_id: str


class TierReached(Event, frozen=True, kw_only=True, gc=False):
    """Enough members paid for a better tier."""

    name = "groups.tier_reached"
    group_id: str
    size: int


class GroupFormed(Event, frozen=True, kw_only=True, gc=False):
    """The smallest tier is met (成团): the group will be delivered, and may still grow to a better tier."""

    name = "groups.formed"
    group_id: str
    size: int
    order_ids: tuple[str, ...]


class GroupClosed(Event, frozen=True, kw_only=True, gc=False):
    """A formed group takes no more members: full, or its deadline came. Its split follows in the same commit."""

    name = "groups.closed"
    group_id: str
    size: int
    order_ids: tuple[str, ...]


class GroupFailed(Event, frozen=True, kw_only=True, gc=False):
    """A group came to nothing; who paid is refunded (未成团自动退款).

    reason: "deadline" came before the smallest tier, "nobody_left", or "split_cancelled".
    """

    name = "groups.failed"
    group_id: str
    order_ids: tuple[str, ...]
    reason: str


class LateMoneySettled(Event, frozen=True, kw_only=True, gc=False):
    """Money came for a seat that was gone: the member got another seat (`group_id`) or gets it back (None)."""

    name = "groups.late_money_settled"
    order_id: str
    member_id: str
    group_id: str | None
    amount_fen: int


class GuestPaid(Event, frozen=True, kw_only=True, gc=False):
    """A guest's money is in; the home campus of his group is asked to make the seat his (B7).

    is_late: it came for an order that had ended; the group may have another seat.
    """

    name = "groups.guest_paid"
    order_id: str
    group_id: str
    member_id: str
    is_late: bool = False


class GuestLeaving(Event, frozen=True, kw_only=True, gc=False):
    """A guest gives up his seat, or did not pay in time; the home campus of his group is told. When it was paid, it
    decides whether he still may."""

    name = "groups.guest_leaving"
    order_id: str
    group_id: str
    member_id: str
    reason: str


# splitting (core)


class PlannedSubOrder(Struct, frozen=True, kw_only=True, gc=False):
    """One line of a split plan: what one merchant makes for one member, brought to one building."""

    sub_order_id: str
    order_id: str
    member_id: str
    merchant_id: str
    building_id: str
    items_fen: int
    discount_fen: int
    delivery_fen: int
    payable_fen: int


class SplitPlanned(Event, frozen=True, kw_only=True, gc=False):
    """A closed group's exact split: member x merchant x building, adding up to what was paid less what is returned.

    It is accepted, not done: SplitConfirmed or SplitCancelled follows (B6).
    """

    name = "splitting.planned"
    group_id: str
    sub_orders: tuple[PlannedSubOrder, ...]
    paid_fen: int
    returned_fen: int


class MerchantBoard(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant has to make for one group."""

    merchant_id: str
    sub_order_ids: tuple[str, ...]


class SplitConfirmed(Event, frozen=True, kw_only=True, gc=False):
    """A split is done in stock, money and delivery; its merchants may begin with what is on their `boards`."""

    name = "splitting.confirmed"
    group_id: str
    gid: str
    boards: tuple[MerchantBoard, ...]


class SplitCancelled(Event, frozen=True, kw_only=True, gc=False):
    """A split could not be done and nothing of it is left; its group failed, and every member is refunded."""

    name = "splitting.cancelled"
    group_id: str
    gid: str
    reason: str


# orders (core)


class OrderPlaced(Event, frozen=True, kw_only=True, gc=False):
    """An order exists and waits to be paid."""

    name = "orders.placed"
    order_id: str
    group_id: str
    member_id: str
    payable_fen: int
    pay_before: datetime


class OrderPaid(Event, frozen=True, kw_only=True, gc=False):
    """The order's money arrived while its seat was held."""

    name = "orders.paid"
    order_id: str
    group_id: str
    member_id: str
    paid_fen: int


class OrderAdvanced(Event, frozen=True, kw_only=True, gc=False):
    """An order reached another state of its life (B8)."""

    name = "orders.advanced"
    order_id: str
    member_id: str
    before: str
    state: str


class OrderCompleted(Event, frozen=True, kw_only=True, gc=False):
    """A delivered order is over: its member confirmed it, two hours passed, or an after-sale was closed."""

    name = "orders.completed"
    order_id: str
    member_id: str


class AfterSaleAsked(Event, frozen=True, kw_only=True, gc=False):
    """A member is not content with his order; an operator decides, by a refund of all that is left or by closing it."""

    name = "orders.after_sale_asked"
    order_id: str
    member_id: str


class AfterSaleWithdrawn(Event, frozen=True, kw_only=True, gc=False):
    """A member is content after all, before anybody decided; the order is completed in the same commit."""

    name = "orders.after_sale_withdrawn"
    order_id: str
    member_id: str


class SubOrderAdvanced(Event, frozen=True, kw_only=True, gc=False):
    """A merchant or rider moved a sub-order on, or it was withdrawn because its order was refunded (`by` says why)."""

    name = "orders.sub_order_advanced"
    sub_order_id: str
    order_id: str
    merchant_id: str
    before: str
    state: str
    by: str


class OrderPutOnHold(Event, frozen=True, kw_only=True, gc=False):
    """Nothing is made for an order until a difference between books has ended (D2)."""

    name = "orders.put_on_hold"
    order_id: str
    because: str


class SubOrdersLate(Event, frozen=True, kw_only=True, gc=False):
    """A shop has not accepted these in time; unless it does, they are given up and their price goes back (B8, B9)."""

    name = "orders.sub_orders_late"
    group_id: str
    merchant_id: str
    sub_order_ids: tuple[str, ...]


class SubOrdersUnready(Event, frozen=True, kw_only=True, gc=False):
    """A shop accepted these and does not have them ready in time; they go on, and a person looks (B8, B9)."""

    name = "orders.sub_orders_unready"
    group_id: str
    merchant_id: str
    sub_order_ids: tuple[str, ...]


class OrderCancelled(Event, frozen=True, kw_only=True, gc=False):
    """An order ended without a meal; `paid_fen` is what must go back, by RefundDue."""

    name = "orders.cancelled"
    order_id: str
    group_id: str
    member_id: str
    reason: str
    paid_fen: int


class RefundDue(Event, frozen=True, kw_only=True, gc=False):
    """Money must go back to a member; the money room pays it once per `refund_id`, a function of the order and reason.

    payment_id: the payment it comes from; None is the order's first one, the one that `money.payment_of` names.
    sub_order_id: what it is for, when that is one sub-order; whoever had shares of it loses them first.
    """

    name = "orders.refund_due"
    refund_id: str
    order_id: str
    member_id: str
    amount_fen: int
    reason: str
    payment_id: str | None = None
    sub_order_id: str | None = None


class OrderRefunded(Event, frozen=True, kw_only=True, gc=False):
    """A refund of this order reached the member."""

    name = "orders.refunded"
    order_id: str
    refund_id: str
    member_id: str
    amount_fen: int
    refunded_fen: int


# money (money)


class PaymentCaptured(Event, frozen=True, kw_only=True, gc=False):
    """The provider has the member's money; told once for each order and amount, whatever the callbacks do (C4)."""

    name = "money.payment_captured"
    order_id: str
    payment_id: str
    amount_fen: int
    captured_at: datetime


class RefundSettled(Event, frozen=True, kw_only=True, gc=False):
    """The money went back; `was_refused` before, so that a person may have been asked."""

    name = "money.refund_settled"
    refund_id: str
    order_id: str
    amount_fen: int
    was_refused: bool = False


class RefundRefused(Event, frozen=True, kw_only=True, gc=False):
    """The provider will not give the money back; a person must look."""

    name = "money.refund_refused"
    refund_id: str
    order_id: str
    amount_fen: int
    reason: str


# delivery (delivery)


class PromisedParcel(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant hands over for one building, and when it is promised to be there."""

    parcel_id: str
    merchant_id: str
    building_id: str
    sub_order_ids: tuple[str, ...]
    arrives_at: datetime


class PromiseMade(Event, frozen=True, kw_only=True, gc=False):
    """All of a split will be brought."""

    name = "delivery.promise_made"
    group_id: str
    parcels: tuple[PromisedParcel, ...]


class PromiseMoved(Event, frozen=True, kw_only=True, gc=False):
    """A parcel comes earlier or later than was said."""

    name = "delivery.promise_moved"
    group_id: str
    parcel: PromisedParcel


class BundleAssigned(Event, frozen=True, kw_only=True, gc=False):
    """A rider is to bring these parcels of one merchant, in this order."""

    name = "delivery.bundle_assigned"
    bundle_id: str
    rider_id: str
    merchant_id: str
    parcel_ids: tuple[str, ...]
    sub_order_ids: tuple[str, ...]
    picks_up_at: datetime


class BundleReleased(Event, frozen=True, kw_only=True, gc=False):
    """A rider does not bring these parcels after all; they are planned anew. merchant_id: "" in older ones."""

    name = "delivery.bundle_released"
    bundle_id: str
    rider_id: str
    parcel_ids: tuple[str, ...]
    reason: str
    merchant_id: str = ""


class BundlePickedUp(Event, frozen=True, kw_only=True, gc=False):
    """A rider has a bundle in hand."""

    name = "delivery.bundle_picked_up"
    bundle_id: str
    rider_id: str
    sub_order_ids: tuple[str, ...]


class ParcelDelivered(Event, frozen=True, kw_only=True, gc=False):
    """A rider handed a parcel over at its building."""

    name = "delivery.parcel_delivered"
    parcel_id: str
    bundle_id: str
    rider_id: str
    building_id: str
    sub_order_ids: tuple[str, ...]


class ParcelDropped(Event, frozen=True, kw_only=True, gc=False):
    """A parcel is not brought any more: nothing is left in it."""

    name = "delivery.parcel_dropped"
    parcel_id: str
    group_id: str


class ParcelUnfetched(Event, frozen=True, kw_only=True, gc=False):
    """A parcel is ready and was not fetched in time; it goes on, and a person looks. bundle_id: of whom was sent."""

    name = "delivery.parcel_unfetched"
    parcel_id: str
    group_id: str
    merchant_id: str
    building_id: str
    sub_order_ids: tuple[str, ...]
    bundle_id: str | None = None


class BundleDelivered(Event, frozen=True, kw_only=True, gc=False):
    """All of a bundle is handed over, and its rider is free."""

    name = "delivery.bundle_delivered"
    bundle_id: str
    rider_id: str


class RiderCameOn(Event, frozen=True, kw_only=True, gc=False):
    """A rider began his shift."""

    name = "delivery.rider_came_on"
    rider_id: str
    until: datetime


class RiderWentOff(Event, frozen=True, kw_only=True, gc=False):
    """A rider ended his shift, or did not come."""

    name = "delivery.rider_went_off"
    rider_id: str


# reconciliation (money)


class DifferenceFound(Event, frozen=True, kw_only=True, gc=False):
    """Two books do not agree about one thing (C3); `is_raised`: a person must act from the beginning."""

    name = "reconciliation.difference_found"
    difference_id: str
    difference_class: str
    key: str
    order_id: str
    unexplained_fen: int
    mend: str
    is_raised: bool


class DifferenceRaised(Event, frozen=True, kw_only=True, gc=False):
    """A difference could not be mended: a person must act."""

    name = "reconciliation.difference_raised"
    difference_id: str
    reason: str


class DifferenceRepaired(Event, frozen=True, kw_only=True, gc=False):
    """The books agree again, or a person has settled it; `by`: "mend", "itself" or that person.

    about: the order that it is about; "" when about none, and in older ones.
    """

    name = "reconciliation.difference_repaired"
    difference_id: str
    by: str
    reason: str
    about: str = ""


class OrderDoubted(Event, frozen=True, kw_only=True, gc=False):
    """The provider never had this order's money: nothing is to be made for it until the difference ends (D2)."""

    name = "reconciliation.order_doubted"
    order_id: str
    difference_id: str


class BillsUnusable(Event, frozen=True, kw_only=True, gc=False):
    """The provider's bills of a day contradict each other: nothing is compared with them until a person has asked.

    Or it keeps them no more, for the campus was off so long: this day and others, as `reason` says, are never compared.
    """

    name = "reconciliation.bills_unusable"
    on_day: str
    reason: str

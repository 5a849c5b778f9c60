"""An order's life and amounts: pure values and rules (B5, B8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import BuildingId, CampaignId, DishId, GroupId, MealId, MerchantId, OrderId, PersonId, SubOrderId
from tuanzi.base.money import ZERO, Money
from tuanzi.orders.problems import AcceptanceTermsInvalid, IllegalStep, RefundTooLarge
from tuanzi.pricing import Cart, LinePart, Quote, allocate_refund, portions_of

# Our choice: a day to notice that the soup was spilt; two hours until a delivered order completes by itself.
AFTER_SALE_WITHIN: Final = timedelta(hours=24)
COMPLETES_AFTER: Final = timedelta(hours=2)
# Why a sub-order is given up that its shop never accepted.
NOT_ACCEPTED: Final = "not_accepted"


class OrderState(StrEnum):
    """Where an order is in its life (B8)."""

    CREATED = "created"
    PAID = "paid"
    GROUPED = "grouped"
    SPLIT = "split"
    ACCEPTED = "accepted"
    COOKING = "cooking"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    AFTER_SALE = "after_sale"
    CANCELLED = "cancelled"
    REFUNDING = "refunding"
    REFUNDED = "refunded"


class Step(StrEnum):
    """What can be done to an order."""

    PAY = "pay"
    CANCEL = "cancel"
    REVIVE = "revive"
    FORM = "form"
    SPLIT = "split"
    ACCEPT = "accept"
    COOK = "cook"
    PICK_UP = "pick_up"
    DELIVER = "deliver"
    COMPLETE = "complete"
    ASK_AFTER_SALE = "ask_after_sale"
    CLOSE_AFTER_SALE = "close_after_sale"
    REFUND = "refund"
    REFUND_DONE = "refund_done"


def steps_from(state: OrderState) -> Mapping[Step, OrderState]:
    """What can be done in a state, and the state it leads to; the one place that knows (B8)."""
    match state:
        case OrderState.CREATED:
            return _CREATED
        case OrderState.CANCELLED:
            return _CANCELLED
        case OrderState.PAID:
            return _PAID
        case OrderState.GROUPED:
            return _GROUPED
        case OrderState.SPLIT:
            return _SPLIT
        case OrderState.ACCEPTED:
            return _ACCEPTED
        case OrderState.COOKING:
            return _COOKING
        case OrderState.PICKED_UP:
            return _PICKED_UP
        case OrderState.DELIVERED:
            return _DELIVERED
        case OrderState.COMPLETED:
            return _COMPLETED
        case OrderState.AFTER_SALE:
            return _AFTER_SALE
        case OrderState.REFUNDING:
            return _REFUNDING
        case OrderState.REFUNDED:
            return _NOTHING
        case _:
            assert_never(state)


_CREATED = {Step.PAY: OrderState.PAID, Step.CANCEL: OrderState.CANCELLED}
# Money that comes late finds a seat again, or goes back (peers' P1 to P3).
_CANCELLED = {Step.REVIVE: OrderState.PAID, Step.REFUND: OrderState.REFUNDING}
_PAID = {Step.FORM: OrderState.GROUPED, Step.REFUND: OrderState.REFUNDING}
_GROUPED = {Step.SPLIT: OrderState.SPLIT, Step.REFUND: OrderState.REFUNDING}
_SPLIT = {Step.ACCEPT: OrderState.ACCEPTED, Step.REFUND: OrderState.REFUNDING}
_ACCEPTED = {Step.COOK: OrderState.COOKING, Step.REFUND: OrderState.REFUNDING}
_COOKING = {Step.PICK_UP: OrderState.PICKED_UP, Step.REFUND: OrderState.REFUNDING}
_PICKED_UP = {Step.DELIVER: OrderState.DELIVERED, Step.REFUND: OrderState.REFUNDING}
_DELIVERED = {
    Step.COMPLETE: OrderState.COMPLETED,
    Step.ASK_AFTER_SALE: OrderState.AFTER_SALE,
    Step.REFUND: OrderState.REFUNDING,
}
_COMPLETED = {Step.ASK_AFTER_SALE: OrderState.AFTER_SALE, Step.REFUND: OrderState.REFUNDING}
_AFTER_SALE = {Step.CLOSE_AFTER_SALE: OrderState.COMPLETED, Step.REFUND: OrderState.REFUNDING}
_REFUNDING = {Step.REFUND_DONE: OrderState.REFUNDED}
_NOTHING: dict[Step, OrderState] = {}


class Refund(Struct, frozen=True, kw_only=True, gc=False):
    """Money promised back."""

    id: str
    amount: Money
    reason: str
    is_settled: bool = False


class Order(Struct, frozen=True, kw_only=True, gc=False):
    """One member's order in a group.

    cart: what it is priced by until the group closes; None after that. quote: the price at the smallest tier, then,
    from the split on, the final one. payable: what must be or was paid. refundable: (lines + 1,) what can still go back
    of each line and, last, of the delivery fee; empty before payment. refunds: promised ones, in order.
    sub_orders: how many the split made; their ids are `<id>.1` and on. version: grows with every change.
    pay_before: `placed_at` once its member has given it up unpaid: no time is left to pay it in.
    """

    id: OrderId
    group_id: GroupId
    campaign_id: CampaignId
    member_id: PersonId
    building_id: BuildingId
    meal_id: MealId
    state: OrderState
    quote: Quote
    cart: Cart | None
    payable: Money
    paid: Money
    refundable: tuple[Money, ...]
    refunds: tuple[Refund, ...]
    placed_at: datetime
    pay_before: datetime
    delivered_at: datetime | None = None
    sub_orders: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        if self.refundable:
            promised = sum([refund.amount.fen for refund in self.refunds]) if self.refunds else 0
            if sum([part.fen for part in self.refundable]) + promised != self.paid.fen:
                raise ValueError(f"order {self.id}: what is left and promised does not add up to {self.paid}")

    @property
    def _next_refund_id(self) -> str:
        return f"{self.id}.r{len(self.refunds) + 1}"

    @property
    def is_given_up(self) -> bool:
        """Whether its member left before he paid: money that comes all the same seats him nowhere."""
        return self.pay_before == self.placed_at

    @property
    def promised(self) -> Money:
        """All that went back or will."""
        return Money(sum([refund.amount.fen for refund in self.refunds])) if self.refunds else ZERO

    @property
    def refunded(self) -> Money:
        """All that reached the member."""
        return Money(sum([refund.amount.fen for refund in self.refunds if refund.is_settled]))

    @property
    def portions(self) -> dict[DishId, int]:
        """Portions by dish."""
        return portions_of(self.quote.lines)

    def after(self, step: Step) -> Order:
        """This order one step on. Raises IllegalStep."""
        return replace(self, state=self._state_after(step), version=self.version + 1)

    def captured(self, step: Step) -> Order:
        """This order one step on, with its money in; what can be refunded is its price. Raises IllegalStep."""
        refundable = (*[line.payable for line in self.quote.lines], self.quote.delivery_fee)
        return replace(
            self,
            state=self._state_after(step),
            paid=self.payable,
            refundable=refundable,
            version=self.version + 1,
        )

    def _state_after(self, step: Step) -> OrderState:
        state = steps_from(self.state).get(step)
        if state is None:
            raise IllegalStep(order_id=self.id, state=self.state.value, step=step.value)
        return state

    def repriced(self, final: Quote, *, sub_orders: int) -> tuple[Order, Refund | None]:
        """This order at its final price, split, and what goes back of what was paid at the smallest tier (B1)."""
        refundable = (*[line.payable for line in final.lines], final.delivery_fee)
        returned = self.paid - self.promised - final.payable
        refunds = self.refunds
        refund = None
        if returned:
            refund = Refund(id=self._next_refund_id, amount=returned, reason="tier_difference")
            refunds = (*refunds, refund)
        order = replace(self, quote=final, cart=None, sub_orders=sub_orders, refundable=refundable, refunds=refunds)
        return order, refund

    def promise(self, amount: Money, *, reason: str, parts: Sequence[Money] | None = None) -> tuple[Order, Refund]:
        """Promise `amount` back, over all that is left, or over `parts` as given. Raises RefundTooLarge."""
        if not 0 < amount.fen <= self.paid.fen - self.promised.fen:
            raise RefundTooLarge(order_id=self.id, amount_fen=amount.fen, left_fen=self.paid.fen - self.promised.fen)
        taken = allocate_refund(amount, self.refundable) if parts is None else parts
        left = tuple([Money(have.fen - part.fen) for have, part in zip(self.refundable, taken, strict=True)])
        if min(left).fen < 0:
            raise RefundTooLarge(
                order_id=self.id, amount_fen=amount.fen, left_fen=sum([p.fen for p in self.refundable])
            )
        refund = Refund(id=self._next_refund_id, amount=amount, reason=reason)
        refunds = (*self.refunds, refund)
        return replace(self, refundable=left, refunds=refunds, version=self.version + 1), refund

    def settled(self, refund_id: str) -> Order:
        """This order with one refund arrived; a repeat changes nothing."""
        refunds = tuple(
            [replace(refund, is_settled=True) if refund.id == refund_id else refund for refund in self.refunds]
        )
        return self if refunds == self.refunds else replace(self, refunds=refunds, version=self.version + 1)


class OrderRecord(Order, frozen=True, kw_only=True, gc=False):
    """An order as its row says, even when it does not add up: for those who compare books (C3)."""

    def __post_init__(self) -> None:
        """Nothing is checked."""

    def as_order(self) -> Order:
        """The same as an order. Raises ValueError when it does not add up."""
        return Order(**{name: getattr(self, name) for name in Order.__struct_fields__})


class OrderHold(Struct, frozen=True, kw_only=True, gc=False):
    """An order that is not made or brought for now; because: the difference between books that concerns it (C3)."""

    order_id: OrderId
    because: str


class AcceptanceTerms(Struct, frozen=True, kw_only=True, gc=False):
    """How long shops of a campus may take to accept and make what its split gave them; one row.

    late_minutes: from then on it is late, and operators see it. given_up_minutes: then its price goes back.
    ready_minutes: what was accepted and is not ready by then is late, and goes on (0030). All count from when the shop
    could see it. Our choice: food is promised within 40 minutes, and takes 20 to make and bring, half of it to bring.
    """

    id: str = "campus"
    late_minutes: int = 5
    given_up_minutes: int = 20
    ready_minutes: int = 30

    def __post_init__(self) -> None:
        if not (1 <= self.late_minutes < self.given_up_minutes <= 1440 and 1 <= self.ready_minutes <= 1440):
            raise AcceptanceTermsInvalid(
                late_minutes=self.late_minutes,
                given_up_minutes=self.given_up_minutes,
                ready_minutes=self.ready_minutes,
                least=1,
                most=1440,
            )

    @property
    def late(self) -> timedelta:
        """How long a shop has before it is late."""
        return timedelta(minutes=self.late_minutes)

    @property
    def grace(self) -> timedelta:
        """How long it has once it is late."""
        return timedelta(minutes=self.given_up_minutes - self.late_minutes)

    @property
    def ready(self) -> timedelta:
        """How long a shop has until all of it is ready."""
        return timedelta(minutes=self.ready_minutes)

    @property
    def until_ready(self) -> timedelta:
        """How long it has for that once it is seen whether it accepted; nothing, where that is seen later."""
        return timedelta(minutes=max(self.ready_minutes - self.late_minutes, 0))


# Our choice: what a person writes about one meal; and of one person so many are kept, the newest. A row of them is at
# most 55 kB, where MariaDB's TEXT holds 64.
REASON_MAX: Final = 200
COMPLAINTS_MAX: Final = 40


class Complaint(Struct, frozen=True, kw_only=True, gc=False):
    """What a member says is wrong with an order, in his words."""

    order_id: OrderId
    reason: str
    asked_at: datetime


class Complaints(Struct, frozen=True, kw_only=True, gc=False):
    """What one member said of his orders; in one row, so that it is forgotten with him."""

    member_id: PersonId
    said: tuple[Complaint, ...] = ()

    def with_one(self, complaint: Complaint) -> Complaints:
        """With another; what was said of the same order before, and the oldest of very many, are no more."""
        others = [one for one in self.said if one.order_id != complaint.order_id]
        return replace(self, said=(*others[1 - COMPLAINTS_MAX :], complaint))

    def of(self, order_id: OrderId) -> Complaint | None:
        """What was said of an order."""
        return next((one for one in self.said if one.order_id == order_id), None)


# Whose portions are held; later they are sold, or free again.
HOLDING: Final = frozenset({OrderState.CREATED, OrderState.PAID, OrderState.GROUPED})


class SubOrderState(StrEnum):
    """Where a sub-order is, in the hands of its merchant and rider.

    waiting: its split is decided, but not confirmed everywhere yet; its merchant does not see it. withdrawn: its order
    was refunded as a whole before a rider had it.
    """

    WAITING = "waiting"
    PLANNED = "planned"
    ACCEPTED = "accepted"
    COOKING = "cooking"
    READY = "ready"
    PICKED_UP = "picked_up"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class SubStep(StrEnum):
    """What merchants (accept, cook, ready, reject) and riders (pick up, deliver) do."""

    ACCEPT = "accept"
    COOK = "cook"
    READY = "ready"
    REJECT = "reject"
    PICK_UP = "pick-up"
    DELIVER = "deliver"


MERCHANT_STEPS: Final = frozenset({SubStep.ACCEPT, SubStep.COOK, SubStep.READY, SubStep.REJECT})


def sub_state_after(state: SubOrderState, step: SubStep) -> SubOrderState | None:
    """The state a step leads to; None when it cannot be done now."""
    match step:
        case SubStep.ACCEPT:
            return SubOrderState.ACCEPTED if state is SubOrderState.PLANNED else None
        case SubStep.REJECT:
            may = state in (SubOrderState.PLANNED, SubOrderState.ACCEPTED, SubOrderState.COOKING)
            return SubOrderState.REJECTED if may else None
        case SubStep.COOK:
            return SubOrderState.COOKING if state is SubOrderState.ACCEPTED else None
        case SubStep.READY:
            return SubOrderState.READY if state is SubOrderState.COOKING else None
        case SubStep.PICK_UP:
            return SubOrderState.PICKED_UP if state is SubOrderState.READY else None
        case SubStep.DELIVER:
            return SubOrderState.DELIVERED if state is SubOrderState.PICKED_UP else None
        case _:
            assert_never(step)


class SubLine(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One line of the order that this merchant makes; `number` is its place in the order, from 0.

    parts: what each portion is made of, when the dish is a set.
    """

    number: int
    dish_id: DishId
    quantity: int
    list_price: Money
    payable: Money
    parts: tuple[LinePart, ...] = ()


class SubOrder(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant makes for one member, brought to one building (B2); amounts as in the split plan."""

    id: SubOrderId
    order_id: OrderId
    group_id: GroupId
    member_id: PersonId
    merchant_id: MerchantId
    building_id: BuildingId
    meal_id: MealId
    state: SubOrderState
    order_lines: tuple[SubLine, ...]
    items: Money
    discount: Money
    delivery: Money
    payable: Money
    planned_at: datetime
    rider_id: PersonId | None = None

    def __post_init__(self) -> None:
        if self.items.fen - self.discount.fen + self.delivery.fen != self.payable.fen:
            raise ValueError(f"sub-order {self.id} does not add up")

    def after(self, step: SubStep, *, rider_id: PersonId | None) -> SubOrder:
        """This sub-order one step on. Raises IllegalStep."""
        state = sub_state_after(self.state, step)
        if state is None:
            raise IllegalStep(sub_order_id=self.id, state=self.state.value, step=step.value)
        return replace(self, state=state, rider_id=rider_id if step is SubStep.PICK_UP else self.rider_id)


# Its shop said that it makes these, and has not made them yet.
IN_THE_KITCHEN: Final = frozenset({SubOrderState.ACCEPTED, SubOrderState.COOKING})
# Nobody makes these any more; their portions are free again.
DEAD: Final = frozenset({SubOrderState.REJECTED, SubOrderState.WITHDRAWN})
# A whole refund withdraws these; what a rider has by then is still brought.
ON_THE_COUNTER: Final = frozenset(
    {
        SubOrderState.WAITING,
        SubOrderState.PLANNED,
        SubOrderState.ACCEPTED,
        SubOrderState.COOKING,
        SubOrderState.READY,
    }
)

# How far an order is when its least advanced live sub-order is so far; ready food is still the kitchen's.
_REACHED: Final = {
    SubOrderState.WAITING: OrderState.SPLIT,
    SubOrderState.PLANNED: OrderState.SPLIT,
    SubOrderState.ACCEPTED: OrderState.ACCEPTED,
    SubOrderState.COOKING: OrderState.COOKING,
    SubOrderState.READY: OrderState.COOKING,
    SubOrderState.PICKED_UP: OrderState.PICKED_UP,
    SubOrderState.DELIVERED: OrderState.DELIVERED,
}
_PATH: Final = (
    (OrderState.SPLIT, Step.ACCEPT),
    (OrderState.ACCEPTED, Step.COOK),
    (OrderState.COOKING, Step.PICK_UP),
    (OrderState.PICKED_UP, Step.DELIVER),
)
_STAGES: Final = (*[state for state, _ in _PATH], OrderState.DELIVERED)


def steps_to_follow(state: OrderState, subs: Sequence[SubOrderState]) -> list[Step]:
    """The steps that bring an order to where its least advanced live sub-order is."""
    reached = state_by_sub_orders(subs)
    if reached is None or state not in _STAGES:
        return []
    return [step for _, step in _PATH[_STAGES.index(state) : _STAGES.index(reached)]]


def state_by_sub_orders(subs: Sequence[SubOrderState]) -> OrderState | None:
    """Where an order is when its sub-orders are so far; None when none of them lives."""
    live = [_REACHED[sub] for sub in subs if sub not in DEAD]
    return min(live, key=_STAGES.index) if live else None

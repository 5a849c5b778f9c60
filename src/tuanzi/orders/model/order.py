"""One member's order: its price, what was paid, what goes back (B1, B5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import BuildingId, CampaignId, DishId, GroupId, MealId, OrderId, PersonId
from tuanzi.base.money import ZERO, Money
from tuanzi.orders.model.life import OrderState, Step, steps_from
from tuanzi.orders.problems import IllegalStep, RefundTooLarge
from tuanzi.pricing import Cart, Quote, allocate_refund, portions_of

# Our choice: a day to notice that the soup was spilt; two hours until a delivered order completes by itself.
AFTER_SALE_WITHIN: Final = timedelta(hours=24)
COMPLETES_AFTER: Final = timedelta(hours=2)


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

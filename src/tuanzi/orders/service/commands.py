"""What is asked of an order, and what is answered."""

from __future__ import annotations

from msgspec import Struct

from tuanzi.base.ids import GroupId, OrderId, PersonId, SubOrderId
from tuanzi.orders.model import AcceptanceTerms, Order, OrderRecord, OrderState, SubOrder, SubOrderState, SubStep


class AdvanceSubOrder(Struct, frozen=True, kw_only=True, gc=False):
    """A merchant, or an operator by hand, moves a sub-order on. merchant_id: the merchant's shop; None for others."""

    sub_order_id: SubOrderId
    step: SubStep
    by: PersonId
    merchant_id: str | None = None


class SubOrderAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """Where a sub-order and its order are now."""

    sub_order_id: str
    state: SubOrderState
    order_id: str
    order_state: OrderState


class WatchAcceptance(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: look whether shops accepted what a group's split gave them; `late` are those of which it was said.

    is_again: a look at what was left of the one before.
    """

    group_id: GroupId
    order_ids: tuple[OrderId, ...]
    late: tuple[OrderId, ...] = ()
    is_again: bool = False


class WatchReadiness(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: look whether what a group's split gave to shops is ready; of none of these it was said that it is late."""

    group_id: GroupId
    sub_order_ids: tuple[SubOrderId, ...]


class SetAcceptanceTerms(Struct, frozen=True, kw_only=True, gc=False):
    """An operator says how long shops may take to accept, and to make it."""

    terms: AcceptanceTerms
    by: PersonId


class AcceptanceSet(Struct, frozen=True, kw_only=True, gc=False):
    """How long shops may take to accept, and until it is ready."""

    late_minutes: int
    given_up_minutes: int
    ready_minutes: int


class ConfirmOrder(Struct, frozen=True, kw_only=True, gc=False):
    """The member has his meal."""

    order_id: OrderId
    member_id: PersonId


class CompleteOrder(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a delivered order that nobody confirmed."""

    order_id: OrderId


class RefundOrder(Struct, frozen=True, kw_only=True, gc=False):
    """An operator gives money back; all that is left when `amount_fen` is None, which ends the order."""

    order_id: OrderId
    amount_fen: int | None
    reason: str
    by: PersonId


class AskAfterSale(Struct, frozen=True, kw_only=True, gc=False):
    """A member is not content with what was delivered. reason: in his words; may be empty."""

    order_id: OrderId
    member_id: PersonId
    reason: str = ""


class WithdrawAfterSale(Struct, frozen=True, kw_only=True, gc=False):
    """A member takes his after-sale back."""

    order_id: OrderId
    member_id: PersonId


class DecideAfterSale(Struct, frozen=True, kw_only=True, gc=False):
    """An operator's decision: so much goes back, perhaps nothing."""

    order_id: OrderId
    amount_fen: int
    by: PersonId


class OrderAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """Where an order is now."""

    order_id: str
    state: OrderState
    paid_fen: int
    refund_due_fen: int


class HearRefund(Struct, frozen=True, kw_only=True, gc=False):
    """The ledger has a refund as settled, and this order never heard of it. seen_version: of the row as it was read."""

    order_id: OrderId
    refund_id: str
    seen_version: int = 0


class RestoreOrder(Struct, frozen=True, kw_only=True, gc=False):
    """An order's row is not what the other books prove: write it as `order`, if it still is as it was `seen`."""

    order: Order
    seen: OrderRecord


class OrderRestored(Struct, frozen=True, kw_only=True, gc=False):
    """Whether the order is right now; else it has moved on since, and must be looked at again."""

    is_restored: bool


class RestoreSubOrders(Struct, frozen=True, kw_only=True, gc=False):
    """An order's sub-orders are not what its price was split into: write them as planned."""

    order_id: OrderId
    subs: tuple[SubOrder, ...]


def answer_of(order: Order) -> OrderAnswer:
    """Where an order is, for an answer."""
    return OrderAnswer(order_id=order.id, state=order.state, paid_fen=order.paid.fen, refund_due_fen=order.promised.fen)

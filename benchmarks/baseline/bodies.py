"""What requests and answers look like, as pydantic checks them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(min_length=1, max_length=64)]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class CartLine(Body):
    """Some portions of a dish."""

    dish_id: Id
    quantity: Annotated[int, Field(ge=1, le=20)]


class OpenGroup(Body):
    """Open a group and place the leader's order."""

    campaign_id: Id
    building_id: Id
    lines: Annotated[list[CartLine], Field(min_length=1, max_length=20)]


class JoinGroup(Body):
    """Join a group and place an order in it."""

    building_id: Id | None = None
    lines: Annotated[list[CartLine], Field(min_length=1, max_length=20)]


class Pay(Body):
    """Pay an order with the sandbox provider."""


class Placed(BaseModel):
    """An order that waits to be paid."""

    group_id: str
    order_id: str
    payable_fen: int


class PlannedSubOrder(BaseModel):
    """One line of a split plan."""

    sub_order_id: str
    order_id: str
    member_id: str
    merchant_id: str
    building_id: str
    items_fen: int
    discount_fen: int
    delivery_fen: int
    payable_fen: int


class Paid(BaseModel):
    """How order and group stand after a payment; `plan` when this payment closed the group."""

    order_id: str
    order_state: str
    group_id: str
    group_state: str
    paid_count: int
    plan: list[PlannedSubOrder] | None


class OrderStatus(BaseModel):
    """How an order stands."""

    order_id: str
    order_state: str
    group_id: str
    payable_fen: int
    paid_fen: int

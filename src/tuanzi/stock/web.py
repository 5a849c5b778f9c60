"""Stock over HTTP: what is left, and the merchant's sold-out switch (B9)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from tuanzi.base.ids import DishId, MealId
from tuanzi.base.who import Role
from tuanzi.catalog import MealUnknown
from tuanzi.machinery.http.routes import Call, Committed, Route
from tuanzi.stock.model import TOTAL_MAX, PortionsLeft, SetPortions
from tuanzi.stock.problems import TotalTooSmall
from tuanzi.stock.queries import PortionsPage, portions_page


class PortionsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list."""

    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class PortionsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many portions there are, and whether the dish is sold out all the same."""

    total: Annotated[int, Meta(ge=0, le=TOTAL_MAX)]
    is_closed: bool = False


async def list_portions(call: Call[None, PortionsQuery]) -> PortionsPage:
    """GET /v1/campuses/{campus}/meals/{meal_id}/portions: what is left of each dish."""
    query = call.query
    return await portions_page(
        call.desks.core, meal_id=MealId(call.path["meal_id"]), after=query.after, limit=query.limit
    )


async def put_portions(call: Call[PortionsBody, None]) -> Committed:
    """PUT /v1/campuses/{campus}/meals/{meal_id}/portions/{dish_id}: how many there are."""
    who = call.caller
    command = SetPortions(
        dish_id=DishId(call.path["dish_id"]),
        meal_id=MealId(call.path["meal_id"]),
        total=call.body.total,
        is_closed=call.body.is_closed,
        by=who.person_id,
        merchant_id=None if Role.OPERATOR in who.roles else who.merchant_id or "",
    )
    return await call.desks.core.submit(command, who=who.person_id, key=call.key)


ROUTES = (
    Route(
        "GET",
        "/v1/campuses/{campus}/meals/{meal_id}/portions",
        list_portions,
        answer=PortionsPage,
        query=PortionsQuery,
        signed_in=False,
        summary="What is left of each dish of a meal",
    ),
    Route(
        "PUT",
        "/v1/campuses/{campus}/meals/{meal_id}/portions/{dish_id}",
        put_portions,
        answer=PortionsLeft,
        body=PortionsBody,
        roles=frozenset({Role.MERCHANT, Role.OPERATOR}),
        problems=(TotalTooSmall, MealUnknown),
        summary="Set the portions of a dish, or close it",
    ),
)

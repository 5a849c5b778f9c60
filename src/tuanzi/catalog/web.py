"""HTTP of the catalog: everyone reads; operators change all of it, merchants their dishes (J2)."""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tuanzi.base.ids import BuildingId, CampaignId, CampusId, DishId, MerchantId
from tuanzi.base.problem import Forbidden, Problem, Unknown
from tuanzi.base.who import Role, Who
from tuanzi.catalog import problems, queries, service
from tuanzi.catalog.model import Building, Campus, MealPeriod
from tuanzi.catalog.queries import CampaignPage, CampusPage, DishOffer, DishPage, MerchantPage
from tuanzi.catalog.service import Imported
from tuanzi.catalog.store import (
    IMPORT_BYTES_MAX,
    CampaignEntry,
    DishEntry,
    Id,
    ImportKind,
    MerchantEntry,
    read_sheet,
)
from tuanzi.machinery.http.routes import Call, Committed, Reply, Route

PATH = "/v1/campuses/{campus}"
PAGE_MAX = 100
OPERATORS = frozenset({Role.OPERATOR})
COOKS = frozenset({Role.OPERATOR, Role.MERCHANT})


class PageQuery(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Which part of the list."""

    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 50


class DishesQuery(PageQuery, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Whose dishes, for which meal."""

    merchant_id: Id | None = None
    meal_id: Id | None = None


class CampaignsQuery(PageQuery, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Delivering to which building."""

    building_id: Id | None = None


class OnSaleBody(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Whether a dish is offered."""

    is_on_sale: bool


class ImportBody(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A file: CSV of one kind, or the JSON of a whole catalog, as text."""

    kind: ImportKind
    content: Annotated[str, Meta(max_length=IMPORT_BYTES_MAX)]
    is_dry_run: bool = False


async def campus(call: Call[None, None]) -> Reply:
    """GET /v1/campuses/{campus}"""
    return _tagged(await queries.campus_page(call.desks.core, campus_id=_campus(call)))


async def merchants(call: Call[None, PageQuery]) -> Reply:
    """GET /v1/campuses/{campus}/merchants"""
    return _tagged(await queries.merchant_page(call.desks.core, after=call.query.after, limit=call.query.limit))


async def merchant(call: Call[None, None]) -> Reply:
    """GET /v1/campuses/{campus}/merchants/{merchant_id}"""
    return _tagged(await queries.merchant_view(call.desks.core, merchant_id=MerchantId(call.path["merchant_id"])))


async def dishes(call: Call[None, DishesQuery]) -> Reply:
    """GET /v1/campuses/{campus}/dishes"""
    query = call.query
    merchant_id = None if query.merchant_id is None else MerchantId(query.merchant_id)
    page = await queries.dish_page(
        call.desks.core,
        merchant_id=merchant_id,
        meal_id=query.meal_id,
        after=query.after,
        limit=query.limit,
        now=call.now,
    )
    return _tagged(page)


async def dish(call: Call[None, None]) -> Reply:
    """GET /v1/campuses/{campus}/dishes/{dish_id}"""
    dish_id = DishId(call.path["dish_id"])
    return _tagged(await queries.dish_view(call.desks.core, dish_id=dish_id, now=call.now))


async def campaigns(call: Call[None, CampaignsQuery]) -> Reply:
    """GET /v1/campuses/{campus}/campaigns"""
    query = call.query
    building_id = None if query.building_id is None else BuildingId(query.building_id)
    page = await queries.campaign_page(
        call.desks.core, building_id=building_id, after=query.after, limit=query.limit, now=call.now
    )
    return _tagged(page)


async def all_campaigns(call: Call[None, PageQuery]) -> Reply:
    """GET /v1/campuses/{campus}/operator/campaigns"""
    return _tagged(await queries.all_campaigns_page(call.desks.core, after=call.query.after, limit=call.query.limit))


async def campaign(call: Call[None, None]) -> Reply:
    """GET /v1/campuses/{campus}/campaigns/{campaign_id}"""
    return _tagged(await queries.campaign_view(call.desks.core, campaign_id=CampaignId(call.path["campaign_id"])))


async def put_campus(call: Call[Campus, None]) -> Committed:
    """PUT /v1/campuses/{campus}"""
    _check_id(call, "campus")
    return await _submit(call, service.PutCampus(campus=call.body, by=call.caller.person_id))


async def put_building(call: Call[Building, None]) -> Committed:
    """PUT /v1/campuses/{campus}/buildings/{building_id}"""
    _check_id(call, "building_id")
    command = service.PutBuilding(campus_id=_campus(call), building=call.body, by=call.caller.person_id)
    return await _submit(call, command)


async def put_period(call: Call[MealPeriod, None]) -> Committed:
    """PUT /v1/campuses/{campus}/meal-periods/{period_id}"""
    _check_id(call, "period_id")
    return await _submit(call, service.PutMealPeriod(period=call.body, by=call.caller.person_id))


async def put_merchant(call: Call[MerchantEntry, None]) -> Committed:
    """PUT /v1/campuses/{campus}/merchants/{merchant_id}"""
    _check_id(call, "merchant_id")
    command = service.PutMerchant(campus_id=_campus(call), merchant=call.body, by=call.caller.person_id)
    return await _submit(call, command)


async def put_dish(call: Call[DishEntry, None]) -> Committed:
    """PUT /v1/campuses/{campus}/dishes/{dish_id}"""
    _check_id(call, "dish_id")
    command = service.PutDish(dish=call.body, merchant_id=_shop(call.caller), by=call.caller.person_id)
    return await _submit(call, command)


async def set_on_sale(call: Call[OnSaleBody, None]) -> Committed:
    """PUT /v1/campuses/{campus}/dishes/{dish_id}/on-sale"""
    command = service.SetDishOnSale(
        dish_id=DishId(call.path["dish_id"]),
        is_on_sale=call.body.is_on_sale,
        merchant_id=_shop(call.caller),
        by=call.caller.person_id,
    )
    return await _submit(call, command)


async def put_campaign(call: Call[CampaignEntry, None]) -> Committed:
    """PUT /v1/campuses/{campus}/campaigns/{campaign_id}"""
    _check_id(call, "campaign_id")
    return await _submit(call, service.PutCampaign(campaign=call.body, by=call.caller.person_id))


async def import_catalog(call: Call[ImportBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/imports"""
    body = call.body
    # Read once here, beside the writer: it remembers what was read and need not stop for 5,000 rows.
    await asyncio.to_thread(read_sheet, body.kind, body.content)
    command = service.ImportCatalog(
        campus_id=_campus(call),
        kind=body.kind,
        content=body.content,
        is_dry_run=body.is_dry_run,
        by=call.caller.person_id,
    )
    return await _submit(call, command)


async def _submit(call: Call[Any, Any], command: Any) -> Committed:
    return await call.desks.core.submit(command, who=call.caller.person_id, key=call.key)


def _tagged(answer: Any) -> Reply:
    """The answer with an ETag of its content."""
    body = msgspec.json.encode(answer)
    return Reply(body=body, etag=blake2b(body, digest_size=16).hexdigest())


def _campus(call: Call[Any, Any]) -> CampusId:
    return CampusId(call.path["campus"])


def _shop(who: Who) -> MerchantId | None:
    """The shop for which a merchant acts; None for an operator. Raises Forbidden for a merchant without a shop."""
    if Role.OPERATOR in who.roles:
        return None
    if who.merchant_id is None:
        raise Forbidden(reason="no-shop")
    return who.merchant_id


def _check_id(call: Call[Any, None], name: str) -> None:
    """Raises IdMismatch unless the body is about what the address names."""
    if call.body.id != call.path[name]:
        raise problems.IdMismatch(field="id", value=call.body.id)


UNFIT: tuple[type[Problem], ...] = (
    problems.IdMismatch,
    problems.IdInvalid,
    problems.NameInvalid,
    problems.NumberOutOfBounds,
    problems.TooMany,
    problems.GivenTwice,
    problems.ReferenceUnknown,
)
PLACED = (*UNFIT, problems.OffMap)
COOKED = (
    *UNFIT,
    problems.SetMealInvalid,
    problems.DishBecomesSet,
    problems.DishMovesShop,
    problems.NotYourDish,
    problems.DishFieldFixed,
)


def _read(path: str, handler: Any, answer: Any, summary: str, *refusals: type[Problem], query: Any = None) -> Route:
    return Route(
        method="GET",
        path=PATH + path,
        handler=handler,
        answer=answer,
        summary=summary,
        query=query,
        signed_in=False,
        problems=refusals,
    )


def _write(
    path: str,
    handler: Any,
    kind: Any,
    summary: str,
    refusals: tuple[type[Problem], ...],
    *,
    body: Any = None,
    roles: frozenset[Role] = OPERATORS,
) -> Route:
    return Route(
        method="PUT",
        path=PATH + path,
        handler=handler,
        answer=kind,
        summary=summary,
        body=body or kind,
        roles=roles,
        problems=refusals,
    )


ROUTES = (
    _read("", campus, CampusPage, "A campus with its buildings and meals", Unknown),
    _read("/merchants", merchants, MerchantPage, "Merchants of a campus", query=PageQuery),
    _read("/merchants/{merchant_id}", merchant, MerchantEntry, "A merchant", Unknown),
    _read(
        "/dishes",
        dishes,
        DishPage,
        "Dishes, and whether they are offered",
        Unknown,
        problems.MealUnknown,
        query=DishesQuery,
    ),
    _read("/dishes/{dish_id}", dish, DishOffer, "A dish, and whether it is offered now", Unknown),
    _read("/campaigns", campaigns, CampaignPage, "Campaigns in which groups can be opened now", query=CampaignsQuery),
    _read("/campaigns/{campaign_id}", campaign, CampaignEntry, "A campaign", Unknown),
    Route(
        method="GET",
        path=PATH + "/operator/campaigns",
        handler=all_campaigns,
        answer=CampaignPage,
        summary="Every campaign, drafts and ended ones too",
        query=PageQuery,
        roles=OPERATORS,
    ),
    _write("", put_campus, Campus, "Create or change the campus", (*UNFIT, problems.MapInvalid)),
    _write("/buildings/{building_id}", put_building, Building, "Create or change a building", PLACED),
    _write(
        "/meal-periods/{period_id}",
        put_period,
        MealPeriod,
        "Create or change a meal period",
        (*UNFIT, problems.PeriodInvalid, problems.PeriodsOverlap),
    ),
    _write(
        "/merchants/{merchant_id}",
        put_merchant,
        MerchantEntry,
        "Create or change a merchant",
        (*PLACED, problems.HoursInvalid),
    ),
    _write("/dishes/{dish_id}", put_dish, DishEntry, "Create or change a dish", COOKED, roles=COOKS),
    _write(
        "/dishes/{dish_id}/on-sale",
        set_on_sale,
        DishEntry,
        "Offer a dish, or mark it sold out",
        (Unknown, Forbidden, problems.NotYourDish),
        body=OnSaleBody,
        roles=COOKS,
    ),
    _write(
        "/campaigns/{campaign_id}",
        put_campaign,
        CampaignEntry,
        "Create or change a campaign",
        (
            *UNFIT,
            problems.TiersNotImproving,
            problems.TimesInvalid,
            problems.CampaignStepRefused,
            problems.GuestCampusInvalid,
            problems.GuestCampusUnknown,
        ),
    ),
    Route(
        method="POST",
        path=PATH + "/imports",
        handler=import_catalog,
        answer=Imported,
        summary="Create or change all that a file holds, or nothing of it",
        body=ImportBody,
        roles=OPERATORS,
        problems=(problems.ImportTooLarge, problems.ImportRefused),
        body_bytes_max=IMPORT_BYTES_MAX,
        is_file=True,
    ),
)

"""B1, B9, J2: everyone reads the catalog; operators change it, merchants their dishes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.catalog.campus import (
    BEEF,
    CAMPAIGN,
    CAMPUS,
    DORM,
    EVERYTHING,
    HALL,
    LUNCH,
    MILK_TEA,
    NIGHT,
    NOODLES,
    NOON,
    SOUP,
    TEA,
    BenchDesk,
    new_unit,
    request,
    who,
)
from tuanzi import catalog
from tuanzi.base.problem import Forbidden, Unknown
from tuanzi.base.who import Role
from tuanzi.catalog import CampaignState, MealUnknown, problems, store
from tuanzi.catalog.queries import CampaignPage, CampusPage, DishOffer, DishPage, MerchantPage
from tuanzi.machinery.http.routes import Reply

OPERATOR = who(Role.OPERATOR)
COOK = who(Role.MERCHANT, merchant_id="noodles")


def desk(*more: Any, now: datetime = NOON) -> BenchDesk:
    return BenchDesk(new_unit(*EVERYTHING, *more), now=now)


def changed(value: Any, **change: Any) -> Any:
    return msgspec.structs.replace(value, **change)


async def read(desk: BenchDesk, kind: Any, route: str, path: str = "", **query: Any) -> Any:
    reply = await request(desk, f"GET {route}", path, query=query)
    assert isinstance(reply, Reply)
    assert reply.etag is not None
    return msgspec.json.decode(reply.body, type=kind)


async def test_a_campus_shows_its_buildings_and_meals() -> None:
    page = await read(desk(), CampusPage, "")

    assert page == CampusPage(campus=CAMPUS, buildings=[DORM, HALL], periods=[LUNCH, NIGHT])


async def test_merchants_are_paged_by_key() -> None:
    first = await read(desk(), MerchantPage, "/merchants", limit=1)
    second = await read(desk(), MerchantPage, "/merchants", limit=1, after=first.next)

    assert first == MerchantPage(items=[store.merchant_entry(NOODLES)], next="noodles")
    assert second == MerchantPage(items=[store.merchant_entry(TEA)], next=None)
    assert await read(desk(), store.MerchantEntry, "/merchants/{merchant_id}", "/merchants/tea") == second.items[0]


async def test_dishes_are_paged_by_key_and_of_one_merchant_or_all() -> None:
    every = [DishOffer(dish=store.dish_entry(dish), is_offered=True) for dish in (BEEF, MILK_TEA, SOUP)]

    assert await read(desk(), DishPage, "/dishes") == DishPage(items=every, next=None)
    assert await read(desk(), DishPage, "/dishes", limit=2) == DishPage(items=every[:2], next="milk-tea")
    assert await read(desk(), DishPage, "/dishes", merchant_id="tea") == DishPage(items=every[1:2], next=None)
    assert await read(desk(), DishPage, "/dishes", merchant_id="noodles", after="beef") == DishPage(
        items=every[2:], next=None
    )
    assert await read(desk(), DishOffer, "/dishes/{dish_id}", "/dishes/soup") == every[2]


async def test_a_dish_is_offered_when_on_sale_and_its_merchant_serves() -> None:
    def offered(page: DishPage) -> list[str]:
        return [offer.dish.id for offer in page.items if offer.is_offered]

    shop = desk(changed(SOUP, is_on_sale=False), changed(TEA, hours=((),) * 7))
    night = desk(now=NOON + timedelta(hours=3))  # 15:00, between two opening times

    assert offered(await read(shop, DishPage, "/dishes")) == ["beef"]
    assert offered(await read(night, DishPage, "/dishes")) == []
    assert offered(await read(night, DishPage, "/dishes", meal_id="2026-11-23.night")) == ["beef", "milk-tea", "soup"]
    assert offered(await read(night, DishPage, "/dishes", meal_id="2026-11-28.lunch")) == []


async def test_a_set_is_offered_when_its_parts_are_on_sale_too() -> None:
    supper = changed(BEEF, id="supper", items=(catalog.SetMealItem(dish_id=SOUP.id, quantity=1),))
    whole, broken = desk(supper), desk(supper, changed(SOUP, is_on_sale=False))

    for shop, is_offered in ((whole, True), (broken, False)):
        page = await read(shop, DishPage, "/dishes")
        assert {offer.dish.id: offer.is_offered for offer in page.items} == {
            "beef": True,
            "milk-tea": True,
            "soup": is_offered,
            "supper": is_offered,
        }
        assert (await read(shop, DishOffer, "/dishes/{dish_id}", "/dishes/supper")).is_offered is is_offered


async def test_a_meal_that_does_not_exist_has_no_dishes() -> None:
    with pytest.raises(Unknown):
        await read(desk(), DishPage, "/dishes", meal_id="2026-11-23.dinner")
    with pytest.raises(MealUnknown):
        await read(desk(), DishPage, "/dishes", meal_id="tomorrow")


async def test_only_live_campaigns_of_a_building_are_listed() -> None:
    everywhere = changed(CAMPAIGN, id="everywhere", building_ids=())
    others = [
        changed(CAMPAIGN, id="draft", state=CampaignState.DRAFT),
        changed(CAMPAIGN, id="ended", state=CampaignState.ENDED),
        changed(CAMPAIGN, id="soon", starts_at=NOON + timedelta(milliseconds=1)),
        changed(CAMPAIGN, id="over", ends_at=NOON),
    ]
    shop = desk(everywhere, *others)
    entries = [store.campaign_entry(campaign) for campaign in (everywhere, CAMPAIGN)]

    assert await read(shop, CampaignPage, "/campaigns") == CampaignPage(items=entries, next=None)
    assert await read(shop, CampaignPage, "/campaigns", limit=1) == CampaignPage(items=entries[:1], next="everywhere")
    assert await read(shop, CampaignPage, "/campaigns", after="everywhere") == CampaignPage(
        items=entries[1:], next=None
    )
    assert await read(shop, CampaignPage, "/campaigns", building_id="hall-1") == CampaignPage(
        items=entries[:1], next=None
    )


async def test_a_draft_is_not_shown() -> None:
    shop = desk(changed(CAMPAIGN, id="draft", state=CampaignState.DRAFT))

    found = await read(shop, store.CampaignEntry, "/campaigns/{campaign_id}", "/campaigns/ladder")

    assert found == store.campaign_entry(CAMPAIGN)
    with pytest.raises(Unknown):
        await read(shop, store.CampaignEntry, "/campaigns/{campaign_id}", "/campaigns/draft")


@pytest.mark.parametrize(
    ("route", "path"),
    [
        ("/merchants/{merchant_id}", "/merchants/x"),
        ("/dishes/{dish_id}", "/dishes/x"),
        ("/campaigns/{campaign_id}", "/campaigns/x"),
    ],
)
async def test_what_does_not_exist_is_unknown(route: str, path: str) -> None:
    with pytest.raises(Unknown):
        await request(desk(), f"GET {route}", path)


async def test_a_campus_that_was_not_set_up_is_unknown() -> None:
    with pytest.raises(Unknown):
        await request(BenchDesk(new_unit()), "GET ")


async def test_the_same_content_has_the_same_etag() -> None:
    first, again = [await request(desk(), "GET /merchants") for _ in range(2)]
    other = await request(desk(changed(TEA, is_open=False)), "GET /merchants")

    assert first.etag == again.etag
    assert first.etag != other.etag
    assert len(first.etag) == 32


@pytest.mark.parametrize(
    ("route", "path", "body", "value"),
    [
        ("PUT ", "", changed(CAMPUS, name_en="New"), changed(CAMPUS, name_en="New")),
        ("PUT /buildings/{building_id}", "/buildings/d2", changed(DORM, id="d2"), changed(DORM, id="d2")),
        ("PUT /meal-periods/{period_id}", "/meal-periods/lunch", LUNCH, LUNCH),
        ("PUT /merchants/{merchant_id}", "/merchants/m2", store.merchant_entry(changed(TEA, id="m2")),
         changed(TEA, id="m2")),
        ("PUT /dishes/{dish_id}", "/dishes/d2", store.dish_entry(changed(BEEF, id="d2")), changed(BEEF, id="d2")),
        ("PUT /campaigns/{campaign_id}", "/campaigns/c2", store.campaign_entry(changed(CAMPAIGN, id="c2")),
         changed(CAMPAIGN, id="c2")),
    ],
)  # fmt: skip
async def test_an_operator_puts_a_thing_at_its_address(route: str, path: str, body: Any, value: Any) -> None:
    shop = desk()

    committed = await request(shop, route, path, body=body, person=OPERATOR)

    assert shop.unit.load(type(value), value.id) == value
    assert committed.body == msgspec.json.encode(body)
    assert shop.commands[0][1] == "p_operator"


@pytest.mark.parametrize(
    ("route", "path", "body"),
    [
        ("PUT ", "", changed(CAMPUS, id="shanghai")),
        ("PUT /buildings/{building_id}", "/buildings/d2", DORM),
        ("PUT /meal-periods/{period_id}", "/meal-periods/night", LUNCH),
        ("PUT /merchants/{merchant_id}", "/merchants/m2", store.merchant_entry(TEA)),
        ("PUT /dishes/{dish_id}", "/dishes/d2", store.dish_entry(BEEF)),
        ("PUT /campaigns/{campaign_id}", "/campaigns/c2", store.campaign_entry(CAMPAIGN)),
    ],
)
async def test_a_body_about_something_else_is_refused(route: str, path: str, body: Any) -> None:
    shop = desk()

    with pytest.raises(problems.IdMismatch) as raised:
        await request(shop, route, path, body=body, person=OPERATOR)

    assert raised.value.facts == {"field": "id", "value": body.id}
    assert shop.commands == []


async def test_a_merchant_acts_for_his_own_shop_only() -> None:
    shop = desk()
    body = {"is_on_sale": False}

    await request(shop, "PUT /dishes/{dish_id}/on-sale", "/dishes/beef/on-sale", body=body, person=COOK)
    with pytest.raises(problems.NotYourDish):
        await request(shop, "PUT /dishes/{dish_id}/on-sale", "/dishes/milk-tea/on-sale", body=body, person=COOK)
    with pytest.raises(problems.NotYourDish):
        await request(shop, "PUT /dishes/{dish_id}", "/dishes/milk-tea", body=store.dish_entry(MILK_TEA), person=COOK)

    assert not shop.unit.load(catalog.Dish, "beef").is_on_sale
    assert shop.unit.load(catalog.Dish, "milk-tea").is_on_sale


async def test_a_merchant_without_a_shop_is_no_operator() -> None:
    shop = desk()

    with pytest.raises(Forbidden):
        await request(
            shop, "PUT /dishes/{dish_id}", "/dishes/beef", body=store.dish_entry(BEEF), person=who(Role.MERCHANT)
        )

    assert shop.commands == []


async def test_an_operator_who_is_also_a_merchant_is_an_operator() -> None:
    shop = desk()
    both = who(Role.OPERATOR, Role.MERCHANT, merchant_id="noodles")

    await request(shop, "PUT /dishes/{dish_id}", "/dishes/milk-tea", body=store.dish_entry(MILK_TEA), person=both)

    assert shop.commands[0][0].merchant_id is None


async def test_a_file_is_imported() -> None:
    shop = desk()
    content = "id,kind,name_zh,name_en,latitude_e6,longitude_e6,residents\nd2,dorm,二,Two,40001000,116001000,9\n"

    committed = await request(
        shop, "POST /imports", "/imports", body={"kind": "buildings", "content": content}, person=OPERATOR
    )

    assert committed.answer == catalog.Imported(
        is_kept=True, rows_total=1, counts={"buildings": 1}, errors=(), errors_total=0
    )
    assert shop.unit.load(catalog.Building, "d2").residents == 9


def test_everyone_reads_and_only_those_who_may_write() -> None:
    routes = {
        f"{route.method} {route.path.removeprefix('/v1/campuses/{campus}')}": route for route in catalog.room().routes
    }
    cooks = {"PUT /dishes/{dish_id}", "PUT /dishes/{dish_id}/on-sale"}

    for name, route in routes.items():
        if name == "GET /operator/campaigns":
            assert route.roles == {Role.OPERATOR}
        elif route.method == "GET":
            assert (route.signed_in, route.roles) == (False, frozenset()), name
        else:
            assert route.keyed, name
            assert route.roles == {Role.OPERATOR, *([Role.MERCHANT] if name in cooks else [])}, name
    assert len(routes) == 16

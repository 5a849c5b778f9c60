"""B1, B9: operators change the catalog, merchants their own dishes; a refusal changes nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.bench_unit import BenchUnit
from tests.catalog.campus import (
    BEEF,
    BEIJING,
    CAMPAIGN,
    CAMPUS,
    DORM,
    EVERYTHING,
    LUNCH,
    MILK_TEA,
    NIGHT,
    NOODLES,
    NOON,
    OPERATOR,
    SOUP,
    TEA,
    new_unit,
)
from tuanzi import catalog
from tuanzi.base.ids import MerchantId
from tuanzi.base.money import Money
from tuanzi.base.problem import Unknown
from tuanzi.catalog import Campaign, CampaignState, problems, service, store
from tuanzi.events import CampaignChanged, CatalogChanged

BEEF_ENTRY = store.dish_entry(BEEF)
SET_ENTRY = store.DishEntry(
    id="set",
    merchant_id="noodles",
    name_zh="套餐",
    name_en="Set",
    price_fen=2500,
    portions_per_meal=50,
    items=(catalog.SetMealItem(dish_id="beef", quantity=1), catalog.SetMealItem(dish_id="soup", quantity=2)),
)


def do(unit: BenchUnit, command: Any) -> Any:
    return catalog.room().commands[type(command)](unit, command, now=NOON)


def dish(entry: store.DishEntry, shop: str | None = None) -> service.PutDish:
    return service.PutDish(dish=entry, merchant_id=None if shop is None else MerchantId(shop), by=OPERATOR)


def campaign(**change: Any) -> service.PutCampaign:
    entry = msgspec.structs.replace(store.campaign_entry(CAMPAIGN), **change)
    return service.PutCampaign(campaign=entry, by=OPERATOR)


def changed(value: Any, **change: Any) -> Any:
    return msgspec.structs.replace(value, **change)


def test_a_catalog_is_put_piece_by_piece_and_each_is_told() -> None:
    unit = new_unit()
    commands = [
        service.PutCampus(campus=CAMPUS, by=OPERATOR),
        service.PutBuilding(campus_id=BEIJING, building=DORM, by=OPERATOR),
        service.PutMerchant(campus_id=BEIJING, merchant=store.merchant_entry(NOODLES), by=OPERATOR),
        service.PutMealPeriod(period=LUNCH, by=OPERATOR),
        service.PutMealPeriod(period=NIGHT, by=OPERATOR),
        dish(BEEF_ENTRY),
        campaign(),
    ]

    answers = [do(unit, command) for command in commands]

    assert list(unit.values.values()) == [CAMPUS, DORM, NOODLES, LUNCH, NIGHT, BEEF, CAMPAIGN]
    assert unit.events == [
        CatalogChanged(kind="campus", id="beijing"),
        CatalogChanged(kind="building", id="dorm-1"),
        CatalogChanged(kind="merchant", id="noodles"),
        CatalogChanged(kind="meal_period", id="lunch"),
        CatalogChanged(kind="meal_period", id="night"),
        CatalogChanged(kind="dish", id="beef"),
        CampaignChanged(campaign_id="ladder"),
    ]
    assert answers[5:] == [BEEF_ENTRY, store.campaign_entry(CAMPAIGN)]


@pytest.mark.parametrize(
    ("command", "refusal", "facts"),
    [
        (
            service.PutBuilding(campus_id=BEIJING, building=changed(DORM, latitude_e6=40_010_001), by=OPERATOR),
            problems.OffMap,
            {"field": "latitude_e6", "value": 40_010_001},
        ),
        (
            service.PutMerchant(
                campus_id=BEIJING,
                merchant=changed(store.merchant_entry(NOODLES), longitude_e6=115_999_999),
                by=OPERATOR,
            ),
            problems.OffMap,
            {"field": "longitude_e6", "value": 115_999_999},
        ),
        (
            service.PutBuilding(campus_id="nowhere", building=DORM, by=OPERATOR),
            problems.ReferenceUnknown,
            {"field": "campus_id", "value": "nowhere"},
        ),
        (
            service.PutMealPeriod(period=changed(LUNCH, id=catalog.PeriodId.DINNER, starts_minute=800), by=OPERATOR),
            problems.PeriodsOverlap,
            {"field": "starts_minute", "value": 800, "period_id": "lunch"},
        ),
        (
            dish(changed(BEEF_ENTRY, merchant_id="nobody")),
            problems.ReferenceUnknown,
            {"field": "merchant_id", "value": "nobody"},
        ),
        (
            dish(changed(SET_ENTRY, items=(catalog.SetMealItem(dish_id="nothing", quantity=1),))),
            problems.ReferenceUnknown,
            {"field": "items", "value": "nothing"},
        ),
        (
            dish(changed(SET_ENTRY, items=(catalog.SetMealItem(dish_id="milk-tea", quantity=1),))),
            problems.SetMealInvalid,
            {"field": "items", "value": "milk-tea"},
        ),
        (dish(changed(BEEF_ENTRY, price_fen=0)), problems.NumberOutOfBounds, None),
        (
            campaign(merchant_ids=("noodles", "nobody")),
            problems.ReferenceUnknown,
            {"field": "merchant_ids", "value": "nobody"},
        ),
        (
            campaign(building_ids=("dorm-9",)),
            problems.ReferenceUnknown,
            {"field": "building_ids", "value": "dorm-9"},
        ),
        (
            campaign(period_ids=(catalog.PeriodId.DINNER,)),
            problems.ReferenceUnknown,
            {"field": "period_ids", "value": "dinner"},
        ),
        (
            campaign(state=CampaignState.DRAFT),
            problems.CampaignStepRefused,
            {"field": "state", "value": "draft", "state": "live"},
        ),
    ],
)
def test_what_does_not_go_with_the_rest_is_refused_and_changes_nothing(
    command: Any, refusal: type[Exception], facts: dict[str, Any] | None
) -> None:
    unit = new_unit(*EVERYTHING)
    before = dict(unit.values)

    with pytest.raises(refusal) as raised:
        do(unit, command)

    assert facts is None or getattr(raised.value, "facts", None) == facts
    assert (unit.values, unit.events) == (before, [])


def test_a_set_meal_holds_other_dishes_but_no_set_meal() -> None:
    unit = new_unit(*EVERYTHING)
    do(unit, dish(SET_ENTRY))
    of_sets = changed(SET_ENTRY, id="feast", items=(catalog.SetMealItem(dish_id="set", quantity=1),))

    with pytest.raises(problems.SetMealInvalid) as raised:
        do(unit, dish(of_sets))

    assert raised.value.facts == {"field": "items", "value": "set"}
    assert unit.load(catalog.Dish, "set").items == SET_ENTRY.items


def test_a_period_may_be_moved_within_its_own_time() -> None:
    unit = new_unit(*EVERYTHING)

    do(unit, service.PutMealPeriod(period=changed(LUNCH, starts_minute=630), by=OPERATOR))

    assert unit.load(catalog.MealPeriod, "lunch").starts_minute == 630


def test_a_campaign_goes_on_and_ends() -> None:
    unit = new_unit(*EVERYTHING)

    ended = do(unit, campaign(state=CampaignState.ENDED))

    assert ended.state is CampaignState.ENDED
    assert unit.load(catalog.Campaign, "ladder") == changed(CAMPAIGN, state=CampaignState.ENDED)


def test_a_merchant_changes_price_portions_and_sale_of_his_dish() -> None:
    unit = new_unit(*EVERYTHING)
    entry = changed(BEEF_ENTRY, price_fen=2300, portions_per_meal=10, is_on_sale=False)

    answer = do(unit, dish(entry, "noodles"))

    assert answer == entry
    assert unit.load(catalog.Dish, "beef") == changed(BEEF, price=Money(2300), portions_per_meal=10, is_on_sale=False)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"name_zh": "新名"}, ["name_zh"]),
        ({"is_addon": True, "tags": ()}, ["is_addon", "tags"]),
        ({"merchant_id": "tea"}, ["merchant_id"]),
        ({"items": (catalog.SetMealItem(dish_id="soup", quantity=1),)}, ["items"]),
    ],
)
def test_a_merchant_changes_nothing_else_of_it(change: dict[str, Any], fields: list[str]) -> None:
    unit = new_unit(*EVERYTHING)

    with pytest.raises(problems.DishFieldFixed) as raised:
        do(unit, dish(changed(BEEF_ENTRY, **change), "noodles"))

    assert raised.value.facts == {"dish_id": "beef", "fields": fields}
    assert (unit.load(catalog.Dish, "beef"), unit.events) == (BEEF, [])


@pytest.mark.parametrize("dish_id", ["milk-tea", "nothing"])
def test_a_merchant_neither_changes_nor_sees_other_dishes(dish_id: str) -> None:
    unit = new_unit(*EVERYTHING)
    shop = MerchantId("noodles")

    with pytest.raises(problems.NotYourDish) as put:
        do(unit, dish(changed(BEEF_ENTRY, id=dish_id), "noodles"))
    with pytest.raises(problems.NotYourDish) as sold_out:
        do(unit, service.SetDishOnSale(dish_id=dish_id, is_on_sale=False, merchant_id=shop, by=OPERATOR))

    assert put.value.facts == sold_out.value.facts == {"dish_id": dish_id}
    assert (unit.load(catalog.Dish, "milk-tea"), unit.events) == (MILK_TEA, [])


@pytest.mark.parametrize("shop", [None, MerchantId("noodles")])
def test_a_dish_is_sold_out_once_and_offered_again(shop: MerchantId | None) -> None:
    unit = new_unit(*EVERYTHING)
    off, on = (
        service.SetDishOnSale(dish_id=SOUP.id, is_on_sale=flag, merchant_id=shop, by=OPERATOR) for flag in (False, True)
    )

    answers = [do(unit, command).is_on_sale for command in (off, off, on)]

    assert answers == [False, False, True]
    assert unit.events == [CatalogChanged(kind="dish", id="soup")] * 2
    assert unit.load(catalog.Dish, "soup") == SOUP


def test_an_operator_cannot_sell_out_what_does_not_exist() -> None:
    command = service.SetDishOnSale(dish_id="nothing", is_on_sale=False, merchant_id=None, by=OPERATOR)

    with pytest.raises(Unknown):
        do(new_unit(), command)


def test_entries_say_what_values_are() -> None:
    assert store.dish_entry(BEEF).value() == BEEF
    assert store.merchant_entry(TEA).value() == TEA
    assert store.campaign_entry(CAMPAIGN).value() == CAMPAIGN
    assert msgspec.to_builtins(store.campaign_entry(CAMPAIGN))["tiers"][1] == {
        "size": 5,
        "off_percent": 12,
        "off_fen": 100,
    }


def known(unit: BenchUnit, command: Any, *campuses: str) -> Any:
    """Carry a command out where these are all the campuses there are."""
    room = catalog.room(is_campus=lambda id: id in campuses)
    return room.commands[type(command)](unit, command, now=NOON)


def test_guests_of_a_campus_that_there_is_not_are_refused_and_nothing_is_kept() -> None:
    unit = new_unit(*EVERYTHING)
    wrong = campaign(guest_campuses=("shanghai", "atlantis"))

    with pytest.raises(problems.GuestCampusUnknown) as refused:
        known(unit, wrong, "beijing", "shanghai")

    assert refused.value.facts == {"field": "guest_campuses", "value": "atlantis"}
    assert unit.load(Campaign, CAMPAIGN.id) == CAMPAIGN
    assert known(unit, campaign(guest_campuses=("shanghai",)), "beijing", "shanghai").guest_campuses == ("shanghai",)


def test_a_campus_that_is_gone_since_may_stay_named_so_that_its_campaign_can_be_ended() -> None:
    unit = new_unit(*EVERYTHING)
    known(unit, campaign(guest_campuses=("shanghai",)), "beijing", "shanghai")

    ended = known(unit, campaign(guest_campuses=("shanghai",), state=CampaignState.ENDED), "beijing")

    assert (ended.state, ended.guest_campuses) == (CampaignState.ENDED, ("shanghai",))


def test_a_file_that_names_a_campus_that_there_is_not_is_refused_by_its_row() -> None:
    unit = new_unit(*EVERYTHING)
    entry = msgspec.structs.replace(store.campaign_entry(CAMPAIGN), id="new", guest_campuses=("atlantis",))
    content = msgspec.json.encode({"campaigns": [entry]}).decode()
    file = service.ImportCatalog(
        campus_id=CAMPUS.id, kind=service.ImportKind.CATALOG, content=content, is_dry_run=True, by=OPERATOR
    )

    (error,) = known(unit, file, "beijing", "shanghai").errors

    assert (error.row, error.column, error.code) == (1, "guest_campuses", "catalog/guest-campus-unknown")
    assert unit.find(Campaign, "new") is None


def test_sets_do_not_nest_a_dish_that_may_be_a_part_becomes_no_set() -> None:
    """B4: a set holds a portion of each of its parts, and no part's parts."""
    unit = new_unit(*EVERYTHING)
    do(unit, dish(SET_ENTRY))
    of_soup = (catalog.SetMealItem(dish_id="soup", quantity=1),)

    with pytest.raises(problems.DishBecomesSet) as refused:
        do(unit, dish(changed(BEEF_ENTRY, items=of_soup)))

    assert refused.value.facts == {"field": "items", "value": "beef"}
    assert unit.load(type(BEEF), BEEF.id) == BEEF
    with pytest.raises(problems.SetMealInvalid):
        do(unit, dish(changed(SET_ENTRY, id="outer", items=(catalog.SetMealItem(dish_id="set", quantity=1),))))


@pytest.mark.parametrize("entry", [BEEF_ENTRY, SET_ENTRY], ids=["a part", "a set"])
def test_a_dish_stays_with_its_shop(entry: catalog.DishEntry) -> None:
    unit = new_unit(*EVERYTHING)
    do(unit, dish(SET_ENTRY))
    before = unit.load(type(BEEF), entry.id)

    with pytest.raises(problems.DishMovesShop) as refused:
        do(unit, dish(changed(entry, merchant_id="tea")))

    assert refused.value.facts == {"field": "merchant_id", "value": "tea"}
    assert unit.load(type(BEEF), entry.id) == before
    content = msgspec.json.encode({"dishes": [changed(entry, merchant_id="tea")]}).decode()
    file = service.ImportCatalog(
        campus_id=CAMPUS.id, kind=service.ImportKind.CATALOG, content=content, is_dry_run=False, by=OPERATOR
    )
    with pytest.raises(problems.ImportRefused) as unkept:
        do(unit, file)
    errors = unkept.value.facts["errors"]
    assert isinstance(errors, list)
    (error,) = errors
    assert (error["row"], error["column"], error["code"]) == (1, "merchant_id", "catalog/dish-moves-shop")
    assert unit.load(type(BEEF), entry.id) == before


def test_a_set_may_have_other_parts_or_none_any_more() -> None:
    unit = new_unit(*EVERYTHING)
    do(unit, dish(SET_ENTRY))

    assert do(unit, dish(changed(SET_ENTRY, items=SET_ENTRY.items[:1]))).items == SET_ENTRY.items[:1]
    assert do(unit, dish(changed(SET_ENTRY, items=()))).items == ()


def test_a_file_makes_no_set_of_a_dish_that_was_sold_by_itself() -> None:
    unit = new_unit(*EVERYTHING)
    of_soup = (catalog.SetMealItem(dish_id="soup", quantity=1),)
    content = msgspec.json.encode({"dishes": [changed(BEEF_ENTRY, items=of_soup), SET_ENTRY]}).decode()
    file = service.ImportCatalog(
        campus_id=CAMPUS.id, kind=service.ImportKind.CATALOG, content=content, is_dry_run=True, by=OPERATOR
    )

    errors = do(unit, file).errors

    assert [(one.row, one.code) for one in errors] == [
        (1, "catalog/dish-becomes-set"),
        (2, "catalog/set-meal-invalid"),
    ]

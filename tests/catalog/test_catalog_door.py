"""B1: what the floors above ask of the catalog when a group is opened or joined."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.catalog.campus import (
    BEEF,
    CAMPAIGN,
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
)
from tests.catalog.campus import new_unit as unit_of
from tuanzi import catalog
from tuanzi.base.problem import Unknown
from tuanzi.catalog import CampaignState

MORNING = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)  # 9:00 in Shanghai
BOTH = (NOODLES.id, TEA.id)


def changed(value: Any, **change: Any) -> Any:
    return msgspec.structs.replace(value, **change)


def test_a_live_campaign_is_loaded_for_opening() -> None:
    unit = unit_of(*EVERYTHING)

    assert catalog.load_campaign_for_opening(unit, CAMPAIGN.id, now=NOON) == CAMPAIGN
    assert unit.events == []


@pytest.mark.parametrize("state", [CampaignState.DRAFT, CampaignState.ENDED])
def test_a_campaign_that_is_not_live_opens_no_group(state: CampaignState) -> None:
    unit = unit_of(changed(CAMPAIGN, state=state))

    with pytest.raises(catalog.CampaignNotLive) as raised:
        catalog.load_campaign_for_opening(unit, CAMPAIGN.id, now=NOON)

    assert raised.value.facts == {"campaign_id": "ladder", "state": state.value}


@pytest.mark.parametrize("now", [datetime(2026, 10, 31, tzinfo=UTC), CAMPAIGN.ends_at])
def test_a_campaign_outside_of_its_times_opens_no_group(now: datetime) -> None:
    with pytest.raises(catalog.CampaignNotLive):
        catalog.load_campaign_for_opening(unit_of(CAMPAIGN), CAMPAIGN.id, now=now)


def test_an_unknown_campaign_is_unknown() -> None:
    with pytest.raises(Unknown):
        catalog.load_campaign_for_opening(unit_of(), CAMPAIGN.id, now=NOON)


def test_a_building_is_served_when_the_campaign_names_it_or_none() -> None:
    unit = unit_of(*EVERYTHING)

    assert catalog.load_building_served(unit, DORM.id, campaign=CAMPAIGN) == DORM
    assert catalog.load_building_served(unit, HALL.id, campaign=changed(CAMPAIGN, building_ids=())) == HALL
    with pytest.raises(catalog.BuildingNotServed) as raised:
        catalog.load_building_served(unit, HALL.id, campaign=CAMPAIGN)
    assert raised.value.facts == {"campaign_id": "ladder", "building_id": "hall-1"}
    with pytest.raises(Unknown):
        catalog.load_building_served(unit, "nowhere", campaign=changed(CAMPAIGN, building_ids=()))


def test_a_group_is_for_the_meal_that_takes_orders_now() -> None:
    meal = catalog.load_meal_for_opening(unit_of(*EVERYTHING), CAMPAIGN, now=NOON)

    assert (meal.id, meal.closes_at) == ("2026-11-23.lunch", datetime(2026, 11, 23, 5, 30, tzinfo=UTC))


def test_between_its_meals_a_campaign_serves_nobody() -> None:
    unit = unit_of(*EVERYTHING)

    for campaign, now in ((CAMPAIGN, MORNING), (changed(CAMPAIGN, period_ids=("night",)), NOON)):
        campaign = changed(campaign, period_ids=tuple(catalog.PeriodId(id) for id in campaign.period_ids))
        with pytest.raises(catalog.CampaignNotServing) as raised:
            catalog.load_meal_for_opening(unit, campaign, now=now)
        assert raised.value.facts == {"campaign_id": "ladder", "period_ids": [id.value for id in campaign.period_ids]}


def test_a_campus_has_the_periods_that_were_put() -> None:
    assert catalog.list_periods(unit_of(LUNCH, NIGHT)) == [LUNCH, NIGHT]
    assert catalog.list_periods(unit_of(LUNCH, NIGHT), [catalog.PeriodId.NIGHT]) == [NIGHT]


def test_a_cart_s_dishes_come_in_the_order_asked_for() -> None:
    unit = unit_of(*EVERYTHING)

    dishes = catalog.dishes_for_cart(unit, ["soup", "milk-tea", "beef", "soup"], merchant_ids=BOTH, now=NOON)

    assert dishes == [SOUP, MILK_TEA, BEEF, SOUP]
    assert unit.events == []


@pytest.mark.parametrize(
    ("change", "dish_id", "refusal", "facts"),
    [
        ((), "nothing", Unknown, {"kind": "dish", "id": "nothing"}),
        ((), "milk-tea", catalog.DishNotInCampaign, {"dish_id": "milk-tea", "merchant_id": "tea"}),
        ((changed(BEEF, is_on_sale=False),), "beef", catalog.DishNotOnSale, {"dish_id": "beef"}),
        ((changed(NOODLES, is_open=False),), "beef", catalog.MerchantClosed, {"merchant_id": "noodles"}),
        ((changed(NOODLES, hours=((),) * 7),), "beef", catalog.MerchantClosed, {"merchant_id": "noodles"}),
    ],
)
def test_a_cart_takes_only_what_can_be_bought_now(
    change: tuple[Any, ...], dish_id: str, refusal: type[Exception], facts: dict[str, str]
) -> None:
    unit = unit_of(*EVERYTHING, *change)

    with pytest.raises(refusal) as raised:
        catalog.dishes_for_cart(
            unit, ["soup", dish_id] if not change else [dish_id], merchant_ids=[NOODLES.id], now=NOON
        )

    assert getattr(raised.value, "facts", None) == facts


def test_a_set_cannot_be_bought_when_one_of_its_parts_is_off_sale() -> None:
    supper = changed(BEEF, id="supper", items=(catalog.SetMealItem(dish_id=SOUP.id, quantity=1),))
    unit = unit_of(*EVERYTHING, supper, changed(SOUP, is_on_sale=False))

    with pytest.raises(catalog.DishNotOnSale) as raised:
        catalog.dishes_for_cart(unit, ["beef", "supper"], merchant_ids=BOTH, now=NOON)

    assert raised.value.facts == {"dish_id": "supper"}
    assert catalog.dishes_for_cart(unit, ["beef"], merchant_ids=BOTH, now=NOON) == [BEEF]


def test_a_cart_is_refused_outside_of_opening_hours() -> None:
    unit = unit_of(*EVERYTHING)

    with pytest.raises(catalog.MerchantClosed):
        catalog.dishes_for_cart(unit, ["beef"], merchant_ids=BOTH, now=MORNING)


def test_one_open_merchant_opens_no_other() -> None:
    unit = unit_of(*EVERYTHING, changed(TEA, is_open=False))

    with pytest.raises(catalog.MerchantClosed) as raised:
        catalog.dishes_for_cart(unit, ["beef", "milk-tea"], merchant_ids=BOTH, now=NOON)

    assert raised.value.facts == {"merchant_id": "tea"}

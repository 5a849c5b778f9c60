"""B1, B4: a value of the catalog that breaks a rule cannot exist, and the refusal names the field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.catalog.campus import BEEF, CAMPAIGN, CAMPUS, DAY, DORM, EVERYTHING, LUNCH, NOODLES
from tuanzi.base.money import Money
from tuanzi.catalog import CampaignState, CampaignTier, OpenSpan, PeriodId, SetMealItem, problems
from tuanzi.catalog.model import in_utc
from tuanzi.catalog.store import TABLES

WEEK = (DAY,) * 7


def tiers(*rungs: tuple[int, int, int]) -> tuple[CampaignTier, ...]:
    return tuple(CampaignTier(size=size, off_percent=percent, off=Money(fen)) for size, percent, fen in rungs)


def with_day(*spans: tuple[int, int]) -> Any:
    return (tuple(OpenSpan(opens_minute=opens, closes_minute=closes) for opens, closes in spans), *WEEK[1:])


@pytest.mark.parametrize(
    ("value", "change", "refusal", "field"),
    [
        (CAMPUS, {"id": "Beijing"}, problems.IdInvalid, "id"),
        (CAMPUS, {"id": ""}, problems.IdInvalid, "id"),
        (CAMPUS, {"id": "a" * 65}, problems.IdInvalid, "id"),
        (CAMPUS, {"id": "beijing\n"}, problems.IdInvalid, "id"),
        (CAMPUS, {"id": "-beijing"}, problems.IdInvalid, "id"),
        (CAMPUS, {"name_zh": ""}, problems.NameInvalid, "name_zh"),
        (CAMPUS, {"name_en": "x" * 81}, problems.NameInvalid, "name_en"),
        (CAMPUS, {"name_en": " x"}, problems.NameInvalid, "name_en"),
        (CAMPUS, {"name_en": "a\x00b"}, problems.NameInvalid, "name_en"),
        (CAMPUS, {"north_e6": 40_000_000}, problems.MapInvalid, "north_e6"),
        (CAMPUS, {"east_e6": 116_000_000}, problems.MapInvalid, "east_e6"),
        (CAMPUS, {"south_e6": -90_000_001}, problems.NumberOutOfBounds, "south_e6"),
        (CAMPUS, {"east_e6": 180_000_001}, problems.NumberOutOfBounds, "east_e6"),
        (DORM, {"id": "Dorm"}, problems.IdInvalid, "id"),
        (NOODLES, {"id": "Noodles"}, problems.IdInvalid, "id"),
        (NOODLES, {"latitude_e6": 90_000_001}, problems.NumberOutOfBounds, "latitude_e6"),
        (BEEF, {"name_zh": "\n"}, problems.NameInvalid, "name_zh"),
        (LUNCH, {"name_en": ""}, problems.NameInvalid, "name_en"),
        (CAMPAIGN, {"id": "a b"}, problems.IdInvalid, "id"),
        (DORM, {"latitude_e6": 90_000_001}, problems.NumberOutOfBounds, "latitude_e6"),
        (DORM, {"longitude_e6": -180_000_001}, problems.NumberOutOfBounds, "longitude_e6"),
        (DORM, {"residents": -1}, problems.NumberOutOfBounds, "residents"),
        (NOODLES, {"hours": WEEK[:6]}, problems.HoursInvalid, "hours"),
        (NOODLES, {"hours": with_day((-1, 60))}, problems.HoursInvalid, "hours[0]"),
        (NOODLES, {"hours": with_day((1440, 1500))}, problems.HoursInvalid, "hours[0]"),
        (NOODLES, {"hours": with_day((600, 600))}, problems.HoursInvalid, "hours[0]"),
        (NOODLES, {"hours": with_day((600, 2041))}, problems.HoursInvalid, "hours[0]"),
        (NOODLES, {"hours": with_day((600, 700), (699, 800))}, problems.HoursInvalid, "hours[0]"),
        (NOODLES, {"hours": with_day(*((i, i + 1) for i in range(5)))}, problems.HoursInvalid, "hours[0]"),
        (NOODLES, {"delivery_fee": Money(-1)}, problems.NumberOutOfBounds, "delivery_fee_fen"),
        (NOODLES, {"min_order": Money(100_001)}, problems.NumberOutOfBounds, "min_order_fen"),
        (BEEF, {"merchant_id": "?"}, problems.IdInvalid, "merchant_id"),
        (BEEF, {"price": Money(0)}, problems.NumberOutOfBounds, "price_fen"),
        (BEEF, {"price": Money(100_001)}, problems.NumberOutOfBounds, "price_fen"),
        (BEEF, {"portions_per_meal": -1}, problems.NumberOutOfBounds, "portions_per_meal"),
        (BEEF, {"items": (SetMealItem(dish_id="soup", quantity=0),)}, problems.NumberOutOfBounds, "items"),
        (BEEF, {"items": (SetMealItem(dish_id="beef", quantity=1),)}, problems.SetMealInvalid, "items"),
        (BEEF, {"items": (SetMealItem(dish_id="soup", quantity=1),) * 2}, problems.GivenTwice, "items"),
        (BEEF, {"tags": tuple(str(i) for i in range(11))}, problems.TooMany, "tags"),
        (BEEF, {"tags": ("辣", "辣")}, problems.GivenTwice, "tags"),
        (BEEF, {"tags": ("辣|甜",)}, problems.NameInvalid, "tags"),
        (BEEF, {"tags": ("x" * 21,)}, problems.NameInvalid, "tags"),
        (LUNCH, {"starts_minute": 1440}, problems.NumberOutOfBounds, "starts_minute"),
        (LUNCH, {"cut_off_minute": 600}, problems.PeriodInvalid, "cut_off_minute"),
        (LUNCH, {"cut_off_minute": 2041, "ends_minute": 2041}, problems.PeriodInvalid, "cut_off_minute"),
        (LUNCH, {"ends_minute": 809}, problems.PeriodInvalid, "ends_minute"),
        (LUNCH, {"ends_minute": 2041}, problems.PeriodInvalid, "ends_minute"),
        (CAMPAIGN, {"tiers": ()}, problems.TooMany, "tiers"),
        (CAMPAIGN, {"tiers": tiers(*((i, i, 0) for i in range(2, 8)))}, problems.TooMany, "tiers"),
        (CAMPAIGN, {"tiers": tiers((1, 5, 0))}, problems.NumberOutOfBounds, "tiers[0].size"),
        (CAMPAIGN, {"tiers": tiers((101, 5, 0))}, problems.NumberOutOfBounds, "tiers[0].size"),
        (CAMPAIGN, {"tiers": tiers((3, 101, 0))}, problems.NumberOutOfBounds, "tiers[0].off_percent"),
        (CAMPAIGN, {"tiers": tiers((3, 5, -1))}, problems.NumberOutOfBounds, "tiers[0].off_fen"),
        (CAMPAIGN, {"tiers": tiers((5, 5, 0), (3, 10, 0))}, problems.TiersNotImproving, "tiers[1].size"),
        (CAMPAIGN, {"tiers": tiers((3, 5, 0), (3, 10, 0))}, problems.TiersNotImproving, "tiers[1].size"),
        (CAMPAIGN, {"tiers": tiers((3, 5, 100), (5, 5, 100))}, problems.TiersNotImproving, "tiers[1].off_percent"),
        (CAMPAIGN, {"tiers": tiers((3, 5, 0), (5, 4, 900))}, problems.TiersNotImproving, "tiers[1].off_percent"),
        (CAMPAIGN, {"tiers": tiers((3, 5, 9), (5, 50, 8))}, problems.TiersNotImproving, "tiers[1].off_fen"),
        (CAMPAIGN, {"merchant_ids": ()}, problems.TooMany, "merchant_ids"),
        (CAMPAIGN, {"merchant_ids": ("a", "a")}, problems.GivenTwice, "merchant_ids"),
        (CAMPAIGN, {"building_ids": ("a", "b", "a")}, problems.GivenTwice, "building_ids"),
        (CAMPAIGN, {"building_ids": tuple(f"b{i}" for i in range(201))}, problems.TooMany, "building_ids"),
        (CAMPAIGN, {"period_ids": ()}, problems.TooMany, "period_ids"),
        (CAMPAIGN, {"period_ids": (PeriodId.LUNCH,) * 2}, problems.GivenTwice, "period_ids"),
        (CAMPAIGN, {"ends_at": CAMPAIGN.starts_at}, problems.TimesInvalid, "ends_at"),
        (CAMPAIGN, {"starts_at": datetime(2026, 11, 1)}, problems.TimesInvalid, "starts_at"),  # noqa: DTZ001
        (CAMPAIGN, {"group_lasts_minutes": 0}, problems.NumberOutOfBounds, "group_lasts_minutes"),
        (CAMPAIGN, {"group_lasts_minutes": 1441}, problems.NumberOutOfBounds, "group_lasts_minutes"),
        (CAMPAIGN, {"pay_within_s": 9}, problems.NumberOutOfBounds, "pay_within_s"),
        (CAMPAIGN, {"pay_within_s": 3601}, problems.NumberOutOfBounds, "pay_within_s"),
        (CAMPAIGN, {"per_order_limit": 0}, problems.NumberOutOfBounds, "per_order_limit"),
        (CAMPAIGN, {"per_user_limit": -1}, problems.NumberOutOfBounds, "per_user_limit"),
        (CAMPAIGN, {"delivery_fee": Money(-1)}, problems.NumberOutOfBounds, "delivery_fee_fen"),
    ],
)
def test_a_value_that_breaks_a_rule_cannot_exist(
    value: Any, change: dict[str, Any], refusal: type[problems.Unfit], field: str
) -> None:
    with pytest.raises(refusal) as raised:
        msgspec.structs.replace(value, **change)

    assert type(raised.value) is refusal
    assert raised.value.facts["field"] == field


def test_a_refusal_says_the_value_and_the_bounds() -> None:
    with pytest.raises(problems.NumberOutOfBounds) as raised:
        msgspec.structs.replace(BEEF, price=Money(100_001))

    assert raised.value.facts == {"field": "price_fen", "value": 100_001, "least": 1, "most": 100_000}


def test_a_tier_may_improve_in_percent_or_in_yuan_alone() -> None:
    campaign = msgspec.structs.replace(CAMPAIGN, tiers=tiers((3, 0, 0), (5, 0, 1), (10, 1, 1)))

    assert [tier.off for tier in campaign.tiers] == [Money(0), Money(1), Money(1)]


def test_bounds_themselves_are_allowed() -> None:
    dish = msgspec.structs.replace(BEEF, price=Money(1), portions_per_meal=0)
    merchant = msgspec.structs.replace(NOODLES, hours=with_day((0, 1440)))
    period = msgspec.structs.replace(LUNCH, cut_off_minute=2040, ends_minute=2040)

    assert (dish.price, merchant.hours[0][0].closes_minute, period.ends_minute) == (Money(1), 1440, 2040)


def test_a_campaign_never_goes_back() -> None:
    draft, live, ended = CampaignState.DRAFT, CampaignState.LIVE, CampaignState.ENDED

    steps = [(a, b) for a in CampaignState for b in CampaignState if a.may_become(b)]

    assert steps == [(draft, draft), (draft, live), (draft, ended), (live, live), (live, ended), (ended, ended)]


def test_times_of_a_campaign_are_durations() -> None:
    assert (CAMPAIGN.group_lasts, CAMPAIGN.pay_within) == (timedelta(minutes=45), timedelta(minutes=5))


def test_a_campaign_is_live_from_its_start_until_its_end() -> None:
    start, end = CAMPAIGN.starts_at, CAMPAIGN.ends_at
    moment = timedelta(microseconds=1)

    live = [CAMPAIGN.is_live(now=at) for at in (start - moment, start, end - moment, end)]

    assert live == [False, True, True, False]


def test_a_campaign_without_buildings_serves_all() -> None:
    everywhere = msgspec.structs.replace(CAMPAIGN, building_ids=())

    assert [CAMPAIGN.serves(DORM.id), CAMPAIGN.serves("hall-1"), everywhere.serves("hall-1")] == [True, False, True]


def test_every_value_comes_back_from_its_row() -> None:
    by_kind = {table.kind: table for table in TABLES}

    for value in EVERYTHING:
        kept = by_kind[type(value)]
        assert kept.from_row(kept.to_row(value)) == value


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+08:00", "2026-11-23T12:00:00"])
def test_a_time_that_utc_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(problems.TimesInvalid) as raised:
        in_utc(datetime.fromisoformat(text), field="starts_at")

    assert raised.value.facts == {"field": "starts_at", "value": text}


def test_a_time_with_an_offset_is_kept_in_utc() -> None:
    at = in_utc(datetime.fromisoformat("2026-11-23T12:00:00+08:00"), field="starts_at")

    assert (at, at.tzinfo) == (datetime(2026, 11, 23, 4, tzinfo=UTC), UTC)

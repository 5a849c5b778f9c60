"""B1: meals and opening hours follow the clock on campus, over midnight and whatever the server's time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.campus import CAMPAIGN, LUNCH, NIGHT, NOODLES
from tuanzi.base.time import SHANGHAI, show
from tuanzi.catalog import (
    MealPeriod,
    MealUnknown,
    OpenSpan,
    PeriodId,
    closes_at,
    meal_id,
    meal_of,
    meal_on,
    read_meal_id,
)
from tuanzi.catalog.model import local_day_and_minute

PERIODS = (LUNCH, NIGHT)
moments = st.datetimes(min_value=datetime(1992, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    """A local time of the campus as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


def meal_at(text: str) -> str | None:
    meal = meal_of(PERIODS, now=at(text))
    return None if meal is None else meal.id


@given(moments)
def test_local_minutes_are_those_of_the_time_zone_database(now: datetime) -> None:
    local = now.astimezone(SHANGHAI)

    day, minute = local_day_and_minute(now)

    assert date(1970, 1, 1) + timedelta(days=day) == local.date()
    assert minute == local.hour * 60 + local.minute
    assert (day + 3) % 7 == local.weekday()


def test_a_meal_takes_orders_from_its_start_until_its_cut_off() -> None:
    times = ("2026-11-23 09:59:59", "2026-11-23 10:00:00", "2026-11-23 13:29:59", "2026-11-23 13:30:00")

    assert [meal_at(text) for text in times] == [None, "2026-11-23.lunch", "2026-11-23.lunch", None]


def test_a_night_meal_after_midnight_is_of_the_day_before() -> None:
    times = ("2026-12-31 20:29", "2026-12-31 20:30", "2026-12-31 23:59", "2027-01-01 00:00", "2027-01-01 00:29")

    assert [meal_at(text) for text in times] == [None, *["2026-12-31.night"] * 4]
    assert meal_at("2027-01-01 00:30") is None


def test_the_server_s_time_zone_makes_no_difference() -> None:
    moment = datetime(2026, 11, 23, 16, 10, tzinfo=UTC)  # 00:10 on the 24th in Shanghai
    zones = [UTC, SHANGHAI, timezone(timedelta(hours=-11)), timezone(timedelta(hours=14))]

    meals = [meal_of(PERIODS, now=moment.astimezone(zone)) for zone in zones]

    assert [meal and meal.id for meal in meals] == ["2026-11-23.night"] * 4


def test_the_first_period_that_takes_orders_is_the_meal() -> None:
    late_lunch = msgspec.structs.replace(LUNCH, id=PeriodId.DINNER)

    assert meal_of((late_lunch, LUNCH), now=at("2026-11-23 12:00")) == meal_on(late_lunch, date(2026, 11, 23))
    assert meal_of((), now=at("2026-11-23 12:00")) is None


def test_a_meal_says_its_times_in_utc() -> None:
    meal = meal_on(NIGHT, date(2026, 11, 23))

    assert (meal.id, meal.period_id) == ("2026-11-23.night", PeriodId.NIGHT)
    assert [show(time) for time in (meal.opens_at, meal.closes_at, meal.ends_at)] == [
        "2026-11-23 20:30:00",
        "2026-11-24 00:30:00",
        "2026-11-24 01:30:00",
    ]
    assert meal.closes_at == datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
    assert meal.closes_at.tzinfo is UTC


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2999, 12, 31)), st.sampled_from(PeriodId))
def test_a_meal_id_reads_back(on: date, period_id: PeriodId) -> None:
    assert read_meal_id(meal_id(period_id, on)) == (period_id, on)


@pytest.mark.parametrize(
    "id",
    ["", "lunch", "2026-11-23", "2026-11-23.brunch", "2026-02-30.lunch", "20261123.lunch", "2026-11-23.lunch\n",
     "2026-11-23.LUNCH", "1999-11-23.lunch", "9999-12-31.night", "２０２６-11-23.lunch", "2026-11-23.lunch.lunch"],
)  # fmt: skip
def test_what_names_no_meal_is_refused(id: str) -> None:
    with pytest.raises(MealUnknown) as raised:
        read_meal_id(id)

    assert raised.value.facts == {"field": "meal_id", "value": id}


def test_a_meal_closes_at_its_cut_off() -> None:
    assert closes_at("2026-11-23.lunch", period=LUNCH) == at("2026-11-23 13:30")
    with pytest.raises(MealUnknown):
        closes_at("2026-11-23.lunch", period=NIGHT)


@given(moments, st.integers(0, 1439), st.integers(1, 1440))
def test_an_open_meal_opened_before_and_closes_after_now(now: datetime, starts: int, lasts: int) -> None:
    period = MealPeriod(
        id=PeriodId.NIGHT,
        name_zh="夜宵",
        name_en="Night",
        starts_minute=starts,
        cut_off_minute=starts + lasts,
        ends_minute=starts + lasts,
    )

    meal = meal_of((period,), now=now)

    local = now.astimezone(SHANGHAI)
    minute = local.hour * 60 + local.minute
    assert (meal is None) == (not (starts <= minute < starts + lasts or minute + 1440 < starts + lasts))
    assert meal is None or meal.opens_at <= now < meal.closes_at


def test_periods_overlap_over_midnight() -> None:
    early = msgspec.structs.replace(LUNCH, starts_minute=20, cut_off_minute=100, ends_minute=100)
    later = msgspec.structs.replace(early, starts_minute=30)

    assert NIGHT.overlaps(early)
    assert early.overlaps(NIGHT)
    assert not NIGHT.overlaps(later)
    assert not later.overlaps(NIGHT)


def test_a_merchant_serves_in_its_hours() -> None:
    times = {
        "2026-11-23 09:59": False,  # Monday
        "2026-11-23 10:00": True,
        "2026-11-23 13:59": True,
        "2026-11-23 14:00": False,
        "2026-11-23 16:00": True,
        "2026-11-23 01:59": False,  # closed on Sunday, so Sunday night too
        "2026-11-24 01:59": True,  # Monday night
        "2026-11-24 02:00": False,
        "2026-11-28 01:59": True,  # Friday night, though closed on Saturday
        "2026-11-28 12:00": False,
    }

    assert {text: NOODLES.is_serving(now=at(text)) for text in times} == times


def test_a_sunday_night_goes_on_into_monday() -> None:
    night = ((), (), (), (), (), (), (OpenSpan(opens_minute=1200, closes_minute=1560),))
    merchant = msgspec.structs.replace(NOODLES, hours=night)

    assert [merchant.is_serving(now=at(f"2026-11-23 {time}")) for time in ("01:59", "02:00")] == [True, False]


def test_a_merchant_that_is_switched_off_serves_never() -> None:
    off = msgspec.structs.replace(NOODLES, is_open=False)

    assert not off.is_serving(now=at("2026-11-23 12:00"))
    assert not off.is_serving_during(meal_on(LUNCH, date(2026, 11, 23)))


def test_a_merchant_serves_during_a_meal_that_meets_its_hours() -> None:
    days = [date(2026, 11, 23 + i) for i in range(7)]

    assert [NOODLES.is_serving_during(meal_on(LUNCH, on)) for on in days] == [True] * 5 + [False] * 2
    assert [NOODLES.is_serving_during(meal_on(NIGHT, on)) for on in days] == [True] * 5 + [False] * 2


def test_a_meal_is_served_by_who_opened_the_day_before() -> None:
    days = ((OpenSpan(opens_minute=1380, closes_minute=2700),), (), (), (), (), (), ())  # Monday 23:00 to Tuesday 21:00
    merchant = msgspec.structs.replace(NOODLES, hours=days)

    served = [merchant.is_serving_during(meal_on(NIGHT, date(2026, 11, day))) for day in (22, 23, 24, 25)]

    assert served == [False, True, True, False]


@given(st.integers(0, 1439), st.integers(1, 1440), st.integers(0, 6), st.integers(0, 6))
def test_during_a_meal_means_at_some_minute_of_it(opens: int, lasts: int, weekday: int, days: int) -> None:
    span = OpenSpan(opens_minute=opens, closes_minute=opens + lasts)
    hours = tuple((span,) if day == weekday else () for day in range(7))
    merchant = msgspec.structs.replace(NOODLES, hours=hours)
    meal = meal_on(NIGHT, date(2026, 11, 23) + timedelta(days=days))
    minutes = (meal.closes_at - meal.opens_at) // timedelta(minutes=1)

    served = any(merchant.is_serving(now=meal.opens_at + timedelta(minutes=i)) for i in range(minutes))

    assert merchant.is_serving_during(meal) == served


def test_a_group_closes_with_its_time_its_meal_or_its_campaign() -> None:
    meal = meal_on(LUNCH, date(2026, 11, 23))
    ending = msgspec.structs.replace(CAMPAIGN, ends_at=at("2026-11-23 12:10"))

    assert CAMPAIGN.group_closes_at(meal, now=at("2026-11-23 12:00")) == at("2026-11-23 12:45")
    assert CAMPAIGN.group_closes_at(meal, now=at("2026-11-23 13:00")) == at("2026-11-23 13:30")
    assert ending.group_closes_at(meal, now=at("2026-11-23 12:00")) == at("2026-11-23 12:10")

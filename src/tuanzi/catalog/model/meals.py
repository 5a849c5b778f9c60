"""The meals of a day, and when each can be ordered (B1).

Minutes are of the local day in Asia/Shanghai; past 1440 they belong to the next day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from tuanzi.base.ids import MealId
from tuanzi.base.time import from_ms, to_ms
from tuanzi.catalog.model.checks import Whole, check_names, check_number
from tuanzi.catalog.problems import MealUnknown, PeriodInvalid

DAY_MINUTES = 1440
# China has had no summer time since 1991, so that local minutes are plain sums (IANA tz database, Asia/Shanghai).
_OFFSET_MINUTES = 480
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()  # a Thursday

_is_meal_id = re.compile(r"2\d{3}-\d\d-\d\d\.[a-z]+", re.ASCII).fullmatch


class PeriodId(StrEnum):
    """The meals of a day."""

    BREAKFAST = "breakfast"
    LUNCH = "lunch"
    DINNER = "dinner"
    NIGHT = "night"


class MealPeriod(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A meal of every day.

    Orders are taken from `starts_minute` until `cut_off_minute`, half-open; food comes until `ends_minute`.
    """

    id: PeriodId
    name_zh: str
    name_en: str
    starts_minute: Whole
    cut_off_minute: Whole
    ends_minute: Whole

    def __post_init__(self) -> None:
        check_names(self)
        check_number("starts_minute", self.starts_minute, least=0, most=DAY_MINUTES - 1)
        if not self.starts_minute < self.cut_off_minute <= self.starts_minute + DAY_MINUTES:
            raise PeriodInvalid(field="cut_off_minute", value=self.cut_off_minute)
        if not self.cut_off_minute <= self.ends_minute <= self.starts_minute + DAY_MINUTES:
            raise PeriodInvalid(field="ends_minute", value=self.ends_minute)

    def overlaps(self, other: MealPeriod) -> bool:
        """Whether both take orders at some minute of the day."""
        return any(
            self.starts_minute < other.cut_off_minute + shift and other.starts_minute + shift < self.cut_off_minute
            for shift in (-DAY_MINUTES, 0, DAY_MINUTES)
        )


class Meal(Struct, frozen=True, kw_only=True, gc=False):
    """One meal of one day; orders are taken from `opens_at` until `closes_at`, food comes until `ends_at`."""

    id: MealId
    period_id: PeriodId
    opens_at: datetime
    closes_at: datetime
    ends_at: datetime


def local_day_and_minute(now: datetime) -> tuple[int, int]:
    """Days since 1970 and minutes of the day in Asia/Shanghai; from 1992 on."""
    return divmod(to_ms(now) // 60_000 + _OFFSET_MINUTES, DAY_MINUTES)


def meal_id(period_id: PeriodId, on: date) -> MealId:
    """The id of a day's meal, such as `2026-11-23.lunch`; the day is the one on which its orders begin."""
    return MealId(f"{on.isoformat()}.{period_id.value}")


def read_meal_id(id: str) -> tuple[PeriodId, date]:
    """The period and day that a meal id names. Raises MealUnknown."""
    try:
        if _is_meal_id(id) is None:
            raise ValueError(id)
        on, _, period = id.partition(".")
        return PeriodId(period), date.fromisoformat(on)
    except ValueError:
        raise MealUnknown(field="meal_id", value=id[:80]) from None


@lru_cache(maxsize=256)
def meal_on(period: MealPeriod, on: date) -> Meal:
    """The meal of this period whose orders begin on that local day."""
    midnight = (on.toordinal() - _EPOCH_ORDINAL) * DAY_MINUTES - _OFFSET_MINUTES
    return Meal(
        id=meal_id(period.id, on),
        period_id=period.id,
        opens_at=from_ms((midnight + period.starts_minute) * 60_000),
        closes_at=from_ms((midnight + period.cut_off_minute) * 60_000),
        ends_at=from_ms((midnight + period.ends_minute) * 60_000),
    )


def meal_of(periods: Iterable[MealPeriod], *, now: datetime) -> Meal | None:
    """The meal for which orders are taken now, the first in the order of `periods`; None between meals."""
    day, minute = local_day_and_minute(now)
    for period in periods:
        if period.starts_minute <= minute < period.cut_off_minute:
            return meal_on(period, date.fromordinal(_EPOCH_ORDINAL + day))
        if minute + DAY_MINUTES < period.cut_off_minute:
            return meal_on(period, date.fromordinal(_EPOCH_ORDINAL + day - 1))
    return None


def closes_at(id: str, *, period: MealPeriod) -> datetime:
    """When the last order for this meal is taken. Raises MealUnknown when the id is not one of `period`."""
    period_id, on = read_meal_id(id)
    if period_id is not period.id:
        raise MealUnknown(field="meal_id", value=id)
    return meal_on(period, on).closes_at

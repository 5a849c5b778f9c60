"""What a campus offers: buildings, merchants, dishes, meals, campaigns, and when each is so (B1, B4, B7).

A value that breaks a rule cannot exist: each checks itself and raises an `Unfit` that names the field.
Minutes are of the local day in Asia/Shanghai; past 1440 they belong to the next day. Positions are micro-degrees.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Annotated

from msgspec import Meta, Struct

from tuanzi.base.ids import BuildingId, CampaignId, CampusId, DishId, MealId, MerchantId
from tuanzi.base.money import ZERO, Money
from tuanzi.base.time import from_ms, to_ms
from tuanzi.catalog.problems import (
    CampaignNotLive,
    GivenTwice,
    HoursInvalid,
    IdInvalid,
    MapInvalid,
    MealUnknown,
    NameInvalid,
    NumberOutOfBounds,
    PeriodInvalid,
    SetMealInvalid,
    TiersNotImproving,
    TimesInvalid,
    TooMany,
)

DAY_MINUTES = 1440
# China has had no summer time since 1991, so that local minutes are plain sums (IANA tz database, Asia/Shanghai).
_OFFSET_MINUTES = 480
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()  # a Thursday

PRICE_FEN_MAX = 100_000
PORTIONS_MAX = 100_000
TIERS_MAX = 5
GROUP_SIZE_MAX = 100
LISTED_MAX = 200  # merchants or buildings of one campaign
GUEST_CAMPUSES_MAX = 10

# A number as every JSON reader can keep it exactly (RFC 8259, section 6).
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]

_is_id = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}").fullmatch
_is_meal_id = re.compile(r"2\d{3}-\d\d-\d\d\.[a-z]+", re.ASCII).fullmatch


class BuildingKind(StrEnum):
    """What happens in a building."""

    DORM = "dorm"
    TEACHING = "teaching"


class PeriodId(StrEnum):
    """The meals of a day."""

    BREAKFAST = "breakfast"
    LUNCH = "lunch"
    DINNER = "dinner"
    NIGHT = "night"


class CampaignState(StrEnum):
    """How far a campaign is; it never goes back."""

    DRAFT = "draft"
    LIVE = "live"
    ENDED = "ended"

    def may_become(self, state: CampaignState) -> bool:
        """Whether this state may be followed by, or stay, `state`."""
        order = (CampaignState.DRAFT, CampaignState.LIVE, CampaignState.ENDED)
        return order.index(self) <= order.index(state)


class Campus(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A campus and the bounds of its map; one row in its own database."""

    id: CampusId
    name_zh: str
    name_en: str
    south_e6: Whole
    west_e6: Whole
    north_e6: Whole
    east_e6: Whole

    def __post_init__(self) -> None:
        _check_names(self)
        _check_position(self.south_e6, self.west_e6, fields=("south_e6", "west_e6"))
        _check_position(self.north_e6, self.east_e6, fields=("north_e6", "east_e6"))
        if self.south_e6 >= self.north_e6:
            raise MapInvalid(field="north_e6", value=self.north_e6)
        if self.west_e6 >= self.east_e6:
            raise MapInvalid(field="east_e6", value=self.east_e6)


class Building(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A place where food is dropped off; `residents` live or study there."""

    id: BuildingId
    kind: BuildingKind
    name_zh: str
    name_en: str
    latitude_e6: Whole
    longitude_e6: Whole
    residents: Whole

    def __post_init__(self) -> None:
        _check_names(self)
        _check_position(self.latitude_e6, self.longitude_e6)
        _check_number("residents", self.residents, least=0, most=100_000)


class OpenSpan(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """From `opens_minute` until `closes_minute` of a local day, half-open; may close on the next day."""

    opens_minute: Whole
    closes_minute: Whole


class Merchant(Struct, frozen=True, kw_only=True, gc=False):
    """A shop or canteen counter. `is_open`: its own switch, besides the hours.

    hours: (7,) days from Monday, each with its spans in order.
    min_order: the least worth of its dishes in one order.
    """

    id: MerchantId
    name_zh: str
    name_en: str
    latitude_e6: Whole
    longitude_e6: Whole
    hours: tuple[tuple[OpenSpan, ...], ...]
    is_open: bool
    delivery_fee: Money
    min_order: Money

    def __post_init__(self) -> None:
        _check_names(self)
        _check_position(self.latitude_e6, self.longitude_e6)
        _check_hours(self.hours)
        _check_number("delivery_fee_fen", self.delivery_fee.fen, least=0, most=PRICE_FEN_MAX)
        _check_number("min_order_fen", self.min_order.fen, least=0, most=PRICE_FEN_MAX)

    def is_serving(self, *, now: datetime) -> bool:
        """Whether it takes orders now."""
        if not self.is_open:
            return False
        day, minute = local_day_and_minute(now)
        return self._is_open_on(day, minute)

    def is_serving_during(self, meal: Meal) -> bool:
        """Whether it takes orders at any time in which this meal can be ordered."""
        if not self.is_open:
            return False
        day, starts = local_day_and_minute(meal.opens_at)
        ends = starts + (meal.closes_at - meal.opens_at) // timedelta(minutes=1)
        for days_on in (-1, 0, 1):
            shift = days_on * DAY_MINUTES
            for span in self.hours[(day + 3 + days_on) % 7]:
                if span.opens_minute + shift < ends and starts < span.closes_minute + shift:
                    return True
        return False

    def _is_open_on(self, day: int, minute: int) -> bool:
        for span in self.hours[(day + 3) % 7]:
            if span.opens_minute <= minute < span.closes_minute:
                return True
        minute += DAY_MINUTES
        return any(minute < span.closes_minute for span in self.hours[(day + 2) % 7])


class SetMealItem(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """So many of a dish in a set meal."""

    dish_id: DishId
    quantity: Whole


class Dish(Struct, frozen=True, kw_only=True, gc=False):
    """What can be put into a cart.

    portions_per_meal: how many are cooked for each meal; stock counts them down.
    is_addon: offered beside a meal, such as the 1-yuan milk tea. items: what a set meal is made of; else empty.
    """

    id: DishId
    merchant_id: MerchantId
    name_zh: str
    name_en: str
    price: Money
    portions_per_meal: Whole
    is_on_sale: bool
    is_addon: bool
    items: tuple[SetMealItem, ...]
    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_names(self)
        _check_id("merchant_id", self.merchant_id)
        _check_number("price_fen", self.price.fen, least=1, most=PRICE_FEN_MAX)
        _check_number("portions_per_meal", self.portions_per_meal, least=0, most=PORTIONS_MAX)
        _check_list("items", [item.dish_id for item in self.items], least=0, most=10)
        for item in self.items:
            _check_number("items", item.quantity, least=1, most=20)
            if item.dish_id == self.id:
                raise SetMealInvalid(field="items", value=item.dish_id)
        _check_list("tags", self.tags, least=0, most=10)
        for tag in self.tags:
            if not is_name(tag, length_max=20) or "|" in tag:
                raise NameInvalid(field="tags", value=tag)


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
        _check_names(self)
        _check_number("starts_minute", self.starts_minute, least=0, most=DAY_MINUTES - 1)
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


class CampaignTier(Struct, frozen=True, kw_only=True, gc=False):
    """What a group of at least `size` paid members gets: percent off the dishes, and `off` for each member."""

    size: Whole
    off_percent: Whole
    off: Money


class Campaign(Struct, frozen=True, kw_only=True, gc=False):
    """An offer to buy together; a group keeps a copy of what it was opened with (P22).

    tiers: ascending by size, each better than the one before. building_ids: empty for every building.
    period_ids: the meals it can be opened for. starts_at <= t < ends_at: when groups can be opened.
    group_lasts_minutes: the longest a group stays open. pay_within_s: how long a seat is held before payment.
    per_order_limit: portions in one order. per_user_limit: orders of one member in this campaign, 0 for any number.
    delivery_fee: for the whole group and one building. guest_campuses: whose students may take seats as guests, with
    dishes and buildings of their own campus (B7); empty for nobody's.
    """

    id: CampaignId
    name_zh: str
    name_en: str
    tiers: tuple[CampaignTier, ...]
    merchant_ids: tuple[MerchantId, ...]
    building_ids: tuple[BuildingId, ...]
    period_ids: tuple[PeriodId, ...]
    starts_at: datetime
    ends_at: datetime
    group_lasts_minutes: Whole
    pay_within_s: Whole
    per_order_limit: Whole
    per_user_limit: Whole
    delivery_fee: Money
    state: CampaignState
    guest_campuses: tuple[CampusId, ...] = ()

    def __post_init__(self) -> None:
        _check_names(self)
        _check_tiers(self.tiers)
        _check_list("merchant_ids", self.merchant_ids, least=1, most=LISTED_MAX)
        _check_list("building_ids", self.building_ids, least=0, most=LISTED_MAX)
        _check_list("period_ids", self.period_ids, least=1, most=len(PeriodId))
        _check_list("guest_campuses", self.guest_campuses, least=0, most=GUEST_CAMPUSES_MAX)
        for field, at in (("starts_at", self.starts_at), ("ends_at", self.ends_at)):
            if at.tzinfo is None:
                raise TimesInvalid(field=field, value=at)
        if self.ends_at <= self.starts_at:
            raise TimesInvalid(field="ends_at", value=self.ends_at)
        _check_number("group_lasts_minutes", self.group_lasts_minutes, least=1, most=DAY_MINUTES)
        _check_number("pay_within_s", self.pay_within_s, least=10, most=3600)
        _check_number("per_order_limit", self.per_order_limit, least=1, most=1000)
        _check_number("per_user_limit", self.per_user_limit, least=0, most=1000)
        _check_number("delivery_fee_fen", self.delivery_fee.fen, least=0, most=PRICE_FEN_MAX)

    @property
    def group_lasts(self) -> timedelta:
        """The longest a group stays open."""
        return timedelta(minutes=self.group_lasts_minutes)

    @property
    def pay_within(self) -> timedelta:
        """How long a seat is held before payment."""
        return timedelta(seconds=self.pay_within_s)

    def is_live(self, *, now: datetime) -> bool:
        """Whether groups can be opened now, as far as state and times go."""
        return self.state is CampaignState.LIVE and self.starts_at <= now < self.ends_at

    def check_live(self, *, now: datetime) -> None:
        """Raises CampaignNotLive when groups cannot be opened now."""
        if not self.is_live(now=now):
            raise CampaignNotLive(campaign_id=self.id, state=self.state.value)

    def serves(self, building_id: BuildingId) -> bool:
        """Whether it delivers there."""
        return not self.building_ids or building_id in self.building_ids

    def group_closes_at(self, meal: Meal, *, now: datetime) -> datetime:
        """When a group opened now for this meal closes: it lasts no longer than the meal's orders and the campaign."""
        return min(now + self.group_lasts, meal.closes_at, self.ends_at)


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


def in_utc(at: datetime, *, field: str) -> datetime:
    """The same moment in UTC. Raises TimesInvalid for a time without a zone, or one that UTC cannot say."""
    try:
        if at.tzinfo is None:
            raise TimesInvalid(field=field, value=at.isoformat())
        return at.astimezone(UTC)
    except OverflowError:
        raise TimesInvalid(field=field, value=at.isoformat()) from None


def is_name(text: str, *, length_max: int = 80) -> bool:
    """Whether a person can read this as a name."""
    return 0 < len(text) <= length_max and text.isprintable() and text.strip() == text


def _check_names(value: Campus | Building | Merchant | Dish | MealPeriod | Campaign) -> None:
    _check_id("id", value.id)
    if not is_name(value.name_zh):
        raise NameInvalid(field="name_zh", value=value.name_zh)
    if not is_name(value.name_en):
        raise NameInvalid(field="name_en", value=value.name_en)


def _check_id(field: str, id: str) -> None:
    if _is_id(id) is None:
        raise IdInvalid(field=field, value=id)


def _check_number(field: str, number: int, *, least: int, most: int) -> None:
    if not least <= number <= most:
        raise NumberOutOfBounds(field=field, value=number, least=least, most=most)


def _check_position(
    latitude_e6: int, longitude_e6: int, *, fields: tuple[str, str] = ("latitude_e6", "longitude_e6")
) -> None:
    _check_number(fields[0], latitude_e6, least=-90_000_000, most=90_000_000)
    _check_number(fields[1], longitude_e6, least=-180_000_000, most=180_000_000)


def _check_list(field: str, items: Sequence[str], *, least: int, most: int) -> None:
    if not least <= len(items) <= most:
        raise TooMany(field=field, value=len(items), least=least, most=most)
    if len(set(items)) != len(items):
        raise GivenTwice(field=field, value=next(item for item in items if items.count(item) > 1))


def _check_hours(hours: tuple[tuple[OpenSpan, ...], ...]) -> None:
    if len(hours) != 7:
        raise HoursInvalid(field="hours", value=len(hours))
    for i, spans in enumerate(hours):
        if len(spans) > 4:
            raise HoursInvalid(field=f"hours[{i}]", value=len(spans))
        for span in spans:
            if (
                not 0 <= span.opens_minute < DAY_MINUTES
                or not 0 < span.closes_minute - span.opens_minute <= DAY_MINUTES
            ):
                raise HoursInvalid(field=f"hours[{i}]", value=f"{span.opens_minute}-{span.closes_minute}")
        for earlier, later in pairwise(spans):
            if later.opens_minute < earlier.closes_minute:
                raise HoursInvalid(field=f"hours[{i}]", value=f"{later.opens_minute}-{later.closes_minute}")


def _check_tiers(tiers: tuple[CampaignTier, ...]) -> None:
    if not 1 <= len(tiers) <= TIERS_MAX:
        raise TooMany(field="tiers", value=len(tiers), least=1, most=TIERS_MAX)
    for i, tier in enumerate(tiers):
        _check_number(f"tiers[{i}].size", tier.size, least=2, most=GROUP_SIZE_MAX)
        _check_number(f"tiers[{i}].off_percent", tier.off_percent, least=0, most=100)
        _check_number(f"tiers[{i}].off_fen", tier.off.fen, least=ZERO.fen, most=PRICE_FEN_MAX)
    for i, (lower, upper) in enumerate(pairwise(tiers), start=1):
        if upper.size <= lower.size:
            raise TiersNotImproving(field=f"tiers[{i}].size", value=upper.size)
        if upper.off < lower.off:
            raise TiersNotImproving(field=f"tiers[{i}].off_fen", value=upper.off.fen)
        if upper.off_percent < lower.off_percent or (upper.off_percent, upper.off) == (lower.off_percent, lower.off):
            raise TiersNotImproving(field=f"tiers[{i}].off_percent", value=upper.off_percent)

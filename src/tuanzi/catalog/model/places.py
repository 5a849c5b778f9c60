"""Where food is made and dropped off, and when a shop is open. Positions are micro-degrees."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from msgspec import Struct

from tuanzi.base.ids import BuildingId, CampusId, MerchantId
from tuanzi.base.money import Money
from tuanzi.catalog.model.checks import PRICE_FEN_MAX, Whole, check_names, check_number, check_position
from tuanzi.catalog.model.meals import DAY_MINUTES, Meal, local_day_and_minute
from tuanzi.catalog.problems import HoursInvalid, MapInvalid


class BuildingKind(StrEnum):
    """What happens in a building."""

    DORM = "dorm"
    TEACHING = "teaching"


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
        check_names(self)
        check_position(self.south_e6, self.west_e6, fields=("south_e6", "west_e6"))
        check_position(self.north_e6, self.east_e6, fields=("north_e6", "east_e6"))
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
        check_names(self)
        check_position(self.latitude_e6, self.longitude_e6)
        check_number("residents", self.residents, least=0, most=100_000)


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
        check_names(self)
        check_position(self.latitude_e6, self.longitude_e6)
        _check_hours(self.hours)
        check_number("delivery_fee_fen", self.delivery_fee.fen, least=0, most=PRICE_FEN_MAX)
        check_number("min_order_fen", self.min_order.fen, least=0, most=PRICE_FEN_MAX)

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

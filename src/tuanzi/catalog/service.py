"""What the floors above ask of the catalog, and how operators and merchants change it (B1, B4, B9)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import Struct

from tuanzi.base.ids import BuildingId, CampaignId, CampusId, DishId, MealId, MerchantId, PersonId
from tuanzi.base.problem import Unknown
from tuanzi.base.time import SHANGHAI
from tuanzi.base.unit import Unit
from tuanzi.catalog.model import (
    Building,
    Campaign,
    Campus,
    Dish,
    Meal,
    MealPeriod,
    Merchant,
    PeriodId,
    meal_of,
    meal_on,
    read_meal_id,
)
from tuanzi.catalog.problems import (
    BuildingNotServed,
    CampaignNotServing,
    CampaignStepRefused,
    DishBecomesSet,
    DishFieldFixed,
    DishMovesShop,
    DishNotInCampaign,
    DishNotOnSale,
    GuestCampusInvalid,
    GuestCampusUnknown,
    IdMismatch,
    ImportRefused,
    ImportTooLarge,
    MerchantClosed,
    NotYourDish,
    OffMap,
    PeriodsOverlap,
    ReferenceUnknown,
    SetMealInvalid,
    Unfit,
)
from tuanzi.catalog.store import (
    ERRORS_LISTED_MAX,
    CampaignEntry,
    DishEntry,
    ImportKind,
    MerchantEntry,
    RowError,
    Sheet,
    Value,
    campaign_entry,
    dish_entry,
    merchant_entry,
    read_sheet,
    refusal_error,
)
from tuanzi.events import CampaignChanged, CatalogChanged
from tuanzi.machinery.memory import Place

# Our choice: kitchens plan a month; merchants make rows for the meals of so many days and no more.
MEALS_AHEAD_DAYS = 31

V = TypeVar("V", Campus, Building, Merchant, Dish, MealPeriod, Campaign)
Known = Mapping[tuple[type[Value], str], Value]
_NOTHING: Known = {}
# Whether there is a campus of this name; a campus's own database knows no other.
IsCampus = Callable[[str], bool]


class PutCampus(Struct, frozen=True, kw_only=True, gc=False):
    """Create or change the campus."""

    campus: Campus
    by: PersonId


class PutBuilding(Struct, frozen=True, kw_only=True, gc=False):
    """Create or change a building."""

    campus_id: CampusId
    building: Building
    by: PersonId


class PutMerchant(Struct, frozen=True, kw_only=True, gc=False):
    """Create or change a merchant."""

    campus_id: CampusId
    merchant: MerchantEntry
    by: PersonId


class PutMealPeriod(Struct, frozen=True, kw_only=True, gc=False):
    """Create or change a meal period."""

    period: MealPeriod
    by: PersonId


class PutDish(Struct, frozen=True, kw_only=True, gc=False):
    """Create or change a dish; `merchant_id`: the shop that changes its own dish, None for an operator."""

    dish: DishEntry
    merchant_id: MerchantId | None
    by: PersonId


class SetDishOnSale(Struct, frozen=True, kw_only=True, gc=False):
    """Offer a dish, or mark it sold out; `merchant_id` as in PutDish."""

    dish_id: DishId
    is_on_sale: bool
    merchant_id: MerchantId | None
    by: PersonId


class PutCampaign(Struct, frozen=True, kw_only=True, gc=False):
    """Create or change a campaign, or take it a step on."""

    campaign: CampaignEntry
    by: PersonId


class ImportCatalog(Struct, frozen=True, kw_only=True, gc=False):
    """Create or change all that a file holds, or nothing of it.

    content: CSV of one kind, or for ImportKind.CATALOG a JSON object of lists (campus, buildings, periods,
    merchants, dishes, campaigns). is_dry_run: only say what would happen.
    """

    campus_id: CampusId
    kind: ImportKind
    content: str
    is_dry_run: bool
    by: PersonId


class Imported(Struct, frozen=True, kw_only=True, gc=False):
    """What an import came to. `is_kept`: whether the catalog was changed; never with errors or in a dry run."""

    is_kept: bool
    rows_total: int
    counts: dict[str, int]
    errors: tuple[RowError, ...]
    errors_total: int


# For the floors above. Each costs a few lookups by key, whatever the size of the catalog.


def load_campaign_for_opening(unit: Unit, campaign_id: CampaignId, *, now: datetime) -> Campaign:
    """The campaign, when groups can be opened in it now. Raises Unknown, CampaignNotLive."""
    campaign = unit.load(Campaign, campaign_id)
    campaign.check_live(now=now)
    return campaign


def load_building_served(unit: Unit, building_id: BuildingId, *, campaign: Campaign) -> Building:
    """The building, when the campaign delivers there. Raises Unknown, BuildingNotServed."""
    building = unit.load(Building, building_id)
    if not campaign.serves(building_id):
        raise BuildingNotServed(campaign_id=campaign.id, building_id=building_id)
    return building


def load_meal_for_opening(unit: Unit, campaign: Campaign, *, now: datetime) -> Meal:
    """The meal for which a group of this campaign opened now is. Raises CampaignNotServing between its meals."""
    meal = meal_of(list_periods(unit, campaign.period_ids), now=now)
    if meal is None:
        raise CampaignNotServing(campaign_id=campaign.id, period_ids=[id.value for id in campaign.period_ids])
    return meal


def load_meal(unit: Unit, id: MealId, *, now: datetime) -> Meal:
    """A meal that can be prepared for: of yesterday to `MEALS_AHEAD_DAYS` days ahead. Raises MealUnknown, Unknown."""
    period_id, on = read_meal_id(id)
    period = unit.find(MealPeriod, period_id.value)
    days = (on - now.astimezone(SHANGHAI).date()).days
    if period is None or not -1 <= days <= MEALS_AHEAD_DAYS:
        raise Unknown(kind="meal", id=id)
    return meal_on(period, on)


def list_periods(unit: Unit, period_ids: Iterable[PeriodId] = tuple(PeriodId)) -> list[MealPeriod]:
    """Those of these meal periods that the campus has."""
    found = [unit.find(MealPeriod, period_id.value) for period_id in period_ids]
    return [period for period in found if period is not None]


def dishes_for_cart(
    unit: Unit, dish_ids: Iterable[DishId], *, merchant_ids: Collection[MerchantId], now: datetime
) -> list[Dish]:
    """The dishes in the order asked for, when each can be bought now from one of `merchant_ids`; a set with its parts.

    Raises Unknown, DishNotInCampaign, DishNotOnSale, MerchantClosed: the first that holds, dish by dish.
    """
    dishes = []
    serving: set[MerchantId] = set()
    for dish_id in dish_ids:
        dish = unit.load(Dish, dish_id)
        merchant_id = dish.merchant_id
        if merchant_id not in merchant_ids:
            raise DishNotInCampaign(dish_id=dish_id, merchant_id=merchant_id)
        if not (dish.is_on_sale and all(unit.load(Dish, item.dish_id).is_on_sale for item in dish.items)):
            raise DishNotOnSale(dish_id=dish_id)
        if merchant_id not in serving:
            if not unit.load(Merchant, merchant_id).is_serving(now=now):
                raise MerchantClosed(merchant_id=merchant_id)
            serving.add(merchant_id)
        dishes.append(dish)
    return dishes


# For operators and merchants. A repeat changes nothing more, but is told again.


def put_campus(unit: Unit, command: PutCampus, *, now: datetime) -> Campus:
    """Keep the campus."""
    return _keep(unit, command.campus)


def put_building(unit: Unit, command: PutBuilding, *, now: datetime) -> Building:
    """Keep a building. Raises ReferenceUnknown, OffMap."""
    return _keep(unit, command.building, campus_id=command.campus_id)


def put_merchant(unit: Unit, command: PutMerchant, *, now: datetime) -> MerchantEntry:
    """Keep a merchant. Raises an Unfit."""
    return merchant_entry(_keep(unit, command.merchant.value(), campus_id=command.campus_id))


def put_meal_period(unit: Unit, command: PutMealPeriod, *, now: datetime) -> MealPeriod:
    """Keep a meal period; meals already open keep their times. Raises PeriodsOverlap."""
    return _keep(unit, command.period)


def put_dish(unit: Unit, command: PutDish, *, now: datetime) -> DishEntry:
    """Keep a dish. Raises an Unfit; for a merchant also NotYourDish, DishFieldFixed."""
    dish = command.dish.value()
    if command.merchant_id is not None:
        before = _load_own_dish(unit, dish.id, merchant_id=command.merchant_id)
        allowed = msgspec.structs.replace(
            before, price=dish.price, portions_per_meal=dish.portions_per_meal, is_on_sale=dish.is_on_sale
        )
        fixed = [name for name in Dish.__struct_fields__ if getattr(dish, name) != getattr(allowed, name)]
        if fixed:
            raise DishFieldFixed(dish_id=dish.id, fields=fixed)
    return dish_entry(_keep(unit, dish))


def set_dish_on_sale(unit: Unit, command: SetDishOnSale, *, now: datetime) -> DishEntry:
    """Offer a dish or mark it sold out. Raises Unknown; NotYourDish for a merchant."""
    if command.merchant_id is None:
        dish = unit.load(Dish, command.dish_id)
    else:
        dish = _load_own_dish(unit, command.dish_id, merchant_id=command.merchant_id)
    if dish.is_on_sale is not command.is_on_sale:
        dish = msgspec.structs.replace(dish, is_on_sale=command.is_on_sale)
        _put(unit, dish)
    return dish_entry(dish)


def put_campaign(unit: Unit, command: PutCampaign, *, now: datetime, is_campus: IsCampus) -> CampaignEntry:
    """Keep a campaign; groups already open keep what they were opened with (P22). Raises an Unfit."""
    campaign = command.campaign.value()
    _check_guests(unit, campaign, is_campus=is_campus)
    return campaign_entry(_keep(unit, campaign))


def asked_by_import(command: ImportCatalog) -> Sequence[Place]:
    """The dishes of a file, thousands perhaps, each of which is looked at as it was before."""
    with suppress(ImportTooLarge):  # which is said when it is decided
        return [
            (Dish, row.value.id)
            for row in read_sheet(command.kind, command.content).rows
            if isinstance(row.value, Dish)
        ]
    return ()


def import_catalog(unit: Unit, command: ImportCatalog, *, now: datetime, is_campus: IsCampus) -> Imported:
    """Keep all that a file holds, or say what is wrong with it, row by row.

    Raises ImportTooLarge; ImportRefused with the errors, where a dry run answers them.
    """
    sheet = read_sheet(command.kind, command.content)
    errors = (*sheet.errors, *_reference_errors(unit, sheet, campus_id=command.campus_id, is_campus=is_campus))
    errors = tuple(sorted(errors, key=lambda error: (error.kind, error.row)))
    listed = errors[:ERRORS_LISTED_MAX]
    if errors and not command.is_dry_run:
        raise ImportRefused(errors=[msgspec.to_builtins(error) for error in listed], errors_total=len(errors))
    counts: dict[str, int] = {}
    for row in sheet.rows:
        counts[row.kind] = counts.get(row.kind, 0) + 1
        if not command.is_dry_run:
            _put(unit, row.value)
    return Imported(
        is_kept=not command.is_dry_run,
        rows_total=sheet.rows_total,
        counts=counts,
        errors=listed,
        errors_total=len(errors),
    )


def _reference_errors(unit: Unit, sheet: Sheet, *, campus_id: CampusId, is_campus: IsCampus) -> Iterator[RowError]:
    """What is wrong with good rows in the light of each other and of what the campus has."""
    known: Known = {(type(row.value), row.value.id): row.value for row in sheet.rows}
    # Found one by one before anything is checked: a value that is not in memory costs a new start of the command.
    outside = {place for row in sheet.rows for place in _references(row.value)} - known.keys()
    outside |= {(Campaign, row.value.id) for row in sheet.rows if isinstance(row.value, Campaign)}
    outside |= {(Dish, row.value.id) for row in sheet.rows if isinstance(row.value, Dish)}
    for kind, id in sorted(outside, key=lambda place: (place[0].__name__, place[1])):
        unit.find(kind, id)
    for row in sheet.rows:
        try:
            _check(unit, row.value, campus_id=campus_id, known=known)
            if isinstance(row.value, Campaign):
                _check_guests(unit, row.value, is_campus=is_campus)
        except Unfit as problem:
            yield refusal_error(row.kind, row.row, problem)


def _references(value: Value) -> Iterator[tuple[type[Value], str]]:
    """What a check of this value looks at, but for the campus."""
    match value:
        case Dish():
            yield Merchant, value.merchant_id
            for item in value.items:
                yield Dish, item.dish_id
        case Campaign():
            yield from ((Merchant, id) for id in value.merchant_ids)
            yield from ((Building, id) for id in value.building_ids)
            yield from ((MealPeriod, id.value) for id in value.period_ids)
        case _:
            pass


def _keep(unit: Unit, value: V, *, campus_id: CampusId | None = None) -> V:
    """Check a value against what is there, keep and tell it."""
    _check(unit, value, campus_id=campus_id, known=_NOTHING)
    _put(unit, value)
    return value


def _put(unit: Unit, value: Value) -> None:
    unit.put(value)
    if isinstance(value, Campaign):
        unit.emit(CampaignChanged(campaign_id=value.id))
    else:
        unit.emit(CatalogChanged(kind=_KINDS[type(value)], id=value.id))


_KINDS: Mapping[type, str] = {
    Campus: "campus",
    Building: "building",
    Merchant: "merchant",
    Dish: "dish",
    MealPeriod: "meal_period",
}


def _check(unit: Unit, value: Value, *, campus_id: CampusId | None, known: Known) -> None:
    """Raises an Unfit when a value does not go with the others of its campus; `known` come with it."""
    match value:
        case Campus():
            if campus_id is not None and value.id != campus_id:
                raise IdMismatch(field="id", value=value.id)
        case Building() | Merchant():
            assert campus_id is not None, "a position is on the map of some campus"
            _check_on_map(unit, value, campus_id=campus_id, known=known)
        case MealPeriod():
            _check_period(unit, value, known=known)
        case Dish():
            _check_dish(unit, value, known=known)
        case Campaign():
            _check_campaign(unit, value, known=known)


def _check_on_map(unit: Unit, place: Building | Merchant, *, campus_id: CampusId, known: Known) -> None:
    campus = _find(unit, Campus, id=campus_id, known=known)
    if campus is None:
        raise ReferenceUnknown(field="campus_id", value=campus_id)
    if not campus.south_e6 <= place.latitude_e6 <= campus.north_e6:
        raise OffMap(field="latitude_e6", value=place.latitude_e6)
    if not campus.west_e6 <= place.longitude_e6 <= campus.east_e6:
        raise OffMap(field="longitude_e6", value=place.longitude_e6)


def _check_period(unit: Unit, period: MealPeriod, *, known: Known) -> None:
    for period_id in PeriodId:
        other = _find(unit, MealPeriod, id=period_id.value, known=known)
        if other is not None and other.id != period.id and period.overlaps(other):
            raise PeriodsOverlap(field="starts_minute", value=period.starts_minute, period_id=other.id.value)


def _check_dish(unit: Unit, dish: Dish, *, known: Known) -> None:
    _check_exist(unit, Merchant, ids=(dish.merchant_id,), field="merchant_id", known=known)
    before = unit.find(Dish, dish.id)
    if before is not None:  # a set that has it as a part cannot be found by it
        if before.merchant_id != dish.merchant_id:
            raise DishMovesShop(field="merchant_id", value=dish.merchant_id)
        if dish.items and not before.items:
            raise DishBecomesSet(field="items", value=dish.id)
    for item in dish.items:
        part = _find(unit, Dish, id=item.dish_id, known=known)
        if part is None:
            raise ReferenceUnknown(field="items", value=item.dish_id)
        if part.merchant_id != dish.merchant_id or part.items:
            raise SetMealInvalid(field="items", value=item.dish_id)


def _check_campaign(unit: Unit, campaign: Campaign, *, known: Known) -> None:
    before = unit.find(Campaign, campaign.id)
    if before is not None and not before.state.may_become(campaign.state):
        raise CampaignStepRefused(field="state", value=campaign.state.value, state=before.state.value)
    _check_exist(unit, Merchant, ids=campaign.merchant_ids, field="merchant_ids", known=known)
    _check_exist(unit, Building, ids=campaign.building_ids, field="building_ids", known=known)
    _check_exist(unit, MealPeriod, ids=campaign.period_ids, field="period_ids", known=known)
    for campus_id in campaign.guest_campuses:
        if _find(unit, Campus, id=campus_id, known=known) is not None:  # a database knows one campus: its own
            raise GuestCampusInvalid(field="guest_campuses", value=campus_id)


def _check_guests(unit: Unit, campaign: Campaign, *, is_campus: IsCampus) -> None:
    """Guests come from campuses that there are. One that was named before may stay, or the campaign could not be ended
    when its campus is gone. Raises GuestCampusUnknown."""
    before = unit.find(Campaign, campaign.id)
    named = () if before is None else before.guest_campuses
    for campus_id in campaign.guest_campuses:
        if campus_id not in named and not is_campus(campus_id):
            raise GuestCampusUnknown(field="guest_campuses", value=campus_id)


def _check_exist(unit: Unit, kind: type[V], *, ids: Iterable[str], field: str, known: Known) -> None:
    for id in ids:
        if _find(unit, kind, id=str(id), known=known) is None:
            raise ReferenceUnknown(field=field, value=str(id))


def _find(unit: Unit, kind: type[V], *, id: str, known: Known) -> V | None:
    value = known.get((kind, id))
    return value if isinstance(value, kind) else unit.find(kind, id)


def _load_own_dish(unit: Unit, dish_id: DishId, *, merchant_id: MerchantId) -> Dish:
    dish = unit.find(Dish, dish_id)
    if dish is None or dish.merchant_id != merchant_id:
        raise NotYourDish(dish_id=dish_id)
    return dish

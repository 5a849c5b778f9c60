"""A small campus for the tests of the catalog: a BenchUnit to write, SQLite with the migrations to read."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from tests.bench_unit import BenchUnit, rows_of
from tuanzi import catalog
from tuanzi.base.ids import BuildingId, CampaignId, CampusId, DishId, Ids, MerchantId, PersonId, SessionId
from tuanzi.base.money import Money
from tuanzi.base.who import Role, Who
from tuanzi.catalog import (
    Building,
    BuildingKind,
    Campaign,
    CampaignState,
    CampaignTier,
    Campus,
    Dish,
    MealPeriod,
    Merchant,
    OpenSpan,
    PeriodId,
)
from tuanzi.catalog.store import TABLES
from tuanzi.machinery.http.routes import Call

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # Monday, 12:00 in Shanghai
OPERATOR = PersonId("p_operator")
BEIJING = CampusId("beijing")

CAMPUS = Campus(
    id=BEIJING,
    name_zh="青团大学",
    name_en="Qingtuan University",
    south_e6=40_000_000,
    west_e6=116_000_000,
    north_e6=40_010_000,
    east_e6=116_010_000,
)
DORM = Building(
    id=BuildingId("dorm-1"),
    kind=BuildingKind.DORM,
    name_zh="松园1号楼",
    name_en="Pine Court 1",
    latitude_e6=40_001_000,
    longitude_e6=116_001_000,
    residents=400,
)
HALL = msgspec.structs.replace(DORM, id="hall-1", kind=BuildingKind.TEACHING, name_zh="明理楼", name_en="Mingli Hall")
DAY = (OpenSpan(opens_minute=600, closes_minute=840), OpenSpan(opens_minute=960, closes_minute=1560))
NOODLES = Merchant(
    id=MerchantId("noodles"),
    name_zh="面馆",
    name_en="Noodles",
    latitude_e6=40_002_000,
    longitude_e6=116_002_000,
    hours=(DAY, DAY, DAY, DAY, DAY, (), ()),
    is_open=True,
    delivery_fee=Money(300),
    min_order=Money(1000),
)
TEA = msgspec.structs.replace(NOODLES, id="tea", name_zh="奶茶", name_en="Tea")
BEEF = Dish(
    id=DishId("beef"),
    merchant_id=NOODLES.id,
    name_zh="牛肉面",
    name_en="Beef Noodles",
    price=Money(2200),
    portions_per_meal=300,
    is_on_sale=True,
    is_addon=False,
    items=(),
    tags=("招牌",),
)
SOUP = msgspec.structs.replace(BEEF, id="soup", name_zh="汤", name_en="Soup", price=Money(600), tags=())
MILK_TEA = msgspec.structs.replace(BEEF, id="milk-tea", merchant_id="tea", name_zh="奶茶", name_en="Milk Tea")
LUNCH = MealPeriod(
    id=PeriodId.LUNCH, name_zh="午餐", name_en="Lunch", starts_minute=600, cut_off_minute=810, ends_minute=840
)
NIGHT = MealPeriod(
    id=PeriodId.NIGHT, name_zh="夜宵", name_en="Night", starts_minute=1230, cut_off_minute=1470, ends_minute=1530
)
CAMPAIGN = Campaign(
    id=CampaignId("ladder"),
    name_zh="越拼越省",
    name_en="The more, the cheaper",
    tiers=(
        CampaignTier(size=3, off_percent=8, off=Money(0)),
        CampaignTier(size=5, off_percent=12, off=Money(100)),
        CampaignTier(size=10, off_percent=12, off=Money(300)),
    ),
    merchant_ids=(NOODLES.id,),
    building_ids=(DORM.id,),
    period_ids=(PeriodId.LUNCH, PeriodId.NIGHT),
    starts_at=datetime(2026, 11, 1, tzinfo=UTC),
    ends_at=datetime(2026, 12, 1, tzinfo=UTC),
    group_lasts_minutes=45,
    pay_within_s=300,
    per_order_limit=6,
    per_user_limit=0,
    delivery_fee=Money(900),
    state=CampaignState.LIVE,
)
EVERYTHING = (CAMPUS, DORM, HALL, NOODLES, TEA, BEEF, SOUP, MILK_TEA, LUNCH, NIGHT, CAMPAIGN)


def new_unit(*values: object) -> BenchUnit:
    """A unit that holds these values."""
    unit = BenchUnit({table.kind: table.key_of for table in TABLES})
    for value in values:
        unit.put(value)
    return unit


@dataclass
class Kept:
    """What the bench's desk says after the commit."""

    answer: Any
    body: bytes
    events: tuple[tuple[int, Any], ...] = ()
    replayed: bool = False


@dataclass
class BenchDesk:
    """Carries commands out on a BenchUnit and reads SQLite filled from its values."""

    unit: BenchUnit
    now: datetime = NOON
    commands: list[Any] = field(default_factory=list)

    async def submit(self, command: Any, *, who: str = "", key: Any = None) -> Kept:
        self.commands.append((command, who, key))
        answer = catalog.room().commands[type(command)](self.unit, command, now=self.now)
        return Kept(answer=answer, body=msgspec.json.encode(answer))

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return rows_of(self.unit, TABLES, "core", sql, slots)

    async def followed(self, source: str, number: int) -> tuple[Any, ...]:
        raise NotImplementedError


@dataclass
class BenchDesks:
    """Only the core has a desk here."""

    core: Any
    platform: Any = None
    money: Any = None


def who(*roles: Role, merchant_id: str | None = None) -> Who:
    """A signed-in person with these roles."""
    return Who(
        person_id=OPERATOR,
        session_id=SessionId("s_1"),
        roles=frozenset(roles),
        campus_id=BEIJING,
        merchant_id=None if merchant_id is None else MerchantId(merchant_id),
    )


async def request(
    desk: BenchDesk, route: str, path: str = "", *, body: Any = None, query: Any = None, person: Who | None = None
) -> Any:
    """Call a route's handler, such as `GET /dishes/{dish_id}`, for the path that is given."""
    method, _, pattern = route.partition(" ")
    found = next(
        each
        for each in catalog.room().routes
        if each.method == method and each.path == f"/v1/campuses/{{campus}}{pattern}"
    )
    names = [part for part in pattern.split("/") if part.startswith("{")]
    given = [value for part, value in zip(pattern.split("/"), path.split("/"), strict=False) if part.startswith("{")]
    call: Call[Any, Any] = Call(
        who=person,
        path={"campus": "beijing", **{name.strip("{}"): value for name, value in zip(names, given, strict=True)}},
        body=None if found.body is None else msgspec.json.decode(msgspec.json.encode(body), type=found.body),
        query=None if found.query is None else msgspec.convert(query or {}, found.query, strict=False),
        key=None,
        now=desk.now,
        ids=Ids(random.Random(7).getrandbits),
        desks=BenchDesks(core=desk),
        client="10.0.0.1",
    )
    return await found.handler(call)

"""Fills a data folder for benchmarks: one campaign that can be ordered from at any time, and many signed-in students.

People and sessions are written by the platform's writer with a command of this module's own: signing in by code takes
two commands, an errand and a rate limit for each person. They have no phone, and their sessions no timer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from simulation.catalogs import ALL_DAY, EVER, Catalog
from tuanzi import wiring
from tuanzi.base.ids import CampusId, DishId, Ids, PersonId
from tuanzi.base.time import SHANGHAI
from tuanzi.base.unit import Unit
from tuanzi.base.who import Role
from tuanzi.catalog import ImportCatalog, ImportKind, PeriodId, meal_id
from tuanzi.engines.post.desks import DeskPost
from tuanzi.machinery.migrate import Migratable
from tuanzi.machinery.room import Room
from tuanzi.machinery.writer import Request, Schema, Writer, drive
from tuanzi.money import SandboxProvider
from tuanzi.people import ConsoleSender, Keys
from tuanzi.settings import Settings, read_settings
from tuanzi.stock import SetPortions

CAMPUS = "beijing"
CAMPAIGN = "bench-three"
BUILDING = "bench-dorm"
SIZE = 3
PORTIONS = 1_000_000
OPERATOR = PersonId("u_bench")
SESSION_LIFE = timedelta(days=30)
# So many people make one command, so many commands one commit.
PEOPLE_AT_ONCE = 500
COMMANDS_AT_ONCE = 4


class KnownStudent(Struct, frozen=True, kw_only=True):
    """A signed-in student, as a load generator uses him."""

    token: str
    person_id: str


class KnownDish(Struct, frozen=True, kw_only=True):
    """A dish on sale."""

    dish_id: str
    price_fen: int


class Known(Struct, frozen=True, kw_only=True):
    """What a load generator must know."""

    campus: str
    campaign_id: str
    building_id: str
    dishes: list[KnownDish]
    students: list[KnownStudent]


class SeedPeople(Struct, frozen=True, kw_only=True, gc=False):
    """Write students who are signed in: (person, session, hash of the token)."""

    people: tuple[tuple[str, str, str], ...]


def seed(data: Path, *, students: int, out: Path, campus: str = CAMPUS) -> None:
    """Fill the folder and write what was made to `out`; twice makes more students and changes nothing else."""
    now = wiring.wall_clock()
    place = {name: value for name, value in os.environ.items() if name.startswith("TUANZI_DATABASE")}
    settings = read_settings({**place, "TUANZI_DATA": str(data), "TUANZI_CAMPUSES": campus})
    ids = Ids(Random(f"bench {now.isoformat()}").getrandbits)
    rooms = wiring.rooms_of(
        keys=Keys(settings.secret),
        sender=ConsoleSender(),
        provider=SandboxProvider(),
        is_campus=lambda name: name in settings.campuses,
        post=DeskPost(lambda address: None),
    )
    make_databases(settings, campus, now=now)
    catalog = bench_catalog(now, campus=campus)
    core = wiring.open_where_set(settings, f"{campus}.core", "core", now=now)
    keep_catalog(core, wiring.schema_of("core", rooms), catalog, now=now)
    core.close()
    platform = wiring.open_where_set(settings, "platform", "platform", now=now)
    known = _keep_people(platform, rooms, students, campus=campus, ids=ids, now=now)
    platform.close()
    dishes = [KnownDish(dish_id=dish["id"], price_fen=dish["price_fen"]) for dish in catalog["dishes"]]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(
        msgspec.json.encode(
            Known(campus=campus, campaign_id=CAMPAIGN, building_id=BUILDING, dishes=dishes, students=known)
        )
    )


def make_databases(settings: Settings, campus: str, *, now: datetime) -> None:
    """Make all databases of a campus before one of them is written to, as a house does."""
    for name in ("platform", *(f"{campus}.{kind}" for kind in wiring.CAMPUS_DATABASES)):
        wiring.open_where_set(settings, name, name.rpartition(".")[2], now=now).close()


def keep_catalog(database: Migratable, schema: Schema, catalog: Catalog, *, now: datetime) -> None:
    """Put the catalog up, with portions for yesterday's to the day after tomorrow's meals."""
    content = msgspec.json.encode(catalog).decode()
    campus = CampusId(catalog["campus"]["id"])
    commands: list[Any] = [
        ImportCatalog(campus_id=campus, kind=ImportKind.CATALOG, content=content, is_dry_run=False, by=OPERATOR)
    ]
    today = now.astimezone(SHANGHAI).date()
    commands += [
        SetPortions(
            dish_id=DishId(dish["id"]),
            meal_id=meal_id(PeriodId(period["id"]), today + timedelta(days=days)),
            total=PORTIONS,
            is_closed=False,
            by=OPERATOR,
        )
        for dish in catalog["dishes"]
        for period in catalog["periods"]
        for days in range(-1, 3)
    ]
    _carry_out(database, schema, commands, now=now)


def _keep_people(
    database: Migratable, rooms: Sequence[Room], students: int, *, campus: str, ids: Ids, now: datetime
) -> list[KnownStudent]:
    known: list[KnownStudent] = []
    commands = []
    numbers = iter(range(students))
    while some := list(islice(numbers, PEOPLE_AT_ONCE)):
        rows = []
        for _ in some:
            token = ids.token()
            person_id = ids.make("u", now=now)
            known.append(KnownStudent(token=token, person_id=person_id))
            rows.append((person_id, ids.make("s", now=now), sha256(token.encode()).hexdigest()))
        commands.append(SeedPeople(people=tuple(rows)))
    _carry_out(database, _people_schema(rooms, campus), commands, now=now)
    return known


def _people_schema(rooms: Sequence[Room], campus: str) -> Schema:
    """The platform's schema with one more command, which knows people's values by their tables."""
    schema = wiring.schema_of("platform", rooms)
    kinds = {table.name: table.kind for table in schema.tables}
    person_of, session_of = kinds["people"], kinds["sessions"]

    def seed_people(unit: Unit, command: SeedPeople, *, now: datetime) -> None:
        for person_id, session_id, token_hash in command.people:
            person = person_of(
                id=person_id,
                campus_id=CampusId(campus),
                roles=(Role.STUDENT,),
                phone_hash=None,
                phone_masked=None,
                phone_sealed=None,
                session_ids=(session_id,),
                joined_at=now,
            )
            session = session_of(
                id=session_id,
                token_hash=token_hash,
                person_id=person_id,
                created_at=now,
                expires_at=now + SESSION_LIFE,
            )
            unit.add(person)
            unit.add(session)

    return Schema(
        database=schema.database,
        tables=schema.tables,
        decides={SeedPeople: seed_people},
        hears={},
        follows={},
        errands=frozenset(),
        codec=schema.codec,
    )


def _carry_out(database: Migratable, schema: Schema, commands: Sequence[Any], *, now: datetime) -> None:
    position, number = database.cursor()
    writer = Writer(schema, position=position, event_number=number, places_max=2 * PEOPLE_AT_ONCE)
    for start in range(0, len(commands), COMMANDS_AT_ONCE):
        requests = [Request(command) for command in commands[start : start + COMMANDS_AT_ONCE]]
        for outcome in drive(writer.carry_out(requests, now=now), database):
            if outcome.problem is not None:
                raise RuntimeError(f"seeding was refused: {outcome.problem} {outcome.problem.facts}")
        writer.timer_changes.clear()


def bench_catalog(now: datetime, *, campus: str = CAMPUS) -> Catalog:
    """One campaign with one tier, and one meal that began an hour ago and lasts for 23 more."""
    local = now.astimezone(SHANGHAI)
    starts = (local.hour * 60 + local.minute - 60) % 1440
    dishes = [
        {
            "id": f"bench-dish-{n}",
            "merchant_id": f"bench-shop-{n % 4}",
            "name_zh": f"压测菜{n}",
            "name_en": f"Bench dish {n}",
            "price_fen": 900 + 137 * n,
            "portions_per_meal": 100_000,
        }
        for n in range(8)
    ]
    return {
        "campus": {
            "id": campus,
            "name_zh": "压测校区",
            "name_en": "Bench Campus",
            "south_e6": 39_000_000,
            "west_e6": 116_000_000,
            "north_e6": 39_100_000,
            "east_e6": 116_100_000,
        },
        "buildings": [
            {
                "id": BUILDING,
                "kind": "dorm",
                "name_zh": "压测楼",
                "name_en": "Bench dorm",
                "latitude_e6": 39_050_000,
                "longitude_e6": 116_050_000,
                "residents": 100_000,
            }
        ],
        "periods": [
            {
                "id": "lunch",
                "name_zh": "全天",
                "name_en": "All day",
                "starts_minute": starts,
                "cut_off_minute": starts + 1440,
                "ends_minute": starts + 1440,
            }
        ],
        "merchants": [
            {
                "id": f"bench-shop-{n}",
                "name_zh": f"压测店{n}",
                "name_en": f"Bench shop {n}",
                "latitude_e6": 39_050_000,
                "longitude_e6": 116_050_000,
                "hours": ALL_DAY,
                "is_open": True,
                "delivery_fee_fen": 500,
                "min_order_fen": 0,
            }
            for n in range(4)
        ],
        "dishes": dishes,
        "campaigns": [
            {
                "id": CAMPAIGN,
                "name_zh": "压测三人团",
                "name_en": "Bench for three",
                "tiers": [{"size": SIZE, "off_percent": 10}],
                "merchant_ids": [f"bench-shop-{n}" for n in range(4)],
                "building_ids": [],
                "period_ids": ["lunch"],
                **EVER,
                "group_lasts_minutes": 1440,
                "pay_within_s": 900,
                "per_order_limit": 20,
                "per_user_limit": 0,
                "delivery_fee_fen": 600,
                "state": "live",
            }
        ],
    }

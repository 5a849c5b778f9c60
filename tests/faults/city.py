"""A data folder in which students can order at any time of day, and what its files say afterwards."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from tuanzi.base.ids import CampusId, Ids, PersonId, SessionId
from tuanzi.catalog import ImportCatalog, ImportKind
from tuanzi.money import SandboxProvider
from tuanzi.people.model import RequestCode, SignIn, hash_token
from tuanzi.settings import read_settings
from tuanzi.wiring import House, Vendors, wall_clock

CAMPUS = CampusId("beijing")
SECRET = "s" * 32
CATALOG = Path(__file__).parents[2] / "src/simulation/campuses/beijing.json"
CAMPAIGN = "bj-faults-3"
BUILDING = "bj-dorm-01"
SIZE = 3
SCARCE_PORTIONS = 40


class Unsent:
    """A sender of codes that sends nothing."""

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Student:
    """Somebody signed in."""

    person_id: str
    token: bytes


@dataclass(frozen=True, slots=True)
class City:
    """A seeded folder. dishes: on sale for the campaign, the first one scarce."""

    data: Path
    students: list[Student]
    dishes: list[str]


def environment(data: Path, **settings: str) -> dict[str, str]:
    """The settings of a process on this folder, one campus, one secret."""
    return {
        "TUANZI_DATA": str(data),
        "TUANZI_CAMPUSES": CAMPUS,
        "TUANZI_SECRET": SECRET,
        "TUANZI_LIVE_PORT": "0",
        **settings,
    }


def house_in(
    data: Path,
    *,
    clock: Callable[[], datetime] = wall_clock,
    provider: SandboxProvider | None = None,
    **settings: str,
) -> House:
    """A house on this folder, in this process."""
    vendors = Vendors(codes=Unsent(), payments=provider or SandboxProvider(remembered_max=1000))
    return House(read_settings(environment(data, **settings)), vendors, clock=clock, ids=Ids(Random(5).getrandbits))


async def seed(data: Path, *, students: int, at: datetime | None = None, **settings: str) -> City:
    """Fill a folder: the demo campus with one campaign that can be opened at any hour, and students with sessions.

    at: when the students will order; now when not given. settings: as in the environment, e.g. of a database server.
    """
    now = at or datetime.now(UTC)
    house = house_in(data, clock=lambda: now, **settings)
    working = asyncio.create_task(house.run())
    await house.opened()
    content, dishes = _catalog(now)
    command = ImportCatalog(
        campus_id=CAMPUS, kind=ImportKind.CATALOG, content=content, is_dry_run=False, by=PersonId("test")
    )
    imported = (await house.campuses[CAMPUS].core.submit(command)).answer
    assert not imported.errors, imported.errors
    people = await asyncio.gather(*(_sign_in(house, 13800000000 + i, now=now) for i in range(students)))
    house.close()
    await working
    return City(data, people, dishes)


async def _sign_in(house: House, phone_number: int, *, now: datetime) -> Student:
    phone = house.keys.seal(str(phone_number))
    token = f"{phone_number:064x}"
    code_hash = house.keys.hash_code("000000", phone_hash=phone.hash)
    asked = RequestCode(
        challenge_id=house.ids.make("v", now=now),
        phone=phone,
        code_hash=code_hash,
        campus_id=CAMPUS,
        address_mark=house.keys.mark_address(f"10.{phone_number % 200}.{phone_number // 200 % 200}.1"),
    )
    await house.platform.submit(asked)
    signing = SignIn(
        session_id=SessionId(house.ids.make("s", now=now)),
        person_id=PersonId(house.ids.make("p", now=now)),
        phone=phone,
        code_hash=code_hash,
        token_hash=hash_token(token),
    )
    signed = await house.platform.submit(signing)
    return Student(signed.answer.person_id, token.encode())


def _catalog(now: datetime) -> tuple[str, list[str]]:
    """The demo campus whose lunch began an hour ago and lasts a day, and the dishes of its campaign."""
    catalog = json.loads(CATALOG.read_text(encoding="utf-8"))
    local = (now.hour * 60 + now.minute + 8 * 60) % 1440
    starts = (local - 60) % 1440
    lunch = {"id": "lunch", "name_zh": "午餐", "name_en": "Lunch"}
    ends = starts + 1440
    catalog["periods"] = [lunch | {"starts_minute": starts, "cut_off_minute": ends, "ends_minute": ends}]
    for merchant in catalog["merchants"]:
        merchant["hours"] = [[{"opens_minute": 0, "closes_minute": 1440}]] * 7
        merchant["min_order_fen"] = 0
    model = next(campaign for campaign in catalog["campaigns"] if campaign["id"] == "bj-lunch-3")
    catalog["campaigns"] = [model | {"id": CAMPAIGN, "period_ids": ["lunch"], "pay_within_s": 600}]
    for dish in catalog["dishes"]:
        dish["portions_per_meal"] = 100_000
    plain = [dish for dish in catalog["dishes"] if not dish["is_addon"] and not dish["items"] and dish["is_on_sale"]]
    served = [dish for dish in plain if dish["merchant_id"] in model["merchant_ids"]]
    served[0]["portions_per_meal"] = SCARCE_PORTIONS
    return json.dumps(catalog), [dish["id"] for dish in served]


class Files:
    """The campus's databases as an auditor reads them, beside a process or after it."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def rows(self, kind: str, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query over "core", "money" or "platform"."""
        path = self._data / "platform.db" if kind == "platform" else self._data / CAMPUS / f"{kind}.db"
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(sql, slots or {}).fetchall()

"""E1: every statement of every room answers the same on every engine (style 49).

The rows are those of a simulated lunch and of a journey; each statement is asked several times, with values that stand
in the columns it compares.
"""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

import tuanzi
from simulation.house import KINDS, VirtualHouse
from simulation.lunch import small_lunch
from tests.databases import Site
from tests.journeys.conftest import Cast, Town, done
from tests.machinery.toy import NOON
from tuanzi import wiring
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.engines.post.desks import DeskPost
from tuanzi.machinery import internal
from tuanzi.machinery.database import Flush
from tuanzi.machinery.fence import COORDINATOR_EPOCHS, FENCES
from tuanzi.machinery.internal import FOLLOWER_POSITIONS, KEPT_ANSWERS, LOG_MARKS, PARKED_EVENTS, TIMERS
from tuanzi.machinery.migrate import migrate
from tuanzi.machinery.tables import Table
from tuanzi.money import SandboxProvider
from tuanzi.people import ConsoleSender, Keys

# A room's store is a file, or a folder of the same name whose door gives all that is asked.
ROOMS = sorted({path.parent.name for path in Path(tuanzi.__file__).parent.glob("*/store*")})
OWN_TABLES = (TIMERS, KEPT_ANSWERS, FOLLOWER_POSITIONS, LOG_MARKS, PARKED_EVENTS, FENCES, COORDINATOR_EPOCHS)
ROUNDS = 16
SLOT = re.compile(r":(\w+)")
REFUSED_REFUND = """
INSERT INTO cases (id, kind, reference, order_id, amount_fen, reason, state, opened_at_ms, times) VALUES
    ('refund.o_lost.r1', 'refund', 'o_lost.r1', 'o_lost', 100, 'not_captured', 'open', 0, 1);
"""
RATES = {"platform_rate": 800, "leader_rate": 200, "ambassador_rate": 100, "provider_rate": 60, "rider_rate": 9000}
TERMS = {"late_minutes": 6, "given_up_minutes": 21, "ready_minutes": 31}
COUPON = {"grant_id": "welcome", "off_fen": 300, "threshold_fen": 1000, "expires_at": "2026-12-31T00:00:00+08:00"}
# Where nothing of the kind happens: no bill differs, no shop is late, nothing is clawed back twice.
MAY_FIND_NOTHING = 0.22


def statements_of(module: Any) -> dict[str, str]:
    """The statements that a module names; parts of statements begin with an underscore."""
    named = {name: value for name, value in vars(module).items() if isinstance(value, str) and name[0] != "_"}
    return {name: value for name, value in named.items() if re.match(r"\s*SELECT\s", value)}


STATEMENTS = {
    f"{owner}.{name}": sql
    for owner, module in [
        *((room, importlib.import_module(f"tuanzi.{room}.store")) for room in ROOMS),
        ("machinery", internal),
    ]
    for name, sql in statements_of(module).items()
}


class Pair:
    """The same rows in a database of each engine."""

    def __init__(self, kind: str, source: Sqlite, site: Site, tables: Sequence[Table[Any]]) -> None:
        self.sqlite = source
        self.mariadb = MariaDb(site.address())
        migrate(self.mariadb, ("every", kind), now=NOON)
        self.tables = {table.name: table.columns for table in (*tables, *OWN_TABLES)}
        self.tables |= {"events": ("number", "name", "version", "at_ms", "body"), "writer_cursor": ("id",)}
        position, number = source.cursor()
        inserts = [(table, source.rows(f"SELECT {', '.join(table.columns)} FROM {table.name}")) for table in tables]
        own = [(table, source.rows(f"SELECT {', '.join(table.columns)} FROM {table.name}")) for table in OWN_TABLES]
        events = source.rows("SELECT number, name, version, at_ms, body FROM events ORDER BY number")
        self.mariadb.commit(
            Flush(before=0, after=position, event_number=number, inserts=[*inserts, *own], events=events)
        )

    def knows(self, sql: str) -> bool:
        """Whether the statement asks this kind of database."""
        return set(re.findall(r"(?:FROM|JOIN)\s+([a-z_]+)", sql)) <= set(self.tables)

    def values(self, sql: str, slot: str) -> list[Any]:
        """What a slot may be: the values of the column it is compared with."""
        if slot in ("limit", "looked"):
            return [1, 3, 50]
        found = re.search(rf"(\w+)\s*(?:=|<>|<=|>=|<|>|IN \((?::\w+, )*)\s*:{slot}\b", sql)
        if f":{slot} AS id" in sql:  # a table of ids, by which another is joined
            found = re.search(r"(\w+) = \w+\.id\b", sql)
        column = found[1] if found else slot
        if slot.startswith("id") and "INSTR" in sql:
            column = "order_id"
        kept: list[Any] = []
        for table in re.findall(r"(?:FROM|JOIN)\s+([a-z_]+)", sql) + list(self.tables):
            if column in self.tables[table] and not kept:
                kept = [row[0] for row in self.sqlite.rows(f"SELECT DISTINCT {column} FROM {table} LIMIT 400")]
        kept = [value for value in kept if value is not None]
        assert kept or not found or column, f"nothing to ask {slot} for in {sql}"
        is_text = not kept or isinstance(kept[0], str)
        return [*kept, *(["", "~"] if is_text and len(kept) < 20 else [] if is_text else [0, 2**50])]

    def close(self) -> None:
        """Close both."""
        self.sqlite.close()
        self.mariadb.close()


class Remembering(VirtualHouse):
    """A house whose disks are still there when its lunch is over."""

    def close(self) -> None:
        """End the process."""
        self.kill()


@pytest.fixture(scope="module")
def pairs(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pair]]:
    """Every kind of database, after a lunch."""
    houses: list[Remembering] = []

    def house(*given: Any) -> VirtualHouse:
        houses.append(Remembering(*given))
        return houses[0]

    small_lunch(11, students=30, house=house)
    folder = tmp_path_factory.mktemp("journey")
    asyncio.run(_journey(folder))
    rooms = wiring.rooms_of(
        keys=Keys(b"s" * 32),
        sender=ConsoleSender(),
        provider=SandboxProvider(),
        is_campus=lambda name: True,
        post=DeskPost(lambda address: None),
        books=wiring.CampusBooks(dict),
    )
    sources = [(kind, houses[0].disks[kind]) for kind in KINDS]
    sources += [(kind, Sqlite(folder / f"beijing/{kind}.db")) for kind in ("core", "notices", "money")]
    sources += [("platform", Sqlite(folder / "platform.db"))]
    made = [Pair(kind, source, site, wiring.schema_of(kind, rooms).tables) for kind, source in sources]
    yield made
    for pair in made:
        pair.close()


async def _journey(folder: Path) -> None:
    async with Town(folder) as town:
        cast = await Cast(town).gather()
        _, orders = await cast.closed_group()
        await cast.deliver(f"{orders[0]}.1")
        await done(cast.ming.post(f"orders/{orders[0]}/after-sale", {"reason": "cold"}))
        town.house.campuses["beijing"].money.database.execute_script(REFUSED_REFUND)
        settled = {"how": "write_off", "note": "he was here"}
        await done(cast.warden.send("POST", "ledger/cases/refund.o_lost.r1/settlement", settled))
        await done(cast.warden.send("POST", "sharing/terms", {"after_version": 0, **RATES}), 201)
        await done(cast.warden.send("PUT", "acceptance-terms", TERMS))
        await done(cast.warden.post("coupons", {"member_ids": [cast.ming.id, cast.hua.id], **COUPON}), 201)
        await done(cast.warden.post("reconciliation/runs", {}), 202)
        await town.settled()


def test_every_statement_of_every_room_answers_the_same(pairs: list[Pair]) -> None:
    chance = Random(7)
    differ: list[str] = []
    empty: list[str] = []
    asked = 0

    for name, sql in STATEMENTS.items():
        slots = sorted(set(SLOT.findall(re.sub(r"'[^']*'", "", sql))))
        homes = [pair for pair in pairs if pair.knows(sql)]
        assert homes, f"{name} asks tables that no database has"
        rows = 0
        for pair in homes:
            choices = {slot: pair.values(sql, slot) for slot in slots}
            for _ in range(ROUNDS if slots else 1):
                given = {slot: chance.choice(choices[slot] or [""]) for slot in slots}
                there, here = pair.sqlite.rows(sql, given), pair.mariadb.rows(sql, given)
                asked += 1
                rows += len(there)
                if repr(there) != repr(here):
                    differ.append(f"{name} {given}: {there[:3]} {here[:3]}")
        if not rows:
            empty.append(name)

    assert differ == []
    assert len(empty) < MAY_FIND_NOTHING * len(STATEMENTS), empty
    assert (len(STATEMENTS) > 100, asked > 600) == (True, True)


def test_the_rows_themselves_are_the_same(pairs: list[Pair]) -> None:
    for pair in pairs:
        for table, columns in pair.tables.items():
            sql = f"SELECT {', '.join(columns)} FROM {table}"

            assert sorted(map(repr, pair.mariadb.rows(sql))) == sorted(map(repr, pair.sqlite.rows(sql))), table

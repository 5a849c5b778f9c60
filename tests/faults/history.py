"""A campus with a past: one group's real rows, made by the real writer, many times over with other ids.

Ids with XX belong to a group that is split, ids with YY to one that is open; every text that holds the mark is copied
with a letter and a number in its place, so that all copies agree with each other as the first does.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tests.faults.city import BUILDING, CAMPAIGN, CAMPUS, SIZE, City, house_in
from tuanzi.base.ids import BuildingId, CampaignId, DishId, GroupId, OrderId, PersonId
from tuanzi.base.once import once
from tuanzi.groups import JoinGroup, OpenGroup, Wanted
from tuanzi.money import RecordCapture, payment_of
from tuanzi.wiring import FOLLOWS

SPLIT = "SELECT COUNT(*) FROM orders WHERE state = 'split'"
TABLES = {
    "core": ("campus_groups", "orders", "sub_orders", "timers", "kept_answers"),
    "money": ("payments", "journals", "entries", "kept_answers"),
}


async def fill(city: City, *, groups_split: int, groups_open: int) -> None:
    """Give the folder that many groups of three orders each, and open ones with two orders, one of them paid."""
    house = house_in(city.data)
    working = asyncio.create_task(house.run())
    await house.opened()
    campus = house.campuses[CAMPUS]
    for mark, seats, paid in (("XX", SIZE, SIZE), ("YY", 2, 1)):
        lines = (Wanted(dish_id=DishId(city.dishes[1]), quantity=1),)
        for i in range(seats):
            member_id = PersonId(city.students[i].person_id)
            group_id, order_id = GroupId(f"g_{mark}"), OrderId(f"o_{mark}{i}")
            join = JoinGroup(group_id=group_id, order_id=order_id, member_id=member_id, lines=lines)
            opening = OpenGroup(
                group_id=group_id,
                order_id=order_id,
                member_id=member_id,
                campaign_id=CampaignId(CAMPAIGN),
                building_id=BuildingId(BUILDING),
                lines=lines,
            )
            command = join if i else opening
            seated = (await campus.core.submit(command, who=member_id, key=once(f"{mark}-{i}", b"o"))).answer
            if i >= paid:
                continue
            capture = RecordCapture(
                payment_id=payment_of(order_id),
                order_id=order_id,
                member_id=member_id,
                amount_fen=seated.payable_fen,
                transaction_id=f"t_{mark}{i}",
                provider="sandbox",
            )
            captured = await campus.money.submit(capture, who=member_id, key=once(f"{mark}-{i}p", b"p"))
            await campus.core.followed("money", captured.events[-1][0])
    async with asyncio.timeout(30):
        while await campus.core.rows(SPLIT) != [(SIZE,)]:  # noqa: ASYNC110 - its branches work on by themselves
            await asyncio.sleep(0.01)
    house.close()
    await working
    with ThreadPoolExecutor(len(TABLES)) as threads:
        for done in [threads.submit(_write, city.data / CAMPUS, kind, groups_split, groups_open) for kind in TABLES]:
            done.result()
    _catch_up(city.data / CAMPUS)


def _write(campus: Path, kind: str, groups_split: int, groups_open: int) -> None:
    """Write the past of one database, without a log: nobody else is there, and what is torn is made anew."""
    with closing(sqlite3.connect(campus / f"{kind}.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -1048576")  # 1 GiB, so that no page is written twice
        connection.execute("BEGIN")
        for mark, times in (("XX", groups_split), ("YY", groups_open)):
            for table in TABLES[kind]:
                _multiply(connection, table, mark, times)
            _multiply_events(connection, mark, times)
        connection.execute("UPDATE writer_cursor SET event_number = (SELECT MAX(number) FROM events)")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


def _multiply(connection: sqlite3.Connection, table: str, mark: str, times: int) -> None:
    """Copy the marked rows of a table `times` times."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    texts = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[2] != "BIGINT"]
    numbered = f"printf('{mark[0].lower()}%07d', n)"
    cells = [f"replace(t.{name}, '{mark}', {numbered})" if name in texts else f"t.{name}" for name in columns]
    marked = " OR ".join(f"instr(t.{name}, '{mark}')" for name in texts)
    connection.execute(f"CREATE TEMP TABLE model AS SELECT * FROM {table} t WHERE {marked}")
    connection.execute(
        f"""
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {times})
        INSERT INTO {table} SELECT {", ".join(cells)} FROM numbers CROSS JOIN model t
        """
    )
    connection.execute("DROP TABLE temp.model")


def _multiply_events(connection: sqlite3.Connection, mark: str, times: int) -> None:
    """Copy the marked events `times` times, numbered on without a gap."""
    last = connection.execute("SELECT MAX(number) FROM events").fetchone()[0]
    rows = connection.execute(
        "SELECT name, version, at_ms, body FROM events WHERE instr(body, ?) ORDER BY number", (mark,)
    ).fetchall()
    connection.executemany(
        "INSERT INTO events (number, name, version, at_ms, body) VALUES (?, ?, ?, ?, ?)",
        (
            (last + n * len(rows) + i + 1, name, version, at_ms, body.replace(mark, f"{mark[0].lower()}{n + 1:07d}"))
            for n in range(times)
            for i, (name, version, at_ms, body) in enumerate(rows)
        ),
    )


def _catch_up(campus: Path) -> None:
    """Let each database have heard the other, as it had when all this happened."""
    for target, source in FOLLOWS:
        with closing(sqlite3.connect(campus / f"{source}.db")) as connection:
            (last,) = connection.execute("SELECT COALESCE(MAX(number), 0) FROM events").fetchone()
        with closing(sqlite3.connect(campus / f"{target}.db")) as connection:
            connection.execute("INSERT OR REPLACE INTO follower_positions VALUES (?, ?)", (source, last))
            connection.commit()

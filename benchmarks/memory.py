"""How much memory serves a campus with a million orders of history and 5,000 open groups.

The history is written in bulk, straight into the tables, as copies of real rows: 300 orders are first placed, paid,
formed and split by the real writers, then their rows in every table of core and money are copied under other ids until
there are enough. So rows, indexes and files are what they would be; only the making is short. Their old events and kept
answers are left out: 15 rows an order that nobody reads while serving. Then a fresh process opens the databases as the
server does (default `places_max`), opens the groups by commands, pays two orders in each, and reads old orders in
between; the largest resident memory that it ever had is told. The last line of `--json` is one object.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from benchmarks import writer as orders_bench
from benchmarks.servers import ROOT
from simulation import bench
from tuanzi.base.ids import BuildingId, CampaignId, DishId, GroupId, Ids, OrderId, PersonId
from tuanzi.groups import JoinGroup, OpenGroup, Wanted
from tuanzi.machinery.writer import Request
from tuanzi.money import RecordCapture, payment_of
from tuanzi.settings import read_settings

REAL_ORDERS = 300
BATCH = 256
# Tables whose rows belong to an order or group; the others stay as they are.
COPIED = {
    "core": ("orders", "sub_orders", "campus_groups"),
    "money": ("payments", "refunds", "journals", "entries"),
}
# The chance part of an id: copies get other ones, each by a number of its own.
_ID = re.compile(r"\b([a-z]+_[0-9a-z]{10})([0-9a-z]{14})")


class Measured(msgspec.Struct):
    """The last line. rss_mib: of the serving process at the end; disk_mib: both databases."""

    rss_mib: float
    orders: int
    open_groups: int
    places_max: int
    disk_mib: float


def write_history(folder: Path, *, orders: int) -> None:
    """Make a few real orders, then copies until there are so many."""
    campus = orders_bench.Campus(folder, batch=BATCH)
    ids, chance = Ids(Random(3).getrandbits), Random(4)
    for wave, order_ids in orders_bench.orders_of(campus, ids, chance, groups=REAL_ORDERS // bench.SIZE):
        _pay(campus, wave, order_ids, [Request(command, who=command.member_id) for command in wave])
    campus.close()
    for kind, tables in COPIED.items():
        with closing(sqlite3.connect(folder / f"{kind}.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # bulk: the benchmark's data, not the server's
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("BEGIN")
            for table in tables:
                rows = connection.execute(f"SELECT * FROM {table}").fetchall()
                for copy in range(1, orders // REAL_ORDERS):
                    mark = f"{copy:06d}"
                    copies = [tuple(_other(cell, mark) for cell in row) for row in rows]
                    if copies:
                        slots = ", ".join("?" * len(copies[0]))
                        connection.executemany(f"INSERT INTO {table} VALUES ({slots})", copies)
            connection.execute("COMMIT")


def _other(cell: Any, mark: str) -> Any:
    """A cell with every id in it changed in the same way; numbers and names stay."""
    return _ID.sub(lambda found: found[1] + mark + found[2][6:], cell) if isinstance(cell, str) else cell


def _pay(campus: orders_bench.Campus, wave: Sequence[Any], order_ids: Sequence[str], requests: list[Request]) -> None:
    seated = campus.carry_out("core", requests)
    captures = [
        RecordCapture(
            payment_id=payment_of(order_id),
            order_id=order_id,
            member_id=command.member_id,
            amount_fen=outcome.answer.payable_fen,
            transaction_id=f"t_{order_id}",
            provider="sandbox",
        )
        for command, order_id, outcome in zip(wave, order_ids, seated, strict=True)
    ]
    for start in range(0, len(captures), BATCH):
        campus.capture(captures[start : start + BATCH])


def serve(folder: Path, *, open_groups: int) -> Measured:
    """In a process of its own: open groups, fill two of three seats, read old orders, and say how large it is."""
    places_max = read_settings({"TUANZI_DATA": str(folder / "settings")}).places_max
    campus = orders_bench.Campus(folder, batch=BATCH, places_max=places_max)
    ids, chance = Ids(Random(13).getrandbits), Random(14)
    dishes = bench.bench_catalog(campus.now)["dishes"]
    group_ids = [GroupId(ids.make("g", now=campus.now)) for _ in range(open_groups)]
    old = [row[0] for row in campus.rows("core", "SELECT id FROM orders ORDER BY id LIMIT 50000")]
    for seat in range(2):
        wave: list[Any] = []
        order_ids: list[str] = []
        for group_id in group_ids:
            order_id = OrderId(ids.make("o", now=campus.now))
            member_id = PersonId(ids.make("u", now=campus.now))
            lines = tuple(Wanted(dish_id=DishId(dish["id"]), quantity=1) for dish in chance.sample(dishes, 2))
            place: Any = JoinGroup(group_id=group_id, order_id=order_id, member_id=member_id, lines=lines)
            if not seat:
                place = OpenGroup(
                    group_id=group_id,
                    order_id=order_id,
                    member_id=member_id,
                    campaign_id=CampaignId(bench.CAMPAIGN),
                    building_id=BuildingId(bench.BUILDING),
                    lines=lines,
                )
            wave.append(place)
            order_ids.append(order_id)
        _pay(campus, wave, order_ids, [Request(command, who=command.member_id) for command in wave])
        for order_id in chance.sample(old, min(len(old), 5_000)):
            campus.rows("core", "SELECT * FROM orders WHERE id = :id", {"id": order_id})
    ((orders,),) = campus.rows("core", "SELECT COUNT(*) FROM orders")
    ((opened,),) = campus.rows("core", "SELECT COUNT(*) FROM campus_groups WHERE state = 'open'")
    rss_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    campus.close()
    disk = sum(path.stat().st_size for path in folder.glob("*.db*"))
    return Measured(
        rss_mib=round(rss_kib / 1024, 1),
        orders=orders,
        open_groups=opened,
        places_max=places_max,
        disk_mib=round(disk / 2**20, 1),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Write the history, measure in a fresh process, print; exit code 1 from 1 GiB on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000, help="of history (1,000,000)")
    parser.add_argument("--open-groups", type=int, default=5_000)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve is not None:
        print(msgspec.json.encode(serve(options.serve, open_groups=options.open_groups)).decode())
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_history(folder, orders=options.orders)
        serving = [
            sys.executable,
            "-m",
            "benchmarks.memory",
            "--serve",
            name,
            "--open-groups",
            str(options.open_groups),
        ]
        told = subprocess.run(serving, check=True, capture_output=True, text=True, cwd=ROOT).stdout.splitlines()[-1]
    measured = msgspec.convert(json.loads(told), Measured)
    print(
        f"{measured.orders:,} orders ({measured.disk_mib:,.0f} MiB on disk), {measured.open_groups:,} open groups: "
        f"{measured.rss_mib:,.0f} MiB of memory at most"
    )
    if options.json:
        print(msgspec.json.encode(measured).decode())
    return 0 if measured.rss_mib < 1024 else 1


if __name__ == "__main__":
    sys.exit(main())

"""`BENCH=single_order` believes no server: whatever does not add up after it is found (issue 5)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.load import Acknowledged
from benchmarks.single_order import compare
from tests.databases import Site
from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Cast, Town, done
from tuanzi.engines.database.connections import address_of
from tuanzi.engines.database.mariadb import MariaDb

PLANTED: dict[str, tuple[str, str, str]] = {
    "a portion too many": ("core", "UPDATE portions SET held = held + 1 WHERE held > 0;", "stock [('bj-m01-d01', 3)]"),
    "another amount": ("money", "UPDATE payments SET amount_fen = 5, captured_fen = 5;", "5 captured"),
    "an order that is gone": ("core", "DELETE FROM orders;", "stock [('bj-m01-d01', 3)] where orders want []"),
    "a ledger that does not balance": ("money", "UPDATE entries SET amount_fen = amount_fen + 1;", "does not balance"),
}


async def test_books_that_differ_are_found(site: Site, tmp_path: Path) -> None:
    url = site.url()
    acknowledged = []
    async with Town(tmp_path, TUANZI_DATABASE=url) as town:
        cast = await Cast(town).gather()
        for person in (cast.ming, cast.hua):
            opened: Any = await done(person.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
            await done(person.post(f"orders/{opened['order_id']}/pay"))
            acknowledged.append(Acknowledged(opened["order_id"], opened["payable_fen"], 0))
        await town.settled()
    assert compare(url, acknowledged) == (2, [])

    prefix = address_of(url)
    for planted, (kind, damage, told) in PLANTED.items():
        before = compare(url, acknowledged)[1]
        database = MariaDb(replace(prefix, schema=f"{prefix.schema}_beijing_{kind}"))
        database.execute_script(damage)
        database.close()
        after = compare(url, acknowledged)[1]

        found = [len([line for line in wrong if told in line]) for wrong in (before, after)]
        assert found[0] < found[1], f"{planted}: {after}"

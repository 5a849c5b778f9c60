"""`BENCH=order_path_cluster` believes no server, and its rival is right on MariaDB too (issue 5)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from benchmarks.baseline.app import app
from benchmarks.baseline.seed import seed
from benchmarks.load import Acknowledged
from benchmarks.order_path_cluster import Rows, asked, cpu_by_kind, wrong_stock
from benchmarks.sums import wrong_rows
from simulation import commands
from tests.benchmarks.test_baseline import STUDENTS, Campus, form_group
from tests.databases import Site

# What is changed by one, and what is then told.
PLANTED = {
    "a portion too many": ("portions SET held = held {} WHERE dish_id = 'd1'", "stock"),
    "a portion sold that nobody paid": ("portions SET sold = sold {} WHERE dish_id = 'd2'", "sold"),
    "another amount": ("payments SET amount_fen = amount_fen {}", "captured"),
    "a ledger that does not balance": ("entries SET amount_fen = amount_fen {}", "off by 2 fen"),
}


@pytest_asyncio.fixture
async def rival(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Campus, str]]:
    """The service, and where its books are."""
    address = site.address()
    site.primary.ask(f"CREATE DATABASE {address.schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    account = f"{address.user}:{address.password}"
    monkeypatch.setenv("BASELINE_DATABASE", f"mysql+asyncmy://{account}@/{address.schema}?unix_socket={address.socket}")
    monkeypatch.setenv("BASELINE_DATA", str(tmp_path))
    await seed(tmp_path, students=STUDENTS)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://baseline") as client,
    ):
        yield (
            Campus(client, tmp_path),
            f"mysql://{account}@127.0.0.1:{address.port}/{address.schema}?socket={address.socket}",
        )


async def test_many_chains_at_once_on_mariadb_add_up_and_damage_is_found(rival: tuple[Campus, str], site: Site) -> None:
    campus, url = rival
    formed = await asyncio.gather(*(form_group(campus, first) for first in range(0, 36, 3)))
    acknowledged = [
        Acknowledged(placed["order_id"], placed["payable_fen"], student)
        for chains in formed
        for student, placed, _ in chains
    ]

    def ask(sql: str) -> Rows:
        return asked(url, "", sql)

    def wrong() -> list[str]:
        return wrong_rows(lambda _table, sql: ask(sql), acknowledged) + wrong_stock(ask)

    assert wrong() == []
    assert ask("SELECT 'captured', SUM(amount_fen) FROM payments") == [("captured", 12 * 9431)]

    schema = url.partition("?")[0].rpartition("/")[2]
    for planted, (change, told) in PLANTED.items():
        site.primary.ask(f"UPDATE {schema}.{change.format('+ 1')}")
        found = wrong()
        site.primary.ask(f"UPDATE {schema}.{change.format('- 1')}")

        assert any(line.startswith(told) or line.endswith(told) for line in found), f"{planted}: {found}"
    assert wrong() == []


async def test_the_last_seats_go_to_two_of_many_on_mariadb(rival: tuple[Campus, str]) -> None:
    campus, url = rival
    group_id = (await campus.open(0)).json()["group_id"]

    answers = await asyncio.gather(*(campus.join(student, group_id) for student in range(1, 21)))

    assert sorted(answer.status_code for answer in answers) == [201, 201] + [409] * 18
    assert asked(url, "", "SELECT dish_id, held FROM portions WHERE held > 0") == [("d1", 3), ("d2", 6)]


def test_time_of_processor_is_told_by_kind_of_process() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
    words = [sys.executable, "-c", burn]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        spent = cpu_by_kind({process.pid: "apis", os.getpid(): "not counted"})
        process.communicate(b"\n")

    assert spent["apis"] >= 0.28
    assert "not counted" not in spent


def test_a_campus_of_another_name_is_seeded(tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    words = ["--data", str(tmp_path / "data"), "--students", "3", "--out", str(known), "--campus", "north"]

    assert commands.bench_seed(words) == 0

    told: Any = msgspec.json.decode(known.read_bytes())
    assert (told["campus"], len(told["students"])) == ("north", 3)
    assert [path.parent.name for path in (tmp_path / "data").rglob("core.db")] == ["north"]

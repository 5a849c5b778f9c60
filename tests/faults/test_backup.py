"""A backup made under load is what a `kill -9` would have left at one moment, and the house goes on (J4, E1)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.faults.books import MANY_CANCELLED, finish, is_at_rest, wrong_in
from tests.faults.city import City, Files, environment
from tests.faults.crowd import Crowd
from tests.faults.server import ROOT, Server
from tests.waiting import until

SEED = 20261128
BACKUPS = 4
# As in `tuanzi.wiring`: who hears whom within a campus.
FOLLOWED = ("core", "money", "delivery")
TRYING = "SELECT gid FROM splits WHERE state = 'trying'"
CANCELLED = "SELECT gid FROM splits WHERE state LIKE 'cancel%'"


def tuanzi(data: Path, *words: str) -> str:
    """A command beside the house, or without it; what it prints."""
    settings = os.environ | environment(data) | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "tuanzi.roles.cli", *words], env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ahead_in(files: Files) -> list[tuple[str, str, int]]:
    """Who has heard more of another database than is in it: what cannot be at any one moment."""
    newest = {kind: files.rows(kind, "SELECT COALESCE(MAX(number), 0) FROM events")[0][0] for kind in FOLLOWED}
    heard = [
        (kind, source, number)
        for kind, sql in (
            *[(kind, "SELECT source, number FROM follower_positions") for kind in FOLLOWED],
            ("notices", "SELECT source, number FROM log_positions"),
        )
        for source, number in files.rows(kind, sql)
    ]
    assert {("core", "money"), ("notices", "core")} <= {each[:2] for each in heard if each[2] > 0}
    return [each for each in heard if each[2] > newest.get(each[1], each[2])]


async def test_backups_under_load_hold_all_that_was_answered_before_and_a_house_goes_on_from_each(
    city: City, tmp_path: Path
) -> None:
    known: list[tuple[set[str], dict[str, int]]] = []
    held_ms: list[float] = []
    with Server(city.data) as server:
        crowd = Crowd(city, port=server.port, seed=SEED)
        crowd.up.set()
        ordering = asyncio.create_task(crowd.order())
        await crowd.until_plans(20)
        for i in range(BACKUPS):
            paid = {order_id: crowd.placed[order_id].payable_fen for order_id in list(crowd.paid)}
            known.append((set(crowd.placed), paid))
            made = await asyncio.to_thread(tuanzi, city.data, "backup", "--json", str(tmp_path / f"backup-{i}"))
            held_ms.append(json.loads(made)["held_ms"])
            assert not ordering.done()
        await crowd.until_plans(len(crowd.plans) + 20)
        await finish(crowd, ordering, lambda: Files(city.data), within_s=60)
        assert server.stop() == 0
    assert (crowd.differing[:3], set(crowd.refused) - {"409 stock/stock-short"}) == ([], set())
    assert wrong_in(Files(city.data), crowd=crowd) == [], f"seed {SEED}"
    assert max(held_ms) < 1_000

    for i, (placed, paid) in enumerate(known):
        data = tmp_path / f"restored-{i}"
        tuanzi(data, "restore", str(tmp_path / f"backup-{i}"))
        files = Files(data)
        assert ahead_in(files) == []
        kept = {order_id for (order_id,) in files.rows("core", "SELECT id FROM orders")}
        assert placed <= kept < set(crowd.placed)
        trying, cancelled = set(files.rows("core", TRYING)), set(files.rows("core", CANCELLED))
        with Server(data) as server:
            await until(partial(is_at_rest, files), within_s=60, every_s=0.05)
            assert server.stop() == 0
        # Of what was being tried at that moment any number may have had its deadline since, and of nothing else.
        assert set(files.rows("core", CANCELLED)) - cancelled <= trying, f"seed {SEED}, backup {i}"
        wrong = [line for line in wrong_in(files) if not line.startswith(MANY_CANCELLED)]
        assert wrong == [], f"seed {SEED}, backup {i}"
        captured = dict(files.rows("core", "SELECT id, paid_fen FROM orders WHERE paid_fen > 0"))
        assert {order_id: captured.get(order_id) for order_id in paid} == paid

"""`tuanzi simulate`, `replay` and `bench-seed` as scripts use them (issue 2, sections 5 and 6)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from simulation import commands

DAY = Path(__file__).resolve().parents[3] / "shared/data/mdrp/0o100t100s1p100"
KEYS = {"orders", "groups_formed", "groups_failed", "paid_fen", "refunded_fen", "invariants_broken"}


def test_simulate_prints_one_json_object_last(capsys: pytest.CaptureFixture[str]) -> None:
    code = commands.simulate(["--students", "60", "--seed", "3", "--json"])

    last = msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])
    assert code == 0
    assert set(last) >= KEYS
    assert last["invariants_broken"] == []
    assert last["orders"] >= 50


def test_simulate_has_students_of_one_campus_in_groups_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    code = commands.simulate(["--small", "--campuses", "2", "--seed", "2", "--json"])

    printed = capsys.readouterr().out.splitlines()
    last = msgspec.json.decode(printed[-1])
    assert code == 0
    assert last["invariants_broken"] == []
    assert last["guests"] > 0
    assert f"  {last['guests']} guests of other campuses had seats" in printed


def test_replay_says_which_file_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = commands.replay([str(tmp_path), "--json"])

    assert code == 2
    assert "orders.txt" in capsys.readouterr().err


@pytest.mark.skipif(not DAY.is_dir(), reason="the public Grubhub day is not there: ../shared/data/mdrp")
def test_a_real_delivery_day_goes_through_the_order_path(capsys: pytest.CaptureFixture[str]) -> None:
    code = commands.replay([str(DAY), "--json"])

    last = msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])
    assert code == 0
    assert last["orders"] == 505
    assert last["invariants_broken"] == []
    assert last["groups_formed"] > 0


def test_bench_seed_writes_what_a_load_generator_needs(tmp_path: Path) -> None:
    code = commands.bench_seed(
        ["--data", str(tmp_path / "data"), "--students", "700", "--out", str(tmp_path / "k.json")]
    )

    known = msgspec.json.decode((tmp_path / "k.json").read_bytes())
    assert code == 0
    assert len({student["token"] for student in known["students"]}) == 700
    assert {"campus", "campaign_id", "building_id", "dishes"} <= set(known)

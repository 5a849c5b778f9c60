"""Stopping and not starting: what was accepted is answered, and every mistake is told in one line (issue 2, J4)."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import socket
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from tests.faults.books import finish, wrong_in
from tests.faults.city import CAMPUS, City, Files
from tests.faults.crowd import Crowd
from tests.faults.server import Server, run_to_end

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2


def bound_by_modes() -> None:
    """Have file modes count for root too; for anybody else they do, and this changes nothing."""
    libc = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder and what is in it; but the lock, SQLite's index of its log and empty logs."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.stat().st_size and path.name != "lock" and not path.name.endswith("-shm")
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_under_load_answers_what_was_accepted_and_a_restart_finds_it(
    city: City, number: signal.Signals
) -> None:
    with Server(city.data) as server:
        crowd = Crowd(city, port=server.port, seed=number)
        crowd.up.set()
        ordering = asyncio.create_task(crowd.order())
        for _ in range(2):
            await crowd.go_on(orders=64, plans=11)
            crowd.up.clear()
            code = await asyncio.to_thread(server.stop, number)
            assert code == 0
            await asyncio.to_thread(server.start)
            crowd.up.set()
        await finish(crowd, ordering, lambda: Files(city.data), within_s=60)
        assert await asyncio.to_thread(server.stop, number) == 0

    said = server.log.read_text()
    assert "Traceback" not in said
    assert '"log.level": "error"' not in said
    assert crowd.differing == []
    assert len(crowd.plans) > 20
    assert wrong_in(Files(city.data), crowd=crowd) == []


def test_a_stop_before_anybody_came_is_quick_and_clean(city: City) -> None:
    with Server(city.data) as server:
        code = server.stop()

    assert code == 0
    assert '"log.level": "error"' not in server.log.read_text()


def test_a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on(city: City) -> None:
    with Server(city.data) as server:
        code, lines = run_to_end(city.data)

        assert code == 1
        assert lines == [f"tuanzi: another process is using {city.data}; stop it, or set TUANZI_DATA to another folder"]
        assert server.ask("GET", "/readyz")[0] == 200
        assert server.stop() == 0


def test_a_taken_port_is_told_in_one_line(city: City) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        code, lines = run_to_end(city.data, settings={"TUANZI_PORT": str(port)})

    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith("tuanzi: ")
    assert str(port) in lines[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TUANZI_PORT", "eighty"),
        ("TUANZI_PORT", "65536"),
        ("TUANZI_CAMPUSES", "Bei Jing"),
        ("TUANZI_CAMPUSES", ""),
        ("TUANZI_HOST", "256.1.1.1"),
        ("TUANZI_WRITER_BATCH_MAX", "0"),
        ("TUANZI_WRITER_DECIDE_MS_MAX", "-1"),
        ("TUANZI_SECRET", "short"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line_and_nothing_is_changed(city: City, name: str, value: str) -> None:
    before = digests(city.data)

    code, lines = run_to_end(city.data, settings={name: value})

    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith("tuanzi: ")
    assert name in lines[0] or value in lines[0]
    assert digests(city.data) == before


def test_a_folder_that_cannot_be_written_is_told_in_one_line(city: City) -> None:
    before = digests(city.data)
    folders = (city.data, city.data / CAMPUS)
    for folder in folders:
        folder.chmod(0o500)

    code, lines = run_to_end(city.data, before=bound_by_modes, settings={"TUANZI_SECRET": ""})

    for folder in folders:
        folder.chmod(0o700)
    assert code == 1
    assert len(lines) == 1
    assert str(city.data) in lines[0]
    assert "Permission denied" in lines[0]
    assert digests(city.data) == before


def test_files_that_cannot_be_written_are_told_in_one_line(city: City) -> None:
    before = digests(city.data)
    (city.data / "platform.db").chmod(0o400)

    code, lines = run_to_end(city.data, before=bound_by_modes)

    assert code == 1
    assert len(lines) == 1
    assert "platform.db" in lines[0]
    assert digests(city.data) == before


@pytest.mark.parametrize("case", ["a folder", "unreadable", "short", "nowhere"])
def test_a_wrong_secret_file_is_told_in_one_line(city: City, tmp_path: Path, case: str) -> None:
    path = tmp_path / "secrets" / "secret" if case == "nowhere" else tmp_path / "secret"
    if case == "a folder":
        path.mkdir()
    elif case != "nowhere":
        path.write_text("short" if case == "short" else "s" * 32)
        path.chmod(0o000 if case == "unreadable" else 0o400)
    before = digests(city.data)

    code, lines = run_to_end(
        city.data, before=bound_by_modes, settings={"TUANZI_SECRET": "", "TUANZI_SECRET_FILE": str(path)}
    )

    assert code == 1
    assert len(lines) == 1
    assert str(path) in lines[0] or "secret" in lines[0].lower()
    assert digests(city.data) == before


@pytest.mark.parametrize("name", ["platform.db", f"{CAMPUS}/core.db", f"{CAMPUS}/money.db"])
@pytest.mark.parametrize("case", ["no database", "torn", "first page gone"])
def test_a_corrupt_database_is_named_in_one_line_and_left_as_it_is(city: City, name: str, case: str) -> None:
    path = city.data / name
    content = path.read_bytes()
    match case:
        case "no database":
            path.write_bytes(b"this was never a database" * 400)
        case "torn":
            path.write_bytes(content[:6000])
        case _:
            path.write_bytes(content[:100] + bytes(3996) + content[4096:])
    before = digests(city.data)

    code, lines = run_to_end(city.data)

    assert code == 1, lines
    assert len(lines) == 1
    assert name in lines[0]
    assert digests(city.data) == before


@pytest.mark.parametrize("name", ["platform.db", f"{CAMPUS}/core.db", f"{CAMPUS}/money.db"])
def test_a_database_that_is_gone_is_named_in_one_line_and_not_made_anew_beside_the_others(
    city: City, name: str
) -> None:
    for path in city.data.glob(f"{name}*"):
        path.unlink()
    before = digests(city.data)

    code, lines = run_to_end(city.data)

    assert code == 1, lines
    assert len(lines) == 1
    assert name in lines[0]
    assert digests(city.data) == before


@pytest.mark.parametrize("target", ["core", "money", "delivery"])
def test_a_database_that_has_heard_of_more_than_happened_is_told_in_one_line(city: City, target: str) -> None:
    """Its source was put back alone, from before, or lost its end with the disk: what happens next would be unheard."""
    source = "money" if target == "core" else "core"
    with closing(sqlite3.connect(city.data / CAMPUS / f"{source}.db")) as connection:
        ((newest,),) = connection.execute("SELECT event_number FROM writer_cursor").fetchall()
    with closing(sqlite3.connect(city.data / CAMPUS / f"{target}.db")) as connection:
        connection.execute("INSERT OR REPLACE INTO follower_positions VALUES (?, ?)", (source, newest + 1))
        connection.commit()
    before = digests(city.data)

    code, lines = run_to_end(city.data)

    assert code == 1, lines
    assert len(lines) == 1
    assert f"{CAMPUS}.{target}" in lines[0]
    assert f"{newest + 1} events of {source}" in lines[0]
    assert digests(city.data) == before


def test_a_database_made_with_another_migration_is_refused_in_one_line(city: City) -> None:
    with closing(sqlite3.connect(city.data / CAMPUS / "core.db")) as connection:
        connection.execute("UPDATE schema_migrations SET digest = 'other' WHERE name = 'core/0006_groups'")
        connection.commit()
    before = digests(city.data)

    code, lines = run_to_end(city.data)

    assert code == 1
    assert len(lines) == 1
    assert "core/0006_groups.sql" in lines[0]
    assert digests(city.data) == before

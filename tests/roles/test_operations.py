"""`tuanzi move` says each step and, where it cannot, why in one line (issue 5, J4)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from servers.maria import APPLICATION
from tests.databases import Site
from tests.faults.city import CAMPUS, SECRET, seed
from tuanzi.roles.cli import main

NOWHERE = "mysql://u:hidden@127.0.0.1:1/tuanzi"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUANZI_DATA", str(tmp_path))
    monkeypatch.setenv("TUANZI_CAMPUSES", CAMPUS)
    monkeypatch.setenv("TUANZI_SECRET", SECRET)


def test_a_campus_is_moved_by_a_command_and_a_repeat_says_that_it_is_there(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    old, new = site.url(), site.url()
    asyncio.run(seed(tmp_path, students=1, TUANZI_DATABASE=old))
    monkeypatch.setenv("TUANZI_DATABASE", old)
    # Whoever calls it names no password: it is the one of TUANZI_DATABASE.
    password = site.servers.passwords[APPLICATION]
    plain = new.replace(f":{password}", "")

    codes = [main(["move", CAMPUS, "--to", plain])]
    moved = capsys.readouterr().err
    codes.append(main(["move", CAMPUS, "--to", plain]))
    repeated = capsys.readouterr().err
    codes.append(main(["move", CAMPUS, "--back"]))
    back = capsys.readouterr().err

    assert codes == [0, 0, 1]
    assert "the new databases are in charge" in moved
    assert "TUANZI_DATABASES_FILE of every machine, writers' first: it is read again" in moved.splitlines()[-1]
    assert "a process that has TUANZI_DATABASES instead must be restarted" in moved.splitlines()[-1]
    assert "is there already" in repeated
    assert back == f"tuanzi: {CAMPUS} is not on its way\n"
    assert password not in moved + repeated + back


@pytest.mark.parametrize(
    ("campus", "database", "to", "says"),
    [
        ("nowhere", NOWHERE, NOWHERE, "TUANZI_CAMPUSES has no such campus"),
        (CAMPUS, "", NOWHERE, "TUANZI_DATABASE is missing"),
        (CAMPUS, NOWHERE, "mysql:/u:hidden@h", "--to: mysql://user:password@host:port/prefix is expected"),
        (CAMPUS, NOWHERE, NOWHERE, "Can't connect"),
    ],
)
def test_what_cannot_be_moved_is_told_in_one_line(
    campus: str,
    database: str,
    to: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TUANZI_DATABASE", database)

    code = main(["move", campus, "--to", to])

    said = capsys.readouterr().err
    assert code == 1
    assert says in said
    assert len(said.splitlines()) == 1
    assert "hidden" not in said

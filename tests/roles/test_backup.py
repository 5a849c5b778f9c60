"""`tuanzi backup` and `tuanzi restore`: whole or not at all, and nothing that is there is overwritten (J4, E1)."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import LUNCH
from tuanzi.engines.database import copying
from tuanzi.installation import sources_of
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.roles.cli import main
from tuanzi.roles.folder import FolderLock
from tuanzi.settings import read_settings
from tuanzi.wiring import check_files, file_of, open_where_set

NAMES = ["platform", "beijing.core", "beijing.money", "beijing.delivery", "beijing.notices"]


class Place:
    """A data folder in which a little has happened, and where its backups go."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data, self.backup = folder / "data", folder / "backup"
        self._environment = monkeypatch
        monkeypatch.setenv("TUANZI_CAMPUSES", "beijing")
        monkeypatch.delenv("TUANZI_SECRET", raising=False)
        self.use(self.data)
        for name in sources_of(read_settings().campuses):
            with closing(open_where_set(read_settings(), name, name.rpartition(".")[2], now=LUNCH)) as database:
                database.execute_script(
                    "INSERT INTO events VALUES (1, 'orders.placed', 1, 0, '{}');"
                    "UPDATE writer_cursor SET position = 7, event_number = 1;"
                )
                if name.endswith("notices"):
                    database.execute_script("INSERT INTO stream_epochs VALUES ('streams', 'before');")

    def use(self, data: Path) -> None:
        """Let commands work on this folder."""
        self._environment.setenv("TUANZI_DATA", str(data))


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Of a database file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def found_in(folder: Path) -> list[str]:
    """The databases of a folder, whole or not."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.db*"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A house that is stopped."""
    return Place(tmp_path, monkeypatch)


def test_what_was_backed_up_is_restored_with_its_secret_as_another_history_of_messages(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    secret = (place.data / "secret").read_bytes()

    assert main(["backup", "--json", str(place.backup)]) == 0
    made = json.loads(capsys.readouterr().out)
    place.use(tmp_path / "again")
    assert main(["restore", str(place.backup)]) == 0

    assert [(each["name"], each["position"], each["event_number"]) for each in made["databases"]] == [
        (name, 7, 1) for name in NAMES
    ]
    assert made["has_secret"] is True
    again = tmp_path / "again"
    assert found_in(again) == found_in(place.data)
    assert ((again / "secret").read_bytes(), (again / "secret").stat().st_mode & 0o777) == (secret, 0o600)
    assert (place.backup.stat().st_mode & 0o077, (place.backup / "secret").stat().st_mode & 0o077) == (0, 0)
    for name in NAMES:
        assert rows(file_of(again, name), "SELECT position, event_number FROM writer_cursor") == [(7, 1)]
    epochs = [rows(each / "beijing/notices.db", "SELECT epoch FROM stream_epochs") for each in (place.data, again)]
    assert epochs[0] == [("before",)] != epochs[1]


def test_a_campus_that_the_settings_of_the_call_forget_is_backed_up_and_restored_too(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUANZI_CAMPUSES", "beijing,wuhan")
    for name in sources_of(["wuhan"])[1:]:
        with closing(open_where_set(read_settings(), name, name.rpartition(".")[2], now=LUNCH)) as database:
            database.execute_script("UPDATE writer_cursor SET position = 9;")
    monkeypatch.setenv("TUANZI_CAMPUSES", "beijing")

    assert main(["backup", str(place.backup)]) == 0
    place.use(tmp_path / "again")
    assert main(["restore", str(place.backup)]) == 0

    assert found_in(tmp_path / "again") == found_in(place.data)
    assert rows(tmp_path / "again/wuhan/money.db", "SELECT position FROM writer_cursor") == [(9,)]


def test_a_secret_that_opens_nobodys_phone_is_not_taken_for_the_one_of_the_house(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_SECRET", "the secret of the house, in its environment")
    assert main(["appoint", "13900000001"]) == 0
    monkeypatch.delenv("TUANZI_SECRET")

    assert main(["backup", str(place.backup)]) == 0

    assert "secret is not in it" in capsys.readouterr().out
    assert not (place.backup / "secret").exists()
    assert json.loads((place.backup / "backup.json").read_bytes())["has_secret"] is False


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("there", "is there already"),
        ("server", "is on a server"),
        ("no database", "not made yet"),
        ("moved", "no writer's cursor"),
    ],
)
def test_what_cannot_be_backed_up_leaves_no_backup(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], spoil: str, reason: str
) -> None:
    match spoil:
        case "there":
            place.backup.mkdir()
        case "server":
            monkeypatch.setenv("TUANZI_DATABASE", "mysql://somebody@127.0.0.1:1/tuanzi")
        case "no database":
            (place.data / "beijing/money.db").unlink()
        case _:
            with closing(sqlite3.connect(place.data / "beijing/money.db")) as connection, connection:
                connection.execute("DELETE FROM writer_cursor")

    assert main(["backup", str(place.backup)]) == 1

    assert reason in capsys.readouterr().err
    assert [path.name for path in place.backup.parent.glob("backup*")] == (["backup"] if spoil == "there" else [])


def test_a_house_that_never_pauses_is_not_stopped_for_long(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(copying, "HOLD_S_MAX", 0.02)
    monkeypatch.setattr(copying, "REST_S", 0.0)
    monkeypatch.setattr(copying, "TRIES", 3)
    with closing(sqlite3.connect(place.data / "beijing/notices.db", isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        assert main(["backup", str(place.backup)]) == 1
        with closing(sqlite3.connect(place.data / "beijing/core.db", timeout=0)) as other, other:
            other.execute("UPDATE writer_cursor SET position = 8")  # nobody holds it any more

    assert "no moment was found" in capsys.readouterr().err
    assert not place.backup.exists()


@pytest.mark.parametrize("done", range(5))
def test_no_house_begins_on_what_a_killed_restore_left(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, done: int
) -> None:
    assert main(["backup", str(place.backup)]) == 0
    again, rename = tmp_path / "again", Path.rename
    renamed: list[Path] = []
    place.use(again)

    def rename_some(self: Path, target: Path) -> Path:
        if len(renamed) == done:
            raise KeyboardInterrupt
        renamed.append(target)
        return rename(self, target)

    with monkeypatch.context() as killed:
        killed.setattr(Path, "rename", rename_some)
        with pytest.raises(KeyboardInterrupt):
            main(["restore", str(place.backup)])
    left = found_in(again)
    capsys.readouterr()

    if done:
        with pytest.raises(DatabaseUnavailable, match="is gone"):
            check_files(again, ["beijing"])
        assert main(["appoint", "13900000001"]) == 1
        assert "is gone" in capsys.readouterr().err
    else:
        check_files(again, ["beijing"])  # as if nothing had been restored
    assert [name for name in found_in(again) if not name.endswith(("-shm", "-wal"))] == left


def test_only_the_messages_may_be_taken_away_and_begin_anew(place: Place) -> None:
    (place.data / "beijing/notices.db").unlink()

    check_files(place.data, ["beijing"])
    (place.data / "beijing/delivery.db").unlink()
    with pytest.raises(DatabaseUnavailable, match=r"delivery\.db: is gone"):
        check_files(place.data, ["beijing"])


def test_a_house_killed_while_it_makes_a_campus_begins_again(place: Place) -> None:
    for name in ("wuhan.core", "wuhan.money"):
        with closing(open_where_set(read_settings(), name, name.rpartition(".")[2], now=LUNCH)):
            pass

    check_files(place.data, ["beijing", "wuhan"])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("not empty", "take the old one away"),
        ("in use", "another process is using"),
        ("no backup", "is no backup"),
        ("damaged", "money.db"),
        ("exchanged", "is not what was backed up"),
    ],
)
def test_what_cannot_be_restored_leaves_the_folder_as_it_was(
    place: Place,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: str,
    reason: str,
) -> None:
    again = tmp_path / "again"
    assert main(["backup", str(place.backup)]) == 0
    place.use(again)
    again.mkdir()
    match spoil:
        case "not empty":
            (again / "platform.db").write_bytes(b"mine")
        case "no backup":
            (place.backup / "backup.json").unlink()
        case "damaged":
            content = bytearray((place.backup / "beijing/money.db").read_bytes())
            content[8192:12000] = bytes(3808)
            (place.backup / "beijing/money.db").write_bytes(content)
        case "exchanged":
            with closing(sqlite3.connect(place.backup / "beijing/money.db")) as connection, connection:
                connection.execute("UPDATE writer_cursor SET position = 8")
    before = found_in(again)

    monkeypatch.setattr("tuanzi.roles.folder.LAST_BATCH_S_MAX", 0.1)
    if spoil == "in use":
        with FolderLock(again):
            assert main(["restore", str(place.backup)]) == 1
    else:
        assert main(["restore", str(place.backup)]) == 1

    assert reason in capsys.readouterr().err
    assert found_in(again) == before

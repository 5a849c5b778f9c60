"""A new installation gets its first operator from the command line; he makes the campus (J3, J4)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Site
from tests.journeys.conftest import LUNCH, Town, done
from tuanzi.roles import folder
from tuanzi.roles.cli import main
from tuanzi.roles.folder import FolderLock
from tuanzi.settings import read_settings
from tuanzi.wiring import open_where_set

PHONE = "139 0000 0001"
CAMPUS = {
    "id": "beijing",
    "name_zh": "北京校区",
    "name_en": "Beijing Campus",
    "south_e6": 40_051_000,
    "west_e6": 116_283_000,
    "north_e6": 40_061_000,
    "east_e6": 116_299_500,
}


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUANZI_DATA", str(tmp_path))
    monkeypatch.setenv("TUANZI_SECRET", "s" * 32)


def test_who_is_appointed_on_a_fresh_data_folder_signs_in_and_makes_a_campus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = [main(["appoint", PHONE, "--name", " 王老师 "])]
    first = capsys.readouterr().err
    codes.append(main(["appoint", PHONE]))
    repeated = capsys.readouterr().err
    me, made, audit = asyncio.run(_make_a_campus(tmp_path))

    person_id = me["person_id"]
    assert codes == [0, 0]
    assert first == f"{person_id} is an operator of the platform now\n"
    assert repeated == f"{person_id} was an operator of the platform already\n"
    assert (me["name"], me["roles"], me["campus_id"]) == ("王老师", ["operator"], None)
    assert made["campus"]["name_zh"] == "北京校区"
    assert [(each["action"], each["person_id"], each["subject"]) for each in audit["items"]] == [
        ("appoint", "tuanzi-appoint", person_id)
    ]


async def _make_a_campus(data: Path) -> tuple[Any, Any, Any]:
    """What the operator reads of himself, the campus that he made, and the audit log."""
    town = Town(data)
    working = asyncio.create_task(town.house.run())
    await town.house.opened()
    try:
        operator = await town.sign_in(phone=PHONE.replace(" ", ""))
        me = await done(operator.get("/v1/me"))
        await done(operator.send("PUT", operator.campus, CAMPUS))
        return me, await done(operator.get(operator.campus)), await done(operator.get("/v1/audit"))
    finally:
        await town.client.aclose()
        town.house.close()
        await working


def test_nothing_is_appointed_while_another_process_has_the_data_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LAST_BATCH_S_MAX", 0.1)

    with FolderLock(tmp_path):
        code = main(["appoint", PHONE])

    said = capsys.readouterr().err
    assert code == 1
    assert said == (f"tuanzi: another process is using {tmp_path}; stop it, or set TUANZI_DATA to another folder\n")
    assert not (tmp_path / "platform.db").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["12345"], "tuanzi: This is not a mainland mobile number."),
        ([PHONE, "--name", "x" * 81], "tuanzi: A name has at most 20 printable characters."),
    ],
)
def test_what_cannot_be_appointed_is_told_in_one_line_and_changes_nothing(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["appoint", *arguments])

    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith(says)
    assert len(said.splitlines()) == 1
    assert main(["appoint", PHONE]) == 0
    assert "is an operator of the platform now" in capsys.readouterr().err


def test_nobody_is_appointed_under_another_secret_than_that_of_the_house(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["appoint", PHONE]) == 0
    capsys.readouterr()
    monkeypatch.delenv("TUANZI_SECRET")

    code = main(["appoint", PHONE])

    assert code == 1
    assert capsys.readouterr().err == (
        "tuanzi: TUANZI_SECRET or its file: the people here are kept under another; nobody would be known by this one\n"
    )
    monkeypatch.setenv("TUANZI_SECRET", "s" * 32)
    assert main(["appoint", PHONE]) == 0
    assert "was an operator of the platform already" in capsys.readouterr().err


def test_only_the_platform_is_opened(tmp_path: Path) -> None:
    main(["appoint", PHONE])

    kept = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.db"))
    assert kept == ["platform.db"]


def test_a_database_server_that_an_installation_writes_to_is_left_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_DATABASE", site.url())
    platform = open_where_set(read_settings(), "platform", "platform", now=LUNCH, takes_over=True)

    refused = main(["appoint", PHONE])
    why = capsys.readouterr().err
    kept = platform.rows("SELECT id FROM people")
    platform.close()
    code = main(["appoint", PHONE])

    assert refused == 1
    assert why.startswith("tuanzi: another process writes to this database; stop it first")
    assert "TUANZI_KAFKA" in why
    assert kept == []
    assert code == 0
    assert "is an operator of the platform now" in capsys.readouterr().err


async def test_a_house_in_one_process_on_another_machine_is_not_fenced_off(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = site.url()
    monkeypatch.setenv("TUANZI_DATABASE", url)
    monkeypatch.setenv("TUANZI_DATA", str(tmp_path / "ours"))
    people = "SELECT COUNT(*) FROM people"
    async with Town(tmp_path / "theirs", TUANZI_DATABASE=url, TUANZI_CAMPUSES="beijing") as town:
        await town.sign_in()

        refused = await asyncio.to_thread(main, ["appoint", PHONE])

        said = capsys.readouterr().err
        assert refused == 1
        assert said.startswith("tuanzi: another process writes to this database; stop it first if it is a house")
        assert len(said.splitlines()) == 1
        assert town.house.platform.database.rows(people) == [(1,)]
        await town.sign_in()  # it goes on
        assert town.house.closed == []

    assert await asyncio.to_thread(main, ["appoint", PHONE]) == 0
    assert "is an operator of the platform now" in capsys.readouterr().err

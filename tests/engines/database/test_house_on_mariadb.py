"""E1: the whole house on a database server, chosen by a setting alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Site, servers, tables_of
from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Cast, Person, Town, done
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.settings import SettingWrong, read_settings


async def test_a_group_is_ordered_paid_split_and_delivered(site: Site, tmp_path: Path) -> None:
    async with Town(tmp_path, TUANZI_DATABASE=site.url()) as town:
        cast = await Cast(town).gather()

        group_id, orders = await cast.closed_group()
        await cast.deliver(f"{orders[0]}.1")
        await town.settled()

        assert {type(desk.database) for desk in town.house.desks} == {MariaDb}
        assert town.rows("SELECT state, COUNT(*) FROM orders GROUP BY state ORDER BY state") == [
            ("delivered", 1),
            ("split", 2),
        ]
        assert town.rows(f"SELECT state FROM splits WHERE group_id = '{group_id}'") == [("confirmed",)]
        assert town.rows("SELECT SUM(amount_fen) FROM entries", database="money") == [(0,)]
        assert town.rows("SELECT SUM(held), SUM(sold) FROM portions") == [(0, 3)]


async def test_a_house_that_is_opened_again_goes_on_where_it_was(site: Site, tmp_path: Path) -> None:
    url = site.url()
    async with Town(tmp_path, TUANZI_DATABASE=url) as town:
        cast = await Cast(town).gather()
        _, orders = await cast.closed_group()
        events = town.house.campuses["beijing"].core.event_number

    async with Town(tmp_path, TUANZI_DATABASE=url, seed=8) as town:
        core = town.house.campuses["beijing"].core
        again = town.house.desks[0].database

        assert core.event_number >= events
        assert town.rows(f"SELECT state FROM orders WHERE id = '{orders[0]}'") == [("split",)]
        assert "people" in tables_of(again)


def test_the_setting_names_a_server_an_account_and_a_prefix(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p@ss word\n")
    environment = {"TUANZI_DATA": str(tmp_path), "TUANZI_DATABASE": "mysql://app:a%40b@db.example.edu/campus"}

    unset = read_settings({"TUANZI_DATA": str(tmp_path)}).database
    plain = read_settings(environment).database
    kept = read_settings({**environment, "TUANZI_DATABASE_PASSWORD_FILE": str(secret)}).database

    assert unset is None
    assert plain is not None
    assert (plain.host, plain.port, plain.user, plain.schema, plain.password) == (
        "db.example.edu",
        3306,
        "app",
        "campus",
        "a@b",
    )
    assert kept is not None
    assert kept.password == "p@ss word"
    assert "a@b" not in f"{plain!r} {plain}"


def test_the_setting_may_name_several_servers_of_which_one_takes_writes(tmp_path: Path) -> None:
    url = "mysql://app:pw@a.example.edu,b.example.edu:3307,[::1]:3308/campus"

    database = read_settings({"TUANZI_DATA": str(tmp_path), "TUANZI_DATABASE": url}).database

    assert database is not None
    assert [(each.host, each.port, each.schema, each.password, each.others) for each in database.each] == [
        ("a.example.edu", 3306, "campus", "pw", ()),
        ("b.example.edu", 3307, "campus", "pw", ()),
        ("::1", 3308, "campus", "pw", ()),
    ]


def test_a_socket_is_used_where_the_server_is_on_this_machine(site: Site, tmp_path: Path) -> None:
    there = f"?socket={site.primary.socket}"
    environment = {"TUANZI_DATA": str(tmp_path)}

    near = read_settings({**environment, "TUANZI_DATABASE": f"mysql://app@127.0.0.1:1/campus{there}"}).database
    far = read_settings({**environment, "TUANZI_DATABASE": f"mysql://app@10.0.0.1:1/campus{there}"}).database
    gone = read_settings({**environment, "TUANZI_DATABASE": "mysql://app@127.0.0.1:1/campus?socket=/no"}).database

    assert [each and each.socket for each in (near, far, gone)] == [site.primary.socket, "", ""]


@pytest.mark.parametrize(
    "url",
    ["postgres://a:secret@h/x", "mysql://a:secret@h", "mysql://a:secret@h/Größe", "mysql://h/x", "mysql://a@h:x/x"],
)
def test_a_wrong_setting_is_told_without_the_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingWrong, match="TUANZI_DATABASE") as told:
        read_settings({"TUANZI_DATA": str(tmp_path), "TUANZI_DATABASE": url})

    assert "secret" not in str(told.value)


async def answered(person: Person, path: str, body: Any, *, key: str) -> Any:
    """What somebody is answered who asks again, as apps do, until the house is well; a minute at most."""
    async with asyncio.timeout(60):
        while (answer := await person.post(path, body, key=key)).status_code == 503:  # noqa: ASYNC110 - as phones do
            await asyncio.sleep(0.05)
    assert answer.is_success, answer.text
    return answer.json()


async def test_a_house_goes_on_when_its_database_server_was_killed_and_started_again(tmp_path: Path) -> None:
    """Whatever was under way then is answered 503 or carried out; afterwards nothing is stuck, nothing doubled."""
    with servers() as made:
        own = Site(made, made.start_primary())
        async with Town(tmp_path, TUANZI_DATABASE=own.url()) as town:
            cast = await Cast(town).gather()
            opened = await done(cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
            join = f"groups/{opened['group_id']}/orders"
            own.primary.kill()

            during = [await cast.hua.post(join, {"lines": BEEF_RICE}, key="hua-joins-once") for _ in range(3)]
            pages = [await cast.hua.get("orders") for _ in range(3)]
            own.primary.start()
            joined = await answered(cast.hua, join, {"lines": BEEF_RICE}, key="hua-joins-once")
            last = await answered(cast.lan, join, {"lines": BEEF_RICE}, key="lan-joins-once")
            for person, order in zip((cast.ming, cast.hua, cast.lan), (opened, joined, last), strict=True):
                await answered(person, f"orders/{order['order_id']}/pay", None, key=f"{order['order_id']}-pays-once")
            await town.settled()

            assert {answer.status_code for answer in during} <= {201, 503}
            assert {page.status_code for page in pages} <= {200, 503}
            assert town.rows("SELECT state, COUNT(*) FROM orders GROUP BY state") == [("split", 3)]
            assert town.rows("SELECT SUM(amount_fen) FROM entries", database="money") == [(0,)]
            assert all(desk.is_open for desk in town.house.desks)

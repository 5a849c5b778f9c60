"""E1: a campus moves to another server whole; whenever the mover dies, one copy is in charge, or the old one can be."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Site
from tests.faults.city import CAMPUS, environment, seed
from tuanzi.engines.database.bulk import bulk_batch
from tuanzi.engines.database.connections import Address, address_of, ask
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.moving import LAID_ASIDE, Moved, Mover, NotMoved
from tuanzi.engines.database.residence import Elsewhere, Residence, connected
from tuanzi.engines.database.whereabouts import Whereabouts
from tuanzi.machinery.database import DatabaseUnavailable, Fenced, Flush
from tuanzi.settings import read_settings
from tuanzi.wiring import campus_on, open_where_set, schema_on

NOON = datetime(2026, 11, 26, 4, tzinfo=UTC)
# What is told of a move, one step after another.
STEPS = 8
_tokens = count(1)


class Killed(BaseException):
    """The mover dies."""


class Removal:
    """A campus on one server, and where it is to go."""

    def __init__(self, site: Site, tmp_path: Path) -> None:
        self.url, self.goal_url = site.url(), site.url()
        asyncio.run(seed(tmp_path / "data", students=2, TUANZI_DATABASE=self.url))
        self.source = campus_on(address_of(self.url), CAMPUS)
        self.target = campus_on(address_of(self.goal_url), CAMPUS)
        self.platform = schema_on(address_of(self.url), "platform")
        self.steps: list[str] = []

    def move(self, *, dies_after: int | None = None, target: dict[str, Address] | None = None) -> Moved:
        """Move it; dies_after: how many steps."""
        return self._mover(dies_after, target).move(fresh=f"token{next(_tokens)}")

    def go_back(self) -> None:
        """Let the old ones go on."""
        self._mover(None, None).go_back()

    def in_charge(self) -> list[str]:
        """Where a process may decide for the campus now."""
        places = []
        for name, databases in (("old", self.source), ("new", self.target)):
            with suppress(Elsewhere):
                Residence(CAMPUS, platform=self.platform, databases=databases).check()
                for address in databases.values():
                    with closing(MariaDb(address)) as database:
                        database.cursor()
                places.append(name)
        return places

    def rows(self, databases: dict[str, Address], *, prefix: str = "") -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, but of those that are a copy's own."""
        found = {}
        for kind, address in databases.items():
            with connected(address) as connection:
                for (name,) in ask(connection, "SHOW TABLES"):
                    plain = name.removeprefix(prefix)
                    if plain not in ("residences", "migration_step", "writer_cursor"):
                        found[f"{kind}.{plain}"] = sorted(ask(connection, f'SELECT * FROM "{name}"'), key=repr)
        return found

    def _mover(self, dies_after: int | None, target: dict[str, Address] | None) -> Mover:
        self.steps = []

        def told(step: str) -> None:
            self.steps.append(step)
            if len(self.steps) == dies_after:
                raise Killed

        where = target or self.target
        return Mover(CAMPUS, platform=self.platform, source=self.source, target=where, now=NOON, told=told)


@pytest.fixture
def removal(site: Site, tmp_path: Path) -> Removal:
    """A campus with a catalog."""
    return Removal(site, tmp_path)


def test_every_row_and_cursor_is_at_the_new_place(removal: Removal) -> None:
    before = removal.rows(removal.source)
    cursors = [cursor_of(address) for address in removal.source.values()]

    moved = removal.move()

    assert removal.in_charge() == ["new"]
    assert removal.rows(removal.target) == before
    assert [cursor_of(address) for address in removal.target.values()] == cursors
    assert moved.rows == sum(map(len, before.values()))
    assert len(removal.steps) == STEPS
    # A repeat has nothing to do.
    assert removal.move() == Moved(0, 0, 0.0)


def test_a_writer_that_slept_through_it_never_commits_again(removal: Removal) -> None:
    zombies = [MariaDb(address) for address in removal.source.values()]
    cursors = [zombie.cursor() for zombie in zombies]
    before = removal.rows(removal.source)

    removal.move()

    for zombie, (position, number) in zip(zombies, cursors, strict=True):
        for before_it in (position, position + 1):
            with pytest.raises(Fenced):
                zombie.commit(Flush(before=before_it, after=before_it + 1, event_number=number))
        with pytest.raises(Fenced):
            zombie.cursor()
        zombie.close()
    assert removal.rows(removal.source, prefix=LAID_ASIDE) == before
    assert removal.rows(removal.target) == before


def test_a_writer_in_the_middle_of_a_transaction_is_ended(removal: Removal) -> None:
    zombie = MariaDb(removal.source["core"])
    zombie.take_over()
    position, number = zombie.cursor()
    flush = Flush(before=position, after=position + 1, event_number=number)
    zombie._send(flush, bulk_batch(flush))  # and it sleeps before its COMMIT

    removal.move()

    assert removal.in_charge() == ["new"]
    assert cursor_of(removal.target["core"]) == (position, number)
    with pytest.raises((Fenced, DatabaseUnavailable)):
        zombie.commit(flush)
    zombie.close()


def test_readers_of_the_old_place_are_answered_until_the_copy_is_whole_and_never_after(removal: Removal) -> None:
    reader = MariaDb(removal.source["core"])
    asked = "SELECT COUNT(*) FROM dishes"
    ((dishes,),) = reader.rows(asked)

    with pytest.raises(Killed):
        removal.move(dies_after=STEPS - 2)
    while_copied = reader.rows(asked)
    removal.move()

    assert while_copied == [(dishes,)]
    with pytest.raises(DatabaseUnavailable):
        reader.rows(asked)
    reader.close()


def test_whenever_the_mover_dies_never_two_are_in_charge_and_a_repeat_goes_on(removal: Removal) -> None:
    before = removal.rows(removal.source)

    between = []
    for steps in range(1, STEPS + 1):
        with pytest.raises(Killed):
            removal.move(dies_after=steps)
        between.append(removal.in_charge())
    removal.move()

    assert between == [[]] * (STEPS - 1) + [["new"]]
    assert removal.in_charge() == ["new"]
    assert removal.rows(removal.target) == before


def test_a_move_is_given_up_after_any_step_and_the_old_ones_go_on(site: Site, removal: Removal) -> None:
    before = removal.rows(removal.source)
    cursors = [cursor_of(address) for address in removal.source.values()]

    for steps in (1, 2, 4, STEPS - 1):
        with pytest.raises(Killed):
            removal.move(dies_after=steps, target=campus_on(site.address(), CAMPUS))
        removal.go_back()

        assert removal.in_charge() == ["old"]
        assert removal.rows(removal.source) == before
        assert [cursor_of(address) for address in removal.source.values()] == cursors
    with pytest.raises(NotMoved, match="not on its way"):
        removal.go_back()


def test_what_was_changed_in_the_copy_is_found_before_it_is_in_charge(removal: Removal) -> None:
    with pytest.raises(Killed):
        removal.move(dies_after=3)  # core is copied
    with connected(removal.target["core"]) as connection:
        ask(connection, "UPDATE dishes SET price_fen = price_fen + 1 ORDER BY id LIMIT 1")

    with pytest.raises(NotMoved, match="dishes"):
        removal.move()

    removal.go_back()
    assert removal.in_charge() == ["old"]


def test_a_campus_goes_to_one_place_only_and_to_none_that_is_in_use(site: Site, removal: Removal) -> None:
    third = campus_on(site.address(), CAMPUS)
    with pytest.raises(Killed):
        removal.move(dies_after=3)

    with pytest.raises(NotMoved, match="on its way to"):
        removal.move(target=third)
    removal.go_back()
    with pytest.raises(NotMoved, match="given up"):
        removal.move()  # to the same place under another token

    removal.move(target=third)
    assert removal.in_charge() == []
    Residence(CAMPUS, platform=removal.platform, databases=third).check()


def test_a_process_that_is_told_another_server_does_not_begin_a_second_campus_there(
    removal: Removal, tmp_path: Path
) -> None:
    elsewhere = {"TUANZI_DATABASE": removal.url, "TUANZI_DATABASES": f"{CAMPUS}={removal.goal_url}"}

    with pytest.raises(Elsewhere, match="not in charge"):
        asyncio.run(seed(tmp_path / "again", students=1, **elsewhere))

    with connected(removal.target["core"]) as connection:
        assert connection is None, "not even a schema was made"


def test_a_moved_campus_is_found_where_the_settings_say(removal: Removal, tmp_path: Path) -> None:
    removal.move()
    elsewhere = {"TUANZI_DATABASE": removal.url, "TUANZI_DATABASES": f"{CAMPUS}={removal.goal_url}"}
    settings = read_settings(environment(tmp_path / "again", **elsewhere))

    with closing(open_where_set(settings, f"{CAMPUS}.core", "core", now=NOON)) as database:
        assert isinstance(database, MariaDb)
        assert database.address == removal.target["core"]
    with closing(open_where_set(settings, "platform", "platform", now=NOON)) as database:
        assert isinstance(database, MariaDb)
        assert database.address == removal.platform
    with pytest.raises(Elsewhere):
        asyncio.run(seed(tmp_path / "old", students=1, TUANZI_DATABASE=removal.url))


def cursor_of(address: Address) -> tuple[int, int]:
    """Where a writer goes on."""
    with closing(MariaDb(address)) as database:
        return database.cursor()


def test_a_process_that_reads_finds_the_new_place_by_its_file_while_it_runs(removal: Removal, tmp_path: Path) -> None:
    file = tmp_path / "databases"
    file.touch()
    settings = read_settings(
        environment(tmp_path / "data", TUANZI_DATABASE=removal.url, TUANZI_DATABASES_FILE=str(file))
    )
    opened = [0]

    def opening() -> Any:
        opened[0] += 1
        return open_where_set(settings, f"{CAMPUS}.core", "core", now=None)

    reader = Whereabouts(lambda: settings.server_of(CAMPUS), opening)
    dishes = "SELECT COUNT(*) FROM dishes"
    before = reader.rows(dishes)
    removal.move()
    with pytest.raises(DatabaseUnavailable):
        reader.rows(dishes)
    assert opened == [1]

    file.write_text(f"{CAMPUS}={removal.goal_url}\n", encoding="ascii")

    assert reader.rows(dishes) == before
    assert reader.look(lambda ask: ask(dishes)) == before
    assert opened == [2]
    # What cannot be read changes nothing.
    file.write_text(f"{CAMPUS}=nonsense", encoding="ascii")
    reader.find_again()
    assert reader.rows(dishes) == before
    assert opened == [2]
    reader.close()

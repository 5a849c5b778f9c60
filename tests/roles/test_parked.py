"""`tuanzi parked`: what was laid aside is listed, and heard once by a release that can (J4, J5)."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Site
from tests.journeys.conftest import LUNCH
from tuanzi.events import Event, OrderPlaced, RefundDue
from tuanzi.installation import sources_of
from tuanzi.machinery.codec import encode
from tuanzi.roles import folder, parked
from tuanzi.roles.cli import main
from tuanzi.roles.folder import FolderLock
from tuanzi.settings import read_settings
from tuanzi.wiring import open_where_set

DUE = RefundDue(refund_id="r_1", order_id="o_1", member_id="p_1", amount_fen=500, reason="left")
PLACED = OrderPlaced(order_id="o_1", group_id="g_1", member_id="p_1", payable_fen=500, pay_before=LUNCH)
HEAR = ["parked", "hear", "beijing", "money", "core", "1"]


class Place:
    """The databases of a campus, whose core has seen two events that money and notices laid aside."""

    def __init__(self) -> None:
        self._settings = read_settings()
        for name in sources_of(self._settings.campuses):
            self._open(name).close()
        with closing(self._open("beijing.core")) as core:
            for number, event in enumerate((DUE, PLACED), 1):
                core.execute_script(_happened(number, event))
            core.execute_script("UPDATE writer_cursor SET event_number = 2;")
        aside = "INSERT INTO parked_events VALUES ('core', {0}, '{1.name}', 'machinery/crashed', 1795837200000);"
        for kind, number, event in (("money", 1, DUE), ("notices", 2, PLACED)):
            with closing(self._open(f"beijing.{kind}")) as database:
                database.execute_script(aside.format(number, event))
        with closing(self._open("beijing.money")) as money:
            money.execute_script("INSERT INTO follower_positions VALUES ('core', 2);")

    def rows(self, kind: str, sql: str) -> list[tuple[Any, ...]]:
        """Of a database of the campus."""
        with closing(self._open(f"beijing.{kind}")) as database:
            rows: list[tuple[Any, ...]] = database.rows(sql)
            return rows

    def _open(self, name: str) -> Any:
        return open_where_set(self._settings, name, name.rpartition(".")[2], now=LUNCH)


def _happened(number: int, event: Event) -> str:
    return f"INSERT INTO events VALUES ({number}, '{event.name}', {event.version}, 0, '{encode(event).decode()}');"


@pytest.fixture(params=["sqlite", "mariadb"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    """On each engine."""
    monkeypatch.setenv("TUANZI_DATA", str(tmp_path))
    monkeypatch.setenv("TUANZI_SECRET", "s" * 32)
    monkeypatch.setenv("TUANZI_CAMPUSES", "beijing")
    if request.param == "mariadb":
        monkeypatch.setenv("TUANZI_DATABASE", request.getfixturevalue("site").url())
    return Place()


def test_what_was_laid_aside_is_listed(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    codes = [main(["parked"]), main(["parked", "--json"])]

    table, _, listed = capsys.readouterr().out.partition("[")
    assert codes == [0, 0]
    assert table.splitlines()[0].split() == ["CAMPUS", "DATABASE", "SOURCE", "NUMBER", "EVENT", "REASON", "SINCE"]
    assert [line.split()[:6] for line in table.splitlines()[1:]] == [
        ["beijing", "money", "core", "1", "orders.refund_due", "machinery/crashed"],
        ["beijing", "notices", "core", "2", "orders.placed", "machinery/crashed"],
    ]
    assert json.loads("[" + listed)[0] == {
        "campus": "beijing",
        "database": "money",
        "source": "core",
        "number": 1,
        "name": "orders.refund_due",
        "reason": "machinery/crashed",
        "parked_at": "2026-11-28T03:40:00Z",
    }


def test_more_than_anybody_reads_is_said_and_not_left_out_in_silence(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parked, "PARKED_SHOWN_MAX", 1)

    code = main(["parked"])

    assert code == 0
    assert capsys.readouterr().err.splitlines() == [
        "tuanzi: beijing.money may have more; the 1 that were laid aside first are listed",
        "tuanzi: beijing.notices may have more; the 1 that were laid aside first are listed",
    ]


def test_an_event_is_heard_once_and_the_follower_stays_where_it_is(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = [main(HEAR), main(HEAR)]

    said = capsys.readouterr().err.splitlines()
    assert codes == [0, 1]
    assert said == [
        "beijing.money heard event 1 of core",
        "tuanzi: This event is not laid aside here; it was heard, now or before. 该事件未被搁置，或已处理",
    ]
    assert place.rows("money", "SELECT id, amount_fen FROM refunds") == [("r_1", 500)]
    assert place.rows("money", "SELECT COUNT(*) FROM parked_events") == [(0,)]
    assert place.rows("money", "SELECT source, number FROM follower_positions") == [("core", 2)]
    assert place.rows("notices", "SELECT COUNT(*) FROM parked_events") == [(1,)]


def test_what_nobody_was_told_is_told_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    hear = ["parked", "hear", "beijing", "notices", "core", "2"]

    codes = [main(hear), main(hear)]

    assert codes == [0, 1]
    assert place.rows("notices", "SELECT stream, first_number, last_number FROM stream_runs") == [("user:p_1", 1, 1)]
    assert place.rows("notices", "SELECT order_id, member_id FROM order_owners") == [("o_1", "p_1")]
    assert place.rows("notices", "SELECT COUNT(*) FROM parked_events") == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["beijing", "money", "core", "3"], "tuanzi: There is no such thing, or it is not yours to see."),
        (["beijing", "delivery", "core", "1"], "tuanzi: This event is not laid aside here"),
        (["mars", "money", "core", "1"], "tuanzi: mars: TUANZI_CAMPUSES has no such campus"),
    ],
)
def test_what_cannot_be_heard_is_told_in_one_line(
    arguments: list[str], says: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["parked", "hear", *arguments])

    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith(says)
    assert len(said.splitlines()) == 1
    assert place.rows("money", "SELECT COUNT(*) FROM parked_events") == [(1,)]


def test_a_house_that_runs_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_DATA", str(tmp_path))
    monkeypatch.setenv("TUANZI_SECRET", "s" * 32)
    monkeypatch.setattr(folder, "LAST_BATCH_S_MAX", 0.1)
    place = Place()

    with FolderLock(tmp_path):
        codes = [main(HEAR), main(["parked"])]

    assert codes == [1, 0]
    assert "another process is using" in capsys.readouterr().err
    assert place.rows("money", "SELECT COUNT(*) FROM parked_events") == [(1,)]


def test_databases_that_an_installation_writes_to_are_left_alone(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_DATA", str(tmp_path))
    monkeypatch.setenv("TUANZI_CAMPUSES", "beijing")
    monkeypatch.setenv("TUANZI_DATABASE", site.url())
    place = Place()
    with closing(open_where_set(read_settings(), "beijing.money", "money", now=LUNCH, takes_over=True)):
        code = main(HEAR)

    assert code == 1
    assert "another process writes to this database; stop it first" in capsys.readouterr().err
    assert place.rows("money", "SELECT COUNT(*) FROM parked_events") == [(1,)]

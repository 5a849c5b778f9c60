"""`tuanzi doctor` and `tuanzi settings`: each thing that may be wrong, broken once on purpose (issue 5, J4)."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import pytest
from confluent_kafka.admin import AdminClient

from servers.cluster import TUANZI
from servers.process import Process, answers, free_ports
from tests.databases import Site
from tuanzi.base.time import to_ms
from tuanzi.engines.database.residence import Residence
from tuanzi.installation import kafka_of, sources_of
from tuanzi.roles.cli import main
from tuanzi.roles.listing import known_settings
from tuanzi.roles.looks import (
    State,
    look_at_clock,
    look_at_copies,
    look_at_folder,
    look_at_payments,
    look_at_record_sizes,
    look_at_witness,
)
from tuanzi.settings import SettingWrong, read_settings
from tuanzi.wiring import campus_on, open_where_set, schema_on, wall_clock

NOON = datetime(2026, 9, 1, 4, tzinfo=UTC)


class Place:
    """An installation's databases, made, and the settings that lead there."""

    def __init__(self) -> None:
        self.settings = read_settings()
        for name in sources_of(self.settings.campuses):
            with closing(self._open(name)):
                pass

    def change(self, name: str, script: str) -> None:
        """Do something to a database that Tuanzi would never do."""
        with closing(self._open(name)) as database:
            database.execute_script(script)

    def _open(self, name: str) -> Any:
        return open_where_set(self.settings, name, name.rpartition(".")[2], now=NOON)


@pytest.fixture(params=["sqlite", "mariadb"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    """The databases of one campus, on each engine."""
    port, live_port = free_ports(2)
    monkeypatch.setenv("TUANZI_DATA", str(tmp_path))
    monkeypatch.setenv("TUANZI_CAMPUSES", "beijing")
    monkeypatch.setenv("TUANZI_PORT", str(port))
    monkeypatch.setenv("TUANZI_LIVE_PORT", str(live_port))
    if request.param == "mariadb":
        monkeypatch.setenv("TUANZI_DATABASE", request.getfixturevalue("site").url())
    return Place()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data folder with nothing in it, and free ports."""
    port, live_port = free_ports(2)
    for name in [name for name in os.environ if name.startswith("TUANZI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TUANZI_DATA", str(tmp_path))
    monkeypatch.setenv("TUANZI_PORT", str(port))
    monkeypatch.setenv("TUANZI_LIVE_PORT", str(live_port))
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], command: str = "doctor") -> tuple[int, list[dict[str, Any]]]:
    """The exit code and what is told as JSON."""
    code = main([command, "--json"])
    return code, json.loads(capsys.readouterr().out)


def of(findings: list[dict[str, Any]], check: str) -> dict[str, Any]:
    """The one finding of a check."""
    (found,) = [each for each in findings if each["check"] == check]
    return found


def test_an_installation_that_is_well_has_nothing_wrong(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    code, findings = told(capsys)

    assert code == 0
    assert not [each for each in findings if each["state"] == "wrong"]
    for name in ("platform", "beijing.core", "beijing.money", "beijing.delivery", "beijing.notices"):
        assert of(findings, f"database {name}")["state"] == "ok"
        assert of(findings, f"database {name} events")["state"] == "ok"
    assert of(findings, "secret")["state"] == "ok"
    assert of(findings, "TUANZI_PORT")["state"] == "ok"


def test_a_last_event_that_is_lost_is_wrong(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.change("beijing.core", "UPDATE writer_cursor SET event_number = 7;")

    code, findings = told(capsys)

    assert code == 1
    found = of(findings, "database beijing.core events")
    assert found["state"] == "wrong"
    assert found["says"] == "the last event is 0, and its writer noted 7"
    assert of(findings, "database beijing.money events")["state"] == "ok"


def test_a_gap_among_events_is_wrong(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.change("beijing.core", "INSERT INTO events VALUES (1, 'a.b', 1, 0, '{}'), (4, 'a.b', 1, 0, '{}');")
    place.change("beijing.core", "UPDATE writer_cursor SET event_number = 4;")

    code, findings = told(capsys)

    assert code == 1
    assert of(findings, "database beijing.core events")["says"] == "2 are missing between 1 and 4"


def test_of_a_long_log_only_the_newest_events_are_counted(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place()
    for name, gap in (("beijing.core", 99_000), ("beijing.money", 101_000)):
        place.change(
            name,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
            f" INSERT INTO events SELECT i, 'a.b', 1, 0, '{{}}' FROM n WHERE i <> {gap};"
            "UPDATE writer_cursor SET event_number = 300000;",
        )

    code, findings = told(capsys)

    assert code == 1
    assert of(findings, "database beijing.core events")["says"] == "the newest 200000, without a gap"
    assert of(findings, "database beijing.money events")["says"] == "1 are missing between 100001 and 300000"
    assert of(findings, "database beijing.delivery events")["says"] == "0, without a gap"


def test_a_database_of_another_release_is_wrong_and_of_an_older_one_a_warning(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.change("beijing.core", "UPDATE schema_migrations SET digest = 'x' WHERE name = 'core/0005_orders';")
    place.change("beijing.money", "DELETE FROM schema_migrations WHERE name = 'money/0005_payouts';")

    code, findings = told(capsys)

    assert code == 1
    assert of(findings, "database beijing.core")["says"] == "made with another core/0005_orders.sql"
    assert of(findings, "database beijing.money")["state"] == "warning"
    assert of(findings, "database beijing.money")["says"] == "older than this release: 1 migrations are missing"


def test_a_secret_by_which_nobody_is_known_is_wrong(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["appoint", "13900000001"])
    capsys.readouterr()
    _, before = told(capsys)
    monkeypatch.setenv("TUANZI_SECRET", "another secret than the house has, by mistake")

    code, findings = told(capsys)

    assert "secret of people" not in [each["check"] for each in before]
    assert code == 1
    assert of(findings, "secret of people")["state"] == "wrong"
    assert "kept under another" in of(findings, "secret of people")["says"]


def test_a_parked_event_is_a_warning(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.change("beijing.delivery", "INSERT INTO parked_events VALUES ('core', 3, 'a.b', 'unheard of', 0);")

    code, findings = told(capsys)

    assert code == 0
    assert of(findings, "database beijing.delivery parked")["says"] == "1 events had no effect here"


def test_a_newest_event_of_tomorrow_is_a_warning(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    tomorrow_ms = to_ms(wall_clock() + timedelta(days=1))
    place.change("beijing.core", f"INSERT INTO events VALUES (1, 'a.b', 1, {tomorrow_ms}, '{{}}');")
    place.change("beijing.core", "UPDATE writer_cursor SET event_number = 1;")
    place.change("beijing.money", f"INSERT INTO events VALUES (1, 'a.b', 1, {to_ms(wall_clock())}, '{{}}');")
    place.change("beijing.money", "UPDATE writer_cursor SET event_number = 1;")

    code, findings = told(capsys)

    assert code == 0
    assert of(findings, "database beijing.core time")["do"] == "set the clock right, then runbooks/clock.md"
    assert [each["check"] for each in findings if each["check"].endswith(" time")] == ["database beijing.core time"]


def test_databases_that_were_not_made_yet_are_a_warning(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, findings = told(capsys)

    assert code == 0
    assert of(findings, "database shanghai.core")["state"] == "warning"
    assert sorted(path.name for path in alone.iterdir()) == ["secret"]


def test_a_schema_that_was_not_made_yet_is_a_warning_and_stays_unmade(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], site: Site
) -> None:
    monkeypatch.setenv("TUANZI_DATABASE", site.url())

    codes = [told(capsys), told(capsys)]

    assert [code for code, _ in codes] == [0, 0]
    assert of(codes[1][1], "database platform")["says"] == "not made yet"


@pytest.mark.parametrize(
    ("demo", "sms", "state", "says"),
    [
        ("", False, "warning", "nobody sends sign-in codes"),
        ("1", False, "ok", "printed, for a demo"),
        ("", True, "ok", "by Aliyun SMS, signed 团子"),
    ],
)
def test_an_installation_that_sends_no_sign_in_codes_is_a_warning(
    demo: str,
    sms: bool,
    state: str,
    says: str,
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TUANZI_DEMO", demo)
    if sms:
        key = alone / "key"
        key.write_text("x", encoding="ascii")
        monkeypatch.setenv("TUANZI_SMS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("TUANZI_SMS_ACCESS_KEY_SECRET_FILE", str(key))
        monkeypatch.setenv("TUANZI_SMS_SIGN_NAME", "团子")
        monkeypatch.setenv("TUANZI_SMS_TEMPLATE_CODE", "SMS_1")

    _, findings = told(capsys)

    found = of(findings, "sign-in codes")
    assert (found["state"], found["says"].startswith(says)) == (state, True)
    assert ("TUANZI_SMS_" in found["do"]) == (state == "warning")


@pytest.mark.parametrize(
    ("host", "proxies", "states"),
    [
        ("127.0.0.1", "", ["warning"]),
        ("127.0.0.1", "127.0.0.1", ["ok"]),
        ("0.0.0.0", "", []),
    ],
)
def test_a_house_that_only_a_proxy_reaches_and_that_believes_none_is_a_warning(
    host: str,
    proxies: str,
    states: list[str],
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TUANZI_HOST", host)
    monkeypatch.setenv("TUANZI_PROXIES", proxies)

    _, findings = told(capsys)

    assert [each["state"] for each in findings if each["check"] == "TUANZI_PROXIES"] == states


@pytest.mark.parametrize("campuses", ["beijing,beijing", "beijing, beijing", "北京a", "beijíng", "Beijing", "beijing,"])
def test_a_campus_twice_or_one_that_no_address_can_name_is_wrong(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], campuses: str
) -> None:
    monkeypatch.setenv("TUANZI_CAMPUSES", campuses)

    code, findings = told(capsys)

    assert code == 1
    assert [each["says"].startswith("TUANZI_CAMPUSES: ") for each in findings] == [True]


def test_a_campus_that_is_there_and_for_which_nobody_works_is_a_warning(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_CAMPUSES", "beijing,wuhan")
    Place()
    monkeypatch.setenv("TUANZI_CAMPUSES", "beijing")

    code, findings = told(capsys)

    assert code == 0
    assert of(findings, "campus wuhan")["state"] == "warning"
    assert "TUANZI_CAMPUSES does not name it" in of(findings, "campus wuhan")["says"]
    assert "campus beijing" not in [each["check"] for each in findings]


def test_a_database_that_is_gone_is_wrong(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Place().change("beijing.core", "UPDATE writer_cursor SET position = 5;")
    (alone / "beijing/money.db").unlink()

    code, findings = told(capsys)

    assert code == 1
    assert of(findings, "databases")["says"] == (
        f"{alone / 'beijing/money.db'}: is gone, and was there when {alone / 'beijing/core.db'} was written"
    )


@pytest.mark.parametrize("proxies", ["nowhere", "10.0.0.1/8", "127.0.0.1;10.0.0.1", "127.0.0.1, *"])
def test_a_proxy_that_is_no_address_is_wrong_for_no_house_begins_with_it(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], proxies: str
) -> None:
    monkeypatch.setenv("TUANZI_PROXIES", proxies)

    code, findings = told(capsys)

    assert code == 1
    assert [each["says"].startswith(f"TUANZI_PROXIES={proxies}: ") for each in findings] == [True]


@pytest.mark.parametrize(
    ("kafka", "host", "states"),
    [
        ("10.255.0.1:9092, 10.255.0.2:9092", "", ["warning"]),
        ("10.255.0.1:9092", "10.255.0.9", ["ok"]),
        ("127.0.0.1:1, localhost:1", "", []),
    ],
)
def test_a_process_that_writers_on_other_machines_cannot_answer_is_a_warning(
    kafka: str,
    host: str,
    states: list[str],
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TUANZI_KAFKA", kafka)
    if host:
        monkeypatch.setenv("TUANZI_ANSWERS_HOST", host)

    _, findings = told(capsys)

    assert [each["state"] for each in findings if each["check"] == "TUANZI_ANSWERS_HOST"] == states


@pytest.mark.parametrize(
    ("kafka", "url", "states"),
    [("127.0.0.1:1", "", ["warning"]), ("127.0.0.1:1", "wss://live.example.edu", ["ok"]), ("", "", [])],
)
def test_apis_that_tell_nobody_where_the_gateways_are_is_a_warning(
    kafka: str,
    url: str,
    states: list[str],
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TUANZI_KAFKA", kafka)
    monkeypatch.setenv("TUANZI_LIVE_URL", url)

    _, findings = told(capsys)

    assert [each["state"] for each in findings if each["check"] == "TUANZI_LIVE_URL"] == states


def test_one_port_for_both_servers_is_wrong(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_LIVE_PORT", os.environ["TUANZI_PORT"])

    code, findings = told(capsys)

    assert code == 1
    assert of(findings, "TUANZI_LIVE_PORT")["state"] == "wrong"
    assert of(findings, "TUANZI_LIVE_PORT")["says"].endswith("is TUANZI_PORT's")


def test_a_short_secret_is_wrong(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_SECRET", "short")

    code, findings = told(capsys)

    assert code == 1
    assert of(findings, "secret")["says"] == "5 bytes are too short"


def test_files_that_others_may_open_are_told(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    password = alone / "redis.password"
    password.write_text("p")
    password.chmod(0o644)
    monkeypatch.setenv("TUANZI_REDIS_PASSWORD_FILE", str(password))
    told(capsys)  # makes the secret
    (alone / "secret").chmod(0o640)

    code, findings = told(capsys)

    assert code == 1
    assert of(findings, "secret")["do"] == f"chmod 600 {alone / 'secret'}"
    assert of(findings, "TUANZI_REDIS_PASSWORD_FILE")["state"] == "warning"


def test_a_port_that_another_has_is_wrong(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("TUANZI_LIVE_PORT", str(other.getsockname()[1]))

        code, findings = told(capsys)

    assert code == 1
    assert of(findings, "TUANZI_LIVE_PORT")["state"] == "wrong"
    assert of(findings, "TUANZI_PORT")["state"] == "ok"


def test_a_house_that_runs_is_well(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = read_settings()
    house = Process("tuanzi", [sys.executable, str(TUANZI), "run"], log=alone / "log", environment=os.environ)
    house.start(lambda: answers(settings.port, b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"))
    try:
        code, findings = told(capsys)
    finally:
        house.stop()

    assert code == 0
    assert of(findings, "TUANZI_PORT")["says"].endswith("tuanzi runs there already")
    assert of(findings, "database beijing.core")["state"] == "ok"


def test_a_data_folder_where_nothing_can_be_written_is_wrong(tmp_path: Path) -> None:
    found = look_at_folder(tmp_path / "gone")

    assert found.state is State.WRONG
    assert "No such file or directory" in found.says


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path) -> None:
    assert look_at_folder(tmp_path, least=10**18).state is State.WRONG
    assert look_at_folder(tmp_path, least=0, good=10**18).state is State.WARNING
    assert look_at_folder(tmp_path, least=0, good=0).state is State.OK


def test_a_clock_that_differs_from_the_servers_is_told(site: Site) -> None:
    address = site.address()

    def state(off: timedelta) -> State:
        return look_at_clock(address, clock=lambda: wall_clock() + off).state

    states = [state(timedelta(seconds=off_s)) for off_s in (0, 5, -60)]

    assert states == [State.OK, State.WARNING, State.WRONG]


def test_a_primary_that_answers_for_what_no_replica_has_is_told(site: Site) -> None:
    found = look_at_witness(site.address())
    site.primary.ask("SET GLOBAL rpl_semi_sync_master_enabled = ON")
    try:
        with_witness = look_at_witness(site.address())
    finally:
        site.primary.ask("SET GLOBAL rpl_semi_sync_master_enabled = OFF")

    assert (found.state, with_witness.state) == (State.WARNING, State.OK)
    assert found.says.endswith(f":{site.primary.port} answers for commits that no replica has")


def test_a_database_server_that_is_not_there_is_wrong_and_said_once(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("TUANZI_DATABASE", f"mysql://u:hidden@127.0.0.1:{port}/tuanzi")

    code = main(["doctor"])

    said = capsys.readouterr().out
    assert code == 1
    assert [line.split()[:2] for line in said.splitlines() if line.startswith("wrong")] == [["wrong", "database"]]
    assert "hidden" not in said


def test_databases_that_are_not_in_charge_of_their_campus_are_wrong(
    alone: Path, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_CAMPUSES", "beijing")
    monkeypatch.setenv("TUANZI_DATABASE", site.url())
    place = Place()
    server = place.settings.database
    assert server is not None
    residence = Residence("beijing", platform=schema_on(server, "platform"), databases=campus_on(server, "beijing"))
    residence.register(fresh="token")
    _, before = told(capsys)

    monkeypatch.setenv("TUANZI_DATABASES", f"beijing={site.url()}")
    code, findings = told(capsys)

    states = [{each["check"]: each["state"] for each in found}["residence of beijing"] for found in (before, findings)]
    assert states == ["ok", "wrong"]
    assert code == 1


@pytest.mark.parametrize(
    ("databases", "says"),
    [
        ("beijing=mysql:/u:hidden@h", "beijing: mysql://user:password@host:port/prefix is expected"),
        ("elsewhere=mysql://u:hidden@h/x", "of a campus that TUANZI_CAMPUSES has"),
        ("mysql://u:hidden@h/x", "campus=mysql://... is expected"),
        ("beijing=mysql://u:hidden@h/x beijing=mysql://u:hidden@h/y", "beijing is there twice"),
    ],
)
def test_servers_of_campuses_that_are_wrong_are_told_without_their_passwords(
    databases: str, says: str, alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_DATABASE", "mysql://u:hidden@h:1/tuanzi")
    monkeypatch.setenv("TUANZI_DATABASES", databases)

    code, listed = told(capsys, "settings")

    (wrong,) = [each for each in listed if each["wrong"]]
    assert code == 1
    assert wrong["name"] == "TUANZI_DATABASES"
    assert says in wrong["wrong"]
    assert "hidden" not in json.dumps(listed)


def test_every_wrong_setting_is_named_at_once_and_nothing_else_is_asked(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_WRITER_BATCH_MAX", "0")
    monkeypatch.setenv("TUANZI_DATABASE", "mysql:/u:hidden@h")
    monkeypatch.setenv("TUANZI_PAYMENTS", "wechat")

    code, findings = told(capsys)

    assert code == 1
    assert [each["says"].partition(" ")[0] for each in findings] == [
        "TUANZI_DATABASE:",
        "TUANZI_WECHAT_NOTIFY_URL",
        "TUANZI_WRITER_BATCH_MAX=0:",
    ]
    assert "hidden" not in json.dumps(findings)


def test_play_money_outside_a_demo_is_warned_of(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [[each.state for each in look_at_payments(read_settings())]]
    monkeypatch.setenv("TUANZI_DEMO", "1")
    monkeypatch.setenv("TUANZI_PAYMENTS", "inprocess")
    said.append([each.state for each in look_at_payments(read_settings())])

    assert said == [[State.WARNING], []]


def test_a_house_that_takes_play_money_says_so_when_it_starts(alone: Path) -> None:
    ports = free_ports(2)
    environment = {**os.environ, "TUANZI_PORT": str(ports[0]), "TUANZI_LIVE_PORT": str(ports[1])}
    log = alone / "house.log"
    house = Process("house", [TUANZI, "run"], log=log, environment=environment)
    house.start(lambda: answers(ports[0]), within_s=60)
    house.stop()

    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert [line["log.level"] for line in lines if line["message"] == "settings.play_money"] == ["warning"]


@pytest.mark.parametrize(
    ("brokers", "kept_by", "wanted", "state"),
    [
        (3, [3, 3], 3, State.OK),
        (3, [3, 1], 3, State.WARNING),
        (3, [], 1, State.WARNING),
        (1, [1, 1], 1, State.OK),
        (1, [], 3, State.WRONG),
    ],
)
def test_topics_that_one_of_several_brokers_keeps_alone_are_warned_of(
    brokers: int, kept_by: list[int], wanted: int, state: State
) -> None:
    finding = look_at_copies(brokers, {f"t{i}": each for i, each in enumerate(kept_by)}, wanted=wanted)

    assert finding.state is state
    assert bool(finding.do) is (state is not State.OK)


@pytest.mark.parametrize(
    ("limits", "state", "says"),
    [
        ({"t1": 8388608, "t2": 16777216}, State.OK, "8 MiB in each of 2 topics"),
        ({"t1": 8388608, "t2": 1048588}, State.WARNING, "1 of 2 topics take 1048588 bytes or so, and long imports"),
        ({"t1": 8388608, "t2": None}, State.WARNING, "of 1 of 2 topics it is not known how long a record may be"),
    ],
)
def test_topics_that_take_no_long_import_are_told_with_the_command(
    limits: dict[str, int | None], state: State, says: str
) -> None:
    finding = look_at_record_sizes(limits, servers="k1:9092")

    assert finding.state is state
    assert finding.says.startswith(says)
    if limits["t2"] == 1048588:
        assert finding.do.endswith(
            "kafka-configs.sh --bootstrap-server k1:9092 --alter --entity-type topics --entity-name t2"
            " --add-config max.message.bytes=8388608"
        )


def test_kafka_is_signed_in_at_and_reached_by_tls_as_the_settings_say(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    password = alone / "kafka.password"
    password.write_text("hidden\n")
    plain = kafka_of(read_settings()).client_options
    for name, value in {
        "TUANZI_KAFKA": "k1:9092,k2:9092",
        "TUANZI_KAFKA_COPIES": "3",
        "TUANZI_KAFKA_USER": "tuanzi",
        "TUANZI_KAFKA_PASSWORD_FILE": str(password),
        "TUANZI_KAFKA_CA_FILE": certifi.where(),
    }.items():
        monkeypatch.setenv(name, value)

    kafka = kafka_of(read_settings())
    AdminClient({**kafka.client_options, "log_level": 0})  # which refuses an option that it does not know
    main(["settings"])

    assert plain == {"bootstrap.servers": ""}
    assert kafka.copies == 3
    assert kafka.client_options == {
        "bootstrap.servers": "k1:9092,k2:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "tuanzi",
        "sasl.password": "hidden",
        "ssl.ca.location": certifi.where(),
    }
    assert "hidden" not in capsys.readouterr().out + repr(read_settings())


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"TUANZI_KAFKA_USER": "tuanzi"}, "TUANZI_KAFKA_PASSWORD_FILE is missing"),
        ({"TUANZI_KAFKA_SASL": "GUESS"}, "TUANZI_KAFKA_SASL=GUESS"),
        ({"TUANZI_KAFKA_COPIES": "0"}, "TUANZI_KAFKA_COPIES=0"),
        ({"TUANZI_KAFKA_CA_FILE": "/nowhere"}, "TUANZI_KAFKA_CA_FILE=/nowhere"),
        ({"TUANZI_KAFKA_PREFIX": "our house"}, "TUANZI_KAFKA_PREFIX=our house: something like tuanzi-east is expected"),
        ({"TUANZI_LIVE_URL": "live.example.edu"}, "TUANZI_LIVE_URL=live.example.edu: something like wss://"),
        ({"TUANZI_LIVE_URL": "https://live.example.edu"}, "TUANZI_LIVE_URL=https://live.example.edu: something like"),
        ({"TUANZI_DEMO": "true"}, "TUANZI_DEMO=true: 1 is expected, or 0"),
    ],
)
def test_a_wrong_way_to_kafka_or_of_clients_and_a_word_for_a_demo_are_told(
    alone: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], wrong: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SettingWrong, match=wrong):
        read_settings()


def test_empty_settings_are_as_if_they_were_not_there(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = read_settings()
    for name in ("TUANZI_DEMO", "TUANZI_LIVE_URL", "TUANZI_KAFKA_PREFIX"):
        monkeypatch.setenv(name, "")

    assert read_settings() == usual
    assert (usual.demo, usual.live_url, usual.kafka_prefix) == (False, "", "tuanzi")


def test_settings_say_value_default_and_what_is_wrong(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUANZI_SECRET", "s" * 40)
    monkeypatch.setenv("TUANZI_DATABASE", "mysql://u:hidden@h:1/tuanzi")
    monkeypatch.setenv("TUANZI_KAFKA_PREFIX", "campus")
    monkeypatch.setenv("TUANZI_CAMPUS", "beijing")

    code, listed = told(capsys, "settings")

    by_name = {each["name"]: each for each in listed}
    assert code == 1
    assert by_name["TUANZI_SECRET"] == {"name": "TUANZI_SECRET", "value": "***", "is_set": True, "wrong": ""}
    assert by_name["TUANZI_DATABASE"]["value"] == "mysql://u:***@h:1/tuanzi"
    assert by_name["TUANZI_KAFKA_PREFIX"]["value"] == "campus"
    assert by_name["TUANZI_WRITER_BATCH_MAX"]["value"] == "256"
    assert by_name["TUANZI_WRITER_BATCH_MAX"]["is_set"] is False
    assert by_name["TUANZI_CAMPUS"]["wrong"] == "there is no such setting"
    assert [each["name"] for each in listed if each["wrong"]] == ["TUANZI_CAMPUS"]


def test_settings_without_a_wrong_one_end_well(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["settings"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines] == sorted(known_settings())
    assert next(line for line in lines if line.startswith("TUANZI_DATA ")).endswith("set")


def test_every_setting_that_is_documented_is_known() -> None:
    source = Path("src/tuanzi/settings.py").read_text(encoding="utf-8")
    documented = set(re.findall(r"TUANZI_[A-Z_]*[A-Z]", source)) - {"TUANZI_WECHAT", "TUANZI_SMS"}

    assert documented - known_settings().keys() == set()
    for name in (
        "MCHID",
        "APPID",
        "APP_SECRET_FILE",
        "LOGIN_GATEWAY",
        "MERCHANT_SERIAL",
        "API_KEY_FILE",
        "PUBLIC_KEY_FILE",
    ):
        assert f"TUANZI_WECHAT_{name}" in known_settings()

"""`tuanzi where` says which engine each need has, at what address, and whether it is well (issue 5, D3)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.maria import APPLICATION, Maria
from servers.process import free_ports
from tests.databases import Site, servers
from tuanzi.roles.cli import main
from tuanzi.roles.where import without_password

NEEDS = ["database", "command log", "event log", "work queue", "shared cache", "fan-out", "payments"]


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUANZI_DATA", str(tmp_path))


@pytest.fixture(scope="module")
def replicated() -> Iterator[Maria]:
    """A primary and a replica that tests may hurt."""
    with servers(is_durable=False) as made:
        made.start_primary(with_replicas=1)
        yield made


def asked(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and what is told as JSON."""
    code = main(["where", "--json"])
    return code, json.loads(capsys.readouterr().out)


def set_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, port: int) -> None:
    """Every engine at one port, where none of them is."""
    key = tmp_path / "key"
    key.write_text("k" * 32)
    monkeypatch.setenv("TUANZI_DATABASE", f"mysql://tuanzi:hidden@127.0.0.1:{port}/tuanzi")
    monkeypatch.setenv("TUANZI_KAFKA", f"127.0.0.1:{port}")
    monkeypatch.setenv("TUANZI_RABBIT", f"amqp://tuanzi:hidden@127.0.0.1:{port}/")
    monkeypatch.setenv("TUANZI_REDIS", f"127.0.0.1:{port}")
    monkeypatch.setenv("TUANZI_PAYMENTS", "wechat")
    for name in ("MCHID", "APPID", "MERCHANT_SERIAL"):
        monkeypatch.setenv(f"TUANZI_WECHAT_{name}", "x")
    for name in ("MERCHANT_KEY_FILE", "API_KEY_FILE", "APP_SECRET_FILE"):
        monkeypatch.setenv(f"TUANZI_WECHAT_{name}", str(key))
    monkeypatch.setenv("TUANZI_WECHAT_NOTIFY_URL", "https://tuanzi.example.edu")
    monkeypatch.setenv("TUANZI_WECHAT_GATEWAY", f"http://127.0.0.1:{port}")


def test_without_settings_every_need_is_met_by_this_process(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, needs = asked(capsys)

    assert code == 0
    assert [need["need"] for need in needs] == NEEDS
    assert all(need["is_healthy"] for need in needs)
    assert needs[0]["engine"].startswith("SQLite ")
    assert needs[0]["address"] == str(tmp_path)


def test_a_damaged_file_is_not_healthy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "platform.db").write_bytes(b"no database" * 1000)

    code, needs = asked(capsys)

    assert code == 1
    assert "file is not a database" in needs[0]["reason"]


def test_a_server_is_named_without_its_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    monkeypatch.setenv("TUANZI_DATABASE", site.url())

    code = main(["where"])

    said = capsys.readouterr().out
    assert code == 0
    assert len(said.splitlines()) == len(NEEDS)
    assert " primary" in said.splitlines()[0]
    assert "healthy, " in said.splitlines()[0]
    assert site.servers.passwords[APPLICATION] not in said


def test_the_server_of_a_campus_is_named_and_asked_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("TUANZI_DATABASE", site.url())
    monkeypatch.setenv("TUANZI_DATABASES", f"beijing={site.url()} shanghai=mysql://tuanzi:hidden@127.0.0.1:{port}/x")

    code, needs = asked(capsys)

    assert code == 1
    assert [(need["need"], need["is_healthy"]) for need in needs[:3]] == [
        ("database", True),
        ("database of beijing", True),
        ("database of shanghai", False),
    ]
    assert "hidden" not in json.dumps(needs)


def test_what_does_not_listen_is_not_healthy_and_says_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    set_all(monkeypatch, tmp_path, port=port)

    code, needs = asked(capsys)

    assert code == 1
    assert [need["need"] for need in needs] == NEEDS
    assert not any(need["is_healthy"] for need in needs)
    assert all(need["reason"] for need in needs)
    assert "hidden" not in json.dumps(needs)


def test_what_a_house_in_one_process_does_not_use_is_not_said_to_meet_its_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUANZI_REDIS", "127.0.0.1:1")
    monkeypatch.setenv("TUANZI_RABBIT", "amqp://tuanzi:hidden@127.0.0.1:1/")

    code, needs = asked(capsys)

    assert code == 0
    assert [
        (need["need"], need["engine"]) for need in needs if need["need"] in ("work queue", "shared cache", "fan-out")
    ] == [
        ("work queue", "this process"),
        ("shared cache", "each process"),
        ("fan-out", "this process"),
    ]


def test_what_listens_and_never_answers_is_given_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        set_all(monkeypatch, tmp_path, port=silent.getsockname()[1])

        code, needs = asked(capsys)

    assert code == 1
    assert [need["need"] for need in needs] == NEEDS
    assert not any(need["is_healthy"] for need in needs)
    assert all(need["reason"] for need in needs)


def test_of_several_servers_each_is_shown_and_one_must_take_writes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, replicated: Maria
) -> None:
    primary, replica = replicated.nodes
    hosts = f"127.0.0.1:{replica.port},127.0.0.1:{primary.port}"
    monkeypatch.setenv("TUANZI_DATABASE", f"mysql://{APPLICATION}:{replicated.passwords[APPLICATION]}@{hosts}/tuanzi")

    well = asked(capsys)
    replica.ask("SET GLOBAL read_only = OFF")
    two = asked(capsys)
    replica.ask("SET GLOBAL read_only = ON")
    primary.kill()
    none = asked(capsys)

    assert well[0] == 0
    assert [need["engine"].rpartition(" ")[2] for need in well[1][:2]] == ["replica", "primary"]
    assert two[0] == 1
    assert two[1][-1]["reason"] == "2 take writes: all but one must not"
    assert none[0] == 1
    assert [need["is_healthy"] for need in none[1][:2]] == [True, False]
    assert none[1][-1]["reason"] == "none of them takes writes"


def test_a_wrong_setting_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUANZI_PORT", "many")

    code = main(["where"])

    assert code == 1
    assert capsys.readouterr().err == "tuanzi: TUANZI_PORT=many: a whole number from 0 to 65535 is expected\n"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("host:1", "host:1"),
        ("mysql://u@h:1/p", "mysql://u@h:1/p"),
        ("mysql://u:a:b@c@h:1,i:2/p?socket=s", "mysql://u:***@h:1,i:2/p?socket=s"),
        ("amqp://u:p@h", "amqp://u:***@h"),
        ("u:p@h", "***@h"),
        ("mysql:/u:p@h/d", "***@h/d"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert without_password(address) == shown

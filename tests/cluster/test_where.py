"""`tuanzi where` and `tuanzi doctor` over every real server of an installation (issue 5, J4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from servers.cluster import Servers
from tests.cluster.conftest import Ground
from tuanzi.roles.cli import main

ENGINES = {
    "command log": "Apache Kafka, 1 broker",
    "event log": "Apache Kafka, 1 broker",
    "work queue": "RabbitMQ",
    "shared cache": "Redis Cluster, 6 of 6 nodes answer",
    "fan-out": "Redis Cluster, 6 of 6 nodes answer",
}


@pytest.fixture(autouse=True)
def _settings(ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    settings = {**ground.settings, **ground.servers.company.environment(notified_at="http://127.0.0.1:1")}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TUANZI_DATA", str(tmp_path))


def asked(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code and what is told, by need."""
    code = main(["where", "--json"])
    return code, {need["need"]: need for need in json.loads(capsys.readouterr().out)}


def test_every_real_engine_is_healthy_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, needs = asked(capsys)

    assert code == 0, needs
    assert {need: needs[need]["engine"] for need in ENGINES} == ENGINES
    assert needs["database"]["engine"].startswith("MariaDB ")
    assert needs["payments"]["engine"] == "WeChat Pay v3"
    assert all(need["ms"] > 0 for need in needs.values())


def test_a_server_that_does_not_let_tuanzi_in_is_not_healthy(
    servers: Servers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "wrong").write_text("wrong")
    monkeypatch.setenv("TUANZI_REDIS_PASSWORD_FILE", str(tmp_path / "wrong"))
    monkeypatch.setenv("TUANZI_RABBIT", servers.rabbit.url.replace(servers.rabbit.password, "wrong"))
    port = servers.maria.nodes[0].port
    monkeypatch.setenv("TUANZI_DATABASE", f"mysql://tuanzi:wrong@127.0.0.1:{port}/tuanzi")

    code, needs = asked(capsys)

    assert code == 1
    assert "WRONGPASS" in needs["fan-out"]["reason"]
    assert "ACCESS_REFUSED" in needs["work queue"]["reason"]
    assert "Access denied" in needs["database"]["reason"]
    assert needs["command log"]["is_healthy"]
    assert "wrong@" not in json.dumps(needs)


def test_a_redis_cluster_without_one_of_its_nodes_is_named_so(
    servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    port = next(port for port in servers.redis.ports if port not in servers.redis.masters())
    servers.redis.kill(port)
    try:
        code, needs = asked(capsys)
    finally:
        servers.redis.start_again(port)
        servers.redis.settle()

    assert code == 0, needs
    assert needs["shared cache"]["engine"] == "Redis Cluster, 5 of 6 nodes answer"

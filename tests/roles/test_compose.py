"""deploy/compose.yaml, which cannot be run here, at least means what Tuanzi and its tests mean (issue 5)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from servers import maria
from tuanzi.roles.listing import known_settings
from tuanzi.roles.parts import Part
from tuanzi.roles.where import places_of
from tuanzi.settings import read_settings

COMPOSE = Path("deploy/compose.yaml")
OURS = ("api", "gateway", "writer-1", "writer-2", "worker")
# Of a private server on this machine, or of its size, and not of an installation.
PRIVATE = {
    "user",
    "datadir",
    "socket",
    "pid-file",
    "log-error",
    "tmpdir",
    "port",
    "bind-address",
    "server-id",
    "log-bin",
}
PRIVATE |= {"relay-log", "expire-logs-days", "performance-schema", "innodb-buffer-pool-size", "innodb-log-file-size"}
PRIVATE |= {"innodb-flush-method", "innodb-flush-log-at-trx-commit", "sync-binlog", "rpl-semi-sync-master-timeout"}


def compose() -> dict[str, Any]:
    """The file as Docker reads it."""
    read: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return read


def test_it_says_at_its_top_that_nobody_has_run_it() -> None:
    assert "NOT RUN BY US" in COMPOSE.read_text(encoding="utf-8").partition("\nx-maria")[0]


def test_every_tuanzi_name_in_it_is_a_setting() -> None:
    names = set(re.findall(r"TUANZI_[A-Z_]+", COMPOSE.read_text(encoding="utf-8")))
    names |= set(re.findall(r"TUANZI_[A-Z_]+", Path("deploy/Dockerfile").read_text(encoding="utf-8"))) - {"TUANZI_"}

    assert names - {"TUANZI_"} - known_settings().keys() == set()
    assert "TUANZI_DATABASE" in names


def test_its_settings_lead_to_the_services_it_has(tmp_path: Path) -> None:
    services = compose()["services"]
    password = tmp_path / "password"
    password.write_text("p" * 32)

    for name in OURS:
        given = {key: re.sub(r"\$\{\w+:\?\}", "p" * 32, value) for key, value in services[name]["environment"].items()}
        given |= {"TUANZI_DATA": str(tmp_path), "TUANZI_REDIS_PASSWORD_FILE": str(password)}
        settings = read_settings(given)

        assert settings.answers_host == name
        assert settings.database is not None
        assert [each.host for each in settings.database.each] == ["mariadb-primary", "mariadb-replica"]
        hosts = {settings.kafka.partition(":")[0], settings.rabbit.rpartition("@")[2].partition(":")[0]}
        assert hosts == {"kafka", "rabbitmq"}
        fixed = {
            service["networks"]["inside"]["ipv4_address"]
            for service in services.values()
            if isinstance(service["networks"], dict)
        }
        assert {node.partition(":")[0] for node in settings.redis.split(",")} <= fixed
        assert all(place.check is not None for place in places_of(settings) if place.need != "payments")


def test_its_processes_have_every_role_and_two_of_them_decide() -> None:
    services = compose()["services"]

    roles = [services[name]["command"] for name in OURS]

    assert {words[0] for words in roles} == {"run"}
    assert sorted(words[1] for words in roles) == sorted([*Part, Part.WRITER])


def test_its_databases_are_set_up_as_those_of_the_tests() -> None:
    services = compose()["services"]
    lines = re.findall(r"^([\w-]+)(?:=(\w+))?$", maria._CONFIGURATION, re.MULTILINE)
    wanted = {name: value for name, value in lines if name not in PRIVATE}

    for name in ("mariadb-primary", "mariadb-replica"):
        given = dict(word.removeprefix("--").partition("=")[::2] for word in services[name]["command"])
        assert {each: given.get(each) for each in wanted} == wanted
        assert given["sync-binlog"] == given["innodb-flush-log-at-trx-commit"] == "1"
    assert "--read-only=ON" in services["mariadb-replica"]["command"]
    assert "--rpl-semi-sync-slave-enabled=ON" in services["mariadb-replica"]["command"]
    assert "--rpl-semi-sync-master-enabled=ON" in services["mariadb-primary"]["command"]


def test_every_password_it_wants_is_in_the_example() -> None:
    wanted = set(re.findall(r"\$\{(\w+):\?\}", COMPOSE.read_text(encoding="utf-8")))
    example = Path("deploy/secrets.env.example").read_text(encoding="utf-8")

    assert wanted == set(re.findall(r"^(\w+)=$", example, re.MULTILINE))


def test_its_image_installs_by_hashes_and_runs_as_nobody_special() -> None:
    lines = Path("deploy/Dockerfile").read_text(encoding="utf-8").splitlines()

    assert "FROM python:3.11-slim" in lines
    assert any("--require-hashes" in line for line in lines)
    assert [line for line in lines if line.startswith("USER")] == ["USER tuanzi"]

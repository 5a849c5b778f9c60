"""All servers of an installation, and Tuanzi's own processes over them, on this machine and without Docker.

For `tuanzi cluster`, tests and benchmarks. Tuanzi is started as anybody starts it: as a command, by its settings.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers.kafka import Kafka
from servers.maria import APPLICATION, Maria, Node
from servers.process import Process, ServerFailed, answers, free_ports
from servers.rabbit import Rabbit
from servers.redis import RedisCluster

TUANZI = Path(sys.executable).with_name("tuanzi")
LIBS = Path(__file__).resolve().parents[2] / "build" / "kafka" / "libs"
COMPANY_TERMS = {"share_max": 10_000}


class Servers:
    """MariaDB with a replica, Redis Cluster, RabbitMQ, Kafka and a payment company, each in a folder of its own."""

    def __init__(self, folder: Path, *, replicas: int = 1, settings: Mapping[str, str] | None = None) -> None:
        """settings: further lines of MariaDB's configuration."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.maria = Maria(folder / "maria", settings=settings)
        self.primary: Node | None = None
        self.redis = RedisCluster(folder / "redis", password=self._password("redis"))
        self.rabbit = Rabbit(folder / "rabbit", password=self._password("rabbit"))
        self.kafka = Kafka(folder / "kafka", libs=LIBS)
        self.company = PaymentCompany(folder / "company")
        self._replicas = replicas
        self._secret = self._password("secret")

    def start(self) -> float:
        """Start all of them at once; gives how long that took in seconds. Raises ServerFailed."""
        began = time.monotonic()

        def start_maria() -> None:
            self.primary = self.maria.start_primary(with_replicas=self._replicas)

        starts: list[Callable[[], Any]] = [
            start_maria,
            self.redis.start,
            self.rabbit.start,
            self.kafka.start,
            self.company.start,
        ]
        with ThreadPoolExecutor(len(starts)) as threads:
            for done in [threads.submit(start) for start in starts]:
                done.result()
        return time.monotonic() - began

    def environment(self) -> dict[str, str]:
        """The settings by which processes of Tuanzi find them."""
        assert self.primary is not None, "the servers were not started"
        password = self.maria.passwords[APPLICATION]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.maria.nodes)
        return {
            "TUANZI_DATABASE": f"mysql://{APPLICATION}:{password}@{hosts}/tuanzi",
            "TUANZI_KAFKA": self.kafka.servers,
            "TUANZI_REDIS": ",".join(f"{host}:{port}" for host, port in self.redis.addresses),
            "TUANZI_REDIS_PASSWORD_FILE": str(self.folder / "redis.password"),
            "TUANZI_RABBIT": self.rabbit.url,
            "TUANZI_SECRET": self._secret,
        }

    def primary_url(self, prefix: str) -> str:
        """The primary alone, as a setting, with schemas of this prefix; it begins with `tuanzi` as the account may."""
        assert self.primary is not None, "the servers were not started"
        password = self.maria.passwords[APPLICATION]
        where = f"127.0.0.1:{self.primary.port}/{prefix}?socket={self.primary.socket}"
        return f"mysql://{APPLICATION}:{password}@{where}"

    def stop(self) -> None:
        """End all of them at once; what they kept stays in the folder."""
        stops = (self.company.stop, self.rabbit.stop, self.kafka.stop, self.redis.stop, self.maria.stop)
        with ThreadPoolExecutor(len(stops)) as threads:
            for done in [threads.submit(stop) for stop in stops]:
                done.result()

    def _password(self, name: str) -> str:
        """A password of this folder, made once."""
        kept = self.folder / f"{name}.password"
        if not kept.exists():
            kept.touch(mode=0o600)
            kept.write_text(secrets.token_hex(32), encoding="ascii")
        return kept.read_text(encoding="ascii")


class PaymentCompany:
    """The WeChat Pay sandbox, with which all processes of an installation have one account."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        words = [sys.executable, "-m", "sandboxes.wechatpay", "--data", str(folder), "--port", str(self.port)]
        self._process = Process(
            "wechatpay", [*words, "--terms", json.dumps(COMPANY_TERMS), "--control"], log=folder / "out.log"
        )

    def start(self) -> float:
        """Start it; gives how long that took in seconds. Raises ServerFailed."""
        return self._process.start(lambda: answers(self.port) and (self._folder / "merchant.json").exists())

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def environment(self, *, notified_at: str) -> dict[str, str]:
        """The settings of its merchant; it tells results to the api at `notified_at`."""
        told = json.loads((self._folder / "merchant.json").read_text(encoding="utf-8"))
        address = f"http://127.0.0.1:{self.port}"
        return {
            "TUANZI_PAYMENTS": "wechat",
            "TUANZI_WECHAT_GATEWAY": address,
            "TUANZI_WECHAT_PAY_PAGE": f"{address}/pay",
            "TUANZI_WECHAT_MCHID": told["mchid"],
            "TUANZI_WECHAT_APPID": told["appid"],
            "TUANZI_WECHAT_APP_SECRET_FILE": str(self._folder / "app_secret"),
            "TUANZI_WECHAT_LOGIN_GATEWAY": address,
            "TUANZI_WECHAT_MERCHANT_SERIAL": told["merchant_serial"],
            "TUANZI_WECHAT_MERCHANT_KEY_FILE": str(self._folder / told["merchant_key_file"]),
            "TUANZI_WECHAT_API_KEY_FILE": str(self._folder / told["api_key_file"]),
            "TUANZI_WECHAT_PUBLIC_KEY_FILE": str(self._folder / told["public_key_file"]),
            "TUANZI_WECHAT_PUBLIC_KEY_ID": told["public_key_id"],
            "TUANZI_WECHAT_NOTIFY_URL": notified_at,
        }


@dataclass(slots=True)
class Member:
    """A process of Tuanzi: its roles, where it answers, and how to start it again."""

    name: str
    roles: tuple[str, ...]
    port: int
    process: Process
    log: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where it answers HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, within_s: float = 60.0) -> float:
        """Start it and wait until it is ready; gives how long that took in seconds. Raises ServerFailed."""
        return self.process.start(self.is_ready, within_s=within_s)

    def is_ready(self) -> bool:
        """Whether it says that it is."""
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=2.0) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False


class Cluster:
    """An installation: its servers and any number of Tuanzi's processes."""

    def __init__(
        self,
        folder: Path,
        servers: Servers,
        *,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = (str(TUANZI), "run"),
    ) -> None:
        """environment: further settings of every process. program: what is called with the roles of each."""
        self.members: list[Member] = []
        self.servers = servers
        self._folder = folder
        self._program = tuple(program)
        folder.mkdir(parents=True, exist_ok=True)
        # Payments are told to the first api, whose port is chosen before there is one.
        (self._api_port,) = free_ports(1)
        self._environment = {
            **servers.environment(),
            **servers.company.environment(notified_at=f"http://127.0.0.1:{self._api_port}"),
            **(environment or {}),
        }

    def add(self, name: str, *roles: str, is_demo: bool = False, settings: Mapping[str, str] | None = None) -> Member:
        """A further process with these roles, not yet started. settings: of this one alone."""
        taken = {member.port for member in self.members}
        port, live_port = free_ports(2)
        if "api" in roles and self._api_port not in taken:
            port = self._api_port
        environment = {
            **self._environment,
            "TUANZI_PORT": str(port),
            "TUANZI_LIVE_PORT": str(live_port),
            "TUANZI_DATA": str(self._folder / "data"),
            **(settings or {}),
        }
        words = [*self._program, *roles, *(["--demo"] if is_demo else [])]
        process = Process(
            f"tuanzi {name}", words, log=self._folder / f"{name}.log", environment={**os.environ, **environment}
        )
        member = Member(name, roles, port, process, self._folder / f"{name}.log", environment)
        self.members.append(member)
        return member

    def stop(self) -> None:
        """End Tuanzi's processes, those that serve people first; the servers stay."""
        for member in sorted(self.members, key=lambda each: "writer" in each.roles):
            member.process.stop()

    def mend(self) -> list[str]:
        """Start again whichever process of Tuanzi has ended; gives what was said of those that do not start."""
        said = []
        for member in self.members:
            if not member.process.is_running:
                try:
                    member.start()
                except ServerFailed as failed:
                    said.append(str(failed))
        return said

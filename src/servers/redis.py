"""A Redis Cluster of three masters and three replicas, on free ports, with a password (E1)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from servers.process import Process, ServerFailed, answers, free_ports

MASTERS = 3
NODES = 2 * MASTERS
# A master that is silent for so long is replaced; with the vote that took 2.5 s when it was measured.
NODE_TIMEOUT_MS = 1_000
_POLL_S = 0.05


class RedisCluster:
    """Six servers of one cluster, each named by its port; what a killed one had written to its disk it finds again."""

    def __init__(self, folder: Path, *, password: str) -> None:
        """folder: for all that they keep; made when absent."""
        self.password = password
        self._folder = folder
        ports = free_ports(2 * NODES)
        self.ports = tuple(ports[:NODES])
        self._processes = {
            port: self._process(port, bus_port=bus_port)
            for port, bus_port in zip(self.ports, ports[NODES:], strict=True)
        }

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Where they listen."""
        return tuple(("127.0.0.1", port) for port in self.ports)

    def start(self, *, within_s: float = 60.0) -> float:
        """Start all and make one cluster of them; gives how long that took in seconds. Raises ServerFailed."""
        began = time.monotonic()
        for port in self.ports:
            self.start_again(port)
        words = ["--cluster", "create", *[f"127.0.0.1:{port}" for port in self.ports]]
        self._redis_cli(*words, "--cluster-replicas", "1", "--cluster-yes", within_s=within_s)
        self.settle(within_s=within_s)
        return time.monotonic() - began

    def settle(self, *, within_s: float = 60.0) -> float:
        """Wait until all who run agree that every slot is served and every replica follows; gives how long it took."""
        began = time.monotonic()
        while not self._is_settled():
            if time.monotonic() - began > within_s:
                raise ServerFailed(f"the Redis Cluster did not settle within {within_s:.0f} s")
            time.sleep(_POLL_S)
        return time.monotonic() - began

    def start_again(self, port: int) -> None:
        """Start one server, with what it kept."""
        self._processes[port].start(lambda: answers(port, b"PING\r\n"), within_s=60.0)

    def kill(self, port: int) -> None:
        """End one server at once: SIGKILL."""
        self._processes[port].kill()

    def pause(self, port: int) -> None:
        """Have one server stand still; its sockets stay open."""
        self._processes[port].pause()

    def resume(self, port: int) -> None:
        """Have it go on."""
        self._processes[port].resume()

    def stop(self) -> None:
        """End all of them; nothing is left running."""
        for process in self._processes.values():
            process.kill()

    def masters(self) -> list[int]:
        """The servers that are masters now, by port, as those say who run."""
        running = [port for port, process in self._processes.items() if process.is_running]
        return [port for port in running if self.ask(port, "ROLE").startswith("master")]

    def find_master(self, key: str) -> int | None:
        """The master that keeps a key, by port, as the first who runs says; None while one is being replaced."""
        running = [port for port, process in self._processes.items() if process.is_running]
        slot = int(self.ask(running[0], "CLUSTER", "KEYSLOT", key))
        for line in self.ask(running[0], "CLUSTER", "NODES").splitlines():
            words = line.split()
            if "master" in words[2] and "fail" not in words[2].split(","):
                for first, _, last in (slots.partition("-") for slots in words[8:] if slots[0] != "["):
                    if int(first) <= slot <= int(last or first):
                        return int(words[1].partition("@")[0].rpartition(":")[2])
        return None

    def wipe(self) -> None:
        """Have every master forget everything."""
        for port in self.masters():
            self.ask(port, "FLUSHALL")

    def announce(self, port: int, told: int) -> None:
        """Have one server tell clients that it is at the port `told`, where a proxy may listen."""
        self._redis_cli("-p", str(port), "CONFIG", "SET", "cluster-announce-port", str(told))

    def ask(self, port: int, *words: str) -> str:
        """What one server answers, as `redis-cli` prints it; '' when it cannot be asked."""
        with contextlib.suppress(ServerFailed):
            return self._redis_cli("-p", str(port), *words)
        return ""

    def _is_settled(self) -> bool:
        running = [port for port, process in self._processes.items() if process.is_running]
        if not all("cluster_state:ok" in self.ask(port, "CLUSTER", "INFO") for port in running):
            return False
        replication = [self.ask(port, "INFO", "replication") for port in running]
        following = sum("master_link_status:up" in each for each in replication)
        return len(running) == sum("role:master" in each for each in replication) + following and following >= (
            len(running) - MASTERS
        )

    def _redis_cli(self, *words: str, within_s: float = 20.0) -> str:
        """Raises ServerFailed."""
        # The password goes by the environment: anyone may read the words of a command.
        environment = {**os.environ, "REDISCLI_AUTH": self.password}
        command = ["redis-cli", "-h", "127.0.0.1", *words]
        try:
            ran = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=within_s, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServerFailed(f"redis-cli: {error}") from error
        if ran.returncode:
            raise ServerFailed(f"redis-cli {words[0]}: {ran.stdout[-500:]}{ran.stderr[-500:]}")
        return ran.stdout.strip()

    def _process(self, port: int, *, bus_port: int) -> Process:
        if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
            raise ServerFailed("no redis-server: run `make servers`, or apt-get install redis-server redis-tools")
        folder = self._folder / str(port)
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "port": port,
            "bind": "127.0.0.1",
            "dir": folder,
            "requirepass": self.password,
            "masterauth": self.password,
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            # Its default, 10,000 above the port, does not exist for every port.
            "cluster-port": bus_port,
            "cluster-announce-ip": "127.0.0.1",
            "cluster-require-full-coverage": "no",
            "cluster-allow-replica-migration": "no",
            "repl-diskless-sync-delay": 0,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
        }
        path = folder / "redis.conf"
        path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        path.chmod(0o600)
        return Process(f"redis-server {port}", ["redis-server", str(path)], log=folder / "log")

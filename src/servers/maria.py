"""Private MariaDB servers: a primary and any number of replicas with GTID and semi-sync, on free ports.

The first node of a folder makes a template (about 2 s); every node after it is a copy of that (about 0.5 s). Accounts:
`tuanzi` may do what it likes with databases called `tuanzi_...`, `tuanzi_replica` copies, `tuanzi_operator` promotes;
each has a password of its own, kept in the folder. Root comes through the socket of a node only, as the user who
started it.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pymysql

from servers.process import Process, ServerFailed, free_ports

APPLICATION, REPLICATION, OPERATOR = "tuanzi", "tuanzi_replica", "tuanzi_operator"
# A replica answers for a commit before the primary does (AFTER_SYNC); the primary waits so long for one to be there.
SEMI_SYNC_S_MAX = 10
ANSWER_S = 30
SOCKET_PATH_MAX = 107

# What glibc gives back to the kernel after a batch is asked for again by the next, and zeroed. Measured with recorded
# batches, in turns: 3 % of the processor of a primary and of its replica.
_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    "MALLOC_TOP_PAD_": str(4 * 2**20),
}

_CONFIGURATION = """[mariadbd]
{user}
datadir={folder}/data
socket={socket}
pid-file={folder}/mariadb.pid
log-error={folder}/error.log
tmpdir={folder}/temporary
port={port}
bind-address=127.0.0.1
skip-name-resolve
server-id={number}
log-bin={folder}/binlog/b
relay-log={folder}/binlog/r
binlog-format=ROW
binlog-row-image=MINIMAL
binlog-annotate-row-events=OFF
binlog-cache-size=1M
binlog-row-event-max-size=64K
expire-logs-days=1
gtid-strict-mode=ON
gtid-domain-id=1
log-slave-updates=ON
slave-parallel-threads=2
slave-parallel-mode=optimistic
slave-net-timeout=4
rpl-semi-sync-master-wait-point=AFTER_SYNC
rpl-semi-sync-master-timeout={semi_sync_ms}
innodb-flush-log-at-trx-commit={flush}
sync-binlog={sync}
innodb-buffer-pool-size=64M
innodb-log-file-size=32M
innodb-flush-method={method}
performance-schema=OFF
character-set-server=utf8mb4
collation-server=utf8mb4_nopad_bin
max-connections=300
{more}
"""


class Node:
    """One MariaDB server. `Maria.add` makes them."""

    def __init__(
        self, name: str, folder: Path, *, number: int, port: int, configuration: str, nodes: Sequence[Node]
    ) -> None:
        """folder: prepared by `Maria`. configuration: of the server. nodes: all there are, itself too."""
        self.name = name
        self.folder = folder
        self.number = number
        self.port = port
        self.socket = str(_socket(folder))
        self._file = folder / "my.cnf"
        self._file.write_text(configuration, encoding="utf-8")
        self._nodes = nodes
        self._process: Process | None = None

    def start(self, *, is_read_only: bool = False) -> float:
        """Start it, for the first time or again, and wait until it answers; gives how long that took in seconds.

        is_read_only: applications may not write; so start replicas, and whoever was the primary and is not any more: it
        forgets what it had not acknowledged, for nobody else has that. Who takes writes and has others beside it waits
        for a witness from its first commit on: what was set while it ran is forgotten when it ends.
        """
        words = ["mariadbd", f"--defaults-file={self._file}", f"--read-only={'ON' if is_read_only else 'OFF'}"]
        if is_read_only:
            words += ["--rpl-semi-sync-slave-enabled=ON", "--init-rpl-role=SLAVE"]
        elif len(self._nodes) > 1:
            words += ["--rpl-semi-sync-master-enabled=ON"]
        environment = {**os.environ, **_MEMORY}
        self._process = Process(self.name, words, log=self.folder / "output.log", environment=environment)
        try:
            return self._process.start(self._answers, within_s=60)
        except ServerFailed as failed:
            with contextlib.suppress(OSError):
                log = (self.folder / "error.log").read_text(encoding="utf-8", errors="replace")
                raise ServerFailed(f"{failed}\n{log[-1500:]}") from failed
            raise

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows a statement gives, asked as root through the socket."""
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def slave_status(self) -> dict[str, Any]:
        """How its replication stands, by the names of SHOW SLAVE STATUS; empty when it copies nobody."""
        connection = self._connect()
        try:
            with connection.cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute("SHOW SLAVE STATUS")
                return dict(cursor.fetchone() or {})
        finally:
            connection.close()

    def follow(self, primary: Node, *, password: str, is_new: bool = True) -> None:
        """Be a replica of `primary` from now on, and a witness of its commits. is_new: it has nothing yet."""
        self.ask("STOP SLAVE")
        if is_new:
            self.ask("SET GLOBAL gtid_slave_pos = ''")
        self.ask("SET GLOBAL rpl_semi_sync_slave_enabled = ON")
        self.ask(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={primary.port}, MASTER_USER='{REPLICATION}',"
            f" MASTER_PASSWORD='{password}', MASTER_USE_GTID=slave_pos,"
            " MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=1"
        )
        self.ask("START SLAVE")

    def delay(self, seconds: int) -> None:
        """Apply what is received only so much later; 0 for at once."""
        self.ask("STOP SLAVE")
        self.ask(f"CHANGE MASTER TO MASTER_DELAY={seconds}")
        self.ask("START SLAVE")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running.pid

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.is_running

    def kill(self) -> None:
        """End it at once: SIGKILL."""
        self._running.kill()

    def stop(self) -> None:
        """Have it end in order."""
        if self._process is not None:
            self._process.stop()

    def pause(self) -> None:
        """Have it stand still (SIGSTOP); connections to it are still taken, and never answered."""
        self._running.pause()

    def resume(self) -> None:
        """Have it go on."""
        self._running.resume()

    @property
    def _running(self) -> Process:
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    def _answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except pymysql.err.MySQLError:
            return False
        return True

    def _connect(self) -> Any:
        return pymysql.connect(
            unix_socket=self.socket,
            user="root",
            autocommit=True,
            connect_timeout=5,
            read_timeout=ANSWER_S,
            write_timeout=ANSWER_S,
        )


class Maria:
    """The MariaDB servers of one folder; it may be used again, with the same passwords, unless a replica was promoted.

    is_durable: flush at every commit. Without it a killed process still loses nothing, but a machine without power may:
    for tests that are about other things.
    """

    def __init__(self, folder: Path, *, is_durable: bool = True, settings: Mapping[str, str] | None = None) -> None:
        """settings: lines of the configuration besides or instead of the usual ones, e.g. innodb-buffer-pool-size."""
        self.folder = folder
        self.nodes: list[Node] = []
        self._is_durable = is_durable
        self._settings = dict(settings or {})
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / "passwords.json"
        if not kept.exists():
            made = {user: secrets.token_hex(16) for user in (APPLICATION, REPLICATION, OPERATOR)}
            kept.touch(mode=0o600)
            kept.write_text(json.dumps(made), encoding="utf-8")
        self.passwords: dict[str, str] = json.loads(kept.read_text(encoding="utf-8"))

    def add(self, name: str) -> Node:
        """A further node, not yet started; one that this folder has already keeps its data. Raises ServerFailed."""
        folder = self.folder / name
        if not (folder / "data").exists():
            template = self._template()
            for each in ("binlog", "temporary"):
                (folder / each).mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "--reflink=auto", str(template), str(folder / "data")], check=True)
        number = len(self.nodes) + 1
        (port,) = free_ports(1)
        words = _CONFIGURATION.format(
            user=f"user={getpass.getuser()}",
            folder=folder,
            socket=_socket(folder),
            port=port,
            number=number,
            semi_sync_ms=SEMI_SYNC_S_MAX * 1000,
            flush=1 if self._is_durable else 2,
            sync=1 if self._is_durable else 0,
            # As MariaDB does by itself since 10.6: what it has in its own memory is not kept by the kernel once more.
            method="O_DIRECT" if self._is_durable else "nosync",
            more="\n".join(f"{name}={value}" for name, value in self._settings.items()),
        )
        node = Node(name, folder, number=number, port=port, configuration=words, nodes=self.nodes)
        self.nodes.append(node)
        return node

    def start_primary(self, *, with_replicas: int = 0) -> Node:
        """Start a primary and replicas of it, named `primary`, `replica1`, ...; each commit is on one of those too."""
        primary = self.add("primary")
        primary.start()
        for number in range(1, with_replicas + 1):
            is_new = not (self.folder / f"replica{number}").exists()
            replica = self.add(f"replica{number}")
            replica.start(is_read_only=True)
            replica.follow(primary, password=self.passwords[REPLICATION], is_new=is_new)
        if with_replicas:
            primary.ask("SET GLOBAL rpl_semi_sync_master_enabled = ON")
        return primary

    def stop(self) -> None:
        """End all nodes, replicas first."""
        for node in reversed(self.nodes):
            node.stop()

    def _template(self) -> Path:
        """A data folder with the accounts and nothing else, made once."""
        template = self.folder / "template"
        if template.exists():
            return template
        if shutil.which("mariadbd") is None:
            raise ServerFailed("there is no mariadbd; on Debian: apt-get install mariadb-server (make servers)")
        making = self.folder / "template.making"
        shutil.rmtree(making, ignore_errors=True)
        user = getpass.getuser()
        # Whoever starts removes what temporary tables lie in its folder, and they may be of another that is being made.
        temporary = self.folder / "template.temporary"
        temporary.mkdir(exist_ok=True)
        usual = [f"--user={user}", f"--datadir={making}", f"--tmpdir={temporary}", "--innodb-log-file-size=32M"]
        words = ["mariadb-install-db", "--no-defaults", "--skip-test-db", *usual]
        _run([*words, "--auth-root-authentication-method=socket", f"--auth-root-socket-user={user}"], "")
        _run(["mariadbd", "--no-defaults", "--bootstrap", *usual], self._accounts())
        os.replace(making, template)
        return template

    def _accounts(self) -> str:
        """The statements that make the accounts; each may come over TCP and over the socket."""
        rights = {
            APPLICATION: "ALL PRIVILEGES ON `tuanzi\\_%`.*",
            REPLICATION: "REPLICATION SLAVE ON *.*",
            OPERATOR: "REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN, READ_ONLY ADMIN, SLAVE MONITOR,"
            " BINLOG MONITOR, BINLOG ADMIN, CONNECTION ADMIN, RELOAD ON *.*",
        }
        lines = ["FLUSH PRIVILEGES;"]
        for user, right in rights.items():
            for host in ("127.0.0.1", "localhost"):
                lines.append(f"CREATE USER '{user}'@'{host}' IDENTIFIED BY '{self.passwords[user]}';")
                lines.append(f"GRANT {right} TO '{user}'@'{host}';")
        return "\n".join(lines) + "\n"


def _socket(folder: Path) -> Path:
    """Where a node's socket is. Raises ServerFailed where the kernel would cut its path off."""
    path = folder / "s.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        raise ServerFailed(f"{path}: at most {SOCKET_PATH_MAX} bytes, for it is the address of a socket")
    return path


def _run(words: list[str], said: str) -> None:
    done = subprocess.run(words, input=said, capture_output=True, text=True, check=False)
    if done.returncode or "ERROR" in done.stderr:
        raise ServerFailed(f"{words[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")

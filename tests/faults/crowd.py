"""Students who order while the server dies under them: they repeat what was not answered, under the same key.

Each connection carries one student at a time. Whatever was answered is remembered, to be looked for in the files, and
some of it is asked again later under its old key.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from benchmarks.wire import POST, Address, Connection
from tests.faults.city import BUILDING, CAMPAIGN, CAMPUS, SIZE, City
from tests.waiting import until
from tuanzi.groups.model import UNPAID_MAX

BASE = f"/v1/campuses/{CAMPUS}"
REPEATED_SHARE = 0.02
TRIES_MAX = 3_000  # a minute: how long a busy machine needs for a start is not what is looked at


class Placed(msgspec.Struct):
    """Of the answer to opening or joining."""

    group_id: str
    order_id: str
    payable_fen: int


class Paid(msgspec.Struct):
    """Of the answer to paying."""

    order_id: str
    group_id: str
    order_state: str
    plan: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A request and its first answer."""

    request: bytes
    status: int
    body: bytes


class Crowd:
    """Students on `connections` connections. `up` is set while the server can be reached.

    clock: says in seconds how long the slowest answer took.
    """

    def __init__(
        self,
        city: City,
        *,
        port: int,
        seed: int,
        connections: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.up = asyncio.Event()
        self.placed: dict[str, Placed] = {}
        self.paid: dict[str, Paid] = {}
        self.plans: dict[str, list[dict[str, Any]]] = {}
        self.refused: Counter[str] = Counter()
        self.differing: list[str] = []
        self.retried = 0
        self.slowest_s = 0.0
        self.repeated = 0
        self._city = city
        self._address = Address(port)
        self._chance = Random(seed)
        self._connections = connections
        self._seats: deque[str] = deque()
        self._members: dict[str, set[bytes]] = {}
        self._told: deque[Answered] = deque(maxlen=600)
        self._owed: Counter[bytes] = Counter()
        self._number = 0
        self._ending = False
        self._run = f"{seed:x}"
        self.clock = clock

    async def order(self) -> None:
        """Order, one chain after another on every connection, until `end`."""
        async with asyncio.TaskGroup() as tasks:
            for i in range(self._connections):
                students = self._city.students[i :: self._connections]
                tasks.create_task(self._work(Line(self, self._address), [student.token for student in students]))

    def end(self) -> None:
        """Let every chain under way come to its end, and begin no other."""
        self._ending = True

    async def until_plans(self, count: int) -> None:
        """Wait until so many groups are split, a minute at most."""
        await until(lambda: len(self.plans) >= count, within_s=60)

    async def go_on(self, *, orders: int, plans: int) -> None:
        """Wait until so many more orders are placed and groups split, a minute at most."""
        placed, planned = len(self.placed) + orders, len(self.plans) + plans
        await until(lambda: len(self.placed) >= placed and len(self.plans) >= planned, within_s=60)

    async def repeat(self) -> None:
        """Ask again, under the old keys, for all that is remembered; other answers are in `differing`."""
        line = Line(self, self._address)
        for told in list(self._told):
            await self._ask_again(line, told)
        line.close()

    async def _work(self, line: Line, tokens: list[bytes]) -> None:
        try:
            while not self._ending:
                self._number += 1
                await self._chain(line, tokens[self._number % len(tokens)], f"{self._run}-{self._number:07d}")
                if self._told and self._chance.random() < REPEATED_SHARE:
                    await self._ask_again(line, self._chance.choice(self._told))
        finally:
            line.close()

    async def _chain(self, line: Line, token: bytes, key: str) -> None:
        chance = self._chance
        dishes = chance.sample(self._city.dishes[1:], 2)
        if chance.random() < 0.01:
            dishes[0] = self._city.dishes[0]
        lines = [{"dish_id": dish_id, "quantity": chance.randint(1, 2)} for dish_id in dishes]
        place: dict[str, Any] = {"lines": lines}
        group_id = self._free_seat(token)
        if group_id is not None:
            path, body = f"{BASE}/groups/{group_id}/orders", place
        else:
            path = f"{BASE}/groups"
            body = place | {"campaign_id": CAMPAIGN, "building_id": BUILDING}
        status, answer = await self._post(line, path, token, f"{key}-order", body)
        if status != 201:
            self.refused[f"{status} {msgspec.json.decode(answer).get('code', '')}"] += 1
            return
        placed = msgspec.json.decode(answer, type=Placed)
        self.placed[placed.order_id] = placed
        if group_id is None:
            self._members[placed.group_id] = {token}
            self._seats.extend([placed.group_id] * (SIZE - 1))
        if chance.random() < 0.02 and self._owed[token] < UNPAID_MAX - 1:
            self._owed[token] += 1
            return  # held, and never paid
        status, answer = await self._post(line, f"{BASE}/orders/{placed.order_id}/pay", token, f"{key}-pay", {})
        if status != 200:
            self.refused[f"pay {status} {msgspec.json.decode(answer).get('code', '')}"] += 1
            return
        paid = msgspec.json.decode(answer, type=Paid)
        self.paid[paid.order_id] = paid
        if paid.plan is not None:
            self.plans[paid.group_id] = paid.plan

    def _free_seat(self, token: bytes) -> str | None:
        """The group of a seat nobody was offered yet and this student may take; None when he must open one."""
        if not self._seats or token in self._members[self._seats[0]]:
            return None
        group_id = self._seats.popleft()
        self._members[group_id].add(token)
        return group_id

    async def _post(self, line: Line, path: str, token: bytes, key: str, body: Any) -> tuple[int, bytes]:
        content = msgspec.json.encode(body)
        request = POST % (path.encode(), token, key.encode(), len(content), content)
        status, answer = await line.surely(request)
        if status == 201:
            self._told.append(Answered(request, status, answer))
        return status, answer

    async def _ask_again(self, line: Line, told: Answered) -> None:
        status, body = await line.surely(told.request)
        self.repeated += 1
        if (status, body) != (told.status, told.body):
            self.differing.append(f"{told.status} {told.body!r} became {status} {body!r}")


class Line:
    """One kept connection, made again when it is lost."""

    def __init__(self, crowd: Crowd, address: Address) -> None:
        self._crowd = crowd
        self._address = address
        self._connection: Connection | None = None

    async def surely(self, request: bytes) -> tuple[int, bytes]:
        """Send until there is an answer that is not "try again"; the same bytes each time."""
        for _ in range(TRIES_MAX):
            status, body = await self._once(request)
            if status not in (0, 429, 503):
                return status, body
            self._crowd.retried += 1
            if status == 0:
                self.close()
                await asyncio.sleep(0)
                await self._crowd.up.wait()
            else:
                await asyncio.sleep(0.02)
        raise TimeoutError(f"no answer to {request[:120]!r}")

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    async def _once(self, request: bytes) -> tuple[int, bytes]:
        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.is_lost:
            try:
                _, self._connection = await loop.create_connection(Connection, self._address.host, self._address.port)
            except OSError:
                return 0, b""
        answered: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        began = self._crowd.clock()

        def hear(status: int, body: bytes) -> None:
            if not answered.done():  # nobody waits any more when a test that failed hangs up
                answered.set_result((status, body))

        self._connection.send(request, hear)
        async with asyncio.timeout(60):
            answer = await answered
        self._crowd.slowest_s = max(self._crowd.slowest_s, self._crowd.clock() - began)
        return answer

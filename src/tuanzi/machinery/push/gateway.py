"""The gateway of one process: who is connected, who must be asked whether he is there, who must go (A5)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from tuanzi.base.network import network_of
from tuanzi.base.problem import Problem
from tuanzi.machinery.push.client import Client
from tuanzi.machinery.push.hub import Hub
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.ports import Gate, Ticket
from tuanzi.machinery.push.protocol import Close
from tuanzi.machinery.push.sockets import Listener, Socket

log = logging.getLogger("tuanzi.push")

# How long a closing client has to read what waits for him.
LINGER_S = 3
TICK_S = 1.0
# Our choice: a process that wakes so much later than it wanted stood still, and its sockets hold what it has not read.
STOOD_STILL_S = 3.0
# Our choice: below that part of what an address may have, it is said anew when it has all.
FULL_NO_MORE = 0.9


class Gateway:
    """Accepts sockets and looks after their clients once a second.

    clock: seconds that never go back. now: the time of day, for tokens. name: told apart from other gateways'.
    """

    def __init__(
        self,
        hubs: Mapping[str, Hub],
        gate: Gate,
        *,
        name: str,
        limits: PushLimits,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self.hubs = hubs
        self.gate = gate
        self.limits = limits
        self.clock = clock
        self.now = now
        self.full: set[Client] = set()  # whose sockets take nothing more
        self.closes: Counter[str] = Counter()
        self._name = name
        self._numbers = count(1)
        self._strangers: dict[Client, None] = {}  # who have not said who they are, the oldest first
        # Known clients by the second in which they are asked whether they are there.
        self._slots: list[dict[Client, None]] = [{} for _ in range(limits.ping_s)]
        self._slot_of: dict[Client, int] = {}
        self._leaving: dict[Client, float] = {}  # closed by us, still open: until when
        self.connections = 0
        self._networks: dict[str, int] = {}  # how many connections each client address has, of IPv6 each /64
        self._full_networks: set[str] = set()  # of which that was said
        self._ticks = 0
        self._tasks: asyncio.TaskGroup | None = None
        self._is_open = False

    @property
    def has_room(self) -> bool:
        """Whether another connection is accepted."""
        return self._is_open and self.connections < self.limits.connections_max

    @property
    def address_connections_max(self) -> int:
        """How many connections the client address has that has most."""
        return max(self._networks.values(), default=0)

    def accept(self, socket: Socket) -> Listener:
        """A new connection."""
        return self._accept(socket, Client)

    def accept_protobuf(self, socket: Socket) -> Listener:
        """A new connection of who speaks Protobuf; what reads that is loaded for the first one (30 ms, 4 MiB)."""
        from tuanzi.machinery.push.binary import ProtobufClient

        return self._accept(socket, ProtobufClient)

    def _accept(self, socket: Socket, kind: type[Client]) -> Listener:
        client = kind(self, socket, id=f"{self._name}-{next(self._numbers)}", now=self.clock())
        self._strangers[client] = None
        self.connections += 1
        self._count(client, network_of(socket.address))
        return client

    def _count(self, client: Client, network: str) -> None:
        """Count a new connection by its network; one too many is closed and not counted, and comes back later."""
        here, most = self._networks.get(network, 0), self.limits.per_address_max
        if 0 < most <= here:
            if network not in self._full_networks:
                self._full_networks.add(network)
                log.warning("push.address_full", extra={"network": network, "connections": here})
            client.close(Close.TOO_MANY_OF_ADDRESS, "too many connections of one address")
        elif network:
            client.network = network
            self._networks[network] = here + 1

    def _discount(self, network: str) -> None:
        """A connection that was counted is gone."""
        left = self._networks.pop(network) - 1
        if left:
            self._networks[network] = left
        if left < FULL_NO_MORE * self.limits.per_address_max:
            self._full_networks.discard(network)

    def enter(self, client: Client, hub: Hub, ticket: Ticket) -> None:
        """A client has said who he is; too many connections of one person close his oldest."""
        self._strangers.pop(client, None)
        slot = self._ticks + len(self._slot_of)  # spread over the seconds
        self._slot_of[client] = slot % len(self._slots)
        self._slots[slot % len(self._slots)][client] = None
        his = hub.clients.setdefault(ticket.person_id, [])
        his.append(client)
        if len(his) > self.limits.per_person_max:
            his[0].close(Close.TOO_MANY_CONNECTIONS, "too many connections of one person")
            del his[0]

    def left(self, client: Client) -> None:
        """A connection is gone."""
        self.connections -= 1
        if client.network:
            self._discount(client.network)
        self._strangers.pop(client, None)
        self._leaving.pop(client, None)
        self.full.discard(client)
        slot = self._slot_of.pop(client, None)
        if slot is not None:
            self._slots[slot].pop(client, None)
        if client.hub is not None:
            his = client.hub.clients.get(client.person_id, [])
            if client in his:
                his.remove(client)
            if not his:
                client.hub.clients.pop(client.person_id, None)

    def ending(self, client: Client, code: Close) -> None:
        """A client is being closed: he has a moment to read what waits, then he is let go of."""
        self.closes[code.name.lower()] += 1
        self.full.discard(client)
        self._leaving[client] = self.clock() + LINGER_S

    def end_session(self, session_id: str, person_id: str) -> None:
        """Somebody signed out: his connections of that session are closed for good."""
        for client in self._clients_of(person_id):
            if client.ticket is not None and client.ticket.session_id == session_id:
                client.close(Close.SIGNED_OUT, "signed out")

    def end_person(self, person_id: str, *, is_coming_back: bool) -> None:
        """Somebody's rights changed, or he was erased: all his connections are closed; the first kind come back."""
        code = Close.RIGHTS_CHANGED if is_coming_back else Close.SIGNED_OUT
        for client in self._clients_of(person_id):
            client.close(code, "rights changed" if is_coming_back else "signed out")

    def _clients_of(self, person_id: str) -> list[Client]:
        return [client for hub in self.hubs.values() for client in hub.clients.get(person_id, ())]

    # work

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; it must guard itself. Nothing is begun when the gateway does not run."""
        if self._tasks is None:
            work.close()
        else:
            self._tasks.create_task(work)

    async def run(self) -> None:
        """Work until cancelled; then every client is told to come back elsewhere."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for hub in self.hubs.values():
                    hub.start(self.spawn)
                self._is_open = True
                while True:
                    slept_from = self.clock()
                    await asyncio.sleep(TICK_S)
                    if (still_s := self.clock() - slept_from - TICK_S) >= STOOD_STILL_S:
                        self.stood_still(still_s)
                    else:
                        self.tick()
                    await self.keep_cursors()
        finally:
            self._tasks = None
            self.shut()

    def shut(self) -> None:
        """Let nobody in any more and tell everybody to come back later, or elsewhere."""
        self._is_open = False
        for client in [*self._strangers, *self._slot_of]:
            client.close(Close.SHUTDOWN, "shutdown")

    async def keep_cursors(self, *, of_all: bool = False) -> None:
        """Have it kept how far streams were sent and acknowledged: of those whose turn it is, or of all."""
        for hub in self.hubs.values():
            try:
                await hub.keep_cursors(of_all=of_all)
            except Problem as problem:
                log.warning("push.cursors_waiting", extra={"campus": hub.campus_id, "refusal": problem.title_en()})

    def stood_still(self, seconds: float) -> None:
        """This process did nothing for so long: whoever said who he is, answered or read meanwhile is heard before he
        is looked at again, and has as long as ever."""
        log.warning("push.gateway_stood_still", extra={"seconds": round(seconds), "connections": self.connections})
        for client in self._strangers:
            client.opened_at += seconds
        for client in self.full:
            client.full_since += seconds
        self._leaving = {client: until + seconds for client, until in self._leaving.items()}

    def tick(self) -> None:
        """Look after the clients whose second it is; called once a second."""
        at = self.clock()
        for client in list(self._strangers):
            if at - client.opened_at < self.limits.greet_s_max:
                break
            client.close(Close.STALE, "connect in time")
        for client in [full for full in self.full if at - full.full_since > self.limits.slow_s_max]:
            if client.hub is not None:
                client.hub.figures.closed_slow += 1
            client.close(Close.SLOW, "slow")
        for client in [leaving for leaving, until in self._leaving.items() if at > until]:
            del self._leaving[client]
            client.abort()
        self._ticks += 1
        expired_before = self.now() - timedelta(seconds=self.limits.grace_s)
        for client in list(self._slots[self._ticks % len(self._slots)]):
            if not client.heard_since_ping:
                client.close(Close.NO_PONG, "no pong")
            elif client.is_expired(expired_before):
                client.close(Close.EXPIRED, "token expired")
            elif client.may_take:
                client.ping()

"""Which master keeps which key, and a connection to each of them."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from tuanzi.engines.redis.connection import LOST, Connection, Refused, Word, reply_of

log = logging.getLogger("tuanzi.redis")

Address = tuple[str, int]

SLOTS = 16_384
_NAMELESS = (None, b"", b"?")
# Our choice: a status read may take 50 ms in all (A2), and a healthy reply takes 0.3.
REPLY_S = 0.03
LOOK_EVERY_S = 1.0
RETRY_S = 0.1
# A server whose replies are missing for so long is connected to anew; that one which was paused may never answer.
LATE_S_MAX = 1.0


class Cluster:
    """A Redis Cluster, as one event loop reaches it. `run` keeps it connected; until it does, every reply is LOST."""

    def __init__(
        self, addresses: Sequence[Address], *, password: str = "", user: str = "", reply_s: float = REPLY_S
    ) -> None:
        """addresses: of some servers, enough for one to be there when this starts; the rest is learnt from it."""
        self.reply_s = reply_s
        self.user = user
        self.password = password
        self._known = list(addresses)
        self._owners: list[Address | None] = [None] * SLOTS
        self._connections: dict[Address, Connection] = {}
        self._wrong = asyncio.Event()
        self.connected = asyncio.Event()

    @property
    def is_whole(self) -> bool:
        """Whether every key's master is connected and answers."""
        masters = set(self._owners)
        return None not in masters and all(
            each in self._connections and self._connections[each].answers for each in masters if each is not None
        )

    def owner(self, key: str) -> Address | None:
        """Who keeps a key, as far as is known."""
        return self._owners[slot_of(key)]

    def ask(self, key: str, *words: Word) -> asyncio.Future[Any]:
        """Send a command to the master that keeps `key`; see `Connection.ask`."""
        owner = self._owners[slot_of(key)]
        connection = None if owner is None else self._connections.get(owner)
        if connection is None:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            future.set_result(LOST)
            return future
        return connection.ask(*words)

    def look_again(self) -> None:
        """Somebody has seen that another server is to be asked."""
        self._wrong.set()

    async def run(self) -> None:
        """Learn who keeps what and stay connected, until cancelled."""
        try:
            while True:
                self._wrong.clear()
                await self._look()
                if self.is_whole:
                    self.connected.set()
                    pause_s = LOOK_EVERY_S
                else:
                    pause_s = RETRY_S
                # Not wait_for: Python 3.11's forgets that it was cancelled when the event comes at the same time.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._wrong.wait()
                    # However many see it: a look costs every server a question.
                    await asyncio.sleep(RETRY_S / 2)
        finally:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    async def _look(self) -> None:
        for address, connection in list(self._connections.items()):
            if not connection.is_open or connection.late_s > LATE_S_MAX:
                del self._connections[address]
                connection.close()
        told = await self._slots()
        if told is None:
            return
        by, slots = told
        owners: list[Address | None] = [None] * SLOTS
        for first, last, master, *_ in slots:
            address = _address_of(master, told_by=by)
            owners[first : last + 1] = [address] * (last + 1 - first)
        masters = {owner for owner in owners if owner is not None}
        servers = [_address_of(server, told_by=by) for _, _, *several in slots for server in several]
        # Those named at the start stay known: all others may have moved away while this could reach nobody.
        self._known = list(dict.fromkeys([*servers, *self._known]))[:100]
        self._owners = owners
        missing = [address for address in masters if address not in self._connections]
        await asyncio.gather(*[self._connect(address) for address in missing])
        for address in [address for address in self._connections if address not in masters]:
            self._connections.pop(address).close()

    async def _slots(self) -> tuple[Address, Any] | None:
        """The first server that answers, and what it says about who keeps what; None when none does."""
        for address, connection in self._connections.items():
            if connection.answers:
                slots = await reply_of(connection.ask("CLUSTER", "SLOTS"))
                if slots is not LOST:
                    return address, slots
        for address in self._known:
            if address in self._connections:
                continue
            connection_to = await self._open(address)
            if connection_to is None:
                continue
            slots = await reply_of(connection_to.ask("CLUSTER", "SLOTS"))
            connection_to.close()
            if slots is not LOST and slots:
                return address, slots
        return None

    async def _connect(self, address: Address) -> None:
        connection = await self._open(address)
        if connection is not None:
            self._connections[address] = connection

    async def _open(self, address: Address) -> Connection | None:
        try:
            return await Connection.open(
                address, user=self.user, password=self.password, reply_s=self.reply_s, on_wrong=self.look_again
            )
        except (OSError, TimeoutError):
            return None
        except Refused:
            log.warning("redis.refused", extra={"address": f"{address[0]}:{address[1]}"})
            return None


def _address_of(server: Sequence[Any], *, told_by: Address) -> Address:
    """Where a server is; one that says no name, for it does not know its own or is not to say it, is where it was
    asked, as Redis has it."""
    name, port, *_ = server
    return (told_by[0] if name in _NAMELESS else name.decode(), port)


def slot_of(key: str) -> int:
    """The slot of a key: CRC16 of it, or of what stands in its first braces (Redis Cluster specification)."""
    start = key.find("{")
    if start >= 0:
        end = key.find("}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return binascii.crc_hqx(key.encode(), 0) % SLOTS

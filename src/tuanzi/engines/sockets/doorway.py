"""A listening socket that keeps a bounded number of those who have connected and not said yet what they want (A5)."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tuanzi.base.network import network_of

log = logging.getLogger("tuanzi.sockets")

# After so long whoever has not asked to be upgraded is let go of (`picows`).
HANDSHAKE_S_MAX = 5
# Our choice: an attack is told of once a minute.
_TOLD_EVERY_S = 60.0
# No file of any number is free, in this process or on the machine. Its server loops for as long as somebody waits.
_USED_UP = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Peer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Arrival:
    connection: socket.socket
    network: str
    at: float


class Doorway(socket.socket):
    """Takes over a listening socket: its server accepts from this one.

    Whoever comes gets in. When too many are in the doorway who have not asked yet, of one network or in all, the one
    who has stood there longest is let go of: phones ask within a moment, also when thousands of one network come back
    at once, and who only holds places waits for nothing. When no more files can be opened, newcomers are turned away.

    most, most_of_one: how many may be in the doorway, and of one IPv4 address or IPv6 /64. clock: seconds that never
    go back.
    """

    def __init__(self, listening: socket.socket, *, most: int, most_of_one: int, clock: Callable[[], float]) -> None:
        super().__init__(listening.family, listening.type, listening.proto, fileno=listening.detach())
        self._most = most
        self._most_of_one = most_of_one
        self._clock = clock
        self._waiting: dict[Peer, _Arrival] = {}  # the oldest first
        self._of: dict[str, dict[Peer, None]] = {}  # the same, by their networks
        self._told_at = -_TOLD_EVERY_S
        self._spare = os.open(os.devnull, os.O_RDONLY)
        self.turned_away = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. Raises BlockingIOError when nobody waits."""
        while True:
            try:
                connection, peer = super().accept()
            except OSError as error:
                if error.errno not in _USED_UP or self._spare < 0:
                    raise
                self._turn_one_away()
                continue
            if isinstance(peer, tuple):
                self._let_in(connection, (peer[0], peer[1]))
            return connection, peer

    def passed(self, peer: Peer) -> None:
        """Somebody has asked, and was let through."""
        arrival = self._waiting.pop(peer, None)
        if arrival is not None:
            self._forget(peer, arrival.network)

    def close(self) -> None:
        """Listen no more."""
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        super().close()

    @property
    def in_doorway(self) -> int:
        """How many may be in it: who went again without a word is counted for as long as he could have stayed."""
        return len(self._waiting)

    def _let_in(self, connection: socket.socket, peer: Peer) -> None:
        now = self._clock()
        while self._waiting:
            oldest = next(iter(self._waiting))
            if now - self._waiting[oldest].at <= HANDSHAKE_S_MAX:
                break
            self.passed(oldest)
        network = network_of(peer[0])
        here = self._of.get(network, {})
        if len(here) >= self._most_of_one:
            self._let_go(next(iter(here)), now)
        elif len(self._waiting) >= self._most:
            self._let_go(next(iter(self._waiting)), now)
        self.passed(peer)  # whose port was somebody's a moment ago
        self._waiting[peer] = _Arrival(connection, network, now)
        self._of.setdefault(network, {})[peer] = None

    def _let_go(self, peer: Peer, now: float) -> None:
        arrival = self._waiting[peer]
        self.passed(peer)
        with suppress(OSError):  # he is gone
            arrival.connection.shutdown(socket.SHUT_RDWR)
        self._tell("live.doorway_full", now, network=arrival.network)

    def _turn_one_away(self) -> None:
        """Take the one who waits with the file that is kept for this, and close it: else he would wait, and the loop
        be told of it again and again."""
        os.close(self._spare)
        self._spare = -1
        try:
            connection, _ = super().accept()
            connection.close()
        finally:
            with suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY)
        self._tell("live.no_files_left", self._clock())

    def _tell(self, event: str, now: float, **facts: str) -> None:
        self.turned_away += 1
        if now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            log.warning(event, extra={"in_doorway": len(self._waiting), "turned_away": self.turned_away, **facts})

    def _forget(self, peer: Peer, network: str) -> None:
        here = self._of[network]
        del here[peer]
        if not here:
            del self._of[network]

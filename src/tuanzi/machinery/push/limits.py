"""What a gateway gives one client and all of them; each bound has its figure (A5)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PushLimits:
    """Limits of one gateway; our choice where no source is named.

    connections_max: of the process (35 KiB each). per_person_max: one more closes his oldest.
    per_address_max: of one client address, of IPv6 of one /64; one more is closed itself; 0 for any number. Half of
    all: thousands of a campus come out of one address, and yet it shall not take every place.
    arriving_max: connections that have not said yet that they are WebSockets, which takes a phone a moment and may take
    5 s; one more lets the oldest of them go. As many as come back at once to a gateway that began anew.
    message_bytes_max: of what a client sends. commands_per_s, commands_burst: of one client;
    a ping counts as one, and so does a frame that says nothing.
    subscriptions_max: of one client. waiting_commands_max: while one of his waits for the database.
    unsent_bytes_max: what may wait for one client, in this process; twice that at the worst.
    answers_bytes_max: who lets more wait and goes on asking is closed; the answer to one command may come on top.
    slow_s_max: how long it may wait before he is closed, to resume later.
    greet_s_max: until he must have said who he is. ping_s: proxies close what is silent
    for 60, and what does not arrive is escalated long before (decision 0028). grace_s: after his token's end.
    snapshot_s: between two snapshots of a channel (A5: at most 4 a second).
    replay_max: messages of one reply or one read of the database. window_bytes_max: messages held in memory.
    streams_max: streams held in memory without a reader.
    """

    connections_max: int = 20_000
    per_person_max: int = 8
    per_address_max: int = 10_000
    arriving_max: int = 10_000
    message_bytes_max: int = 16_384
    commands_per_s: float = 50.0
    commands_burst: int = 100
    subscriptions_max: int = 32
    waiting_commands_max: int = 64
    unsent_bytes_max: int = 65_536
    answers_bytes_max: int = 524_288
    slow_s_max: float = 10.0
    greet_s_max: float = 10.0
    ping_s: int = 50
    grace_s: float = 25.0
    snapshot_s: float = 0.25
    replay_max: int = 200
    window_bytes_max: int = 64 * 1024 * 1024
    streams_max: int = 50_000

    @property
    def arriving_of_one_max(self) -> int:
        """Of one client address: half as many as it may have; our choice, for a proxy or a
        campus behind one address comes with thousands at once."""
        return min(self.arriving_max, max(1, (self.per_address_max or self.arriving_max) // 2))

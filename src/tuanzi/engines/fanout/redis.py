"""The fan-out to gateways in other processes: sharded channels of a Redis Cluster, one for each campus (A6).

Redis forgets what nobody hears at that moment, and this forgets what Redis does not take at once. So each process
numbers its bells, and rings once a second though it has nothing to say: a number that is missing, or a bell that is
not heard for three seconds, sends the gateways to the archive. With Redis gone altogether they look there every second.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from tuanzi.engines.fanout.here import Here
from tuanzi.engines.redis.cluster import Address, Cluster
from tuanzi.engines.redis.connection import LOST, Listening, Refused, reply_of
from tuanzi.machinery.push.ports import Kept, Node

log = logging.getLogger("tuanzi.fanout")

# Our choice: about 100 kB at 200 bytes each.
MESSAGES_OF_BELL = 500
RING_EVERY_S = 1.0
DEAF_AFTER_S = 3.0
# A process that has fallen silent is waited for so long: what it committed last is found in the archive by then.
ORIGIN_KEPT_S = 30.0
RETRY_S = 0.2


class Bell(Struct, frozen=True, array_like=True, gc=False):
    """What is sent: by whom, the how manyth of his to this campus, and what happened. is_last: he rings no more."""

    origin: str
    number: int
    messages: Sequence[tuple[str, int, bytes]] = ()
    channels: Sequence[str] = ()
    is_last: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Bell).decode


class FanOutFigures:
    """What a fan-out has done since it started, for `/metrics`."""

    def __init__(self) -> None:
        self.bells = 0
        self.bells_lost = 0  # Redis did not take them in time
        self.heard = 0
        self.missed = 0  # bells of others that never came
        self.catch_ups = 0


class RedisFanOut:
    """Gateways of this process hear directly, those of others over Redis; `run` keeps it going.

    The cluster is run by whoever made it. What is published in one turn of the event loop goes out together.
    """

    def __init__(self, cluster: Cluster, *, name: str) -> None:
        """name: of this process, for people; bells of one before it by the same name are told apart all the same."""
        self.figures = FanOutFigures()
        self.name = f"{name}.{secrets.token_hex(4)}"
        self._cluster = cluster
        self._here = Here()
        self._ears: dict[str, Ear] = {}
        self._numbers: dict[str, int] = {}
        self._unsent: dict[str, tuple[list[Kept], dict[str, None]]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def publish(self, campus_id: str, batch: Sequence[Kept]) -> None:
        """Tell every gateway of a campus what was committed."""
        self._here.publish(campus_id, batch)
        if batch:
            self._to_send(campus_id)[0].extend(batch)

    def change(self, campus_id: str, channels: Sequence[str]) -> None:
        """Tell every gateway of a campus that pictures have changed."""
        self._here.change(campus_id, channels)
        if channels:
            self._to_send(campus_id)[1].update(dict.fromkeys(channels))

    def join(self, campus_id: str, node: Node) -> None:
        """Be told from now on."""
        self._here.join(campus_id, node)
        self._numbers.setdefault(campus_id, 0)
        if campus_id not in self._ears:
            ear = self._ears[campus_id] = Ear(campus_id, self)
            if self._tasks is not None:
                self._tasks.create_task(ear.run())

    async def run(self) -> None:
        """Ring and listen until cancelled; then the others need not wait for this one."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for ear in self._ears.values():
                    tasks.create_task(ear.run())
                while True:
                    await asyncio.sleep(RING_EVERY_S)
                    for campus_id in list(self._numbers):
                        self._ring(campus_id)
                    for ear in self._ears.values():
                        ear.look_out()
        finally:
            self._tasks = None
            self._send()
            for campus_id in self._numbers:
                self._ring(campus_id, is_last=True)

    @property
    def cluster(self) -> Cluster:
        """Where it rings."""
        return self._cluster

    @property
    def hears_all(self) -> bool:
        """Whether every campus joined here is heard now."""
        return all(ear.is_listening for ear in self._ears.values())

    def hear(self, bell: Bell, campus_id: str) -> None:
        """Tell the gateways here what another process says."""
        self.figures.heard += 1
        if bell.messages:
            self._here.publish(campus_id, [Kept(*message) for message in bell.messages])
        if bell.channels:
            self._here.change(campus_id, bell.channels)

    def catch_up(self, campus_id: str) -> None:
        """Send the gateways here to the archive."""
        self.figures.catch_ups += 1
        self._here.catch_up(campus_id)

    def _to_send(self, campus_id: str) -> tuple[list[Kept], dict[str, None]]:
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        unsent = self._unsent.get(campus_id)
        if unsent is None:
            unsent = self._unsent[campus_id] = ([], {})
        return unsent

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, {}
        for campus_id, (messages, channels) in unsent.items():
            for i in range(0, max(len(messages), 1), MESSAGES_OF_BELL):
                some = [(each.stream, each.number, each.data) for each in messages[i : i + MESSAGES_OF_BELL]]
                self._ring(campus_id, messages=some, channels=() if i else list(channels))

    def _ring(
        self,
        campus_id: str,
        *,
        messages: Sequence[tuple[str, int, bytes]] = (),
        channels: Sequence[str] = (),
        is_last: bool = False,
    ) -> None:
        number = self._numbers[campus_id] = self._numbers.get(campus_id, 0) + 1
        bell = _encode(Bell(self.name, number, messages, channels, is_last))
        self.figures.bells += 1
        channel = channel_of(campus_id)
        self._cluster.ask(channel, "SPUBLISH", channel, bell).add_done_callback(self._count)

    def _count(self, reply: asyncio.Future[object]) -> None:
        if not reply.cancelled() and not isinstance(reply.result(), int):
            self.figures.bells_lost += 1


class Ear:
    """Hears the bells of one campus and finds out when it hears none."""

    def __init__(self, campus_id: str, fan_out: RedisFanOut) -> None:
        self.is_listening = False
        self._campus_id = campus_id
        self._channel = channel_of(campus_id)
        self._fan_out = fan_out
        # By process: the number of its last bell, and when it rang.
        self._origins: dict[str, tuple[int, float]] = {}
        self._heard_at = 0.0

    async def run(self) -> None:
        """Listen until cancelled, wherever the channel moves."""
        cluster = self._fan_out.cluster
        while True:
            owner = cluster.owner(self._channel)
            try:
                if owner is not None:
                    await self._listen(owner)
            except (OSError, TimeoutError):
                pass
            except Refused:
                log.warning("fanout.refused", extra={"campus": self._campus_id})
            finally:
                self.is_listening = False
            cluster.look_again()
            await asyncio.sleep(RETRY_S)

    async def _listen(self, owner: Address) -> None:
        cluster = self._fan_out.cluster
        listening = await Listening.open(
            owner,
            user=cluster.user,
            password=cluster.password,
            reply_s=max(cluster.reply_s, RING_EVERY_S),
            on_wrong=cluster.look_again,
        )
        try:
            listening.on_message = self._hear
            if await reply_of(listening.ask("SSUBSCRIBE", self._channel)) is LOST:
                return
            # What was rung before is not heard here: it is looked up, once everything from now on is heard.
            self.is_listening = True
            self._heard_at = asyncio.get_running_loop().time()
            self._fan_out.catch_up(self._campus_id)
            while cluster.owner(self._channel) in (owner, None):
                if await reply_of(listening.ask("PING")) is LOST:
                    return
                await asyncio.sleep(RING_EVERY_S / 2)
        finally:
            listening.close()

    def look_out(self) -> None:
        """Send the gateways to the archive when bells are missing; called once a second."""
        now = asyncio.get_running_loop().time()
        silent = [name for name, (_, at) in self._origins.items() if now - at > DEAF_AFTER_S]
        if silent or not self.is_listening or now - self._heard_at > DEAF_AFTER_S:
            self._fan_out.catch_up(self._campus_id)
        for name in silent:
            if now - self._origins[name][1] > ORIGIN_KEPT_S:
                del self._origins[name]

    def _hear(self, body: bytes) -> None:
        try:
            bell = _decode(body)
        except msgspec.DecodeError:  # of a release that rings otherwise
            self._fan_out.catch_up(self._campus_id)
            return
        self._heard_at = asyncio.get_running_loop().time()
        if bell.origin == self._fan_out.name:
            return
        last, _ = self._origins.get(bell.origin, (0, 0.0))
        if bell.is_last:
            self._origins.pop(bell.origin, None)
        else:
            self._origins[bell.origin] = (max(bell.number, last), self._heard_at)
        if bell.number > last + 1:
            self._fan_out.figures.missed += bell.number - last - 1 if last else 0
            self._fan_out.catch_up(self._campus_id)
        self._fan_out.hear(bell, self._campus_id)


def channel_of(campus_id: str) -> str:
    """The channel of a campus."""
    return f"live:{campus_id}"

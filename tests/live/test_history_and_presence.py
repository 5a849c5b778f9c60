"""What was said before is given to who may hear it; how many look is told, who they are is not (A4, A5, J3)."""

from __future__ import annotations

import asyncio
import typing
from typing import TYPE_CHECKING, Any

import pytest

from tests.journeys.conftest import BEEF_RICE, Cast, done
from tests.live.lines import CAMPUS, Talk, Watch, a_gateway
from tests.live.test_limits import opened_group
from tests.waiting import until
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push import hub as hub_module
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.picture import Picture
from tuanzi.machinery.push.ports import ChannelKind, Draft, Gate, Ticket

if TYPE_CHECKING:
    from tuanzi.machinery.push.client import Client

SAID = 7


async def told(cast: Cast) -> str:
    """The stream of somebody who was told so much before anybody came."""
    stream = f"user:{cast.ming.id}"
    keeper = cast.town.house.live.keepers[CAMPUS]
    await keeper.post([Draft(stream, b'{"n":%d}' % i, event_id=f"t{i}") for i in range(1, SAID + 1)])
    return stream


def numbers_of(answer: dict[str, Any]) -> list[int]:
    """The numbers of an answer's messages; each says its own."""
    publications = answer["history"]["publications"]
    assert [one["data"]["n"] for one in publications] == [one["offset"] for one in publications]
    return [one["offset"] for one in publications]


async def test_history_gives_what_was_asked_for_in_order(cast: Cast) -> None:
    stream = await told(cast)
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = Talk(cast, gateway)
        await talk.connect(cast.ming)

        whole = await talk.ask(history={"channel": stream, "limit": -1})
        some = await talk.ask(history={"channel": stream, "limit": 2, "since": {"offset": 3}})
        beyond = await talk.ask(history={"channel": stream, "limit": 5, "since": {"offset": 900}})
        position = await talk.ask(history={"channel": stream})

    assert numbers_of(whole) == list(range(1, SAID + 1))
    assert numbers_of(some) == [4, 5]
    assert numbers_of(beyond) == []
    assert (position["history"]["publications"], position["history"]["offset"]) == ([], SAID)
    assert position["history"]["epoch"] == cast.town.house.live.hubs[CAMPUS].epoch


async def test_history_that_memory_has_and_that_only_the_database_has_are_the_same(cast: Cast) -> None:
    stream = await told(cast)
    hub = cast.town.house.live.hubs[CAMPUS]
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = Talk(cast, gateway)
        await talk.connect(cast.ming)
        from_database = await talk.ask(history={"channel": stream, "limit": -1})
        await cast.town.house.live.keepers[CAMPUS].post([Draft(stream, b'{"n":8}', event_id="t8")])
        reads = hub.figures.archive_reads

        from_memory = await talk.ask(history={"channel": stream, "limit": 1, "since": {"offset": SAID}})

    assert reads > 0
    assert hub.figures.archive_reads == reads
    assert numbers_of(from_database) == list(range(1, SAID + 1))
    assert numbers_of(from_memory) == [SAID + 1]


async def test_history_is_no_longer_than_one_reply_may_be(cast: Cast) -> None:
    stream = f"user:{cast.ming.id}"
    limit = cast.town.house.live.hubs[CAMPUS].limits.replay_max
    keeper = cast.town.house.live.keepers[CAMPUS]
    await keeper.post([Draft(stream, b'{"n":%d}' % i, event_id=f"t{i}") for i in range(1, limit + 2)])
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = Talk(cast, gateway)
        await talk.connect(cast.ming)

        whole = await talk.ask(history={"channel": stream, "limit": 10_000})

    assert numbers_of(whole) == list(range(1, limit + 1))


async def test_history_backwards_and_of_what_one_does_not_hear_is_refused(cast: Cast) -> None:
    stream = await told(cast)
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk, other = Talk(cast, gateway), Talk(cast, gateway)
        await talk.connect(cast.ming)
        await other.connect(cast.hua)

        backwards = await talk.ask(history={"channel": stream, "limit": 1, "reverse": True})
        of_another = await other.ask(history={"channel": stream, "limit": 1})

    assert backwards["error"]["code"] == 108
    assert of_another["error"]["code"] == 103


async def test_presence_counts_people_and_connections_and_names_nobody(cast: Cast) -> None:
    channel = await opened_group(cast.ming)
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talks = [Talk(cast, gateway) for _ in range(3)]
        for talk, person in zip(talks, (cast.ming, cast.ming, cast.hua), strict=True):
            await talk.connect(person)
            await talk.ask(subscribe={"channel": channel})

        counted = await talks[0].ask(presence_stats={"channel": channel})
        named = await talks[0].ask(presence={"channel": channel})
        talks[1].client.on_closed()
        one_less = await talks[0].ask(presence_stats={"channel": channel})
        talks[2].client.on_closed()
        after = await talks[0].ask(presence_stats={"channel": channel})

    assert counted["presence_stats"] == {"num_clients": 3, "num_users": 2}
    assert one_less["presence_stats"] == {"num_clients": 2, "num_users": 2}
    assert len(named["presence"]["presence"]) == 3
    assert {one["user"] for one in named["presence"]["presence"].values()} == {""}
    assert after["presence_stats"] == {"num_clients": 1, "num_users": 1}


async def test_who_does_not_look_at_a_channel_is_not_told_who_does(cast: Cast) -> None:
    channel = await opened_group(cast.ming)
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        looker, other = Talk(cast, gateway), Talk(cast, gateway)
        await looker.connect(cast.ming)
        await looker.ask(subscribe={"channel": channel})
        await other.connect(cast.hua)

        answers = [await other.ask(**{kind: {"channel": channel}}) for kind in ("presence", "presence_stats")]

    assert [answer["error"]["code"] for answer in answers] == [103, 103]


class Asked:
    """A gate that looks up what somebody may hear when the test says so."""

    def __init__(self, gate: Gate) -> None:
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self._gate = gate

    async def kind_of(self, ticket: Ticket, channel: str) -> ChannelKind:
        self.is_asked.set()
        await self.may_answer.wait()
        return await self._gate.kind_of(ticket, channel)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gate, name)


async def test_who_has_gone_before_he_could_look_at_a_group_is_not_counted_for_ever(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = await opened_group(cast.ming)
    hub = cast.town.house.live.hubs[CAMPUS]
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        gone, stays = Talk(cast, gateway), Talk(cast, gateway)
        await gone.connect(cast.ming)
        await stays.connect(cast.hua)
        asked = Asked(gateway.gate)
        monkeypatch.setattr(gateway, "gate", asked)
        gone.send(subscribe={"channel": channel})
        await asked.is_asked.wait()

        gone.client.on_closed()
        asked.may_answer.set()
        await stays.ask(subscribe={"channel": channel})
        counted = await stays.ask(presence_stats={"channel": channel})
        await stays.ask(unsubscribe={"channel": channel})

        assert counted["presence_stats"] == {"num_clients": 1, "num_users": 1}
        assert hub.pictures == {}


class Unreadable:
    """A gate that cannot read what a picture shows, until the test says so."""

    def __init__(self, gate: Gate) -> None:
        self.asked = 0
        self.is_readable = False
        self._gate = gate

    async def picture(self, campus_id: str, channel: str, watching: int) -> bytes:
        self.asked += 1
        if not self.is_readable:
            raise Unavailable(retry_after_s=2)
        return await self._gate.picture(campus_id, channel, watching)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gate, name)


async def test_a_picture_that_cannot_be_read_for_a_moment_is_shown_after_it(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "CATCH_UP_AGAIN_S", 0.05)
    channel = await opened_group(cast.ming)
    hub = cast.town.house.live.hubs[CAMPUS]
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = Talk(cast, gateway)
        await talk.connect(cast.ming)
        shown = await talk.ask(subscribe={"channel": channel})
        gate = Unreadable(hub._gate)
        monkeypatch.setattr(hub, "_gate", gate)
        group_id = channel.partition(":")[2]
        await done(cast.hua.post(f"groups/{group_id}/orders", {"lines": BEEF_RICE}), 201)
        await until(lambda: gate.asked > 2)

        gate.is_readable = True
        await until(lambda: seats_told(talk, channel)[-1:] == [2])

    assert shown["subscribe"]["data"]["seats_taken"] == 1


def seats_told(talk: Talk, channel: str) -> list[int]:
    """How many seats were said to be taken, one time after the other."""
    pushes = [one["push"] for one in talk.line.said if "push" in one]
    return [push["pub"]["data"]["seats_taken"] for push in pushes if push.get("channel") == channel]


def test_who_says_twice_that_he_looks_is_one_and_gone_when_he_goes() -> None:
    class Phone:
        person_id = "ming"

    one, other = typing.cast("Client", Phone()), typing.cast("Client", Phone())
    picture = Picture()

    for client in (one, one, other):
        picture.add(client)
    both = dict(picture.people)
    for client in (one, one):
        picture.remove(client)

    assert (both, picture.people, list(picture.clients)) == ({"ming": 2}, {"ming": 1}, [other])
    picture.remove(other)
    assert (picture.people, picture.clients) == ({}, {})

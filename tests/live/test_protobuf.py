"""Who speaks Protobuf is told the same, asks the same and is bound by the same limits as who speaks JSON (A1, A5)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picows import WSMsgType, WSTransport

from tests.journeys.conftest import Cast
from tests.live.binary import (
    BinaryLine,
    BinaryTalk,
    BinaryWire,
    behind_length,
    connected_wire,
    frame_of,
    replies_in,
)
from tests.live.lines import CAMPUS, Talk, Watch, a_gateway
from tests.live.street import token_of, url_of
from tests.live.test_limits import opened_group
from tests.waiting import until
from tuanzi import wiring
from tuanzi.machinery.push import protobuf, protocol
from tuanzi.machinery.push.gateway import Gateway
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.ports import ChannelKind, Draft, Ticket
from tuanzi.machinery.push.protocol import Close, Closing, Command, Fault, Refused

ANY_COUNT = 1_000

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
numbers = st.integers(0, 2**64 - 1)
small_numbers = st.integers(0, 2**32 - 1)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
as_json = payloads.map(msgspec.json.encode)
rows = st.lists(st.tuples(numbers, as_json), max_size=3)
places = st.builds(
    lambda flags, epoch, offset, rows: {
        "recoverable": flags[0],
        "positioned": flags[1],
        "was_recovering": flags[2],
        "recovered": flags[3],
        "epoch": epoch,
        "offset": offset,
        "publications": protocol.publications(rows),
    },
    st.tuples(*[st.booleans()] * 4),
    texts,
    numbers,
    rows,
)
raws = as_json.map(msgspec.Raw)
bodies = st.one_of(
    st.tuples(
        st.just("connect"),
        st.fixed_dictionaries(
            {
                "client": texts,
                "version": texts,
                "expires": st.booleans(),
                "ttl": small_numbers,
                "ping": small_numbers,
                "pong": st.booleans(),
                "subs": st.dictionaries(texts, places, max_size=2),
            }
        ),
    ),
    st.tuples(st.just("subscribe"), places | st.fixed_dictionaries({"data": raws})),
    st.tuples(st.just("unsubscribe"), st.just({})),
    st.tuples(
        st.just("refresh"), st.fixed_dictionaries({"client": texts, "expires": st.booleans(), "ttl": small_numbers})
    ),
    st.tuples(
        st.just("presence_stats"), st.fixed_dictionaries({"num_clients": small_numbers, "num_users": small_numbers})
    ),
    st.tuples(
        st.just("presence"),
        st.dictionaries(texts, st.fixed_dictionaries({"client": texts, "user": texts}), max_size=3).map(
            lambda present: {"presence": present}
        ),
    ),
    st.tuples(
        st.just("history"),
        st.builds(
            lambda epoch, offset, rows: {"epoch": epoch, "offset": offset, "publications": protocol.publications(rows)},
            texts,
            numbers,
            rows,
        ),
    ),
    st.tuples(st.just("rpc"), st.fixed_dictionaries({"data": raws})),
)
answers = st.one_of(
    st.builds(lambda id, body: protocol.reply(id, *body), small_numbers, bodies),
    st.builds(protocol.refusal, small_numbers, st.sampled_from(Fault)),
)
pushes = st.one_of(
    st.builds(lambda name, *message: protocol.publication(protocol.head_of(name), *message), texts, numbers, as_json),
    st.builds(protocol.snapshot, texts, as_json),
)
channels = st.fixed_dictionaries({"channel": texts})
positions = st.fixed_dictionaries({"recover": st.booleans(), "offset": numbers, "epoch": texts})
wants = st.one_of(
    st.fixed_dictionaries(
        {"connect": st.fixed_dictionaries({"token": texts, "subs": st.dictionaries(texts, positions, max_size=2)})}
    ),
    st.builds(
        lambda channel, position, flag: {"subscribe": {**channel, **position, "flag": flag}},
        channels,
        positions,
        st.integers(-(2**63), 2**63 - 1),
    ),
    st.builds(
        lambda name, channel: {name: channel}, st.sampled_from(["unsubscribe", "presence", "presence_stats"]), channels
    ),
    st.builds(
        lambda channel, limit, is_reverse, since: {
            "history": {**channel, "limit": limit, "reverse": is_reverse, **({"since": since} if since else {})}
        },
        channels,
        st.integers(-(2**31), 2**31 - 1),
        st.booleans(),
        st.none() | st.fixed_dictionaries({"offset": numbers, "epoch": texts}),
    ),
    st.builds(lambda method, data: {"rpc": {"method": method, "data": data}}, texts, payloads),
    st.builds(lambda data: {"send": {"data": data}}, payloads),
    st.builds(lambda token: {"refresh": {"token": token}}, texts),
    st.just({}),
)
commands = st.lists(st.builds(lambda id, wanted: {"id": id, **wanted}, small_numbers, wants), max_size=4)


def told_by_json(lines: bytes) -> list[dict[str, Any]]:
    """What lines of JSON say; what has its default value is left out, as Protobuf does."""
    return [_spare(json.loads(line)) for line in lines.split(b"\n")]


def _spare(told: dict[str, Any], *, maps: Sequence[str] = ("subs",)) -> dict[str, Any]:
    spared: dict[str, Any] = {}
    for name, value in told.items():
        if name == "data":
            spared[name] = value
        elif name in maps:
            spared[name] = {key: _spare(one) for key, one in value.items()}
        elif isinstance(value, dict):
            spared[name] = _spare(value, maps=("subs", "presence"))
        elif isinstance(value, list):
            spared[name] = [_spare(one) for one in value]
        else:
            spared[name] = value
    # An empty message says something, an empty map or list nothing.
    nothing = [name for name, value in spared.items() if name in maps or not isinstance(value, dict)]
    return {name: value for name, value in spared.items() if name == "data" or name not in nothing or value}


def asked(command: Command) -> dict[str, Any]:
    """What a command asks for, in plain values."""
    return {name: _plain(getattr(command, name)) for name in command.__struct_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Raw):
        return bytes(value)
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value


@given(line=answers)
def test_an_answer_says_the_same_in_both_encodings(line: bytes) -> None:
    assert replies_in(protobuf.told(line)) == told_by_json(line)


@given(line=pushes)
def test_a_push_says_the_same_in_both_encodings(line: bytes) -> None:
    assert replies_in(protobuf.told_to_all(line)) == told_by_json(line)


@given(wanted=commands)
def test_commands_ask_for_the_same_in_both_encodings(wanted: list[dict[str, Any]]) -> None:
    by_json = protocol.read_commands(b"\n".join(map(msgspec.json.encode, wanted)))

    by_protobuf = protobuf.read_commands(frame_of(*wanted), count_max=ANY_COUNT)

    assert [asked(command) for command in by_protobuf] == [asked(command) for command in by_json]
    assert len(by_protobuf) == len(wanted)


def test_what_the_definition_has_no_field_for_is_found_by_tests_and_not_left_out() -> None:
    with pytest.raises(msgspec.ValidationError):
        protobuf.told(protocol.reply(1, "rpc", {"data": {}, "surprise": 1}))


@given(frame=st.binary(max_size=200))
def test_whatever_bytes_come_they_are_commands_or_are_refused(frame: bytes) -> None:
    with contextlib.suppress(msgspec.DecodeError):
        assert all(isinstance(one, Command) for one in protobuf.read_commands(frame, count_max=ANY_COUNT))


async def test_a_push_to_many_is_translated_once(cast: Cast) -> None:
    line = protocol.publication(protocol.head_of("riders"), 1, b'{"state":"ready"}')
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talks = [BinaryTalk(cast, gateway) for _ in range(3)]
        for talk, person in zip(talks, (cast.ming, cast.hua, cast.stranger), strict=True):
            await talk.connect(person)
        before = protobuf.told_to_all.cache_info().misses

        for talk in talks:
            assert talk.client.takes(line)
            talk.client.flush()

        assert protobuf.told_to_all.cache_info().misses == before + 1
        assert {talk.line.frames[-1] for talk in talks} == {protobuf.told(line)}


# By their source: centrifuge-dart 0.16.0 and centrifuge-swift 0.9.0 speak Protobuf only, one command a frame, and fill
# these fields besides; neither can be run here.
APPS: list[dict[str, Any]] = [
    {"name": "dart", "version": "1.0", "headers": {"x": "y"}},
    {"name": "swift", "version": "1.0", "data": base64.b64encode(b"{}").decode(), "flag": 1},
]


@pytest.mark.parametrize("app", APPS, ids=["dart", "swift"])
async def test_what_apps_say_besides_is_passed_over(cast: Cast, app: dict[str, Any]) -> None:
    channel, told = await opened_group(cast.ming), await token_of(cast.ming)
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = BinaryTalk(cast, gateway)

        position = {"recover": True, "offset": 0, "epoch": "another"}
        answer = await talk.ask(connect={"token": told["token"], "subs": {told["channel"]: position}, **app})
        joined = await talk.ask(
            subscribe={
                "channel": channel,
                "token": "t",
                "positioned": True,
                "recoverable": True,
                "join_leave": True,
                "delta": "fossil",
                "tf": {"op": "and", "nodes": [{"key": "a", "vals": ["b"]}]},
            }
        )

        place = answer["connect"]["subs"][told["channel"]]
        assert place["was_recovering"]
        assert "recovered" not in place
        assert joined["subscribe"]["data"]["seats_taken"] == 1


async def test_history_presence_and_refresh_answer_as_in_json(cast: Cast) -> None:
    stream, channel = f"user:{cast.ming.id}", await opened_group(cast.ming)
    keeper = cast.town.house.live.keepers[CAMPUS]
    await keeper.post([Draft(stream, b'{"n":%d}' % i, event_id=f"t{i}") for i in range(1, 4)])
    told = await token_of(cast.ming)
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        heard = []
        for kind in (Talk, BinaryTalk):
            talk = kind(cast, gateway)
            await talk.connect(cast.ming)
            questions: list[dict[str, Any]] = [
                {"subscribe": {"channel": channel}},
                {"subscribe": {"channel": channel}},
                {"subscribe": {"channel": "user:somebody"}},
                {"history": {"channel": stream, "limit": -1}},
                {"history": {"channel": stream, "limit": 1, "since": {"offset": 2, "epoch": ""}}},
                {"history": {"channel": stream, "limit": 1, "reverse": True}},
                {"presence_stats": {"channel": channel}},
                {"refresh": {"token": told["token"]}},
                {"rpc": {"method": "ack", "data": {"number": 2}}},
                {"rpc": {"method": "ack", "data": {"number": "many"}}},
                {"rpc": {"method": "pay", "data": {}}},
                {"publish": {"channel": channel, "data": {}}},
                {"unsubscribe": {"channel": channel}},
                {"unsubscribe": {"channel": stream}},
            ]
            heard.append([_spare(await talk.ask(**question)) for question in questions])
            heard[-1][7]["refresh"].pop("client")
            talk.client.on_closed()

    assert heard[1] == heard[0]


async def test_several_commands_of_a_frame_are_answered_in_order_in_one_frame(cast: Cast) -> None:
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = BinaryTalk(cast, gateway)
        await talk.connect(cast.ming)
        before = len(talk.line.frames)

        ack = {"rpc": {"method": "ack", "data": {"number": 0}}}
        talk.client.on_bytes(frame_of({"id": 7, **ack}, {}, {"id": 8, "rpc": {"method": "pay"}}, {"id": 9, **ack}))

        assert len(talk.line.frames) == before + 1
        assert [one["id"] for one in replies_in(talk.line.frames[-1])] == [7, 8, 9]


@pytest.mark.parametrize(
    "frame",
    [
        b"nonsense",
        b"\x05\x08\x07",
        b"\x80",
        b"\x80\x80\x80\x80\x80\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        behind_length(b"\x08"),
        behind_length(b"\x0d\x01\x00"),
        behind_length(b"\x0b\x08"),
        behind_length(b"\x22\x03\x0a\x01\xff"),
        behind_length(b"\x22\x05\x0a\x01a"),
        frame_of({"id": 1, "rpc": {"method": "ack"}})[:-1],
        b'{"id":1,"connect":{}}',
    ],
    ids=[
        "nonsense",
        "a message cut off",
        "a length cut off",
        "a length without an end",
        "a length of 64 bits",
        "a number cut off",
        "a number cut off of four bytes",
        "a group that does not end",
        "a text that is not UTF-8",
        "a part longer than the whole",
        "the last byte missing",
        "JSON",
    ],
)
async def test_a_frame_that_is_not_the_protocol_ends_the_connection_and_nothing_of_it_is_done(
    cast: Cast, frame: bytes
) -> None:
    await opened_group(cast.ming)
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = BinaryTalk(cast, gateway)
        await talk.connect(cast.ming)
        hub = cast.town.house.live.hubs[CAMPUS]
        stream = await hub.open(f"user:{cast.ming.id}")
        await until(lambda: stream.sent == 1)

        talk.client.on_bytes(frame_of({"send": {"data": {"ack": 1}}}) + frame)

        assert talk.line.code == Close.BAD_REQUEST
        assert stream.acked == 0


class Shut:
    """A gate that lets nobody in."""

    async def admit(self, token: str) -> Ticket:
        """Nobody."""
        raise Closing(Close.INVALID_TOKEN, "nobody comes in")

    async def kind_of(self, ticket: Ticket, channel: str) -> ChannelKind:
        """Nothing is there."""
        raise Refused(Fault.UNKNOWN_CHANNEL)

    async def picture(self, campus_id: str, channel: str, watching: int) -> bytes:
        """Nothing is there."""
        raise Refused(Fault.UNKNOWN_CHANNEL)


@given(frames=st.lists(st.binary(max_size=60) | commands.map(lambda said: frame_of(*said)), max_size=5))
def test_whatever_a_stranger_sends_he_is_told_why_he_must_go_or_may_stay(frames: list[bytes]) -> None:
    async def answer() -> int | None:
        gateway = Gateway({}, Shut(), name="shut", limits=PushLimits(), clock=lambda: 0.0, now=wiring.wall_clock)
        line, running = BinaryLine(), asyncio.create_task(gateway.run())
        await asyncio.sleep(0)
        client = gateway.accept_protobuf(line)
        for frame in frames:
            client.on_bytes(frame)
        await asyncio.sleep(0)
        code = line.code
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return code

    assert asyncio.run(answer()) in (None, Close.BAD_REQUEST, Close.TOO_MANY_REQUESTS, Close.INVALID_TOKEN)


# What frames are spoiled: each kind of command, payloads in payloads.
ASKED: list[dict[str, Any]] = [
    {"id": 1, "connect": {"token": "t", "subs": {"user:p": {"recover": True, "offset": 3, "epoch": "e"}}}},
    {"id": 2, "subscribe": {"channel": "ops", "recover": True, "offset": 2, "epoch": "e", "flag": 2}},
    {"id": 3, "history": {"channel": "ops", "limit": 2, "since": {"offset": 2, "epoch": "e"}}},
    {"id": 4, "rpc": {"method": "ack", "data": {"number": 1, "more": [[[[{"a": "团"}]]]]}}},
    {"send": {"data": {"ack": 1}}},
    {"id": 5, "presence": {"channel": "ops"}},
    {"id": 6, "unsubscribe": {"channel": "ops"}},
    {"id": 7, "refresh": {"token": "t"}},
    {},
]


def spoiled(frame: bytes, chance: Random) -> bytes:
    """A frame with some bytes changed, doubled or left out."""
    some = bytearray(frame)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(some) + 1)
        some[at : at + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 3)) * chance.choice((1, 1, 40))
    return bytes(some)


@pytest.mark.parametrize("kind", [Talk, BinaryTalk])
async def test_whatever_a_client_sends_he_is_told_why_he_must_go_or_may_stay(cast: Cast, kind: type[Talk]) -> None:
    chance = Random(4)
    codes: Counter[int | None] = Counter()
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        for _ in range(150):
            talk = kind(cast, gateway)
            await talk.connect(cast.ming)
            for _ in range(10):
                said = chance.choices(ASKED, k=chance.randint(1, 3))
                if kind is Talk:
                    talk.client.on_text(spoiled(b"\n".join(map(msgspec.json.encode, said)), chance))
                else:
                    talk.client.on_bytes(spoiled(frame_of(*said), chance))
            await asyncio.sleep(0)
            codes[talk.line.code] += 1
            talk.client.on_closed()

    assert set(codes) <= {None, Close.BAD_REQUEST, Close.INVALID_TOKEN, Close.TOO_MANY_REQUESTS}
    assert codes[Close.BAD_REQUEST] > 0


async def test_more_commands_than_may_ever_be_said_at_once_are_not_even_read(cast: Cast) -> None:
    async with a_gateway(cast, Watch(), PushLimits(commands_burst=20)) as gateway:
        talk, other = BinaryTalk(cast, gateway), BinaryTalk(cast, gateway)
        await talk.connect(cast.ming)  # the first of twenty
        await other.connect(cast.hua)

        talk.client.on_bytes(b"\0" * 19)
        other.client.on_bytes(b"\0" * 16_000 + behind_length(b"\x08"))
        before = talk.line.code
        talk.client.on_bytes(b"\0")

        assert before is None
        assert talk.line.code == Close.TOO_MANY_REQUESTS
        assert other.line.code == Close.TOO_MANY_REQUESTS


async def test_a_ping_tells_the_newest_number_and_who_does_not_answer_goes(cast: Cast) -> None:
    # Nothing may be said but who one is: an answer to a ping is free.
    async with a_gateway(cast, Watch(), PushLimits(commands_burst=1)) as gateway:
        alive, dead = BinaryTalk(cast, gateway), BinaryTalk(cast, gateway)
        await alive.connect(cast.ming)
        await dead.connect(cast.hua)

        answered = 0
        for _ in range(2 * gateway.limits.ping_s):
            gateway.tick()
            if alive.line.said.count({}) > answered:
                alive.client.on_bytes(protobuf.PONG)
                answered += 1

        assert alive.line.said[-2:] == [{"push": {"message": {"data": {"newest": 0}}}}, {}]
        assert answered == 2
        assert (alive.line.code, dead.line.code) == (None, Close.NO_PONG)


async def test_who_takes_nothing_for_a_while_misses_nothing_and_gets_the_latest_picture(cast: Cast) -> None:
    stream, channel = f"user:{cast.hua.id}", await opened_group(cast.ming)
    house = cast.town.house
    hub, keeper = house.live.hubs[CAMPUS], house.live.keepers[CAMPUS]
    async with a_gateway(cast, Watch(), PushLimits()) as gateway:
        talk = BinaryTalk(cast, gateway)
        await talk.connect(cast.hua)
        await talk.ask(subscribe={"channel": channel})
        await until(lambda: len(talk.line.frames) == 3)  # watched by one now
        talk.client.on_full()

        await keeper.post([Draft(stream, b'{"n":%d}' % i, event_id=f"t{i}") for i in range(1, 4)])
        looker = BinaryTalk(cast, gateway)
        await looker.connect(cast.stranger)
        await looker.ask(subscribe={"channel": channel})
        await until(lambda: hub.figures.pictures_dropped > 0)
        while_full = len(talk.line.frames)
        talk.client.on_drained()

        heard = [one["push"] for one in talk.line.said[3:]]
        assert while_full == 3
        assert [one["pub"] for one in heard[:-1]] == [{"offset": i, "data": {"n": i}} for i in range(1, 4)]
        assert (heard[-1]["channel"], heard[-1]["pub"]["data"]["watching"]) == (channel, 2)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("centrifuge-protobuf", "centrifuge-protobuf"),
        ("centrifuge-json", "centrifuge-json"),
        ("other, centrifuge-protobuf,centrifuge-json", "centrifuge-protobuf"),
        ("other", None),
    ],
)
async def test_the_first_subprotocol_that_both_know_is_spoken(cast: Cast, offered: str, chosen: str | None) -> None:
    transport, wire = await connected_wire(await url_of(cast.ming), subprotocols=offered)
    token = (await token_of(cast.ming))["token"]
    connect = {"id": 1, "connect": {"token": token}}

    if chosen == "centrifuge-protobuf":
        transport.send(WSMsgType.BINARY, frame_of(connect))
    else:
        transport.send(WSMsgType.TEXT, msgspec.json.encode(connect))
    await until(lambda: bool(wire.said))

    assert transport.response.headers.get("Sec-WebSocket-Protocol") == chosen
    assert wire.said[0]["connect"]["pong"]
    transport.disconnect()


@pytest.mark.parametrize("subprotocol", ["centrifuge-protobuf", "centrifuge-json"])
async def test_a_frame_of_the_other_kind_ends_the_connection(cast: Cast, subprotocol: str) -> None:
    transport, wire = await connected_wire(await url_of(cast.ming), subprotocols=subprotocol)
    is_binary = subprotocol == "centrifuge-json"

    transport.send(WSMsgType.BINARY if is_binary else WSMsgType.TEXT, frame_of({}) if is_binary else b"{}")
    await until(lambda: bool(wire.codes))

    assert wire.codes == [Close.WRONG_FRAME]


async def connected(cast: Cast) -> tuple[WSTransport, BinaryWire]:
    """Ming's connection, after he said who he is."""
    transport, wire = await connected_wire(await url_of(cast.ming))
    transport.send(WSMsgType.BINARY, frame_of({"id": 1, "connect": {"token": (await token_of(cast.ming))["token"]}}))
    await until(lambda: bool(wire.said))
    return transport, wire


async def test_a_large_push_arrives_whole(cast: Cast) -> None:
    transport, wire = await connected(cast)
    text = "团" * 100_000
    draft = Draft(f"user:{cast.ming.id}", msgspec.json.encode({"text": text}), event_id="big")

    await cast.town.house.live.keepers[CAMPUS].post([draft])
    await until(lambda: len(wire.said) == 2)

    assert wire.said[1]["push"]["pub"] == {"offset": 1, "data": {"text": text}}
    transport.disconnect()


async def test_a_message_in_parts_is_read_whole_and_more_than_16_kib_ends_the_connection(cast: Cast) -> None:
    transport, wire = await connected(cast)
    frame = frame_of({"id": 2, "rpc": {"method": "pay", "data": "x" * 10_000}})

    transport.send(WSMsgType.BINARY, frame[:7_000], fin=False)
    transport.send(WSMsgType.CONTINUATION, b"", fin=False)
    transport.send(WSMsgType.CONTINUATION, frame[7_000:])
    await until(lambda: len(wire.said) == 2)
    transport.send(WSMsgType.BINARY, b"\0" * 10_000, fin=False)
    transport.send(WSMsgType.CONTINUATION, b"\0" * 10_000)
    await until(lambda: bool(wire.codes))

    assert wire.said[1]["error"]["code"] == Fault.METHOD_NOT_FOUND
    assert wire.codes == [1009]

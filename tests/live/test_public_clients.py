"""The public clients of the Centrifugo protocol, unmodified, hear what happens to their people (A1, A4, A5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Cast, done
from tests.live.street import Board, Ears, Encoding, OtherEars, compiled_ears, java_ears, node_ears
from tests.live.test_limits import opened_group
from tests.waiting import until

STORY = ["created", "paid", "grouped", "formed", "closed"]


@pytest.fixture(params=["json", "protobuf"])
def encoding(request: pytest.FixtureRequest) -> Encoding:
    """How the client speaks."""
    spoken: Encoding = request.param
    return spoken


def drop_all(cast: Cast) -> None:
    """Every connection breaks, as when a train enters a tunnel."""
    gateway = cast.town.house.live.gateway
    for client in [*gateway._slot_of]:
        client.abort()


async def test_a_student_hears_his_order_from_the_first_step_on(cast: Cast, encoding: Encoding) -> None:
    ears = await Ears(cast.ming, encoding).connect()
    await cast.closed_group()
    await until(lambda: "split.planned" in ears.states)

    assert ears.states[:5] == STORY
    assert ears.numbers == list(range(1, len(ears.numbers) + 1))
    await ears.client.disconnect()


async def test_what_was_missed_while_the_connection_was_broken_comes_once_and_in_order(
    cast: Cast, encoding: Encoding
) -> None:
    """P20: everybody has numbers of his own, so who comes back goes on where he was; who he is says his token."""
    ears = await Ears(cast.ming, encoding).connect()
    opened = await done(cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
    await until(lambda: ears.states == ["created"])

    drop_all(cast)
    await done(cast.ming.post(f"orders/{opened['order_id']}/pay"))
    await until(lambda: ears.states == ["created", "paid"])

    assert ears.numbers == [1, 2]
    assert [context.recovered for context in ears.subscribed] == [True, True]
    assert ears.subscribed[1].was_recovering
    await ears.client.disconnect()


async def test_a_page_opened_anew_gets_what_nobody_acknowledged(cast: Cast, encoding: Encoding) -> None:
    first = await Ears(cast.ming, encoding).connect()
    await cast.closed_group()
    await until(lambda: "split.planned" in first.states)
    await first.acknowledge(3)
    await first.client.disconnect()

    second = await Ears(cast.ming, encoding).connect()
    await until(lambda: len(second.numbers) == len(first.numbers) - 3)

    assert second.numbers == first.numbers[3:]
    assert second.heard == first.heard[3:]
    await second.client.disconnect()


async def test_signing_out_ends_the_connection_for_good(cast: Cast, encoding: Encoding) -> None:
    ears = await Ears(cast.ming, encoding).connect()

    await done(cast.ming.send("DELETE", "/v1/sessions/current"))
    await until(lambda: ears.ends)

    assert ears.ends == [3503]
    assert cast.town.house.live.gateway.connections == 0


async def test_a_group_shows_its_seats_and_how_many_look_at_it(cast: Cast, encoding: Encoding) -> None:
    opened = await done(cast.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
    channel = f"group:{opened['group_id']}"
    ears, looker = await Ears(cast.ming, encoding).connect(), await Ears(cast.stranger, encoding).connect()
    board, other = Board(), Board()
    await ears.client.new_subscription(channel, events=board).subscribe()
    await looker.client.new_subscription(channel, events=other).subscribe()
    await until(lambda: board.shown and board.shown[-1]["watching"] == 2)

    await done(cast.hua.post(f"groups/{opened['group_id']}/orders", {"lines": BEEF_RICE}), 201)
    await until(lambda: other.shown and other.shown[-1]["seats_taken"] == 2)

    assert board.first[0]["seats_taken"] == 1
    assert (await ears.client.presence_stats(channel)).num_users == 2
    await ears.client.disconnect()
    await looker.client.disconnect()


async def test_boards_are_for_their_staff(cast: Cast, encoding: Encoding) -> None:
    listeners = {
        name: await Ears(getattr(cast, name), encoding).connect() for name in ("ming", "merchant", "rider", "warden")
    }
    wanted = {"ming": "board:bj-m01", "merchant": "board:bj-m02", "rider": "ops", "warden": "user:somebody"}
    boards = {name: Board() for name in wanted}
    for name, channel in wanted.items():
        await listeners[name].client.new_subscription(channel, events=boards[name]).subscribe()
    own, riders, overview = Board(), Board(), Board()
    await listeners["merchant"].client.new_subscription("board:bj-m01", events=own).subscribe()
    await listeners["rider"].client.new_subscription("riders", events=riders).subscribe()
    await listeners["warden"].client.new_subscription("ops", events=overview).subscribe()
    _, orders = await cast.closed_group()
    await until(lambda: own.shown)
    await cast.deliver(own.shown[0]["sub_order_ids"][0])
    await until(lambda: [one["state"] for one in riders.shown][-1:] == ["delivered"])
    await until(lambda: overview.shown and overview.shown[-1]["sub_orders_delivered"] == 1)

    assert {name: board.refusals for name, board in boards.items()} == {name: [103] for name in wanted}
    assert len(own.shown[0]["sub_order_ids"]) == len(orders)
    assert [one["state"] for one in own.shown[1:]] == ["accepted", "cooking", "ready", "picked_up", "delivered"]
    assert [one["state"] for one in riders.shown] == ["ready", "picked_up", "delivered"]
    assert overview.shown[-1]["orders_paid"] == 3
    for ears in listeners.values():
        await ears.client.disconnect()


async def test_the_javascript_client_hears_acknowledges_and_resumes(cast: Cast, encoding: Encoding) -> None:
    channel = await opened_group(cast.ming)
    async with node_ears(cast.ming, channel, encoding=encoding) as ears:
        await check_hearing(cast, ears, channel)


async def test_the_java_client_hears_acknowledges_and_resumes(cast: Cast, tmp_path: Path) -> None:
    classes = compiled_ears(tmp_path / "classes")
    channel = await opened_group(cast.ming)
    async with java_ears(cast.ming, channel, classes=classes) as ears:
        await check_hearing(cast, ears, channel)


async def check_hearing(cast: Cast, ears: OtherEars, channel: str) -> None:
    """Ming's client hears that he opened a group, misses his payment, comes back, hears it, and is signed out."""
    joined = await ears.until("joined", channel=channel)
    await ears.until("acked", number=1)
    drop_all(cast)
    order_id = ears.all("publication")[0]["data"]["order_id"]
    await done(cast.ming.post(f"orders/{order_id}/pay"))
    await ears.until("acked", number=2)
    await done(cast.ming.send("DELETE", "/v1/sessions/current"))
    end = await ears.until("disconnected")

    assert joined["data"]["seats_taken"] == 1
    assert end["code"] == 3503
    assert [one["number"] for one in ears.all("publication")] == [1, 2]
    assert [one["data"]["state"] for one in ears.all("publication")] == ["created", "paid"]
    assert [one["recovered"] for one in ears.all("subscribed")] == [True, True]
    assert ears.all("subscribed")[1]["recovering"]

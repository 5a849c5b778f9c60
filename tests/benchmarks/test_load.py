"""The load generator believes no server: groups without their one exact plan are found (issue 2, section 7)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from benchmarks.load import Acknowledged, Group, check
from benchmarks.wire import Address, Pace, connect, percentile


def full_group(*, planned_fen: int) -> Group:
    """A group of three who paid 100 fen each, the last of whom is planned to have paid `planned_fen`."""
    rows = [
        {"order_id": f"o{i}", "items_fen": fen, "discount_fen": 0, "delivery_fen": 0, "payable_fen": fen}
        for i, fen in enumerate([100, 100, planned_fen])
    ]
    paid = [Acknowledged(f"o{i}", 100, i) for i in range(3)]
    return Group(paid=paid, plans=1, plan=msgspec.json.encode(rows))


def test_an_exact_plan_passes() -> None:
    assert check({"g": full_group(planned_fen=100)}) == (1, 1, [])


def test_a_plan_that_is_a_fen_off_is_found() -> None:
    full, deep, wrong = check({"g": full_group(planned_fen=99)})

    assert (full, deep) == (1, 1)
    assert wrong == ["g: planned {'o0': 100, 'o1': 100, 'o2': 99}, paid {'o0': 100, 'o1': 100, 'o2': 100}"]


@pytest.mark.parametrize(("paid", "plans"), [(3, 0), (3, 2), (2, 1)])
def test_a_full_group_has_one_plan_and_others_none(paid: int, plans: int) -> None:
    group = full_group(planned_fen=100)

    _, _, wrong = check({"g": Group(paid=group.paid[:paid], plans=plans, plan=group.plan)})

    assert wrong == [f"g: {paid} paid but {plans} plans"]


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in (b"HTTP/1.1 200 OK\r\nConte", b"nt-Length: 5\r\n\r\n", b"he", b"llo"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    (connection,) = await connect(Address(server.sockets[0].getsockname()[1]), 1)
    answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    connection.send(b"GET / HTTP/1.1\r\n\r\n", lambda status, body: answered.set_result((status, body)))

    assert await asyncio.wait_for(answered, 60) == (200, b"hello")
    connection.close()
    server.close()


async def test_an_open_loop_calls_for_each_at_its_scheduled_time() -> None:
    scheduled: list[float] = []

    await Pace(2000, seconds=0.05, act=scheduled.append).run()

    assert len(scheduled) == 100
    assert scheduled[99] - scheduled[0] == pytest.approx(99 / 2000)


def test_a_percentile_is_a_measured_value() -> None:
    ordered = [float(i) for i in range(1, 101)]

    assert (percentile(ordered, 0.5), percentile(ordered, 0.99), percentile(ordered, 1.0)) == (50.0, 99.0, 100.0)
    assert percentile([], 0.99) == 0.0

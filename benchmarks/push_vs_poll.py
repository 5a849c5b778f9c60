"""What it costs the server to keep pages fresh: pushed, beside polling every 2, 5 and 15 seconds (A1).

The same trace for both, on the same code and in the same process: so many students look at one order each, and of an
order fourteen things are told within forty minutes, from placed to delivered. Either way a page has a connection of
its own, open all the time. Polled, it asks for its order every so often and is answered from memory. Pushed, each
change is numbered, kept, sent and acknowledged, and every connection is asked every so often whether it is there. That
an order was placed is told before its page is open; the change's own commit in core is in neither. What the process
costs with nobody connected is measured first and taken off, for the pushes with the changes being made and told to
nobody, since whoever makes them costs something too. The books, which are compared once a minute, are left alone: some
windows would have more of that than others.
Processes are counted with all below them: the one that writes the file of messages is the server's child's child.
A push of this trace is a second late on average, two at most (decision 0021), as polling every 2 seconds would be; a
poll of 5 seconds is later. With `--json` the last line is one object.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from picows import ws_connect

from benchmarks.push_clients import Crowd, Listener, acknowledge_all
from benchmarks.push_servers import BenchSource, live_keeper, order_placed, tokens_of
from benchmarks.servers import ROOT, cpu_of
from benchmarks.wire import GET, Address, Connection, Pace, connect
from simulation import bench
from tuanzi.engines.database.scribe import Scribe
from tuanzi.events import OrderAdvanced
from tuanzi.groups import OpenGroup, Wanted
from tuanzi.machinery.collector import calm_collector
from tuanzi.money import SandboxProvider
from tuanzi.people import ConsoleSender
from tuanzi.reconciliation import service as reconciliation
from tuanzi.roles.api import serve
from tuanzi.settings import read_settings
from tuanzi.wiring import House, Vendors

CHANGES_EVERY_S = 40 * 60 / 14
POLLS_EVERY_S = (2.0, 5.0, 15.0)
LATE_S_MAX = 20.0
# What came before is done meanwhile: that everybody was told and has connected is kept within five seconds, what nobody
# acknowledged is escalated within fifteen.
SETTLING_S = 16.0
ANSWERED_S = 2.0


class Looker(msgspec.Struct):
    """A student with an order: how he asks and how he connects."""

    session_token: str
    order_id: str
    live_token: str


class Ready(msgspec.Struct):
    """Where the server listens."""

    port: int
    live_port: int


class Window(msgspec.Struct):
    """A time that is measured: how many orders change a second, and whether anybody is told."""

    seconds: float
    changes_per_s: float = 0.0
    is_told: bool = True


class Report(msgspec.Struct):
    """The last line. Costs are server CPU in us for each change that was delivered to one page."""

    cpu_saved_vs_poll_2s: float
    cpu_saved_vs_poll_5s: float
    cpu_saved_vs_poll_15s: float
    push_us_per_update: float
    poll_us_per_update: dict[str, float]
    us_per_poll: float
    push_p99_ms: float
    idle_us_per_s: float
    idle_with_changes_us_per_s: float
    lookers: int
    updates: int
    wrong: list[str]


async def be_served(data: Path, lookers: int) -> None:
    """The server: a real house; order changes are told by lines on standard input, a `Window` each."""
    reconciliation.EVERY = timedelta(days=1)
    bench.seed(data, students=lookers, out=data / "known.json")
    known = msgspec.json.decode((data / "known.json").read_bytes(), type=bench.Known)
    environment = {**os.environ, "TUANZI_DATA": str(data), "TUANZI_CAMPUSES": bench.CAMPUS, "TUANZI_LIVE_PORT": "0"}
    vendors, scribe = Vendors(codes=ConsoleSender(), payments=SandboxProvider()), Scribe()
    house = House(read_settings(environment), vendors, scribe=scribe)
    calm_collector()
    source = BenchSource()
    keeper = live_keeper(house, source)

    async def tell() -> None:
        order_ids = await _open_orders(house, known)
        live_tokens = tokens_of(house, lookers)
        people = [student.person_id for student in known.students]
        placed = zip(order_ids, people, strict=True)
        source.tell([order_placed(order_id, person_id, now=house.clock()) for order_id, person_id in placed])
        while keeper.figures.messages < lookers:  # noqa: ASYNC110 - another task's doing
            await asyncio.sleep(0.01)
        tokens = dict(zip([person for _, person in house_sessions(house, lookers)], live_tokens, strict=True))
        made = [
            Looker(session_token=student.token, order_id=order_id, live_token=tokens[student.person_id])
            for student, order_id in zip(known.students, order_ids, strict=True)
        ]
        (data / "lookers.json").write_bytes(msgspec.json.encode(made))
        assert house.address.port is not None
        ready = Ready(port=house.settings.port, live_port=house.address.port)
        print(msgspec.json.encode(ready).decode(), flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            window = msgspec.json.decode(line, type=Window)
            tell = source.tell if window.is_told else BenchSource().tell
            cpu, made = cpu_of(os.getpid()), 0
            began = time.monotonic()
            while made < int(window.seconds * window.changes_per_s):
                due = began + made / window.changes_per_s
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                i = made % lookers
                state = f"at_{int(due * 1e9):020d}"
                tell([OrderAdvanced(order_id=order_ids[i], member_id=people[i], before="paid", state=state)])
                made += 1
            await asyncio.sleep(max(0.0, began + window.seconds - time.monotonic()))
            print(msgspec.json.encode((made, cpu_of(os.getpid()) - cpu)).decode(), flush=True)
        os.kill(os.getpid(), 15)

    with scribe:
        await serve(house, beside=tell)


def house_sessions(house: House, lookers: int) -> list[tuple[Any, ...]]:
    """(session, person) of everybody."""
    return house.platform.database.rows(f"SELECT id, person_id FROM sessions ORDER BY id LIMIT {lookers}")


async def _open_orders(house: House, known: bench.Known) -> list[str]:
    """An order of each student, made by real commands."""
    order_ids = []
    for student in known.students:
        now = house.clock()
        order_id = house.ids.make("o", now=now)
        command = OpenGroup(
            group_id=house.ids.make("g", now=now),  # type: ignore[arg-type]
            order_id=order_id,  # type: ignore[arg-type]
            member_id=student.person_id,  # type: ignore[arg-type]
            campaign_id=known.campaign_id,  # type: ignore[arg-type]
            building_id=known.building_id,  # type: ignore[arg-type]
            lines=(Wanted(dish_id=known.dishes[0].dish_id, quantity=1),),  # type: ignore[arg-type]
        )
        await house.campuses[bench.CAMPUS].core.submit(command)
        order_ids.append(order_id)
    return order_ids


class ServerUnderTest:
    """The process that is measured."""

    def __init__(self, folder: Path, lookers: int) -> None:
        words = [sys.executable, "-m", "benchmarks.push_vs_poll", "--serve", str(folder), "--lookers", str(lookers)]
        environment = {**os.environ, "TUANZI_PORT": str(_free_port())}
        self._process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the server ended; see what it said above")
        self.ready = msgspec.json.decode(line, type=Ready)
        self.lookers = msgspec.json.decode((folder / "lookers.json").read_bytes(), type=list[Looker])

    async def spend(self, window: Window) -> tuple[int, float]:
        """Let orders change; how many did, and the CPU seconds of the process and all below it meanwhile."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(window) + b"\n")
        process.stdin.flush()
        line = await asyncio.get_running_loop().run_in_executor(None, process.stdout.readline)
        return msgspec.json.decode(line, type=tuple[int, float])

    def stop(self) -> None:
        """End it."""
        self._process.communicate(timeout=30)


class Pages:
    """The pages that poll, each over its own connection, one after the other."""

    def __init__(self, connections: list[Connection], questions: list[bytes]) -> None:
        self.asked = 0
        self._connections = connections
        self._questions = questions
        self._answered = 0
        self._refused = 0

    def ask(self, at: float) -> None:
        """It is the next page's turn."""
        i = self.asked % len(self._connections)
        self.asked += 1
        self._connections[i].send(self._questions[i], self._hear)

    def _hear(self, status: int, body: bytes) -> None:
        self._answered += 1
        self._refused += status != 200

    def close(self) -> list[str]:
        """Close all; what was wrong."""
        for connection in self._connections:
            connection.close()
        if (self._answered, self._refused) == (self.asked, 0):
            return []
        return [f"of {self.asked} polls {self._answered} were answered, {self._refused} with no order"]


async def measure(arguments: argparse.Namespace, folder: Path) -> Report:
    """Idle, then pushes, for which the tokens are good for five minutes, then each way of polling."""
    server = await asyncio.get_running_loop().run_in_executor(None, ServerUnderTest, folder, arguments.lookers)
    seconds = arguments.seconds
    lookers = len(server.lookers)
    wrong: list[str] = []
    changes_per_s = lookers / CHANGES_EVERY_S
    await asyncio.sleep(SETTLING_S)
    _, idle = await server.spend(Window(seconds))
    _, idle_with_changes = await server.spend(Window(seconds, changes_per_s, is_told=False))
    updates, push_cpu, crowd = await _push(server, Window(seconds, changes_per_s))
    seen = crowd.round(0.0)
    if (seen.arrived, seen.gaps, seen.repeats) != (updates, 0, 0):
        wrong.append(f"of {updates} changes {seen}")
    await asyncio.sleep(SETTLING_S)
    pages = Pages(await connect(Address(server.ready.port), lookers), [_question(each) for each in server.lookers])
    polling: dict[str, float] = {}
    polls_cpu, polls = 0.0, 0
    for every in POLLS_EVERY_S:
        rate = lookers / every
        before = pages.asked
        measured, _ = await asyncio.gather(
            server.spend(Window(seconds)), Pace(rate, seconds=seconds, act=pages.ask).run()
        )
        asked = pages.asked - before
        cost = max(measured[1] - idle, 0.0)
        polls_cpu, polls = polls_cpu + cost, polls + asked
        polling[f"{every:.0f}s"] = cost / asked * (CHANGES_EVERY_S / every) * 1e6
    await asyncio.sleep(ANSWERED_S)
    wrong += pages.close()
    server.stop()
    push = max(push_cpu - idle_with_changes, 0.0) / updates * 1e6
    return Report(
        **{f"cpu_saved_vs_poll_{every}": round(1 - push / cost, 4) for every, cost in polling.items()},  # type: ignore[arg-type]
        push_us_per_update=round(push, 1),
        poll_us_per_update={every: round(cost, 1) for every, cost in polling.items()},
        us_per_poll=round(polls_cpu / polls * 1e6, 1),
        push_p99_ms=seen.p99_ms,
        idle_us_per_s=round(idle / seconds * 1e6, 1),
        idle_with_changes_us_per_s=round(idle_with_changes / seconds * 1e6, 1),
        lookers=lookers,
        updates=updates,
        wrong=wrong,
    )


async def _push(server: ServerUnderTest, window: Window) -> tuple[int, float, Crowd]:
    """Everybody is connected while orders change at the trace's rate."""
    crowd = Crowd()
    url = f"ws://127.0.0.1:{server.ready.live_port}/connection/websocket"
    transports = []
    for each in server.lookers:
        listener = Listener(crowd, each.live_token)
        transport, _ = await ws_connect(lambda listener=listener: listener, url, read_buffer_init_size=1024)  # type: ignore[misc]
        await asyncio.wait_for(listener.is_connected, LATE_S_MAX)
        transports.append(transport)
    acknowledging = asyncio.create_task(acknowledge_all(crowd))
    await asyncio.sleep(SETTLING_S)
    updates, cpu = await server.spend(window)
    async with asyncio.timeout(LATE_S_MAX):
        while len(crowd.latencies_ns) < updates:  # noqa: ASYNC110 - what comes says nothing to us
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)  # for what comes twice
    acknowledging.cancel()
    for transport in transports:
        transport.disconnect()
    return updates, cpu, crowd


def _question(looker: Looker) -> bytes:
    """What a page asks again and again."""
    path = f"/v1/campuses/{bench.CAMPUS}/orders/{looker.order_id}"
    return GET % (path.encode(), looker.session_token.encode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> int:
    """Measure and tell, or be the server."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lookers", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each window; whole minutes")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.serve is not None:
        uvloop.run(be_served(arguments.serve, arguments.lookers))
        return 0
    with tempfile.TemporaryDirectory(prefix="tuanzi-push-") as folder:
        report = uvloop.run(measure(arguments, Path(folder)))
    print(f"a push costs {report.push_us_per_update} us of CPU a change, p99 {report.push_p99_ms} ms")
    for every, cost in report.poll_us_per_update.items():
        print(f"polling every {every}: {cost} us a change, {report.us_per_poll} us a poll")
    for line in report.wrong:
        print(f"WRONG {line}")
    if arguments.json:
        print(msgspec.json.encode(report).decode())
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

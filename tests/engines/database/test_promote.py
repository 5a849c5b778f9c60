"""`tuanzi promote` makes a replica the primary, and the old one its replica (E1, docs/runbooks/promote.md)."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymysql.err import MySQLError

from servers.maria import OPERATOR, REPLICATION, Node
from servers.process import free_ports
from tests.databases import servers
from tests.engines.database.test_replicas import SHORT, Trio, wait_until
from tests.engines.database.things import ids, keep, prepare, thing
from tuanzi.engines.database import promotion
from tuanzi.engines.database.connections import Patience, ask, connect
from tuanzi.engines.database.promotion import NotPromoted, promote
from tuanzi.engines.database.replicas import Replicated
from tuanzi.roles.cli import main


@pytest.fixture
def trio() -> Iterator[Trio]:
    """Servers that this test hurts."""
    with servers(is_durable=False) as made:
        yield Trio(made, made.start_primary(with_replicas=2))


def words(trio: Trio, folder: Path, *nodes: Node) -> list[str]:
    """The command for some servers."""
    files = {"operator": OPERATOR, "replica": REPLICATION}
    given = ["promote", *(place(node) for node in nodes)]
    for name, user in files.items():
        (folder / name).write_text(f"{trio.servers.passwords[user]}\n")
        given += [f"--{name}-password-file", str(folder / name)]
    return given


def place(node: Node) -> str:
    """Where a server is."""
    return f"127.0.0.1:{node.port}"


def test_a_replica_is_promoted_by_a_command_and_the_old_primary_copies_it(
    trio: Trio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, *replicas = trio.servers.nodes
    database = Replicated(trio.address_of_all(), patience=SHORT)
    prepare(database)
    keep(database, thing("before"))
    too_early = main(words(trio, tmp_path, *replicas)), capsys.readouterr().err
    old.kill()
    wait_until(lambda: all(node.slave_status()["Slave_IO_Running"] != "Yes" for node in replicas))

    done = main(words(trio, tmp_path, *replicas)), capsys.readouterr().err
    keep(database, thing("after"))
    (new,) = [node for node in replicas if node.ask("SELECT @@read_only") == [(0,)]]
    old.start(is_read_only=True)
    followed = main([*words(trio, tmp_path, old), "--follow", place(new)]), capsys.readouterr().err
    wait_until(lambda: old.slave_status().get("Slave_IO_Running") == "Yes")

    assert (too_early[0], done[0], followed[0]) == (1, 0, 0)
    assert "still hears the primary" in too_early[1]
    assert len(too_early[1].splitlines()) == 1
    assert f"{place(new)} takes writes" in done[1]
    assert f"{place(next(node for node in replicas if node is not new))}: copies it" in done[1]
    assert followed[1] == f"{place(old)} copies {place(new)}\n"
    assert ids(database) == ["after", "before"]
    for secret in trio.servers.passwords.values():
        assert secret not in too_early[1] + done[1] + followed[1]
    database.close()


class Breaking:
    """Carries connections to servers; each statement of a promotion breaks its connection when it is asked first, when
    it is asked again its answer is lost, and from then on it is answered."""

    STATEMENTS = ("SHOW", "SELECT @@global", "SELECT MASTER", "START", "STOP", "RESET", "SET GLOBAL", "CHANGE")

    def __init__(self, *nodes: Node) -> None:
        self.ports: dict[int, int] = {}
        self.asked: Counter[tuple[int, str]] = Counter()
        self._nodes = nodes
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Breaking:
        self._thread.start()
        for node in self._nodes:
            asyncio.run_coroutine_threadsafe(self._listen(node.port), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, port: int) -> None:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            is_lost: list[bool] = []
            back = asyncio.create_task(self._pass(far_reader, writer, lambda _: is_lost[0] if is_lost else False))

            def is_broken(said: bytes) -> bool:
                text = said[5:].decode(errors="replace")
                if not text.startswith(self.STATEMENTS):
                    return False
                about = (port, text)
                self.asked[about] += 1
                is_lost[:] = [self.asked[about] == 2]
                return self.asked[about] == 1

            await self._pass(reader, far_writer, is_broken)
            await back
            writer.close()

        server = await asyncio.start_server(carry, "127.0.0.1", 0)
        self.ports[port] = server.sockets[0].getsockname()[1]

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_broken: Any) -> None:
        try:
            while (some := await reader.read(1 << 16)) and not is_broken(some):
                writer.write(some)
                await writer.drain()
        except OSError:
            pass
        writer.close()


def test_a_promotion_that_broke_anywhere_is_gone_on_with_by_a_repeat(trio: Trio) -> None:
    old, *replicas = trio.servers.nodes
    database = Replicated(trio.address_of_all(), patience=SHORT)
    prepare(database)
    keep(database, thing("before"))
    old.kill()
    wait_until(lambda: all(node.slave_status()["Slave_IO_Running"] != "Yes" for node in replicas))
    said: list[str] = []

    with Breaking(*replicas) as breaking:
        servers = [replace(trio.operated(node), port=breaking.ports[node.port]) for node in replicas]
        for _ in range(100):
            try:
                done = promote(servers, copying=trio.copying)
                break
            except (NotPromoted, MySQLError) as error:
                said.append(str(error))
                wait_until(lambda: not any(_begins(node, set(breaking.ports.values())) for node in replicas))
        again = promote(servers, copying=trio.copying)
        chosen, other = sorted(replicas, key=lambda node: node.ask("SELECT @@read_only"))
        keep(database, thing("after"))
        wait_until(lambda: other.ask("SELECT @@gtid_slave_pos") == chosen.ask("SELECT @@gtid_current_pos"))
        heard = other.slave_status()["Slave_IO_Running"]
        rows = [node.ask(f"SELECT id FROM {database.primary.address.schema}.things") for node in replicas]
        database.close()

    assert len(said) >= 2 * 15
    assert not [each for each in said if "Lost connection" not in each and "gone away" not in each]
    assert done.primary == again.primary
    assert done.primary.port == breaking.ports[chosen.port]
    assert [node.ask("SELECT @@read_only") for node in (chosen, other)] == [[(0,)], [(1,)]]
    assert rows == [[("after",), ("before",)]] * 2
    assert heard == "Yes"


def test_what_it_received_may_be_applied_for_as_long_as_was_said(
    trio: Trio, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "ANSWER_S_MAX", 2.0)
    old, replica, other = trio.servers.nodes
    other.kill()
    database = Replicated(trio.address_of_all(), patience=SHORT)
    prepare(database)
    wait_until(lambda: replica.ask("SELECT @@gtid_slave_pos") == old.ask("SELECT @@gtid_current_pos"))
    with closing(connect(trio.operated(replica), Patience(connect_s=2.0, answer_s=60.0), schema=False)) as holding:
        ask(holding, "FLUSH TABLES WITH READ LOCK")  # it receives, and applies nothing
        keep(database, thing("kept"))
        old.kill()
        wait_until(lambda: replica.slave_status()["Slave_IO_Running"] != "Yes")

        code = main([*words(trio, tmp_path, replica), "--within-s", "4"])

    said = capsys.readouterr().err
    assert code == 1
    assert "has not applied" in said
    assert "within 4 s" in said
    database.close()


def test_two_that_take_writes_are_not_made_one_by_a_promotion(trio: Trio) -> None:
    replicas = trio.servers.nodes[1:]
    for node in replicas:
        node.ask("STOP SLAVE")
        node.ask("RESET SLAVE ALL")
    replicas[0].ask("SET GLOBAL read_only = OFF")

    with pytest.raises(NotPromoted, match="one of them must not"):
        promote([trio.operated(node) for node in trio.servers.nodes], copying=trio.copying)

    assert [node.ask("SELECT @@read_only") for node in trio.servers.nodes] == [[(0,)], [(0,)], [(1,)]]


def _begins(node: Node, ports: Collection[int]) -> bool:
    """Whether it is about to hear one that is alive."""
    status = node.slave_status()
    return status.get("Master_Port", 0) in ports and status["Slave_IO_Running"] not in ("Yes", "No")


def test_what_cannot_be_promoted_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    files = ["--operator-password-file", str(secret), "--replica-password-file"]

    codes, said = [], []
    for given in (
        ["promote", f"127.0.0.1:{port}", *files, str(secret)],
        ["promote", "a:b:c", *files, str(secret)],
        ["promote", f"127.0.0.1:{port}", *files, str(tmp_path / "missing")],
        ["promote", f"127.0.0.1:{port}", "--follow", "127.0.0.1:1", *files, str(secret)],
    ):
        codes.append(main(given))
        said.append(capsys.readouterr().err)

    assert codes == [1, 1, 1, 1]
    assert all(len(each.splitlines()) == 1 for each in said), said
    assert "leave it out only if it is lost for good" in said[0]
    assert "host:port is expected" in said[1]
    assert "missing: cannot be read" in said[2]
    assert "hidden" not in "".join(said)

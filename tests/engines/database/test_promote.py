"""`tuanzi promote` makes a replica the primary, and the old one its replica (E1, docs/runbooks/promote.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.maria import OPERATOR, REPLICATION, Node
from servers.process import free_ports
from tests.databases import servers
from tests.engines.database.test_replicas import SHORT, Trio, wait_until
from tests.engines.database.things import ids, keep, prepare, thing
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

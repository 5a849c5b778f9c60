"""Databases of each engine for tests: a MariaDB server that all share, and schemas of one's own on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from servers.maria import APPLICATION, Maria, Node
from tuanzi.engines.database.connections import Address
from tuanzi.engines.database.mariadb import MariaDb

MEMORY = Path("/dev/shm")  # 64 MiB in a container, unless somebody says otherwise
MEMORY_BYTES_MIN = 4 * 2**30  # five nodes at once take about 1 GiB
_numbers = count(1)


@contextmanager
def servers(*, is_durable: bool = True) -> Iterator[Maria]:
    """A folder of private servers, in memory where there is room; a killed process loses nothing of it either.

    On a busy disk making a table waits several times, and a house has a hundred.
    """
    is_roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN
    with TemporaryDirectory(prefix="tuanzi-", dir=MEMORY if is_roomy else None) as folder:
        made = Maria(Path(folder), is_durable=is_durable)
        try:
            yield made
        finally:
            made.stop()


class Site:
    """Servers, and the one that takes writes."""

    def __init__(self, servers: Maria, primary: Node) -> None:
        self.servers = servers
        self.primary = primary

    def address(self, node: Node | None = None, *, schema: str = "", by_socket: bool = True) -> Address:
        """A schema that nobody has used yet, or the one named, as the application reaches it."""
        at = node or self.primary
        return Address(
            host="127.0.0.1",
            port=at.port,
            user=APPLICATION,
            schema=schema or f"tuanzi_t{next(_numbers)}",
            password=self.servers.passwords[APPLICATION],
            socket=at.socket if by_socket else "",
        )

    def url(self) -> str:
        """A prefix that nobody has used yet, as a setting."""
        address = self.address()
        return (
            f"mysql://{address.user}:{address.password}@127.0.0.1:{address.port}/{address.schema}"
            f"?socket={address.socket}"
        )


def tables_of(database: Any) -> list[str]:
    """The names of a database's tables, in order."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    if isinstance(database, MariaDb):
        sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name"
    return [name for (name,) in database.rows(sql)]

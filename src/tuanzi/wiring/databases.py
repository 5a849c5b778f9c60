"""Needs meet engines: which databases there are, and which of the engines opens each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from tuanzi.engines.database.connections import Address
from tuanzi.engines.database.looking import position_in_file
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.replicas import Replicated
from tuanzi.engines.database.scribe import Dictated, Scribe
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.machinery.internal import POSITION_OF_SOURCE
from tuanzi.machinery.migrate import Migratable, migrate
from tuanzi.settings import Settings

# Of a campus, each with a writer of its own; "platform" is shared by all campuses.
CAMPUS_DATABASES = ("core", "money", "delivery", "notices")
# On a server a commit costs it, its replica and this process much, however little it keeps; so where hardly anybody
# waits, none begins so soon after another. Measured once at full load, `order_path_cluster`, with deciding ahead only
# full batches: 2,240 -> 1,870 us of processor a chain, 800 -> 940 chains/s, latency at half load the same.
SERVED_PACE_S = {"delivery": 0.1, "notices": 0.1}


def open_where_set(
    settings: Settings,
    name: str,
    kind: str,
    *,
    now: datetime | None,
    takes_over: bool = False,
    scribe: Scribe | None = None,
) -> Migratable:
    """The database `platform` or e.g. `beijing.core` where the settings say: a file, or a schema of their server.

    now: when it is brought to this release; None for one that another process keeps, which may not be there yet.
    takes_over: whether whoever wrote there is ended first. scribe: who writes into files; None for this process itself.
    """
    database: Migratable
    server = settings.server_of(name)
    if server is None:
        path = file_of(settings.data, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        database = Sqlite(path) if scribe is None else Dictated(path, scribe)
    else:
        address = schema_on(server, name)
        database = Replicated(address) if address.others else MariaDb(address)
    if takes_over:
        database.take_over()
    if now is not None:
        migrate(database, ("every", kind), now=now)
    return database


def file_of(folder: Path, name: str) -> Path:
    """Where the database `platform` or e.g. `beijing.core` is in a data folder."""
    return folder / f"{name.replace('.', '/')}.db"


def files_in(folder: Path) -> list[str]:
    """The databases that are in a data folder, whichever campuses the settings name; the platform's first."""
    names = ["platform", *sorted(f"{path.parent.name}.{path.stem}" for path in folder.glob("*/*.db"))]
    is_ours = {"platform", *CAMPUS_DATABASES}
    return [name for name in names if name.rpartition(".")[2] in is_ours and file_of(folder, name).exists()]


def check_files(folder: Path, campuses: Sequence[str]) -> None:
    """Raises DatabaseUnavailable when a database is gone: another was written to, which begins when all are there.

    A house that makes it anew beside the others has lost what was in it without a word, and never hears what happens
    there: the others have heard of more. A campus of which there is nothing is a new one. Messages may begin anew, from
    what happens next: nobody hears what is in `notices`.
    """
    platform = file_of(folder, "platform")
    for campus in campuses:
        paths = [file_of(folder, f"{campus}.{kind}") for kind in CAMPUS_DATABASES]
        there = [path for path in paths if path.exists()]
        heard = (platform, *(path for path in paths if path.stem != "notices"))
        gone = [path for path in heard if not path.exists()]
        if there and gone and any(position_in_file(path) for path in there):
            raise DatabaseUnavailable(f"{gone[0]}: is gone, and was there when {there[0]} was written")


def schema_on(server: Address, name: str) -> Address:
    """Where the database `platform` or e.g. `beijing.core` is on a server."""
    return replace(server, schema=f"{server.schema}_{name.replace('.', '_')}")


def campus_on(server: Address, campus: str) -> dict[str, Address]:
    """Where the databases of a campus are on a server, by kind."""
    return {kind: schema_on(server, f"{campus}.{kind}") for kind in CAMPUS_DATABASES}


def open_database(path: Path | None, kind: str, *, now: datetime) -> Sqlite:
    """A database of this release at `path`, made when it is not there; in memory for None."""
    if path is None:
        return _new_in_memory(kind, now).copy()
    path.parent.mkdir(parents=True, exist_ok=True)
    database = Sqlite(path)
    migrate(database, ("every", kind), now=now)
    return database


@lru_cache(maxsize=16)
def _new_in_memory(kind: str, now: datetime) -> Sqlite:
    """What simulations begin with, a thousand times over."""
    database = Sqlite(None)
    migrate(database, ("every", kind), now=now)
    return database


def position_of(database: Any, source: str) -> int:
    """The last event of `source` whose effect `database` keeps."""
    rows = database.rows(POSITION_OF_SOURCE, {"source": source})
    return int(rows[0][0]) if rows else 0


def place_of(database: Any) -> str:
    """Behind all that this process has committed there, where a replica may not have it yet; else ""."""
    return database.primary.gtid if isinstance(database, Replicated) else ""

"""Copies of SQLite files as they all stood at one moment, made while others write to them.

For a moment this process has the write lock of every file, so nobody commits anywhere; it begins to read each of them,
and lets go. What it reads then is what a `kill -9` of the house would have left at that moment, and the house knows how
to go on from there (`tests/faults/test_kill.py`): nothing is half done that it could not tell.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from tuanzi.machinery.database import DatabaseUnavailable

# Who waits for a lock gives up after 5 s (`Sqlite`); whoever orders notices a second.
HOLD_S_MAX = 1.0
TRIES = 20
REST_S = 0.2
ASK_AGAIN_S = 0.0005
# Our choice: 4 MiB, then a pause in which the disk is the house's.
PAGES_AT_ONCE = 512
PAUSE_S = 0.004


@dataclass(frozen=True, slots=True)
class Copied:
    """One file that was copied. position, event_number: of its writer's cursor then."""

    name: str
    position: int
    event_number: int
    size_bytes: int


def copy_at_once(sources: Mapping[str, Path], targets: Mapping[str, Path]) -> tuple[list[Copied], float]:
    """Copy files, by their names, as they all are at one moment; what was copied, and for how many seconds nobody could
    commit. The targets must not be there yet. Raises DatabaseUnavailable, also when a copy turns out to be damaged.
    """
    with ExitStack() as open_files:
        try:
            readers, held_s = _read_from_now(sources, open_files)
            copied = [_copy(name, readers[name], targets[name]) for name in sources]
        except sqlite3.Error as error:
            raise DatabaseUnavailable(str(error)) from error
    return copied, held_s


def check_copy(name: str, path: Path) -> Copied:
    """What a copy keeps, when it is whole. Raises DatabaseUnavailable."""
    try:
        with closing(_open(path)) as connection:
            ((verdict, *_), *_) = connection.execute("PRAGMA quick_check(1)").fetchall()
            position, event_number = _cursor(connection)
            ((newest,),) = connection.execute("SELECT COALESCE(MAX(number), 0) FROM events").fetchall()
    except sqlite3.Error as error:
        raise DatabaseUnavailable(f"{path}: {error}") from error
    if verdict != "ok":
        raise DatabaseUnavailable(f"{path}: {verdict}")
    if newest > event_number:
        raise DatabaseUnavailable(f"{path}: has event {newest}, but its writer noted {event_number}")
    return Copied(name, position, event_number, path.stat().st_size)


def _read_from_now(sources: Mapping[str, Path], open_files: ExitStack) -> tuple[dict[str, sqlite3.Connection], float]:
    """Connections that all read what is there at one moment."""
    for path in sources.values():
        if not path.exists():
            raise DatabaseUnavailable(f"{path}: not made yet")
    locks = {name: open_files.enter_context(closing(_open(path))) for name, path in sources.items()}
    readers = {name: open_files.enter_context(closing(_open(path))) for name, path in sources.items()}
    for _ in range(TRIES):
        began = time.monotonic()
        try:
            if all([_lock(lock, until=began + HOLD_S_MAX) for lock in locks.values()]):
                for reader in readers.values():
                    reader.execute("BEGIN")
                    _cursor(reader)  # from its first question on it sees what is there now
                return readers, time.monotonic() - began
        finally:
            for lock in locks.values():
                if lock.in_transaction:
                    lock.execute("ROLLBACK")
        time.sleep(REST_S)
    raise DatabaseUnavailable(f"no moment was found within {TRIES} s in which nobody commits")


def _lock(connection: sqlite3.Connection, *, until: float) -> bool:
    """Take the write lock of a file, as soon as whoever commits has done so; whether it could be had in time."""
    while time.monotonic() < until:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(ASK_AGAIN_S)
        else:
            return True
    return False


def _copy(name: str, source: sqlite3.Connection, target: Path) -> Copied:
    """Copy one file as its connection sees it, and look whether the copy is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb"):
        pass
    seen = _cursor(source)
    with closing(_open(target)) as copy:
        source.backup(copy, pages=PAGES_AT_ONCE, progress=lambda *_: time.sleep(PAUSE_S))
    source.execute("ROLLBACK")  # the log may be folded in again
    copied = check_copy(name, target)
    if (copied.position, copied.event_number) != seen:
        raise DatabaseUnavailable(f"{target}: is at {copied.position}, but {seen[0]} was copied")
    sync(target)
    return copied


def sync(path: Path) -> None:
    """Have a file or folder on the disk, whatever happens to the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system that cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=0.0)


def _cursor(connection: sqlite3.Connection) -> tuple[int, int]:
    row = connection.execute("SELECT position, event_number FROM writer_cursor WHERE id = 1").fetchone()
    if row is None:
        raise DatabaseUnavailable("no writer's cursor: it was moved to another server, or is none of ours")
    return int(row[0]), int(row[1])

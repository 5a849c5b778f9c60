"""The commands that change which server is in charge: `tuanzi move` and `tuanzi promote` (E1, docs/runbooks)."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence

from tuanzi.engines.database.moving import Mover, NotMoved
from tuanzi.machinery.database import DatabaseError
from tuanzi.machinery.migrate import MigrationChanged
from tuanzi.settings import SettingWrong, read_settings, server_at
from tuanzi.wiring import campus_on, schema_on, wall_clock


def move(arguments: Sequence[str]) -> int:
    """`tuanzi move`: 0 when the campus is where it was to go, or back."""
    parser = argparse.ArgumentParser(
        prog="tuanzi move",
        description="Move the databases of a campus from the server that TUANZI_DATABASES or TUANZI_DATABASE says to"
        " another. The campus takes no orders meanwhile. Killed in the middle, call it again as before.",
    )
    parser.add_argument("campus", metavar="CAMPUS")
    parser.add_argument("--to", metavar="URL", help="mysql://user@host:port/prefix; a password as TUANZI_DATABASE has")
    parser.add_argument("--back", action="store_true", help="give up a move that is not done")
    options = parser.parse_args(arguments)
    if bool(options.to) == options.back:
        parser.error("one of --to and --back is needed")
    try:
        return _move(options.campus, options.to)
    except (SettingWrong, NotMoved, DatabaseError) as error:
        return _say(f"tuanzi: {error}", 1)
    except MigrationChanged as changed:
        return _say(f"tuanzi: the databases there were made with another {changed}.sql", 1)
    except KeyboardInterrupt:
        return _say("tuanzi: stopped in the middle; call it again, or with --back", 1)


# By their names on the command line.
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"move": move}


def _move(campus: str, url: str | None) -> int:
    settings = read_settings()
    server = settings.server_of(campus)
    if campus not in settings.campuses:
        raise SettingWrong(f"{campus}: TUANZI_CAMPUSES has no such campus")
    if settings.database is None or server is None:
        raise SettingWrong("TUANZI_DATABASE is missing: only campuses on a database server are moved")
    source = campus_on(server, campus)
    try:
        target = source if url is None else campus_on(server_at(url, like=settings.database), campus)
    except ValueError as error:
        raise SettingWrong(f"--to: {error}") from None
    mover = Mover(
        campus,
        platform=schema_on(settings.database, "platform"),
        source=source,
        target=target,
        now=wall_clock(),
        told=_tell,
    )
    if url is None:
        mover.go_back()
        return 0
    moved = mover.move(fresh=secrets.token_hex(16))
    if moved.tables:
        _say(f"{moved.tables} tables, {moved.rows} rows; no writer for {moved.stopped_s:.1f} s")
    else:
        _say(f"{campus} is there already")
    return _say(f"set {campus} in TUANZI_DATABASES to it in every process, and restart them one after the other")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _say(text: str, status: int = 0) -> int:
    _tell(text)
    return status

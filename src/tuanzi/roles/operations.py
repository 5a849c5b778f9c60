"""The commands that change which server is in charge: `tuanzi move` and `tuanzi promote` (E1, docs/runbooks)."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pymysql.err import MySQLError

from tuanzi.engines.database.connections import Address, server_at_place
from tuanzi.engines.database.moving import Mover, NotMoved
from tuanzi.engines.database.promotion import APPLY_S_MAX, Copying, NotPromoted, follow, promote
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


def promote_replica(arguments: Sequence[str]) -> int:
    """`tuanzi promote`: 0 when one of the replicas takes writes; with --follow when a server copies it again."""
    parser = argparse.ArgumentParser(
        prog="tuanzi promote",
        description="Make that replica the primary which received most, and the others its replicas. The old primary"
        " must be dead. Name every replica that still exists. Called again after a failure, it goes on.",
    )
    parser.add_argument("servers", nargs="+", metavar="HOST:PORT", help="the replicas; with --follow old servers")
    parser.add_argument("--follow", metavar="HOST:PORT", help="have these copy the primary there, promote nobody")
    for name, default, about in (
        ("operator", "tuanzi_operator", "the account that may do this"),
        ("replica", "tuanzi_replica", "the account by which replicas copy"),
    ):
        parser.add_argument(f"--{name}", default=default, metavar="USER", help=f"{about} ({default})")
        parser.add_argument(f"--{name}-password-file", required=True, metavar="FILE", help="where its password is")
    parser.add_argument(
        "--within-s",
        type=float,
        default=APPLY_S_MAX,
        help=f"how long it may apply what it received ({APPLY_S_MAX:.0f})",
    )
    options = parser.parse_args(arguments)
    try:
        password = _password(options.operator_password_file)
        copying = Copying(user=options.replica, password=_password(options.replica_password_file))
        servers = [_operated(place, options.operator, password) for place in options.servers]
        if options.follow is None:
            return _promote(servers, copying, within_s=options.within_s)
        primary = _operated(options.follow, options.operator, password)
        for server in servers:
            follow(server, primary, copying=copying)
            _tell(f"{_place(server)} copies {_place(primary)}")
        return 0
    except (SettingWrong, NotPromoted) as error:
        return _say(f"tuanzi: {error}", 1)
    except (MySQLError, OSError) as error:
        return _say(f"tuanzi: {error.args[-1] if error.args else error}", 1)
    except KeyboardInterrupt:
        return _say("tuanzi: stopped in the middle; call it again", 1)


# By their names on the command line.
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"move": move, "promote": promote_replica}


def _promote(replicas: Sequence[Address], copying: Copying, *, within_s: float) -> int:
    done = promote(replicas, copying=copying, apply_s_max=within_s)
    _tell(f"{_place(done.primary)} takes writes from {done.position} on, after {done.took_s:.1f} s")
    others = [_place(each) for each in replicas if each != done.primary]
    if others:
        return _say(f"{', '.join(others)}: copies it")
    return _say("no other server has its commits: bring the old one back with --follow, or add another")


def _operated(place: str, user: str, password: str) -> Address:
    try:
        return server_at_place(place, user=user, password=password)
    except ValueError as error:
        raise SettingWrong(f"{place}: {error}") from None


def _place(address: Address) -> str:
    return f"{address.host}:{address.port}"


def _password(path: str) -> str:
    """What a file holds. Raises SettingWrong, which never says what is in it."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingWrong(f"{path}: cannot be read") from error


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
    return _say(
        f"now name it for {campus} in the file TUANZI_DATABASES_FILE of every machine, writers' first: it is read again"
        " by itself; a process that has TUANZI_DATABASES instead must be restarted with it"
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _say(text: str, status: int = 0) -> int:
    _tell(text)
    return status

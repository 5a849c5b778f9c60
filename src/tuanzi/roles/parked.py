"""`tuanzi parked`: events that were laid aside because a listener failed, and to have one heard after all (J4, J5)."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from tuanzi import live
from tuanzi.base.problem import Problem, Unknown
from tuanzi.base.time import show
from tuanzi.engines.database.looking import PARKED_SHOWN_MAX, parked_in_file, parked_in_schema
from tuanzi.engines.fanout.here import Here
from tuanzi.installation import Front, engines_of
from tuanzi.machinery.database import DatabaseError, DatabaseUnavailable
from tuanzi.machinery.internal import EVENT, HearParked, ParkedEvent
from tuanzi.machinery.migrate import Migratable, MigrationChanged
from tuanzi.machinery.push.keeper import Keeper
from tuanzi.machinery.push.seen import Seen
from tuanzi.machinery.room import Room
from tuanzi.machinery.writer import Request, Writer, drive
from tuanzi.roles.beside import ANSWER_S_MAX, NO_ANSWER, leave, leave_alone, no_vendors
from tuanzi.roles.folder import FolderLock, held_by_another
from tuanzi.settings import Settings, SettingWrong, read_settings
from tuanzi.wiring import (
    CAMPUS_DATABASES,
    CampusBooks,
    Workshop,
    campus_on,
    file_of,
    schema_of,
    wall_clock,
)

TITLES = ("CAMPUS", "DATABASE", "SOURCE", "NUMBER", "EVENT", "REASON", "SINCE")


class ParkedLine(Struct, frozen=True, kw_only=True):
    """An event that had no effect on a database. source, number: where it happened, and as which."""

    campus: str
    database: str
    source: str
    number: int
    name: str
    reason: str
    parked_at: datetime


def parked(arguments: Sequence[str]) -> int:
    """`tuanzi parked`: 0 when all could be listed, or the event was heard now."""
    parser = argparse.ArgumentParser(
        prog="tuanzi parked",
        description="List the events of other databases that were laid aside because a listener failed; with `hear`"
        " have one of them heard after all, once (docs/runbooks/parked.md).",
    )
    parser.add_argument("--json", action="store_true", help="list as JSON")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    hear = commands.add_parser(
        "hear",
        help="have one heard",
        description="Have an event heard that was laid aside, by this release; a repeat says that it is not laid aside."
        " A house of one process must be stopped meanwhile, and hears it without a limit of time; an installation of"
        " many processes, by TUANZI_KAFKA, must be running.",
    )
    hear.add_argument("campus", metavar="CAMPUS")
    kinds = ", ".join(CAMPUS_DATABASES)
    for name, about in (("database", f"which laid it aside, of {kinds}"), ("source", "in which it happened")):
        hear.add_argument(name, metavar=name.upper(), choices=CAMPUS_DATABASES, help=about)
    hear.add_argument("number", metavar="NUMBER", type=int, help="the event's number there")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings().settled
        if options.command is None:
            return _list(settings, as_json=options.json)
        return _hear(settings, options.campus, options.database, options.source, options.number)
    except Problem as refused:
        return _say(f"tuanzi: {refused.title_en()} {refused.title_zh}", 1)
    except TimeoutError:
        return _say(f"tuanzi: {NO_ANSWER}", 1)
    except MigrationChanged as changed:
        return _say(f"tuanzi: the databases were made with another {changed}.sql; run the release that made them", 1)
    except (SettingWrong, DatabaseError, OSError) as error:
        return _say(f"tuanzi: {error}", 1)


# By its name on the command line.
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"parked": parked}


def _list(settings: Settings, *, as_json: bool) -> int:
    lines = [
        ParkedLine(
            campus=campus,
            database=kind,
            source=event.source,
            number=event.number,
            name=event.name,
            reason=event.reason,
            parked_at=event.parked_at,
        )
        for campus in settings.campuses
        for kind in CAMPUS_DATABASES
        for event in _look(settings, campus, kind)
    ]
    for (campus, kind), count in Counter((each.campus, each.database) for each in lines).items():
        if count >= PARKED_SHOWN_MAX:
            _say(f"tuanzi: {campus}.{kind} may have more; the {PARKED_SHOWN_MAX} that were laid aside first are listed")
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(lines), indent=1).decode())
        return 0
    if not lines:
        return _say("no event is laid aside")
    rows = [
        (each.campus, each.database, each.source, str(each.number), each.name, each.reason, show(each.parked_at))
        for each in lines
    ]
    widths = [max(map(len, column)) for column in zip(TITLES, *rows, strict=True)]
    for row in (TITLES, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _look(settings: Settings, campus: str, kind: str) -> list[ParkedEvent]:
    """What is laid aside in a database, beside whoever works there. Raises DatabaseUnavailable."""
    server = settings.server_of(campus)
    if server is None:
        return parked_in_file(file_of(settings.data, f"{campus}.{kind}"))
    failure = DatabaseUnavailable("no server is named")
    for each in server.each:
        try:
            return parked_in_schema(campus_on(each, campus)[kind])
        except DatabaseUnavailable as error:
            failure = error
    raise failure


def _hear(settings: Settings, campus: str, database: str, source: str, number: int) -> int:
    if campus not in settings.campuses:
        raise SettingWrong(f"{campus}: TUANZI_CAMPUSES has no such campus")
    if settings.kafka:
        asyncio.run(_hear_there(settings, campus, database, source, number))
    else:
        with FolderLock(settings.data) as lock:
            if lock is None:
                return _say(f"tuanzi: {held_by_another(settings.data)}", 1)
            _hear_here(settings, campus, database, source, number)
    return _say(f"{campus}.{database} heard event {number} of {source}")


async def _hear_there(settings: Settings, campus: str, database: str, source: str, number: int) -> None:
    """Have the campus's writer hear it, in whichever process he is. Raises what he refuses with, TimeoutError."""
    if settings.database is None:
        raise SettingWrong("TUANZI_DATABASE is missing: an installation of many processes shares a database server")
    engines = await engines_of(settings, name="tuanzi-parked", now=wall_clock)
    async with engines.connected():
        front = Front(settings, no_vendors(), engines)
        await front.hall.open()
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                rows = await front.remote[f"{campus}.{source}"].rows(EVENT, {"number": number})
                command = _command(source, number, rows)
                await front.remote[f"{campus}.{database}"].submit(command, is_accepted=True)
        finally:
            await front.hall.close()
            for desk in front.remote.values():
                desk.close()


def _hear_here(settings: Settings, campus: str, database: str, source: str, number: int) -> None:
    """Hear it in this process, which does nothing else: no timer fires, no errand is done. Raises its problem."""
    server = settings.server_of(campus)
    if server is not None:
        leave_alone(campus_on(server, campus)[database])
    shop = Workshop(settings, no_vendors())
    rooms = shop.rooms_for(campus, lambda _: None, CampusBooks(lambda: {}))
    databases = shop.open_campus(campus)
    try:
        command = _command(source, number, databases[source].rows(EVENT, {"number": number}))
        if database == "notices":
            asyncio.run(_tell_here(shop, campus, rooms, databases[database], command))
            return
        position, newest = databases[database].cursor()
        writer = Writer(schema_of(database, rooms), position=position, event_number=newest)
        (outcome,) = drive(writer.carry_out([Request(command)], now=shop.clock()), databases[database])
        if outcome.problem is not None:
            raise outcome.problem
    finally:
        for each in databases.values():
            each.close()


async def _tell_here(
    shop: Workshop, campus: str, rooms: Sequence[Room], database: Migratable, command: HearParked
) -> None:
    """Have a keeper of the campus's streams tell it, who tells nothing else; nobody is connected here."""
    waiting = {kind: leave for room in rooms if room.database == "notices" for kind in room.errands}
    schema = schema_of("notices", rooms)
    desk = shop.desk("notices", f"{campus}.notices", rooms, database, errands=waiting)
    working = asyncio.create_task(desk.run())
    try:
        await asyncio.wait({working, asyncio.create_task(desk.opened.wait())}, return_when=asyncio.FIRST_COMPLETED)
        keeper = Keeper(
            campus,
            [],
            teller=live.LiveTeller(desk),
            archive=live.StreamArchive(desk),
            fan_out=Here(),
            seen=Seen(clock=time.monotonic),
            now=shop.clock,
        )
        event = schema.codec.event(command.name, command.version, command.body)
        heard = asyncio.ensure_future(keeper.hear_parked(command.source, command.number, event))
        await asyncio.sleep(0)
        await keeper.step()
        await heard
    finally:
        desk.close()
        await working


def _command(source: str, number: int, rows: Sequence[tuple[Any, ...]]) -> HearParked:
    """What is asked of whoever laid it aside. Raises Unknown when there is no such event."""
    if not rows:
        raise Unknown(kind="event", id=number)
    ((name, version, body),) = rows
    return HearParked(source=source, number=number, name=name, version=version, body=body)


def _say(text: str, status: int = 0) -> int:
    print(text, file=sys.stderr, flush=True)
    return status

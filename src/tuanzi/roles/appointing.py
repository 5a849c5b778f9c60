"""`tuanzi appoint`: the first operator of an installation, whom nobody can appoint in the console yet (J3, J4)."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tuanzi.base.ids import PersonId
from tuanzi.base.problem import Problem
from tuanzi.installation import Front, engines_of
from tuanzi.machinery.database import DatabaseError
from tuanzi.machinery.migrate import MigrationChanged
from tuanzi.people import AppointOperator, ChangeName, OperatorAppointed, tidy_name
from tuanzi.roles.beside import ANSWER_S_MAX, NO_ANSWER, leave, leave_alone, no_vendors
from tuanzi.roles.folder import FolderLock, held_by_another
from tuanzi.settings import Settings, SettingWrong, read_settings
from tuanzi.wiring import Workshop, schema_on, wall_clock

# Whoever appoints has the machine, not an account.
BY = "tuanzi-appoint"


def appoint(arguments: Sequence[str]) -> int:
    """`tuanzi appoint`: 0 when the owner of the phone is an operator of the platform."""
    parser = argparse.ArgumentParser(
        prog="tuanzi appoint",
        description="Make the owner of a phone an operator of the platform, known or not; a repeat changes nothing. He"
        " appoints everybody else in the console. A house of one process must be stopped meanwhile, wherever it runs;"
        " an installation of many processes, by TUANZI_KAFKA, must be running.",
    )
    parser.add_argument("phone", metavar="PHONE", help="a mainland mobile number, by which he signs in")
    parser.add_argument("--name", metavar="NAME", help="how he is called")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings()
        if settings.kafka:
            appointed = asyncio.run(_appoint(_far_platform(settings), options.phone, options.name))
        else:
            with FolderLock(settings.data) as lock:
                if lock is None:
                    return _say(f"tuanzi: {held_by_another(settings.data)}", 1)
                appointed = asyncio.run(_appoint(_own_platform(settings), options.phone, options.name))
    except Problem as refused:
        return _say(f"tuanzi: {refused.title_en()} {refused.title_zh}", 1)
    except TimeoutError:
        return _say(f"tuanzi: {NO_ANSWER}", 1)
    except MigrationChanged as changed:
        return _say(f"tuanzi: the databases were made with another {changed}.sql; run the release that made them", 1)
    except (SettingWrong, DatabaseError, OSError) as error:
        return _say(f"tuanzi: {error}", 1)
    what = "is an operator of the platform now" if appointed.is_changed else "was an operator of the platform already"
    return _say(f"{appointed.person_id} {what}")


# By its name on the command line.
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"appoint": appoint}


async def _appoint(opening: Any, phone: str, name: str | None) -> OperatorAppointed:
    """Have the platform's writer do it. opening: gives the workshop and the platform's desk."""
    async with opening as (shop, platform):
        now = shop.clock()
        command = AppointOperator(
            person_id=PersonId(shop.ids.make("u", now=now)),
            phone=shop.keys.seal(phone),
            by=BY,
            audit_id=shop.ids.make("a", now=now),
        )
        called = None if name is None else tidy_name(name)
        async with asyncio.timeout(ANSWER_S_MAX):
            appointed: OperatorAppointed = (await platform.submit(command)).answer
            if called is not None:
                await platform.submit(ChangeName(person_id=appointed.person_id, name=called))
        return appointed


@asynccontextmanager
async def _own_platform(settings: Settings) -> AsyncIterator[tuple[Workshop, Any]]:
    """The platform's writer in this process, which does no errands: they wait for the house. Raises SettingWrong."""
    if settings.database is not None:
        leave_alone(schema_on(settings.database, "platform"))
    shop = Workshop(settings, no_vendors())
    rooms = shop.rooms_without_campus(lambda _: None)
    waiting = {kind: leave for room in rooms if room.database == "platform" for kind in room.errands}
    desk = shop.desk("platform", "platform", rooms, shop.open("platform", "platform"), errands=waiting)
    working = asyncio.create_task(desk.run())
    try:
        await asyncio.wait({working, asyncio.create_task(desk.opened.wait())}, return_when=asyncio.FIRST_COMPLETED)
        yield shop, desk
    finally:
        desk.close()
        await working
        desk.database.close()


@asynccontextmanager
async def _far_platform(settings: Settings) -> AsyncIterator[tuple[Workshop, Any]]:
    """The platform's writer in an installation of many processes, reached as an api reaches it."""
    if settings.database is None:
        raise SettingWrong("TUANZI_DATABASE is missing: an installation of many processes shares a database server")
    engines = await engines_of(settings, name=BY, now=wall_clock)
    async with engines.connected():
        front = Front(settings, no_vendors(), engines)
        await front.hall.open()
        try:
            yield front, front.platform
        finally:
            await front.hall.close()
            for desk in front.remote.values():
                desk.close()


def _say(text: str, status: int = 0) -> int:
    print(text, file=sys.stderr, flush=True)
    return status

"""The command `tuanzi`: run, simulate, dispatch, cluster ...; every mistake in the call is told in one line (J4)."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory

import msgspec
import uvloop

from tuanzi.engines.database.scribe import Scribe
from tuanzi.installation import Front
from tuanzi.machinery.collector import calm_collector
from tuanzi.machinery.database import DatabaseError
from tuanzi.machinery.http.openapi import openapi_of
from tuanzi.machinery.migrate import MigrationChanged
from tuanzi.money import Merchant, SandboxProvider, WeChatPay
from tuanzi.people import (
    AbsentSender,
    AliyunSender,
    CodeSender,
    ConsoleSender,
    MiniProgram,
    PlayedPhones,
    WechatApp,
)
from tuanzi.roles.api import routes_of, serve
from tuanzi.roles.company import Company, CompanyFailed
from tuanzi.roles.files import FILES_OPEN, allow_files
from tuanzi.roles.folder import FolderLock, held_by_another
from tuanzi.roles.logs import log_structured
from tuanzi.roles.parts import Part, parts_of, serve_parts
from tuanzi.settings import INPROCESS, SECRET_BYTES_MIN, WECHAT, Settings, SettingWrong, read_settings
from tuanzi.wiring import House, Vendors, wall_clock

# Commands of other packages; they stand above the product, so they are only loaded when asked for.
_ELSEWHERE = {
    "simulate": "simulation.commands",
    "reconcile": "simulation.commands",
    "replay": "simulation.commands",
    "dispatch": "simulation.commands",
    "bench-seed": "simulation.commands",
    "cluster": "servers.commands",
}
# Measured: what only these need, such as HTTP's and the queue's clients, is a fifth of the processor of a start.
_SELDOM = {
    "where": "tuanzi.roles.doctor",
    "settings": "tuanzi.roles.doctor",
    "doctor": "tuanzi.roles.doctor",
    "move": "tuanzi.roles.operations",
    "promote": "tuanzi.roles.operations",
    "appoint": "tuanzi.roles.appointing",
    "parked": "tuanzi.roles.parked",
    "backup": "tuanzi.roles.backup",
    "restore": "tuanzi.roles.backup",
}
DEMO_PAYMENTS_REMEMBERED = 100_000
# Measured: with Python's 5 ms a thread that writes waits so long for its turn after each of some 20 statements of a
# commit, while the loop decides; with this a commit is kept earlier and an order costs a tenth less processor.
TURN_S = 0.0005
# Measured: the kernel thread that polls for uvloop whether sockets have changed costs an eighth of the chains.
POLLING_THREAD = ("UV_USE_IO_URING", "0")
EVERYWHERE = frozenset({"", "0.0.0.0", "::"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code: 0 done, 1 failed, 2 called wrongly."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in _ELSEWHERE:
        name = given[0].replace("-", "_")
        command: Callable[[Sequence[str]], int] = getattr(importlib.import_module(_ELSEWHERE[given[0]]), name)
        return command(given[1:])
    if given and given[0] in _SELDOM:
        seldom: dict[str, Callable[[Sequence[str]], int]] = importlib.import_module(_SELDOM[given[0]]).COMMANDS
        return seldom[given[0]](given[1:])
    parser = argparse.ArgumentParser(prog="tuanzi", description="Tuanzi 团子: campus food delivery by group buying.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="serve everything in this process, or be some roles of an installation")
    run.add_argument("roles", nargs="*", metavar="ROLE", help=f"{', '.join(Part)}; none: all of it in this process")
    run.add_argument("--demo", action="store_true", help="with demo campuses and simulated students; codes are printed")
    commands.add_parser("openapi", help="print the OpenAPI document of the API")
    for name, about in (
        ("simulate", "a seeded lunch wave in virtual time"),
        ("reconcile", "books that were made to differ, found and mended"),
        ("replay", "a real delivery day"),
        ("dispatch", "a real delivery day, planned and brought by delivery"),
        ("bench-seed", "fill a data folder for benchmarks"),
        ("cluster", "an installation of many processes with all its servers, for development"),
        ("where", "which engine each need has, and whether it is healthy"),
        ("settings", "every setting and its value"),
        ("doctor", "what is wrong, and what to do"),
        ("move", "move a campus to another database server"),
        ("promote", "make a replica the primary database server"),
        ("appoint", "make the owner of a phone an operator of the platform"),
        ("backup", "copy all databases as they stand at one moment, beside the house"),
        ("restore", "fill an empty data folder from a backup"),
        ("parked", "events laid aside because a listener failed, and to have one heard after all"),
    ):
        commands.add_parser(name, help=about, add_help=False)
    options = parser.parse_args(given)
    if options.command == "openapi":
        print(_openapi())
        return 0
    try:
        settings = read_settings(demo=options.demo)
        return _run(settings, parts_of(options.roles, settings))
    except MigrationChanged as changed:
        return _say(f"tuanzi: the databases were made with another {changed}.sql; run the release that made them")
    except (SettingWrong, DatabaseError, CompanyFailed, OSError) as error:
        return _say(f"tuanzi: {error}")
    except ExceptionGroup as group:
        if not isinstance(_first(group), (SettingWrong, DatabaseError, CompanyFailed, OSError)):
            raise  # a fault of ours: where it is says more than what it says
        return _say(f"tuanzi: {_first(group)}")


def _openapi() -> str:
    """The document as the demo serves it, told by a house without campuses."""
    vendors = Vendors(codes=AbsentSender(), payments=SandboxProvider(remembered_max=1))
    with TemporaryDirectory() as folder:
        house = House(replace(read_settings({"TUANZI_DATA": folder}), campuses=()), vendors)
    document = openapi_of(routes_of(house))
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode()


def _run(settings: Settings, parts: Collection[Part]) -> int:
    if len(settings.secret) < SECRET_BYTES_MIN:
        raise SettingWrong(f"TUANZI_SECRET or its file: at least {SECRET_BYTES_MIN} bytes are expected")
    log_structured()
    os.environ.setdefault(*POLLING_THREAD)
    allow_files(FILES_OPEN)
    if parts:
        uvloop.run(_serve(settings, parts, scribe=None))
        return 0
    with FolderLock(settings.data) as lock:
        if lock is None:
            return _say(f"tuanzi: {held_by_another(settings.data)}")
        with Scribe(holds=[lock.fileno()]) as scribe:
            uvloop.run(_serve(settings, parts, scribe=scribe))
    return 0


async def _serve(settings: Settings, parts: Collection[Part], *, scribe: Scribe | None) -> None:
    async with _codes(settings) as codes:
        await _serve_paid(settings, parts, codes, scribe=scribe)


@asynccontextmanager
async def _codes(settings: Settings) -> AsyncIterator[CodeSender]:
    """Who carries sign-in codes: a company where one is configured; else a demo shows them, and others send none."""
    if settings.sms is None:
        yield ConsoleSender() if settings.demo else AbsentSender()
        return
    sender = AliyunSender(settings.sms, clock=wall_clock, nonce=lambda: secrets.token_hex(16))
    try:
        yield sender
    finally:
        await sender.close()


async def _serve_paid(settings: Settings, parts: Collection[Part], codes: CodeSender, *, scribe: Scribe | None) -> None:
    if parts and settings.payments == WECHAT and settings.merchant is None:
        raise SettingWrong("TUANZI_WECHAT_MCHID is missing: processes with roles share a payment company")
    if settings.payments == INPROCESS:
        payments = SandboxProvider(remembered_max=DEMO_PAYMENTS_REMEMBERED)
        async with _wechat(settings.app, Vendors(codes=codes, payments=payments)) as vendors:
            await _serve_house(settings, parts, vendors, scribe=scribe)
        return
    if settings.merchant is not None:
        # Only a sandbox has phones that are played.
        is_played = settings.demo and bool(settings.merchant.pay_page)
        await _serve_wechat(
            settings, parts, codes, settings.merchant, scribe=scribe, app=settings.app, is_played=is_played
        )
        return
    company = Company(settings.data / "wechatpay")
    try:
        await company.start()
        host = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
        merchant = company.merchant(house_address=f"http://{host}:{settings.port}")
        await _serve_wechat(
            settings, parts, codes, merchant, scribe=scribe, app=company.app(), is_played=True, company=company
        )
    finally:
        await company.stop()


async def _serve_wechat(
    settings: Settings,
    parts: Collection[Part],
    codes: CodeSender,
    merchant: Merchant,
    *,
    scribe: Scribe | None,
    app: WechatApp | None,
    is_played: bool,
    company: Company | None = None,
) -> None:
    wechat = WeChatPay(merchant)
    try:
        async with _wechat(app, Vendors(codes=codes, payments=wechat), is_played=is_played) as vendors:
            await _serve_house(settings, parts, vendors, scribe=scribe, company=company)
    finally:
        await wechat.close_connections()


@asynccontextmanager
async def _wechat(app: WechatApp | None, vendors: Vendors, *, is_played: bool = False) -> AsyncIterator[Vendors]:
    """The vendors with WeChat's sign-in, where a mini program is set. is_played: whether a demo's phones have it."""
    if app is None:
        yield vendors
        return
    async with AsyncExitStack() as opened:
        login = MiniProgram(app)
        opened.push_async_callback(login.close)
        phones = PlayedPhones(app) if is_played else None
        if phones is not None:
            opened.push_async_callback(phones.close)
        yield replace(vendors, login=login, phones=phones)


async def _serve_house(
    settings: Settings,
    parts: Collection[Part],
    vendors: Vendors,
    *,
    scribe: Scribe | None,
    company: Company | None = None,
) -> None:
    living = importlib.import_module("simulation.living") if settings.demo else None
    calm_collector()
    sys.setswitchinterval(TURN_S)

    def demo_of(house: House | Front) -> Callable[[], Awaitable[None]]:
        async def beside() -> None:
            async with asyncio.TaskGroup() as tasks:
                if company is not None:
                    tasks.create_task(company.watch())
                if living is not None:
                    tasks.create_task(living.live(house, seed=os.getpid(), students=400))

        return beside

    inbox = vendors.codes if isinstance(vendors.codes, ConsoleSender) else None
    accounts = () if living is None else living.ACCOUNTS
    if parts:
        await serve_parts(settings, parts, vendors, beside=demo_of, inbox=inbox, accounts=accounts)
        return
    house = House(settings, vendors, scribe=scribe)
    await serve(house, beside=demo_of(house), inbox=inbox, accounts=accounts)


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _say(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

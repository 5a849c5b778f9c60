"""The commands `tuanzi where`, `settings` and `doctor`: what is set, what is there, what is wrong (J4)."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from tuanzi.engines.database.connections import Address
from tuanzi.engines.database.looking import look_at_server
from tuanzi.installation import sources_of
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.roles.listing import STRANGE, Setting, list_settings
from tuanzi.roles.looks import (
    Finding,
    State,
    look_at_answers,
    look_at_campuses,
    look_at_clock,
    look_at_copies,
    look_at_database,
    look_at_folder,
    look_at_gateways,
    look_at_payments,
    look_at_people,
    look_at_ports,
    look_at_record_sizes,
    look_at_residences,
    look_at_seals,
    look_at_secrets,
    look_at_witness,
)
from tuanzi.roles.where import Need, Unwell, find_needs, look_at_brokers, look_at_limits
from tuanzi.settings import SECRET_BYTES_MIN, Settings, SettingWrong, read_settings
from tuanzi.wiring import wall_clock

# Blocking drivers: one thread for each server, database and file that is asked at once.
THREADS_MAX = 64


def where(arguments: Sequence[str]) -> int:
    """`tuanzi where`: 0 when every need is healthy."""
    options = _options("where", "which engine each need has, at what address, and whether it is healthy", arguments)
    try:
        needs = _run(find_needs(read_settings()))
    except SettingWrong as wrong:
        return _say(wrong)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(needs), indent=1).decode())
    else:
        _print_table([(need.need, need.engine, need.address, _health(need)) for need in needs])
    return 0 if all(need.is_healthy for need in needs) else 1


def settings(arguments: Sequence[str]) -> int:
    """`tuanzi settings`: 0 when none is wrong."""
    options = _options("settings", "every setting, its value or default, and whether it was set", arguments)
    listed = list_settings(os.environ)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(listed), indent=1).decode())
    else:
        _print_table([(each.name, "-" if each.value is None else each.value, _origin(each)) for each in listed])
    return 1 if any(each.wrong for each in listed) else 0


def doctor(arguments: Sequence[str]) -> int:
    """`tuanzi doctor`: 0 when nothing is wrong."""
    options = _options("doctor", "look at everything an installation needs, and say what is to be done", arguments)
    findings = [_of_setting(each) for each in list_settings(os.environ) if each.wrong]
    if not any(each.state is State.WRONG for each in findings):
        findings += _run(examine(read_settings(), os.environ, clock=wall_clock))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(findings), indent=1).decode())
    else:
        _print_table([(each.state, each.check, f"{each.says}{each.do and f'; {each.do}'}") for each in findings])
    return 1 if any(each.state is State.WRONG for each in findings) else 0


# By their names on the command line.
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"where": where, "settings": settings, "doctor": doctor}


async def examine(
    settings: Settings, environment: Mapping[str, str], *, clock: Callable[[], datetime]
) -> list[Finding]:
    """Everything that can be known to be well or not before, and while, an installation runs."""
    settings = settings.settled
    findings = [look_at_folder(settings.data), *look_at_secrets(settings, environment)]
    findings += await look_at_ports(settings)
    findings += [*look_at_people(settings), *look_at_answers(settings), *look_at_gateways(settings)]
    needs = await find_needs(settings)
    findings += [_of_need(need) for need in needs]
    if settings.kafka and all(need.is_healthy for need in needs if need.need == "command log"):
        with suppress(Unwell):  # it was well a moment ago; the next look says
            brokers, copies = await asyncio.to_thread(look_at_brokers, settings)
            findings.append(look_at_copies(brokers, copies, wanted=settings.kafka_copies))
            limits = await asyncio.to_thread(look_at_limits, settings, list(copies))
            findings.append(look_at_record_sizes(limits, servers=settings.kafka))
    findings += look_at_payments(settings)
    servers = settings.servers
    primaries = dict(zip(servers, [await asyncio.to_thread(_find_primary, each) for each in servers], strict=True))
    for named, primary in primaries.items():
        if primary is not None:
            findings.append(await asyncio.to_thread(look_at_clock, primary, clock=clock))
            if named.others:
                findings.append(await asyncio.to_thread(look_at_witness, primary))
    platform = None if settings.database is None else primaries[settings.database]
    if (settings.database is None or platform is not None) and len(settings.secret) >= SECRET_BYTES_MIN:
        findings += await asyncio.to_thread(look_at_seals, settings, platform)
    looks = []
    for name in sources_of(settings.campuses):
        server = settings.server_of(name)
        if server is None or primaries[server] is not None:  # else its need says already that there is none
            primary = None if server is None else primaries[server]
            looks.append(look_at_database(settings, primary, name, clock=clock))
    findings += look_at_campuses(settings)
    findings += await asyncio.to_thread(look_at_residences, settings)
    for several in await asyncio.gather(*looks):
        findings += several
    return findings


def _of_need(need: Need) -> Finding:
    if need.is_healthy:
        took = "" if need.ms is None else f", {need.ms} ms"
        return Finding(need.need, State.OK, f"{need.engine} at {need.address}{took}")
    return Finding(
        need.need, State.WRONG, f"{need.engine} at {need.address}: {need.reason}", "start it, or correct TUANZI_*"
    )


def _of_setting(setting: Setting) -> Finding:
    if setting.wrong == STRANGE:
        return Finding("settings", State.WARNING, f"{setting.name}: {STRANGE}", "see tuanzi settings")
    return Finding("settings", State.WRONG, setting.wrong, "correct it, for nothing else can be looked at")


def _find_primary(address: Address) -> Address | None:
    """The server that takes writes."""
    for each in address.each:
        try:
            if not look_at_server(each).is_read_only:
                return each
        except DatabaseUnavailable:
            continue
    return None


def _run(work: Any) -> Any:
    async def with_threads() -> Any:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS_MAX))
        return await work

    return asyncio.run(with_threads())


def _options(name: str, about: str, arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"tuanzi {name}", description=about)
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser.parse_args(arguments)


def _health(need: Need) -> str:
    if not need.is_healthy:
        return f"not healthy: {need.reason}"
    return "healthy" if need.ms is None else f"healthy, {need.ms} ms"


def _origin(setting: Setting) -> str:
    return f"wrong: {setting.wrong}" if setting.wrong else "set" if setting.is_set else "default"


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _say(error: Exception) -> int:
    print(f"tuanzi: {error}", file=sys.stderr)
    return 1

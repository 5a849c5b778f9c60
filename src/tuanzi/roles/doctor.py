"""The commands `tuanzi where`, `settings` and `doctor`: what is set, what is there, what is wrong (J4)."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from tuanzi.base.time import to_ms
from tuanzi.engines.database.connections import Address
from tuanzi.engines.database.looking import Sight, look_at_file, look_at_schema, look_at_server
from tuanzi.engines.database.residence import Elsewhere, Residence
from tuanzi.installation import sources_of
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.machinery.migrate import released
from tuanzi.roles.where import CHECK_S_MAX, Need, Unwell, find_needs, look_at_brokers, without_password
from tuanzi.settings import INPROCESS, WECHAT, Settings, SettingWrong, is_play_money, read_settings
from tuanzi.wiring import campus_on, schema_on, wall_clock

# Our choice: an hour of lunch writes some 1 GB of events and rows into a busy campus's databases.
SPACE_LEAST = 200 * 1024**2
SPACE_GOOD = 2 * 1024**3
SECRET_BYTES_MIN = 32
# Our choice: sign-in codes and held seats live for minutes; Kafka and TLS mind more than some seconds.
CLOCK_OFF_S = 1.0
CLOCK_WRONG_S = 10.0
# Blocking drivers: one thread for each server, database and file that is asked at once.
THREADS_MAX = 64
_PROBED_MAX = 100
CODES, PROXIES = "sign-in codes", "TUANZI_PROXIES"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
STRANGE = "there is no such setting"
_VALUE_FOR = {"TUANZI_WECHAT_NOTIFY_URL": "https://tuanzi.example.edu"}


class State(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARNING = "warning"  # it works, and somebody should look
    WRONG = "wrong"  # it does not work, or will not


class Finding(Struct, frozen=True):
    """What was looked at and how it is. do: what is to be done."""

    check: str
    state: State
    says: str
    do: str = ""


class Setting(Struct, frozen=True, kw_only=True):
    """A setting as it may be shown. value: what is used, a secret masked; None when nothing is."""

    name: str
    value: str | None
    is_set: bool
    wrong: str = ""


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


class Recorded(Mapping[str, str]):
    """An environment that remembers which names were asked for, and which default each has."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.asked: dict[str, str | None] = {}
        self.last = ""
        self._environment = environment

    def __getitem__(self, name: str) -> str:
        self.asked.setdefault(name, None)
        self.last = name
        return self._environment[name]

    def get(self, name: str, default: Any = None) -> Any:
        """As a mapping's."""
        if self.asked.get(name) is None:
            self.asked[name] = None if default is None else str(default)
        self.last = name
        return self._environment.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    def __len__(self) -> int:
        return len(self._environment)


def known_settings() -> dict[str, str | None]:
    """The name of every setting there is, with its default."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "given"
        file.write_text("x" * SECRET_BYTES_MIN, encoding="ascii")
        defaults = _asked({"TUANZI_DATA": folder})
        given = {"TUANZI_DATA": folder, "TUANZI_DATABASE": "mysql://a@b/c", "TUANZI_PAYMENTS": WECHAT}
        given |= {"TUANZI_DATABASE_PASSWORD_FILE": str(file), "TUANZI_WECHAT_PUBLIC_KEY_ID": "x"}
        given |= {"TUANZI_SMS_ACCESS_KEY_ID": "x", "TUANZI_WECHAT_APP_SECRET_FILE": str(file)}
        known: dict[str, str | None] = {}
        # Whatever is missing is given, until nothing is: each round makes one more name known.
        for _ in range(_PROBED_MAX):
            asked = _asked(given)
            missing = [name for name in asked if name not in known and name not in given and name not in defaults]
            known |= asked
            if not missing:
                break
            given |= {name: _VALUE_FOR.get(name, str(file) if name.endswith("_FILE") else "x") for name in missing}
    return {**known, **defaults, "TUANZI_DATA": "./data", "TUANZI_SECRET_FILE": "<data>/secret"}


def list_settings(environment: Mapping[str, str]) -> list[Setting]:
    """Every setting, by name; those too that nobody knows, for they are misspelt. Each wrong one says what is wrong.

    Makes the data folder and its secret when absent, as every process does that reads its settings.
    """
    known = known_settings()
    asked, wrong = _wrong_in(environment)
    known = {name: default if asked.get(name) is None else asked[name] for name, default in known.items()}
    strange = {name for name in environment if name.startswith("TUANZI_")} - known.keys()
    listed = []
    for name in sorted({*known, *strange, *wrong}):
        value = environment.get(name, known.get(name))
        listed.append(
            Setting(
                name=name,
                value=None if value is None else shown(name, value),
                is_set=name in environment,
                wrong=STRANGE if name in strange else wrong.get(name, ""),
            )
        )
    return listed


def shown(name: str, value: str) -> str:
    """A setting's value as it may be shown."""
    if name == "TUANZI_DATABASES":
        words = [word.partition("=") for word in value.split()]
        return " ".join(f"{without_password(campus)}{equals}{without_password(url)}" for campus, equals, url in words)
    is_secret = any(word in name for word in ("SECRET", "PASSWORD", "KEY")) and not name.endswith("_FILE")
    return "***" if is_secret and value else without_password(value)


async def examine(
    settings: Settings, environment: Mapping[str, str], *, clock: Callable[[], datetime]
) -> list[Finding]:
    """Everything that can be known to be well or not before, and while, an installation runs."""
    settings = settings.settled
    findings = [look_at_folder(settings.data), *look_at_secrets(settings, environment)]
    findings += await look_at_ports(settings)
    findings += look_at_people(settings)
    needs = await find_needs(settings)
    findings += [_of_need(need) for need in needs]
    if settings.kafka and all(need.is_healthy for need in needs if need.need == "command log"):
        with suppress(Unwell):  # it was well a moment ago; the next look says
            brokers, copies = await asyncio.to_thread(look_at_brokers, settings)
            findings.append(look_at_copies(brokers, copies, wanted=settings.kafka_copies))
    findings += look_at_payments(settings)
    servers = settings.servers
    primaries = dict(zip(servers, [await asyncio.to_thread(_find_primary, each) for each in servers], strict=True))
    for named, primary in primaries.items():
        if primary is not None:
            findings.append(await asyncio.to_thread(look_at_clock, primary, clock=clock))
            if named.others:
                findings.append(await asyncio.to_thread(look_at_witness, primary))
    looks = []
    for name in sources_of(settings.campuses):
        server = settings.server_of(name)
        if server is None or primaries[server] is not None:  # else its need says already that there is none
            looks.append(look_at_database(settings, None if server is None else primaries[server], name))
    findings += await asyncio.to_thread(look_at_residences, settings)
    for several in await asyncio.gather(*looks):
        findings += several
    return findings


def look_at_folder(folder: Path, *, least: int = SPACE_LEAST, good: int = SPACE_GOOD) -> Finding:
    """Whether files can be made in the data folder, and how many bytes still."""
    check = "data folder"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        do = "let the user that runs tuanzi write there, or set TUANZI_DATA"
        if error.errno == errno.ENOSPC:
            do = "make room"
        return Finding(check, State.WRONG, f"{folder}: {error.strerror}", do)
    says = f"{folder}: {free / 1024**3:.1f} GB free"
    if free < least:
        return Finding(check, State.WRONG, says, f"make room: at least {least / 1024**3:.1f} GB")
    if free < good:
        return Finding(check, State.WARNING, says, "make room")
    return Finding(check, State.OK, says)


def look_at_secrets(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """Whether the secret is long enough, and whether others can read it or the files of passwords and keys."""
    findings = []
    path = Path(environment.get("TUANZI_SECRET_FILE", settings.data / "secret"))
    if len(settings.secret) < SECRET_BYTES_MIN:
        do = f"set TUANZI_SECRET or its file to at least {SECRET_BYTES_MIN} bytes; everybody signs in again then"
        findings.append(Finding("secret", State.WRONG, f"{len(settings.secret)} bytes are too short", do))
    elif environment.get("TUANZI_SECRET"):
        findings.append(Finding("secret", State.OK, f"{len(settings.secret)} bytes, by the environment"))
    elif path.stat().st_mode & 0o077:
        findings.append(Finding("secret", State.WRONG, f"others may open {path}", f"chmod 600 {path}"))
    else:
        findings.append(Finding("secret", State.OK, f"{len(settings.secret)} bytes in {path}, which is private"))
    for name, value in sorted(environment.items()):
        is_ours = name.startswith("TUANZI_") and name.endswith("_FILE") and not re.search("PUBLIC|_CA_", name)
        if is_ours and name != "TUANZI_SECRET_FILE" and Path(value).exists() and Path(value).stat().st_mode & 0o077:
            findings.append(Finding(name, State.WARNING, f"others may open {value}", f"chmod 600 {value}"))
    return findings


async def look_at_ports(settings: Settings) -> list[Finding]:
    """Whether what is to be listened on is free, or Tuanzi's already."""
    is_here = await _is_tuanzi(settings)
    findings = []
    for name, port in (("TUANZI_PORT", settings.port), ("TUANZI_LIVE_PORT", settings.live_port)):
        where, taken = f"{settings.host}:{port}", _taken(settings.host, port)
        if not taken:
            findings.append(Finding(name, State.OK, f"{where} is free"))
        elif is_here:
            findings.append(Finding(name, State.OK, f"{where}: tuanzi runs there already"))
        else:
            do = f"stop what listens there, or set {name} to another port"
            findings.append(Finding(name, State.WRONG, f"{where}: {taken}", do))
    return findings


def look_at_people(settings: Settings) -> list[Finding]:
    """Whether people can sign in: somebody carries their codes, and they are told apart by their addresses."""
    findings = []
    if settings.sms is not None:
        findings.append(Finding(CODES, State.OK, f"by Aliyun SMS, signed {settings.sms.sign_name}"))
    elif settings.demo:
        findings.append(Finding(CODES, State.OK, "printed, for a demo"))
    else:
        says = "nobody sends sign-in codes, so nobody can sign in by phone"
        findings.append(Finding(CODES, State.WARNING, says, "set TUANZI_SMS_* (docs/installation.md)"))
    if settings.proxies:
        findings.append(Finding(PROXIES, State.OK, f"believed: {settings.proxies}"))
    elif settings.host in _LOOPBACK and not settings.demo:
        says = f"only this machine reaches {settings.host}, and no proxy on it is believed: all people are one address"
        do = f"set TUANZI_PROXIES={settings.host} if a proxy is in front, or TUANZI_HOST if none is"
        findings.append(Finding(PROXIES, State.WARNING, says, do))
    return findings


def look_at_clock(primary: Address, *, clock: Callable[[], datetime]) -> Finding:
    """How far this machine's clock is from the database server's."""
    check = "clock"
    before_ms = to_ms(clock())
    try:
        told_ms = look_at_server(primary).clock_ms
    except DatabaseUnavailable as error:
        return Finding(check, State.WARNING, f"not known: {error}")
    after_ms = to_ms(clock())
    # It was read somewhere between.
    off_s = max(before_ms - told_ms, told_ms - after_ms, 0) / 1000
    says = f"{off_s:.1f} s from that of {primary.host}"
    if off_s < CLOCK_OFF_S:
        return Finding(check, State.OK, says)
    state = State.WRONG if off_s >= CLOCK_WRONG_S else State.WARNING
    return Finding(check, state, says, "set both by NTP (chrony, systemd-timesyncd)")


def look_at_witness(primary: Address) -> Finding:
    """Whether a replica has each commit before the primary answers for it, without which a promotion loses some."""
    check, server = "witness", f"{primary.host}:{primary.port}"
    try:
        is_witnessed = look_at_server(primary).is_witnessed
    except DatabaseUnavailable as error:
        return Finding(check, State.WARNING, f"not known: {error}")
    if is_witnessed:
        return Finding(check, State.OK, f"{server} answers for a commit when a replica has it too")
    do = "start its replicas, and set rpl_semi_sync_master_enabled=ON there and in its configuration"
    return Finding(check, State.WARNING, f"{server} answers for commits that no replica has", do)


def look_at_copies(brokers: int, copies: Mapping[str, int], *, wanted: int) -> Finding:
    """Whether the loss of one broker loses what is on its way. copies: by topic, how many keep it."""
    check = "copies in Kafka"
    alone = sorted(topic for topic, count in copies.items() if count < 2)
    if wanted > brokers:
        do = "start more, or lower it, for no topic can be made"
        return Finding(check, State.WRONG, f"TUANZI_KAFKA_COPIES={wanted} and {brokers} brokers", do)
    if brokers > 1 and (alone or wanted < 2):
        do = (
            f"set TUANZI_KAFKA_COPIES={min(brokers, 3)}, and have the topics that are there kept so too (docs/kafka.md)"
        )
        says = f"{len(alone)} of {len(copies)} topics are kept by one broker alone, and {brokers} are there"
        return Finding(check, State.WARNING, says, do)
    if brokers == 1:
        return Finding(check, State.OK, "one broker keeps everything; three outlive the loss of one")
    return Finding(check, State.OK, f"{min(copies.values(), default=wanted)} or more of each topic")


def look_at_payments(settings: Settings) -> list[Finding]:
    """Whether somebody is paid; nothing in a demo."""
    if not is_play_money(settings):
        return []
    do = f"set TUANZI_PAYMENTS={WECHAT} (docs/payments.md), or run a demo"
    return [Finding("play money", State.WARNING, "every order counts as paid, and nobody pays", do)]


async def look_at_database(settings: Settings, primary: Address | None, name: str) -> list[Finding]:
    """Whether a database is of this release, its event log whole, and none of its events parked."""
    check = f"database {name}"
    if primary is None:
        looking = asyncio.to_thread(look_at_file, settings.data / f"{name.replace('.', '/')}.db")
    else:
        looking = asyncio.to_thread(look_at_schema, schema_on(primary, name))
    try:
        async with asyncio.timeout(CHECK_S_MAX):
            sight = await looking
    except TimeoutError:
        return [Finding(check, State.WRONG, f"no answer within {CHECK_S_MAX:.0f} s")]
    except DatabaseUnavailable as error:
        return [Finding(check, State.WRONG, str(error))]
    if sight is None:
        return [Finding(check, State.WARNING, "not made yet", "tuanzi run makes it")]
    return [
        _of_release(check, sight, kind=name.rpartition(".")[2]),
        _of_events(check, sight),
        *_of_parked(check, sight),
    ]


def look_at_residences(settings: Settings) -> list[Finding]:
    """Whether the databases that the settings name are in charge of their campuses; nothing where they are files."""
    findings = []
    for campus in settings.campuses:
        server = settings.server_of(campus)
        if server is None or settings.database is None:
            continue
        check, platform = f"residence of {campus}", schema_on(settings.database, "platform")
        try:
            Residence(campus, platform=platform, databases=campus_on(server, campus)).check()
        except Elsewhere as error:
            findings.append(Finding(check, State.WRONG, str(error), "correct TUANZI_DATABASES (runbooks/move.md)"))
        except DatabaseUnavailable as error:
            findings.append(Finding(check, State.WARNING, f"not known: {error}"))
        else:
            findings.append(Finding(check, State.OK, f"{server.host}:{server.port}"))
    return findings


def _of_release(check: str, sight: Sight, *, kind: str) -> Finding:
    packaged = {name: digest for name, _, digest in released(("every", kind))}
    others = sorted(name for name, digest in sight.migrations.items() if packaged.get(name) != digest)
    missing = sorted(packaged.keys() - sight.migrations.keys())
    if others:
        do = "run the release that made it"
        return Finding(check, State.WRONG, f"made with another {others[0]}.sql", do)
    if missing:
        says = f"older than this release: {len(missing)} migrations are missing"
        return Finding(check, State.WARNING, says, "tuanzi run brings it to this release")
    return Finding(check, State.OK, f"at this release, {len(packaged)} migrations")


def _of_events(check: str, sight: Sight) -> Finding:
    check = f"{check} events"
    do = "stop its writer, and compare with a backup or a replica before anything else is written"
    if sight.newest != sight.recorded:
        says = f"the last event is {sight.newest}, and its writer noted {sight.recorded}"
        return Finding(check, State.WRONG, says, do)
    if sight.events and sight.events != sight.newest - sight.oldest + 1:
        lost = sight.newest - sight.oldest + 1 - sight.events
        return Finding(check, State.WRONG, f"{lost} are missing between {sight.oldest} and {sight.newest}", do)
    return Finding(check, State.OK, f"{sight.events}, without a gap")


def _of_parked(check: str, sight: Sight) -> list[Finding]:
    if not sight.parked:
        return []
    do = "`tuanzi parked` lists them; have them heard by a release that can (runbooks/parked.md)"
    return [Finding(f"{check} parked", State.WARNING, f"{sight.parked} events had no effect here", do)]


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


def _taken(host: str, port: int) -> str:
    """Why nobody can listen there; "" when one can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        return str(error.strerror or error)
    return ""


async def _is_tuanzi(settings: Settings) -> bool:
    """Whether what listens on TUANZI_PORT says that it is Tuanzi."""
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    address = f"[{host}]" if ":" in host else host
    try:
        async with httpx.AsyncClient(timeout=CHECK_S_MAX, trust_env=False) as client:
            answer = await client.get(f"http://{address}:{settings.port}/healthz")
        return answer.status_code == 200 and answer.json() == {"status": "alive"}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


def _asked(environment: Mapping[str, str]) -> dict[str, str | None]:
    """The names that are asked for in this environment, until one is wrong."""
    recorded = Recorded(environment)
    with suppress(SettingWrong):
        read_settings(recorded)
    return recorded.asked


def _wrong_in(environment: Mapping[str, str]) -> tuple[dict[str, str | None], dict[str, str]]:
    """What is asked for, and what is wrong by name: each time without those that were wrong before."""
    left = dict(environment)
    asked: dict[str, str | None] = {}
    wrong: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_PROBED_MAX):
            recorded = Recorded(left)
            try:
                read_settings(recorded)
            except SettingWrong as error:
                name = _name_in(str(error), recorded)
                if name in wrong:
                    break
                wrong[name] = str(error)
                if name == "TUANZI_DATA":
                    left[name] = folder
                elif left.pop(name, None) is None:
                    left["TUANZI_PAYMENTS"] = INPROCESS  # it is missing, and only payments miss something
                asked = {**recorded.asked, **asked}
                continue
            asked = {**recorded.asked, **asked}
            break
    return asked, wrong


def _name_in(message: str, recorded: Recorded) -> str:
    """The setting that a message is about: named in it, else the last that was read."""
    named = [name for name in recorded.asked if message.startswith(name)]
    return max(named, key=len) if named else recorded.last


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

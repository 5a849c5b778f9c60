"""What the doctor looks at: each look says how a thing is, and what is to be done (J4)."""

from __future__ import annotations

import asyncio
import errno
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path

import httpx
from msgspec import Struct

from tuanzi.base.time import to_ms
from tuanzi.engines.database.connections import Address
from tuanzi.engines.database.looking import (
    COUNTED_MAX,
    Sight,
    in_file,
    in_schema,
    look_at_file,
    look_at_schema,
    look_at_server,
)
from tuanzi.engines.database.residence import Elsewhere, Residence
from tuanzi.engines.logs.sender import RECORD_BYTES_MAX
from tuanzi.engines.logs.sizes import command_for
from tuanzi.machinery.database import DatabaseUnavailable
from tuanzi.machinery.migrate import released
from tuanzi.people import Keys, are_sealed_otherwise
from tuanzi.roles.where import CHECK_S_MAX
from tuanzi.settings import SECRET_BYTES_MIN, WECHAT, Settings, is_play_money
from tuanzi.wiring import ANOTHER_SECRET, campus_on, check_files, file_of, files_in, schema_on

# Our choice: an hour of lunch writes some 1 GB of events and rows into a busy campus's databases.
SPACE_LEAST = 200 * 1024**2
SPACE_GOOD = 2 * 1024**3
# Our choice: sign-in codes and held seats live for minutes; Kafka and TLS mind more than some seconds.
CLOCK_OFF_S = 1.0
CLOCK_WRONG_S = 10.0
CODES, PROXIES = "sign-in codes", "TUANZI_PROXIES"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


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
        do = f"set TUANZI_SECRET or its file to at least {SECRET_BYTES_MIN} bytes, and never to others"
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


def look_at_seals(settings: Settings, primary: Address | None) -> list[Finding]:
    """Whether people are known by the secret, where there are some; nothing where that cannot be asked, which the look
    at their database says. primary: the server that has it; None for a file."""
    is_sealed_otherwise = partial(are_sealed_otherwise, keys=Keys(settings.secret))
    try:
        if primary is None:
            is_wrong = in_file(file_of(settings.data, "platform"), is_sealed_otherwise)
        else:
            is_wrong = in_schema(schema_on(primary, "platform"), is_sealed_otherwise)
    except DatabaseUnavailable:
        return []
    do = "give this process the secret of the house; the one that a command makes where it finds none is not it"
    return [Finding("secret of people", State.WRONG, ANOTHER_SECRET, do)] if is_wrong else []


async def look_at_ports(settings: Settings) -> list[Finding]:
    """Whether what is to be listened on is free, or Tuanzi's already."""
    is_here = await _is_tuanzi(settings)
    findings = []
    for name, port in (("TUANZI_PORT", settings.port), ("TUANZI_LIVE_PORT", settings.live_port)):
        where, taken = f"{settings.host}:{port}", _taken(settings.host, port)
        if name == "TUANZI_LIVE_PORT" and port and port == settings.port:
            findings.append(Finding(name, State.WRONG, f"{where} is TUANZI_PORT's", f"set {name} to another port"))
        elif not taken:
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


def look_at_answers(settings: Settings) -> list[Finding]:
    """Whether writers of other machines can answer this process; nothing where all of an installation is on one, as far
    as its brokers tell."""
    if not settings.kafka or {server.strip().rpartition(":")[0] for server in settings.kafka.split(",")} <= _LOOPBACK:
        return []
    check, host = "TUANZI_ANSWERS_HOST", settings.answers_host
    if host not in _LOOPBACK:
        return [Finding(check, State.OK, f"answers come to {host}")]
    says = (
        f"answers come to {host}, where only this machine's writers find it: people would wait for the others in vain"
    )
    return [Finding(check, State.WARNING, says, "set it to the name by which other machines reach this one")]


def look_at_gateways(settings: Settings) -> list[Finding]:
    """Whether an api of an installation tells people where the gateways are; a house in one process is one itself."""
    if not settings.kafka:
        return []
    if settings.live_url:
        return [Finding("TUANZI_LIVE_URL", State.OK, f"people are sent to {settings.live_url}")]
    says = "an api that is no gateway itself tells nobody where one is: its pages hear nothing by themselves"
    return [Finding("TUANZI_LIVE_URL", State.WARNING, says, "set it to where the gateways are, wss://live.example.edu")]


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


def look_at_record_sizes(limits: Mapping[str, int | None], *, servers: str) -> Finding:
    """Whether every topic takes as long a command as an import is. limits: by topic, in bytes; None: not known."""
    check = "records in Kafka"
    small = sorted(topic for topic, limit in limits.items() if limit is not None and limit < RECORD_BYTES_MAX)
    unknown = sorted(topic for topic, limit in limits.items() if limit is None)
    if small:
        says = f"{len(small)} of {len(limits)} topics take {limits[small[0]]} bytes or so, and long imports are refused"
        do = "let the account alter their configuration and start the house anew, or for each: "
        return Finding(check, State.WARNING, says, do + command_for(servers, small[0]))
    if unknown:
        says = f"of {len(unknown)} of {len(limits)} topics it is not known how long a record may be"
        return Finding(check, State.WARNING, says, "let the account describe their configuration (docs/kafka.md)")
    return Finding(check, State.OK, f"{RECORD_BYTES_MAX // 1024**2} MiB in each of {len(limits)} topics")


def look_at_payments(settings: Settings) -> list[Finding]:
    """Whether somebody is paid; nothing in a demo."""
    if not is_play_money(settings):
        return []
    do = f"set TUANZI_PAYMENTS={WECHAT} (docs/payments.md), or run a demo"
    return [Finding("play money", State.WARNING, "every order counts as paid, and nobody pays", do)]


async def look_at_database(
    settings: Settings, primary: Address | None, name: str, *, clock: Callable[[], datetime]
) -> list[Finding]:
    """Whether a database is of this release, its event log whole, none of its events parked and none of tomorrow."""
    check = f"database {name}"
    if primary is None:
        looking = asyncio.to_thread(look_at_file, file_of(settings.data, name))
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
        *_of_time(check, sight, now_ms=to_ms(clock())),
    ]


def look_at_campuses(settings: Settings) -> list[Finding]:
    """Databases that are gone from the data folder; campuses that have some there, and for which no process with these
    settings works."""
    if settings.database is not None:
        return []
    try:
        check_files(settings.data, settings.campuses)
    except DatabaseUnavailable as error:
        do = "stop the house, and restore a backup into an empty folder (runbooks/backup.md)"
        return [Finding("databases", State.WRONG, str(error), do)]
    there = {campus for campus, dot, _ in [name.partition(".") for name in files_in(settings.data)] if dot}
    says = "its databases are here, and TUANZI_CAMPUSES does not name it: its orders and refunds stand still"
    do = "name it, or take its folder away when it is closed"
    return [Finding(f"campus {campus}", State.WARNING, says, do) for campus in sorted(there - set(settings.campuses))]


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
    first = max(sight.oldest, sight.newest - COUNTED_MAX + 1)
    if sight.counted and (lost := sight.newest - first + 1 - sight.counted):
        return Finding(check, State.WRONG, f"{lost} are missing between {first} and {sight.newest}", do)
    newest = "the newest " if first > sight.oldest else ""
    return Finding(check, State.OK, f"{newest}{sight.counted}, without a gap")


def _of_parked(check: str, sight: Sight) -> list[Finding]:
    if not sight.parked:
        return []
    do = "`tuanzi parked` lists them; have them heard by a release that can (runbooks/parked.md)"
    return [Finding(f"{check} parked", State.WARNING, f"{sight.parked} events had no effect here", do)]


def _of_time(check: str, sight: Sight, *, now_ms: int) -> list[Finding]:
    """Whether its writer's time is ahead of this machine's."""
    ahead_s = 0.0 if sight.newest_at_ms is None else (sight.newest_at_ms - now_ms) / 1000
    if ahead_s < CLOCK_WRONG_S:
        return []
    says = f"its newest event is of {ahead_s:.0f} s from now: a clock was ahead then, or this one is late"
    return [Finding(f"{check} time", State.WARNING, says, "set the clock right, then runbooks/clock.md")]


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

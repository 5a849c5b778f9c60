"""Every setting, read once from the environment; what is not set works for one process on one machine (D3)."""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec.structs import replace as replace_struct

from tuanzi.engines.database.connections import Address, address_of
from tuanzi.machinery.http.proxies import networks_of
from tuanzi.money import GATEWAY, NOTIFY_PATH, Merchant
from tuanzi.people import LOGIN_GATEWAY, SmsAccount, WechatApp

log = logging.getLogger("tuanzi.settings")

INPROCESS, WECHAT = "inprocess", "wechat"
API_KEY_BYTES = 32
SECRET_BYTES_MIN = 32
# Our choice: a code of more than some 200 characters cannot be scanned from a poster.
PUBLIC_URL_MAX = 100
_PUBLIC_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
_LIVE_URL = re.compile(r"wss?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
# What Kafka takes in a topic's name; the rest of one has up to 60 characters.
_KAFKA_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,100}")
SASL = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")


class SettingWrong(Exception):
    """A setting cannot be used; says which and why."""


@dataclass(frozen=True, slots=True)
class KafkaAccount:
    """As whom a process signs in at Kafka. mechanism: how, by SASL."""

    user: str
    password: str = field(repr=False)
    mechanism: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a process.

    host, port: where HTTP is served (TUANZI_HOST, TUANZI_PORT).
    data: the folder of the databases (TUANZI_DATA).
    database: a server that keeps the databases instead (TUANZI_DATABASE, mysql://user:password@host:port/prefix, with
    ?socket=/path for one on this machine; the password rather in the file TUANZI_DATABASE_PASSWORD_FILE). Its schema is
    the prefix of theirs: `tuanzi` makes `tuanzi_platform` and `tuanzi_beijing_core`. None for SQLite.
    databases: the servers of campuses that have one of their own (TUANZI_DATABASES, campus=mysql://... with spaces or
    line ends between, or the file TUANZI_DATABASES_FILE, which is read again whenever it has changed); one without a
    password has that of TUANZI_DATABASE.
    campuses: their ids (TUANZI_CAMPUSES, comma separated).
    secret: seals codes and tokens (TUANZI_SECRET, or the file TUANZI_SECRET_FILE, or `<data>/secret`, made once).
    batch_max: commands of one commit (TUANZI_WRITER_BATCH_MAX). queue_max: commands that may wait
    (TUANZI_WRITER_QUEUE_MAX). wait_ms_max: the longest expected wait before a command is turned away with 429
    (TUANZI_WRITER_WAIT_MS_MAX). places_max: values in memory, in each of two generations (TUANZI_WRITER_PLACES_MAX,
    about 1 kB each). decide_ms_max: how much of the processor a command may use (TUANZI_WRITER_DECIDE_MS_MAX), and what
    is due or has happened elsewhere eight times as much.
    live_port: where the gateway takes WebSockets, 0 for any free port (TUANZI_LIVE_PORT, else TUANZI_PORT + 1).
    live_url: what clients are told instead, where a proxy stands in front (TUANZI_LIVE_URL, wss://live.example.edu).
    live_gather_ms: for how long at most what happens is gathered before it is told, at quiet (TUANZI_LIVE_GATHER_MS,
    decision 0021); what happens alone is told at once. live_patient_ms: in place of it while only such is to be told
    as nobody waits for, how an order is getting on (TUANZI_LIVE_PATIENT_MS).
    live_escalate_s: after how long a message that nobody acknowledged is handed to other means
    (TUANZI_LIVE_ESCALATE_S); acknowledgements are kept every five seconds.
    live_address_max: how many WebSockets one client address, of IPv6 one /64, may have open in each gateway; thousands
    of a campus come out of one (TUANZI_LIVE_ADDRESS_MAX, 0 for any number). Behind a proxy it needs `proxies`.
    payments: who is paid (TUANZI_PAYMENTS): "inprocess" plays with money in memory, "wechat" is WeChat Pay v3; a demo
    without it runs a WeChat Pay sandbox of its own. merchant: who we are there (TUANZI_WECHAT_MCHID, _APPID,
    _MERCHANT_SERIAL, _MERCHANT_KEY_FILE, _API_KEY_FILE; _PUBLIC_KEY_FILE and _PUBLIC_KEY_ID of WeChat Pay, or neither
    for its certificates; _NOTIFY_URL, where WeChat reaches this house from outside; _GATEWAY; _PAY_PAGE of a sandbox).
    None in the other cases.
    app: which mini program people sign in with (TUANZI_WECHAT_APPID, TUANZI_WECHAT_APP_SECRET_FILE;
    TUANZI_WECHAT_LOGIN_GATEWAY). None without its secret: then nobody signs in with WeChat; WeChat Pay needs it, for it
    knows payers by it.
    sms: who we are at Aliyun SMS, which carries sign-in codes (TUANZI_SMS_ACCESS_KEY_ID, _ACCESS_KEY_SECRET_FILE,
    _SIGN_NAME, _TEMPLATE_CODE; _GATEWAY). None without the first: then a demo prints codes, and nothing else sends any.
    proxies: addresses of proxies whose X-Forwarded-For is believed, comma separated (TUANZI_PROXIES; none).
    requests_per_s: how many requests a second one person may send in the long run, and ten times as many one address of
    those who are not signed in; ten seconds' worth at once, beyond that 429 (TUANZI_REQUESTS_PER_S, 0 for any number).
    Each process that answers counts for itself.
    public_url: what links that leave this house begin with, such as the code on a poster (TUANZI_PUBLIC_URL,
    https://tuanzi.example.edu); "" for whatever address each was asked at, which behind a proxy with TLS is not it.
    demo: demo campuses with simulated students; codes are printed (TUANZI_DEMO=1).
    kafka: the brokers of an installation of many processes, host:port, comma separated (TUANZI_KAFKA); "" for one that
    is all in one process. kafka_prefix: what its topics' names begin with (TUANZI_KAFKA_PREFIX).
    redis: nodes of a Redis Cluster, host:port, comma separated (TUANZI_REDIS), and its password
    (TUANZI_REDIS_PASSWORD_FILE). rabbit: amqp://user:password@host:port/ (TUANZI_RABBIT, or the file
    TUANZI_RABBIT_FILE). "": what they would carry stays in the process.
    workers_max: how many errands a worker does at once at most (TUANZI_WORKERS_MAX).
    answers_host: this process's address for others of the installation, who connect to it (TUANZI_ANSWERS_HOST).
    """

    host: str
    port: int
    data: Path
    campuses: tuple[str, ...]
    secret: bytes
    batch_max: int
    queue_max: int
    wait_ms_max: int
    places_max: int
    decide_ms_max: int
    live_port: int
    live_url: str
    live_gather_ms: int
    live_patient_ms: int
    live_escalate_s: int
    live_address_max: int
    proxies: str
    requests_per_s: int
    demo: bool
    public_url: str = ""
    kafka: str = ""
    kafka_prefix: str = "tuanzi"
    kafka_copies: int = 1
    kafka_account: KafkaAccount | None = None
    kafka_ca: str = ""
    redis: str = ""
    redis_password: str = ""
    rabbit: str = ""
    workers_max: int = 64
    answers_host: str = "127.0.0.1"
    payments: str = INPROCESS
    merchant: Merchant | None = None
    app: WechatApp | None = None
    sms: SmsAccount | None = None
    database: Address | None = None
    databases: Mapping[str, Address] = field(default_factory=dict)

    def server_of(self, name: str) -> Address | None:
        """The server of the database `platform` or e.g. `beijing.core`; None for SQLite."""
        return self.databases.get(name.partition(".")[0], self.database)

    @property
    def settled(self) -> Settings:
        """The same, with the servers of campuses as they are now: for work that must find them unchanged."""
        return replace(self, databases=dict(self.databases))

    @property
    def servers(self) -> list[Address]:
        """Every server there is, each once, the platform's first."""
        return list(dict.fromkeys(each for each in (self.database, *self.databases.values()) if each is not None))


def is_play_money(settings: Settings) -> bool:
    """Whether every order counts as paid though nobody pays, and that is not what a demo is for."""
    return settings.payments == INPROCESS and not settings.demo


class DatabasesFile(Mapping[str, Address]):
    """The servers of campuses by a file, which is read again whenever it has changed, by whichever thread asks.

    What is wrong with it then is logged, once for each change, and what was read before holds on.
    """

    def __init__(self, path: Path, read: Callable[[], dict[str, Address]]) -> None:
        """read: what the file says. Raises SettingWrong, as it does."""
        self._path = path
        self._read = read
        self._stamp = self._stamp_now()
        self._said = read()

    def __getitem__(self, campus: str) -> Address:
        return self._now()[campus]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def _now(self) -> dict[str, Address]:
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._stamp = stamp  # before it is read: a change meanwhile is one more
            try:
                self._said = self._read()
                log.warning("settings.databases_read", extra={"campuses": ",".join(sorted(self._said))})
            except SettingWrong as wrong:
                log.error("settings.databases_wrong", extra={"reason": str(wrong)})
        return self._said

    def _stamp_now(self) -> tuple[int, int, int]:
        with suppress(OSError):
            found = self._path.stat()
            return (found.st_ino, found.st_mtime_ns, found.st_size)
        return (0, 0, 0)


def read_settings(environment: Mapping[str, str] = os.environ, *, demo: bool = False) -> Settings:
    """The settings of this process. Makes the data folder and its secret when absent. Raises SettingWrong."""
    data = Path(environment.get("TUANZI_DATA", "./data"))
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingWrong(f"TUANZI_DATA={data}: {error.strerror}") from error
    campuses = tuple(name.strip() for name in environment.get("TUANZI_CAMPUSES", "beijing,shanghai").split(","))
    for name in campuses:
        is_id = name.isascii() and name.isalnum() and name.islower() and len(name) <= 20
        if not is_id or name == "platform":
            raise SettingWrong(f"TUANZI_CAMPUSES: a campus id is 1 to 20 lower-case letters and digits, not {name!r}")
        if campuses.count(name) > 1:
            raise SettingWrong(f"TUANZI_CAMPUSES: {name} is there twice")
    port = _whole(environment, "TUANZI_PORT", 8000, 0, 65535)
    is_demo = _is_demo(environment) or demo
    payments = _payments(environment, demo=is_demo)
    database = _database(environment)
    databases = _databases(environment, default=database, campuses=campuses)
    has_merchant = not is_demo or "TUANZI_WECHAT_MCHID" in environment
    return Settings(
        host=environment.get("TUANZI_HOST", "127.0.0.1"),
        port=port,
        data=data,
        campuses=campuses,
        secret=_secret(environment, data),
        batch_max=_whole(environment, "TUANZI_WRITER_BATCH_MAX", 256, 1, 10_000),
        queue_max=_whole(environment, "TUANZI_WRITER_QUEUE_MAX", 20_000, 1, 1_000_000),
        wait_ms_max=_whole(environment, "TUANZI_WRITER_WAIT_MS_MAX", 2_000, 1, 60_000),
        places_max=_whole(environment, "TUANZI_WRITER_PLACES_MAX", 100_000, 1, 10_000_000),
        decide_ms_max=_whole(environment, "TUANZI_WRITER_DECIDE_MS_MAX", 250, 1, 60_000),
        live_port=_whole(environment, "TUANZI_LIVE_PORT", port + 1 if 0 < port < 65535 else 0, 0, 65535),
        live_url=_matching(environment, "TUANZI_LIVE_URL", "", _LIVE_URL, "wss://live.example.edu"),
        live_gather_ms=_whole(environment, "TUANZI_LIVE_GATHER_MS", 250, 0, 10_000),
        live_patient_ms=_whole(environment, "TUANZI_LIVE_PATIENT_MS", 2000, 0, 10_000),
        live_escalate_s=_whole(environment, "TUANZI_LIVE_ESCALATE_S", 10, 6, 86_400),
        live_address_max=_whole(environment, "TUANZI_LIVE_ADDRESS_MAX", 10_000, 0, 1_000_000),
        proxies=_proxies(environment),
        requests_per_s=_whole(environment, "TUANZI_REQUESTS_PER_S", 20, 0, 1_000_000),
        demo=is_demo,
        public_url=_public_url(environment),
        kafka=environment.get("TUANZI_KAFKA", ""),
        kafka_prefix=_matching(environment, "TUANZI_KAFKA_PREFIX", "tuanzi", _KAFKA_PREFIX, "tuanzi-east"),
        kafka_copies=_whole(environment, "TUANZI_KAFKA_COPIES", 1, 1, 100),
        kafka_account=_kafka_account(environment),
        kafka_ca=_kafka_ca(environment),
        redis=environment.get("TUANZI_REDIS", ""),
        redis_password=_password(environment, "TUANZI_REDIS_PASSWORD_FILE"),
        rabbit=environment.get("TUANZI_RABBIT", "") or _password(environment, "TUANZI_RABBIT_FILE"),
        workers_max=_whole(environment, "TUANZI_WORKERS_MAX", 64, 1, 10_000),
        answers_host=environment.get("TUANZI_ANSWERS_HOST", "127.0.0.1"),
        payments=payments,
        merchant=_merchant(environment) if payments == WECHAT and has_merchant else None,
        app=_app(environment),
        sms=_sms(environment),
        database=database,
        databases=databases,
    )


def _database(environment: Mapping[str, str]) -> Address | None:
    """The server of the databases. Raises SettingWrong, which never says a password."""
    if not environment.get("TUANZI_DATABASE"):
        return None
    try:
        address = address_of(environment["TUANZI_DATABASE"])
    except ValueError as error:
        raise SettingWrong(f"TUANZI_DATABASE: {error}") from None
    if path := environment.get("TUANZI_DATABASE_PASSWORD_FILE"):
        try:
            return replace(address, password=Path(path).read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise SettingWrong(f"TUANZI_DATABASE_PASSWORD_FILE={path}: cannot be read") from error
    return address


def _databases(
    environment: Mapping[str, str], *, default: Address | None, campuses: tuple[str, ...]
) -> Mapping[str, Address]:
    """The servers of campuses that have one of their own. Raises SettingWrong, which never says a password."""
    name = "TUANZI_DATABASES"
    path = environment.get(f"{name}_FILE")

    def read() -> dict[str, Address]:
        said = environment.get(name, "") or _password(environment, f"{name}_FILE")
        return _servers_of_campuses(said, name=name, default=default, campuses=campuses)

    return DatabasesFile(Path(path), read) if path and not environment.get(name) else read()


def _servers_of_campuses(
    said: str, *, name: str, default: Address | None, campuses: tuple[str, ...]
) -> dict[str, Address]:
    databases: dict[str, Address] = {}
    for word in said.split():
        campus, equals, url = word.partition("=")
        if not equals or campus not in campuses:
            raise SettingWrong(f"{name}: campus=mysql://... is expected, of a campus that TUANZI_CAMPUSES has")
        if campus in databases:
            raise SettingWrong(f"{name}: {campus} is there twice")
        try:
            databases[campus] = server_at(url, like=default)
        except ValueError as error:
            raise SettingWrong(f"{name}: {campus}: {error}") from None
    if databases and default is None:
        raise SettingWrong(f"{name}: TUANZI_DATABASE is missing, where the platform is and every other campus")
    return databases


def server_at(url: str, *, like: Address | None) -> Address:
    """The server that an address names; without a password it has the one of `like`. Raises ValueError, which never
    says a password."""
    address = address_of(url)
    return address if address.password or like is None else replace(address, password=like.password)


def _proxies(environment: Mapping[str, str]) -> str:
    """Whose word is taken for who asks, as the server reads it. Raises SettingWrong."""
    proxies = environment.get("TUANZI_PROXIES", "")
    try:
        networks_of(proxies)
    except ValueError as error:
        raise SettingWrong(f"TUANZI_PROXIES={proxies}: {error}") from None
    return proxies


def _public_url(environment: Mapping[str, str]) -> str:
    """What links begin with, without a slash at the end. Raises SettingWrong."""
    url = environment.get("TUANZI_PUBLIC_URL", "").rstrip("/")
    if url and (len(url) > PUBLIC_URL_MAX or not _PUBLIC_URL.fullmatch(url)):
        raise SettingWrong("TUANZI_PUBLIC_URL: an http address without a query is expected, https://tuanzi.example.edu")
    return url


def _kafka_account(environment: Mapping[str, str]) -> KafkaAccount | None:
    """As whom Kafka is signed in at. Raises SettingWrong, which never says the password."""
    name = "TUANZI_KAFKA_PASSWORD_FILE"
    mechanism = environment.get("TUANZI_KAFKA_SASL", SASL[0])
    user, password = environment.get("TUANZI_KAFKA_USER", ""), _password(environment, name)
    if mechanism not in SASL:
        raise SettingWrong(f"TUANZI_KAFKA_SASL={mechanism}: {', '.join(SASL)} is expected")
    if bool(user) != bool(password):
        missing, other = ("TUANZI_KAFKA_USER", name) if password else (name, "TUANZI_KAFKA_USER")
        raise SettingWrong(f"{missing} is missing; {other} needs it")
    return KafkaAccount(user, password, mechanism) if user else None


def _kafka_ca(environment: Mapping[str, str]) -> str:
    """The file of Kafka's certificates; "" for no TLS. Raises SettingWrong."""
    _password(environment, "TUANZI_KAFKA_CA_FILE")
    return environment.get("TUANZI_KAFKA_CA_FILE", "")


def _payments(environment: Mapping[str, str], *, demo: bool) -> str:
    named = environment.get("TUANZI_PAYMENTS", WECHAT if demo else INPROCESS)
    if named not in (INPROCESS, WECHAT):
        raise SettingWrong(f"TUANZI_PAYMENTS={named}: {INPROCESS} or {WECHAT} is expected")
    return named


def _merchant(environment: Mapping[str, str]) -> Merchant:
    """Who we are at WeChat Pay. Raises SettingWrong, which never says what is in a file."""

    def need(name: str) -> str:
        if not environment.get(f"TUANZI_WECHAT_{name}"):
            raise SettingWrong(f"TUANZI_WECHAT_{name} is missing; TUANZI_PAYMENTS={WECHAT} needs it")
        return environment[f"TUANZI_WECHAT_{name}"]

    def file(name: str) -> str:
        path = need(f"{name}_FILE")
        try:
            return Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingWrong(f"TUANZI_WECHAT_{name}_FILE={path}: cannot be read") from error

    base = need("NOTIFY_URL").rstrip("/")
    if not base.startswith(("https://", "http://")) or "?" in base:
        raise SettingWrong("TUANZI_WECHAT_NOTIFY_URL: an http address without a query is expected")
    need("APP_SECRET_FILE")  # of the mini program, by which payers are known
    by_key = bool(environment.get("TUANZI_WECHAT_PUBLIC_KEY_ID") or environment.get("TUANZI_WECHAT_PUBLIC_KEY_FILE"))
    api_key = file("API_KEY")
    if len(api_key) != API_KEY_BYTES:
        raise SettingWrong(f"TUANZI_WECHAT_API_KEY_FILE: an API v3 key has {API_KEY_BYTES} characters")
    return Merchant(
        gateway=environment.get("TUANZI_WECHAT_GATEWAY", GATEWAY).rstrip("/"),
        mchid=need("MCHID"),
        appid=need("APPID"),
        merchant_serial=need("MERCHANT_SERIAL"),
        merchant_key=file("MERCHANT_KEY"),
        api_key=api_key,
        public_key=file("PUBLIC_KEY") if by_key else "",
        public_key_id=need("PUBLIC_KEY_ID") if by_key else "",
        notify_url=base + NOTIFY_PATH,
        pay_page=environment.get("TUANZI_WECHAT_PAY_PAGE", ""),
    )


def _app(environment: Mapping[str, str]) -> WechatApp | None:
    """Which mini program we are. Raises SettingWrong, which never says the secret."""
    name = "TUANZI_WECHAT_APP_SECRET_FILE"
    if not environment.get(name):
        return None
    if not environment.get("TUANZI_WECHAT_APPID"):
        raise SettingWrong(f"TUANZI_WECHAT_APPID is missing; {name} needs it")
    return WechatApp(
        appid=environment["TUANZI_WECHAT_APPID"],
        secret=_password(environment, name),
        gateway=environment.get("TUANZI_WECHAT_LOGIN_GATEWAY", LOGIN_GATEWAY).rstrip("/"),
    )


def _sms(environment: Mapping[str, str]) -> SmsAccount | None:
    """Who we are at Aliyun SMS. Raises SettingWrong, which never says the secret."""
    name = "TUANZI_SMS_ACCESS_KEY_ID"
    if not environment.get(name):
        return None
    for needed in ("ACCESS_KEY_SECRET_FILE", "SIGN_NAME", "TEMPLATE_CODE"):
        if not environment.get(f"TUANZI_SMS_{needed}"):
            raise SettingWrong(f"TUANZI_SMS_{needed} is missing; {name} needs it")
    account = SmsAccount(
        access_key_id=environment[name],
        access_key_secret=_password(environment, "TUANZI_SMS_ACCESS_KEY_SECRET_FILE"),
        sign_name=environment["TUANZI_SMS_SIGN_NAME"],
        template_code=environment["TUANZI_SMS_TEMPLATE_CODE"],
    )
    gateway = environment.get("TUANZI_SMS_GATEWAY")
    return replace_struct(account, gateway=gateway.rstrip("/")) if gateway else account


def _password(environment: Mapping[str, str], name: str) -> str:
    """What a file holds; "" when none is named. Raises SettingWrong, which never says what is in it."""
    path = environment.get(name)
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingWrong(f"{name}={path}: cannot be read") from error


def _is_demo(environment: Mapping[str, str]) -> bool:
    """Whether this is a demo. Raises SettingWrong for a word that somebody may have meant as yes."""
    word = environment.get("TUANZI_DEMO", "0")
    if word not in ("", "0", "1"):
        raise SettingWrong(f"TUANZI_DEMO={word}: 1 is expected, or 0")
    return word == "1"


def _matching(environment: Mapping[str, str], name: str, default: str, pattern: re.Pattern[str], example: str) -> str:
    """A text as it is expected, or the default where it is empty. Raises SettingWrong."""
    text = environment.get(name, default) or default
    if text != default and not pattern.fullmatch(text):
        raise SettingWrong(f"{name}={text}: something like {example} is expected")
    return text


def _whole(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environment.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise SettingWrong(f"{name}={text}: a whole number from {least} to {most} is expected")
    return int(text)


def _secret(environment: Mapping[str, str], data: Path) -> bytes:
    if given := environment.get("TUANZI_SECRET"):
        return given.encode()
    path = Path(environment.get("TUANZI_SECRET_FILE", data / "secret"))
    try:
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
        return path.read_bytes().strip()
    except OSError as error:
        raise SettingWrong(f"the secret file {path}: {error.strerror}") from error

"""A house of real databases, reached as clients reach it: through the HTTP application."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import typing
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from itertools import count
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any, ClassVar

import httpx
import pytest

from sandboxes.wechatlogin import Company
from tests.journeys.declared import Declared
from tests.waiting import until
from tuanzi.base.ids import Ids
from tuanzi.catalog import ImportCatalog, ImportKind
from tuanzi.engines.logs.here import HereCommandLog, HereEventLog
from tuanzi.installation import Engines, Front, WriterSide, log_names, sources_of
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.internal import COMMAND_LOG
from tuanzi.money import PaymentProvider, SandboxProvider
from tuanzi.people import AppointOperator, PlayedPhones, WechatLogin
from tuanzi.people.problems import WechatCodeRefused
from tuanzi.roles.api import application
from tuanzi.settings import read_settings
from tuanzi.wiring import CAMPUS_DATABASES, House, Vendors, open_where_set

CAMPUSES = Path(__file__).parents[2] / "src/simulation/campuses"
# 11:40 in Shanghai on a Monday: lunch is ordered.
LUNCH = datetime(2026, 11, 23, 3, 40, tzinfo=UTC)
AT_ONCE = {"TUANZI_LIVE_GATHER_MS": "0", "TUANZI_LIVE_PATIENT_MS": "0"}


class Codes:
    """A sender that keeps the codes it was given."""

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        """Keep the code."""
        self.sent[phone] = code


class Wechat:
    """WeChat, asked without a network between: the sandbox's own codes, each good once."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.company = Company("wx_town", "secret of the app", clock=clock)
        self.appid = self.company.appid

    async def openid_of(self, code: str) -> str:
        """Ask the sandbox."""
        query = {"appid": self.appid, "secret": self.company.secret, "grant_type": "authorization_code"}
        told = self.company.session_of({**query, "js_code": code})
        if told.get("errcode"):
            raise WechatCodeRefused()
        return str(told["openid"])


class Person:
    """Somebody with a token, who speaks HTTP."""

    def __init__(self, client: httpx.AsyncClient, token: str, person_id: str, campus: str) -> None:
        self.client = client
        self.id = person_id
        self.token = token
        self.campus = f"/v1/campuses/{campus}"
        self._numbers = count()

    async def send(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, content: bytes | None = None
    ) -> httpx.Response:
        """Send a request; a path without a leading slash is of the campus. Writes get a key of their own.

        content: these bytes as JSON, whatever they are, instead of a body.
        """
        headers = {"authorization": f"Bearer {self.token}"}
        if method != "GET":
            headers["idempotency-key"] = key or f"{self.token[:16]}-{next(self._numbers)}"
        url = path if path.startswith("/") else f"{self.campus}/{path}"
        if content is None:
            return await self.client.request(method, url, json=body, headers=headers)
        headers["content-type"] = "application/json"
        return await self.client.request(method, url, content=content, headers=headers)

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        """POST `body`, or an empty object."""
        return await self.send("POST", path, {} if body is None else body, key=key)

    async def get(self, path: str) -> httpx.Response:
        """GET."""
        return await self.send("GET", path)


@cache
def new_databases() -> Path:
    """A data folder as the first start makes it, made once and copied for every town."""
    folder = Path(mkdtemp(prefix="tuanzi-towns-"))
    atexit.register(shutil.rmtree, folder)
    settings = read_settings({"TUANZI_DATA": str(folder), "TUANZI_SECRET": "s" * 32})
    names = [f"{campus}.{kind}" for campus in settings.campuses for kind in CAMPUS_DATABASES]
    for name in ["platform", *names]:
        open_where_set(settings, name, name.rpartition(".")[2], now=LUNCH).close()
    return folder


class Town:
    """A running house with its demo catalogs, a clock that tests move, and people who sign in.

    is_apart: whether who serves and who decides meet by logs and lines, as processes of an installation do.
    """

    is_apart = False
    # By folder: logs outlive the processes that meet by it.
    _logs: ClassVar[dict[Path, Engines]] = {}

    def __init__(
        self,
        data: Path,
        *,
        pays_at_once: bool = True,
        seed: int = 7,
        is_apart: bool | None = None,
        payments: PaymentProvider | None = None,
        login: WechatLogin | None = None,
        phones: PlayedPhones | None = None,
        **settings: str,
    ) -> None:
        """payments, login, phones: other companies than those that are played here.

        seed: of the ids; a second house on the same folder needs another. settings: as in the environment.
        """
        self.now = LUNCH
        self.codes = Codes()
        self.provider = SandboxProvider(pays_at_once=pays_at_once)
        if "TUANZI_DATABASE" not in settings and not (data / "platform.db").exists():
            shutil.copytree(new_databases(), data, dirs_exist_ok=True)
        # Nothing is gathered before it is told: `settled` knows nothing of that.
        environment = {"TUANZI_DATA": str(data), "TUANZI_SECRET": "s" * 32, **AT_ONCE, **settings}
        self._settings = read_settings(environment)
        self.wechat = Wechat(lambda: self.now)
        self._vendors = Vendors(
            codes=self.codes, payments=payments or self.provider, login=login or self.wechat, phones=phones
        )
        self._ids = Ids(Random(seed).getrandbits)
        self.writers: House | WriterSide
        self.house: House
        if self.is_apart if is_apart is None else is_apart:
            campuses = self._settings.campuses
            logs = Engines(HereCommandLog(campuses=log_names(campuses)), HereEventLog(sources=sources_of(campuses)))
            logs = self._logs.setdefault(data, logs)
            self.writers = WriterSide(
                self._settings, self._vendors, logs, name="w1", clock=lambda: self.now, ids=self._ids
            )
            self.house = typing.cast(
                House, Front(self._settings, self._vendors, logs, clock=lambda: self.now, ids=self._ids)
            )  # the same to whoever asks
        else:
            self.writers = self.house = House(self._settings, self._vendors, clock=lambda: self.now, ids=self._ids)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(application(self.house)),
            base_url="http://tuanzi",
            event_hooks={"response": [Declared(self.house).check]},
        )
        self._phones = count(13800000000 + seed)

    async def __aenter__(self) -> Town:
        self._working = asyncio.gather(self.house.run(), *([] if self.house is self.writers else [self.writers.run()]))
        await self.house.opened()
        for campus, desks in self.house.campuses.items():
            if desks.core.database.rows("SELECT id FROM campuses"):
                continue  # opened before
            content = (CAMPUSES / f"{campus}.json").read_text(encoding="utf-8")
            await desks.core.submit(
                ImportCatalog(
                    campus_id=campus,  # type: ignore[arg-type]
                    kind=ImportKind.CATALOG,
                    content=content,
                    is_dry_run=False,
                    by="test",  # type: ignore[arg-type]
                )
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        self.house.close()
        self.writers.close()
        await self._working

    def pass_time(self, **amount: float) -> None:
        """Move the clock; what is due fires."""
        self.now += timedelta(**amount)
        for desk in self.writers.desks:
            desk.duties.ring()

    async def sign_in(self, *, campus: str = "beijing", phone: str | None = None) -> Person:
        """A student who signs in with a code."""
        phone = phone or str(next(self._phones))
        asked = await self.client.post("/v1/codes", json={"phone": phone, "campus_id": campus})
        assert asked.status_code == 202, asked.text
        await until(lambda: phone in self.codes.sent)
        signed = await self.client.post("/v1/sessions", json={"phone": phone, "code": self.codes.sent.pop(phone)})
        assert signed.status_code in (200, 201), signed.text
        session = signed.json()
        return Person(self.client, session["token"], session["person_id"], campus)

    async def operator(self) -> Person:
        """The operator of the platform."""
        phone = "13900000000"
        command = AppointOperator(
            person_id=self.house.ids.make("p", now=self.now),  # type: ignore[arg-type]
            phone=self.house.keys.seal(phone),
            by="test",
            audit_id=self.house.ids.make("a", now=self.now),
        )
        await self.house.platform.submit(command)
        return await self.sign_in(phone=phone)

    async def staff(self, operator: Person, *, roles: list[str], merchant_id: str | None = None) -> Person:
        """Somebody an operator gave roles."""
        person = await self.sign_in()
        body = {"roles": roles, "merchant_id": merchant_id}
        answer = await operator.send("PUT", f"/v1/people/{person.id}/roles", body)
        assert answer.status_code == 200, answer.text
        return person

    async def settled(self) -> None:
        """Wait until all databases have heard everything of each other, people's streams too, and no split or refund is
        under way."""
        splits = "SELECT 1 FROM splits WHERE state IN ('trying', 'confirming', 'cancelling')"

        def is_calm() -> bool:
            busy = any(map(is_busy, self.writers.desks)) or any(
                any(each.lags.values()) for each in self.writers.live.keepers.values()
            )
            if isinstance(self.house, Front):  # type: ignore[unreachable]
                behind = [
                    desk for desk in self.writers.desks if self.house.remote[desk.name].event_number < desk.event_number
                ]
                busy = busy or bool(behind)
            return not busy and not any(desks.core.database.rows(splits) for desks in self.house.campuses.values())

        for _ in range(5):
            await until(is_calm)
            await asyncio.sleep(0.005)

    async def digest(self) -> str:
        """Of every row of every database, once they are calm; equal when nothing was changed.

        The writer's own position, and that in the command log, count refused commands too, and the coordinator's epoch
        starts: they are left out.
        """
        await self.settled()
        said = blake2b()
        for desk in self.writers.desks:
            tables = desk.database.rows(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
                " AND name NOT IN ('writer_cursor', 'split_coordinators') ORDER BY name"
            )
            said.update(f"{desk.event_number}".encode())
            for (name,) in tables:
                rows = sorted(repr(row) for row in desk.database.rows(f"SELECT * FROM {name}") if row[0] != COMMAND_LOG)
                said.update(f"{desk.name} {name} {rows}".encode("utf-8", "surrogatepass"))
        return said.hexdigest()

    def rows(self, sql: str, *, database: str = "core", campus: str = "beijing") -> list[tuple[Any, ...]]:
        """Rows of a campus's database, as an auditor would read them."""
        desks = self.house.campuses[campus]
        return (desks.money if database == "money" else desks.core).database.rows(sql)


def is_busy(desk: WriterDesk) -> bool:
    """Whether a desk has something to do, is about to look whether it has, or is keeping what it did."""
    waits = desk.queue_length or any(desk.lags.values()) or desk.duties.errands_left
    is_kept = desk._writer.position == desk._writer.kept_position
    return bool(waits) or desk._lanes.wake.is_set() or desk.duties._is_reading or not is_kept


def cart(*portions: tuple[str, int]) -> list[dict[str, Any]]:
    """The lines of a cart, e.g. ("bj-m01-d01", 2)."""
    return [{"dish_id": dish_id, "quantity": quantity} for dish_id, quantity in portions]


BEEF_RICE = cart(("bj-m01-d01", 1))  # 18.00 yuan
LUNCH_FOR_THREE = {"campaign_id": "bj-lunch-3", "building_id": "bj-dorm-01"}  # 10 % off, 2.00 of a 6.00 delivery each
LADDER = {"campaign_id": "bj-ladder", "building_id": "bj-dorm-02"}  # 3: 8 %, 5: 12 % and 1.00, 10: 18 % and 3.00 off


async def done(answer: Awaitable[httpx.Response], status: int = 200) -> Any:
    """The JSON of an answer that must have this status."""
    given = await answer
    assert given.status_code == status, f"{given.request.method} {given.request.url}: {given.status_code} {given.text}"
    return given.json()


async def refused(answer: Awaitable[httpx.Response], status: int, code: str) -> Any:
    """The problem document of an answer that must be this refusal."""
    given = await answer
    assert given.headers["content-type"] == "application/problem+json", given.text
    document = given.json()
    assert (given.status_code, document["status"], document["code"]) == (status, status, code), given.text
    return document


class Cast:
    """Everybody who may meet at a lunch in Beijing: three students of a group, staff, and people who have no business.

    ming, hua, lan: students. stranger: of the same campus, in no group of theirs. away: of Shanghai.
    merchant: of bj-m01. rival: of bj-m02. warden: operator of Beijing. operator: of the platform.
    """

    def __init__(self, town: Town) -> None:
        self.town = town

    async def gather(self) -> Cast:
        """Have everybody sign in."""
        town = self.town
        self.operator = await town.operator()
        self.ming, self.hua, self.lan, self.stranger = [await town.sign_in() for _ in range(4)]
        self.away = await town.sign_in(campus="shanghai")
        self.merchant = await town.staff(self.operator, roles=["merchant"], merchant_id="bj-m01")
        self.rival = await town.staff(self.operator, roles=["merchant"], merchant_id="bj-m02")
        self.rider = await town.staff(self.operator, roles=["rider"])
        self.ambassador = await town.staff(self.operator, roles=["student", "ambassador"])
        self.warden = await town.staff(self.operator, roles=["operator"])
        return self

    async def closed_group(self) -> tuple[str, list[str]]:
        """A group of ming, hua and lan, paid and split: its id and their orders."""
        opened = await done(self.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
        group_id = opened["group_id"]
        orders = [opened["order_id"]]
        for member in (self.hua, self.lan):
            joined = await done(member.post(f"groups/{group_id}/orders", {"lines": BEEF_RICE}), 201)
            orders.append(joined["order_id"])
        for member, order_id in zip((self.ming, self.hua, self.lan), orders, strict=True):
            await done(member.post(f"orders/{order_id}/pay"))
        await self.town.settled()
        return group_id, orders

    async def deliver(self, sub_order_id: str, *, merchant: Person | None = None) -> None:
        """Have a sub-order made, and brought by hand."""
        for step in ("accept", "cook", "ready"):
            await done((merchant or self.merchant).post(f"sub-orders/{sub_order_id}/{step}"))
        for step in ("pick-up", "deliver"):  # by hand: riders take parcels, and a parcel is of all members
            await done(self.warden.post(f"sub-orders/{sub_order_id}/{step}"))

    async def brought_by_hand(self) -> tuple[str, dict[str, Any]]:
        """An order that is over and that no rider is known to have brought; what is said when its carrier was paid."""
        _, orders = await self.closed_group()
        await self.deliver(f"{orders[0]}.1")
        await done(self.ming.post(f"orders/{orders[0]}/confirm"))
        await self.town.settled()
        parties = (await done(self.warden.get(f"orders/{orders[0]}/ledger")))["parties"]
        (owed,) = [each for each in parties if each["account"] == "rider_payable:pool"]
        said = {"sub_order_id": owed["sub_order_id"], "amount_fen": owed["owed_fen"], "note": "in cash, receipt 12"}
        return orders[0], said

    async def bundle(self) -> dict[str, Any]:
        """What the rider is given, as soon as he is; he is on shift from now on."""
        shift = {"latitude_e6": 39_990_000, "longitude_e6": 116_300_000, "until": "2026-11-23T14:00:00+08:00"}
        await done(self.rider.post("rider/shift", shift))
        async with asyncio.timeout(60):  # the first plan loads its solver
            while True:
                self.town.pass_time(seconds=5)
                await self.town.settled()  # no more time passes than a plan needs, however long it takes
                board = await done(self.rider.get("rider/board"))
                if board["bundle"] is not None:
                    return board["bundle"]


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """A house at lunch time."""
    async with Town(tmp_path) as town:
        yield town


@pytest.fixture
async def cast(town: Town) -> Cast:
    """Everybody, signed in."""
    return await Cast(town).gather()

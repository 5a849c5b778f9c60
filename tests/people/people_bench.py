"""A small platform for the tests of people: a BenchUnit for its writer, SQLite for its reads."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tests.bench_unit import BenchUnit, rows_of
from tuanzi import people
from tuanzi.base.ids import CampusId, Ids, MerchantId, PersonId, SessionId
from tuanzi.base.once import Once
from tuanzi.base.who import Role, Who
from tuanzi.machinery.http.routes import Call, Desk
from tuanzi.machinery.post import Letter
from tuanzi.people import model, store
from tuanzi.people.problems import WechatCodeRefused

SECRET = b"a secret of the tests, 32 bytes or more"
NOON = datetime(2026, 9, 1, 4, 0, tzinfo=UTC)
BEIJING, SHANGHAI = CampusId("beijing"), CampusId("shanghai")
PHONE, OTHER_PHONE = "13800001234", "13911112222"
DEFAULT_QUOTAS = people.Quotas()


@dataclass
class Kept:
    """What the bench's desk says after the commit."""

    answer: Any
    body: bytes
    events: tuple[tuple[int, Any], ...]
    replayed: bool = False


class BenchDesk:
    """Carries commands out on a BenchUnit, all or nothing, and reads SQLite filled from its values."""

    def __init__(self, room: Any, unit: BenchUnit) -> None:
        self.room, self.unit = room, unit
        self.now = NOON
        self.reads = 0
        self.kept: list[Kept] = []

    async def submit(self, command: Any, *, who: str = "", key: Once | None = None) -> Kept:
        return self.carry_out(command)

    def carry_out(self, command: Any) -> Kept:
        unit = self.unit
        before = dict(unit.values), list(unit.events), dict(unit.timers)
        try:
            answer = self.room.commands[type(command)](unit, command, now=self.now)
        except BaseException:
            unit.values, unit.events, unit.timers = before
            raise
        events = tuple(enumerate(unit.events[len(before[1]) :], start=len(before[1]) + 1))
        self.kept.append(Kept(answer=answer, body=msgspec.json.encode(answer), events=events))
        return self.kept[-1]

    async def rows(self, sql: str, slots: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        self.reads += 1
        return rows_of(self.unit, store.TABLES, "platform", sql, slots)

    few = rows

    async def followed(self, source: str, number: int) -> tuple[Any, ...]:
        raise NotImplementedError


@dataclass
class BenchDesks:
    """Only the platform has a desk here."""

    platform: Desk
    core: Any = None
    money: Any = None


@dataclass
class Inbox:
    """A sender that keeps what it was given."""

    sent: list[tuple[str, str, str]] = field(default_factory=list)

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        self.sent.append((phone, code, challenge_id))


class Wechat:
    """WeChat as a login asks it: each code is good once, and `asked` counts how often it was asked."""

    appid = "wx_tuanzi"

    def __init__(self) -> None:
        self.codes: dict[str, str] = {}
        self.asked = 0

    def login(self, user: str) -> str:
        """What `wx.login` gives on this user's phone."""
        code = f"code{len(self.codes)}"
        self.codes[code] = user
        return code

    async def openid_of(self, code: str) -> str:
        self.asked += 1
        user = self.codes.get(code)
        if not user:
            raise WechatCodeRefused()
        self.codes[code] = ""
        return f"openid-of-{user}"


class Campuses:
    """A post that keeps its letters; every database answers but those that are `away`.

    ordered: who has orders in the last of them.
    """

    def __init__(self) -> None:
        self.sent: list[Letter] = []
        self.away: set[str] = set()
        self.ordered: set[str] = set()

    async def send(self, letters: Sequence[Letter]) -> list[Any]:
        self.sent += letters
        return [
            TimeoutError()
            if each.address in self.away
            else people.Forgotten(
                person_id=each.command.person_id,
                has_ordered=each.address == PERSONAL[-1] and each.command.person_id in self.ordered,
            )
            for each in letters
        ]


PERSONAL = ("beijing.money", "beijing.notices", "shanghai.notices")


class Platform:
    """The room of people on a bench, with a clock that is moved by hand."""

    def __init__(self, *, quotas: people.Quotas = DEFAULT_QUOTAS, has_wechat: bool = True) -> None:
        self.keys = people.Keys(SECRET)
        self.inbox = Inbox()
        self.wechat = Wechat()
        self.campuses = Campuses()
        self.room = people.room(
            keys=self.keys,
            sender=self.inbox,
            login=self.wechat if has_wechat else people.AbsentLogin(),
            is_campus=lambda id: id in (BEIJING, SHANGHAI),
            quotas=quotas,
            post=self.campuses,
            personal=PERSONAL,
        )
        self.unit = BenchUnit({table.kind: table.key_of for table in store.TABLES})
        self.desk = BenchDesk(self.room, self.unit)
        self.ids = Ids(random.Random(7).getrandbits)

    @property
    def now(self) -> datetime:
        return self.desk.now

    def wait(self, time: timedelta) -> None:
        self.desk.now += time

    def do(self, command: Any) -> Any:
        """Carry a command out; its answer."""
        return self.desk.carry_out(command).answer

    def make(self, prefix: str) -> str:
        return self.ids.make(prefix, now=self.now)

    def ask_code(
        self,
        phone: str = PHONE,
        *,
        address: str = "10.0.0.1",
        campus_id: CampusId = BEIJING,
        device: str | None = None,
    ) -> str:
        """Ask for a code; the code."""
        sealed, challenge_id = self.keys.seal(phone), self.make("v")
        code = self.keys.code_of(challenge_id, phone_hash=sealed.hash)
        self.do(
            model.RequestCode(
                challenge_id=challenge_id,
                phone=sealed,
                code_hash=self.keys.hash_code(code, phone_hash=sealed.hash),
                campus_id=campus_id,
                address_mark=self.keys.mark_address(address),
                device_mark=self.keys.mark_device(device, phone_hash=sealed.hash),
            )
        )
        return code

    def try_code(
        self,
        code: str,
        phone: str = PHONE,
        *,
        address: str = "10.0.0.1",
        token: str = "",
        device: str | None = None,
    ) -> Any:
        """Sign in with this code, to be known by this token or one that nobody is told; the answer."""
        sealed = self.keys.seal(phone)
        return self.do(
            model.SignIn(
                session_id=SessionId(self.make("s")),
                person_id=PersonId(self.make("p")),
                phone=sealed,
                code_hash=self.keys.hash_code(code, phone_hash=sealed.hash),
                token_hash=model.hash_token(token or self.ids.token()),
                address_mark=self.keys.mark_address(address),
                device_mark=self.keys.mark_device(device, phone_hash=sealed.hash),
            )
        )

    def sign_in(self, phone: str = PHONE, *, campus_id: CampusId = BEIJING) -> model.SignedIn:
        """Ask for a code and sign in with it, two minutes later so that another may be asked for."""
        answer = self.try_code(self.ask_code(phone, campus_id=campus_id), phone)
        assert isinstance(answer, model.SignedIn)
        self.wait(timedelta(minutes=2))
        return answer

    def appoint(self, phone: str) -> PersonId:
        """Make the owner of this phone an operator of the platform."""
        command = people.AppointOperator(
            person_id=PersonId(self.make("p")), phone=self.keys.seal(phone), by="cli", audit_id=self.make("a")
        )
        answer = self.do(command)
        assert isinstance(answer, model.OperatorAppointed)
        return answer.person_id

    def appoint_staff(self, phone: str, *roles: Role, merchant_id: str | None = None) -> model.RolesSet:
        """Give the owner of this phone these roles in Beijing."""
        command = people.AppointStaff(
            person_id=PersonId(self.make("p")),
            phone=self.keys.seal(phone),
            roles=roles,
            merchant_id=None if merchant_id is None else MerchantId(merchant_id),
            campus_id=BEIJING,
            by="demo",
            audit_id=self.make("a"),
        )
        answer = self.do(command)
        assert isinstance(answer, model.RolesSet)
        return answer

    def set_roles(
        self,
        person_id: PersonId,
        *roles: Role,
        by: PersonId,
        merchant_id: str | None = None,
        campus_id: CampusId | None = None,
    ) -> model.RolesSet:
        """Have an operator set somebody's roles."""
        command = model.SetRoles(
            person_id=person_id,
            roles=roles,
            merchant_id=None if merchant_id is None else MerchantId(merchant_id),
            campus_id=campus_id,
            by=by,
            audit_id=self.make("a"),
        )
        answer = self.do(command)
        assert isinstance(answer, model.RolesSet)
        return answer

    def erase(self, person_id: PersonId) -> model.Erased:
        """Forget somebody."""
        answer = self.do(model.ErasePerson(person_id=person_id, audit_id=self.make("a")))
        assert isinstance(answer, model.Erased)
        return answer

    def person(self, person_id: PersonId) -> model.Person:
        return self.unit.load(model.Person, person_id)

    def all_of(self, kind: type) -> list[Any]:
        """Every value of a kind."""
        return [value for (each, _), value in self.unit.values.items() if each is kind]

    def everything(self) -> str:
        """All that is stored anywhere, as text: values, events, timers."""
        rows = [table.to_row(value) for table in store.TABLES for value in self.all_of(table.kind)]
        timers = [(id, msgspec.json.encode(command).decode()) for id, (_, command) in self.unit.timers.items()]
        return repr((rows, [msgspec.json.encode(event) for event in self.unit.events], timers))

    def snapshot(self) -> tuple[Any, ...]:
        """What a refusal must not change."""
        return dict(self.unit.values), list(self.unit.events), dict(self.unit.timers)

    async def run_errands(self) -> None:
        """Carry out every errand that is due, once."""
        for id, (at, errand) in list(self.unit.timers.items()):
            if type(errand) in self.room.errands and at <= self.now:
                del self.unit.timers[id]
                self.do(await self.room.errands[type(errand)](errand, now=self.now))

    async def request(
        self,
        route: str,
        *,
        body: Any = None,
        query: Any = None,
        who: Who | None = None,
        path: Mapping[str, str] | None = None,
    ) -> Any:
        """Call a route's handler, e.g. `GET /v1/me`; bodies and queries are decoded as the edge does."""
        found = next(each for each in self.room.routes if f"{each.method} {each.path}" == route)
        call: Call[Any, Any] = Call(
            who=who,
            path=path or {},
            body=None if found.body is None else msgspec.convert(body or {}, found.body),
            query=None if found.query is None else msgspec.convert(query or {}, found.query, strict=False),
            key=None,
            now=self.now,
            ids=self.ids,
            desks=BenchDesks(platform=self.desk),
            client="10.0.0.1",
        )
        return await found.handler(call)


def who_of(person: model.Person, session_id: str = "s_1") -> Who:
    """The person as the edge knows him."""
    return Who(
        person_id=person.id,
        session_id=SessionId(session_id),
        roles=frozenset(person.roles),
        campus_id=person.campus_id,
        merchant_id=person.merchant_id,
    )

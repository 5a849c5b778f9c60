"""The living demo: simulated people act in real time on a real house, so that no page is empty (issue 2)."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from random import Random
from typing import Any

import httpx
import msgspec

from simulation import catalogs, riding
from simulation.asking import LOST, Answer, Ask, Counter, Door
from simulation.auditor import Hearer
from simulation.catalogs import Catalog
from simulation.staff import BOARD, HALF_DONE, Crew, Staff
from simulation.students import CAMPUS, Habits, Student, person
from simulation.world import Script, Wait
from tuanzi import people
from tuanzi.base.ids import CampusId, MerchantId, PersonId, SessionId
from tuanzi.base.problem import Forbidden, Problem, Unknown
from tuanzi.base.who import Role, Who
from tuanzi.installation import Front
from tuanzi.machinery.http.endpoint import Endpoint, endpoint_of
from tuanzi.machinery.http.problems import NotSignedIn
from tuanzi.machinery.http.routes import Desks, Route
from tuanzi.people import AppointOperator, AppointStaff
from tuanzi.wiring import CampusDesks, House

log = logging.getLogger("simulation.living")

ORDERS_PER_S = 2.0
# Each waits in about 3 kB; a meal takes 20 minutes, so that 2 orders a second keep about 3,000 people busy.
SCRIPTS_MAX = 8_000
# 2 orders a second make some 20 parcels a minute; a rider brings one every 5 minutes.
RIDERS = 120
TRIES_MAX = 5
KEY_BITS = 96
PAY_S_MAX = 10
# Who signs in with this phone is an operator of the demo; the code is printed where `make run` runs.
OPERATOR_PHONE = "13800000000"
# What the phones of simulated merchants and riders begin with; one digit for the campus and a number of six follow.
MERCHANT_PHONES = "1990"
RIDER_PHONES = "1991"


@dataclass(frozen=True, slots=True)
class DemoStaff:
    """Somebody who works in the demo, and whom a person may be who signs in with his phone."""

    phone: str
    campus: str
    role: Role
    merchant_id: MerchantId | None = None


STAFF = (
    DemoStaff("13800000001", "beijing", Role.MERCHANT, MerchantId("bj-m01")),
    DemoStaff("13800000002", "beijing", Role.RIDER),
)
# As the page where people sign in lists them.
ACCOUNTS = ((Role.MERCHANT, STAFF[0].phone), (Role.RIDER, STAFF[1].phone), (Role.OPERATOR, OPERATOR_PHONE))
CALM = Habits(opens=0.15, forgets=0.04, pays_late=0.0, leaves=0.02, regrets=0.01, again=0.0)
HEARD = frozenset({"splitting.confirmed", "orders.advanced"}) | riding.HEARD


async def seed(house: House | Front) -> None:
    """Give every campus that has none its demo catalog, and the platform an operator and staff; harmless twice.

    Meals and shops are open round the clock, so that the demo has groups at 3 in the morning too.
    """
    await house.platform.submit(_demo_operator(house))
    for staff in STAFF:
        if staff.campus not in house.campuses:
            continue
        try:
            await house.platform.submit(_appointed(house, staff))
        except Problem as refused:  # a visitor made him an operator of the platform
            log.warning("living.staff_refused", extra={"refusal": refused.title_en()})
    for campus, desks in house.campuses.items():
        counter = _counter(house, campus)
        there = await counter.answer(Ask("GET", CAMPUS, None), desks)
        if there.is_good:
            continue
        try:
            catalog = _catalog(campus)
        except FileNotFoundError:
            continue
        who = person(0, campus=campus, role=Role.OPERATOR)
        content = msgspec.json.encode(catalog).decode()
        for ask in (
            Ask("PUT", CAMPUS, who, body=catalog["campus"], key=f"demo-campus-{campus}"),
            Ask("POST", f"{CAMPUS}/imports", who, body={"kind": "catalog", "content": content}, key=f"demo-{campus}"),
        ):
            answer = await counter.answer(ask, desks)
            if not answer.is_good:
                log.warning("living.seed_refused", extra={"campus": campus, "status": answer.status})


def _demo_operator(house: House | Front) -> AppointOperator:
    return AppointOperator(
        person_id=PersonId(house.ids.make("u", now=house.clock())),
        phone=house.keys.seal(OPERATOR_PHONE),
        by="demo",
        audit_id=house.ids.make("a", now=house.clock()),
    )


def _appointed(house: House | Front, staff: DemoStaff) -> AppointStaff:
    return AppointStaff(
        person_id=PersonId(house.ids.make("p", now=house.clock())),
        phone=house.keys.seal(staff.phone),
        roles=(staff.role,),
        merchant_id=staff.merchant_id,
        campus_id=CampusId(staff.campus),
        by="demo",
        audit_id=house.ids.make("a", now=house.clock()),
    )


async def hire(house: House, campus: str, catalog: Catalog, *, riders: int = RIDERS) -> Crew:
    """The people who work for a campus, appointed with phones that nobody is sent anything to; harmless twice.

    Whoever is an operator of the platform meanwhile, because a visitor made him one, works for no campus any more.
    """
    number = list(house.campuses).index(campus)
    shops = [
        DemoStaff(f"{MERCHANT_PHONES}{number}{i:06d}", campus, Role.MERCHANT, MerchantId(merchant["id"]))
        for i, merchant in enumerate(catalog["merchants"])
    ]
    on_wheels = [DemoStaff(f"{RIDER_PHONES}{number}{i:06d}", campus, Role.RIDER) for i in range(riders)]
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_hired(house, staff)) for staff in (*shops, *on_wheels)]
    hired = [who for task in asked if (who := task.result()) is not None]
    operator = await house.platform.submit(_demo_operator(house))
    return Crew(
        operator=_who(operator.answer.person_id, Role.OPERATOR, campus=None),
        riders=tuple(who for who in hired if who.merchant_id is None),
        merchants={who.merchant_id: who for who in hired if who.merchant_id is not None},
    )


async def _hired(house: House, staff: DemoStaff) -> Who | None:
    try:
        appointed = await house.platform.submit(_appointed(house, staff))
    except Problem as refused:
        log.warning("living.staff_refused", extra={"refusal": refused.title_en()})
        return None
    return _who(appointed.answer.person_id, staff.role, campus=staff.campus, merchant_id=staff.merchant_id)


def _who(person_id: str, role: Role, *, campus: str | None, merchant_id: MerchantId | None = None) -> Who:
    """Somebody of the demo, who never signed in; the door asks for his rights by his id."""
    return Who(
        person_id=PersonId(person_id),
        session_id=SessionId(f"s_{person_id}"),
        roles=frozenset({role}),
        campus_id=None if campus is None else CampusId(campus),
        merchant_id=merchant_id,
    )


async def live(house: House, *, seed: int, students: int) -> None:
    """Let `students` of each campus live until this is cancelled; a refusal or an error is only counted or logged."""
    await _seed(house)
    async with asyncio.TaskGroup() as tasks:
        for number, (campus, desks) in enumerate(house.campuses.items()):
            tasks.create_task(_live_on(house, campus, desks, Random(seed * 1000 + number), students))


_seed = seed


class StaffDoor:
    """Asks `people` each time who somebody who works for a campus is, and lets him do what he may do now.

    Students of the demo are no rows, for thousands of them come; they are who they say.
    """

    def __init__(self, campus: str) -> None:
        self._campus = campus
        self._endpoints: dict[tuple[str, str], Endpoint] = {}

    async def admit(self, who: Who, route: Route, desks: Desks) -> Who:
        """Him with his rights of now. Raises NotSignedIn for who is nobody any more, and Forbidden."""
        if who.roles == _STUDENTS:
            return who
        try:
            known = await people.me(desks.platform, person_id=who.person_id)
        except Unknown:
            raise NotSignedIn from None
        now = msgspec.structs.replace(
            who, roles=frozenset(known.roles), campus_id=known.campus_id, merchant_id=known.merchant_id
        )
        endpoint = self._endpoints.setdefault((route.method, route.path), endpoint_of(route))
        if not endpoint.is_open_to(now, None if endpoint.campus_at is None else self._campus):
            raise Forbidden
        return now


_STUDENTS = frozenset({Role.STUDENT})


class LiveStage:
    """People on one campus of a real house; scripts beyond SCRIPTS_MAX are not begun."""

    def __init__(self, house: House, campus: str, desks: CampusDesks, chance: Random) -> None:
        self.chance = chance
        self.acting = 0
        self.refusals = 0
        self._counter = _counter(house, campus, door=StaffDoor(campus))
        self._desks = desks
        self._due: list[tuple[float, int, Script, Answer | None]] = []
        self._numbers = count()
        self._hearers: list[Hearer] = []
        self._wake = asyncio.Event()
        self._clock = house.clock
        desks.core.subscribe(self._tell)
        desks.delivery.subscribe(self._tell)

    @property
    def now(self) -> datetime:
        """The time."""
        return self._clock()

    def act(self, script: Script, *, after: float = 0.0) -> None:
        """Let somebody act by his script, in so many seconds."""
        if self.acting >= SCRIPTS_MAX:
            script.close()
            return
        self.acting += 1
        self._later(after, script, None)

    def hear(self, hearer: Hearer) -> None:
        """Call `hearer` with the events that boards show."""
        self._hearers.append(hearer)

    def pay_in_app(self, prepay: Mapping[str, str], *, after: float) -> None:
        """Pay as a phone would: hand what the house signed to the company's pay page."""
        self._tasks.create_task(self._pay(prepay, after=after))

    async def ask(self, ask: Ask) -> Answer:
        """Carry out a request as whoever asks; a refusal is an answer."""
        return await self._counter.answer(ask, self._desks)

    async def run(self) -> None:
        """Carry all scripts on until this is cancelled."""
        loop = asyncio.get_running_loop()
        async with httpx.AsyncClient(timeout=PAY_S_MAX, trust_env=False) as self._phone, asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            while True:
                self._wake.clear()
                while self._due and self._due[0][0] <= loop.time():
                    _, _, script, answer = heapq.heappop(self._due)
                    self._go_on(script, answer, tasks)
                pause = self._due[0][0] - loop.time() if self._due else 60.0
                try:
                    async with asyncio.timeout(max(0.0, pause)):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    def _later(self, seconds: float, script: Script, answer: Answer | None) -> None:
        at = asyncio.get_running_loop().time() + max(0.0, seconds)
        heapq.heappush(self._due, (at, next(self._numbers), script, answer))
        self._wake.set()

    def _go_on(self, script: Script, answer: Answer | None, tasks: asyncio.TaskGroup) -> None:
        try:
            wish = next(script) if answer is None else script.send(answer)
        except StopIteration:
            self.acting -= 1
            return
        except Exception:
            log.exception("living.script_failed")
            self.acting -= 1
            return
        if isinstance(wish, Wait):
            self._later(wish.seconds, script, Answer(LOST))
        else:
            tasks.create_task(self._ask(wish, script))

    async def _ask(self, ask: Ask, script: Script) -> None:
        if ask.method != "GET" and not ask.key:
            ask = replace(ask, key=f"{self.chance.getrandbits(KEY_BITS):024x}")
        answer = Answer(LOST)
        for tries in range(TRIES_MAX):
            try:
                answer = await self.ask(ask)
            except Exception:
                log.exception("living.request_failed", extra={"path": ask.path})
                answer = Answer(500)
            if not answer.is_unsure:
                break
            await asyncio.sleep(2.0**tries)
        self.refusals += not answer.is_good
        self._later(0.0, script, answer)

    async def _pay(self, prepay: Mapping[str, str], *, after: float) -> None:
        """Pay, and again when the company does not answer."""
        for tries in range(TRIES_MAX):
            await asyncio.sleep(after if not tries else 2.0**tries)
            try:
                paid = await self._phone.post(f"{prepay['pay_page']}/pay", json=dict(prepay))
            except httpx.HTTPError:
                continue
            if paid.status_code < 500:
                return

    def _tell(self, numbered: Sequence[tuple[int, Any]]) -> None:
        for _, event in numbered:
            if event.name in HEARD:
                body = msgspec.to_builtins(event)
                for hearer in self._hearers:
                    hearer(event.name, body)


async def _live_on(house: House, campus: str, desks: CampusDesks, chance: Random, students: int) -> None:
    stage = LiveStage(house, campus, desks, chance)
    try:
        catalog = _catalog(campus)
    except FileNotFoundError:
        return
    crew = await hire(house, campus, catalog)
    staff = Staff(stage, campus=campus, habits=CALM, spots=catalogs.spots(catalog), crew=crew)
    offers = catalogs.offers(catalog)
    dorms = [building["id"] for building in catalog["buildings"] if building["kind"] == "dorm"]
    crowd = [person(i, campus=campus) for i in range(students)]
    homes = [chance.choice(dorms) for _ in crowd]
    for who in crowd:
        staff.knows(who)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.run())
        tasks.create_task(_take_over(house, campus, desks, staff, catalog))
        while True:
            i = chance.randrange(len(crowd))
            # What is closed now is refused, which a demo may show; the campaign that is always open goes first.
            mine = [offers[-1]] * 2 + offers
            student = Student(stage, crowd[i], building_id=homes[i], offers=mine, habits=CALM)
            stage.act(student.lunch())
            await asyncio.sleep(chance.expovariate(ORDERS_PER_S))


async def _take_over(house: House, campus: str, desks: CampusDesks, staff: Staff, catalog: Catalog) -> None:
    """Let merchants and riders go on with what was half done when the process before ended; at most a page of each."""
    staff.riders.come()
    counter = _counter(house, campus, door=StaffDoor(campus))
    for merchant in catalog["merchants"]:
        for state in HALF_DONE:
            ask = Ask("GET", BOARD, staff.merchant(merchant["id"]), query={"state": state, "limit": 100})
            try:
                board = await counter.answer(ask, desks)
            except Problem:
                continue
            for sub in board.json["items"] if board.is_good else ():
                staff.go_on(sub["sub_order_id"], merchant["id"], state)
            await asyncio.sleep(0)


def _catalog(campus: str) -> Catalog:
    return catalogs.round_the_clock(catalogs.demo(campus))


def _counter(house: House | Front, campus: str, *, door: Door | None = None) -> Counter:
    return Counter(house.rooms, campus=campus, ids=house.ids, clock=house.clock, door=door)

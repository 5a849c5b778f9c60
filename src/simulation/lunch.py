"""A lunch wave on one campus, from the first hungry student until all is at rest, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from simulation import catalogs, invariants
from simulation.asking import Answer, Ask
from simulation.catalogs import Catalog
from simulation.faults import CALM, Swarm, Trouble
from simulation.house import VirtualHouse
from simulation.report import Report, report_of
from simulation.staff import Staff
from simulation.students import CAMPUS, WILD, Guest, Habits, Invitations, Student, person
from simulation.virtual import Clock
from simulation.world import Script, World
from tuanzi.base.who import Role

MakeHouse = Callable[[Clock, Random, Trouble], VirtualHouse]

HOUR_S = 3600.0
RIDERS_LEAST = 8
STUDENTS_PER_RIDER = 40
# What the numbers of a campus's students begin after; our choice.
NUMBERS = 100_000
# How many of another campus's students go where they were asked to; our choice.
GUESTS = 0.5
WATCH_S = 3.0
CALLBACKS_S = 10.0
# After the faults end everything must have come to rest within this time: the last timer waits 24 h for a payment.
REST_S_MAX = 40 * HOUR_S
# Days pass while payouts wait for their time; hardly anything happens in them.
REST_PACE = 20.0


@dataclass(frozen=True, slots=True)
class Wave:
    """When students come: (seconds since 10:00, share of them until then), ascending."""

    knots: tuple[tuple[float, float], ...]

    def moment(self, share: float) -> float:
        """When this share of all students has come."""
        for (before_s, before), (after_s, after) in zip(self.knots, self.knots[1:], strict=False):
            if share <= after:
                return before_s + (after_s - before_s) * (share - before) / (after - before)
        return self.knots[-1][0]

    @property
    def ends_s(self) -> float:
        """When the last one comes."""
        return self.knots[-1][0]

    def squeezed(self, share: float) -> Wave:
        """The same wave in a share of its time, from when the first one comes."""
        first_s = self.knots[0][0]
        return Wave(tuple((first_s + (at_s - first_s) * share, come) for at_s, come in self.knots))


# 11:00 to 13:30, half of all between 11:45 and 12:10 (our choice, after two lessons that end at 11:40 and 12:05).
LUNCH = Wave(
    ((HOUR_S, 0.0), (1.75 * HOUR_S, 0.18), (2 * HOUR_S + 600, 0.68), (2.75 * HOUR_S, 0.88), (3.5 * HOUR_S, 1.0))
)
# For small runs: 20 minutes for so many students; of fewer as many come in a minute, so that groups fill as well.
BREAK = Wave(((60.0, 0.0), (600.0, 0.7), (1260.0, 1.0)))
BREAK_STUDENTS = 40


def lunch_wave(
    seed: int,
    *,
    students: int = 5_000,
    swarm: Swarm | None = None,
    house: MakeHouse = VirtualHouse,
    neighbours: Sequence[str] = (),
) -> Report:
    """A whole lunch on the demo campus of Beijing, and on `neighbours`, half of whose students are guests there."""
    world = World(seed, swarm=swarm, house=house, neighbours=neighbours)
    found = {campus: catalogs.demo(campus) for campus in world.sides}
    return _run(world, found, students=students, wave=LUNCH, habits=Habits(), periods={"lunch"})


def small_lunch(
    seed: int,
    *,
    students: int = 40,
    swarm: Swarm | None = None,
    house: MakeHouse = VirtualHouse,
    neighbours: Sequence[str] = (),
) -> Report:
    """A short lunch on a small campus where everything is scarce, with people who do everything that people may do."""
    world = World(seed, swarm=swarm, house=house, neighbours=neighbours)
    found = {campus: catalogs.small(campus, world.chance) for campus in world.sides}
    wave = BREAK.squeezed(min(1.0, students / BREAK_STUDENTS))
    return _run(world, found, students=students, wave=wave, habits=WILD, periods=set(catalogs.PERIODS))


def _run(
    world: World, found: Mapping[str, Catalog], *, students: int, wave: Wave, habits: Habits, periods: set[str]
) -> Report:
    """Let so many students of each campus lunch. found: the catalogs by campus, home's first."""
    home = world.house.campus
    neighbours = [campus for campus in found if campus != home]
    taking = catalogs.taking_guests(found[home], of=neighbours) if neighbours else found[home]
    begin(world, taking, *[found[campus] for campus in neighbours])
    invitations = Invitations(home)
    world.hear(invitations.hear)
    for number, (campus, side) in enumerate(world.sides.items()):
        catalog = found[campus]
        riders = max(RIDERS_LEAST, students // STUDENTS_PER_RIDER)
        staff = Staff(side, campus=campus, habits=habits, spots=catalogs.spots(catalog), riders=riders, forgets=0.01)
        offers = [offer for offer in catalogs.offers(catalog) if periods & set(offer.period_ids)]
        dorms = [building["id"] for building in catalog["buildings"] if building["kind"] == "dorm"]
        for i in range(students):
            who = person(number * NUMBERS + i, campus=campus)
            staff.knows(who)
            lives_in, after = world.chance.choice(dorms), wave.moment(world.chance.random())
            student = Student(side, who, building_id=lives_in, offers=offers, habits=habits)
            if campus != home and world.chance.random() < GUESTS:
                student = Guest(side, who, building_id=lives_in, offers=offers, habits=habits, invitations=invitations)
            world.act(student.lunch(), after=after)
    world.run(until=wave.ends_s + 0.5 * HOUR_S)
    rest(world)
    report = report_of(world)
    world.house.close()
    return report


def begin(world: World, *offered: Catalog) -> None:
    """Put each campus's catalog up before anything goes wrong; let callbacks and logs be carried from now on."""
    swarm, world.trouble.swarm = world.trouble.swarm, CALM
    for catalog in offered:
        campus = catalog["campus"]["id"]
        world.sides[campus].house.provider.pays_at_once = world.chance.random() < 0.7 or swarm == CALM
        world.act(_import(campus, catalog))
    world.run(until=30.0)
    assert not world.acting, "a catalog was not imported"
    world.trouble.swarm = swarm
    world.every(CALLBACKS_S, lambda: _carry_callbacks(world))
    world.every(WATCH_S, world.read_logs)


def _import(id: str, catalog: Catalog) -> Script:
    operator = person(0, campus=id, role=Role.OPERATOR)
    campus = catalog["campus"]
    first = yield Ask("PUT", CAMPUS, operator, body=campus)
    assert first.is_good, first
    import msgspec

    content = msgspec.json.encode(catalog).decode()
    answer = yield Ask("POST", f"{CAMPUS}/imports", operator, body={"kind": "catalog", "content": content})
    assert answer.is_good, answer


def _carry_callbacks(world: World) -> None:
    """Bring what the payment company reports to each campus, again and again until it is taken."""
    for side in world.sides.values():
        for seen in side.house.provider.take_callbacks(now=world.now):
            _carry(world, side.house.callback(seen))


def _carry(world: World, deliver: Callable[[Callable[[Answer], None]], None]) -> None:
    def told(answer: Answer) -> None:
        if answer.is_unsure:
            world.later(15.0, lambda: _carry(world, deliver))

    deliver(told)


def rest(world: World) -> None:
    """End the faults and wait until nothing is under way; then look at the books once more."""
    world.heal()
    until = world.clock.seconds + REST_S_MAX
    world.run(until=world.clock.seconds + 120.0)
    world.pace = REST_PACE
    while world.clock.seconds < until:
        houses = [side.house for side in world.sides.values()]
        is_calm = all(invariants.last_timer(house) is None and invariants.are_followed(house) for house in houses)
        if is_calm and not world.acting and not world.house.is_busy:
            break
        world.run(until=min(until, world.clock.seconds + 900.0))
    world.read_logs()
    world.look(at_rest=True)

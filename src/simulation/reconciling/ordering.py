"""Orders to plant in, made as students make them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from random import Random
from typing import Any

from msgspec.structs import replace

from simulation import catalogs
from simulation.asking import Answer, Ask
from simulation.catalogs import Catalog
from simulation.reconciling.bench import Place, done_at_once
from simulation.reconciling.cases import FORGED, Case, unknown_of
from simulation.students import CANCEL, JOIN, OPEN, PAY, person
from simulation.world import Script, Wait, World
from tuanzi.base.who import Who
from tuanzi.money import payment_asked

PERSON_EVERY_S = 0.25
SETTLED_S = 3600.0


def orders_for(world: World, counts: Mapping[Case, int]) -> dict[str, list[Place]]:
    """Enough orders of each sort, all at rest and in agreement."""
    needed: Counter[str] = Counter()
    for case, count in counts.items():
        needed[case.who] += count
    places: dict[str, list[Place]] = {"split": [], "left": [], "lapsed": [], FORGED: []}
    # A bill that lacks more than a tenth of the day is not believed: so many are paid and in no case at all.
    groups = -(-(needed["split"] + 12 * unknown_of(counts)) // 3)
    scripts: list[Callable[[int], Script]] = [
        *[lambda i: _split(world, i, places)] * groups,
        *[lambda i: _pay_and_leave(world, i, places)] * needed["left"],
        *[lambda i: _lapse(world, i, places)] * needed["lapsed"],
        *[lambda i: _split(world, i, places, forges=True)] * needed[FORGED],
    ]
    world.chance.shuffle(scripts)
    for i, script in enumerate(scripts):
        world.act(script(i), after=i * PERSON_EVERY_S)
    world.run(until=world.clock.seconds + len(scripts) * PERSON_EVERY_S + SETTLED_S)
    # What was forged is the ledger's alone; but for that all books agree.
    broken = [
        each for each in world.auditor.look(at_rest=True) if not (places[FORGED] and "the provider holds" in each.what)
    ]
    assert not broken, broken[:3]
    return places


def plenty(campus: str, chance: Random) -> Catalog:
    """The small campus with portions for all, one campaign, and a delivery fee that three can share."""
    catalog = catalogs.small(campus, chance)
    trio = {**catalog["campaigns"][0], "delivery_fee_fen": 300, "group_lasts_minutes": 15, "pay_within_s": 240}
    dishes = [{**dish, "portions_per_meal": 100_000} for dish in catalog["dishes"]]
    return {**catalog, "dishes": dishes, "campaigns": [trio]}


def _opened(world: World, who: Who) -> Generator[Wait | Ask, Answer, dict[str, Any]]:
    body = {"campaign_id": "trio", "building_id": world.chance.choice(("b0", "b1")), "lines": _cart(world.chance)}
    answer = yield Ask("POST", OPEN, who, body=body)
    assert answer.is_good, answer
    order: dict[str, Any] = answer.json
    return order


def _split(world: World, i: int, places: Mapping[str, list[Place]], *, forges: bool = False) -> Script:
    """Three who pay, the last one perhaps only by a callback that is none."""
    people = [person(i * 4 + n, campus=world.house.campus) for n in range(3)]
    first = yield from _opened(world, people[0])
    placed = [_place(people[0], first)]
    for who in people[1:]:
        joined = yield Ask(
            "POST", JOIN, who, values={"group_id": first["group_id"]}, body={"lines": _cart(world.chance)}
        )
        assert joined.is_good, joined
        placed.append(_place(who, joined.json))
    for who, place in list(zip(people, placed, strict=True))[: 2 if forges else 3]:
        paid = yield Ask("POST", PAY, who, values={"order_id": place.order_id}, body={})
        assert paid.is_good, paid
    if forges:
        _forge(world, placed[2])
        places[FORGED].append(placed[2])
    else:
        places["split"] += placed


def _forge(world: World, place: Place) -> None:
    """A callback says that an order is paid, of which the payment company knows nothing."""
    company = world.house.provider
    asked = payment_asked(
        place.payment_id, order_id=place.order_id, member_id=place.member_id, amount_fen=place.payable_fen
    )
    at_once, company.pays_at_once = company.pays_at_once, False
    waiting = done_at_once(company.open(asked, now=world.now)).seen
    company.pays_at_once = at_once
    paid = type(waiting.state).PAID
    world.house.callback(replace(waiting, state=paid, transaction_id=f"forged_{place.order_id}"))(lambda answer: None)


def _pay_and_leave(world: World, i: int, places: Mapping[str, list[Place]]) -> Script:
    who = person(i * 4, campus=world.house.campus)
    place = _place(who, (yield from _opened(world, who)))
    values = {"order_id": place.order_id}
    paid = yield Ask("POST", PAY, who, values=values, body={})
    assert paid.is_good, paid
    left = yield Ask("POST", CANCEL, who, values=values, body={})
    assert left.is_good, left
    places["left"].append(place)


def _lapse(world: World, i: int, places: Mapping[str, list[Place]]) -> Script:
    who = person(i * 4, campus=world.house.campus)
    places["lapsed"].append(_place(who, (yield from _opened(world, who))))


def _place(who: Who, order: Mapping[str, Any]) -> Place:
    return Place(order["order_id"], who.person_id, order["payable_fen"])


def _cart(chance: Random) -> list[dict[str, Any]]:
    return [{"dish_id": f"m{chance.randrange(3)}-d{chance.randrange(3)}", "quantity": chance.choice((1, 1, 2))}]

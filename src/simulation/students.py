"""Students: they come hungry in a wave, open groups or join them, pay or do not, and confirm or complain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from simulation.asking import Answer, Ask
from simulation.catalogs import Offer
from simulation.world import Script, Stage, Wait
from tuanzi.base.ids import CampusId, PersonId, SessionId
from tuanzi.base.who import Role, Who

CAMPUS = "/v1/campuses/{campus}"
LIST_GROUPS = f"{CAMPUS}/groups"
OPEN = f"{CAMPUS}/groups"
JOIN = f"{CAMPUS}/groups/{{group_id}}/orders"
NEIGHBOUR = f"{CAMPUS}/neighbours/{{home}}/groups/{{group_id}}"
JOIN_THERE = f"{NEIGHBOUR}/orders"
PAY = f"{CAMPUS}/orders/{{order_id}}/pay"
CANCEL = f"{CAMPUS}/orders/{{order_id}}/cancel"
CONFIRM = f"{CAMPUS}/orders/{{order_id}}/confirm"
COMPLAIN = f"{CAMPUS}/orders/{{order_id}}/after-sale"

TRIES_FOR_A_SEAT = 4
# Refusals after which another group or dish is tried.
TAKEN = frozenset(
    {
        "groups/group-full",
        "groups/group-not-open",
        "groups/already-member",
        "groups/minimum-not-reached",
        "guests/home-away",
        "guests/seat-gone",
        "stock/stock-short",
        "base/unknown",
    }
)


@dataclass(frozen=True, slots=True)
class Habits:
    """How students behave, as chances between 0 and 1.

    opens: opens a group though there is one to join. forgets: never pays. pays_late: after his time is over.
    leaves: gives the order up before paying. regrets: gives it up after paying. again: orders a second time.
    confirms: says that the meal is there. complains: says that something is wrong with it.
    """

    opens: float = 0.12
    forgets: float = 0.05
    pays_late: float = 0.03
    leaves: float = 0.03
    regrets: float = 0.03
    again: float = 0.02
    confirms: float = 0.7
    complains: float = 0.02


WILD = Habits(opens=0.2, forgets=0.1, pays_late=0.12, leaves=0.08, regrets=0.1, again=0.4, confirms=0.5, complains=0.15)


def person(number: int, *, campus: str, role: Role = Role.STUDENT, merchant_id: str | None = None) -> Who:
    """A signed-in person."""
    name = f"{role.value[0]}_{number:06d}"
    return Who(
        person_id=PersonId(name),
        session_id=SessionId(f"s_{name}"),
        roles=frozenset({role}),
        campus_id=CampusId(campus),
        merchant_id=merchant_id,  # type: ignore[arg-type]
    )


class Invitations:
    """The groups of a campus that students of others have heard of: those that took members when it was told."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.group_ids: list[str] = []

    def hear(self, name: str, body: dict[str, Any]) -> None:
        """Something happened at home."""
        if name == "groups.opened":
            self.group_ids.append(body["group_id"])
        elif name in ("groups.closed", "groups.failed") and body["group_id"] in self.group_ids:
            self.group_ids.remove(body["group_id"])


class Student:
    """One student of one building."""

    def __init__(self, stage: Stage, who: Who, *, building_id: str, offers: Sequence[Offer], habits: Habits) -> None:
        self.who = who
        self._stage = stage
        self._chance: Random = stage.chance
        self._building_id = building_id
        self._offers = [offer for offer in offers if building_id in offer.building_ids]
        self._habits = habits

    def lunch(self) -> Script:
        """Order, pay, and perhaps order again."""
        while True:
            placed = yield from self._take_seat()
            if placed is None:
                return
            yield from self._settle(placed)
            if self._chance.random() >= self._habits.again:
                return
            yield Wait(self._chance.expovariate(1 / 300))

    def _take_seat(self) -> Any:
        for _ in range(TRIES_FOR_A_SEAT):
            listed = yield Ask("GET", LIST_GROUPS, self.who, query={"building_id": self._building_id})
            if not listed.is_good:
                return None
            yield Wait(self._chance.uniform(2, 40))
            answer = yield self._seat(listed.json["items"])
            if answer.is_good:
                return answer.json
            if answer.code not in TAKEN:
                return None
            yield Wait(self._chance.uniform(1, 30))
        return None

    def _seat(self, groups: list[dict[str, Any]]) -> Ask:
        """Join one of the fullest groups that are listed, or open one."""
        chance = self._chance
        known = {offer.id: offer for offer in self._offers}
        groups = [
            group for group in groups if group["campaign_id"] in known and group["seats_taken"] < group["seats_max"]
        ]
        if groups and chance.random() >= self._habits.opens:
            groups.sort(key=lambda group: (group["missing"] == 0, -group["seats_taken"], group["group_id"]))
            group = groups[min(int(chance.expovariate(1.0)), len(groups) - 1)]
            lines = self._cart(known[group["campaign_id"]])
            return Ask("POST", JOIN, self.who, values={"group_id": group["group_id"]}, body={"lines": lines})
        offer = chance.choice(self._offers)
        body = {"campaign_id": offer.id, "building_id": self._building_id, "lines": self._cart(offer)}
        return Ask("POST", OPEN, self.who, body=body)

    def _cart(self, offer: Offer) -> list[dict[str, Any]]:
        chance = self._chance
        merchants = list(offer.dishes)
        chosen = [chance.choice(merchants)]
        if chance.random() < 0.25:
            chosen.append(chance.choice(merchants))
        counts: dict[str, int] = {}
        for merchant_id in chosen:
            dishes = offer.dishes[merchant_id]
            for dish_id, _ in chance.sample(dishes, min(len(dishes), chance.choice((1, 1, 2)))):
                counts[dish_id] = 1 + (chance.random() < 0.12)
        return [{"dish_id": dish_id, "quantity": quantity} for dish_id, quantity in counts.items()]

    def _settle(self, placed: dict[str, Any]) -> Any:
        """Pay the order, or do what people do instead."""
        chance, habits = self._chance, self._habits
        order_id = {"order_id": placed["order_id"]}
        fate = chance.random()
        if fate < habits.forgets:
            return
        yield Wait(min(chance.lognormvariate(2.7, 0.8), 200.0))
        if fate < habits.forgets + habits.leaves:
            yield Ask("POST", CANCEL, self.who, values=order_id, body={})
            return
        if fate < habits.forgets + habits.leaves + habits.pays_late:
            yield Wait(chance.uniform(60, 900))
        for _ in range(3):
            paid = yield Ask("POST", PAY, self.who, values=order_id, body={})
            if paid.code != "money/payment-refused":
                break
            yield Wait(chance.uniform(5, 60))
        self._pay_in_app(paid)
        if chance.random() < habits.regrets:
            yield Wait(chance.uniform(1, 200))
            yield Ask("POST", CANCEL, self.who, values=order_id, body={})

    def _pay_in_app(self, paid: Answer) -> None:
        """Pay in the payment company's own app, when the house waits for that."""
        prepay = paid.json.get("prepay") if paid.is_good and isinstance(paid.json, dict) else None
        if prepay is None:
            return
        self._stage.pay_in_app(prepay, after=self._chance.uniform(2, 240))


class Guest(Student):
    """A student whom somebody of another campus has asked into his group; the meal is of his own campus."""

    def __init__(
        self,
        stage: Stage,
        who: Who,
        *,
        building_id: str,
        offers: Sequence[Offer],
        habits: Habits,
        invitations: Invitations,
    ) -> None:
        super().__init__(stage, who, building_id=building_id, offers=offers, habits=habits)
        self._invitations = invitations

    def _take_seat(self) -> Any:
        for _ in range(TRIES_FOR_A_SEAT):
            yield Wait(self._chance.uniform(2, 60))
            if not self._invitations.group_ids:
                continue
            values = {"home": self._invitations.home, "group_id": self._chance.choice(self._invitations.group_ids)}
            seen = yield Ask("GET", NEIGHBOUR, self.who, values=values)
            if not seen.is_good:
                continue
            yield Wait(self._chance.uniform(2, 30))
            body = {"building_id": self._building_id, "lines": self._cart(self._chance.choice(self._offers))}
            answer = yield Ask("POST", JOIN_THERE, self.who, values=values, body=body)
            if answer.is_good:
                return answer.json
            if answer.code not in TAKEN:
                return None
        return None


def confirm(who: Who, order_id: str) -> Script:
    """Say that the meal is there."""
    yield Ask("POST", CONFIRM, who, values={"order_id": order_id}, body={})


def complain(who: Who, order_id: str) -> Script:
    """Say that something is wrong with it."""
    yield Ask("POST", COMPLAIN, who, values={"order_id": order_id}, body={})

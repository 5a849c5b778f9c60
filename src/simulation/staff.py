"""Merchants and operators: what they do when something happens, each after the time that people take; see `riding`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from simulation.asking import Ask
from simulation.riding import Riders
from simulation.students import CAMPUS, Habits, complain, confirm, person
from simulation.world import Script, Stage, Wait
from tuanzi.base.who import Role, Who

STEP = f"{CAMPUS}/sub-orders/{{sub_order_id}}/{{step}}"
REFUND = f"{CAMPUS}/orders/{{order_id}}/refunds"
BOARD = f"{CAMPUS}/merchant/sub-orders"
DECIDE = f"{CAMPUS}/orders/{{order_id}}/after-sale/decision"


@dataclass(frozen=True, slots=True)
class Crew:
    """Who works for a campus: its operator, its riders, and a merchant of each shop."""

    operator: Who
    riders: tuple[Who, ...]
    merchants: Mapping[str, Who] = field(default_factory=dict)


def crew_of(campus: str, *, riders: int) -> Crew:
    """People of whom no house knows; merchants come as their shops are heard of."""
    return Crew(
        operator=person(0, campus=campus, role=Role.OPERATOR),
        riders=tuple(person(i, campus=campus, role=Role.RIDER) for i in range(riders)),
    )


class Staff:
    """Everybody who works for a campus; hears the log as their boards would show it.

    crew: who that is; made up when None, with so many `riders`. spots: where riders begin, in millionths of a degree.
    rejects: how often a merchant cannot make what was ordered. forgets: how often he never says. refunds: how often an
    operator gives a part back. careless: how often a rider does not do as he is told.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        campus: str,
        habits: Habits,
        spots: Sequence[tuple[int, int]],
        riders: int = 8,
        crew: Crew | None = None,
        rejects: float = 0.01,
        forgets: float = 0.0,
        refunds: float = 0.01,
        careless: float = 0.03,
    ) -> None:
        crew = crew or crew_of(campus, riders=riders)
        self.operator = crew.operator
        self._stage = stage
        self._chance: Random = stage.chance
        self._campus = campus
        self._habits = habits
        self._rejects = rejects
        self._forgets = forgets
        self._refunds = refunds
        self.riders = Riders(stage, people=crew.riders, spots=spots, careless=careless)
        self._merchants = dict(crew.merchants)
        self._students: dict[str, Who] = {}
        stage.hear(self.hear)

    def knows(self, who: Who) -> None:
        """A student who may confirm and complain."""
        self._students[who.person_id] = who

    def hear(self, name: str, body: dict[str, Any]) -> None:
        """Something happened."""
        if name == "splitting.confirmed":
            for board in body["boards"]:
                for sub_order_id in board["sub_order_ids"]:
                    self._stage.act(self._make(sub_order_id, board["merchant_id"]))
        elif name == "orders.advanced" and body["state"] == "delivered":
            self._delivered(body["member_id"], body["order_id"])
        elif name == "orders.advanced" and body["state"] == "after_sale":
            self._stage.act(self._decide(body["order_id"]))

    def _merchant(self, merchant_id: str) -> Who:
        who = self._merchants.get(merchant_id)
        if who is None:
            number = len(self._merchants)
            who = person(number, campus=self._campus, role=Role.MERCHANT, merchant_id=merchant_id)
            self._merchants[merchant_id] = who
        return who

    def go_on(self, sub_order_id: str, merchant_id: str, state: str) -> None:
        """Go on with what was left half done, e.g. when the process had ended."""
        self._stage.act(self._make(sub_order_id, merchant_id, state))

    def merchant(self, merchant_id: str) -> Who:
        """Who works for a shop."""
        return self._merchant(merchant_id)

    def _make(self, sub_order_id: str, merchant_id: str, state: str = "planned") -> Script:
        """A merchant accepts, cooks and has it ready, or rejects."""
        chance = self._chance
        merchant = self._merchant(merchant_id)
        yield Wait(chance.uniform(5, 120))
        luck = chance.random() if state == "planned" else 1.0
        if luck < self._rejects:
            yield _step(merchant, sub_order_id, "reject")
            return
        if luck < self._rejects + self._forgets:
            return
        for step, least, most in _KITCHEN[HALF_DONE.index(state) :]:
            answer = yield _step(merchant, sub_order_id, step)
            if not answer.is_good and not _was_done(answer.code):
                return
            yield Wait(chance.uniform(least, most))

    def _delivered(self, member_id: str, order_id: str) -> None:
        who = self._students.get(member_id)
        chance = self._chance
        fate = chance.random()
        after = chance.uniform(30, 2400)
        if chance.random() < self._refunds:
            self._stage.act(self._refund(order_id), after=after)
        if who is None:
            return
        if fate < self._habits.complains:
            self._stage.act(complain(who, order_id), after=after)
        elif fate < self._habits.complains + self._habits.confirms:
            self._stage.act(confirm(who, order_id), after=after)

    def _refund(self, order_id: str) -> Script:
        amount = self._chance.choice((1, 50, 137, None))
        body = {"reason": "goodwill", "amount_fen": amount}
        yield Ask("POST", REFUND, self.operator, values={"order_id": order_id}, body=body)

    def _decide(self, order_id: str) -> Script:
        """Give something back, or, where that is more than is left, nothing."""
        yield Wait(self._chance.uniform(60, 1200))
        for amount_fen in (self._chance.choice((0, 100, 333)), 0):
            body = {"amount_fen": amount_fen}
            answer = yield Ask("POST", DECIDE, self.operator, values={"order_id": order_id}, body=body)
            if answer.is_good:
                return


HALF_DONE = ("planned", "accepted", "cooking")
_KITCHEN = (("accept", 5, 60), ("cook", 240, 900), ("ready", 10, 240))


def _step(who: Who, sub_order_id: str, step: str) -> Ask:
    return Ask("POST", STEP, who, values={"sub_order_id": sub_order_id, "step": step}, body={})


def _was_done(code: str) -> bool:
    """Whether a refusal may be the echo of the same step done before, asked again under another key."""
    return code == "orders/illegal-step"

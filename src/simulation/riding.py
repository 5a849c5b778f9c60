"""Riders: on shift while there is something to bring; they fetch what they are given, or do not (B9, B10)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from simulation.asking import Ask
from simulation.students import CAMPUS
from simulation.world import Script, Stage, Wait
from tuanzi.base.who import Who

SHIFT = f"{CAMPUS}/rider/shift"
BOARD = f"{CAMPUS}/rider/board"
PICK_UP = f"{CAMPUS}/rider/bundles/{{bundle_id}}/pick-up"
DELIVER = f"{CAMPUS}/rider/parcels/{{parcel_id}}/deliver"

SHIFT_LASTS = timedelta(hours=3)
# One comes for so many parcels that are not brought yet.
PARCELS_PER_RIDER = 2
# Food is waited for as long as a shift lasts; a request that was given up is made again a few times.
WAITS_MAX = 180
TRIES_MAX = 6
HEARD = frozenset(
    {
        "delivery.promise_made",
        "delivery.parcel_delivered",
        "delivery.parcel_dropped",
        "delivery.bundle_assigned",
        "delivery.rider_came_on",
        "delivery.rider_went_off",
    }
)


class Riders:
    """All riders of a campus. careless: how often one does not come for what he was given, or goes home instead."""

    def __init__(
        self, stage: Stage, *, people: Sequence[Who], spots: Sequence[tuple[int, int]], careless: float
    ) -> None:
        self._stage = stage
        self._chance: Random = stage.chance
        self._spots = spots
        self._careless = careless
        self._all = {who.person_id: who for who in people}
        self._on: set[str] = set()
        self._open: set[str] = set()
        self._calls = 0
        stage.hear(self.hear)

    def hear(self, name: str, body: dict[str, Any]) -> None:
        """Something happened."""
        if name not in HEARD:
            return
        match name:
            case "delivery.promise_made":
                self._open |= {parcel["parcel_id"] for parcel in body["parcels"]}
                self._calls += 2 * len(body["parcels"])
                self._call()
            case "delivery.parcel_delivered" | "delivery.parcel_dropped":
                self._open.discard(body["parcel_id"])
            case "delivery.bundle_assigned":
                who = self._all.get(body["rider_id"])
                if who is not None:
                    self.bring(who, body["bundle_id"], body["parcel_ids"])
            case "delivery.rider_came_on":
                self._on.add(body["rider_id"])
            case "delivery.rider_went_off":
                self._on.discard(body["rider_id"])
                self._call()

    def bring(self, who: Who, bundle_id: str, parcel_ids: Sequence[str]) -> None:
        """Let a rider bring what he was given, or forget it."""
        self._stage.act(self._round(who, bundle_id, list(parcel_ids)))

    def come(self) -> None:
        """Let everybody look at his board and go on with what he has, e.g. when the process had ended."""
        for who in self._all.values():
            self._stage.act(self._look(who))

    def _call(self) -> None:
        """Have riders come while too few are there; not for ever, for some parcels are never ready."""
        idle = [who for person_id, who in self._all.items() if person_id not in self._on]
        wanted = len(self._open) // PARCELS_PER_RIDER + 1 if self._open else 0
        while idle and len(self._on) < wanted and self._calls > 0:
            self._calls -= 1
            who = idle.pop(self._chance.randrange(len(idle)))
            self._on.add(who.person_id)
            self._stage.act(self._begin(who))

    def _begin(self, who: Who) -> Script:
        yield Wait(self._chance.uniform(1, 90))
        latitude_e6, longitude_e6 = self._chance.choice(self._spots)
        body = {
            "latitude_e6": latitude_e6,
            "longitude_e6": longitude_e6,
            "until": (self._stage.now + SHIFT_LASTS).isoformat(),
        }
        answer = yield Ask("POST", SHIFT, who, body=body)
        if not answer.is_good:
            self._on.discard(who.person_id)

    def _look(self, who: Who) -> Script:
        answer = yield Ask("GET", BOARD, who)
        if not answer.is_good:
            return
        board = answer.json
        if board["is_on"]:
            self._on.add(who.person_id)
        bundle = board["bundle"]
        if bundle is not None:
            parcel_ids = [parcel["parcel_id"] for parcel in bundle["parcels"]]
            yield from self._round(who, bundle["bundle_id"], parcel_ids)

    def _round(self, who: Who, bundle_id: str, parcel_ids: list[str]) -> Script:
        """Go there, wait until all is ready, take it, and bring it door by door."""
        chance = self._chance
        fate = chance.random()
        if fate < self._careless / 2:
            return
        yield Wait(chance.uniform(20, 240))
        if fate < self._careless:
            yield Ask("POST", f"{SHIFT}/end", who, body={})
            return
        for _ in range(WAITS_MAX):
            answer = yield Ask("POST", PICK_UP, who, values={"bundle_id": bundle_id}, body={})
            if answer.code != "delivery/not-ready":
                break
            yield Wait(chance.uniform(20, 60))
        if not answer.is_good:
            return
        for parcel_id in answer.json["parcel_ids"]:
            yield Wait(chance.uniform(60, 420))
            for _ in range(TRIES_MAX):
                answer = yield Ask("POST", DELIVER, who, values={"parcel_id": parcel_id}, body={})
                if not answer.is_unsure:
                    break

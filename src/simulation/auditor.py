"""The auditor: an independent memory of what clients were told, held against the books (I6), and a reader of the log.

He knows nothing of the rooms' rules: only that what was acknowledged must be there for ever, with its amounts, and that
the log grows by one and never changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from simulation import invariants
from simulation.asking import Answer, Ask
from simulation.house import VirtualHouse
from simulation.invariants import Books, Broken, store

EVENTS_AT_ONCE = 5_000
# How far a sub-order is; what was acknowledged is never taken back.
PROGRESS = {"planned": 0, "accepted": 1, "cooking": 2, "ready": 3, "picked_up": 4, "delivered": 5, "rejected": 9}

ROUND = ("assigned", "picked_up", "delivered", "released")

Hearer = Callable[[str, dict[str, Any]], None]


class Placed(NamedTuple):
    """An order that somebody was told he has."""

    member_id: str
    payable_fen: int


class Auditor:
    """Keeps what was told, reads the logs as an outsider would, and says what is broken.

    broken: everything found so far. counts: answers by status and refusals by code.
    """

    def __init__(self, house: VirtualHouse) -> None:
        self.broken: list[Broken] = []
        self.counts: Counter[str] = Counter()
        self.looks = 0
        self._house = house
        self._placed: dict[str, Placed] = {}
        self._paid: dict[str, int] = {}
        self._cancelled: set[str] = set()
        self._steps: dict[str, str] = {}
        self._bundles: dict[str, str] = {}
        self.read = dict.fromkeys(house.disks, 0)
        self._hearers: list[Hearer] = []
        self._commits = -1
        self._by_key: dict[tuple[str, str], str] = {}

    # what clients were told

    def told(self, ask: Ask, answer: Answer) -> None:
        """The house gave this answer, whether or not it reached the client."""
        self.counts[answer.code or str(answer.status)] += 1
        json = answer.json
        if not answer.is_good and not answer.is_unsure and ask.key and ask.who is not None:
            first = self._by_key.get((ask.who.person_id, ask.key))
            if first is not None:
                self.broken.append(
                    Broken("I4", f"the request that made {first} was repeated and refused: {answer.code}")
                )
        if not answer.is_good or ask.method == "GET" or not isinstance(json, dict):
            return
        member_id = "" if ask.who is None else ask.who.person_id
        if "bundle_id" in json and "parcel_ids" in json:
            self._bundles[json["bundle_id"]] = max(
                self._bundles.get(json["bundle_id"], "assigned"), json["state"], key=ROUND.index
            )
        elif "sub_order_id" in json and "state" in json:
            self._progress(json["sub_order_id"], json["state"])
        elif "pay_before" in json:
            first = self._by_key.setdefault((member_id, ask.key), json["order_id"])
            if first != json["order_id"]:
                self.broken.append(Broken("I4", f"one request of {member_id} made {first} and {json['order_id']}"))
            self._note(self._placed, json["order_id"], Placed(member_id, json["payable_fen"]))
        elif "paid_count" in json and json.get("order_state") not in ("created", None):
            self._paid[json["order_id"]] = self._paid.get(json["order_id"], 0) + 1
        elif json.get("order_state") in ("cancelled", "refunding", "refunded"):
            self._cancelled.add(json["order_id"])

    def _note(self, memory: dict[str, Placed], order_id: str, placed: Placed) -> None:
        before = memory.setdefault(order_id, placed)
        if before != placed:
            self.broken.append(Broken("I6", f"order {order_id} was told as {before}, then as {placed}"))

    def _progress(self, sub_order_id: str, state: str) -> None:
        before = self._steps.get(sub_order_id, "planned")
        if PROGRESS[state] >= PROGRESS[before]:
            self._steps[sub_order_id] = state

    # what is in the logs

    def hear(self, hearer: Hearer) -> None:
        """Call `hearer` with the name and body of every event, once, in order, soon after it is committed."""
        self._hearers.append(hearer)

    def read_logs(self) -> None:
        """Read what the logs have got since the last time."""
        if self._house.trouble.commits == self._commits:
            return
        self._commits = self._house.trouble.commits
        for kind in self.read:
            while True:
                slots = {"after": self.read[kind], "limit": EVENTS_AT_ONCE}
                rows = self._house.rows(kind, store.EVENTS_AFTER, slots)
                for number, name, _, body in rows:
                    if number != self.read[kind] + 1:
                        self.broken.append(Broken("EVENTS", f"{kind}: {number} comes after {self.read[kind]}"))
                    self.read[kind] = number
                    for hearer in self._hearers:
                        hearer(name, msgspec.json.decode(body))
                if len(rows) < EVENTS_AT_ONCE:
                    break

    # what is broken

    def look(self, *, at_rest: bool) -> list[Broken]:
        """Read the books now; gives what is broken. At rest: nothing is under way any more."""
        if len(self.broken) > 20:
            return self.broken
        self.looks += 1
        books = Books(self._house)
        self.broken += invariants.broken(books, at_rest=at_rest)
        self.broken += [Broken("I6", what) for what in self._what_is_lost(books)]
        for kind, read in self.read.items():
            (kept,) = self._house.rows(kind, store.LAST_EVENT_NUMBER)[0]
            if kept < read:
                self.broken.append(Broken("EVENTS", f"{kind}: event {read} was seen, now the last is {kept}"))
        return self.broken

    def _what_is_lost(self, books: Books) -> Iterator[str]:
        """I6: everything acknowledged is there, with its amounts."""
        for order_id, placed in self._placed.items():
            order = books.orders.get(order_id)
            if order is None:
                yield f"order {order_id} was acknowledged and does not exist"
            elif (order.member_id, order.payable_fen) != placed:
                yield f"order {order_id} was told as {placed}, and is {order.member_id}, {order.payable_fen} fen"
        captured = Counter(payment.order_id for payment in books.payments if payment.captured_fen)
        for order_id in self._paid:
            if order_id in books.orders and books.orders[order_id].payable_fen and captured[order_id] != 1:
                yield f"order {order_id} was told as paid, and was captured {captured[order_id]} times"
        for order_id in self._cancelled:
            order = books.orders.get(order_id)
            if order is None:
                yield f"order {order_id} was told as cancelled and does not exist"
        states = {sub.id: sub.state for sub in books.sub_orders}
        for sub_order_id, state in self._steps.items():
            now = states.get(sub_order_id)
            if now is None or PROGRESS[now] < PROGRESS[state]:
                yield f"sub-order {sub_order_id} was told as {state}, and is {now}"
        for bundle_id, state in self._bundles.items():
            bundle = books.bundles.get(bundle_id)
            if bundle is None or (ROUND.index(bundle.state) < ROUND.index(state)):
                yield f"bundle {bundle_id} was told as {state}, and is {bundle}"

    @property
    def orders_told(self) -> int:
        """How many orders were acknowledged."""
        return len(self._placed)

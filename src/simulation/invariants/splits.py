"""What must hold of every split as a transaction over three databases (reliability.md 2.3: I3, I4, I5)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from simulation.house import VirtualHouse
from simulation.invariants import store

FINAL = {"confirmed": frozenset({"confirmed"}), "cancelled": frozenset({"cancelled", "suspended"})}
UNDONE = frozenset({"cancelled", "suspended"})
# What a split's orders are until it is decided, and after it was cancelled.
UNDECIDED = frozenset({"grouped"})
GIVEN_BACK = frozenset({"refunding", "refunded"})
# What its sub-orders are while branches are being confirmed: there, and nobody's to cook.
UNOPENED = frozenset({"waiting", "withdrawn"})


class SplitRow(NamedTuple):
    """A row of `splits`."""

    gid: str
    group_id: str
    state: str
    reason: str
    needs_human: bool


class Transactions:
    """Every split, what its coordinator knows of its branches, and what their fences say in their own databases."""

    def __init__(self, house: VirtualHouse) -> None:
        self.splits = [SplitRow(*row) for row in house.rows("core", store.SPLITS)]
        self.branches: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
        for gid, branch, address, state in house.rows("core", store.SPLIT_BRANCHES):
            self.branches[gid][branch] = address, state
        self.fences: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        for database in house.disks:
            for gid, branch, state in house.rows(database, store.FENCES):
                self.fences[gid, branch][database] = state
        self.orders: dict[str, list[str]] = defaultdict(list)
        for gid, state in house.rows("core", store.ORDERS_OF_SPLITS):
            self.orders[gid].append(state)
        self.sub_orders: dict[str, Counter[str]] = defaultdict(Counter)
        for group_id, state in house.rows("core", store.SUB_ORDER_STATES):
            self.sub_orders[group_id][state] += 1

    def fences_of(self, gid: str) -> dict[str, str | None]:
        """By branch: the state of its fence where the branch is, None when there is none."""
        return {
            branch: self.fences.get((gid, branch), {}).get(address)
            for branch, (address, _) in self.branches[gid].items()
        }

    def is_mixed(self, split: SplitRow) -> bool:
        """Whether one branch is done and another undone, or a final split has a branch that is not what it says."""
        fences = set(self.fences_of(split.gid).values())
        if "confirmed" in fences and fences & UNDONE:
            return True
        return split.state in FINAL and not fences <= FINAL[split.state]

    def is_final(self, split: SplitRow) -> bool:
        """Whether nothing is left to be done."""
        return split.state in FINAL


def never_mixed(known: Transactions) -> Iterator[str]:
    """I3, always: no split has a confirmed branch beside a cancelled one, and a final one has all of one kind."""
    for split in known.splits:
        if known.is_mixed(split):
            yield f"split {split.gid} is {split.state}, its branches are {known.fences_of(split.gid)}"
        if split.state in ("trying", "cancelling", "cancelled") and "confirmed" in known.fences_of(split.gid).values():
            yield f"split {split.gid} is {split.state}, and a branch is confirmed: {known.fences_of(split.gid)}"
        if split.state in ("confirming", "confirmed") and UNDONE & set(known.fences_of(split.gid).values()):
            yield f"split {split.gid} is {split.state}, and a branch is undone: {known.fences_of(split.gid)}"


def orders_follow(known: Transactions) -> Iterator[str]:
    """I3 in core, always: the orders of a split are where its decision says."""
    for split in known.splits:
        states = set(known.orders[split.gid])
        subs = known.sub_orders[split.group_id]
        match split.state:
            case "trying" | "cancelling":
                wrong = bool(states - UNDECIDED or subs)
            case "cancelled":
                wrong = bool(states - GIVEN_BACK or subs)
            case "confirming":
                wrong = bool(states & UNDECIDED or set(subs) - UNOPENED)
            case _:
                wrong = bool(states & UNDECIDED) or "waiting" in subs
        if wrong or not states:
            yield f"split {split.gid} is {split.state}, its orders {sorted(states)}, its sub-orders {dict(subs)}"


def fences_are_known(known: Transactions) -> Iterator[str]:
    """I4, always: each fence belongs to a registered branch and is in one database only."""
    for (gid, branch), places in known.fences.items():
        if branch not in known.branches.get(gid, {}) or len(places) != 1:
            yield f"the fence of {branch} of {gid} is in {sorted(places)}, and nobody registered it so"


def all_have_ended(known: Transactions) -> Iterator[str]:
    """I5 at rest: every split is confirmed or cancelled, everywhere, and none needs a person."""
    for split in known.splits:
        if not known.is_final(split):
            yield f"split {split.gid} is still {split.state}"
        if split.needs_human:
            yield f"split {split.gid} needs a person: {split.reason}"

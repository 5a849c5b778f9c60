"""What must hold of every split as a transaction over three databases (reliability.md 2.3: I3, I4, I5)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from simulation.house import VirtualHouse
from simulation.invariants import store

STOCK, SHARING, DELIVERY = "stock", "sharing", "delivery"
OF_GUESTS = ("seat", "use")  # of a guest, in his group's home: transactions of their own
HOME = "core"  # where the coordinator is, and the branch of stock
FINAL = {"confirmed": frozenset({"confirmed"}), "cancelled": frozenset({"cancelled", "suspended"})}
UNDONE = frozenset({"cancelled", "suspended"})
# What a branch's fence lets its sharings and parcels be; parcels of which nothing is left are dropped at any time.
EFFECTS = {
    (SHARING, "tried"): frozenset({"pending"}),
    (SHARING, "confirmed"): frozenset({"posted"}),
    (SHARING, "cancelled"): frozenset({"voided"}),
    (DELIVERY, "tried"): frozenset({"promised", "dropped"}),
    (DELIVERY, "confirmed"): frozenset({"waiting", "assigned", "picked_up", "delivered", "dropped"}),
    (DELIVERY, "cancelled"): frozenset({"dropped"}),
}
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
    decided_at_ms: int | None
    deadline_at_ms: int


class Transactions:
    """Every split, what its coordinator knows of its branches, and what their fences say in their own databases."""

    def __init__(self, house: VirtualHouse) -> None:
        self.splits = [SplitRow(*row) for row in house.rows("core", store.SPLITS)]
        self.branches: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
        for gid, branch, address, state in house.rows("core", store.SPLIT_BRANCHES):
            self.branches[gid][branch] = address, state
        self.fences: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        # By database: the newest epoch it heard, and the newest that a fence of it was written in.
        self.epochs: dict[str, tuple[int, int]] = {}
        for database in house.disks:
            newest = 0
            for gid, branch, state, epoch in house.rows(database, store.FENCES):
                self.fences[gid, branch][database] = state
                newest = max(newest, epoch)
            self.epochs[database] = house.rows(database, store.EPOCHS)[0][0], newest
        # By branch and split: the states of what it set aside.
        self.effects: dict[tuple[str, str], set[str]] = defaultdict(set)
        for gid, state in house.rows("money", store.SHARINGS_OF_SPLITS):
            self.effects[gid, SHARING].add(state)
        for gid, state in house.rows("delivery", store.PARCELS_OF_SPLITS):
            self.effects[gid, DELIVERY].add(state)
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


def effects_follow_fences(known: Transactions) -> Iterator[str]:
    """I3 within a participant, always: a fence and its effect are kept together."""
    for gid in known.branches:
        for branch, state in known.fences_of(gid).items():
            if branch == STOCK:
                continue
            effects = known.effects.get((gid, branch), set())
            allowed = EFFECTS.get((branch, state or ""), frozenset())
            if effects - allowed or bool(allowed) != bool(effects):
                yield f"{branch} of {gid} has the fence {state}, and what it set aside is {sorted(effects)}"


def fences_are_known(known: Transactions) -> Iterator[str]:
    """I4, always: each fence belongs to a registered branch and is in one database only; of seats see `guests`."""
    for (gid, branch), places in known.fences.items():
        if branch in OF_GUESTS:
            continue
        if branch not in known.branches.get(gid, {}) or len(places) != 1:
            yield f"the fence of {branch} of {gid} is in {sorted(places)}, and nobody registered it so"


def the_newest_is_heard(known: Transactions) -> Iterator[str]:
    """I4, always: a participant forgets no coordinator for one that was taken over (P14); at home there is only one."""
    for database, (heard, spoke) in known.epochs.items():
        if database != HOME and heard < spoke:
            yield f"{database} listens to epoch {heard}, and has a fence of epoch {spoke}"


def decided_in_time(known: Transactions) -> Iterator[str]:
    """I5, always: no split is confirmed after its deadline, none cancelled for it before."""
    for split in known.splits:
        if split.decided_at_ms is None:
            continue
        is_late = split.decided_at_ms >= split.deadline_at_ms
        if is_late if split.state in ("confirming", "confirmed") else split.reason == "deadline" and not is_late:
            by_ms = split.deadline_at_ms - split.decided_at_ms
            yield f"split {split.gid} is {split.state} ({split.reason}), decided {by_ms} ms before its deadline"


def all_have_ended(known: Transactions) -> Iterator[str]:
    """I5 at rest: every split is confirmed or cancelled, everywhere, and none needs a person."""
    for split in known.splits:
        if not known.is_final(split):
            yield f"split {split.gid} is still {split.state}"
        if split.needs_human:
            yield f"split {split.gid} needs a person: {split.reason}"

"""What must hold in the books of a campus, whatever happened (reliability.md 2.3): read by SQL, told by name.

I1 money, I2 stock, I4 once, I5 ends, I10 price, I11 delivery, SEATS, EVENTS; I6 (durable) is the auditor's, who knows
what was told.
Those in `ALWAYS` hold after every commit; the others when nothing is under way any more.

`books`: what is read. `money`, `meals`, `groups`, `once`, `ending`: what must hold of it; `splits` of every split, and
`guests` between campuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from simulation.house import VirtualHouse
from simulation.invariants import splits, store
from simulation.invariants.books import Books
from simulation.invariants.ending import all_has_ended
from simulation.invariants.groups import groups_form_rightly, seats_are_right
from simulation.invariants.meals import deliveries_agree, items_are_in_one_delivery, stock_adds_up
from simulation.invariants.money import books_agree, money_adds_up, prices_are_exact
from simulation.invariants.once import are_followed, effects_happen_once, events_have_no_gap, followers_are_there

__all__ = [
    "ALWAYS",
    "AT_REST",
    "Books",
    "Broken",
    "Check",
    "are_followed",
    "broken",
    "coordinators_follow",
    "deadlines_count",
    "digest",
    "effects_happen_once",
    "fences_are_known",
    "groups_form_rightly",
    "last_timer",
    "money_adds_up",
    "prices_are_exact",
    "seats_are_right",
    "splits_are_whole",
    "splits_have_ended",
    "stock_adds_up",
]

TOLD_MAX = 5


class Broken(NamedTuple):
    """An invariant that does not hold, and where."""

    name: str
    what: str


def splits_are_whole(books: Books) -> Iterator[str]:
    """I3: all branches of a split are confirmed, or all undone, and its orders, transfers and parcels follow."""
    yield from splits.never_mixed(books.transactions)
    yield from splits.orders_follow(books.transactions)
    yield from splits.effects_follow_fences(books.transactions)


def fences_are_known(books: Books) -> Iterator[str]:
    """I4: each branch has at most one fence, in its own database, and was registered before."""
    yield from splits.fences_are_known(books.transactions)


def coordinators_follow(books: Books) -> Iterator[str]:
    """I4: nobody listens to a coordinator that was taken over."""
    yield from splits.the_newest_is_heard(books.transactions)


def deadlines_count(books: Books) -> Iterator[str]:
    """I5: what a split's deadline says is decided when it comes."""
    yield from splits.decided_in_time(books.transactions)


def splits_have_ended(books: Books) -> Iterator[str]:
    """I5 at rest: every split is confirmed or cancelled, and none needs a person."""
    yield from splits.all_have_ended(books.transactions)


Check = Callable[[Books], Iterator[str]]
ALWAYS: tuple[tuple[str, Check], ...] = (
    ("I1", money_adds_up),
    ("I2", stock_adds_up),
    ("I4", effects_happen_once),
    ("I10", prices_are_exact),
    ("I11", items_are_in_one_delivery),
    ("SEATS", seats_are_right),
    ("EVENTS", events_have_no_gap),
    ("I3", splits_are_whole),
    ("I4", fences_are_known),
    ("I4", coordinators_follow),
    ("I5", deadlines_count),
)
AT_REST: tuple[tuple[str, Check], ...] = (
    ("I1", books_agree),
    ("I4", followers_are_there),
    ("I5", all_has_ended),
    ("I11", deliveries_agree),
    ("I5", splits_have_ended),
    ("SEATS", groups_form_rightly),
)


def broken(books: Books, *, at_rest: bool) -> list[Broken]:
    """The invariants that do not hold, each with at most a few places."""
    found = []
    for name, check in (*ALWAYS, *AT_REST) if at_rest else ALWAYS:
        for i, what in enumerate(check(books)):
            if i >= TOLD_MAX:
                break
            found.append(Broken(name, what))
    return found


def last_timer(house: VirtualHouse) -> datetime | None:
    """When the last timer of both databases is due; None when there is none."""
    due = [row[0] for kind in house.disks for row in house.rows(kind, store.LAST_TIMER) if row[0] is not None]
    return None if not due else datetime.fromtimestamp(max(due) / 1000, tz=house.clock.true().tzinfo)


def digest(house: VirtualHouse) -> str:
    """A fingerprint of every row that is kept."""
    told = sha256()
    for kind, disk in house.disks.items():
        for (name,) in disk.rows(store.TABLES):
            told.update(f"{kind}.{name}".encode())
            told.update(repr(disk.rows(store.whole_table(name))).encode())
    return told.hexdigest()

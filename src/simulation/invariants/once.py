"""Everything happens once, and all that is told is heard (I4, EVENTS)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from simulation.house import VirtualHouse
from simulation.invariants import store
from simulation.invariants.books import Books
from tuanzi.wiring import FOLLOWS

ONCE = (
    ("money.payment_captured", "payment_id"),
    ("money.refund_settled", "refund_id"),
    ("orders.placed", "order_id"),
    ("orders.paid", "order_id"),
    ("orders.refund_due", "refund_id"),
    ("orders.refunded", "refund_id"),
    ("groups.opened", "group_id"),
    ("groups.formed", "group_id"),
    ("groups.closed", "group_id"),
    ("groups.failed", "group_id"),
    ("splitting.planned", "group_id"),
    ("splitting.confirmed", "gid"),
    ("splitting.cancelled", "gid"),
    ("splitting.confirmed", "group_id"),
    ("splitting.cancelled", "group_id"),
)


def effects_happen_once(books: Books) -> Iterator[str]:
    """I4: every payment is captured and told once, every refund is settled once, an order is paid once, and so on."""
    for name, field in ONCE:
        counts = Counter(body[field] for body in books.told(name))
        for one, count in counts.items():
            if count > 1:
                yield f"{name} of {one} was told {count} times"
    booked: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, reference, fen in books.house.rows("money", store.JOURNALS_BY_KIND):
        booked[kind][reference] += fen
    for payment in books.payments:
        fen = booked["capture"].pop(payment.id, 0) + booked["misfit"].pop(payment.id, 0)
        if fen != payment.captured_fen:
            yield f"payment {payment.id}: {payment.captured_fen} fen captured, {fen} fen booked"
    for refund in books.refunds.values():
        fen = booked["refund_settled"].pop(refund.id, 0)
        if fen != (refund.amount_fen if refund.state == "settled" else 0):
            yield f"refund {refund.id}: {refund.state}, {fen} fen booked as given back"
    for kind in ("capture", "misfit", "refund_settled"):
        for reference in booked[kind]:
            yield f"{kind} of {reference} is booked for nothing"


def events_have_no_gap(books: Books) -> Iterator[str]:
    """EVENTS: numbered from 1 without gap in both databases, and the cursor knows the last."""
    for kind in books.house.disks:
        count, first, last = books.house.rows(kind, store.EVENT_NUMBERS)[0]
        (kept,) = books.house.rows(kind, store.LAST_EVENT_NUMBER)[0]
        if (count and (first != 1 or last != count)) or last != kept:
            yield f"{kind} has {count} events from {first} to {last}, its cursor stands at {kept}"


def followers_are_there(books: Books) -> Iterator[str]:
    """I4 at rest: each database has noted the last event of the other that it hears."""
    for target, source, last, reached in _followers(books.house):
        if reached < last:
            yield f"{target} has noted event {reached} of {source}, and the last it hears is {last}"


def are_followed(house: VirtualHouse) -> bool:
    """Whether each database has heard all that it hears of the other."""
    return all(reached >= last for _, _, last, reached in _followers(house))


def _followers(house: VirtualHouse) -> Iterator[tuple[str, str, int, int]]:
    """(target, source, the last event it hears, the one it has noted)."""
    for target, source in FOLLOWS:
        heard = house.heard(target, source)
        last = max((number for name, number in house.rows(source, store.LAST_BY_NAME) if name in heard), default=0)
        rows = house.rows(target, store.POSITION, {"source": source})
        yield target, source, last, rows[0][0] if rows else 0

"""What came of it: which differences were found, and what was done about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from simulation.invariants import store as kept_books
from simulation.reconciling import store as planted
from simulation.reconciling.bench import Bench, Planted
from simulation.reconciling.cases import Case


class Reconciled(Struct, frozen=True, kw_only=True):
    """What came of it. found: differences that were planted and told. strangers: told and not planted.

    repaired: ended without a person. raised: that ask for one. unexplained_fen: by which the ledger and the payment
    company are apart at the end, beyond what open differences name; and by which journals and balances do not add up.
    """

    planted: int
    found: int
    strangers: int
    classified_right: int
    repaired: int
    raised: int
    repaired_ratio: float
    unexplained_fen: int
    open_fen: int
    orders: int
    by_class: dict[str, int]
    by_book: dict[str, int]
    wrong: list[str]


def told_of(bench: Bench, counts: Mapping[Case, int], made: Mapping[Case, Sequence[Planted]]) -> Reconciled:
    """Compare what was planted with what the books say now."""
    house = bench.world.house
    rows = house.rows("money", planted.DIFFERENCES)
    kept = {
        (kind, item): (mend, state, bool(raised), fen, reason) for kind, item, mend, state, raised, fen, reason in rows
    }
    found = right = repaired = raised_count = off_fen = 0
    wrong: list[str] = []
    seen: set[tuple[str, str]] = set()
    by_class: Counter[str] = Counter()
    by_book: Counter[str] = Counter()
    for case, each in made.items():
        for one in each:
            by_class[one.kind] += 1
            by_book[case.book] += 1
            what = kept.get((one.kind, one.item))
            is_told = any(item == one.item for _, item in kept)
            found += is_told
            is_right = what is not None and what[0] == one.mend
            right += is_right
            is_over = what is not None and what[1] in ("repaired", "settled") and not what[2]
            repaired += is_over
            raised_count += what is not None and what[2]
            if what is not None and what[2]:
                off_fen += one.off_fen
            seen.add((one.kind, one.item))
            if not is_right or is_over is not case.is_safe:
                wrong.append(f"{case.name}: {one} is {what}")
    others = [place for place in kept if place not in seen]
    wrong += [f"nobody planted {place}: {kept[place]}" for place in others]
    total = sum(counts.values())
    clearing = dict(house.rows("money", planted.BALANCES))
    apart = abs(clearing.get("provider_clearing", 0) - bench.company.held_fen - off_fen)
    sums = house.rows("money", kept_books.UNBALANCED_JOURNALS)
    sums += [row for row in house.rows("money", kept_books.ACCOUNTS) if row[1] != row[2]]
    wrong += [f"does not add up: {row}" for row in sums]
    return Reconciled(
        planted=total,
        found=found,
        strangers=len(others),
        classified_right=right,
        repaired=repaired,
        raised=raised_count,
        repaired_ratio=round(repaired / total, 4),
        unexplained_fen=apart + abs(house.rows("money", kept_books.ALL_ENTRIES_FEN)[0][0]) + len(sums),
        open_fen=sum(what[3] for what in kept.values() if what[1] == "open"),
        orders=bench.world.auditor.orders_told,
        by_class=dict(sorted(by_class.items())),
        by_book=dict(sorted(by_book.items())),
        wrong=wrong,
    )

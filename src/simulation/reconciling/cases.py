"""The ways in which books come to differ, and how often each is planted.

No platform publishes how often which difference comes. `MIX` is our choice, per thousand, after what happens in life:
nearly all are of a callback or an answer that was lost while a process was down, and show in the next bill (paid there
and open, closed or unknown here; refunded there and under way here); then what midnight divides, since two clocks never
agree, and members who pay twice because the first answer did not come. Rows that are changed or gone within the campus
need a fault of ours or of a disk; wrong amounts, money that was never there and refunds nobody asked for need a fault
of the payment company's or a crime. All of these are in the mix, so that each class is seen in each book it can be in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from simulation.reconciling import store as planted
from simulation.reconciling.bench import Bench, Place, Planted
from tuanzi.money import BillKind, BillLine, BillState, out_refund_no_of

WHOLE = 1_000
FORGED = "forged"
Plant = Callable[[Bench, Place], Planted]


@dataclass(frozen=True, slots=True)
class Case:
    """One way in which books come to differ.

    book: where it is planted. share: of WHOLE. who: whose orders it needs - of a group that was `split`, `left` and
    refunded, `lapsed` without being paid, or paid by a `forged` callback. when: in which of `STAGES`. is_safe: mended
    without a person.
    """

    name: str
    book: str
    share: int
    who: str
    when: str
    plant: Plant
    is_safe: bool = True


# With the provider, seen in its bills


def _unheard(bench: Bench, place: Place) -> Planted:
    """Paid after the order had lapsed; callback and questions were lost."""
    bench.pays(place)
    return Planted("D1", place.payment_id, "replay_capture")


def _closed(bench: Bench, place: Place) -> Planted:
    """Paid there, closed here."""
    bench.pays(place)
    bench.sql("money", _payment_row(place, state="closed"))
    return Planted("D1", place.payment_id, "replay_capture")


def _open(bench: Bench, place: Place) -> Planted:
    """Paid there, still open here, and nobody asks any more."""
    bench.pays(place)
    bench.sql("money", _payment_row(place, state="opened"))
    return Planted("D4", place.payment_id, "advance_payment")


def _payment_row(place: Place, *, state: str) -> str:
    return planted.PAYMENT.format(
        p=place.payment_id, o=place.order_id, member=place.member_id, fen=place.payable_fen, state=state
    )


def _back(bench: Bench, place: Place) -> Planted:
    """Refunded there, under way here: the answer was lost."""
    refund_id = f"{place.order_id}.r1"
    (fen,) = bench.world.house.rows("money", planted.REFUND, {"id": refund_id})[0]
    bench.sql("money", planted.REFUND_UNDER_WAY.format(r=refund_id, fen=fen))
    bench.sql("core", planted.ORDER_REFUNDING.format(o=place.order_id))
    return Planted("D4", out_refund_no_of(refund_id), "advance_refund")


def _never_sent(bench: Bench, place: Place) -> Planted:
    """Noted as refunded here, and the payment company never heard of it."""
    number = out_refund_no_of(f"{place.order_id}.r1")
    bench.company.forget_refund(number)
    return Planted("D2", number, "resend_refund")


def _again(bench: Bench, place: Place) -> Planted:
    """Paid a second time, under another number."""
    payment_id = f"p2{place.order_id[1:]}"
    bench.pays(place, payment_id=payment_id)
    return Planted("D5", payment_id, "replay_capture")


def _at_midnight(bench: Bench, place: Place) -> Planted:
    """Noted here at 23:59:50, and there ten seconds after midnight."""
    seen = bench.pays(place, later=timedelta(seconds=20))
    bench.world.house.callback(seen)(lambda answer: None)
    return Planted("D6", place.payment_id, "carry")


def _forged(bench: Bench, place: Place) -> Planted:
    """Noted as paid here by a callback that was none."""
    return Planted("D2", place.payment_id, "reverse_capture")


def _a_fen_short(bench: Bench, place: Place) -> Planted:
    """Another amount there."""
    bench.company.changes[place.payment_id] = lambda line: [replace(line, amount_fen=line.amount_fen - 1)]
    return Planted("D3", place.payment_id, "set_aside")


def _line_twice(bench: Bench, place: Place) -> Planted:
    """The same number twice in the bills."""
    bench.company.changes[place.payment_id] = lambda line: [line, replace(line, transaction_id="another")]
    return Planted("D5", place.payment_id, "none", -place.payable_fen)


def _nobodys_refund(bench: Bench, place: Place) -> Planted:
    """A refund there that nobody here asked for."""
    key = f"nobodys_{place.order_id}"
    line = BillLine(
        kind=BillKind.TRADES,
        key=key,
        transaction_id="unknown",
        amount_fen=-100,
        state=BillState.REFUNDED,
        at=bench.world.now,
    )
    bench.company.more.append(line)
    return Planted("D1", key, "none", 100)


# Within the campus, seen every minute


def _in(database: str, script: str, *, item: str, mend: str) -> Plant:
    """A row that is changed or gone; `{o}` is its order, `{p}` the order's payment."""

    def plant(bench: Bench, place: Place) -> Planted:
        named = {"o": place.order_id, "p": place.payment_id}
        bench.sql(database, script.format(**named))
        return Planted("D7", item.format(**named), mend)

    return plant


def _portions(change: str) -> Plant:
    def plant(bench: Bench, place: Place) -> Planted:
        dish_id, meal_id = bench.next_dish()
        bench.sql("core", change.format(dish=dish_id, meal=meal_id))
        return Planted("D7", f"portions:{dish_id}/{meal_id}", "restore_portions")

    return plant


def _balance(bench: Bench, place: Place) -> Planted:
    """A running balance that is not the sum of its entries."""
    bench.sql("money", planted.BALANCE)
    return Planted("D7", "balance:provider_clearing", "restore_balance")


_RESTORED, _RESTORED_BACK, _RESTORED_ORDER = "restore_capture", "restore_refund", "restore_order"


MIX: tuple[Case, ...] = (
    Case("the callback was lost, and the payment is open", "provider", 260, "lapsed", "billed", _open),
    Case("the callback was lost, and the order had lapsed", "provider", 160, "lapsed", "billed", _unheard),
    Case("the callback was lost, and the payment is closed", "provider", 60, "lapsed", "billed", _closed),
    Case("the answer to a refund was lost", "provider", 160, "left", "billed", _back),
    Case("midnight divides a payment", "provider", 120, "lapsed", "midnight", _at_midnight),
    Case("a member paid twice", "provider", 60, "split", "billed", _again),
    Case("a refund was noted and never made", "provider", 20, "left", "billed", _never_sent),
    Case(
        "a line of a journal is gone",
        "ledger",
        15,
        "split",
        "minute",
        _in("money", planted.LINE_GONE, item="{p}", mend=_RESTORED),
    ),
    Case(
        "a journal is gone",
        "ledger",
        15,
        "split",
        "minute",
        _in("money", planted.JOURNAL_GONE, item="{p}", mend=_RESTORED),
    ),
    Case(
        "a journal has another amount",
        "ledger",
        5,
        "split",
        "minute",
        _in(
            "money",
            planted.JOURNAL_DOUBLED,
            item="{p}",
            mend=_RESTORED,
        ),
    ),
    Case(
        "a refund's journal is gone",
        "ledger",
        10,
        "left",
        "minute",
        _in("money", planted.REFUND_JOURNAL_GONE, item="{o}.r1", mend=_RESTORED_BACK),
    ),
    Case(
        "a payment's row is gone",
        "payments",
        10,
        "split",
        "minute",
        _in("money", planted.PAYMENT_GONE, item="{p}", mend=_RESTORED),
    ),
    Case(
        "a payment has another amount",
        "payments",
        5,
        "split",
        "minute",
        _in(
            "money",
            planted.PAYMENT_CHANGED,
            item="{p}",
            mend=_RESTORED,
        ),
    ),
    Case(
        "a refund's row is gone",
        "payments",
        10,
        "left",
        "minute",
        _in("money", planted.REFUND_GONE, item="{o}.r1", mend=_RESTORED_BACK),
    ),
    Case(
        "an order never heard of its refund",
        "orders",
        20,
        "left",
        "minute",
        _in(
            "core",
            planted.ORDER_REFUNDING,
            item="{o}#{o}.r1",
            mend="retell_refund",
        ),
    ),
    Case(
        "an order was paid another amount",
        "orders",
        10,
        "split",
        "minute",
        _in("core", planted.ORDER_PAID_MORE, item="{o}", mend=_RESTORED_ORDER),
    ),
    Case(
        "an order went back in its life",
        "orders",
        10,
        "split",
        "minute",
        _in("core", planted.ORDER_WENT_BACK, item="{o}", mend=_RESTORED_ORDER),
    ),
    Case(
        "an order's sub-orders are gone",
        "orders",
        15,
        "split",
        "minute",
        _in("core", planted.SUB_ORDERS_GONE, item="{o}/plan", mend="restore_sub_orders"),
    ),
    Case("more is sold than bought", "stock", 6, "", "rounds", _portions(planted.PORTIONS_SOLD)),
    Case("portions are gone", "stock", 5, "", "rounds", _portions(planted.PORTIONS_GONE)),
    Case("a balance is a fen off", "ledger", 4, "", "rounds", _balance),
    Case("a payment was forged", "provider", 4, FORGED, "billed", _forged, is_safe=False),
    Case("an amount differs", "provider", 4, "split", "billed", _a_fen_short, is_safe=False),
    Case("a line is billed twice", "provider", 3, "split", "billed", _line_twice, is_safe=False),
    Case("a refund was asked for by nobody", "provider", 4, "lapsed", "billed", _nobodys_refund, is_safe=False),
    Case(
        "an order is gone",
        "orders",
        3,
        "split",
        "raised",
        _in("core", planted.ORDER_GONE, item="{o}", mend="none"),
        is_safe=False,
    ),
    Case(
        "an order's row is no order",
        "orders",
        2,
        "split",
        "raised",
        _in("core", planted.ORDER_UNREADABLE, item="{o}", mend="none"),
        is_safe=False,
    ),
)


def mix_of(differences: int) -> dict[Case, int]:
    """How many of each case: its share, the rest by the largest remainder; each at least once."""
    exact = {case: case.share * differences for case in MIX}
    counts = {case: max(1, parts // WHOLE) for case, parts in exact.items()}
    by_rest = sorted([case for case in MIX if exact[case] >= WHOLE], key=lambda case: -(exact[case] % WHOLE))
    for case in by_rest:
        if sum(counts.values()) >= differences:
            break
        counts[case] += 1
    return counts


def unknown_of(counts: Mapping[Case, int]) -> int:
    """How many captures and refunds no bill will have at all."""
    return sum(count for case, count in counts.items() if case.plant in (_forged, _never_sent))

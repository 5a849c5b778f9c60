"""A campus whose books are made to differ, and what its reconciliation makes of it: `tuanzi reconcile` (C3).

Orders are made as students make them; then rows are changed, gone or never written, callbacks lost and bills altered,
each in books that agreed before. The comparison of every minute and the bills of two days must find each of them, give
it its class, and mend it or ask for a person.

No platform publishes how often which difference comes. `MIX` is our choice, per thousand, after what happens in life:
nearly all are of a callback or an answer that was lost while a process was down, and show in the next bill (paid there
and open, closed or unknown here; refunded there and under way here); then what midnight divides, since two clocks never
agree, and members who pay twice because the first answer did not come. Rows that are changed or gone within the campus
need a fault of ours or of a disk; wrong amounts, money that was never there and refunds nobody asked for need a fault
of the payment company's or a crime. All of these are in the mix, so that each class is seen in each book it can be in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from random import Random
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from simulation import catalogs
from simulation.asking import Answer, Ask
from simulation.catalogs import Catalog
from simulation.faults import Company
from simulation.house import VirtualHouse
from simulation.invariants import store as kept_books
from simulation.lunch import begin
from simulation.reconciling import store as planted
from simulation.students import CANCEL, JOIN, OPEN, PAY, person
from simulation.world import Script, Wait, World
from tuanzi.base.who import Who
from tuanzi.money import BillKind, BillLine, BillState, out_refund_no_of, payment_asked, payment_of

WHOLE = 1_000
REPAIRED_MIN = 0.95  # issue 3; reliability.md 7
DIFFERENCES_MAX = 10_000  # their orders are made one after another between ten and five
TODAY = date(2026, 11, 23)
# In seconds since 10:00: ten seconds before midnight, and after the bills of a day were read at 10:05 of the next.
MIDNIGHT_S = 14 * 3600.0 - 10.0
BILLED_S = 24 * 3600.0 + 20 * 60.0
DAY_S = 24 * 3600.0
PERSON_EVERY_S = 0.25
SETTLED_S = 3600.0
# Balances and stock are looked at again when what the orders' rows make wrong in them is mended.
ROUND_S = 200.0
FORGED = "forged"


class Place(NamedTuple):
    """An order in whose books something is made to differ."""

    order_id: str
    member_id: str
    payable_fen: int

    @property
    def payment_id(self) -> str:
        """The payment that is its own."""
        return payment_of(self.order_id)


class Planted(NamedTuple):
    """What must be found. off_fen: how much more the ledger has with the provider than it holds, till a person acts."""

    kind: str
    item: str
    mend: str
    off_fen: int = 0


Plant = Callable[["Bench", Place], Planted]


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


class Bills(Company):
    """The payment company, some of whose bills' lines are others than what it did; and which may forget a refund."""

    def __init__(self, trouble: Any, clock: Any) -> None:
        super().__init__(trouble, clock)
        self.changes: dict[str, Callable[[BillLine], list[BillLine]]] = {}
        self.more: list[BillLine] = []
        self._forgotten = 0

    async def bill(self, kind: BillKind, on: date, *, now: datetime) -> tuple[BillLine, ...]:
        """The lines of a day as they are billed; see the port."""
        lines = await super().bill(kind, on, now=now)
        told = [one for line in lines for one in self.changes.get(line.key, _unchanged)(line)]
        if kind is not BillKind.SHARES and on == TODAY:
            told += [replace(line, kind=kind) for line in self.more]
        return tuple(told)

    def forget_refund(self, out_refund_no: str) -> None:
        """It never heard of it, and has its money still."""
        refund = self._refunds.pop(out_refund_no)
        trade = self._trades[refund.asked.out_trade_no]
        self._trades[refund.asked.out_trade_no] = replace(trade, refunded_fen=0)
        pool = self._pools[trade.seen.transaction_id]
        self._pools[pool.transaction_id] = replace(pool, frozen_fen=refund.asked.amount_fen)

    @property
    def held_fen(self) -> int:
        """What it holds of the campus by its own bills."""
        lines = [line for line in self._trade_lines() if line.key in self.changes]
        told = sum(one.amount_fen for line in lines for one in self.changes[line.key](line))
        more = told - sum(line.amount_fen for line in lines) + sum(line.amount_fen for line in self.more)
        return self.paid_fen - self.refunded_fen - self.shared_fen + more


def _unchanged(line: BillLine) -> list[BillLine]:
    return [line]


class Bench:
    """A campus at the end of a day, and hands that change its books."""

    def __init__(self, world: World, company: Bills, places: Mapping[str, Sequence[Place]]) -> None:
        self.world = world
        self.company = company
        self._places = {who: iter(of) for who, of in places.items()}
        self._dishes: Iterator[tuple[str, str]] = iter(())

    def next_place(self, who: str) -> Place:
        """An order nobody has changed yet."""
        return next(self._places[who])

    def sql(self, database: str, script: str) -> None:
        """Change rows behind everybody's back; the house is not up."""
        disk = self.world.house.disks[database]
        disk._writer.execute("PRAGMA foreign_keys = OFF")
        disk.execute_script(script)
        disk._writer.execute("PRAGMA foreign_keys = ON")

    def next_dish(self) -> tuple[str, str]:
        """A dish of a meal that is sold, each once in a round."""
        found = next(self._dishes, None)
        if found is None:
            rows = self.world.house.rows("core", planted.SOLD)
            self._dishes = iter([(str(row[0]), str(row[1])) for row in rows])
            found = next(self._dishes)
        return found

    def pays(self, place: Place, *, payment_id: str = "", later: timedelta = timedelta()) -> Any:
        """He pays at the payment company, and its callback is lost; gives what it would have said."""
        asked = payment_asked(
            payment_id or place.payment_id,
            order_id=place.order_id,
            member_id=place.member_id,
            amount_fen=place.payable_fen,
        )
        at = self.world.now + later
        _at_once(self.company.open_at(at, asked))
        seen = self.company.pay(asked.out_trade_no, now=at)
        self.company.take_callbacks(now=at + timedelta(days=9))
        return seen


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The outcome of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("it waits")


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


def reconcile_planted(differences: int, *, seed: int = 1) -> Reconciled:
    """Make so many differences on a campus of its own, let two days be compared, and say what came of it.

    differences: at least as many as there are cases, else each case once. The same seed gives the same books.
    """
    made: list[Bills] = []

    def company(trouble: Any, clock: Any) -> Bills:
        made.append(Bills(trouble, clock))
        return made[-1]

    world = World(seed, house=partial(VirtualHouse, company=company))
    counts = mix_of(differences)
    world.house.disks["core"].execute_script(planted.PATIENT)
    begin(world, _plenty(world.house.campus, world.chance))
    places = _order(world, counts)
    bench = Bench(world, made[0], places)
    made_to_differ: dict[Case, list[Planted]] = {case: [] for case in counts}

    def plant(stage: str, *, most: int | None = None) -> bool:
        """Plant what is left of a stage; False when nothing was."""
        is_any = False
        for case, count in counts.items():
            left = count - len(made_to_differ[case]) if case.when == stage else 0
            for _ in range(left if most is None else min(left, most)):
                place = bench.next_place(case.who) if case.who else Place("", "", 0)
                made_to_differ[case].append(case.plant(bench, place))
                is_any = True
        return is_any

    world.house.kill()
    world.house.disks["core"].execute_script(planted.NOBODY_WATCHES)
    plant("minute")
    _compare(world, for_s=ROUND_S + 60.0 * (world.auditor.orders_told // 1000))
    # One balance and a few dishes at a time: the next is planted when they are mended.
    while plant("rounds", most=1):
        _compare(world, for_s=ROUND_S)
    plant("raised")
    _compare(world, for_s=ROUND_S)
    plant("billed")
    world.house.start()
    world.run(until=MIDNIGHT_S)
    plant("midnight")
    world.run(until=BILLED_S)
    world.run(until=BILLED_S + DAY_S)
    told = _told(bench, counts, made_to_differ)
    world.house.close()
    return told


def _compare(world: World, *, for_s: float) -> None:
    """Let the books be compared every minute for so long; then the process is gone."""
    world.house.reconciles = True
    world.house.start()
    world.run(until=world.clock.seconds + for_s)
    world.house.kill()
    world.house.disks["money"].execute_script(planted.NO_MORE_RUNS)
    world.house.reconciles = False


# Orders to plant in


def _plenty(campus: str, chance: Random) -> Catalog:
    """The small campus with portions for all, one campaign, and a delivery fee that three can share."""
    catalog = catalogs.small(campus, chance)
    trio = {**catalog["campaigns"][0], "delivery_fee_fen": 300, "group_lasts_minutes": 15, "pay_within_s": 240}
    dishes = [{**dish, "portions_per_meal": 100_000} for dish in catalog["dishes"]]
    return {**catalog, "dishes": dishes, "campaigns": [trio]}


def _order(world: World, counts: Mapping[Case, int]) -> dict[str, list[Place]]:
    """Enough orders of each sort, all at rest and in agreement."""
    needed: Counter[str] = Counter()
    for case, count in counts.items():
        needed[case.who] += count
    places: dict[str, list[Place]] = {"split": [], "left": [], "lapsed": [], FORGED: []}
    # A bill that lacks more than a tenth of the day is not believed: so many are paid and in no case at all.
    missing = sum(count for case, count in counts.items() if case.plant in (_forged, _never_sent))
    groups = -(-(needed["split"] + 12 * missing) // 3)
    scripts: list[Callable[[int], Script]] = [
        *[lambda i: _split(world, i, places)] * groups,
        *[lambda i: _pay_and_leave(world, i, places)] * needed["left"],
        *[lambda i: _lapse(world, i, places)] * needed["lapsed"],
        *[lambda i: _split(world, i, places, forges=True)] * needed[FORGED],
    ]
    world.chance.shuffle(scripts)
    for i, script in enumerate(scripts):
        world.act(script(i), after=i * PERSON_EVERY_S)
    world.run(until=world.clock.seconds + len(scripts) * PERSON_EVERY_S + SETTLED_S)
    # What was forged is the ledger's alone; but for that all books agree.
    broken = [
        each for each in world.auditor.look(at_rest=True) if not (places[FORGED] and "the provider holds" in each.what)
    ]
    assert not broken, broken[:3]
    return places


def _place(who: Who, order: Mapping[str, Any]) -> Place:
    return Place(order["order_id"], who.person_id, order["payable_fen"])


def _opened(world: World, who: Who) -> Generator[Wait | Ask, Answer, dict[str, Any]]:
    body = {"campaign_id": "trio", "building_id": world.chance.choice(("b0", "b1")), "lines": _cart(world.chance)}
    answer = yield Ask("POST", OPEN, who, body=body)
    assert answer.is_good, answer
    order: dict[str, Any] = answer.json
    return order


def _split(world: World, i: int, places: Mapping[str, list[Place]], *, forges: bool = False) -> Script:
    """Three who pay, the last one perhaps only by a callback that is none."""
    people = [person(i * 4 + n, campus=world.house.campus) for n in range(3)]
    first = yield from _opened(world, people[0])
    placed = [_place(people[0], first)]
    for who in people[1:]:
        joined = yield Ask(
            "POST", JOIN, who, values={"group_id": first["group_id"]}, body={"lines": _cart(world.chance)}
        )
        assert joined.is_good, joined
        placed.append(_place(who, joined.json))
    for who, place in list(zip(people, placed, strict=True))[: 2 if forges else 3]:
        paid = yield Ask("POST", PAY, who, values={"order_id": place.order_id}, body={})
        assert paid.is_good, paid
    if forges:
        _forge(world, placed[2])
        places[FORGED].append(placed[2])
    else:
        places["split"] += placed


def _forge(world: World, place: Place) -> None:
    """A callback says that an order is paid, of which the payment company knows nothing."""
    company = world.house.provider
    asked = payment_asked(
        place.payment_id, order_id=place.order_id, member_id=place.member_id, amount_fen=place.payable_fen
    )
    at_once, company.pays_at_once = company.pays_at_once, False
    waiting = _at_once(company.open(asked, now=world.now)).seen
    company.pays_at_once = at_once
    paid = type(waiting.state).PAID
    world.house.callback(replace(waiting, state=paid, transaction_id=f"forged_{place.order_id}"))(lambda answer: None)


def _pay_and_leave(world: World, i: int, places: Mapping[str, list[Place]]) -> Script:
    who = person(i * 4, campus=world.house.campus)
    place = _place(who, (yield from _opened(world, who)))
    values = {"order_id": place.order_id}
    paid = yield Ask("POST", PAY, who, values=values, body={})
    assert paid.is_good, paid
    left = yield Ask("POST", CANCEL, who, values=values, body={})
    assert left.is_good, left
    places["left"].append(place)


def _lapse(world: World, i: int, places: Mapping[str, list[Place]]) -> Script:
    who = person(i * 4, campus=world.house.campus)
    places["lapsed"].append(_place(who, (yield from _opened(world, who))))


def _cart(chance: Random) -> list[dict[str, Any]]:
    return [{"dish_id": f"m{chance.randrange(3)}-d{chance.randrange(3)}", "quantity": chance.choice((1, 1, 2))}]


# What came of it


def _told(bench: Bench, counts: Mapping[Case, int], made: Mapping[Case, Sequence[Planted]]) -> Reconciled:
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

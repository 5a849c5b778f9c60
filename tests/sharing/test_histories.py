"""I1, B5, B8, C2: whatever happens to a split's money, in any order, with repeats and faults, every fen is somewhere.

Each history is told to the real rooms with a payment company that fails as drawn, and to a model that knows only what
was paid, promised back and set aside. Then all is well for some days, and both must say the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.bench_unit import BenchUnit
from tests.money.till import NOON
from tests.sharing.split import BRANCH, CANCEL, CONFIRM, LEADER, bench, order, part
from tuanzi import money, sharing
from tuanzi.base.branch import BranchRefused
from tuanzi.base.money import Money
from tuanzi.base.problem import Problem
from tuanzi.events import AfterSaleAsked, OrderCompleted, ParcelDelivered, RefundDue, RefundRefused, RefundSettled
from tuanzi.money import (
    Balance,
    Cashier,
    Entry,
    Fault,
    Payment,
    ProviderUnreachable,
    Refund,
    RefundState,
    SandboxProvider,
    SharedOrder,
    TrySharing,
)
from tuanzi.sharing.model import (
    Case,
    OrderTransfers,
    PayoutState,
    SettleCase,
    Settlement,
    Sharing,
    SharingState,
    SharingTerms,
    SubsidyBudget,
    TermsInForce,
    Transfer,
    plan_transfers,
    terms_id,
)

MERCHANTS = ("noodles", "tea", "rice")


def now_of(awaited: Awaitable[Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        awaited.__await__().__next__()
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for something")


class World:
    """The money database on a bench and its payment company, with a clock."""

    def __init__(self, faults: list[Fault | None], terms: SharingTerms) -> None:
        self.faults = faults
        self.sandbox = SandboxProvider(faults=lambda operation, number: faults.pop(0) if faults else None)
        self.unit = bench()
        self.unit.put(terms)
        self.unit.put(TermsInForce(id="terms", version=terms.version))
        self.unit.put(SubsidyBudget(id="subsidy", most=terms.subsidy_budget, used=Money(0)))
        self.now = NOON
        rooms = [money.room(self.sandbox), sharing.room(self.sandbox)]
        self.decides = {kind: decide for room in rooms for kind, decide in room.commands.items()}
        self.errands = {kind: errand for room in rooms for kind, errand in room.errands.items()}
        self.listeners: dict[type, Callable[..., None]] = {
            RefundDue: sharing.on_refund_due,
            OrderCompleted: sharing.on_order_completed,
            AfterSaleAsked: sharing.on_after_sale_asked,
            ParcelDelivered: sharing.on_parcel_delivered,
            RefundRefused: sharing.on_refund_refused,
            RefundSettled: sharing.on_refund_settled,
        }
        self.cashier = Cashier(self.sandbox)
        self.told = 0

    def do(self, what: Any) -> Problem | None:
        """Carry out a command or hear an event; a refusal changes nothing."""
        unit = self.unit
        before = dict(unit.values), dict(unit.timers), len(unit.events)
        try:
            (self.decides.get(type(what)) or self.listeners[type(what)])(unit, what, now=self.now)
            while self.told < len(unit.events):
                event = unit.events[self.told]
                self.told += 1
                if type(event) in (RefundRefused, RefundSettled):
                    self.listeners[type(event)](unit, event, now=self.now)
        except Problem as problem:
            unit.values, unit.timers = before[0], before[1]
            del unit.events[before[2] :]
            self.told = before[2]
            return problem
        return None

    def pay(self, of: SharedOrder) -> bool:
        """A member pays; whether the money is here at once."""
        asked = money.vendors.cashier.payment_asked(
            of.payment_id, order_id=of.order_id, member_id=of.member_id, amount_fen=of.paid_fen
        )
        try:
            seen = now_of(self.sandbox.open(asked, now=self.now)).seen
        except ProviderUnreachable:
            return False
        return seen.state.value == "paid" and self.do(self.cashier.capture_of(seen)) is None

    def wait(self, span: timedelta) -> None:
        """Let time pass, with all that comes due on the way; an errand that fails is tried again a minute later."""
        until = self.now + span
        for _ in range(2_000):
            due = min(self.unit.timers.items(), key=lambda timer: (timer[1][0], timer[0]), default=None)
            if due is None or due[1][0] > until:
                self.now = until
                return
            timer_id, (at, command) = due
            self.now = max(self.now, at)
            errand = self.errands.get(type(command))
            if errand is not None:
                try:
                    command = now_of(errand(command, now=self.now))
                except ProviderUnreachable:
                    self.unit.timers[timer_id] = (self.now + timedelta(minutes=1), command)
                    continue
            del self.unit.timers[timer_id]
            problem = self.do(command)
            assert problem is None, problem
        raise AssertionError(f"it never ends: {self.unit.timers}")


class Model:
    """What must be so of one order, by counting only."""

    def __init__(self, of: SharedOrder) -> None:
        self.order = of
        self.paid = 0
        self.promised = 0
        self.claimed: int | None = None  # what parties have; None while nothing is set aside
        self.refunds: dict[str, int] = {}  # promised ones

    def refuses_try(self) -> bool:
        """Whether Try must say no."""
        return self.claimed is not None or not self.paid or self.paid - self.promised < self.order.payable_fen

    def hear(self, unit: BenchUnit) -> None:
        """What the rooms have promised back since; a refund that is parked must not have fitted."""
        mine = [each for each in unit.all_of(Refund) if each.order_id == self.order.order_id]
        for each in mine:
            if is_promised(each) and each.id not in self.refunds:
                assert each.amount.fen <= self.paid - self.promised
                self.refunds[each.id] = each.amount.fen
                self.promised += each.amount.fen
                if self.claimed is not None:
                    self.claimed = min(self.claimed, self.paid - self.promised)
        assert all(each.amount.fen > self.paid - self.promised for each in mine if each.refusal == "over_refund")


class Split:
    """A split as the model sees it."""

    def __init__(self, orders: tuple[SharedOrder, ...], *, ambassador_id: str | None = None) -> None:
        self.orders = [Model(each) for each in orders]
        self.fence = "none"
        self.trying = TrySharing(
            branch=BRANCH,
            group_id="g_1",
            leader_id=LEADER,
            orders=orders,
            split_at=NOON,
            ambassador_id=ambassador_id,
        )

    def tried(self, problem: Problem | None) -> None:
        """Try was answered so."""
        if self.fence != "none":
            assert (problem is None) == (self.fence in ("tried", "confirmed"))
            return
        must_refuse = any(model.refuses_try() for model in self.orders)
        if problem is not None:
            assert isinstance(problem, BranchRefused)
            assert must_refuse or problem.code == "sharing/budget-used-up"
            return
        assert not must_refuse
        self.fence = "tried"
        for model in self.orders:
            model.claimed = model.order.payable_fen

    def confirmed(self, problem: Problem | None) -> None:
        """Confirm was answered so."""
        assert (problem is None) == (self.fence in ("tried", "confirmed"))
        self.fence = "confirmed" if problem is None else self.fence

    def cancelled(self, problem: Problem | None) -> None:
        """Cancel was answered so."""
        assert (problem is not None) == (self.fence == "confirmed")
        if problem is None:
            self.fence = "cancelled"
            for model in self.orders:
                model.claimed = None


def amounts(items: int, off: int, delivery: int) -> dict[str, int]:
    """A sub-order's amounts."""
    return {"items": items, "discount": items * off // 10, "delivery": delivery}


parts_of = st.lists(
    st.tuples(
        st.sampled_from(MERCHANTS),
        st.builds(amounts, st.integers(1, 4000), st.integers(0, 9), st.integers(0, 300)),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def shared_orders(draw: st.DrawFn) -> tuple[SharedOrder, ...]:
    """One to three members' orders; some paid above their final price."""
    made = []
    for number in range(draw(st.integers(1, 3))):
        order_id = f"o_{number}"
        parts = [
            part(i, of=order_id, merchant=merchant, **facts)
            for i, (merchant, facts) in enumerate(draw(parts_of), start=1)
        ]
        payable = sum(each.payable_fen for each in parts)
        made.append(order(order_id, *parts, paid=payable + draw(st.sampled_from([0, 0, 1, 250]))))
    return tuple(made)


@st.composite
def some_terms(draw: st.DrawFn) -> SharingTerms:
    """Terms of all kinds."""
    of_goods = draw(st.lists(st.integers(0, 2500), min_size=4, max_size=4))
    return SharingTerms(
        id=terms_id(1),
        version=1,
        platform_rate=of_goods[0],
        leader_rate=of_goods[1],
        ambassador_rate=of_goods[2],
        provider_rate=of_goods[3],
        rider_rate=draw(st.integers(0, 7500)),
        subsidy_rate=draw(st.sampled_from([0, 0, 3333, 10_000])),
        subsidy_budget=Money(draw(st.sampled_from([0, 500, 100_000]))),
        outward_max=draw(st.sampled_from([10_000, 10_000, 3_000])),
        persons_max=draw(st.sampled_from([10_000, 3_000, 0])),
    )


numbers = st.integers(0, 2)
steps = st.one_of(
    st.tuples(st.just("pay"), numbers),
    st.tuples(st.just("pay"), numbers),
    st.tuples(st.sampled_from(["try", "try", "confirm", "confirm", "cancel"]), st.none()),
    st.tuples(st.just("deliver"), numbers),
    st.tuples(st.just("complete"), numbers),
    st.tuples(st.just("dispute"), numbers),
    st.tuples(st.just("refund"), st.tuples(numbers, st.integers(1, 3), st.integers(0, 12), st.booleans())),
    st.tuples(st.just("wait"), st.sampled_from([0, 1, 2, 30, 600, 1500])),
)
faults = st.lists(st.sampled_from([None, None, None, None, *Fault]), max_size=40)


@settings(max_examples=2_000, deadline=None)
@given(shared_orders(), some_terms(), st.none() | st.just("m_amy"), faults, st.lists(steps, max_size=25))
def test_random_histories_of_a_split_lose_and_make_no_fen(
    orders: tuple[SharedOrder, ...],
    terms: SharingTerms,
    ambassador_id: str | None,
    broken: list[Fault | None],
    history: list[tuple[str, Any]],
) -> None:
    world = World(broken, terms)
    split = Split(orders, ambassador_id=ambassador_id)

    for i, (what, which) in enumerate(history):
        tell(world, split, what, which)
        if i % 4 == 3:
            check_the_books(world.unit)
    broken.clear()
    for callback in world.sandbox.take_callbacks(now=world.now + timedelta(days=1)):
        world.do(world.cashier.capture_of(callback))
    note_payments(world, split)
    world.wait(timedelta(days=3))
    for each in world.unit.all_of(Sharing):
        if each.is_disputed and each.completed_at is not None:
            world.do(OrderCompleted(order_id=each.order_id, member_id="m"))
    world.wait(timedelta(days=3))
    note_payments(world, split)

    check_the_books(world.unit)
    check_it_is_over(world, split)


def tell(world: World, split: Split, what: str, which: Any) -> None:
    """Tell one step to the rooms and to the model; steps for an order that is not there mean nothing."""
    match what:
        case "try":
            note_payments(world, split)
            split.tried(world.do(split.trying))
        case "confirm":
            split.confirmed(world.do(CONFIRM))
        case "cancel":
            split.cancelled(world.do(CANCEL))
        case "wait":
            world.wait(timedelta(minutes=which))
        case "refund" if which[0] < len(split.orders):
            refund(world, split.orders[which[0]], *which[1:])
        case _ if what != "refund" and which < len(split.orders):
            happen(world, split.orders[which].order, what)
    note_payments(world, split)


def happen(world: World, order: SharedOrder, what: str) -> None:
    """Something happens to one order."""
    match what:
        case "pay":
            world.pay(order)
        case "complete":
            world.do(OrderCompleted(order_id=order.order_id, member_id="m"))
        case "dispute":
            world.do(AfterSaleAsked(order_id=order.order_id, member_id="m"))
        case "deliver":
            sub_order_ids = tuple(each.sub_order_id for each in order.parts)
            delivered = ParcelDelivered(
                parcel_id="x", bundle_id="b", rider_id="p_rider", building_id="d", sub_order_ids=sub_order_ids
            )
            world.do(delivered)


def note_payments(world: World, split: Split) -> None:
    """Tell the model which money came, and what was promised back of it."""
    for model in split.orders:
        payment = world.unit.find(Payment, model.order.payment_id)
        if payment is not None:
            assert payment.captured.fen in (0, model.order.paid_fen)
            model.paid = payment.captured.fen
        model.hear(world.unit)


def refund(world: World, model: Model, number: int, tenths: int, is_for_part: bool) -> None:
    """A part of what was paid, or a little more than all of it, falls due; the same id with the same amount again."""
    refund_id = f"{model.order.order_id}.r{number}"
    known = world.unit.find(Refund, refund_id)
    fen = known.amount.fen if known is not None else model.order.paid_fen * tenths // 10
    due = RefundDue(
        refund_id=refund_id,
        order_id=model.order.order_id,
        member_id="m",
        amount_fen=fen,
        reason="after_sale",
        payment_id=model.order.payment_id,
        sub_order_id=model.order.parts[0].sub_order_id if is_for_part else None,
    )
    world.do(due)
    assert (world.unit.find(Refund, refund_id) is None) == (known is None and fen <= 0)


def transfers_kept(unit: BenchUnit) -> list[Transfer]:
    """All transfers of all orders."""
    return [each for order in unit.all_of(OrderTransfers) for each in order.transfers]


def check_the_books(unit: BenchUnit) -> None:
    """At any time: journals balance, both books agree, limits hold, and each order's money is somewhere, once."""
    journals: dict[str, int] = defaultdict(int)
    accounts: Counter[str] = Counter()
    of_order: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in unit.all_of(Entry):
        journals[entry.journal_id] += entry.amount.fen
        accounts[entry.account] += entry.amount.fen
        of_order[entry.order_id][entry.account.partition(":")[0]] += entry.amount.fen
    assert not any(journals.values())
    assert {each.account: each.amount.fen for each in unit.all_of(Balance)} == dict(accounts)
    payments = {each.order_id: each for each in unit.all_of(Payment)}
    claims: dict[str, list[Transfer]] = defaultdict(list)
    for transfer in transfers_kept(unit):
        claims[transfer.order_id].append(transfer)
    for order_id, payment in payments.items():
        shared = unit.find(Sharing, order_id)
        promised = sum(
            each.amount.fen for each in unit.all_of(Refund) if is_promised(each) and each.order_id == order_id
        )
        assert payment.refunded.fen == promised <= payment.captured.fen
        claimed = 0
        if shared is not None and shared.state is not SharingState.VOIDED:
            claimed = sum(each.net.fen for each in claims[order_id] if not each.is_subsidy)
            assert claimed == shared.claimed.fen
        is_booked = shared is not None and shared.state is SharingState.POSTED
        assert -of_order[order_id]["order_escrow"] == payment.left().fen - (claimed if is_booked else 0)
        assert payment.left().fen >= claimed
    owed: Counter[str] = Counter()
    for each in transfers_kept(unit):
        if unit.load(Sharing, each.order_id).state is SharingState.POSTED:
            owed[each.account] += each.held.fen + each.sent.fen
    for account, fen in owed.items():
        assert accounts[account] == -fen, account
    spent = sum(each.amount.fen - each.cut.fen for each in transfers_kept(unit) if is_spent(unit, each))
    assert unit.load(SubsidyBudget, "subsidy").used.fen == spent


def is_promised(refund_: Refund) -> bool:
    """Whether a refund is booked."""
    return refund_.state not in (RefundState.WAITING, RefundState.PARKED)


def is_spent(unit: BenchUnit, transfer: Transfer) -> bool:
    """Whether a transfer is out of the subsidy budget."""
    return transfer.is_subsidy and unit.load(Sharing, transfer.order_id).state is not SharingState.VOIDED


def check_it_is_over(world: World, split: Split) -> None:
    """At the end: nothing is under way, the payment company says the same, and the model too."""
    unit, sandbox = world.unit, world.sandbox
    assert unit.timers == {}
    accounts = {each.account: each.amount.fen for each in unit.all_of(Balance)}
    assert sum(accounts.values()) == 0
    assert accounts.get("provider_clearing", 0) == sandbox.paid_fen - sandbox.refunded_fen - sandbox.shared_fen
    settled = {each.id: each.amount.fen for each in unit.all_of(Refund) if each.state is RefundState.SETTLED}
    assert sum(settled.values()) == sandbox.refunded_fen
    told = Counter(each.refund_id for each in unit.events if isinstance(each, RefundSettled))
    assert told == Counter(dict.fromkeys(settled, 1))
    assert all(each.state is not RefundState.SENT for each in unit.all_of(Refund))
    for each in unit.all_of(Sharing):
        is_over = each.payout is PayoutState.DONE
        assert is_over == (each.completed_at is not None and each.state is SharingState.POSTED)
    assert all(not each.sent and (not each.due or not is_paid_out(unit, each)) for each in transfers_kept(unit))
    for model in split.orders:
        shared = unit.find(Sharing, model.order.order_id)
        if model.claimed is not None:
            assert shared is not None
            assert shared.claimed.fen == model.claimed
            assert shared.state is (SharingState.POSTED if split.fence == "confirmed" else SharingState.PENDING)
        else:
            assert shared is None or shared.state is SharingState.VOIDED


def is_paid_out(unit: BenchUnit, transfer: Transfer) -> bool:
    """Whether nothing more of a transfer goes out by itself; the pool's waits for a rider."""
    shared = unit.load(Sharing, transfer.order_id)
    return shared.payout is PayoutState.DONE and not transfer.account.endswith(":pool")


@settings(max_examples=400, deadline=None)
@given(shared_orders(), some_terms(), st.none() | st.just("m_amy"))
def test_every_split_adds_up_by_row_and_by_column(
    orders: tuple[SharedOrder, ...], terms: SharingTerms, ambassador_id: str | None
) -> None:
    for each in orders:
        planned = plan_transfers(each, terms=terms, gid="g", leader_id=LEADER, ambassador_id=ambassador_id)

        rows = Counter[str]()
        for transfer in planned:
            rows[transfer.sub_order_id] += 0 if transfer.is_subsidy else transfer.amount.fen
        assert dict(rows) == {one.sub_order_id: one.payable_fen for one in each.parts if one.payable_fen}
        goods = sum(one.payable_fen - one.delivery_fen for one in each.parts)
        leader = sum(one.amount.fen for one in planned if one.party.value == "leader")
        assert abs(leader * 10_000 - goods * terms.leader_rate) < 10_000
        persons = [one for one in planned if one.party.value in ("rider", "leader", "ambassador")]
        assert sum(one.outward.fen for one in persons) <= each.payable_fen * terms.persons_max // 10_000
        assert sum(one.outward.fen for one in planned) <= each.payable_fen * terms.outward_max // 10_000
        assert all(one.outward.fen == 0 for one in planned if one.party.value in ("platform", "provider", "subsidy"))
        assert plan_transfers(each, terms=terms, gid="g", leader_id=LEADER, ambassador_id=ambassador_id) == planned


@settings(max_examples=400, deadline=None)
@given(shared_orders(), some_terms(), st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=6), st.booleans())
def test_refunds_one_after_another_take_back_exactly_and_the_last_one_the_rest(
    orders: tuple[SharedOrder, ...], terms: SharingTerms, parts: list[tuple[int, bool]], is_given: bool
) -> None:
    each = orders[0]
    transfers = plan_transfers(each, terms=terms, gid="g", leader_id=LEADER, ambassador_id=None)
    if is_given:
        transfers = [replace(one, given=one.outward) for one in transfers]
    left = each.payable_fen

    for tenths, is_for_part in [*parts, (10, False)]:
        fen = left * tenths // 10
        lost = sharing.model.losses(
            transfers, Money(fen), sub_order_id=each.parts[0].sub_order_id if is_for_part else None
        )
        after = {loss.transfer.line: loss.after() for loss in lost}
        transfers = [after.get(one.line, one) for one in transfers]
        left -= fen
        assert sum(loss.cut.fen + loss.back.fen for loss in lost if not loss.transfer.is_subsidy) == fen
        assert sum(one.net.fen for one in transfers if not one.is_subsidy) == left

    paid_for = {one.sub_order_id for one in each.parts if one.payable_fen}
    assert all(not one.net for one in transfers if not one.is_subsidy or one.sub_order_id in paid_for)


@settings(max_examples=400, deadline=None)
@given(shared_orders(), some_terms(), faults, st.lists(steps, max_size=20), st.sampled_from(Settlement))
def test_what_a_person_settles_is_settled_once_and_leaves_the_books_right(
    orders: tuple[SharedOrder, ...],
    terms: SharingTerms,
    more: list[Fault | None],
    history: list[tuple[str, Any]],
    how: Settlement,
) -> None:
    broken: list[Fault | None] = []
    world = World(broken, terms)
    split = Split(orders)
    for each in orders:
        world.pay(each)
    tell(world, split, "try", None)
    tell(world, split, "confirm", None)
    broken.extend([Fault.CLOSED, Fault.REFUSE, *more])
    for what, which in history:
        if what in ("deliver", "complete", "refund", "wait"):
            tell(world, split, what, which)
    world.wait(timedelta(days=3))

    for case in world.unit.all_of(Case):
        settle = SettleCase(case_id=case.id, how=how, note="looked at", operator_id="p_op")
        if world.do(settle) is None and how is not Settlement.RETRY:
            assert world.do(settle) is not None
    broken.clear()
    world.wait(timedelta(days=3))

    accounts = {each.account: each.amount.fen for each in world.unit.all_of(Balance)}
    assert sum(accounts.values()) == 0
    assert world.unit.timers == {}
    assert all(accounts[account] <= 0 for account in accounts if account.startswith(("merchant_", "order_", "user_")))
    assert all(accounts[account] >= 0 for account in accounts if account.startswith("receiver_"))

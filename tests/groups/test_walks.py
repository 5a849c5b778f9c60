"""Any story keeps a campus's books right (B1, B2, B5, B8, C2, C4): random walks, invariants after every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.groups.newcomers import WELCOME, welcome_newcomers
from tests.heart import LUNCH, OPERATOR, Campus
from tuanzi.base.branch import BranchRefused, TransactionState
from tuanzi.base.ids import OrderId, PersonId, SubOrderId
from tuanzi.base.problem import Problem
from tuanzi.delivery import TryDelivery
from tuanzi.events import RefundDue, RefundRefused
from tuanzi.groups import Group, GroupState, Seated, SeatState
from tuanzi.groups.store import CAMPAIGN_USES, GROUPS, OPEN_GROUPS
from tuanzi.machinery.post import Letter
from tuanzi.machinery.tables import Table
from tuanzi.money import TrySharing, payment_of
from tuanzi.orders import (
    DEAD,
    ORDERS,
    SUB_ORDERS,
    AdvanceSubOrder,
    AskAfterSale,
    ConfirmOrder,
    DecideAfterSale,
    Order,
    OrderState,
    RefundOrder,
    SubOrderState,
    SubStep,
)
from tuanzi.pricing import CouponState
from tuanzi.pricing.store import COUPONS
from tuanzi.splitting.store import SPLITS
from tuanzi.stock import PORTIONS

WALKS = 300
STEPS = 40

HOLDING = (OrderState.CREATED, OrderState.PAID, OrderState.GROUPED)
REFUNDED = (OrderState.REFUNDING, OrderState.REFUNDED)
SEAT_OF = {GroupState.OPEN: OrderState.PAID, GroupState.FORMED: OrderState.GROUPED}
CARTS = (("beef",), ("soup", ("soup", 2)), ("beef", "milk-tea"), (("cake", 2), "soup"), ("soup", "milk-tea", "soup"))
CAMPAIGNS = ("steps", "steps", "trio", "gift")
MEMBERS = tuple(f"m{i}" for i in range(1, 8))
COUPON_OF = {member: f"c-{member}" for member in MEMBERS[:4]}


class Walk:
    """One campus and what may happen to it; `n` chooses among what there is."""

    def __init__(self) -> None:
        self.campus = Campus()
        for i, (member, coupon) in enumerate(COUPON_OF.items()):
            self.campus.grant(member, coupon, 700, threshold_fen=1000 * i)
        welcome_newcomers(self.campus)
        self.payments = 0

    def step(self, deed: str, n: int) -> None:
        """Do something; a refusal changes nothing."""
        before = (self.campus.core.writer.event_number, self.campus.money.writer.event_number)
        try:
            DEEDS[deed](self, n)
        except Problem:
            assert (self.campus.core.writer.event_number, self.campus.money.writer.event_number) == before
        check(self.campus)

    def orders(self, *states: OrderState) -> list[str]:
        rows = self.campus.rows("SELECT id, state FROM orders ORDER BY id LIMIT 1000")
        return [id for id, state in rows if not states or state in states]

    def one(self, things: Sequence[Any], n: int) -> Any:
        if not things:
            raise Problem
        return things[n % len(things)]

    def open(self, n: int) -> str:
        member = MEMBERS[n % 7]
        coupon = COUPON_OF.get(member) if n % 3 == 0 else None
        cart, campaign = CARTS[n // 7 % 5], CAMPAIGNS[n // 35 % 4]
        return self.place(member, lambda: self.campus.open(member, *cart, campaign=campaign, coupon=coupon))

    def join(self, n: int) -> str:
        live = self.campus.rows("SELECT id FROM campus_groups WHERE state IN ('open', 'formed') ORDER BY id LIMIT 1000")
        (group_id,) = self.one(live, n // 35)
        member = MEMBERS[n % 7]
        coupon = COUPON_OF.get(member) if n % 3 == 0 else None
        cart = CARTS[n // 7 % 5]
        return self.place(member, lambda: self.campus.join(group_id, member, *cart, coupon=coupon))

    def place(self, member: str, place: Callable[[], Seated]) -> str:
        """A member's order; it is his first exactly when no other of his counts (B4)."""
        before = [order for order in values(self.campus, ORDERS) if order.member_id == member and counts(order)]
        order_id = place().order_id
        cart = self.campus.order(order_id).cart
        assert cart is None or cart.is_first_order == (not before), (order_id, before)
        return order_id

    def join_and_pay(self, n: int) -> None:
        self.pay_own(self.join(n))

    def open_and_pay(self, n: int) -> None:
        self.pay_own(self.open(n))

    def pay(self, n: int) -> None:
        self.pay_own(self.one(self.orders(OrderState.CREATED), n))

    def pay_late(self, n: int) -> None:
        self.pay_own(self.one(self.orders(OrderState.CANCELLED), n))

    def pay_own(self, order_id: str) -> None:
        if self.campus.order(order_id).payable:
            self.campus.pay(order_id)

    def pay_again(self, n: int) -> None:
        self.pay_own(self.one(self.orders(), n))

    def pay_strangely(self, n: int) -> None:
        self.payments += 1
        order_id = self.one([*self.orders(), "o_unknown"], n)
        self.campus.pay(order_id, payment_id=f"p_strange{self.payments}", amount_fen=1 + n % 3000)

    def pay_wrong_amount(self, n: int) -> None:
        order_id = self.one(self.orders(OrderState.CREATED, OrderState.CANCELLED), n)
        self.campus.pay(order_id, amount_fen=self.campus.order(order_id).payable.fen + 1)

    def leave(self, n: int) -> None:
        group = self.one(groups_of(self.campus), n)
        self.campus.leave(group.id, self.one(group.seats, n // 7).member_id)

    def cancel(self, n: int) -> None:
        order_id = self.one(self.orders(), n)
        self.campus.cancel(order_id, self.campus.order(order_id).member_id)

    def wait(self, n: int) -> None:
        self.campus.pass_time(minutes=n % 7)

    def wait_long(self, n: int) -> None:
        self.campus.pass_time(minutes=10 + n % 50)

    def sleep_over_timers(self, n: int) -> None:
        self.campus.jump(minutes=n % 50)

    def sub_order(self, n: int, *states: SubOrderState) -> Any:
        subs = values(self.campus, SUB_ORDERS)
        return self.one([sub for sub in subs if not states or sub.state in states], n)

    def advance(self, n: int) -> None:
        self.move(self.sub_order(n).id, tuple(SubStep)[n // 11 % 6], n)

    def advance_rightly(self, n: int) -> None:
        sub = self.sub_order(n, *RIGHT)
        self.move(sub.id, RIGHT[sub.state], 0)

    def reject(self, n: int) -> None:
        self.move(self.sub_order(n, SubOrderState.PLANNED, SubOrderState.COOKING).id, SubStep.REJECT, 0)

    def move(self, sub_order_id: str, step: SubStep, n: int) -> None:
        self.campus.do(AdvanceSubOrder(sub_order_id=SubOrderId(sub_order_id), step=step, by=PersonId(f"r{n % 2}")))

    def deliver(self, n: int) -> None:
        self.campus.deliver(self.one(self.orders(OrderState.SPLIT), n))

    def confirm(self, n: int) -> None:
        order = self.campus.order(self.one(self.orders(OrderState.DELIVERED, OrderState.SPLIT), n))
        self.campus.do(ConfirmOrder(order_id=order.id, member_id=order.member_id))

    def refund(self, n: int) -> None:
        order_id = OrderId(self.one(self.orders(), n))
        amount = None if n % 5 == 0 else n % 1500
        self.campus.do(RefundOrder(order_id=order_id, amount_fen=amount, reason="kind", by=OPERATOR))

    def ask_after_sale(self, n: int) -> None:
        order = self.campus.order(self.one(self.orders(OrderState.DELIVERED, OrderState.COMPLETED), n))
        self.campus.do(AskAfterSale(order_id=order.id, member_id=order.member_id))

    def decide_after_sale(self, n: int) -> None:
        order = self.campus.order(self.one(self.orders(OrderState.AFTER_SALE), n))
        amount = ((order.paid - order.promised).fen, 0, n % 2000)[n % 3]
        self.campus.do(DecideAfterSale(order_id=order.id, amount_fen=amount, by=OPERATOR))

    def portions(self, n: int) -> None:
        dish = ("beef", "soup", "milk-tea", "cake")[n % 4]
        self.campus.set_portions(dish, 3 + n // 4 % 20, is_closed=n % 5 == 0)

    def break_the_post(self, n: int) -> None:
        """From now on every third letter or so has a fate of its own."""

        def spoil(letter: Letter) -> Any:
            fate = (n + len(self.campus.post.sent)) % 7
            if fate == 3 and type(letter.command) in (TrySharing, TryDelivery):
                return BranchRefused()
            return {0: "lost", 1: "unanswered", 2: "twice"}.get(fate)

        self.campus.post.spoil = spoil

    def mend_the_post(self, n: int) -> None:
        self.campus.post.spoil = lambda letter: None

    def kill(self, n: int) -> None:
        self.campus.kill()

    def evict(self, n: int) -> None:
        self.campus.evict()


RIGHT = {
    SubOrderState.PLANNED: SubStep.ACCEPT,
    SubOrderState.ACCEPTED: SubStep.COOK,
    SubOrderState.COOKING: SubStep.READY,
    SubOrderState.READY: SubStep.PICK_UP,
    SubOrderState.PICKED_UP: SubStep.DELIVER,
}
DEEDS: dict[str, Callable[[Walk, int], Any]] = {
    "open": Walk.open,
    "open and pay": Walk.open_and_pay,
    "join": Walk.join,
    "join and pay": Walk.join_and_pay,
    "pay": Walk.pay,
    "pay late": Walk.pay_late,
    "pay again": Walk.pay_again,
    "pay strangely": Walk.pay_strangely,
    "pay wrong amount": Walk.pay_wrong_amount,
    "leave": Walk.leave,
    "cancel": Walk.cancel,
    "wait": Walk.wait,
    "wait long": Walk.wait_long,
    "timers late": Walk.sleep_over_timers,
    "advance": Walk.advance,
    "advance rightly": Walk.advance_rightly,
    "reject": Walk.reject,
    "deliver": Walk.deliver,
    "confirm": Walk.confirm,
    "refund": Walk.refund,
    "ask after-sale": Walk.ask_after_sale,
    "decide after-sale": Walk.decide_after_sale,
    "portions": Walk.portions,
    "break the post": Walk.break_the_post,
    "mend the post": Walk.mend_the_post,
    "kill": Walk.kill,
    "evict": Walk.evict,
}
# What makes groups form comes more often, or walks would never get to the kitchen.
OFTEN = (
    "open and pay",
    "join and pay",
    "join and pay",
    "join and pay",
    "join",
    "pay",
    "pay late",
    "deliver",
    "advance rightly",
)


def values(campus: Campus, table: Table[Any]) -> list[Any]:
    """All values of a table of core."""
    columns = ", ".join(table.columns)
    return [table.from_row(row) for row in campus.rows(f"SELECT {columns} FROM {table.name}")]


def groups_of(campus: Campus) -> list[Group]:
    """All groups, oldest first."""
    return sorted(values(campus, GROUPS), key=lambda group: group.id)


def counts(order: Order) -> bool:
    """Whether a member's next order is not his first because of this one."""
    return order.state in HOLDING or order.sub_orders > 0


def check(campus: Campus) -> None:
    """All invariants, read from what is kept."""
    orders = {order.id: order for order in values(campus, ORDERS)}
    groups = {group.id: group for group in groups_of(campus)}
    splits = {split.group_id: split.state for split in values(campus, SPLITS)}
    for group in groups.values():
        check_group(group, orders, splits.get(group.id))
    seated = {
        seat.order_id for group in groups.values() if group.state is not GroupState.FAILED for seat in group.seats
    }
    for order in orders.values():
        assert (order.state in HOLDING) <= (order.id in seated), order
        assert sum(part.fen for part in order.refundable) + order.promised.fen == order.paid.fen, order
        assert min((part.fen for part in order.refundable), default=0) >= 0, order
        assert (order.state in (OrderState.CREATED, OrderState.CANCELLED)) <= (not order.paid), order
    welcomed = Counter(order.member_id for order in orders.values() if counts(order) and is_welcome(order))
    assert max(welcomed.values(), default=0) <= 1, welcomed
    check_stock(campus, orders)
    check_coupons(campus, orders)
    check_lists(campus, orders, groups, seated)
    check_refunds(campus, orders)
    check_ledger(campus, orders)


def is_welcome(order: Order) -> bool:
    """Whether it has the price of a first order."""
    return any(off.rule_id == WELCOME for off in order.quote.amounts)


def check_group(group: Group, orders: dict[OrderId, Order], split: TransactionState | None) -> None:
    """Seats, members, leader, and the state that the paid seats make."""
    members = [seat.member_id for seat in group.seats]
    assert len(members) == len(set(members)) <= group.seats_max, group
    assert not members or group.leader_id in members, group
    paid, smallest = group.paid_count, group.tiers[0].size
    match group.state:
        case GroupState.OPEN:
            assert 0 <= paid < smallest, group
        case GroupState.FORMED:
            assert smallest <= paid < group.seats_max, group
        case GroupState.CLOSED:
            assert smallest <= paid == len(members), group
        case GroupState.FAILED:
            assert paid < smallest or split is TransactionState.CANCELLED, group
            return
    for seat in group.seats:
        order = orders[seat.order_id]
        assert (order.group_id, order.member_id, order.building_id) == (group.id, seat.member_id, seat.building_id)
        if seat.state is SeatState.HELD:
            assert order.state is OrderState.CREATED, (group, order)
        elif group.state in SEAT_OF:
            assert order.state is SEAT_OF[group.state], (group, order)
        elif split in (TransactionState.TRYING, TransactionState.CANCELLING):
            assert order.state is OrderState.GROUPED, (group, order)
        else:
            assert order.sub_orders, (group, order)
            assert order.cart is None, (group, order)


def check_stock(campus: Campus, orders: dict[OrderId, Order]) -> None:
    """Held: portions of orders not yet split; sold: of sub-orders that no merchant rejected."""
    held: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    for order in orders.values():
        if order.state in HOLDING:
            held.update(order.portions)
    planned: Counter[OrderId] = Counter()
    for sub in values(campus, SUB_ORDERS):
        planned[sub.order_id] += sub.payable.fen
        if sub.state not in (SubOrderState.REJECTED, SubOrderState.WITHDRAWN):
            for line in sub.order_lines:
                sold[line.dish_id] += line.quantity
    kept = {portions.dish_id: portions for portions in values(campus, PORTIONS)}
    assert {id: one.held for id, one in kept.items() if one.held} == dict(held)
    assert {id: one.sold for id, one in kept.items() if one.sold} == dict(sold)
    assert all(one.meal_id == LUNCH and one.held + one.sold <= one.total for one in kept.values())
    for id, order in orders.items():
        assert planned[id] == (order.quote.payable.fen if order.sub_orders else 0), order


def check_coupons(campus: Campus, orders: dict[OrderId, Order]) -> None:
    """A coupon is held for the live order whose price it lowered, used by the split one, else free.

    Free again too when nothing was made of the split one.
    """
    alive = {sub.order_id for sub in values(campus, SUB_ORDERS) if sub.state not in DEAD}
    for coupon in values(campus, COUPONS):
        owners = [
            order for order in orders.values() if order.quote.coupon_id == coupon.id and order.id == coupon.order_id
        ]
        match coupon.state:
            case CouponState.HELD:
                assert [order.state in HOLDING for order in owners] == [True], (coupon, owners)
            case CouponState.USED:
                assert [order.id in alive for order in owners] == [True], (coupon, owners)
            case CouponState.FREE:
                live = [order for order in orders.values() if order.quote.coupon_id == coupon.id]
                assert not any(order.state in HOLDING or order.id in alive for order in live), (coupon, live)


def check_lists(campus: Campus, orders: dict[OrderId, Order], groups: dict[Any, Group], seated: set[OrderId]) -> None:
    """Timers, the lists of open groups and the uses of campaigns say what groups and orders say."""
    live = [group for group in groups.values() if group.state in SEAT_OF]
    timers = [f"close:{group.id}" for group in live]
    timers += [f"seat:{order.id}" for order in orders.values() if order.state is OrderState.CREATED]
    splits = values(campus, SPLITS)
    found = campus.timers()
    timers += [f"split-deadline:{split.gid}" for split in splits if split.state is TransactionState.TRYING]
    timers += [f"split:{split.gid}" for split in splits if not split.is_final]
    assert sorted(timers) == [id for id in found if not id.startswith(("accept:", "complete:", "ready:"))]
    planned = {f"accept:{sub.group_id}" for sub in values(campus, SUB_ORDERS) if sub.state is SubOrderState.PLANNED}
    assert planned <= set(found)
    waiting = {f"complete:{order.id}" for order in orders.values() if order.state is OrderState.DELIVERED}
    assert waiting <= set(found)
    listed = [(row.campaign_id, row.building_id, id) for row in values(campus, OPEN_GROUPS) for id in row.group_ids]
    assert sorted(listed) == sorted((group.campaign_id, group.building_id, group.id) for group in live)
    uses = Counter(
        (order.campaign_id, order.member_id)
        for order in orders.values()
        if order.id in seated and groups[order.group_id].per_user_limit and order.state not in REFUNDED
    )
    kept = {(use.campaign_id, use.member_id): use.orders for use in values(campus, CAMPAIGN_USES)}
    assert {key: count for key, count in kept.items() if count} == dict(uses)
    assert max(uses.values(), default=0) <= 2


def check_refunds(campus: Campus, orders: dict[OrderId, Order]) -> None:
    """What was promised was told, once for each refund; nothing is told that the money room cannot pay."""
    told = campus.told(RefundDue)
    assert len({due.refund_id for due in told}) == len(told)
    assert all(due.amount_fen > 0 for due in told)
    promised: Counter[str] = Counter()
    for due in told:
        if due.payment_id is None:
            promised[due.order_id] += due.amount_fen
    assert dict(promised) == {id: order.promised.fen for id, order in orders.items() if order.promised}
    assert not campus.told(RefundRefused)


def check_ledger(campus: Campus, orders: dict[OrderId, Order]) -> None:
    """Every journal balances; an order's escrow is what it may still give back, and none once it is shared."""
    unbalanced = campus.rows(
        "SELECT journal_id FROM entries GROUP BY journal_id HAVING SUM(amount_fen) <> 0", database="money"
    )
    assert not unbalanced
    ((captured,),) = campus.rows("SELECT COALESCE(SUM(captured_fen), 0) FROM payments", database="money")
    ((refunds,),) = campus.rows("SELECT COALESCE(SUM(amount_fen), 0) FROM refunds", database="money")
    states = {row[0] for row in campus.rows("SELECT DISTINCT state FROM refunds", database="money")}
    assert sum(order.paid.fen - order.promised.fen for order in orders.values()) == captured - refunds
    escrow = "SELECT order_id, -SUM(amount_fen) FROM entries WHERE account = 'order_escrow' GROUP BY 1"
    held = dict(campus.rows(escrow, database="money"))
    confirmed = {split.group_id for split in values(campus, SPLITS) if split.state is TransactionState.CONFIRMED}
    for id, order in orders.items():
        is_shared = order.group_id in confirmed and order.sub_orders > 0
        if is_shared or not order.sub_orders:
            assert held.get(id, 0) == (0 if is_shared else (order.paid - order.promised).fen), order
    assert states <= {"due", "settled"}
    payments = {row[0] for row in campus.rows("SELECT id FROM payments", database="money")}
    assert {payment_of(id) for id, order in orders.items() if order.paid} <= payments


walks = st.lists(
    st.tuples(st.sampled_from((*DEEDS, *OFTEN, *OFTEN)), st.integers(0, 2**12)), min_size=STEPS, max_size=STEPS
)


@settings(
    max_examples=WALKS,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
)
@given(walks)
def test_whatever_happens_no_seat_portion_coupon_or_fen_is_lost_or_made(steps: list[tuple[str, int]]) -> None:
    """P10, P13: each column means one thing, and no rule is written in SQL, so both must always agree."""
    walk = Walk()

    for deed, n in steps:
        walk.step(deed, n)
    walk.mend_the_post(0)
    walk.campus.pass_time(minutes=1)
    check(walk.campus)
    assert all(split.is_final for split in values(walk.campus, SPLITS))

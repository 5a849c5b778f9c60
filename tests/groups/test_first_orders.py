"""B4: rules may ask for a member's first order and for dorm heads; the price of a first order is given once only."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.groups.newcomers import DORM_HEAD, DORM_HEAD_FEN, WELCOME, WELCOME_FEN, welcome_newcomers
from tests.heart import OPERATOR, Campus, lines
from tuanzi.base.ids import PersonId
from tuanzi.base.once import once
from tuanzi.base.unit import Key
from tuanzi.events import LateMoneySettled
from tuanzi.groups import QuoteCart, Quoted, Seated
from tuanzi.groups.model import UNSERVED_MAX, OrderedBefore
from tuanzi.groups.store import ORDERED_BEFORE
from tuanzi.machinery.writer import Request
from tuanzi.orders import OrderState, RefundOrder
from tuanzi.people import ForgetPerson

PLAIN, FIRST = 2201, 2201 - WELCOME_FEN  # beef in a trio: 2200 less 300 for the tier, and a third of 901


@pytest.fixture
def campus() -> Campus:
    """A campus whose rules welcome newcomers."""
    made = Campus()
    welcome_newcomers(made)
    return made


def served(campus: Campus, member: str) -> Seated:
    """A member's order that was paid, grouped and split."""
    seated = campus.open(member)
    others = [campus.join(seated.group_id, f"{member}-{i}") for i in (1, 2)]
    for each in (seated, *others):
        campus.pay(each.order_id)
    assert campus.state(seated.order_id) == "split"
    return seated


def before(campus: Campus, member: str) -> OrderedBefore:
    """What is kept of a member's orders."""
    key: Key = member
    (row,) = campus.core.database.fetch(ORDERED_BEFORE, [key])
    return ORDERED_BEFORE.from_row(row)


def test_the_first_order_has_its_price_and_the_next_has_not(campus: Campus) -> None:
    first = served(campus, "m1")

    second = campus.open("m1")

    assert (first.payable_fen, second.payable_fen) == (FIRST, PLAIN)
    assert [off.amount.fen for off in campus.order(first.order_id).quote.amounts if off.rule_id == WELCOME] == [500]


def test_who_had_ordered_and_was_erased_has_no_first_order_again(campus: Campus) -> None:
    opened = campus.do(replace(campus.opening("back"), is_returning=True))
    campus.join(opened.group_id, "m2")
    joined = campus.do(replace(campus.joining(opened.group_id, "back-too"), is_returning=True))

    assert [one.payable_fen for one in (opened, joined)] == [PLAIN, PLAIN]


def test_erasing_is_answered_with_whether_there_were_orders(campus: Campus) -> None:
    served(campus, "m1")

    told = [campus.do(ForgetPerson(person_id=PersonId(member))) for member in ("m1", "stranger")]

    assert [each.has_ordered for each in told] == [True, False]


def test_of_two_orders_at_once_one_is_the_first(campus: Campus) -> None:
    seated = campus.batch([campus.opening("m1"), campus.opening("m1"), campus.opening("m2")])

    assert [one.payable_fen for one in seated] == [FIRST, PLAIN, FIRST]


def test_a_repeat_under_the_same_key_is_the_same_first_order(campus: Campus) -> None:
    first, again = campus.opening("m1"), campus.opening("m1")
    key = once("k-0123456789abcdef", b"POST", b"/v1/groups", b"{}")
    outcome = campus._one(campus.core, Request(first, who="m1", key=key))

    repeated = campus._one(campus.core, Request(again, who="m1", key=key))

    assert repeated.body == outcome.body
    assert campus.rows("SELECT COUNT(*) FROM orders") == [(1,)]
    assert before(campus, "m1").order_ids == (first.order_id,)


@pytest.mark.parametrize("paid", [False, True])
def test_an_order_that_came_to_nothing_leaves_the_price_of_the_first_to_the_next(campus: Campus, paid: bool) -> None:
    first = campus.open("m1")
    if paid:
        campus.pay(first.order_id)
    campus.pass_time(minutes=45)
    assert campus.state(first.order_id) == ("refunded" if paid else "cancelled")

    assert campus.open("m1").payable_fen == FIRST


def test_another_order_that_lives_on_keeps_the_next_from_being_the_first(campus: Campus) -> None:
    first, other = campus.open("m1"), campus.open("m1")
    campus.pay(other.order_id)
    campus.leave(first.group_id, "m1")

    third = campus.open("m1")

    assert (other.payable_fen, third.payable_fen) == (PLAIN, PLAIN)
    assert before(campus, "m1").order_ids == (first.order_id, other.order_id, third.order_id)


def test_orders_that_came_to_nothing_leave_one_after_the_other_as_those_behind_them_do(campus: Campus) -> None:
    first, second, third = campus.open("m1"), campus.open("m1"), campus.open("m1")
    campus.leave(first.group_id, "m1")
    campus.leave(third.group_id, "m1")
    fourth = campus.open("m1")
    assert before(campus, "m1").order_ids == (first.order_id, second.order_id, fourth.order_id)
    campus.leave(second.group_id, "m1")
    campus.leave(fourth.group_id, "m1")

    again = campus.open("m1")

    assert again.payable_fen == FIRST
    assert before(campus, "m1").order_ids == (again.order_id,)


def test_of_very_many_orders_those_that_came_to_nothing_make_nobody_a_regular(campus: Campus) -> None:
    opened = []
    for _ in range(UNSERVED_MAX):
        opened.append(campus.open("m1"))
        campus.pay(opened[-1].order_id)
    for one in opened[:-1]:
        campus.leave(one.group_id, "m1")

    last = campus.open("m1")

    assert before(campus, "m1").order_ids == (opened[-1].order_id, last.order_id)


def test_what_was_split_counts_for_good_even_when_all_of_it_goes_back(campus: Campus) -> None:
    first = served(campus, "m1")
    refund = RefundOrder(order_id=first.order_id, amount_fen=None, reason="kind", by=OPERATOR)  # type: ignore[arg-type]
    campus.do(refund)
    campus.settle_refunds()
    assert campus.order(first.order_id).state is OrderState.REFUNDED

    assert campus.open("m1").payable_fen == PLAIN
    assert before(campus, "m1").is_regular


def test_late_money_of_a_first_order_goes_back_when_another_has_become_the_first(campus: Campus) -> None:
    late = campus.open("m1")
    campus.join(late.group_id, "m2")
    campus.pass_time(seconds=300)
    campus.join(campus.open("m3").group_id, "m2")
    assert campus.open("m1").payable_fen == FIRST

    campus.pay(late.order_id)

    assert campus.state(late.order_id) == "refunding"
    assert [settled.group_id for settled in campus.told(LateMoneySettled)] == [None]


def test_late_money_of_the_only_order_is_seated_again_as_the_first(campus: Campus) -> None:
    late = campus.open("m1")
    campus.pass_time(seconds=300)
    between = campus.open("m1")
    campus.leave(between.group_id, "m1")
    other = campus.open("m3")

    campus.pay(late.order_id)

    assert (campus.state(late.order_id), campus.order(late.order_id).group_id) == ("paid", other.group_id)
    assert campus.open("m1").payable_fen == PLAIN


def test_a_quote_says_whether_it_would_be_the_first_and_changes_nothing(campus: Campus) -> None:
    quote = QuoteCart(campaign_id="trio", building_id="dorm-1", member_id="m1", lines=lines("beef"))  # type: ignore[arg-type]
    with campus.nothing_changes():
        newcomer: Quoted = campus.do(quote)
    campus.open("m1")

    regular: Quoted = campus.do(quote)

    assert (newcomer.tiers[0].payable_fen, regular.tiers[0].payable_fen) == (FIRST, PLAIN)


def test_who_has_very_many_orders_under_way_is_no_newcomer(campus: Campus) -> None:
    for _ in range(UNSERVED_MAX + 1):
        last = campus.open("m1")
        campus.pay(last.order_id)

    campus.pass_time(minutes=45)

    assert (last.payable_fen, before(campus, "m1").is_regular) == (PLAIN, True)
    assert campus.open("m1").payable_fen == PLAIN


def test_whether_it_is_the_first_survives_a_crash(campus: Campus) -> None:
    campus.open("m1")
    campus.kill()

    assert campus.open("m1").payable_fen == PLAIN


def test_a_dorm_head_has_the_price_of_dorm_heads_in_every_order(campus: Campus) -> None:
    group = campus.do(replace(campus.opening("m1"), is_dorm_head=True))
    joined = campus.do(replace(campus.joining(group.group_id, "m2"), is_dorm_head=True))
    again = campus.do(replace(campus.opening("m1"), is_dorm_head=True))

    assert [one.payable_fen for one in (group, joined, again)] == [
        FIRST - DORM_HEAD_FEN,
        FIRST - DORM_HEAD_FEN,
        PLAIN - DORM_HEAD_FEN,
    ]
    assert [off.rule_id for off in campus.order(again.order_id).quote.amounts] == ["tier", DORM_HEAD]

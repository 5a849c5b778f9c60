"""The exact split of a closed group: member x merchant x building (B2, B5)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.heart import OPERATOR, START, TRIO, Campus
from tuanzi.base.money import Money
from tuanzi.catalog import PutCampaign
from tuanzi.events import PlannedSubOrder, SplitPlanned
from tuanzi.orders import Order
from tuanzi.pricing import DraftRules, Quote, QuoteLine, RollBackRules, Rule, RuleKind, Sample, SampleLine, SwitchRules
from tuanzi.splitting import plan, planned


@pytest.fixture
def campus() -> Campus:
    return Campus()


def story(campus: Campus) -> SplitPlanned:
    """Three members, two buildings, two merchants; 901 fen to bring it all."""
    seated = [
        campus.open("m1", "beef", "milk-tea", ("soup", 2)),
        campus.join("g_000001", "m2", "milk-tea", building="dorm-2"),
        campus.join("g_000001", "m3", ("beef", 2)),
    ]
    for one in seated:
        campus.pay(one.order_id)
    (split,) = campus.told(SplitPlanned)
    return split


def row(sub: str, member: str, merchant: str, building: str, *fen: int) -> PlannedSubOrder:
    return PlannedSubOrder(
        sub_order_id=sub,
        order_id=sub.partition(".")[0],
        member_id=member,
        merchant_id=merchant,
        building_id=building,
        items_fen=fen[0],
        discount_fen=fen[1],
        delivery_fen=fen[2],
        payable_fen=fen[3],
    )


def test_a_group_is_split_by_member_merchant_and_building(campus: Campus) -> None:
    """P21: what a sub-order is for are columns of its own; nothing is read out of a composed key."""
    split = story(campus)

    assert split.sub_orders == (
        row("o_000002.1", "m1", "noodles", "dorm-1", 3402, 208, 209, 3403),
        row("o_000002.2", "m1", "tea", "dorm-1", 1500, 92, 92, 1500),
        row("o_000003.1", "m2", "tea", "dorm-2", 1500, 300, 300, 1500),
        row("o_000004.1", "m3", "noodles", "dorm-1", 4400, 300, 300, 4400),
    )
    assert (split.paid_fen, split.returned_fen) == (4903 + 1501 + 4401, 2)


def test_the_parts_add_up_to_what_was_paid_less_what_goes_back(campus: Campus) -> None:
    split = story(campus)

    for sub in split.sub_orders:
        assert sub.items_fen - sub.discount_fen + sub.delivery_fen == sub.payable_fen
    assert sum(sub.payable_fen for sub in split.sub_orders) == split.paid_fen - split.returned_fen
    assert sum(sub.delivery_fen for sub in split.sub_orders) == 901
    assert sum(sub.discount_fen for sub in split.sub_orders) == 3 * 300


def test_a_sub_order_keeps_its_lines_with_their_place_in_the_order(campus: Campus) -> None:
    story(campus)

    noodles, tea = campus.sub_orders("o_000002")

    assert [(line.number, line.dish_id, line.quantity) for line in noodles.order_lines] == [
        (0, "beef", 1),
        (2, "soup", 2),
    ]
    assert [(line.number, line.dish_id, line.quantity) for line in tea.order_lines] == [(1, "milk-tea", 1)]
    order = campus.order("o_000002")
    for sub in (noodles, tea):
        assert [line.payable for line in sub.order_lines] == [order.refundable[line.number] for line in sub.order_lines]


def test_the_same_story_gives_the_same_plan(campus: Campus) -> None:
    first = story(campus)

    other = Campus()
    other.kill()

    assert story(other) == first


def test_a_plan_does_not_depend_on_what_is_in_memory(campus: Campus) -> None:
    seated = campus.group("m1", "m2", "m3", paid=2)
    campus.evict()

    campus.pay(seated[2].order_id)

    assert [sub.payable_fen for sub in campus.told(SplitPlanned)[0].sub_orders] == [2201, 2200, 2200]


WRONG = Rule(
    id="wrong", kind=RuleKind.FULL_REDUCTION, amount="items_fen * 90 / 100", title_zh="满减", title_en="Too much off"
)
SAMPLE = Sample(
    name="beef",
    lines=(SampleLine(dish_id="beef", merchant_id="noodles", unit_price_fen=2200),),
    priced_at=START,
    expected_fen=220,
)


def switch_wrong_rules_on(campus: Campus) -> None:
    drafted = campus.do(DraftRules(rules=(WRONG,), samples=(SAMPLE,), note="", operator_id=OPERATOR))
    campus.do(SwitchRules(version=drafted.version, operator_id=OPERATOR))


def test_rules_that_were_rolled_back_settle_only_those_they_priced(campus: Campus) -> None:
    """B4: an order keeps the version that priced it, whoever has the group's first seat."""
    switch_wrong_rules_on(campus)
    first = campus.open("m1")
    campus.pay(first.order_id)
    campus.do(RollBackRules(operator_id=OPERATOR))
    others = [campus.join(first.group_id, member) for member in ("m2", "m3")]

    for one in others:
        campus.pay(one.order_id)

    (split,) = campus.told(SplitPlanned)
    assert [campus.order(one.order_id).paid.fen for one in (first, *others)] == [301, 2201, 2201]
    assert [sub.payable_fen for sub in split.sub_orders] == [301, 2200, 2200]
    assert [sub.discount_fen for sub in split.sub_orders] == [2200, 300, 300]
    assert sum(sub.delivery_fen for sub in split.sub_orders) == 901
    assert (split.paid_fen, split.returned_fen) == (4703, 2)


def test_who_paid_before_a_switch_has_nothing_of_it(campus: Campus) -> None:
    first = campus.open("m1")
    campus.pay(first.order_id)
    switch_wrong_rules_on(campus)
    others = [campus.join(first.group_id, member) for member in ("m2", "m3")]

    for one in others:
        campus.pay(one.order_id)

    assert [sub.payable_fen for sub in campus.told(SplitPlanned)[0].sub_orders] == [2201, 300, 300]


def test_the_delivery_fee_of_free_dishes_is_shared_equally(campus: Campus) -> None:
    tiers = (replace(TRIO.tiers[0], off_fen=0, off_percent=100),)
    campus.do(PutCampaign(campaign=replace(TRIO, id="fee-only", tiers=tiers), by=OPERATOR))
    first = campus.open("m1", "beef", "milk-tea", campaign="fee-only")
    campus.pay(first.order_id)
    for member in ("m2", "m3"):
        campus.pay(campus.join(first.group_id, member).order_id)

    assert [(sub.delivery.fen, sub.payable.fen) for sub in campus.sub_orders(first.order_id)] == [
        (151, 151),
        (150, 150),
    ]


def an_order() -> Order:
    campus = Campus()
    return campus.order(campus.open("m1").order_id)


ORDER = an_order()
cells = st.tuples(
    st.sampled_from(("m1", "m2", "m3", "m4")), st.integers(1, 9), st.integers(0, 5000), st.integers(0, 5000)
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(cells, min_size=1, max_size=12), st.integers(0, 2000))
def test_any_final_price_is_split_to_the_fen(wanted: list[tuple[str, int, int, int]], fee: int) -> None:
    """P16, P17: no line resets a sum, and no last line takes what is left over."""
    final = priced(wanted, fee)

    subs = plan(ORDER, final, now=START)

    assert sum(sub.payable.fen for sub in subs) == final.payable.fen
    assert sum(sub.delivery.fen for sub in subs) == fee
    assert sum(sub.items.fen for sub in subs) == sum(line.list_price.fen for line in final.lines)
    assert [sub.merchant_id for sub in subs] == list(dict.fromkeys(line.merchant_id for line in final.lines))
    assert sorted(line.number for sub in subs for line in sub.order_lines) == list(range(len(wanted)))
    assert all(sub.delivery.fen >= 0 <= sub.discount.fen <= sub.items.fen for sub in subs)
    assert [planned(sub) for sub in subs] == [planned(sub) for sub in plan(ORDER, final, now=START)]


def priced(wanted: list[tuple[str, int, int, int]], fee: int) -> Quote:
    """A final price: (merchant, quantity, due, discount) for each line."""
    made = tuple(
        QuoteLine(
            dish_id="beef",  # type: ignore[arg-type]
            merchant_id=merchant,  # type: ignore[arg-type]
            quantity=quantity,
            list_price=Money(due + off),
            discounts=(),
            payable=Money(due),
        )
        for merchant, quantity, due, off in wanted
    )
    payable = Money(sum(line.payable.fen for line in made) + fee)
    return replace(ORDER.quote, lines=made, delivery_fee=Money(fee), fee_share=Money(fee), payable=payable)

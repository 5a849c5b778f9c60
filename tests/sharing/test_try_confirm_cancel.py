"""B3, C2: Try sets aside who gets what, Confirm makes it theirs, Cancel gives it back; exactly, once, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tests.bench_unit import BenchUnit
from tests.money.till import NOON
from tests.sharing.split import (
    ANN,
    BEN,
    BRANCH,
    CANCEL,
    CONFIRM,
    LEADER,
    SPLIT,
    amounts,
    balances,
    bench,
    capture,
    order,
    paid,
    part,
    put_terms,
    transfers,
)
from tuanzi.base.branch import BranchDiffers, BranchRefused, FenceState, Suspended
from tuanzi.base.money import ZERO, Money
from tuanzi.machinery.fence import CancelRefused, EmptyConfirm
from tuanzi.money import Payment
from tuanzi.money.model import OpenPayment
from tuanzi.money.service import open_payment, record_capture
from tuanzi.sharing.model import BUDGET_ID, PayoutState, Sharing, SharingState, SubsidyBudget
from tuanzi.sharing.problems import AlreadyShared, BudgetUsedUp, MoneyMissing, MoneyShort, PartsMisfit
from tuanzi.sharing.service import cancel_sharing, confirm_sharing, try_sharing


@pytest.fixture
def unit() -> BenchUnit:
    """A bench where both orders are paid."""
    return paid()


def no(unit: BenchUnit, problem: type[BranchRefused], act: Callable[[], Any]) -> None:
    """Refused with this problem by Try."""
    with pytest.raises(problem) as refused:
        act()
    assert type(refused.value) is problem


def test_try_sets_aside_who_gets_what_and_books_nothing(unit: BenchUnit) -> None:
    before = balances(unit)

    answer = try_sharing(unit, SPLIT, now=NOON)

    assert answer.state is FenceState.TRIED
    assert amounts(unit, "o_ann") == [
        ("1", "merchant", "merchant_payable:noodles", 1520),
        ("1", "platform", "platform_income", 145),  # 8 % of 17.00, and 9.4 % of the delivery
        ("1", "rider", "rider_payable:pool", 90),
        ("1", "leader", f"campus_agent_payable:{LEADER}", 34),
        ("1", "provider", "provider_fee", 11),
    ]
    assert unit.load(Sharing, "o_ann") == Sharing(
        order_id="o_ann",
        gid=BRANCH.gid,
        group_id="g_1",
        payment_id="p_ann",
        terms_version=0,
        state=SharingState.PENDING,
        payable=Money(1800),
        claimed=Money(1800),
        transfers=5,
        tried_at=NOON,
        payout=PayoutState.HELD,
    )
    assert balances(unit) == before
    assert unit.events == []
    assert unit.timers == {}


def test_an_order_from_two_merchants_adds_up_by_merchant_and_by_party(unit: BenchUnit) -> None:
    try_sharing(unit, SPLIT, now=NOON)

    assert amounts(unit, "o_ben") == [
        ("1", "merchant", "merchant_payable:noodles", 1967),
        ("1", "platform", "platform_income", 183),
        ("1", "rider", "rider_payable:pool", 60),
        ("1", "leader", f"campus_agent_payable:{LEADER}", 44),
        ("1", "provider", "provider_fee", 14),
        ("2", "merchant", "merchant_payable:tea", 805),
        ("2", "platform", "platform_income", 74),
        ("2", "rider", "rider_payable:pool", 31),
        ("2", "leader", f"campus_agent_payable:{LEADER}", 18),
        ("2", "provider", "provider_fee", 6),
    ]


def test_confirm_books_one_balanced_journal_for_each_order(unit: BenchUnit) -> None:
    try_sharing(unit, SPLIT, now=NOON)

    answer = confirm_sharing(unit, CONFIRM, now=NOON)

    assert answer.state is FenceState.CONFIRMED
    assert balances(unit) == {
        "provider_clearing": 5202,
        "order_escrow": -200,  # what Ann paid above her final price
        "merchant_payable:noodles": -3487,
        "merchant_payable:tea": -805,
        "platform_income": -402,
        "rider_payable:pool": -181,
        f"campus_agent_payable:{LEADER}": -96,
        "provider_fee": -31,
    }
    assert unit.load(Sharing, "o_ann").state is SharingState.POSTED
    assert unit.load(Sharing, "o_ben").state is SharingState.POSTED


def test_cancel_voids_what_was_set_aside_and_books_nothing(unit: BenchUnit) -> None:
    before = balances(unit)
    try_sharing(unit, SPLIT, now=NOON)

    answer = cancel_sharing(unit, CANCEL, now=NOON)

    assert answer.state is FenceState.CANCELLED
    assert (unit.load(Sharing, "o_ann").state, unit.load(Sharing, "o_ann").claimed) == (SharingState.VOIDED, ZERO)
    assert balances(unit) == before


@pytest.mark.parametrize("ending", ["confirm", "cancel"])
def test_everything_said_twice_has_the_effect_of_once(unit: BenchUnit, ending: str) -> None:
    def end() -> Any:
        return (
            confirm_sharing(unit, CONFIRM, now=NOON) if ending == "confirm" else cancel_sharing(unit, CANCEL, now=NOON)
        )

    tried = [try_sharing(unit, SPLIT, now=NOON)]
    after_try = dict(unit.values)
    tried.append(try_sharing(unit, SPLIT, now=NOON))
    assert unit.values == after_try

    ended = [end()]
    after_end = dict(unit.values)
    ended.append(end())

    assert unit.values == after_end
    assert tried[0] == tried[1]
    assert ended[0] == ended[1]


def test_cancel_before_try_lets_no_late_try_begin(unit: BenchUnit) -> None:
    answer = cancel_sharing(unit, CANCEL, now=NOON)

    no(unit, Suspended, lambda: try_sharing(unit, SPLIT, now=NOON))

    assert answer.state is FenceState.SUSPENDED
    assert unit.find(Sharing, "o_ann") is None


def test_confirm_without_try_and_cancel_after_confirm_are_faults(unit: BenchUnit) -> None:
    with pytest.raises(EmptyConfirm):
        confirm_sharing(unit, CONFIRM, now=NOON)
    try_sharing(unit, SPLIT, now=NOON)
    confirm_sharing(unit, CONFIRM, now=NOON)

    with pytest.raises(CancelRefused):
        cancel_sharing(unit, CANCEL, now=NOON)


def test_another_try_under_the_same_branch_is_refused(unit: BenchUnit) -> None:
    try_sharing(unit, SPLIT, now=NOON)

    no(unit, BranchDiffers, lambda: try_sharing(unit, replace(SPLIT, leader_id="m_other"), now=NOON))


def test_a_cancelled_order_may_be_shared_by_a_later_split(unit: BenchUnit) -> None:
    try_sharing(unit, SPLIT, now=NOON)
    cancel_sharing(unit, CANCEL, now=NOON)
    later = replace(SPLIT, branch=replace(BRANCH, gid="g_2.split"), group_id="g_2", orders=(ANN,))

    try_sharing(unit, later, now=NOON)
    confirm_sharing(unit, replace(CONFIRM, branch=later.branch), now=NOON)

    assert unit.load(Sharing, "o_ann").group_id == "g_2"
    assert {each.gid for each in transfers(unit, "o_ann")} == {"g_2.split"}
    assert balances(unit)["merchant_payable:noodles"] == -1520


@pytest.mark.parametrize("ending", [None, CONFIRM])
def test_no_second_split_shares_the_same_money(unit: BenchUnit, ending: Any) -> None:
    try_sharing(unit, SPLIT, now=NOON)
    if ending is not None:
        confirm_sharing(unit, ending, now=NOON)
    other = replace(SPLIT, branch=replace(BRANCH, gid="g_2.split"), orders=(ANN,))

    no(unit, AlreadyShared, lambda: try_sharing(unit, other, now=NOON))


def test_an_order_named_twice_in_one_split_is_refused(unit: BenchUnit) -> None:
    no(unit, AlreadyShared, lambda: try_sharing(unit, replace(SPLIT, orders=(BEN, BEN)), now=NOON))


def test_money_that_never_came_is_a_no() -> None:
    unit = paid(ANN)

    no(unit, MoneyMissing, lambda: try_sharing(unit, SPLIT, now=NOON))


def test_money_that_is_only_asked_for_is_a_no() -> None:
    unit = paid(ANN)
    asked = OpenPayment(
        payment_id="p_ben", order_id="o_ben", member_id="m_ben", amount_fen=BEN.paid_fen, provider="sandbox"
    )
    open_payment(unit, asked, now=NOON)

    no(unit, MoneyMissing, lambda: try_sharing(unit, SPLIT, now=NOON))


def test_money_in_suspense_is_a_no() -> None:
    unit = paid(ANN)
    asked = OpenPayment(
        payment_id="p_ben", order_id="o_ben", member_id="m_ben", amount_fen=BEN.paid_fen, provider="sandbox"
    )
    open_payment(unit, asked, now=NOON)
    record_capture(unit, capture(BEN, amount_fen=BEN.paid_fen + 1), now=NOON)

    no(unit, MoneyMissing, lambda: try_sharing(unit, SPLIT, now=NOON))


def test_money_in_suspense_is_a_no_even_for_the_amount_that_came() -> None:
    unit = paid(ANN)
    asked = OpenPayment(
        payment_id="p_ben", order_id="o_ben", member_id="m_ben", amount_fen=BEN.paid_fen + 1, provider="sandbox"
    )
    open_payment(unit, asked, now=NOON)
    record_capture(unit, capture(BEN), now=NOON)

    no(unit, MoneyMissing, lambda: try_sharing(unit, SPLIT, now=NOON))


def test_a_final_price_above_what_was_paid_is_a_no(unit: BenchUnit) -> None:
    dear = order("o_ann", part(1, of="o_ann", merchant="noodles", items=2001), paid=2000)
    unpaid = order("o_new", part(1, of="o_new", merchant="noodles", items=1), paid=0)

    no(unit, MoneyShort, lambda: try_sharing(unit, replace(SPLIT, orders=(dear,)), now=NOON))
    no(unit, MoneyMissing, lambda: try_sharing(bench(), replace(SPLIT, orders=(unpaid,)), now=NOON))


def test_money_of_another_order_is_a_no(unit: BenchUnit) -> None:
    stolen = replace(ANN, order_id="o_eve", payment_id="p_ben", paid_fen=BEN.paid_fen)

    no(unit, MoneyMissing, lambda: try_sharing(unit, replace(SPLIT, orders=(stolen,)), now=NOON))


def test_another_amount_than_was_paid_is_a_no(unit: BenchUnit) -> None:
    wrong = replace(ANN, paid_fen=ANN.paid_fen + 1)

    no(unit, MoneyMissing, lambda: try_sharing(unit, replace(SPLIT, orders=(wrong,)), now=NOON))


@pytest.mark.parametrize(("back", "is_short"), [(200, False), (201, True)])
def test_money_refunded_below_the_final_price_is_a_no(unit: BenchUnit, back: int, is_short: bool) -> None:
    unit.put(unit.load(Payment, "p_ann").promise_back(Money(back)))

    if is_short:
        no(unit, MoneyShort, lambda: try_sharing(unit, SPLIT, now=NOON))
    else:
        assert try_sharing(unit, SPLIT, now=NOON).state is FenceState.TRIED


@pytest.mark.parametrize(
    "wrong",
    [
        replace(ANN, payable_fen=1801),
        replace(ANN, parts=(replace(ANN.parts[0], payable_fen=1801),), payable_fen=1801),
        order("o_ann", part(1, of="o_ann", merchant="m", items=1500, discount=-100), paid=2000),
        order("o_ann", part(1, of="o_ann", merchant="m", items=100, discount=101, delivery=1000), paid=2000),
    ],
    ids=["sum", "part", "negative discount", "negative goods"],
)
def test_sub_orders_that_do_not_add_up_are_a_no(unit: BenchUnit, wrong: Any) -> None:
    no(unit, PartsMisfit, lambda: try_sharing(unit, replace(SPLIT, orders=(wrong,)), now=NOON))


def test_an_order_that_costs_nothing_needs_no_money() -> None:
    free = order("o_free", part(1, of="o_free", merchant="noodles", items=500, discount=500))
    unit = bench()

    try_sharing(unit, replace(SPLIT, orders=(free,)), now=NOON)
    confirm_sharing(unit, CONFIRM, now=NOON)

    assert transfers(unit, "o_free") == []
    assert balances(unit) == {}


def test_an_order_keeps_the_terms_it_was_shared_by(unit: BenchUnit) -> None:
    put_terms(unit, platform_rate=1000, leader_rate=0, provider_rate=0, rider_rate=10_000)

    try_sharing(unit, replace(SPLIT, orders=(ANN,)), now=NOON)

    assert unit.load(Sharing, "o_ann").terms_version == 1
    assert [(party, fen) for _, party, _, fen in amounts(unit, "o_ann")] == [
        ("merchant", 1530),
        ("platform", 170),
        ("rider", 100),
    ]


def test_an_ambassador_gets_his_commission_when_there_is_one(unit: BenchUnit) -> None:
    try_sharing(unit, replace(SPLIT, orders=(ANN,), ambassador_id="m_amy"), now=NOON)

    assert [(party, account, fen) for _, party, account, fen in amounts(unit, "o_ann")] == [
        ("merchant", "merchant_payable:noodles", 1503),
        ("platform", "platform_income", 145),
        ("rider", "rider_payable:pool", 90),
        ("leader", f"campus_agent_payable:{LEADER}", 34),
        ("ambassador", "campus_agent_payable:m_amy", 17),
        ("provider", "provider_fee", 11),
    ]


def test_what_persons_get_through_the_provider_is_capped_and_the_rest_is_owed_all_the_same(unit: BenchUnit) -> None:
    put_terms(unit, leader_rate=4000, persons_max=3000)

    try_sharing(unit, replace(SPLIT, orders=(ANN,)), now=NOON)

    shared = {each.party.value: (each.amount.fen, each.outward.fen) for each in transfers(unit, "o_ann")}
    assert shared["rider"] == (90, 63)
    assert shared["leader"] == (680, 477)
    assert shared["rider"][1] + shared["leader"][1] == 1800 * 3000 // 10_000
    assert shared["merchant"] == (874, 874)
    assert shared["platform"] == (145, 0)
    assert shared["provider"] == (11, 0)


def test_what_all_others_get_through_the_provider_is_capped_too(unit: BenchUnit) -> None:
    put_terms(unit, outward_max=3000)

    try_sharing(unit, replace(SPLIT, orders=(ANN,)), now=NOON)

    assert sum(each.outward.fen for each in transfers(unit, "o_ann")) == 540
    assert sum(each.amount.fen for each in transfers(unit, "o_ann")) == 1800


def test_the_platform_pays_a_part_of_the_discount_within_its_budget(unit: BenchUnit) -> None:
    put_terms(unit, subsidy_rate=5000, subsidy_budget=Money(400))

    try_sharing(unit, SPLIT, now=NOON)
    confirm_sharing(unit, CONFIRM, now=NOON)

    subsidies = {
        each.sub_order_id: each for each in (*transfers(unit, "o_ann"), *transfers(unit, "o_ben")) if each.is_subsidy
    }
    assert {sub: (each.account, each.amount.fen, each.outward.fen) for sub, each in subsidies.items()} == {
        "o_ann.1": ("merchant_payable:noodles", 150, 0),
        "o_ben.1": ("merchant_payable:noodles", 200, 0),
        "o_ben.2": ("merchant_payable:tea", 50, 0),
    }
    assert balances(unit)["subsidy_expense"] == 400
    assert balances(unit)["merchant_payable:noodles"] == -(3487 + 350)
    assert unit.load(SubsidyBudget, BUDGET_ID) == SubsidyBudget(id=BUDGET_ID, most=Money(400), used=Money(400))


def test_a_budget_that_does_not_cover_the_split_is_a_no(unit: BenchUnit) -> None:
    put_terms(unit, subsidy_rate=5000, subsidy_budget=Money(399))

    no(unit, BudgetUsedUp, lambda: try_sharing(unit, SPLIT, now=NOON))


def test_a_cancelled_split_gives_its_part_of_the_budget_back(unit: BenchUnit) -> None:
    put_terms(unit, subsidy_rate=5000, subsidy_budget=Money(400))
    try_sharing(unit, SPLIT, now=NOON)

    cancel_sharing(unit, CANCEL, now=NOON)

    assert unit.load(SubsidyBudget, BUDGET_ID).used == ZERO

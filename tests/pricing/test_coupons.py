"""B4: a coupon is a member's own, used once, and given back when its order comes to nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.bench_unit import BenchUnit
from tests.pricing.shop import NOON, Campus, coupon
from tuanzi.base.money import Money
from tuanzi.base.problem import Unknown
from tuanzi.pricing import (
    Coupon,
    CouponExpired,
    CouponIdTaken,
    CouponNotHeld,
    CouponState,
    CouponTaken,
    GrantCoupon,
    give_back_coupon,
    hold_coupon,
    use_coupon,
)

GRANT = GrantCoupon(coupon_id="c1", member_id="p1", off_fen=500, threshold_fen=0, expires_at=NOON + timedelta(days=1))


@pytest.fixture
def unit() -> BenchUnit:
    """A unit in which p1 has a free coupon."""
    unit = BenchUnit({Coupon: lambda each: each.id})
    unit.add(coupon(500))
    return unit


def hold(unit: BenchUnit, *, member: str = "p1", order: str = "o1", after: timedelta = timedelta(0)) -> Coupon:
    return hold_coupon(unit, coupon_id="c1", member_id=member, order_id=order, now=NOON + after)


def test_a_coupon_is_held_for_one_order(unit: BenchUnit) -> None:
    held = hold(unit)

    assert held == replace(coupon(500), state=CouponState.HELD, order_id="o1")
    assert unit.load(Coupon, "c1") == held
    assert hold(unit) == held
    with pytest.raises(CouponTaken):
        hold(unit, order="o2")


def test_somebody_elses_coupon_is_unknown(unit: BenchUnit) -> None:
    for act in (
        lambda: hold(unit, member="p2"),
        lambda: hold_coupon(unit, coupon_id="c9", member_id="p1", order_id="o1", now=NOON),
        lambda: use_coupon(unit, coupon_id="c9", order_id="o1"),
        lambda: give_back_coupon(unit, coupon_id="c9", order_id="o1"),
    ):
        with pytest.raises(Unknown):
            act()

    assert unit.load(Coupon, "c1") == coupon(500)


def test_a_coupon_is_held_until_it_expires_and_stays_held_after(unit: BenchUnit) -> None:
    with pytest.raises(CouponExpired):
        hold(unit, after=timedelta(days=1))
    held = hold(unit, after=timedelta(days=1) - timedelta(microseconds=1))

    assert hold(unit, after=timedelta(days=2)) == held


def test_a_held_coupon_is_used_once(unit: BenchUnit) -> None:
    with pytest.raises(CouponNotHeld):
        use_coupon(unit, coupon_id="c1", order_id="o1")
    hold(unit)

    used = use_coupon(unit, coupon_id="c1", order_id="o1")

    assert used.state is CouponState.USED
    assert use_coupon(unit, coupon_id="c1", order_id="o1") == used
    assert hold(unit) == used
    with pytest.raises(CouponNotHeld):
        use_coupon(unit, coupon_id="c1", order_id="o2")
    with pytest.raises(CouponTaken):
        hold(unit, order="o2")


@pytest.mark.parametrize("used", [False, True])
def test_a_coupon_is_given_back_once_by_the_order_that_has_it(unit: BenchUnit, used: bool) -> None:
    hold(unit)
    if used:
        use_coupon(unit, coupon_id="c1", order_id="o1")

    assert give_back_coupon(unit, coupon_id="c1", order_id="o2") is False
    assert give_back_coupon(unit, coupon_id="c1", order_id="o1") is True
    assert give_back_coupon(unit, coupon_id="c1", order_id="o1") is False

    assert unit.load(Coupon, "c1") == coupon(500)
    assert hold(unit, order="o3").order_id == "o3"


def test_a_grant_repeated_gives_one_coupon_and_keeps_what_became_of_it() -> None:
    campus = Campus()

    assert campus.carry_out(GRANT).answer.is_new is True
    assert campus.carry_out(GRANT).answer.is_new is False
    with pytest.raises(CouponIdTaken):
        campus.carry_out(replace(GRANT, off_fen=501))
    with pytest.raises(CouponIdTaken):
        campus.carry_out(replace(GRANT, member_id="p2"))

    campus.forget()
    assert campus.carry_out(GRANT).answer.is_new is False
    rows = campus.database.rows("SELECT id, member_id, off_fen, state, order_id FROM coupons ORDER BY id")
    assert rows == [("c1", "p1", 500, "free", None)]


def test_a_coupon_that_was_used_is_not_granted_again(unit: BenchUnit) -> None:
    from tuanzi.pricing.service import grant_coupon

    hold(unit)
    held = unit.load(Coupon, "c1")

    assert grant_coupon(unit, GRANT, now=NOON).is_new is False
    assert unit.load(Coupon, "c1") == held


def test_a_coupon_that_cannot_be_does_not_exist() -> None:
    for wrong in (
        {"off": Money(-1)},
        {"threshold": Money(-1)},
        {"state": CouponState.HELD},
        {"order_id": "o1"},
    ):
        with pytest.raises(ValueError, match="no coupon"):
            replace(coupon(500), **wrong)

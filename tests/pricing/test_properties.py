"""B5: what always holds of divided amounts and of prices, tried on 111,000 cases.

Hypothesis draws a seed, and each seed stands for a list of cases made with `Random`, for drawing every number on its
own would take minutes; a failure names its case. Derandomized: the same cases every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.pricing.shop import NOON, book, coupon, line, make_sure_it_adds_up, rule
from tuanzi.base.money import Money, total
from tuanzi.pricing import (
    BASE_RULES,
    Cart,
    NotAllocatable,
    Quote,
    RuleKind,
    Tier,
    allocate,
    allocate_matrix,
    allocate_refund,
    quote,
    settle,
    share_matrix,
)

SEEDS = 100  # examples of each property; the seed 0 and the largest are among them
EXACT = settings(
    max_examples=SEEDS, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
seeds = st.integers(min_value=0, max_value=2**32).map(Random)

RULES = book(
    rule(RuleKind.SET_MEAL, "1500", "is_dorm_head", id="set", set_meal_id="s1", dish_ids=("d1", "d2")),
    rule(RuleKind.GROUP_TIER, "due_fen * 0.03", "tier_size >= 5", id="tier5"),
    rule(RuleKind.FULL_REDUCTION, "700", "items_fen >= 5000", id="f50", exclusive="full", priority=1),
    rule(RuleKind.FULL_REDUCTION, "300", "items_fen >= 3000", id="f30", exclusive="full", priority=2),
    rule(RuleKind.FULL_REDUCTION, "due_fen / 3", "items_count >= 3", id="m2", merchant_id="m2"),
    rule(RuleKind.COUPON, "coupon_fen * 0.5", "is_first_order", id="swell"),
    rule(RuleKind.ADDON, "100", "due_fen >= 1500", id="tea", dish_ids=("d3",)),
    rule(RuleKind.DELIVERY_FEE, "delivery_fee_fen / 3", "members >= 4", id="fee"),
    rule(RuleKind.GROUP_REDUCTION, "due_fen / 7", "members >= 3", id="group"),
    rule(RuleKind.FULL_REDUCTION, "3000 - items_fen", "building_id == 'b1'", id="sick"),
)


def cases(chance: Random, count: int) -> Iterator[Random]:
    """So many sources of chance, each for one case."""
    return (Random(chance.getrandbits(64)) for _ in range(count))


def amount(chance: Random) -> int:
    """Nothing, a few fen, or up to a thousand yuan."""
    return chance.choice((0, 1, chance.randint(0, 9), chance.randint(0, 5000), chance.randint(0, 100_000)))


def a_cart(chance: Random, *, tier: Tier, fee: int, shares: int) -> Cart:
    lines = []
    for _ in range(chance.randint(1, 5)):
        kind = chance.random()
        lines.append(
            line(
                chance.choice((0, 1, 333, chance.randint(1, 3000))),
                chance.randint(1, 3),
                dish=f"d{chance.randint(1, 3)}",
                shop=f"m{chance.randint(1, 3)}",
                set_meal_id="s1" if kind < 0.2 else None,
                addon=kind > 0.8,
            )
        )
    has = chance.random() < 0.5
    shop = chance.choice((None, "m1", "m2"))
    return Cart(
        lines=tuple(lines),
        tier=tier,
        delivery_fee=Money(fee),
        fee_shares=shares,
        priced_at=NOON + timedelta(hours=chance.randint(0, 9)),
        is_first_order=chance.random() < 0.5,
        is_dorm_head=chance.random() < 0.5,
        building_id=chance.choice(("b1", "b2")),
        coupon=coupon(chance.randint(1, 2000), threshold=chance.randint(0, 3000), shop=shop) if has else None,
    )


def a_tier(chance: Random, size: int) -> Tier:
    return Tier(size=size, off_percent=chance.choice((0, 5, 33, 100)), off=Money(chance.choice((0, 1, 200))))


@EXACT
@given(seeds)
def test_parts_add_up_under_their_caps(chance: Random) -> None:
    for case in cases(chance, 300):
        n = case.randint(1, 8)
        weights = [amount(case) for _ in range(n)]
        caps = [Money(amount(case)) for _ in range(n)]
        whole = Money(case.randint(0, total(caps).fen))

        parts = allocate(whole, weights, caps=caps)

        told = (whole, weights, caps, parts)
        assert total(parts) == whole, told
        assert all(0 <= part.fen <= cap.fen for part, cap in zip(parts, caps, strict=True)), told
        room = any(weight and part < cap for weight, part, cap in zip(weights, parts, caps, strict=True))
        assert not room or all(part.fen == 0 for weight, part in zip(weights, parts, strict=True) if not weight), told
        assert parts == allocate(whole, weights, caps=caps), told


@EXACT
@given(seeds)
def test_parts_are_within_a_fen_of_their_share(chance: Random) -> None:
    for case in cases(chance, 150):
        weights = [case.randint(0, 5000) for _ in range(case.randint(1, 8))]
        whole = sum(weights)
        if not whole:
            continue
        fen = case.randint(0, whole)

        parts = allocate(Money(fen), weights, caps=[Money(weight) for weight in weights])

        assert all(abs(part.fen * whole - fen * weight) < whole for part, weight in zip(parts, weights, strict=True)), (
            fen,
            weights,
            parts,
        )


@EXACT
@given(seeds)
def test_refunds_never_pay_a_line_more_than_it_cost_and_end_at_all_of_it(chance: Random) -> None:
    for case in cases(chance, 200):
        paid = [Money(amount(case)) for _ in range(case.randint(1, 6))]
        remaining = paid
        for step in range(4):
            left = total(remaining)
            back = allocate_refund(left if step == 3 else Money(case.randint(0, left.fen)), remaining)
            assert all(0 <= part.fen <= rest.fen for part, rest in zip(back, remaining, strict=True)), (paid, back)
            remaining = [rest - part for rest, part in zip(remaining, back, strict=True)]

        assert total(remaining).fen == 0, paid


@EXACT
@given(seeds)
def test_a_matrix_that_exists_is_found(chance: Random) -> None:
    for case in cases(chance, 150):
        rows, columns = case.randint(1, 5), case.randint(1, 4)
        hidden = [[amount(case) if case.random() < 0.7 else 0 for _ in range(columns)] for _ in range(rows)]
        caps = [[Money(cell + case.choice((0, 0, 1, 100))) for cell in row] for row in hidden]
        weights = [[case.randint(0, 3) * case.randint(0, 1000) for _ in row] for row in hidden]
        row_sums = [Money(sum(row)) for row in hidden]
        column_sums = [Money(sum(column)) for column in zip(*hidden, strict=True)]

        cells = allocate_matrix(weights, row_sums=row_sums, column_sums=column_sums, caps=caps)

        assert [total(row) for row in cells] == row_sums, (weights, hidden, caps)
        assert [total(column) for column in zip(*cells, strict=True)] == column_sums, (weights, hidden, caps)
        for pair in zip(cells, caps, strict=True):
            assert all(0 <= cell.fen <= cap.fen for cell, cap in zip(*pair, strict=True)), (weights, hidden, caps)


@EXACT
@given(seeds)
def test_a_matrix_is_exact_or_refused(chance: Random) -> None:
    for case in cases(chance, 30):
        rows, columns = case.randint(1, 3), case.randint(1, 3)
        caps = [[Money(case.randint(0, 3)) for _ in range(columns)] for _ in range(rows)]
        row_sums = [Money(case.randint(0, 5)) for _ in range(rows)]
        column_sums = total(row_sums) and allocate(total(row_sums), [1] * columns, caps=[Money(99)] * columns)
        column_sums = column_sums or [Money(0)] * columns
        weights = [[cap.fen for cap in row] for row in caps]

        try:
            cells = allocate_matrix(weights, row_sums=row_sums, column_sums=column_sums, caps=caps)
        except NotAllocatable:
            # Gale: some rows want more than the rest of the columns and their own cells can take.
            assert any(
                sum(row_sums[i].fen for i in range(rows) if mask >> i & 1)
                > sum(
                    min(column_sums[j].fen, sum(caps[i][j].fen for i in range(rows) if mask >> i & 1))
                    for j in range(columns)
                )
                for mask in range(1 << rows)
            ), (row_sums, column_sums, caps)
        else:
            assert [total(row) for row in cells] == row_sums
            assert [total(column) for column in zip(*cells, strict=True)] == column_sums


@EXACT
@given(seeds)
def test_an_amount_over_a_matrix_is_fair_in_every_cell_row_and_column(chance: Random) -> None:
    for case in cases(chance, 80):
        columns = case.randint(1, 4)
        weights = [
            [amount(case) if case.random() < 0.7 else 0 for _ in range(columns)] for _ in range(case.randint(1, 6))
        ]
        whole = sum(map(sum, weights))
        fen = case.randint(0, whole)

        cells = [[cell.fen for cell in row] for row in share_matrix(Money(fen), weights)]

        assert sum(map(sum, cells)) == fen, (fen, weights)
        pairs = [pair for both in zip(cells, weights, strict=True) for pair in zip(*both, strict=True)]
        pairs += [(sum(row), sum(weight)) for row, weight in zip(cells, weights, strict=True)]
        pairs += [(sum(c), sum(w)) for c, w in zip(zip(*cells, strict=True), zip(*weights, strict=True), strict=True)]
        for part, weight in pairs:
            assert part <= weight, (fen, weights)
            assert not whole or abs(part * whole - fen * weight) < whole, (fen, weights)


@EXACT
@given(seeds)
def test_a_quote_adds_up(chance: Random) -> None:
    for case in cases(chance, 150):
        wanted = a_cart(case, tier=a_tier(case, case.randint(1, 10)), fee=amount(case), shares=case.randint(1, 10))

        price = quote(RULES, wanted)

        make_sure_it_adds_up(price, wanted)
        assert price == quote(RULES, wanted), wanted
        scope = wanted.coupon.merchant_id if wanted.coupon else None
        for each in price.lines:
            ids = {discount.rule_id for discount in each.discounts}
            assert scope is None or each.merchant_id == scope or not ids & {"coupon", "swell"}, wanted
        assert price.skipped_rules in ((), ("sick",)), wanted


@EXACT
@given(seeds)
def test_a_settled_group_adds_up_and_nobody_pays_more(chance: Random) -> None:
    for case in cases(chance, 50):
        size, fee = case.randint(1, 5), amount(case)
        small, large = a_tier(case, size), a_tier(case, size + case.randint(0, 5))
        carts = [a_cart(case, tier=small, fee=fee, shares=size) for _ in range(size + case.randint(0, 4))]
        paid = [quote(RULES, each) for each in carts]
        final_carts = [replace(each, tier=large) for each in carts]

        final = settle((RULES,), final_carts, paid)

        assert sum(each.fee_share.fen for each in final) == fee, carts
        for now, was, of in zip(final, paid, final_carts, strict=True):
            make_sure_it_adds_up(now, of)
            assert now.payable <= was.payable, (now, was)
            assert now.fee_share <= was.fee_share, (now, was)
        make_sure_the_group_reduction_is_fair(final)


@EXACT
@given(seeds)
def test_a_group_of_several_versions_adds_up_and_nobody_pays_more(chance: Random) -> None:
    books = (BASE_RULES, RULES, replace(RULES, id="v9", version=9, rules=RULES.rules[::2]))
    for case in cases(chance, 50):
        size, fee = case.randint(2, 5), amount(case)
        small, large = a_tier(case, size), a_tier(case, size + case.randint(0, 5))
        carts = [a_cart(case, tier=small, fee=fee, shares=size) for _ in range(size + case.randint(0, 4))]
        paid = [quote(case.choice(books), each) for each in carts]
        final_carts = [replace(each, tier=large) for each in carts]

        final = settle(books, final_carts, paid)

        assert sum(each.fee_share.fen for each in final) == fee, carts
        for now, was, of in zip(final, paid, final_carts, strict=True):
            make_sure_it_adds_up(now, of)
            assert now.rule_version == was.rule_version, (now, was)
            assert now.payable <= was.payable, (now, was)
        for version in books:
            make_sure_the_group_reduction_is_fair([now for now in final if now.rule_version == version.version])


def make_sure_the_group_reduction_is_fair(final: list[Quote]) -> None:
    """The parts of members, and those of merchants, are the same amount."""
    by_member = sum(each.amount.fen for now in final for each in now.amounts if each.rule_id == "group")
    by_merchant = sum(
        discount.amount.fen
        for now in final
        for each in now.lines
        for discount in each.discounts
        if discount.rule_id == "group"
    )
    assert by_member == by_merchant

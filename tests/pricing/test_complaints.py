"""B5: what users of other systems complain about does not happen here (reference/peers.md sections 1b, 2 and 5)."""

from __future__ import annotations

from msgspec.structs import replace

from tests.pricing.shop import amounts, book, cart, coupon, line, make_sure_it_adds_up, payables, rule
from tuanzi.base.money import ZERO, Money, total
from tuanzi.pricing import BASE_RULES, RuleKind, Tier, allocate, allocate_refund, quote, settle


def fen(*given: int) -> list[Money]:
    return [Money(each) for each in given]


def test_a_coupon_of_10_over_three_lines_of_10_is_10_and_not_9_99() -> None:
    """mall issue 356: three quotients of 3.33."""
    price = quote(BASE_RULES, cart(line(1000), line(1000), line(1000), coupon=coupon(1000)))

    assert (amounts(price), payables(price)) == ({"coupon": 1000}, [666, 667, 667])


def test_a_discount_is_divided_by_price_times_quantity() -> None:
    """mall issue 567: the quantity was forgotten."""
    price = quote(BASE_RULES, cart(line(1000, 3), line(1000), coupon=coupon(400)))

    assert payables(price) == [2700, 900]


def test_a_full_reduction_of_1_yuan_is_not_98_fen() -> None:
    """mall issue 492."""
    rules = book(rule(RuleKind.FULL_REDUCTION, "100", "items_fen >= 5000"))

    price = quote(rules, cart(*[line(1009, dish=f"d{i}") for i in range(7)]))

    assert (amounts(price), price.payable.fen) == ({"r1": 100}, 7 * 1009 - 100)


def test_a_coupon_larger_than_the_goods_makes_them_free_and_not_negative() -> None:
    """mall issue 1002; and litemall issue 486: an order of 0 yuan is a price like any other."""
    price = quote(BASE_RULES, cart(line(300), line(200), coupon=coupon(1000)))

    assert (payables(price), price.payable, amounts(price)) == ([0, 0], ZERO, {"coupon": 500})


def test_a_changed_delivery_fee_reaches_what_is_paid() -> None:
    """mall issue 1004."""
    wanted = cart(line(1000), fee=300)

    assert quote(BASE_RULES, wanted).payable.fen == 1300
    assert quote(BASE_RULES, replace(wanted, delivery_fee=Money(450))).payable.fen == 1450


def test_refunding_a_line_leaves_the_discounts_of_the_others() -> None:
    """vendure issues 4811 and 2393: the discount moved to the other lines, or the refund forgot it."""
    price = quote(BASE_RULES, cart(line(1000), line(2000), coupon=coupon(300)))
    paid = [each.payable for each in price.lines]
    assert paid == fen(900, 1800)

    refunded = allocate_refund(paid[0], [paid[0], ZERO])

    assert refunded == fen(900, 0)
    assert total(paid) - total(refunded) == Money(1800)


def test_prices_do_not_drift_with_the_quantity() -> None:
    """vendure issues 3091 and 2995: rounding each portion and multiplying; 7 x 3.33 less 10 % is 20.98."""
    price = quote(BASE_RULES, cart(line(333, 7), tier=Tier(size=3, off_percent=10)))

    assert price.payable.fen == 2331 - 233


def test_parts_of_an_order_discount_add_up_to_it() -> None:
    """saleor pull request 17024: 0.01 went missing on the way to the lines."""
    wanted = cart(line(999), line(501), line(1), coupon=coupon(100))

    price = quote(BASE_RULES, wanted)

    make_sure_it_adds_up(price, wanted)
    assert sum(each.discounts[0].amount.fen for each in price.lines if each.discounts) == 100


def test_a_percentage_is_rounded_down_always() -> None:
    """saleor issue 12040: the rounding mode is ours to say; a discount is rounded down."""
    rules = book(rule(RuleKind.FULL_REDUCTION, "items_fen * 0.1"))

    assert [amounts(quote(rules, cart(line(price)))).get("r1", 0) for price in (5, 15, 19, 20, 29)] == [0, 1, 1, 2, 2]


def test_what_is_shown_is_what_is_charged() -> None:
    """medusa issues 12789 and 14817: 98.9009 was kept and 98.90 charged."""
    price = quote(BASE_RULES, cart(line(9999), tier=Tier(size=3, off_percent=1)))

    assert price.payable.fen == 9900
    assert type(price.payable.fen) is int


def test_who_gets_the_odd_fen_is_settled() -> None:
    """dinero.js issue 144, moneyphp pull request 492: whoever lost most by rounding, and never a weight of zero."""
    assert allocate(Money(100), [0, 1, 1, 1], caps=fen(100, 100, 100, 100)) == fen(0, 34, 33, 33)
    assert allocate(Money(1), [1, 2], caps=fen(1, 1)) == fen(0, 1)


def test_households_do_not_pay_10_02_for_a_transport_of_10_00() -> None:
    """foodsoft (and its pull request 630): every share was rounded up and the balance kept silently."""
    carts = [cart(line(100), fee=1000, shares=3) for _ in range(3)]
    paid = [quote(BASE_RULES, each) for each in carts]
    assert [each.delivery_fee.fen for each in paid] == [334, 334, 334]

    final = settle((BASE_RULES,), carts, paid)

    assert [each.delivery_fee.fen for each in final] == [334, 333, 333]


def test_the_last_line_does_not_take_the_rest() -> None:
    """ruoyi-vue-pro: 9 lines of 1.00 and one of 0.01 less 9.00 left the last line at -0.08."""
    price = quote(BASE_RULES, cart(*[line(100)] * 9, line(1), coupon=coupon(900)))

    assert payables(price) == [0] * 8 + [1, 0]


def test_a_tiny_last_line_is_not_pushed_below_zero() -> None:
    """CRMEB: 9 x 33.33 and 0.05 less 100.00 left the last line at -0.05."""
    price = quote(BASE_RULES, cart(*[line(3333)] * 9, line(5), coupon=coupon(10000)))

    assert payables(price) == [2222] * 9 + [4]


def test_refunding_portion_by_portion_gives_back_all_that_was_paid() -> None:
    """CRMEB: 3 portions for 20.00 came back as 6.66 each, 19.98."""
    paid = quote(BASE_RULES, cart(line(1000, 3), coupon=coupon(1000))).payable
    portions = allocate(paid, [1, 1, 1], caps=[paid] * 3)

    assert total(portions) == paid == Money(2000)


def test_many_tiny_lines_take_a_tiny_discount() -> None:
    """saleor: 4 lines of 0.01 less 0.02 overloaded the last line, and the clamp lost a fen."""
    assert payables(quote(BASE_RULES, cart(*[line(1)] * 4, coupon=coupon(2)))) == [0, 0, 1, 1]


def test_a_line_of_nothing_does_not_lose_what_came_before_it() -> None:
    """P16: a running total was reset by a line without the field."""
    price = quote(BASE_RULES, cart(line(1000), line(0), line(500), fee=300, coupon=coupon(150)))

    assert (payables(price), price.payable.fen) == ([900, 0, 450], 1650)


def test_the_odd_fen_is_not_lost_on_a_line_that_takes_no_part() -> None:
    """P17: the rest went to the last index, and vanished where that line was not selected."""
    rules = book(rule(RuleKind.FULL_REDUCTION, "100", merchant_id="m1"))

    price = quote(rules, cart(line(1000), line(1000), line(1000), line(9000, shop="m2")))

    assert (amounts(price), payables(price)) == ({"r1": 100}, [966, 967, 967, 9000])


def test_a_commission_is_divided_and_not_rounded_down_line_by_line() -> None:
    """P18: 3 lines of 3.39 at 10 % were 0.33 each, 0.99; of 10.17 it is 1.01, and the parts say so."""
    lines = fen(339, 339, 339)
    assert sum(each.fen * 10 // 100 for each in lines) == 99

    commission = Money(total(lines).fen * 10 // 100)
    parts = allocate(commission, [each.fen for each in lines], caps=lines)

    assert commission == Money(101)
    assert parts == fen(34, 34, 33)


def test_an_edited_rule_does_not_reach_those_who_keep_the_version_before() -> None:
    """P22: the group was completed by today's rule and joined by yesterday's."""
    before = book(rule(RuleKind.FULL_REDUCTION, "500"), version=1)
    after = book(rule(RuleKind.FULL_REDUCTION, "100"), version=2)
    wanted = cart(line(3000))
    paid = quote(before, wanted)

    assert quote(after, wanted).payable.fen == 2900
    assert settle((before,), [wanted], [paid]) == [paid]
    assert paid.rule_version == 1


def test_a_coupon_of_one_merchant_does_not_leak_to_anothers_suborder() -> None:
    """vendure issue 4117."""
    wanted = cart(line(1000), line(2000, shop="m2"), coupon=coupon(1500, threshold=1000, shop="m1"))
    rules = book(rule(RuleKind.COUPON, "5000", id="more"), rule(RuleKind.COUPON, "7", id="other", merchant_id="m2"))

    assert payables(quote(BASE_RULES, wanted)) == [0, 2000]
    assert payables(quote(rules, wanted)) == [0, 2000]
    small = replace(wanted, coupon=coupon(100, shop="m1"))
    assert amounts(quote(book(replace(rules.rules[1], exclusive=None)), small)) == {"coupon": 100}
    assert payables(quote(BASE_RULES, replace(wanted, coupon=coupon(500, threshold=1001, shop="m1")))) == [1000, 2000]
    assert payables(quote(BASE_RULES, replace(wanted, coupon=coupon(500, shop="m3")))) == [1000, 2000]

"""B5: amounts are divided to the fen, exactly, never above a cap, and the same way every time."""

from __future__ import annotations

import pytest

from tuanzi.base.money import ZERO, Money, total
from tuanzi.pricing import NotAllocatable, allocate, allocate_matrix, allocate_refund, share_matrix


def fen(*amounts: int) -> list[Money]:
    return [Money(amount) for amount in amounts]


def matrix(*rows: list[int]) -> list[list[Money]]:
    return [fen(*row) for row in rows]


def test_the_odd_fen_goes_to_whoever_lost_most_by_rounding() -> None:
    assert allocate(Money(10), [36, 14], caps=fen(36, 14)) == fen(7, 3)
    assert allocate(Money(10), [14, 36], caps=fen(14, 36)) == fen(3, 7)


def test_a_tie_goes_to_the_earlier_part() -> None:
    assert allocate(Money(100), [1, 1, 1], caps=fen(100, 100, 100)) == fen(34, 33, 33)
    assert allocate(Money(2), [1, 1, 1], caps=fen(9, 9, 9)) == fen(1, 1, 0)


def test_what_a_cap_keeps_out_is_divided_among_the_others() -> None:
    assert allocate(Money(100), [1, 1, 2], caps=fen(10, 100, 100)) == fen(10, 30, 60)
    assert allocate(Money(100), [8, 1, 1], caps=fen(50, 26, 100)) == fen(50, 25, 25)
    assert allocate(Money(100), [8, 1, 1], caps=fen(50, 20, 100)) == fen(50, 20, 30)


def test_a_weight_of_zero_gets_nothing_while_others_have_room() -> None:
    assert allocate(Money(10), [0, 1], caps=fen(10, 10)) == fen(0, 10)


def test_a_weight_of_zero_takes_what_no_other_cap_lets_in_by_the_caps() -> None:
    assert allocate(Money(13), [0, 1, 0], caps=fen(20, 10, 10)) == fen(2, 10, 1)
    assert allocate(Money(5), [0, 0], caps=fen(3, 3)) == fen(3, 2)


def test_nothing_is_divided_into_nothings() -> None:
    assert allocate(ZERO, [1, 2], caps=fen(0, 5)) == fen(0, 0)
    assert allocate(ZERO, [], caps=[]) == []


@pytest.mark.parametrize(
    ("amount", "weights", "caps"),
    [(11, [1, 1], [5, 5]), (-1, [1], [5]), (1, [-1, 2], [5, 5]), (1, [1], [-5]), (1, [1, 1], [5]), (1, [], [])],
)
def test_what_cannot_be_divided_is_refused(amount: int, weights: list[int], caps: list[int]) -> None:
    with pytest.raises(NotAllocatable):
        allocate(Money(amount), weights, caps=fen(*caps))


def test_a_refund_goes_over_what_remains_and_the_last_one_gives_back_the_rest() -> None:
    remaining = fen(666, 667, 667)
    first = allocate_refund(Money(1), remaining)
    left = [a - b for a, b in zip(remaining, first, strict=True)]
    second = allocate_refund(total(left), left)

    assert first == fen(0, 1, 0)
    assert second == fen(666, 666, 667)


def test_refunds_do_not_fall_into_the_alabama_trap() -> None:
    """Weights 6/6/2: 10 fen are 4,4,2 but 11 fen are 5,5,1, so a difference of totals would take a fen back."""
    caps = fen(6, 6, 2)
    assert allocate(Money(10), [6, 6, 2], caps=caps) == fen(4, 4, 2)
    assert allocate(Money(11), [6, 6, 2], caps=caps) == fen(5, 5, 1)

    assert allocate_refund(Money(1), fen(2, 2, 0)) == fen(1, 0, 0)


def test_more_than_remains_is_not_refunded() -> None:
    with pytest.raises(NotAllocatable):
        allocate_refund(Money(5), fen(2, 2, 0))


def test_a_matrix_has_the_sums_asked_for() -> None:
    cells = allocate_matrix(
        [[10, 20], [30, 40]],
        row_sums=fen(4, 7),
        column_sums=fen(5, 6),
        caps=matrix([10, 20], [30, 40]),
    )

    assert [total(row) for row in cells] == fen(4, 7)
    assert [total(column) for column in zip(*cells, strict=True)] == fen(5, 6)
    assert cells == matrix([2, 2], [3, 4])


def test_a_matrix_is_found_by_moving_what_was_placed_first() -> None:
    cells = allocate_matrix([[1, 1], [1, 0]], row_sums=fen(4, 4), column_sums=fen(4, 4), caps=matrix([4, 4], [4, 0]))

    assert cells == matrix([0, 4], [4, 0])


def test_a_cell_without_weight_is_used_only_when_nothing_else_fits() -> None:
    cells = allocate_matrix([[5, 0], [0, 5]], row_sums=fen(5, 4), column_sums=fen(4, 5), caps=matrix([5, 5], [5, 5]))

    assert cells == matrix([4, 1], [0, 4])


def test_a_cell_without_weight_stays_empty_where_others_can_be_moved() -> None:
    cells = allocate_matrix([[1, 1], [1, 0]], row_sums=fen(4, 4), column_sums=fen(4, 4), caps=matrix([4, 4], [4, 4]))

    assert cells == matrix([0, 4], [4, 0])


def test_a_matrix_that_no_numbers_fill_is_refused() -> None:
    with pytest.raises(NotAllocatable):
        allocate_matrix([[0, 5], [5, 0]], row_sums=fen(5, 4), column_sums=fen(5, 4), caps=matrix([0, 5], [5, 0]))
    with pytest.raises(NotAllocatable):
        allocate_matrix([[1]], row_sums=fen(1), column_sums=fen(2), caps=matrix([5]))
    with pytest.raises(NotAllocatable):
        allocate_matrix([[1, 2]], row_sums=fen(1), column_sums=fen(1), caps=matrix([5]))


def test_an_amount_over_members_and_merchants_is_fair_to_both() -> None:
    """Rows and columns rounded each on their own would contradict each other here: 5,4 and 5,4 have no matrix."""
    assert share_matrix(Money(9), [[0, 5], [5, 0]]) == matrix([0, 5], [4, 0])
    assert share_matrix(Money(2), [[1, 0], [1, 0], [0, 1], [0, 1]]) == matrix([1, 0], [0, 0], [0, 1], [0, 0])
    assert share_matrix(ZERO, [[0, 0]]) == matrix([0, 0])


def test_more_than_all_weights_does_not_fit_a_matrix() -> None:
    with pytest.raises(NotAllocatable):
        share_matrix(Money(3), [[1, 1]])
    with pytest.raises(NotAllocatable):
        share_matrix(Money(1), [[1, 1], [1]])

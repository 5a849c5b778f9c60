"""B7: a guest's seat, told between two campuses; who is away, late, doubled or gone changes no outcome."""

from __future__ import annotations

from contextlib import suppress
from importlib import resources
from typing import Any

import pytest

from tests.groups.newcomers import DORM_HEAD_FEN, WELCOME_FEN, welcome_newcomers
from tests.guests.city import AWAY, HOME, City, check_books, check_one_outcome, say_again
from tests.heart import OPERATOR, lines, students
from tuanzi.base.branch import Suspended
from tuanzi.base.ids import CampusId, OrderId, PersonId
from tuanzi.base.problem import Problem
from tuanzi.base.who import Role
from tuanzi.events import GroupClosed, GroupFailed, GuestPaid, LateMoneySettled, SplitConfirmed
from tuanzi.groups import AlreadyMember, CancelOrder, GroupFull, GroupNotOpen, UserLimitReached
from tuanzi.guests import (
    AskAgain,
    AskSeat,
    ForgetSeat,
    GiveUpSeat,
    GuestSeatState,
    GuestsNotTaken,
    HearHome,
    HomeAway,
    LeaveSeat,
    PaySeat,
    PlaceSeat,
    RecordAnswer,
    SeatAnswer,
    SeatGone,
    TrySeat,
    Word,
    branch_of,
)
from tuanzi.machinery.post import Letter
from tuanzi.pricing import RollBackRules


def two_of_three(city: City, *, paid: int = 2, campaign: str = "trio") -> str:
    """A group with two members of the home campus, so many of them paid."""
    return city.home.group("m1", "m2", paid=paid, campaign=campaign)[0].group_id


def lost(city: City, *kinds: type) -> list[Letter]:
    """From now on letters of these kinds between the campuses are lost; they are kept here."""
    kept: list[Letter] = []

    def spoil(letter: Letter) -> Any:
        if type(letter.command) not in kinds:
            return None
        kept.append(letter)
        return "lost"

    city.between(spoil)
    return kept


def test_a_guest_is_a_newcomer_and_a_dorm_head_by_what_his_own_campus_knows() -> None:
    city = City()
    welcome_newcomers(city.away)
    groups = [city.home.open(f"m{i}").group_id for i in range(3)]

    first = city.join(groups[0], "g1")
    second = city.join(groups[1], "g1")
    head = city.join(groups[2], "g1", roles=frozenset({Role.STUDENT, Role.DORM_HEAD}))

    plain = second.payable_fen
    assert (first.payable_fen, head.payable_fen) == (plain - WELCOME_FEN, plain - DORM_HEAD_FEN)


def test_the_last_payment_closes_the_group_on_both_campuses_and_each_splits_its_own() -> None:
    city = City()
    group_id = two_of_three(city)

    seated = city.join(group_id, "g1")
    city.away.pay(seated.order_id)
    city.settle()

    assert city.home.the_group(group_id).state == city.away.the_group(group_id).state == "closed"
    assert [len(side.told(SplitConfirmed)) for side in (city.home, city.away)] == [1, 1]
    closed = [side.told(GroupClosed)[0] for side in (city.home, city.away)]
    assert [(event.size, len(event.order_ids)) for event in closed] == [(3, 2), (3, 1)]
    fees = [sub.delivery.fen for side in (city.home, city.away) for sub in subs(side)]
    assert (fees, sum(fees)) == ([301, 300, 300], 901)
    check_one_outcome(city)


def test_the_delivery_is_shared_by_all_members_even_where_a_part_alone_would_stand() -> None:
    city = City()
    opened = city.home.open("m1", campaign="ladder")
    guests = [city.join(opened.group_id, guest) for guest in ("g1", "g2", "g3")]
    city.home.pay(opened.order_id)
    for seated in guests:
        city.away.pay(seated.order_id)
    city.settle()

    city.pass_time(minutes=46)

    fees = [sub.delivery.fen for side in (city.home, city.away) for sub in subs(side)]
    assert (fees, sum(fees)) == ([226, 225, 225, 225], 901)
    check_one_outcome(city)


def subs(side: Any) -> list[Any]:
    ids = [row[0] for row in side.rows("SELECT id FROM orders ORDER BY id")]
    return [sub for id in ids for sub in side.sub_orders(id)]


def test_a_group_with_guests_only_is_split_where_they_are() -> None:
    city = City()
    opened = city.home.open("m1", campaign="steps")
    orders = [city.join(opened.group_id, guest).order_id for guest in ("g1", "g2")]
    city.home.leave(opened.group_id, "m1")
    for order_id in orders:
        city.away.pay(order_id)
    city.settle()
    city.pass_time(hours=1)

    assert city.home.the_group(opened.group_id).state == city.away.the_group(opened.group_id).state == "closed"
    assert [city.away.state(order_id) for order_id in orders] == ["split", "split"]
    assert city.home.told(SplitConfirmed) == []
    check_one_outcome(city)


@pytest.mark.parametrize("guests", [0, 1])
def test_a_seat_counts_once_whoever_takes_it(guests: int) -> None:
    city = City()
    opened = city.home.open("m1")
    city.join(opened.group_id, "g1")
    last = (lambda: city.join(opened.group_id, "g2")) if guests else (lambda: city.home.join(opened.group_id, "m2"))
    last()

    with pytest.raises(GroupFull):
        city.join(opened.group_id, "g3")
    with pytest.raises(GroupFull):
        city.home.join(opened.group_id, "m3")
    city.settle()
    assert len(city.home.the_group(opened.group_id).seats) == 3
    check_one_outcome(city)


def test_a_member_has_one_seat_and_one_limit_over_both_campuses() -> None:
    city = City()
    opened = city.home.open("m1", campaign="once")
    city.join(opened.group_id, "m9")

    with pytest.raises(AlreadyMember):
        city.join(opened.group_id, "m9")
    other = city.home.open("m2", campaign="once")
    with pytest.raises(UserLimitReached):
        city.join(other.group_id, "m9")
    city.settle()
    check_one_outcome(city)


def test_home_away_refuses_a_join_at_once_and_holds_nothing() -> None:
    city = City()
    group_id = two_of_three(city)
    city.home.is_away = True

    with pytest.raises(HomeAway):
        city.join(group_id, "g1", key="once")
    with pytest.raises(HomeAway):
        city.join(group_id, "g1", key="once")
    assert city.away.held_and_sold("beef") == (0, 0)

    city.home.is_away = False
    city.pass_time(minutes=2)
    assert [seat.state for seat in city.guest_seats()] == [GuestSeatState.GONE]
    city.join(group_id, "g1")
    check_one_outcome(city)


def test_money_paid_while_home_is_away_waits_and_becomes_the_seats() -> None:
    city = City()
    group_id = two_of_three(city)
    seated = city.join(group_id, "g1")
    city.home.is_away = True

    city.away.pay(seated.order_id)
    city.pass_time(minutes=4)
    assert city.seat(seated.order_id).state is GuestSeatState.PAYING
    assert city.away.state(seated.order_id) == "paid"

    city.home.is_away = False
    city.pass_time(minutes=1)
    assert city.away.state(seated.order_id) == "split"
    check_one_outcome(city)


def test_home_lets_a_seat_go_by_itself_when_its_campus_is_silent_and_late_money_gets_a_free_one() -> None:
    city = City()
    group_id = two_of_three(city)
    seated = city.join(group_id, "g1")
    lost(city, PaySeat)
    city.away.pay(seated.order_id)

    city.pass_time(minutes=5.5)
    assert len(city.home.the_group(group_id).seats) == 3
    city.pass_time(minutes=1)
    assert len(city.home.the_group(group_id).seats) == 2

    city.between(lambda letter: None)
    city.pass_time(minutes=3)
    assert city.home.the_group(group_id).state == "closed"
    assert city.away.state(seated.order_id) == "split"
    assert city.seat(seated.order_id).attempt == 1
    assert [event.group_id for event in city.away.told(LateMoneySettled)] == [group_id]
    check_one_outcome(city)


def test_late_money_goes_back_when_others_have_taken_the_seat_meanwhile() -> None:
    city = City()
    group_id = two_of_three(city)
    seated = city.join(group_id, "g1")
    lost(city, PaySeat)
    city.away.pay(seated.order_id)
    city.pass_time(minutes=6.5)
    city.home.join(group_id, "m3")

    city.between(lambda letter: None)
    city.pass_time(minutes=3)
    assert city.away.state(seated.order_id) == "refunded"
    assert city.away.held_and_sold("beef") == (0, 0)
    assert [event.group_id for event in city.away.told(LateMoneySettled)] == [None]
    check_one_outcome(city)


def test_money_that_comes_after_the_group_closed_without_it_goes_back() -> None:
    city = City()
    opened = city.home.group("m1", "m2", "m3", paid=3, campaign="ladder")
    group_id = opened[0].group_id
    lost(city, PaySeat)
    city.pass_time(minutes=43)
    seated = city.join(group_id, "g1")
    city.away.pay(seated.order_id)
    city.pass_time(minutes=2)
    assert city.home.the_group(group_id).state == "closed"

    city.between(lambda letter: None)
    city.pass_time(minutes=3)
    assert city.away.state(seated.order_id) == "refunded"
    assert city.home.the_group(group_id).paid_count == 3
    check_one_outcome(city)


def test_money_that_comes_after_the_group_failed_goes_back_and_forms_nothing() -> None:
    city = City()
    group_id = two_of_three(city)
    city.pass_time(minutes=43)
    seated = city.join(group_id, "g1")
    lost(city, PaySeat, HearHome)
    city.away.pay(seated.order_id)
    city.pass_time(minutes=2)
    assert city.home.the_group(group_id).state == "failed"

    lost(city, HearHome)
    city.pass_time(seconds=30)  # before home lets the seat go by itself
    assert city.away.state(seated.order_id) == "refunded"
    assert city.home.the_group(group_id).state == "failed"

    city.between(lambda letter: None)
    city.pass_time(minutes=3)
    check_one_outcome(city)


def paid_late(city: City, group_id: str) -> str:
    """A guest's order whose time to pay was over when its money came."""
    seated = city.join(group_id, "g1")
    city.pass_time(minutes=6)
    assert city.away.state(seated.order_id) == "cancelled"
    assert city.away.held_and_sold("beef") == (0, 0)
    city.away.pay(seated.order_id)
    return str(seated.order_id)


def test_money_for_an_order_that_was_not_paid_in_time_gets_a_seat_that_is_still_free() -> None:
    city = City()
    group_id = two_of_three(city)

    order_id = paid_late(city, group_id)
    city.settle()

    group = city.home.the_group(group_id)
    assert (group.state, group.paid_count) == ("closed", 3)
    city.pass_time(minutes=1)
    assert city.away.state(order_id) == "split"
    assert city.away.held_and_sold("beef") == (0, 1)
    assert [event.group_id for event in city.away.told(LateMoneySettled)] == [group_id]
    check_one_outcome(city)


def test_late_money_waits_while_home_is_away_and_is_decided_once() -> None:
    city = City()
    group_id = two_of_three(city)
    seated = city.join(group_id, "g1")
    city.pass_time(minutes=6)
    city.home.is_away = True
    city.away.pay(seated.order_id)
    city.pass_time(minutes=2)
    assert city.away.state(seated.order_id) == "paid"
    assert city.away.held_and_sold("beef") == (1, 0)
    check_books(city)

    city.home.is_away = False
    sent = lost(city)
    city.pass_time(minutes=2)
    assert sent == []
    assert city.away.state(seated.order_id) == "split"
    say_again(city, [(city.home, letter) for letter in city.away.post.sent if type(letter.command) is PaySeat])
    check_one_outcome(city)


def test_late_money_goes_back_when_there_is_nothing_left_to_eat_or_the_group_has_ended() -> None:
    city = City()
    group_id = two_of_three(city)
    seated = city.join(group_id, "g1")
    city.pass_time(minutes=60)
    assert city.home.the_group(group_id).state == "failed"

    city.away.pay(seated.order_id)
    city.pass_time(minutes=1)

    assert city.away.state(seated.order_id) == "refunded"
    assert [event.group_id for event in city.away.told(LateMoneySettled)] == [None]
    check_one_outcome(city)


def test_a_word_about_late_money_that_comes_when_the_group_is_over_changes_nothing() -> None:
    city = City()
    group_id = two_of_three(city, paid=1, campaign="ladder")
    city.away.pay(city.join(group_id, "g2").order_id)
    seated = city.join(group_id, "g1")
    city.pass_time(minutes=6)
    kept = lost(city, PaySeat)
    city.away.pay(seated.order_id)
    city.pass_time(minutes=60)
    assert city.home.the_group(group_id).state == "failed"
    assert city.away.state(seated.order_id) == "refunded"

    city.between(lambda letter: None)

    assert kept != []
    say_again(city, [(city.away, letter) for letter in kept])
    check_one_outcome(city)


def test_a_guest_whose_leaving_is_heard_only_when_the_group_is_over_leaves_nothing_behind() -> None:
    city = City()
    group_id = two_of_three(city, paid=1, campaign="ladder")
    city.away.pay(city.join(group_id, "g2").order_id)
    seated = city.join(group_id, "g1")
    city.pass_time(minutes=6)
    kept = lost(city, PaySeat, LeaveSeat)
    city.away.pay(seated.order_id)
    city.settle()
    city.away.do(CancelOrder(order_id=OrderId(seated.order_id), member_id=PersonId("g1")))
    city.pass_time(minutes=60)
    assert city.home.the_group(group_id).state == "failed"
    assert city.away.state(seated.order_id) == "refunded"

    city.between(lambda letter: None)

    assert {type(letter.command) for letter in kept} == {PaySeat, LeaveSeat}
    say_again(city, [(city.away, letter) for letter in kept])
    check_one_outcome(city)


def test_late_money_of_who_has_another_seat_in_the_group_goes_back() -> None:
    city = City()
    group_id = two_of_three(city, campaign="ladder")
    first = city.join(group_id, "g1")
    city.pass_time(minutes=6)
    second = city.join(group_id, "g1", key="another-key")

    city.away.pay(first.order_id)
    city.away.pay(second.order_id)
    city.pass_time(minutes=1)

    assert (city.away.state(first.order_id), city.away.state(second.order_id)) == ("refunded", "grouped")
    assert [seat.order_id for seat in city.home.the_group(group_id).seats if seat.campus_id] == [second.order_id]
    check_one_outcome(city)


def test_a_guest_may_leave_while_home_is_asked_for_a_seat_for_his_late_money() -> None:
    city = City()
    group_id = two_of_three(city)
    seated = city.join(group_id, "g1")
    city.pass_time(minutes=6)
    city.home.is_away = True
    city.away.pay(seated.order_id)
    city.settle()
    city.away.do(CancelOrder(order_id=OrderId(seated.order_id), member_id=PersonId("g1")))

    city.home.is_away = False
    city.pass_time(minutes=2)

    assert city.away.state(seated.order_id) == "refunded"
    assert len(city.home.the_group(group_id).seats) == 2
    say_again(city, [(city.away, letter) for letter in city.away.post.sent if type(letter.command) is PaySeat])
    check_one_outcome(city)


def test_a_seat_that_was_asked_for_and_forgotten_is_let_go() -> None:
    city = City()
    group_id = two_of_three(city)
    ask = AskSeat(
        order_id="o_x",  # type: ignore[arg-type]
        group_id=group_id,  # type: ignore[arg-type]
        campus_id=AWAY,
        home_id=HOME,
        member_id="g1",  # type: ignore[arg-type]
        building_id="dorm-1",  # type: ignore[arg-type]
        wanted=lines("beef"),
    )
    city.away.do(ask)
    city.away.carry(Letter(address="beijing.core", command=a_try(group_id, campus_id=AWAY)))
    assert len(city.home.the_group(group_id).seats) == 3

    city.pass_time(seconds=11)

    assert len(city.home.the_group(group_id).seats) == 2
    assert city.seat("o_x").state is GuestSeatState.GONE
    check_one_outcome(city)


def test_a_late_try_after_its_cancel_holds_no_seat() -> None:
    city = City()
    group_id = two_of_three(city)
    late = lost(city, TrySeat)
    with pytest.raises(HomeAway):
        city.join(group_id, "g1")
    city.settle()

    (letter,) = late
    answer = city.away.carry(letter)

    assert isinstance(answer, Problem)
    assert len(city.home.the_group(group_id).seats) == 2
    check_one_outcome(city)


def test_a_repeat_after_home_was_away_goes_on_under_the_same_key() -> None:
    city = City()
    group_id = two_of_three(city)
    city.home.is_away = True
    with pytest.raises(HomeAway):
        city.join(group_id, "g1", key="once")
    with pytest.raises(HomeAway):
        city.join(group_id, "g1", key="once")
    city.home.is_away = False

    seated = city.join(group_id, "g1", key="once")
    again = city.join(group_id, "g1", key="once")

    assert again == seated
    assert city.seat(seated.order_id).attempt == 1
    city.away.pay(seated.order_id)
    city.settle()
    assert city.home.the_group(group_id).state.value == "closed"
    assert [seat.order_id for seat in city.guest_seats()] == [seated.order_id]
    check_one_outcome(city)


def test_a_repeat_after_a_lost_answer_has_the_first_seat_let_go_before_it_takes_another() -> None:
    """Home had heard: without that the guest would be a member already, or sit twice."""
    city = City()
    group_id = two_of_three(city, campaign="ladder")
    city.between(lambda letter: "unanswered" if isinstance(letter.command, TrySeat) else None)
    with pytest.raises(HomeAway):
        city.join(group_id, "g1", key="once")
    city.between(lambda letter: None)
    assert len(city.home.the_group(group_id).seats) == 3

    seated = city.join(group_id, "g1", key="once")

    assert [seat.order_id for seat in city.home.the_group(group_id).seats][2:] == [seated.order_id]
    city.pass_time(minutes=7)
    assert city.away.state(seated.order_id) == "cancelled"
    assert len(city.home.the_group(group_id).seats) == 2
    check_one_outcome(city)


def test_words_of_an_earlier_attempt_that_come_late_are_not_for_the_later_one() -> None:
    city = City()
    group_id = two_of_three(city)
    city.home.is_away = True
    with pytest.raises(HomeAway):
        city.join(group_id, "g1", key="once")
    (first,) = city.guest_seats()
    city.home.is_away = False
    seated = city.join(group_id, "g1", key="once")

    no = SeatAnswer(order_id=first.order_id, is_seated=False, news=None)
    city.away.do(GiveUpSeat(order_id=first.order_id, reason=HomeAway.code))
    city.away.do(RecordAnswer(word=Word.LEAVE, answer=no))
    with city.away.refused(SeatGone):
        city.away.do(PlaceSeat(order_id=first.order_id, answer=no))
    city.settle()

    assert city.seat(seated.order_id).state is GuestSeatState.HELD
    assert [seat.order_id for seat in city.home.the_group(group_id).seats][2:] == [seated.order_id]
    city.pass_time(minutes=7)
    check_one_outcome(city)


def test_what_home_refused_is_refused_again_under_the_same_key() -> None:
    city = City()
    full = city.home.group("m1", "m2", "m3", paid=2)[0].group_id
    with pytest.raises(GroupFull):
        city.join(full, "g1", key="once")
    city.home.leave(full, "m3")

    with pytest.raises(GroupFull):
        city.join(full, "g1", key="once")
    city.settle()
    (seat,) = city.guest_seats()
    with city.away.nothing_changes():
        city.away.do(AskAgain(order_id=seat.order_id))


def test_an_earlier_attempt_given_up_late_does_not_end_the_one_under_way() -> None:
    city = City()
    group_id = two_of_three(city)
    city.home.is_away = True
    with pytest.raises(HomeAway):
        city.join(group_id, "g1", key="once")
    city.home.is_away = False

    def give_up_the_first(letter: Letter) -> None:
        if isinstance(letter.command, TrySeat):
            city.away.do(GiveUpSeat(order_id=letter.command.order_id, reason=HomeAway.code))

    city.between(give_up_the_first)
    seated = city.join(group_id, "g1", key="once")

    assert city.seat(seated.order_id).state is GuestSeatState.HELD


def test_home_lets_a_later_attempt_go_by_itself_when_it_is_not_paid() -> None:
    city = City()
    group_id = two_of_three(city, campaign="ladder")
    city.home.is_away = True
    with pytest.raises(HomeAway):
        city.join(group_id, "g1", key="once")
    city.home.is_away = False
    seated = city.join(group_id, "g1", key="once")
    lost(city, LeaveSeat)

    city.pass_time(minutes=6)

    assert city.away.state(seated.order_id) == "cancelled"
    assert len(city.home.the_group(group_id).seats) == 2


def test_a_refused_try_that_comes_again_when_a_seat_is_free_holds_none() -> None:
    city = City()
    group_id = two_of_three(city, paid=1)
    city.home.join(group_id, "m3")
    sent = city.away.post.sent
    with pytest.raises(GroupFull):
        city.join(group_id, "g1")
    city.settle()
    city.home.leave(group_id, "m3")

    city.away.carry(next(letter for letter in sent if type(letter.command) is TrySeat))

    assert len(city.home.the_group(group_id).seats) == 2
    check_one_outcome(city)


def test_a_payment_word_without_a_try_is_no_seat() -> None:
    city = City()
    group_id = two_of_three(city)
    seated = city.join(group_id, "g1")
    city.away.pay(seated.order_id)
    city.settle()
    (pay,) = [letter for letter in city.away.post.sent if type(letter.command) is PaySeat]
    stranger = City()
    other = two_of_three(stranger)

    answer = stranger.away.carry(pay)
    late = stranger.away.carry(next(letter for letter in city.away.post.sent if type(letter.command) is TrySeat))

    assert not answer.is_seated
    assert isinstance(late, Suspended)
    assert len(stranger.home.the_group(other).seats) == 2
    check_one_outcome(city)


def test_a_guest_who_left_and_paid_all_the_same_has_his_money_back() -> None:
    city = City()
    group_id = two_of_three(city)
    seated = city.join(group_id, "g1")
    city.away.leave(group_id, "g1")
    city.settle()

    city.away.pay(seated.order_id)
    city.pass_time(minutes=1)

    assert city.away.state(seated.order_id) == "refunded"
    assert len(city.home.the_group(group_id).seats) == 2
    check_one_outcome(city)


def test_rules_rolled_back_at_home_change_no_price_of_a_guest_nor_of_who_joins_later() -> None:
    """B4, B7: each is settled by the version that priced him, a guest by his own campus's."""
    city = City()
    plain = city.home.open("m0")
    welcome_newcomers(city.home)
    opened = city.home.open("m1")
    city.home.pay(opened.order_id)
    city.home.do(RollBackRules(operator_id=OPERATOR))
    second = city.home.join(opened.group_id, "m2")
    city.home.pay(second.order_id)
    guest = city.join(opened.group_id, "g1")

    city.away.pay(guest.order_id)
    city.settle()

    first, other = city.home.order(opened.order_id), city.home.order(second.order_id)
    visitor = city.away.order(guest.order_id)
    assert [order.quote.rule_version for order in (first, other, visitor)] == [1, 0, 0]
    assert [order.paid.fen for order in (first, other, visitor)] == [2201 - WELCOME_FEN, 2201, 2201]
    assert sum(order.quote.payable.fen for order in (first, other, visitor)) == 3 * 1900 + 901 - WELCOME_FEN
    assert all(order.quote.payable.fen in (order.paid.fen, order.paid.fen - 1) for order in (first, other, visitor))
    assert city.home.order(plain.order_id).quote.rule_version == 0
    check_one_outcome(city)


def test_a_guest_who_paid_may_leave_until_the_group_has_formed() -> None:
    city = City()
    group_id = two_of_three(city, paid=1)
    seated = city.join(group_id, "g1")
    city.away.pay(seated.order_id)
    city.settle()

    left = city.away.leave(group_id, "g1")
    assert (left.order_state, left.refund_due_fen) == ("paid", 0)
    city.settle()
    city.pass_time(minutes=1)

    assert city.away.state(seated.order_id) == "refunded"
    assert len(city.home.the_group(group_id).seats) == 2
    check_one_outcome(city)


def test_a_guest_who_asks_to_leave_when_the_group_has_formed_meanwhile_stays() -> None:
    city = City()
    group_id = two_of_three(city, paid=1)
    seated = city.join(group_id, "g1")
    city.away.pay(seated.order_id)
    city.settle()
    city.home.is_away = True
    city.away.leave(group_id, "g1")
    city.settle()

    city.home.is_away = False
    second = next(seat for seat in city.home.the_group(group_id).seats if seat.member_id == "m2")
    city.home.pay(second.order_id)
    city.pass_time(minutes=2)

    assert city.away.state(seated.order_id) == "split"
    assert city.seat(seated.order_id).state is GuestSeatState.PAID
    check_one_outcome(city)


def test_home_keeps_a_paid_guest_of_a_formed_group_though_his_campus_does_not_know_that_yet() -> None:
    city = City()
    opened = city.home.open("m1", campaign="steps")
    seated = city.join(opened.group_id, "g1")
    city.away.pay(seated.order_id)
    city.settle()
    city.home.pay(opened.order_id)
    assert city.home.the_group(opened.group_id).state == "formed"
    assert city.away.the_group(opened.group_id).state == "open"

    city.away.leave(opened.group_id, "g1")
    city.away.fire()  # before home's news comes
    assert [type(letter.command) for letter in city.away.post.sent].count(LeaveSeat) == 1
    city.settle()

    assert [seat.member_id for seat in city.home.the_group(opened.group_id).seats] == ["m1", "g1"]
    assert city.away.state(seated.order_id) == "grouped"
    check_one_outcome(city)


def test_an_answer_to_what_is_not_said_any_more_moves_no_seat() -> None:
    city = City()
    group_id = two_of_three(city, paid=1)
    seated = city.join(group_id, "g1")
    city.away.pay(seated.order_id)
    city.settle()
    city.away.leave(group_id, "g1")
    city.settle()
    answer = SeatAnswer(order_id=OrderId(seated.order_id), is_seated=True, news=None)

    city.away.do(RecordAnswer(word=Word.PAY, answer=answer))

    assert city.seat(seated.order_id).state is GuestSeatState.GONE
    check_one_outcome(city)


def test_old_news_takes_nothing_back() -> None:
    city = City()
    opened = city.home.open("m1", campaign="steps")
    first = city.join(opened.group_id, "g1")
    city.away.pay(first.order_id)
    city.home.pay(opened.order_id)
    city.settle()
    (formed,) = [letter for letter in city.home.post.sent if type(letter.command) is HearHome]
    second = city.join(opened.group_id, "g2")
    city.away.pay(second.order_id)
    city.settle()

    city.home.carry(formed)

    assert [city.away.state(one.order_id) for one in (first, second)] == ["grouped", "grouped"]
    assert city.away.the_group(opened.group_id).paid_count == 3
    check_one_outcome(city)


def test_the_own_campus_away_costs_the_home_group_nothing() -> None:
    city = City()
    group_id = two_of_three(city, paid=1)
    seated = city.join(group_id, "g1")
    city.away.pay(seated.order_id)
    city.settle()
    city.away.is_away = True
    second = next(seat for seat in city.home.the_group(group_id).seats if seat.member_id == "m2")
    city.home.pay(second.order_id)
    city.settle()
    assert city.home.the_group(group_id).state == "closed"
    assert len(city.home.told(SplitConfirmed)) == 1
    assert city.away.the_group(group_id).state == "open"

    city.away.is_away = False
    city.pass_time(minutes=2)
    assert city.away.state(seated.order_id) == "split"
    check_one_outcome(city)


def test_a_free_order_is_paid_without_money() -> None:
    city = City()
    opened = city.home.group("m1", "m2", campaign="gift", paid=0)
    seated = city.join(opened[0].group_id, "g1")
    city.settle()

    assert seated.payable_fen == 0
    assert city.away.state(seated.order_id) == "split"
    assert len(city.away.told(GuestPaid)) == 1
    check_one_outcome(city)


def test_an_own_split_that_is_cancelled_refunds_this_campuss_guests_only() -> None:
    city = City()
    group_id = two_of_three(city)
    seated = city.join(group_id, "g1")
    city.away.post.spoil = lambda letter: "lost" if letter.address == "delivery" else None
    city.away.pay(seated.order_id)
    city.settle()
    city.pass_time(minutes=1)
    city.away.post.spoil = lambda letter: None
    city.pass_time(minutes=1)

    assert city.away.state(seated.order_id) == "refunded"
    assert city.home.the_group(group_id).state == "closed"
    assert len(city.home.told(SplitConfirmed)) == 1


def test_a_part_that_its_guests_have_left_ends_with_the_groups_time_though_home_tells_nobody() -> None:
    city = City()
    group_id = two_of_three(city, paid=1)
    seated = city.join(group_id, "g1")
    city.away.leave(group_id, "g1")
    city.settle()
    assert city.away.the_group(group_id).state == "open"

    city.pass_time(hours=2)

    assert city.home.the_group(group_id).state == "failed"
    assert city.away.the_group(group_id).state == "failed"
    assert city.away.state(seated.order_id) == "cancelled"
    assert city.away.told(GroupFailed) == []
    check_one_outcome(city)


def test_a_part_with_guests_waits_for_what_home_decides_however_long_that_takes() -> None:
    city = City()
    group_id = two_of_three(city, paid=1)
    seated = city.join(group_id, "g1")
    city.away.pay(seated.order_id)
    city.settle()
    city.between(lambda letter: "lost")

    city.pass_time(hours=3)
    assert city.home.the_group(group_id).state == "failed"
    assert (city.away.the_group(group_id).state, city.away.state(seated.order_id)) == ("open", "paid")
    city.between(lambda letter: None)
    city.pass_time(hours=1)

    assert (city.away.the_group(group_id).state, city.away.state(seated.order_id)) == ("failed", "refunded")
    check_one_outcome(city)


def test_homes_own_split_that_is_cancelled_leaves_guests_their_meals_though_its_news_came_late() -> None:
    city = City()
    group_id = two_of_three(city)
    seated = city.join(group_id, "g1")
    city.away.post.spoil = lambda letter: "unanswered" if isinstance(letter.command, PaySeat) else None
    city.home.post.spoil = lambda letter: "lost" if letter.address in ("delivery", "shanghai.core") else None
    city.away.pay(seated.order_id)
    city.settle()
    city.pass_time(minutes=1)
    city.home.post.spoil = lambda letter: "lost" if letter.address == "shanghai.core" else None
    city.pass_time(minutes=1)
    assert city.home.the_group(group_id).state == "failed"  # by its split alone
    assert city.away.state(seated.order_id) == "paid"

    city.between(lambda letter: None)
    city.home.post.spoil = lambda letter: None
    city.pass_time(minutes=5)

    assert city.away.the_group(group_id).state == "closed"
    assert city.away.state(seated.order_id) == "split"
    assert len(city.away.told(SplitConfirmed)) == 1


def test_a_join_repeated_when_its_seat_is_gone_hears_how_its_order_stands() -> None:
    city = City()
    group_id = two_of_three(city, paid=1)
    first = city.join(group_id, "g1", key="join-once-1")
    city.away.leave(group_id, "g1")
    city.settle()

    again = city.join(group_id, "g1", key="join-once-1")

    assert (again.order_id, again.order_state, first.order_state) == (first.order_id, "cancelled", "created")
    check_one_outcome(city)


def test_giving_up_again_has_home_told_again_until_it_has_answered() -> None:
    city = City()
    group_id = two_of_three(city)
    held = lost(city, LeaveSeat)
    city.join(group_id, "g2")
    with suppress(GroupFull):
        city.join(group_id, "g1")
    (seat,) = [seat for seat in city.guest_seats() if seat.member_id == "g1"]
    give_up = GiveUpSeat(order_id=seat.order_id, reason=seat.reason, facts=seat.facts, attempt=seat.attempt)
    city.away.core.database.execute_script(f"DELETE FROM timers WHERE id = 'guest:{seat.order_id}';")
    city.away.core.timers.note([(f"guest:{seat.order_id}", None)])

    city.away.do(give_up)
    city.settle()
    assert (len(held), city.seat(seat.order_id).state) == (1, GuestSeatState.LEAVING)
    city.between(lambda letter: None)
    city.pass_time(minutes=2)
    after = city.everything()
    city.away.do(give_up)

    assert city.seat(seat.order_id).state is GuestSeatState.GONE
    assert city.everything() == after


def test_groups_that_take_no_guests_of_a_campus_refuse_them() -> None:
    city = City()
    opened = city.away.open("g1")

    answer = city.home.carry(
        Letter(address="shanghai.core", command=a_try(opened.group_id)),
    )

    assert isinstance(answer, GuestsNotTaken)


def a_try(group_id: str, *, campus_id: CampusId = HOME) -> TrySeat:
    return TrySeat(
        branch=branch_of("o_x", campus_id),  # type: ignore[arg-type]
        group_id=group_id,  # type: ignore[arg-type]
        order_id="o_x",  # type: ignore[arg-type]
        member_id="g1",  # type: ignore[arg-type]
        building_id="dorm-1",  # type: ignore[arg-type]
        campus_id=campus_id,
    )


def test_every_letter_said_again_at_the_end_changes_nothing() -> None:
    city = City()
    group_id = two_of_three(city, paid=1)
    for guest in students(3, first=20):
        with suppress(GroupFull, GroupNotOpen, SeatGone):
            city.away.pay(city.join(group_id, guest).order_id)
        city.settle()
    city.pass_time(hours=1)

    letters = [(side, letter) for side in city.sides.values() for letter in side.post.sent if "." in letter.address]
    assert {type(letter.command) for _, letter in letters} >= {TrySeat, PaySeat, LeaveSeat}
    say_again(city, letters)
    check_one_outcome(city)


def refused_once(city: City) -> str:
    """A guest was refused a seat of a full group, under the key "once"; home has heard that he gave up."""
    full = city.home.group("m1", "m2", "m3", paid=2)[0].group_id
    with pytest.raises(GroupFull):
        city.join(full, "g1", key="once")
    city.settle()
    assert [seat.state for seat in city.guest_seats()] == [GuestSeatState.GONE]
    return full


def test_what_became_no_order_is_forgotten_after_a_week() -> None:
    city = City()
    full = refused_once(city)

    city.pass_time(days=6, hours=23)
    with pytest.raises(GroupFull):
        city.join(full, "g1", key="once")
    assert len(city.guest_seats()) == 1
    city.pass_time(hours=2)

    assert city.guest_seats() == []
    assert [id for id in city.away.timers() if id.startswith("forget-seat")] == []


def test_what_became_an_order_is_kept_however_it_ended() -> None:
    city = City()
    group_id = two_of_three(city)
    left = city.join(group_id, "g1")
    city.away.leave(group_id, "g1")
    city.settle()
    paid = city.join(group_id, "g2")
    city.away.pay(paid.order_id)

    city.pass_time(days=9)

    assert {seat.order_id for seat in city.guest_seats()} == {left.order_id, paid.order_id}


def test_a_seat_that_was_asked_for_anew_is_not_forgotten_with_its_first_attempt() -> None:
    city = City()
    group_id = two_of_three(city)
    city.home.is_away = True
    with pytest.raises(HomeAway):
        city.join(group_id, "g1", key="once")
    city.home.is_away = False
    city.pass_time(minutes=2)
    (first,) = city.guest_seats()
    assert first.state is GuestSeatState.GONE
    seated = city.join(group_id, "g1", key="once")
    city.away.pay(seated.order_id)

    city.pass_time(days=9)

    assert [(seat.order_id, seat.attempt) for seat in city.guest_seats()] == [(seated.order_id, 1)]
    assert city.away.order(seated.order_id).paid == city.away.order(seated.order_id).payable


def test_forgetting_is_harmless_twice_and_a_late_answer_to_a_forgotten_seat_changes_nothing() -> None:
    city = City()
    refused_once(city)
    (seat,) = city.guest_seats()
    city.pass_time(days=8)
    letters = [(side, letter) for side in city.sides.values() for letter in side.post.sent if "." in letter.address]

    with city.away.nothing_changes():
        city.away.do(ForgetSeat(order_id=seat.order_id))
    say_again(city, letters)


def upgraded(city: City) -> None:
    """The guest's campus is started on the database of a release that kept refusals for ever."""
    core = city.away.core.database
    core.execute_script("DELETE FROM timers WHERE command = 'guests.ForgetSeat';")
    script = resources.files("tuanzi.migrations") / "core/0024_forgotten_refusals.sql"
    core.execute_script(script.read_text(encoding="utf-8"))
    city.away.kill()


def test_what_was_refused_before_the_upgrade_is_forgotten_too_and_what_is_of_today_when_a_week_is_over() -> None:
    city = City()
    refused_once(city)
    city.pass_time(days=2)
    upgraded(city)
    assert len([id for id in city.away.timers() if id.startswith("forget-seat")]) == 1

    city.pass_time(days=5, hours=23)
    assert len(city.guest_seats()) == 1
    city.pass_time(days=1, hours=1)

    assert city.guest_seats() == []
    assert [id for id in city.away.timers() if id.startswith("forget-seat")] == []


def test_the_upgrade_leaves_seats_that_became_orders_and_those_that_are_to_be_forgotten_already() -> None:
    city = City()
    full = refused_once(city)
    kept = [id for id in city.away.timers() if id.startswith("forget-seat")]
    group_id = two_of_three(city)
    left = city.join(group_id, "g1")
    city.away.leave(group_id, "g1")
    city.settle()
    with pytest.raises(GroupFull):
        city.join(full, "g2", key="twice")
    city.settle()
    script = resources.files("tuanzi.migrations") / "core/0024_forgotten_refusals.sql"
    before = city.away.rows("SELECT * FROM timers ORDER BY id")

    city.away.core.database.execute_script(script.read_text(encoding="utf-8"))

    assert city.away.rows("SELECT * FROM timers ORDER BY id") == before
    assert set(kept) < {id for (id, *_) in before}
    upgraded(city)
    city.pass_time(days=9)
    assert [seat.order_id for seat in city.guest_seats()] == [left.order_id]

"""B7: what the simulation holds of groups over several campuses is seen when it breaks; each fault is planted."""

from __future__ import annotations

import pytest
from msgspec import json

from simulation import invariants
from simulation.invariants import guests
from tests.guests.city import AWAY, HOME, City, Shelf


def closed_over_both(city: City) -> tuple[str, str]:
    """A group of two at home and a guest, closed and split, and the guest's order."""
    group_id = city.home.group("m1", "m2", campaign="trio")[0].group_id
    seated = city.join(group_id, "g1")
    city.away.pay(seated.order_id)
    city.settle()
    return group_id, seated.order_id


def broken(city: City) -> list[str]:
    """What does not hold over both campuses."""
    return guests.broken({name: invariants.Books(Shelf(side)) for name, side in city.sides.items()}, at_rest=True)  # type: ignore[arg-type]


def change(city: City, campus: str, sql: str) -> None:
    """Change a campus's core behind its back."""
    city.sides[campus].core.database.execute_script(f"{sql};")  # type: ignore[index]


def test_a_group_over_both_campuses_breaks_nothing() -> None:
    city = City()
    closed_over_both(city)
    failed = city.home.open("m8").group_id
    city.away.pay(city.join(failed, "g8").order_id)
    city.pass_time(hours=1)

    assert broken(city) == []


@pytest.mark.parametrize(
    ("campus", "sql", "told"),
    [
        (
            AWAY,
            "UPDATE orders SET state = 'grouped' WHERE id = '{order}'",
            "ORDERS: group {group} is closed, its",
        ),
        (
            AWAY,
            "UPDATE orders SET member_id = 'g9' WHERE id = '{order}'",
            "ORDERS: group {group}: the seat of {order}",
        ),
        (AWAY, "UPDATE guest_seats SET state = 'paying'", "ORDERS: the seat of {order} on shanghai is still paying"),
        (AWAY, "UPDATE campus_groups SET seats = '[]'", "SEATS: part {group} on shanghai has the seats of []"),
        (AWAY, "UPDATE campus_groups SET state = 'formed'", "SEATS: part {group} on shanghai is formed"),
        (AWAY, "UPDATE orders SET paid_fen = 1, refundable = '[]'", "MONEY: order {order} on shanghai has a paid seat"),
        (AWAY, "UPDATE guest_seats SET state = 'gone'", "MONEY: order {order} on shanghai lost its seat, and"),
        (HOME, "DELETE FROM campus_groups", "SEATS: part {group} on shanghai has no group at home"),
        (
            HOME,
            "UPDATE fences SET state = 'tried', gid = 'o_x.seat' WHERE branch = 'seat'",
            "SEATS: beijing: o_x.seat",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_each_fault_between_campuses_is_told(campus: str, sql: str, told: str) -> None:
    city = City()
    group_id, order_id = closed_over_both(city)

    change(city, campus, sql.format(group=group_id, order=order_id))

    assert [what for what in broken(city) if what.startswith(told.format(group=group_id, order=order_id))]


def test_a_person_who_sits_twice_and_a_seat_too_many_are_told() -> None:
    city = City()
    group_id, _ = closed_over_both(city)
    ((seats,),) = city.home.rows("SELECT seats FROM campus_groups")
    twice = json.encode([*json.decode(seats), json.decode(seats)[-1]]).decode()

    change(city, HOME, f"UPDATE campus_groups SET seats = '{twice}'")

    told = broken(city)
    assert f"SEATS: group {group_id}: 4 seats of 3 over all campuses" in told
    assert f"SEATS: group {group_id}: somebody has two seats, perhaps on two campuses" in told


def test_delivery_that_is_paid_twice_is_told() -> None:
    city = City()
    group_id, _ = closed_over_both(city)

    change(city, AWAY, "UPDATE campus_groups SET home = REPLACE(home, '[300]', '[901]')")

    assert broken(city) == [f"SEATS: group {group_id}: guests pay 901 of 901 fen of the delivery"]

"""`tuanzi dispatch`: a public delivery day by the rules of its paper, better than the nearest courier (B10)."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from simulation import dispatching
from simulation.commands import dispatch
from simulation.mdrp import Solution, figures_of, read_instance, write_solution
from tests.delivery.evaluator import evaluate

DATA = Path(__file__).parents[3] / "shared" / "data" / "mdrp"
PUBLIC = ("0o100t100s1p100", "3o100t100s1p100", "6o100t100s1p100")


def drawn_day(folder: Path, seed: int, *, orders: int = 40, couriers: int = 8, restaurants: int = 5) -> Path:
    """A small day of the same form, by chance."""
    chance = Random(seed)
    folder.mkdir(parents=True, exist_ok=True)

    def place() -> str:
        return f"{chance.randrange(6_000)}\t{chance.randrange(6_000)}"

    placed = [chance.randrange(240) for _ in range(orders)]
    lines = {
        "orders.txt": ["order\tx\ty\tplacement_time\trestaurant\tready_time"]
        + [
            f"o{i}\t{place()}\t{at}\tr{chance.randrange(restaurants)}\t{at + chance.randrange(1, 40)}"
            for i, at in enumerate(placed)
        ],
        "restaurants.txt": ["restaurant\tx\ty"] + [f"r{i}\t{place()}" for i in range(restaurants)],
        "couriers.txt": ["courier\tx\ty\ton_time\toff_time"]
        + [
            f"c{i}\t{place()}\t{on}\t{on + chance.choice((90, 180, 330))}"
            for i, on in enumerate(chance.randrange(60) for _ in range(couriers))
        ],
        "instance_parameters.txt": [
            "meters_per_minute\tpickup service minutes\tdropoff service minutes\ttarget click-to-door\t"
            "maximum click-to-door\tpay per order\tguaranteed pay per hour",
            f"{chance.choice((240, 320))}\t{chance.choice((3, 4))}\t{chance.choice((2, 4, 5))}\t40\t90\t10\t15",
        ],
    }
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_day_is_brought_by_the_rules_and_sooner_than_by_the_nearest_courier(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"shared/data/mdrp/{name} is not there")

    code = dispatch([str(folder), "--out", str(tmp_path), "--json"])

    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    verdict = evaluate(folder, tmp_path)
    assert code == 0
    assert verdict.violations == []
    assert set(verdict.click_to_door) == read_instance(folder).deliverable()
    assert told["delivered"] == told["deliverable"] == len(verdict.click_to_door)
    assert told["click_to_door_mean_min"] == round(verdict.mean, 3)
    assert told["baseline_click_to_door_mean_min"] >= told["click_to_door_mean_min"] + 1.5
    assert told["baseline_delivered"] <= told["delivered"]
    assert told["replan_cpu_ms_max"] <= 1_000


@pytest.mark.parametrize("name", PUBLIC)
def test_the_baseline_keeps_the_rules_too(name: str, tmp_path: Path) -> None:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"shared/data/mdrp/{name} is not there")
    instance = read_instance(folder)

    write_solution(instance, dispatching.nearest_courier(instance), tmp_path)

    assert evaluate(folder, tmp_path).violations == []


@pytest.mark.parametrize("seed", range(12))
def test_any_day_is_brought_by_the_rules(seed: int, tmp_path: Path) -> None:
    folder = drawn_day(tmp_path / "day", seed)
    instance = read_instance(folder)

    made = dispatching.dispatch(instance)

    write_solution(instance, made.solution, tmp_path)
    verdict = evaluate(folder, tmp_path)
    assert verdict.violations == []
    assert verdict.click_to_door.keys() <= instance.deliverable()
    assert figures_of(instance, made.solution).delivered == len(verdict.click_to_door)


def test_the_same_day_is_brought_the_same_way(tmp_path: Path) -> None:
    instance = read_instance(drawn_day(tmp_path, 5))

    first, second = (dispatching.dispatch(instance).solution for _ in range(2))

    assert first == second


def test_orders_of_one_restaurant_are_brought_together_when_riders_are_short(tmp_path: Path) -> None:
    instance = read_instance(drawn_day(tmp_path, 3, orders=60, couriers=4, restaurants=2))

    figures = figures_of(instance, dispatching.dispatch(instance).solution)

    assert figures.bundles <= figures.delivered * 0.8


def test_the_evaluator_sees_a_rule_broken(tmp_path: Path) -> None:
    folder = drawn_day(tmp_path / "day", 1)
    instance = read_instance(folder)
    good = dispatching.dispatch(instance).solution
    first = good.rounds[0]
    hurried = next(one for one in good.rounds if one.picked_up > max(instance.orders[o].ready for o in one.orders))
    second = next(one for one in good.rounds if one.courier == first.courier and one != first)
    late = 5_000
    for says, one, wrong in (
        ("is ready", first, first._replace(picked_up=min(instance.orders[o].ready for o in first.orders) - 1)),
        ("is handed over at r", hurried, hurried._replace(picked_up=hurried.picked_up - 1)),
        ("is placed", first, first._replace(assigned=instance.orders[first.orders[0]].placed - 1)),
        ("is handed over at o", first, first._replace(dropped_off=tuple(at - 1 for at in first.dropped_off))),
        ("while he is busy", second, second._replace(assigned=first.picked_up)),
        ("leaves", second, second._replace(leaves=first.picked_up)),
        ("after he went off", first, first._replace(picked_up=late, dropped_off=tuple(late + 9 for _ in first.orders))),
        ("is assigned twice", second, second._replace(orders=first.orders, dropped_off=first.dropped_off)),
    ):
        rounds = tuple(wrong if each == one else each for each in good.rounds)

        write_solution(instance, Solution(rounds=rounds), tmp_path / "wrong")

        violations = evaluate(folder, tmp_path / "wrong").violations
        assert any(says in line for line in violations), (says, violations)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (("couriers.txt", None), "couriers.txt"),
        (("orders.txt", "order\tx\ty\no1\t1\t1\n"), "placement_time"),
        (("orders.txt", "order\tx\ty\tplacement_time\trestaurant\tready_time\n"), "no order"),
        (("orders.txt", "order\tx\ty\tplacement_time\trestaurant\tready_time\no1\t1\t1\tnoon\tr1\t9\n"), "noon"),
        (("orders.txt", "order\tx\ty\tplacement_time\trestaurant\tready_time\no1\t1\t1\t3\tr99\t9\n"), "r99"),
        (("instance_parameters.txt", "meters_per_minute\n"), "no line"),
        (("instance_parameters.txt", "meters_per_minute\n320\n"), "pickup service minutes"),
    ],
)
def test_a_day_that_cannot_be_read_is_refused_in_one_line_and_writes_nothing(
    spoil: tuple[str, str | None], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = drawn_day(tmp_path / "day", 1)
    name, text = spoil
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text, encoding="utf-8")

    code = dispatch([str(folder), "--out", str(tmp_path / "out")])

    printed = capsys.readouterr()
    assert code == 2
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()

"""The commands `tuanzi simulate`, `reconcile`, `replay`, `dispatch` and `bench-seed`; exit code 1 when one fails."""

from __future__ import annotations

import argparse
import gc
import logging
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from simulation import bench, dispatching
from simulation.faults import draw
from simulation.lunch import lunch_wave, small_lunch
from simulation.mdrp import figures_of, read_instance, write_solution
from simulation.reconciling import DIFFERENCES_MAX, REPAIRED_MIN, reconcile_planted
from simulation.replaying import DayUnreadable, replay_day
from simulation.report import Report, lines
from simulation.storm import StormReport, storms, sum_of

STUDENTS = 5_000
STUDENTS_SMALL = 40
# The demo campuses; the first takes guests of the others.
CAMPUSES = ("beijing", "shanghai")
SUCCESS_MIN = 0.9999  # spec B3
# A run makes few circles and ends soon, while a full collection of 5,000 students' world takes seconds in all.
COLLECT_AFTER = 500_000


def simulate(argv: Sequence[str]) -> int:
    """`tuanzi simulate`: one lunch wave, or many small seeds with faults."""
    parser = argparse.ArgumentParser(
        prog="tuanzi simulate", description="A seeded lunch wave in virtual time over the real rooms."
    )
    parser.add_argument("--seed", type=int, default=1, help="the first seed (1); the same seed gives the same bytes")
    parser.add_argument("--seeds", type=_positive, default=1, help="run so many seeds, one after another")
    parser.add_argument("--students", type=_positive, help=f"of each campus: {STUDENTS}; {STUDENTS_SMALL} with --small")
    parser.add_argument("--faults", action="store_true", help="with kills, failed commits, clock jumps, repeats ...")
    parser.add_argument("--small", action="store_true", help="20 minutes on a small scarce campus, as in CI")
    parser.add_argument(
        "--splits", type=_positive, help="storms of groups that do nothing but split, until so many have been split"
    )
    parser.add_argument(
        "--campuses", type=int, choices=range(1, len(CAMPUSES) + 1), default=1, help="with guests of one at another (1)"
    )
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args(argv)
    if options.splits:
        return _storms(options.splits, first=options.seed, faults=options.faults, as_json=options.json)
    students = options.students or (STUDENTS_SMALL if options.small else STUDENTS)
    lunch = small_lunch if options.small else lunch_wave
    neighbours = CAMPUSES[1 : options.campuses]
    again = f"tuanzi simulate --students {students}{' --faults' * options.faults}{' --small' * options.small}"
    again += f" --campuses {options.campuses}" * bool(neighbours)

    def run(seed: int) -> Report:
        swarm = draw(Random(seed)) if options.faults else None
        return lunch(seed, students=students, swarm=swarm, neighbours=neighbours)

    seeds = range(options.seed, options.seed + options.seeds)
    return _run_all(
        [(f"seed {seed}", f"{again} --seed {seed}", _bound(run, seed)) for seed in seeds], as_json=options.json
    )


def _storms(splits: int, *, first: int, faults: bool, as_json: bool) -> int:
    """Storms seed after seed, each with its own mix of faults, until `splits` were split; 1 when one of them failed."""
    reports: list[StormReport] = []
    for report in storms(splits, first=first, faults=faults):
        reports.append(report)
        print(
            f"seed {report.seed}: {report.splits} splits, {report.confirmed} confirmed, {report.cancelled} cancelled, "
            f"{report.stuck} stuck, {report.mixed} mixed; of {_spoken(report.mix)} came {_spoken(report.faults)}"
        )
        for each in report.broken[:5]:
            print(f"  BROKEN {each.name}: {each.what}")
        if report.failures or report.broken:
            again = f"tuanzi simulate{' --faults' * faults} --splits 1 --seed {report.seed}"
            print(f"  repeat it with: {again}")
    told = sum_of(reports)
    print(
        f"{told.splits} splits of {told.seeds} seeds: {told.confirmed} confirmed, {told.cancelled} cancelled "
        f"({_spoken(told.reasons)}); final, consistent everywhere and without a person: {told.success_rate:.4%}"
    )
    if as_json:
        print(msgspec.json.encode(told).decode())
    return 1 if told.success_rate < SUCCESS_MIN or told.invariants_broken else 0


def _spoken(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {count:.3g}" for name, count in counts.items()) or "nothing"


def reconcile(argv: Sequence[str]) -> int:
    """`tuanzi reconcile`: differences are planted in books that agreed, and found, classified and mended."""
    parser = argparse.ArgumentParser(
        prog="tuanzi reconcile", description="Two days of reconciliation over books that were made to differ."
    )
    parser.add_argument("--differences", type=_positive, default=2_000, help="how many are planted (2000)")
    parser.add_argument("--seed", type=int, default=1, help="of orders and carts (1)")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args(argv)
    if options.differences > DIFFERENCES_MAX:
        print(f"tuanzi reconcile: a day has room for {DIFFERENCES_MAX} differences", file=sys.stderr)
        return 2
    with _quietly():
        told = reconcile_planted(options.differences, seed=options.seed)
    for name, figure in msgspec.to_builtins(told).items():
        if name != "wrong":
            print(f"{name}: {figure}")
    for each in told.wrong[:20]:
        print(f"  WRONG {each}")
    if options.json:
        print(msgspec.json.encode(told).decode())
    is_right = told.classified_right == told.found == told.planted and not told.wrong and not told.unexplained_fen
    return 0 if is_right and told.repaired_ratio >= REPAIRED_MIN else 1


def replay(argv: Sequence[str]) -> int:
    """`tuanzi replay PATH`: a real delivery day through the order path."""
    parser = argparse.ArgumentParser(
        prog="tuanzi replay", description="A day of the public Grubhub set (mdrplib) through the order path."
    )
    parser.add_argument("path", type=Path, help="the instance's folder: orders.txt, restaurants.txt")
    parser.add_argument("--seed", type=int, default=1, help="of prices, carts and people's pauses (1)")
    parser.add_argument("--faults", action="store_true", help="with kills, failed commits, clock jumps, repeats ...")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args(argv)
    swarm = draw(Random(options.seed)) if options.faults else None
    again = f"tuanzi replay {shlex.quote(str(options.path))} --seed {options.seed}{' --faults' * options.faults}"
    try:
        return _run_all(
            [(options.path.name, again, lambda: replay_day(options.path, seed=options.seed, swarm=swarm))],
            as_json=options.json,
        )
    except DayUnreadable as error:
        print(f"tuanzi replay: {error}", file=sys.stderr)
        return 2


def dispatch(argv: Sequence[str]) -> int:
    """`tuanzi dispatch INSTANCE --out DIR`: a public delivery day over the real delivery room."""
    parser = argparse.ArgumentParser(
        prog="tuanzi dispatch", description="A day of the public Grubhub set (mdrplib) in virtual time over delivery."
    )
    parser.add_argument(
        "path", metavar="INSTANCE", type=Path, help="the instance's folder: orders.txt, couriers.txt ..."
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder for the three files the evaluator reads")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args(argv)
    try:
        instance = read_instance(options.path)
        with _quietly():
            made = dispatching.dispatch(instance)
            baseline = figures_of(instance, dispatching.nearest_courier(instance))
        write_solution(instance, made.solution, options.out)
    except (DayUnreadable, OSError) as error:
        print(f"tuanzi dispatch: {error}", file=sys.stderr)
        return 2
    figures = figures_of(instance, made.solution)
    told = {
        "orders": len(instance.orders),
        "deliverable": len(instance.deliverable()),
        **figures._asdict(),
        "couriers": len(instance.couriers),
        **{f"baseline_{name}": figure for name, figure in baseline._asdict().items()},
        "plans": made.plans,
        "replan_ms_mean": made.replan_ms_mean,
        "replan_ms_max": made.replan_ms_max,
        "replan_cpu_ms_max": made.replan_cpu_ms_max,
    }
    for name, figure in told.items():
        print(f"{name}: {figure}")
    if options.json:
        print(msgspec.json.encode(told).decode())
    return 0


def bench_seed(argv: Sequence[str]) -> int:
    """`tuanzi bench-seed`: fill a data folder for benchmarks."""
    parser = argparse.ArgumentParser(
        prog="tuanzi bench-seed", description="One campaign of groups of 3 and many signed-in students."
    )
    parser.add_argument("--data", type=Path, required=True, help="the data folder of the server to come")
    parser.add_argument("--students", type=_positive, default=1_000)
    parser.add_argument("--out", type=Path, required=True, help="where ids and tokens are written, as JSON")
    parser.add_argument("--campus", default=bench.CAMPUS, help="theirs and the campaign's (%(default)s)")
    options = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    bench.seed(options.data, students=options.students, out=options.out, campus=options.campus)
    return 0


def _bound(run: Callable[[int], Report], seed: int) -> Callable[[], Report]:
    return lambda: run(seed)


def _run_all(runs: Sequence[tuple[str, str, Callable[[], Report]]], *, as_json: bool) -> int:
    """Run and report; a broken invariant and an error are told with the command that repeats them."""
    sums: Counter[str] = Counter()
    broken: set[str] = set()
    with _quietly():
        for name, again, run in runs:
            began = time.perf_counter()
            try:
                report = run()
            except Exception:
                print(f"{name}: an error; repeat it with: {again}", file=sys.stderr)
                raise
            took = time.perf_counter() - began
            print(f"{name}, in {took:.1f} s")
            for line in lines(report):
                print(f"  {line}")
            if report.broken:
                print(f"  repeat it with: {again}")
            broken |= set(report.invariants_broken)
            sums.update(_sums(report))
    if as_json:
        print(msgspec.json.encode({**sums, "seeds": len(runs), "invariants_broken": sorted(broken)}).decode())
    return 1 if broken else 0


def _sums(report: Report) -> dict[str, Any]:
    return {
        "orders": report.orders,
        "groups_formed": report.groups_formed,
        "groups_failed": report.groups_failed,
        "paid_fen": report.paid_fen,
        "refunded_fen": report.refunded_fen,
        "events": report.events,
        "guests": report.guests,
    }


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the rooms' logs, which tell of each planned fault, and with a collector that seldom looks."""
    before = gc.get_threshold()
    logging.disable(logging.CRITICAL)
    gc.set_threshold(COLLECT_AFTER, 20, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        logging.disable(logging.NOTSET)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number

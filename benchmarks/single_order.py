"""How many single orders a second: one buyer, two dishes in three portions, placed and paid; MariaDB, always flushed.

As the rivals were measured (Vendure, django-oscar, Medusa): a closed loop over real HTTP, another buyer for each order,
stock tracked and ample; database, server and load generator on one machine, innodb_flush_log_at_trx_commit=1 and no
binary log. Each buyer opens a group of his own and nobody joins. An answer comes after the commit. Then the server is
stopped and the books are added up: every order that was acknowledged is there and paid once, and of every dish exactly
what was ordered is held.

How many buy at once was chosen by probes, as for each rival (4 to 16 were best for them): of 128, 256, 384, 512 with
1,820, 2,140, 2,290 and 2,250 orders/s beside other work, the fewest that are nearly as fast as it gets.

With `--binlog` replicas are possible: sync_binlog=1, one more flush for each commit. With `--json` the last line is one
JSON object; the exit code is 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.load import Acknowledged
from benchmarks.order_path import Track
from benchmarks.servers import Server, tuanzi
from servers.maria import APPLICATION, Maria, Node
from tuanzi.engines.database.connections import address_of
from tuanzi.engines.database.mariadb import MariaDb

BUYERS = 20_000  # of one large campus; they order again and again
PREFIX = "tuanzi_bench"


class Report(msgspec.Struct):
    """The last line. Rates are the median of the rounds, load generator and database included."""

    orders_per_s: float
    stock_exact: bool
    rounds: list[float]
    p50_ms: float
    p99_ms: float
    orders: int
    portions_held: int
    server_us_per_order: float
    database_us_per_order: float
    generator_us_per_order: float
    flush_at_every_commit: str
    binary_log: str
    connections: int
    seconds: float
    wrong: list[str]


class _Line(msgspec.Struct):
    dish_id: str
    quantity: int


class _Quote(msgspec.Struct):
    lines: list[_Line]


def measure(arguments: argparse.Namespace, folder: Path) -> Report:
    """Start both servers, put them under load, stop, add up."""
    binlog = {} if arguments.binlog else {"skip-log-bin": "1"}
    maria = Maria(folder / "maria", settings={"innodb-buffer-pool-size": "2G", "innodb-log-file-size": "2G", **binlog})
    node = maria.start_primary()
    password = maria.passwords[APPLICATION]
    url = f"mysql://{APPLICATION}:{password}@127.0.0.1:{node.port}/{PREFIX}?socket={node.socket}"
    contender = tuanzi("Tuanzi", TUANZI_DATABASE=url, TUANZI_CAMPUSES="beijing")
    database_us: list[float] = []
    try:
        flush, has_binlog, sync = node.ask("SELECT @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog")[0]
        with Server(contender, folder, students=BUYERS) as server:
            track = Track(server, words=["--alone"])
            for _ in range(arguments.rounds):
                cpu = _cpu_s(node)
                result = track.load(
                    seconds=arguments.seconds, warmup=arguments.warmup, connections=arguments.connections
                )
                track.results.append(result)
                database_us.append((_cpu_s(node) - cpu) / max(result.acknowledged, 1) * 1e6)
            measured = track.measured()
        held, differences = compare(url, track.acknowledged)
    finally:
        maria.stop()
    return Report(
        orders_per_s=measured.chains_per_s,
        stock_exact=not differences,
        rounds=measured.rounds,
        p50_ms=measured.p50_ms,
        p99_ms=measured.p99_ms,
        orders=len(track.acknowledged),
        portions_held=held,
        server_us_per_order=measured.server_us_per_chain,
        database_us_per_order=round(median(database_us), 1),
        generator_us_per_order=round(2 * measured.generator_us_per_request, 1),
        flush_at_every_commit=f"innodb_flush_log_at_trx_commit={flush}",
        binary_log=f"on, sync_binlog={sync}" if has_binlog else "off",
        connections=arguments.connections,
        seconds=arguments.seconds,
        wrong=(track.wrong + differences)[:20],
    )


def compare(url: str, acknowledged: Sequence[Acknowledged], *, campus: str = "beijing") -> tuple[int, list[str]]:
    """The portions that are held, and what does not add up: orders, their payments, the ledger, stock dish by dish."""
    prefix = address_of(url)
    core, money = (MariaDb(replace(prefix, schema=f"{prefix.schema}_{campus}_{kind}")) for kind in ("core", "money"))
    orders = {id: (state, quote) for id, state, quote in core.rows("SELECT id, state, quote FROM orders")}
    captured = Counter(id for (id,) in money.rows("SELECT order_id FROM payments WHERE captured_at_ms IS NOT NULL"))
    fen: dict[str, int] = dict(money.rows("SELECT order_id, amount_fen FROM payments WHERE captured_at_ms IS NOT NULL"))
    wrong = [f"{id}: captured {times} times" for id, times in captured.items() if times != 1]
    for chain in acknowledged:
        if chain.order_id not in orders or fen.get(chain.order_id) != chain.payable_fen:
            wrong.append(f"{chain.order_id}: {chain.payable_fen} fen acknowledged, {fen.get(chain.order_id)} captured")
    unbalanced = money.rows("SELECT journal_id FROM entries GROUP BY journal_id HAVING SUM(amount_fen) <> 0")
    wrong += [f"{id}: does not balance" for (id,) in unbalanced]
    wanted: Counter[str] = Counter()
    decode = msgspec.json.Decoder(_Quote).decode
    for state, quote in orders.values():
        if state != "cancelled":
            for line in decode(quote).lines:
                wanted[line.dish_id] += line.quantity
    stock = core.rows("SELECT dish_id, SUM(held + sold) FROM portions GROUP BY dish_id HAVING SUM(held + sold) <> 0")
    if dict(stock) != dict(wanted):
        wrong.append(f"stock {sorted(stock)} where orders want {sorted(wanted.items())}")
    core.close()
    money.close()
    return sum(count for _, count in stock), wrong


def _cpu_s(node: Node) -> float:
    """Seconds of processor that the database has used."""
    fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def table(report: Report) -> str:
    """The report as a person reads it."""
    lines = [
        f"{report.orders_per_s:.0f} orders/s (rounds {' '.join(f'{rate:.0f}' for rate in report.rounds)}), "
        f"p50 {report.p50_ms} ms, p99 {report.p99_ms} ms, {report.connections} connections",
        f"processor us an order: Tuanzi {report.server_us_per_order}, MariaDB {report.database_us_per_order}, "
        f"generator {report.generator_us_per_order}",
        f"MariaDB: {report.flush_at_every_commit}, binary log {report.binary_log}",
        f"{report.orders} orders acknowledged, {report.portions_held} portions held",
    ]
    lines += [f"WRONG {line}" for line in report.wrong] or ["every order is there and paid once, stock is exact"]
    return "\n".join(lines)


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="measured, each time")
    parser.add_argument("--warmup", type=float, default=5.0, help="seconds before, each time")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binlog", action="store_true", help="with the binary log, flushed at every commit too")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tuanzi-bench-") as folder:
        report = measure(arguments, Path(folder))
    sys.stdout.write(table(report) + "\n")
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The rival of benchmarks/order_path is correct: a wrong rival would make any ratio worthless (issue 2, section 7)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from benchmarks.baseline.app import app
from benchmarks.baseline.prices import price, share, split
from benchmarks.baseline.seed import seed
from benchmarks.load import Acknowledged
from benchmarks.sums import wrong_sums

STUDENTS = 40
GROUPS = "/v1/campuses/beijing/groups"
CART = [
    {"dish_id": "d1", "quantity": 1},
    {"dish_id": "d2", "quantity": 2},
]  # 1036 + 2 x 1173 = 3382 fen, merchants 1, 2


class Campus:
    """The service with students who act by number."""

    def __init__(self, client: httpx.AsyncClient, folder: Path) -> None:
        self._client = client
        self.folder = folder

    async def open(self, student: int, *, key: str = "open", lines: object = None) -> httpx.Response:
        """Open a group."""
        return await self._post(
            GROUPS, student, key, {"campaign_id": "c1", "building_id": "b1", "lines": lines or CART}
        )

    async def join(self, student: int, group_id: str, *, key: str = "join") -> httpx.Response:
        """Join a group."""
        return await self._post(f"{GROUPS}/{group_id}/orders", student, key, {"lines": CART})

    async def pay(self, student: int, order_id: str, *, key: str = "pay") -> httpx.Response:
        """Pay an order."""
        return await self._post(f"/v1/campuses/beijing/orders/{order_id}/pay", student, key, {})

    async def status(self, student: int, order_id: str) -> httpx.Response:
        """Read an order."""
        headers = {"Authorization": f"Bearer {student:064x}"}
        return await self._client.get(f"/v1/campuses/beijing/orders/{order_id}", headers=headers)

    async def _post(self, path: str, student: int, key: str, body: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {student:064x}", "Idempotency-Key": key}
        return await self._client.post(path, json=body, headers=headers)

    def row(self, sql: str) -> Any:
        """The only row of a statement."""
        with closing(sqlite3.connect(self.folder / "baseline.db")) as connection:
            (row,) = connection.execute(sql).fetchall()
            return row


@pytest_asyncio.fixture
async def campus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Campus]:
    monkeypatch.setenv("BASELINE_DATA", str(tmp_path))
    await seed(tmp_path, students=STUDENTS)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://baseline") as client,
    ):
        yield Campus(client, tmp_path)


async def form_group(campus: Campus, first: int) -> list[tuple[int, dict[str, Any], dict[str, Any]]]:
    """Three students' chains in one group: student, answer to placing, answer to paying."""
    placed = [(await campus.open(first)).json()]
    placed += [(await campus.join(first + i, placed[0]["group_id"])).json() for i in (1, 2)]
    paid = [(await campus.pay(first + i, order["order_id"])).json() for i, order in enumerate(placed)]
    return [(first + i, placed[i], paid[i]) for i in range(3)]


async def test_the_third_payment_closes_the_group_with_an_exact_plan(campus: Campus) -> None:
    chains = await form_group(campus, 0)

    assert [placed["payable_fen"] for _, placed, _ in chains] == [3144, 3144, 3143]  # 3382 - 405 + 167, 167, 166
    assert [(paid["group_state"], paid["paid_count"]) for _, _, paid in chains] == [
        ("open", 1),
        ("open", 2),
        ("closed", 3),
    ]
    assert [paid["plan"] for _, _, paid in chains[:2]] == [None, None]
    plan = {(row["member_id"], row["merchant_id"]): row for row in chains[2][2]["plan"]}
    assert sorted(plan) == [(f"s{i}", merchant) for i in range(3) for merchant in ("m1", "m2")]
    assert [plan["s0", merchant]["payable_fen"] for merchant in ("m1", "m2")] == [1036 - 124 + 51, 2346 - 281 + 116]
    assert campus.row("SELECT COUNT(*), SUM(payable_fen) FROM sub_orders") == (6, 9431)


async def test_money_and_portions_add_up_after_many_concurrent_chains(campus: Campus) -> None:
    formed = await asyncio.gather(*(form_group(campus, first) for first in range(0, 36, 3)))

    acknowledged = [
        Acknowledged(placed["order_id"], placed["payable_fen"], student)
        for chains in formed
        for student, placed, _ in chains
    ]
    assert wrong_sums(campus.folder, acknowledged) == []
    assert campus.row("SELECT COUNT(*), SUM(amount_fen) FROM payments") == (36, 12 * 9431)
    assert campus.row("SELECT COUNT(*), SUM(amount_fen) FROM entries") == (72, 0)
    assert campus.row("SELECT held, sold FROM portions WHERE dish_id = 'd2'") == (0, 72)
    assert campus.row("SELECT COUNT(*) FROM groups WHERE state = 'closed' AND paid_count = 3") == (12,)


async def test_the_last_seats_go_to_two_of_many(campus: Campus) -> None:
    group_id = (await campus.open(0)).json()["group_id"]

    answers = await asyncio.gather(*(campus.join(student, group_id) for student in range(1, 21)))

    assert sorted(answer.status_code for answer in answers) == [201, 201] + [409] * 18
    assert campus.row("SELECT COUNT(*) FROM seats") == (3,)
    assert campus.row("SELECT held, sold FROM portions WHERE dish_id = 'd1'") == (3, 0)


async def test_a_repeated_key_gets_the_first_answer_and_changes_nothing(campus: Campus) -> None:
    placed = (await campus.open(0)).json()
    first = await campus.pay(0, placed["order_id"])

    again = await campus.pay(0, placed["order_id"])

    assert (again.status_code, again.content) == (200, first.content)
    assert campus.row("SELECT COUNT(*), SUM(amount_fen) FROM payments") == (1, placed["payable_fen"])


async def test_a_key_used_for_another_request_is_refused(campus: Campus) -> None:
    await campus.open(0, key="k")

    answer = await campus.open(0, key="k", lines=[{"dish_id": "d3", "quantity": 1}])

    assert answer.status_code == 422
    assert campus.row("SELECT COUNT(*) FROM groups") == (1,)


async def test_paying_twice_or_for_somebody_else_is_refused(campus: Campus) -> None:
    order_id = (await campus.open(0)).json()["order_id"]
    await campus.pay(0, order_id)

    twice, stranger = await campus.pay(0, order_id, key="other"), await campus.pay(1, order_id)

    assert (twice.status_code, stranger.status_code) == (409, 404)
    assert campus.row("SELECT COUNT(*) FROM payments") == (1,)


async def test_more_than_there_is_is_sold_out_and_changes_nothing(campus: Campus) -> None:
    with closing(sqlite3.connect(campus.folder / "baseline.db")) as connection:
        connection.execute("UPDATE portions SET total = 1 WHERE dish_id = 'd2'")
        connection.commit()

    answer = await campus.open(0)

    assert answer.status_code == 409
    assert campus.row("SELECT SUM(held), SUM(sold) FROM portions") == (0, 0)
    assert campus.row("SELECT COUNT(*) FROM groups") == (0,)


async def test_an_order_is_shown_to_its_member_only(campus: Campus) -> None:
    placed = (await campus.open(0)).json()

    mine, others = await campus.status(0, placed["order_id"]), await campus.status(1, placed["order_id"])

    assert mine.json() == {
        "order_id": placed["order_id"],
        "order_state": "created",
        "group_id": placed["group_id"],
        "payable_fen": 3144,
        "paid_fen": 0,
    }
    assert others.status_code == 404


def test_a_price_and_its_split_are_exact() -> None:
    cost = price([1036, 2346], percent_off=12, delivery_fee=500, size=3, seat_no=2)

    parts = split([("m1", 1036, cost.line_discounts[0]), ("m2", 2346, cost.line_discounts[1])], delivery=cost.delivery)

    assert share(500, [1, 1, 1]) == [167, 167, 166]
    assert (cost.items, cost.discount, cost.delivery, cost.payable) == (3382, 405, 166, 3143)
    assert cost.line_discounts == [124, 281]
    assert sum(part.payable for part in parts) == 3143


def test_sums_that_do_not_agree_are_found(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "some.db")) as connection:
        connection.executescript(
            """
            CREATE TABLE payments (order_id, amount_fen, captured_at_ms);
            CREATE TABLE entries (journal_id, amount_fen);
            CREATE TABLE orders (group_id);
            CREATE TABLE sub_orders (order_id, payable_fen);
            INSERT INTO payments VALUES ('twice', 5, 1), ('twice', 5, 1), ('split', 7, 1), ('unpaid', 9, NULL);
            INSERT INTO entries VALUES ('even', 5), ('even', -5), ('odd', 5), ('odd', -4);
            INSERT INTO orders VALUES ('g'), ('g'), ('g'), ('g');
            INSERT INTO sub_orders VALUES ('split', 3), ('split', 3);
            """
        )

    wrong = wrong_sums(tmp_path, [Acknowledged("unpaid", 9, 0), Acknowledged("twice", 5, 1)])

    assert wrong == [
        "twice: captured twice",
        "unpaid: 9 fen acknowledged, None captured",
        "odd: off by 1 fen",
        "g: 4 orders in 3 seats",
        "split: 6 fen planned, 7 paid",
    ]

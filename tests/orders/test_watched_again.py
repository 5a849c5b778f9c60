"""What was split before shops were watched is watched from the upgrade on (B8, B9; migration core/0022)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.heart import Campus
from tests.orders.test_acceptance import split, states
from tuanzi.base.time import to_ms
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.events import SubOrdersLate, SubOrdersUnready
from tuanzi.orders import OrderState, SubStep
from tuanzi.orders.service import WatchAcceptance

WATCHES = "SELECT id, due_at_ms, command, body, attempts FROM timers WHERE command LIKE 'orders.Watch%' ORDER BY id"


def migration(folder: str, name: str) -> str:
    """The text of a migration."""
    return (resources.files("tuanzi.migrations") / f"{folder}/{name}.sql").read_text(encoding="utf-8")


def upgrade(campus: Campus) -> None:
    """The campus was split by a release without watches; this one is started on its database."""
    core = campus.core.database
    core.execute_script("DELETE FROM timers WHERE command LIKE 'orders.Watch%';")
    ready_terms = (
        f"UPDATE schema_migrations SET applied_at_ms = {to_ms(campus.now)} WHERE name = 'core/0020_ready_terms';"
    )
    core.execute_script(ready_terms)
    core.execute_script(migration("core", "0022_watches_of_open_splits"))
    campus.kill()


def test_what_nobody_accepts_after_the_upgrade_goes_back(campus: Campus) -> None:
    _, order_ids = split(campus)
    campus.pass_time(minutes=1)
    upgrade(campus)

    campus.pass_time(minutes=5)
    assert len(campus.told(SubOrdersLate)) == 2
    campus.pass_time(minutes=15)

    assert set(states(campus, *order_ids)) == {"rejected"}
    campus.settle_refunds()
    assert {campus.order(order_id).state for order_id in order_ids} == {OrderState.REFUNDED}


def test_a_shop_has_its_time_from_the_upgrade_on_however_long_ago_it_was_split(campus: Campus) -> None:
    _, order_ids = split(campus)
    campus.core.database.execute_script("DELETE FROM timers WHERE command LIKE 'orders.Watch%';")
    campus.kill()
    campus.pass_time(hours=9)
    upgrade(campus)

    campus.pass_time(minutes=15, seconds=-1)
    assert set(states(campus, *order_ids)) == {"planned"}
    campus.pass_time(seconds=1)

    assert set(states(campus, *order_ids)) == {"rejected"}


def test_what_was_accepted_before_the_upgrade_is_late_to_be_ready_and_told_once(campus: Campus) -> None:
    _, order_ids = split(campus)
    for order_id in order_ids:
        for sub in campus.sub_orders(order_id):
            campus.advance(sub.id, SubStep.ACCEPT)
    campus.pass_time(minutes=1)
    upgrade(campus)

    campus.pass_time(hours=5)

    unready = [id for event in campus.told(SubOrdersUnready) for id in event.sub_order_ids]
    assert sorted(unready) == sorted(sub.id for order_id in order_ids for sub in campus.sub_orders(order_id))
    assert campus.told(SubOrdersLate) == []


def test_what_is_watched_or_made_already_is_left_alone(campus: Campus) -> None:
    split(campus)
    watched = campus.rows(WATCHES)
    done = [order_id for order_id in split(campus)[1]]
    for order_id in done:
        for sub in campus.sub_orders(order_id):
            campus.advance(sub.id, SubStep.ACCEPT, SubStep.COOK, SubStep.READY)
    core = campus.core.database
    core.execute_script("UPDATE schema_migrations SET applied_at_ms = 9e15 WHERE name = 'core/0020_ready_terms';")
    core.execute_script(f"DELETE FROM timers WHERE command LIKE 'orders.Watch%' AND id <> '{watched[0][0]}';")

    core.execute_script(migration("core", "0022_watches_of_open_splits"))

    assert campus.rows(WATCHES) == watched


def test_what_this_release_split_is_not_watched_a_second_time(campus: Campus) -> None:
    split(campus)
    core = campus.core.database
    core.execute_script("DELETE FROM timers WHERE command LIKE 'orders.Watch%';")

    core.execute_script(migration("core", "0022_watches_of_open_splits"))

    assert campus.rows(WATCHES) == []


@pytest.fixture
def campus() -> Campus:
    return Campus()


OLD = """
CREATE TABLE schema_migrations (name VARCHAR(120) NOT NULL PRIMARY KEY, applied_at_ms BIGINT NOT NULL);
INSERT INTO schema_migrations VALUES ('core/0018_acceptance_terms', 900), ('core/0020_ready_terms', 1000);
INSERT INTO sub_orders VALUES ('o_1.1', 'o_1', 'g_1', 'm', 's', 'b', 'lunch', 'planned', '[]', 1, 0, 0, 1, 500, NULL),
    ('o_1.2', 'o_1', 'g_1', 'm', 's', 'b', 'lunch', 'cooking', '[]', 1, 0, 0, 1, 500, NULL),
    ('o_2.1', 'o_2', 'g_1', 'm', 's', 'b', 'lunch', 'accepted', '[]', 1, 0, 0, 1, 400, NULL),
    ('o_3.1', 'o_3', 'g_1', 'm', 's', 'b', 'lunch', 'ready', '[]', 1, 0, 0, 1, 500, NULL),
    ('o_4.1', 'o_4', 'g_2', 'm', 's', 'b', 'lunch', 'delivered', '[]', 1, 0, 0, 1, 500, NULL),
    ('o_5.1', 'o_5', 'g_3', 'm', 's', 'b', 'lunch', 'planned', '[]', 1, 0, 0, 1, 1000, NULL),
    ('o_6.1', 'o_6', 'g_4', 'm', 's', 'b', 'lunch', 'planned', '[]', 1, 0, 0, 1, 500, NULL),
    ('o_7.1', 'o_7', 'g_5', 'm', 's', 'b', 'lunch', 'cooking', '[]', 1, 0, 0, 1, 500, NULL);
INSERT INTO timers VALUES ('accept:g_4', 7, 'orders.WatchAcceptance', '{}', 0),
    ('ready:g_5', 8, 'orders.WatchReadiness', '{}', 0);
"""


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Sub-orders of the release before."""
    is_file = request.param == "sqlite"
    made = Sqlite(tmp_path / "core.db") if is_file else MariaDb(request.getfixturevalue("site").address())
    made.execute_script(migration("every", "0001_machinery"))
    made.execute_script(migration("core", "0005_orders"))
    made.execute_script(OLD)
    yield made
    made.close()


def test_every_open_split_without_a_watch_gets_one_on_every_engine(database: Any) -> None:
    database.execute_script(migration("core", "0022_watches_of_open_splits"))

    rows = database.rows(WATCHES)
    assert [(id, due_at_ms) for id, due_at_ms, *_ in rows] == [
        ("accept:g_1", 300_400),
        ("accept:g_4", 7),
        ("ready:g_5", 8),
    ]
    _, _, command, body, attempts = rows[0]
    watch = msgspec.json.decode(body, type=WatchAcceptance)
    assert (command, attempts, watch.group_id, sorted(watch.order_ids)) == (
        "orders.WatchAcceptance",
        0,
        "g_1",
        ["o_1", "o_2"],
    )
    assert (watch.late, watch.is_again) == ((), False)

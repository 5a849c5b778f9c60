"""B1, J5: on the real writer and SQLite a campus is imported from its file, and all of it is found after a restart."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.afresh import carried_out
from tests.catalog.campus import NOON, OPERATOR
from tuanzi import catalog, wiring
from tuanzi.base.ids import CampaignId, CampusId
from tuanzi.catalog import CampaignEntry, CampaignState, ImportCatalog, ImportKind, PutCampaign
from tuanzi.catalog.problems import CampaignStepRefused, ImportRefused
from tuanzi.catalog.store import TABLES, campaign_entry
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.writer import Outcome

ROOM = catalog.room()
SCHEMA = wiring.schema_of("core", [ROOM])
FILE = Path(__file__).parents[2] / "src/simulation/campuses/beijing.json"


@pytest.fixture
def database() -> Sqlite:
    """A campus's database, as a release makes it."""
    return wiring.open_database(None, "core", now=NOON)


def do(database: Sqlite, command: Any, *, now: datetime = NOON) -> Outcome:
    """Carry a command out by a writer that has just started and remembers nothing."""
    return carried_out(command, schema=SCHEMA, database=database, now=now)


def load_file(content: str, kind: ImportKind = ImportKind.CATALOG) -> ImportCatalog:
    return ImportCatalog(campus_id=CampusId("beijing"), kind=kind, content=content, is_dry_run=False, by=OPERATOR)


def counts(database: Sqlite) -> dict[str, int]:
    return {table.name: len(database.rows(f"SELECT id FROM {table.name}", {})) for table in TABLES}


def entry_of(database: Sqlite, campaign_id: str) -> CampaignEntry:
    [row] = database.rows(
        "SELECT id, name_zh, name_en, tiers, merchant_ids, building_ids, period_ids, starts_at_ms, ends_at_ms,"
        " group_lasts_minutes, pay_within_s, per_order_limit, per_user_limit, delivery_fee_fen, state, guest_campuses"
        " FROM campaigns WHERE id = :id",
        {"id": CampaignId(campaign_id)},
    )
    [campaigns] = [table for table in TABLES if table.name == "campaigns"]
    return campaign_entry(campaigns.from_row(row))


def test_a_campus_is_imported_and_imported_again(database: Sqlite) -> None:
    command = load_file(FILE.read_text())

    outcomes = [do(database, command), do(database, command)]

    assert [outcome.problem for outcome in outcomes] == [None, None]
    assert counts(database) == {
        "campuses": 1,
        "buildings": 18,
        "merchants": 12,
        "dishes": 83,
        "meal_periods": 4,
        "campaigns": 5,
    }


def test_rows_refer_to_what_only_the_database_knows(database: Sqlite) -> None:
    do(database, load_file(FILE.read_text()))
    header = "id,merchant_id,name_zh,name_en,price_fen,portions_per_meal,items\n"
    rows = "".join(f"new-{i},bj-m{i:02d},新菜,New,1000,9,bj-m{i:02d}-d01*1\n" for i in range(1, 13))

    kept = do(database, load_file(header + rows, ImportKind.DISHES))
    refused = do(database, load_file(header + rows + "new-13,bj-m13,新菜,New,1000,9,\n", ImportKind.DISHES))

    assert kept.problem is None
    assert isinstance(refused.problem, ImportRefused)
    assert [error["row"] for error in refused.problem.facts["errors"]] == [14]  # type: ignore[attr-defined]
    assert counts(database)["dishes"] == 83 + 12


def test_a_campaign_ends_once_and_for_all(database: Sqlite) -> None:
    do(database, load_file(FILE.read_text()))
    live = entry_of(database, "bj-ladder")
    ended = msgspec.structs.replace(live, state=CampaignState.ENDED)

    first = do(database, PutCampaign(campaign=ended, by=OPERATOR))
    second = do(database, PutCampaign(campaign=live, by=OPERATOR))

    assert first.problem is None
    assert isinstance(second.problem, CampaignStepRefused)


def test_the_migrations_make_the_columns_of_the_tables(database: Sqlite) -> None:
    for table in TABLES:
        described = database.rows(f"SELECT name FROM pragma_table_info('{table.name}') ORDER BY cid", {})
        assert tuple(name for (name,) in described) == table.columns

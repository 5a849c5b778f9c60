"""B1, J5: a file is imported wholly or not at all, and every bad row is named."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench_unit import BenchUnit
from tests.catalog.campus import BEIJING, CAMPUS, DAY, EVERYTHING, NOON, OPERATOR, new_unit
from tuanzi import catalog
from tuanzi.base.ids import CampaignId, CampusId
from tuanzi.catalog import Dish, ImportCatalog, ImportKind, ImportRefused, Merchant, RowError
from tuanzi.catalog.problems import ImportTooLarge
from tuanzi.catalog.store import DAYS, IMPORT_BYTES_MAX, DishEntry, MerchantEntry, csv_columns, read_sheet
from tuanzi.events import CatalogChanged

CAMPUSES = Path(__file__).parents[2] / "src/simulation/campuses"
DISHES = "id,merchant_id,name_zh,name_en,price_fen,portions_per_meal,is_on_sale,is_addon,items,tags\n"
GOOD = "egg,noodles,卤蛋,Egg,600,100,true,false,,\n"


def command(kind: ImportKind, content: str, *, dry: bool = False, campus_id: str = BEIJING) -> ImportCatalog:
    return ImportCatalog(campus_id=CampusId(campus_id), kind=kind, content=content, is_dry_run=dry, by=OPERATOR)


def run(unit: BenchUnit, command: ImportCatalog) -> catalog.Imported:
    answer = catalog.room().commands[ImportCatalog](unit, command, now=NOON)
    assert isinstance(answer, catalog.Imported)
    return answer


def errors_of(kind: ImportKind, content: str) -> list[tuple[int, str, str, str]]:
    """What a dry run finds: (row, column, code without the room, value)."""
    errors = run(new_unit(*EVERYTHING), command(kind, content, dry=True)).errors
    return [(error.row, error.column, error.code.removeprefix("catalog/"), error.value) for error in errors]


def write_csv(columns: tuple[str, ...], rows: list[dict[str, str]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def test_dishes_come_from_csv() -> None:
    unit = new_unit(*EVERYTHING)
    content = DISHES + GOOD + 'set,noodles,"面, 蛋套餐",Set,2600,50,true,false,beef*1|egg*2,套餐|招牌\n'

    answer = run(unit, command(ImportKind.DISHES, content))

    assert answer == catalog.Imported(is_kept=True, rows_total=2, counts={"dishes": 2}, errors=(), errors_total=0)
    dish = unit.load(Dish, "set")
    assert (dish.name_zh, dish.price.fen, dish.tags) == ("面, 蛋套餐", 2600, ("套餐", "招牌"))
    assert [(item.dish_id, item.quantity) for item in dish.items] == [("beef", 1), ("egg", 2)]
    assert unit.events == [CatalogChanged(kind="dish", id="egg"), CatalogChanged(kind="dish", id="set")]


def test_merchants_and_buildings_come_from_csv() -> None:
    unit = new_unit(CAMPUS)
    merchants = (
        "id,name_zh,name_en,latitude_e6,longitude_e6,delivery_fee_fen,min_order_fen," + ",".join(DAYS) + "\n"
        "rice,盖饭,Rice,40001000,116001000,300,0," + "10:00-14:00 16:00-26:00," * 5 + ",\n"
    )
    buildings = (
        "\ufeffkind,id,name_zh,name_en,latitude_e6,longitude_e6,residents\r\n"
        "dorm,d9,九号楼,Nine,40001000,116001000,1\r\n"
    )

    run(unit, command(ImportKind.MERCHANTS, merchants))
    run(unit, command(ImportKind.BUILDINGS, buildings))

    assert unit.load(Merchant, "rice").hours == (DAY, DAY, DAY, DAY, DAY, (), ())
    assert unit.load(catalog.Building, "d9").kind is catalog.BuildingKind.DORM


def test_one_bad_row_keeps_all_out() -> None:
    unit = new_unit(*EVERYTHING)
    before = dict(unit.values)

    with pytest.raises(ImportRefused) as raised:
        run(unit, command(ImportKind.DISHES, DISHES + GOOD + "bad,noodles,坏,Bad,zero,1,true,false,,\n"))

    assert raised.value.facts == {
        "errors": [
            {
                "kind": "dishes",
                "row": 3,
                "column": "price_fen",
                "code": "catalog/cell-invalid",
                "reason": "must be a whole number, not text",
                "reason_zh": "应为整数，收到的是文字",
                "value": "zero",
            }
        ],
        "errors_total": 1,
    }
    assert (unit.values, unit.events) == (before, [])


def test_a_dry_run_says_the_same_and_keeps_nothing() -> None:
    unit = new_unit(*EVERYTHING)
    before = dict(unit.values)

    good = run(unit, command(ImportKind.DISHES, DISHES + GOOD, dry=True))
    bad = run(unit, command(ImportKind.DISHES, DISHES + GOOD + "egg", dry=True))

    assert good == catalog.Imported(is_kept=False, rows_total=1, counts={"dishes": 1}, errors=(), errors_total=0)
    assert bad.errors == (
        RowError(
            kind="dishes",
            row=3,
            column="",
            code="catalog/cell-invalid",
            reason="10 cells are expected, not 1.",
            reason_zh="应有 10 格，实有 1 格",
            value="egg",
        ),
    )
    assert (unit.values, unit.events) == (before, [])


def test_every_bad_cell_of_every_row_is_named() -> None:
    content = DISHES + (
        "a,noodles,甲,A,many,-1.5,maybe,false,,\n"
        "b,noodles,乙,B,0,1,true,false,,\n"
        "c,noodles,丙,C,100,1,true,false,beef*x,\n"
        "d,nobody,丁,D,100,1,true,false,,\n"
        "e,noodles,,E,100,1,true,false,,\n"
        "e,noodles,戊,E,100,1,true,false,,\n"
        "e,noodles,戊,E,100,1,true,false,,\n"
        "f,tea,己,F,100,1,true,false,beef*1,\n"
        "G!,tea,庚,G,100,1,true,false,,\n"
    )

    assert errors_of(ImportKind.DISHES, content) == [
        (2, "price_fen", "cell-invalid", "many"),
        (2, "portions_per_meal", "cell-invalid", "-1.5"),
        (2, "is_on_sale", "cell-invalid", "maybe"),
        (3, "price_fen", "number-out-of-bounds", "0"),
        (4, "items[0].quantity", "cell-invalid", '[{"dish_id":"beef","quantity":"x"}]'),
        (5, "merchant_id", "reference-unknown", "nobody"),
        (6, "name_zh", "name-invalid", ""),
        (8, "id", "given-twice", "e"),
        (9, "items", "set-meal-invalid", "beef"),
        (10, "id", "id-invalid", "G!"),
    ]


@pytest.mark.parametrize("cell", ["10:00", "10-14", "10:0-14:00", "10:60-11:00", "a:00-b:00", "1:00-2:00-3:00", "-"])
def test_hours_that_cannot_be_read_name_their_day(cell: str) -> None:
    content = (
        "id,name_zh,name_en,latitude_e6,longitude_e6,delivery_fee_fen,min_order_fen," + ",".join(DAYS) + "\n"
        f"rice,盖饭,Rice,40001000,116001000,300,0,,,{cell},,,,\n"
    )

    assert errors_of(ImportKind.MERCHANTS, content) == [(2, "wednesday", "hours-invalid", cell)]


def test_hours_that_cannot_be_name_their_day_too() -> None:
    content = (
        "id,name_zh,name_en,latitude_e6,longitude_e6,delivery_fee_fen,min_order_fen," + ",".join(DAYS) + "\n"
        "rice,盖饭,Rice,40001000,116001000,300,0,,,,,,,14:00-10:00\n"
    )

    assert errors_of(ImportKind.MERCHANTS, content) == [(2, "sunday", "hours-invalid", "840-600")]


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        ("", [(1, name, "cell-invalid", "") for name in ("id", "kind", "name_zh", "name_en", "latitude_e6",
                                                          "longitude_e6", "residents")]),
        (
            "id,kind,name_zh,name_en,latitude_e6,longitude_e6,residents,id,colour\nd2,tent,1,2,3,4,5,6,7\n",
            [(1, "id", "cell-invalid", "id"), (1, "colour", "cell-invalid", "colour")],
        ),
        ('id,"kind\n', [(0, "", "cell-invalid", "")]),
    ],
)  # fmt: skip
def test_a_file_without_its_columns_is_refused(content: str, errors: list[tuple[int, str, str, str]]) -> None:
    assert sorted(errors_of(ImportKind.BUILDINGS, content)) == sorted(errors)


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        ("{", [(0, "", "cell-invalid", "")]),
        ("[]", [(0, "", "cell-invalid", "")]),
        ('{"dish": []}', [(0, "dish", "cell-invalid", "")]),
        ('{"dishes": {}}', [(0, "dishes", "cell-invalid", "{}")]),
        ('{"dishes": [7]}', [(1, "", "cell-invalid", "7")]),
        ('{"campus": null}', [(1, "", "cell-invalid", "null")]),
        (
            '{"buildings": [{"id": "x", "kind": "tent", "colour": "red"}]}',
            [
                (1, "kind", "cell-invalid", "tent"),
                *((1, name, "cell-invalid", "") for name in ("name_zh", "name_en", "latitude_e6", "longitude_e6")),
                (1, "residents", "cell-invalid", ""),
                (1, "colour", "cell-invalid", "red"),
            ],
        ),
        ('{"dishes": [{"id": "x", "price_fen": "600"}]}', [
            *((1, name, "cell-invalid", "") for name in ("merchant_id", "name_zh", "name_en")),
            (1, "price_fen", "cell-invalid", "600"),
            (1, "portions_per_meal", "cell-invalid", ""),
        ]),
        ('{"dishes": [' + "[" * 2000 + "]" * 2000 + "]}", [(0, "", "cell-invalid", "")]),
    ],
)  # fmt: skip
def test_json_that_is_no_catalog_is_refused(content: str, errors: list[tuple[int, str, str, str]]) -> None:
    assert errors_of(ImportKind.CATALOG, content) == errors


def test_a_number_too_large_for_json_is_a_bad_cell() -> None:
    dish = msgspec.to_builtins(DishEntry(
        id="x", merchant_id="noodles", name_zh="面", name_en="X", price_fen=1, portions_per_meal=1
    ))  # fmt: skip
    content = msgspec.json.encode({"dishes": [dish]}).decode().replace('"price_fen":1,', f'"price_fen":{10**30},')

    assert errors_of(ImportKind.CATALOG, content) == [(1, "price_fen", "cell-invalid", str(10**30))]


def test_another_campus_is_refused() -> None:
    content = msgspec.json.encode({"campus": CAMPUS}).decode()

    answer = run(new_unit(), command(ImportKind.CATALOG, content, dry=True, campus_id="shanghai"))

    assert [(error.row, error.column, error.code, error.value) for error in answer.errors] == [
        (1, "id", "catalog/id-mismatch", "beijing")
    ]


def test_an_import_is_bounded_in_rows_and_bytes() -> None:
    header = "id,kind,name_zh,name_en,latitude_e6,longitude_e6,residents\n"
    row = "dorm,楼,B,40001000,116001000,1\n"
    most = header + "".join(f"d{i},{row}" for i in range(5000))

    assert len(read_sheet(ImportKind.BUILDINGS, most).rows) == 5000
    for kind, content in (
        (ImportKind.BUILDINGS, most + f"d5000,{row}"),
        (ImportKind.CATALOG, msgspec.json.encode({"dishes": [1] * 2500, "merchants": [1] * 2501}).decode()),
        (ImportKind.CATALOG, "楼" * (IMPORT_BYTES_MAX // 3 + 1)),
        (ImportKind.CATALOG, " " * (IMPORT_BYTES_MAX + 1)),
    ):
        with pytest.raises(ImportTooLarge) as raised:
            read_sheet(kind, content)
        assert raised.value.facts == {"bytes_max": 2_097_152, "rows_max": 5000}


@pytest.mark.parametrize("campus_id", ["beijing", "shanghai"])
def test_the_demo_campuses_import_without_an_error(campus_id: str) -> None:
    unit = new_unit()
    content = (CAMPUSES / f"{campus_id}.json").read_text()

    answer = run(unit, command(ImportKind.CATALOG, content, campus_id=campus_id))

    dishes = [value for value in unit.values.values() if isinstance(value, Dish)]
    assert (answer.errors, answer.is_kept) == ((), True)
    assert answer.counts == {
        "campus": 1,
        "buildings": 18,
        "periods": 4,
        "merchants": 12,
        "dishes": len(dishes),
        "campaigns": 5,
    }
    assert [dish.price.fen for dish in dishes if dish.is_addon] == [100]
    assert all(600 <= dish.price.fen <= 4800 for dish in dishes if not dish.is_addon)
    assert any(dish.items for dish in dishes)


@pytest.mark.parametrize(("campus_id", "prefix"), [("beijing", "bj"), ("shanghai", "sh")])
def test_a_demo_campus_sells_lunch_and_a_night_snack(campus_id: str, prefix: str) -> None:
    unit = new_unit()
    content = (CAMPUSES / f"{campus_id}.json").read_text()
    run(unit, command(ImportKind.CATALOG, content, campus_id=campus_id))
    dishes = [value for value in unit.values.values() if isinstance(value, Dish)]

    for campaign_id, now in ((f"{prefix}-ladder", NOON), (f"{prefix}-night-dorm", NOON.replace(hour=14))):
        campaign = catalog.load_campaign_for_opening(unit, CampaignId(campaign_id), now=now)
        meal = catalog.load_meal_for_opening(unit, campaign, now=now)
        ids = [dish.id for dish in dishes if dish.merchant_id in campaign.merchant_ids]
        found = catalog.dishes_for_cart(unit, ids, merchant_ids=campaign.merchant_ids, now=now)
        assert len(found) == len(ids) > 10
        assert meal.period_id in campaign.period_ids


names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
ids = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
tags = st.lists(names.filter(lambda tag: "|" not in tag), max_size=3, unique=True)
fen = st.integers(1, 100_000)


@given(st.lists(st.tuples(ids, names, names, fen, st.booleans(), tags), max_size=5, unique_by=lambda row: row[0]))
def test_dishes_written_as_csv_read_back(rows: list[tuple[Any, ...]]) -> None:
    entries = [
        DishEntry(id=id, merchant_id="m", name_zh=zh, name_en=en, price_fen=price, portions_per_meal=1,
                  is_on_sale=flag, items=(catalog.SetMealItem(dish_id="other_", quantity=2),), tags=tuple(words))
        for id, zh, en, price, flag, words in rows
    ]  # fmt: skip
    cells = [
        {**msgspec.to_builtins(entry), "is_on_sale": str(entry.is_on_sale).lower(), "is_addon": "0",
         "items": "other_*2", "tags": "|".join(entry.tags)}
        for entry in entries
    ]  # fmt: skip

    sheet = read_sheet(ImportKind.DISHES, write_csv(csv_columns(ImportKind.DISHES)[1], cells))

    assert sheet.errors == ()
    assert [row.value for row in sheet.rows] == [entry.value() for entry in entries]


spans = st.lists(st.integers(0, 1439), min_size=0, max_size=8, unique=True).map(sorted).map(
    lambda cuts: tuple(
        catalog.OpenSpan(opens_minute=a, closes_minute=b) for a, b in zip(cuts[::2], cuts[1::2], strict=False)
    )
)  # fmt: skip


@given(st.tuples(*[spans] * 7))
def test_hours_written_as_csv_read_back(week: tuple[tuple[catalog.OpenSpan, ...], ...]) -> None:
    entry = MerchantEntry(id="m", name_zh="店", name_en="M", latitude_e6=1, longitude_e6=2, hours=week,
                          delivery_fee_fen=3, min_order_fen=4)  # fmt: skip
    cells = {name: str(value) for name, value in msgspec.structs.asdict(entry).items() if name != "hours"}
    for day, opened in zip(DAYS, week, strict=True):
        cells[day] = " ".join(
            "-".join(f"{minute // 60}:{minute % 60:02d}" for minute in (span.opens_minute, span.closes_minute))
            for span in opened
        )

    sheet = read_sheet(ImportKind.MERCHANTS, write_csv(csv_columns(ImportKind.MERCHANTS)[1], [cells]))

    assert sheet.errors == ()
    assert sheet.rows[0].value == entry.value()


@given(st.sampled_from(ImportKind), st.text(max_size=200))
def test_no_text_breaks_the_reading(kind: ImportKind, content: str) -> None:
    sheet = read_sheet(kind, content)

    assert msgspec.json.encode(sheet.errors)

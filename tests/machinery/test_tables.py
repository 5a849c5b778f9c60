"""Rows are made where batches are decided and, on MariaDB, where they are kept: by several threads at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tuanzi.machinery.tables import table


class Shelf(msgspec.Struct, frozen=True):
    """A row with a list that many rows have alike."""

    id: str
    books: tuple[int, ...]


@pytest.fixture
def hurry() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hurry")
def test_threads_that_write_the_same_values_at_once_write_each_as_it_is() -> None:
    shelves = table("shelves", Shelf, key="id", alike=("books",))
    # More than are remembered, so that some are let go of all the time.
    rows = [Shelf(id=str(i), books=(i, i + 1)) for i in range(5_000)]

    def write(_: int) -> list[tuple[object, ...]]:
        return [shelves.to_row(row) for row in rows for _ in range(2)]

    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(write, range(12)))

    wanted = [(str(i), f"[{i},{i + 1}]") for i in range(5_000) for _ in range(2)]
    assert all(rows == wanted for rows in written)


def test_a_text_that_changes_its_length_a_little_is_kept_in_as_many_characters() -> None:
    shelves = table("shelves", Shelf, key="id", padded={"books": 16})
    some = [Shelf(id="a", books=books) for books in ((), (1, 2, 3), tuple(range(8)))]

    rows = [shelves.to_row(shelf) for shelf in some]

    assert [row[1] for row in rows] == ["[]" + 14 * " ", "[1,2,3]" + 9 * " ", "[0,1,2,3,4,5,6,7]" + 15 * " "]
    assert [shelves.from_row(row) for row in rows] == some

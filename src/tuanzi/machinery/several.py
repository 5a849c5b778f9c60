"""Asking for several rows by their ids in one statement: `... WHERE id IN (` + SEVERAL + `) ...`, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

# Our choice: one statement serves all pages, so that it stays prepared; a short page repeats its last id.
AT_ONCE = 100

SEVERAL = ", ".join(f":id{i}" for i in range(AT_ONCE))


def several(ids: Sequence[str]) -> Iterator[dict[str, str]]:
    """The slots of SEVERAL, page by page; none for no ids."""
    for i in range(0, len(ids), AT_ONCE):
        page = ids[i : i + AT_ONCE]
        padded = (*page, *[page[-1]] * (AT_ONCE - len(page)))
        yield {f"id{n}": id for n, id in enumerate(padded)}

"""Asking for several rows by their ids in one statement: `... WHERE id IN (` + SEVERAL + `) ...`, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

# Our choice: one statement serves all pages, so that it stays prepared; a short page repeats its last id.
AT_ONCE = 100

SEVERAL = ", ".join(f":id{i}" for i in range(AT_ONCE))

# The same ids as a table, `FROM a CROSS JOIN ` + SEVERAL_ROWS + ` AS s`, whose column is `id`: for a key of which they
# are a later part. MariaDB looks into it for each row of a table, but for a list reads all that the first part has.
SEVERAL_ROWS = "(" + " UNION ".join(f"SELECT :id{i} AS id" for i in range(AT_ONCE)) + ")"

# Our choice: for ids that come together by chance; a hundred would mostly be the last of them again and again.
FEW_AT_ONCE = 16
FEW = ", ".join(f":id{i}" for i in range(FEW_AT_ONCE))


def several(ids: Sequence[str], *, at_once: int = AT_ONCE) -> Iterator[dict[str, str]]:
    """The slots of SEVERAL, or of FEW, page by page; none for no ids."""
    for i in range(0, len(ids), at_once):
        page = ids[i : i + at_once]
        padded = (*page, *[page[-1]] * (at_once - len(page)))
        yield {f"id{n}": id for n, id in enumerate(padded)}

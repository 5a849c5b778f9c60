"""Applies the numbered SQL files of `tuanzi.migrations` when a database is opened."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from importlib import resources
from typing import Protocol

from tuanzi.base.time import to_ms
from tuanzi.machinery.database import Database

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name VARCHAR(120) NOT NULL PRIMARY KEY,
    digest VARCHAR(64) NOT NULL,
    applied_at_ms BIGINT NOT NULL
);
"""


class Migratable(Database, Protocol):
    """A database whose schema can be changed."""

    def execute_script(self, script: str) -> None:
        """Run statements as one transaction."""

    def take_over(self) -> None:
        """Be the one that writes here; what a predecessor had not committed is undone, and he hears Fenced."""

    def alone(self) -> AbstractContextManager[None]:
        """No other process that asks for this is in it meanwhile; for migrations."""


class MigrationChanged(Exception):
    """A released migration differs from what this database was made with: history was edited."""


def migrate(database: Migratable, folders: Sequence[str], *, now: datetime) -> list[str]:
    """Bring a database to this release by the files of `folders`, e.g. ("every", "core"); gives the names applied.

    A repeat applies nothing. Each file is applied in one transaction together with its note, so a crash leaves
    either. Raises MigrationChanged when a file applied earlier has been edited.
    """
    with database.alone():
        return _migrate(database, folders, now=now)


def _migrate(database: Migratable, folders: Sequence[str], *, now: datetime) -> list[str]:
    database.execute_script(_LEDGER)
    rows = database.rows("SELECT name, digest FROM schema_migrations ORDER BY name")
    kept = {str(name): str(digest) for name, digest in rows}
    for name in kept:
        if name.partition("/")[0] not in folders:
            raise MigrationChanged(f"{name}: this is a database of another kind")
    applied = []
    for name, script, digest in released(folders):
        if name in kept:
            if kept[name] != digest:
                raise MigrationChanged(name)
            continue
        note = f"INSERT INTO schema_migrations VALUES ('{name}', '{digest}', {to_ms(now)});"
        database.execute_script(f"{script}\n{note}")
        applied.append(name)
    return applied


def released(folders: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """The migrations of this release in their order: name, script, and its digest."""
    for folder in folders:
        files = resources.files("tuanzi.migrations") / folder
        for file in sorted(files.iterdir(), key=lambda each: each.name):
            if file.name.endswith(".sql"):
                script = file.read_text(encoding="utf-8")
                digest = hashlib.sha256(script.encode()).hexdigest()
                yield f"{folder}/{file.name.removesuffix('.sql')}", script, digest

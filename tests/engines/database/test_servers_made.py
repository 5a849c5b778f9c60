"""E1: servers for tests are made side by side, and none is in another's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.maria import Maria


def test_who_makes_servers_leaves_alone_what_others_are_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that starts removes every temporary table of its folder, as it cannot know whose they are."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    foreign = tmp_path / "#sql-temptable-4e9-1-8.MAD"
    foreign.touch()

    Maria(tmp_path / "servers", is_durable=False)._template()

    assert foreign.exists()

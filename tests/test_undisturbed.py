"""The clock by which limits on time are told from a busy machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.undisturbed import Undisturbed


def test_the_clock_does_not_jump_ahead_when_a_thread_ends_that_had_to_wait(tmp_path: Path) -> None:
    thread = tmp_path / "task" / "7"
    thread.mkdir(parents=True)
    (thread / "schedstat").write_text("1000 90000000000 12")
    clock = Undisturbed(of_all_threads=True)
    clock._folders = [tmp_path]

    before = clock()
    shutil.rmtree(thread)

    assert clock() - before < 60

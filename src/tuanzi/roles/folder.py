"""The lock of a data folder: whose process may write there (D3)."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import TextIO

# Our choice: a commit takes some 20 ms, and one of a full batch on a busy disk a second.
LAST_BATCH_S_MAX = 5.0


class FolderLock:
    """The folder's lock, held for as long as the process or its scribe writes there; None when another has it.

    The scribe of a process that was killed writes its last batch to the end: that much is waited for.
    """

    def __init__(self, data: Path) -> None:
        self._path = data / "lock"

    def __enter__(self) -> TextIO | None:
        self._file = self._path.open("w")
        until = time.monotonic() + LAST_BATCH_S_MAX
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self._file
            except BlockingIOError:
                if time.monotonic() > until:
                    return None
                time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def held_by_another(data: Path) -> str:
    """What is said then."""
    return f"another process is using {data}; stop it, or set TUANZI_DATA to another folder"

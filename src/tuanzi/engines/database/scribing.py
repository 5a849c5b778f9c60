"""The scribe: the process that writes batches into SQLite files, and does nothing else (decision 0018).

`python -m tuanzi.engines.database.scribing N`: the descriptor N is the end of a socket over which come the files'
paths, each with the descriptor of a line for its batches. For each line it has a child, its copy, so that no file waits
for another one's rows. It ends when the other end is closed and its children have ended; a child does when its line is
closed, after what it was told: so they outlive whoever dictated by the few batches that were said, and no signal meant
for that one ends them earlier.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from tuanzi.engines.database.dictation import answer, heard, receive, send
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import DatabaseError

PATH_BYTES_MAX = 4096
# As in the process that dictates: what waits for Python's lock gets it after half a millisecond.
TURN_S = 0.0005


def main(control: socket.socket) -> None:
    """Have the files written for whoever is at the other end of `control`, until it is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a child ended
    sys.setswitchinterval(TURN_S)
    _wait_for_a_core()
    gc.freeze()  # what all have in common stays common
    while True:
        path, lines, _, _ = socket.recv_fds(control, PATH_BYTES_MAX, 1)
        if not lines:
            break
        with socket.socket(fileno=lines[0]) as line:
            # It has no thread and no open file: a copy of it is whole.
            if os.fork() == 0:
                control.close()
                _write_and_end(Path(os.fsdecode(path)), line)
    with suppress(ChildProcessError):  # when the last has ended
        os.wait()


def _wait_for_a_core() -> None:
    """Never take the core away from whoever dictates, who is busy deciding, when a batch wakes this process.

    sched(7), SCHED_BATCH: as much of the processor as others, but nobody is interrupted for it. On two cores the
    system wakes it where the batch was said. Measured on the order path, six times in turns: 1,461 -> 1,539 chains/s.
    """
    if hasattr(os, "SCHED_BATCH"):  # Linux
        with suppress(OSError):  # where that may not be asked for
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _write_and_end(path: Path, line: socket.socket) -> None:
    """Of the child: nothing of its parent's end is done by it too."""
    try:
        write_down(path, line)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def write_down(path: Path, line: socket.socket) -> None:
    """Keep every batch that comes over the line in the file, and answer it; until the line is closed."""
    database: Sqlite | None = None
    try:
        while (body := receive(line)) is not None:
            refused: DatabaseError | None = None
            try:
                database = database or Sqlite(path)
                database.commit(heard(body))
            except DatabaseError as error:
                refused = error
            send(line, answer(refused))
    except ConnectionError:
        pass  # nobody waits for this answer any more; the cursor tells whoever comes next
    finally:
        if database is not None:
            database.close()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))

"""The scribe: the process that writes batches into SQLite files, and does nothing else (decision 0018).

`python -m tuanzi.engines.database.scribing N`: the descriptor N is the end of a socket over which come the files'
paths, each with the descriptor of a line for its batches. It ends when the other end is closed, after what it was told:
so it outlives whoever dictated by the few batches that were said, and no signal meant for that one ends it earlier.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from threading import Thread

from tuanzi.engines.database.dictation import answer, heard, receive, send
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import DatabaseError

PATH_BYTES_MAX = 4096
# As in the process that dictates: what waits for Python's lock gets it after half a millisecond.
TURN_S = 0.0005


def main(control: socket.socket) -> None:
    """Write for whoever is at the other end of `control`, until it is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.setswitchinterval(TURN_S)
    writing: list[Thread] = []
    while True:
        path, lines, _, _ = socket.recv_fds(control, PATH_BYTES_MAX, 1)
        if not lines:
            break
        line = socket.socket(fileno=lines[0])
        writing.append(Thread(target=write_down, args=(Path(os.fsdecode(path)), line), name=f"write-{len(writing)}"))
        writing[-1].start()
    for thread in writing:
        thread.join()


def write_down(path: Path, line: socket.socket) -> None:
    """Keep every batch that comes over the line in the file, and answer it; until the line is closed."""
    database: Sqlite | None = None
    with line:
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

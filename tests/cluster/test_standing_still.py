"""Servers of tests keep to themselves: one that is paused stands still, and its port is nobody else's (issue 5)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from servers.process import Process, free_ports, stands_still

# Four threads that count, in the kernel and out of it, and a child process that counts too.
BUSY = """
import os, sys, threading
def count():
    n = 0
    with open(sys.argv[1], "r+b", buffering=0) as file:
        while True:
            n += 1
            file.seek(0)
            file.write(b"%020d" % n)
if os.fork() == 0:
    count()
for _ in range(3):
    threading.Thread(target=count).start()
count()
"""


def test_nothing_of_a_paused_process_goes_on_after_pause_has_returned(tmp_path: Path) -> None:
    counted = tmp_path / "counted"
    counted.write_bytes(b"0" * 20)
    process = Process("busy", [sys.executable, "-c", BUSY, str(counted)], log=tmp_path / "log")
    process.start(lambda: counted.read_bytes() != b"0" * 20)
    try:
        for _ in range(50):
            assert not stands_still(process.pid)
            process.pause()
            first = counted.read_bytes()
            assert stands_still(process.pid)
            assert counted.read_bytes() == first
            process.resume()
    finally:
        process.kill()


def test_a_port_that_was_given_is_given_to_no_other_process_though_nobody_listens_there_yet() -> None:
    (port,) = free_ports(1)
    other = f"from servers import process; print(process._mark({port}), process._mark({port + 10_000}) is not None)"

    said = subprocess.run([sys.executable, "-c", other], env={"PYTHONPATH": "src"}, capture_output=True, check=True)

    assert said.stdout == b"None True\n"

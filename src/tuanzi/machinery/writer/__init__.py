"""The writer: takes a batch of commands, decides them in memory, has all of it kept in one commit (architecture 1, 2).

It does no I/O itself. `Writer.carry_out` is a generator that says what it needs, a `Fetch` or a `Commit`, and is sent
the outcome; `drive` does that synchronously (simulation, tests), `desk` with a thread (the real thing).

`words`: what goes in and comes out. `writer`: a batch's way, from its requests to its commit. `deciding`: one request,
and who hears what it emits. `batch`: what a batch has come to so far. `layout`: values as rows. `driving`: doing what
it asks of a database.
"""

from __future__ import annotations

from tuanzi.machinery.writer.driving import drive, find_out, keep, take
from tuanzi.machinery.writer.words import Commit, Fetch, Outcome, Request, Schema, Step, Steps
from tuanzi.machinery.writer.writer import Writer

__all__ = [
    "Commit",
    "Fetch",
    "Outcome",
    "Request",
    "Schema",
    "Step",
    "Steps",
    "Writer",
    "drive",
    "find_out",
    "keep",
    "take",
]

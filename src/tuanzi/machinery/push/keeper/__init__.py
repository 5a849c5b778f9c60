"""Turns committed events into numbered messages, a batch at a time, in one commit with the logs' positions (A3, A4).

Nothing is sent before it is kept; while more waits, a batch is sent and the next one is told while one is being kept,
so that neither Python nor the disk waits. While little happens, what comes within a moment is kept together (decision
0021). What is told again is dropped: an event by its place in its log, kept in the commit of its messages (decision
0033); a post by its id (A3).

`keeper`: an event's way, from its log to the gateways. `shelf`: where messages are numbered and kept. `numbers`: the
newest of each stream. `words`: logs, the pace of batches, what events mean, figures.
"""

from __future__ import annotations

from tuanzi.machinery.push.keeper.keeper import EVENTS_AT_ONCE, Keeper
from tuanzi.machinery.push.keeper.words import AT_ONCE, Log, Pace

__all__ = ["AT_ONCE", "EVENTS_AT_ONCE", "Keeper", "Log", "Pace"]

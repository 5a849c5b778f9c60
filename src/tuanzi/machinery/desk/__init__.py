"""The desk of one database: where commands are handed in, and the asyncio shell that keeps its writer working.

`lanes`: what waits to be decided. `flights`: the batches that are under way. `driving`: having done what the writer
asks of the database. `duties`: timers and errands that are due. `feed`: hearing another desk's events. `sweeping`:
forgetting what is old. `clock`, `figures`: its time, and what it counts. `desk`: what others use of it all.
"""

from __future__ import annotations

from tuanzi.machinery.desk.desk import Subscriber, WriterDesk
from tuanzi.machinery.desk.driving import FETCHED_HERE
from tuanzi.machinery.desk.duties import ERRAND_S_MAX
from tuanzi.machinery.desk.flights import AHEAD_MIN, FLIGHTS_MAX, TURNS_TO_ANSWER
from tuanzi.machinery.desk.lanes import Lanes

__all__ = [
    "AHEAD_MIN",
    "ERRAND_S_MAX",
    "FETCHED_HERE",
    "FLIGHTS_MAX",
    "TURNS_TO_ANSWER",
    "Lanes",
    "Subscriber",
    "WriterDesk",
]

"""Where needs meet engines, rooms meet vendors and events meet listeners; nowhere else is any of them chosen.

`hearing`: who hears what. `rooms`: every room, and what a writer knows by them. `databases`: which engine opens which.
`desks`: what a request may reach. `workshop`: what every part of the house makes its desks with. `campus`: the writers
of one campus. `telling`: who tells people what happened. `checker`: who compares books in a process of its own, and
`checking`, that process. `house`: all of it in one process.
"""

from __future__ import annotations

from tuanzi.wiring.campus import LocalCampus, WriterLine
from tuanzi.wiring.databases import (
    CAMPUS_DATABASES,
    campus_on,
    check_files,
    file_of,
    files_in,
    open_database,
    open_where_set,
    place_of,
    position_of,
    schema_on,
)
from tuanzi.wiring.desks import CampusBooks, CampusDesks, FindDesk
from tuanzi.wiring.hearing import (
    FOLLOWS,
    FOR_OUTSIDE_READERS,
    HEARD,
    all_events,
    follower_of,
    follower_of_log,
    names_heard,
)
from tuanzi.wiring.house import House
from tuanzi.wiring.rooms import Vendors, rooms_of, schema_of
from tuanzi.wiring.telling import GateSide, Telling
from tuanzi.wiring.workshop import ANOTHER_SECRET, Workshop, wall_clock

__all__ = [
    "ANOTHER_SECRET",
    "CAMPUS_DATABASES",
    "FOLLOWS",
    "FOR_OUTSIDE_READERS",
    "HEARD",
    "CampusBooks",
    "CampusDesks",
    "FindDesk",
    "GateSide",
    "House",
    "LocalCampus",
    "Telling",
    "Vendors",
    "Workshop",
    "WriterLine",
    "all_events",
    "campus_on",
    "check_files",
    "file_of",
    "files_in",
    "follower_of",
    "follower_of_log",
    "names_heard",
    "open_database",
    "open_where_set",
    "place_of",
    "position_of",
    "rooms_of",
    "schema_of",
    "schema_on",
    "wall_clock",
]

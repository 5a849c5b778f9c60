"""Splitting: a closed group's exact split into member x merchant x building, as one transaction (B2, B3, B5, B6).

Database: core. Owns splits, plans_of_splits, branches_of_splits, split_coordinators. Hears GroupClosed, in the commit
that closed the group. Emits SplitPlanned, then SplitConfirmed or SplitCancelled. The coordinator of a TCC transaction
over core (stock), money (sharing) and delivery: docs/decisions/0007.
"""

from __future__ import annotations

from tuanzi.machinery.post import Post
from tuanzi.machinery.room import Opening, Room
from tuanzi.splitting import service
from tuanzi.splitting.handlers import Messenger, on_group_closed
from tuanzi.splitting.model import (
    TRY_MS_MAX,
    BranchState,
    Split,
    SplitBranch,
    SplitBranches,
    SplitCoordinator,
    SplitPlan,
    gid_of,
    plan,
    planned,
)
from tuanzi.splitting.queries import SplitsCounted, SplitView, find_plan, find_split, splits_counted
from tuanzi.splitting.service import (
    ReachDeadline,
    RecordAnswers,
    SendCancels,
    SendConfirms,
    SendTries,
    SplitStanding,
    TakeOver,
)
from tuanzi.splitting.store import TABLES
from tuanzi.splitting.web import ROUTES

__all__ = [
    "TABLES",
    "BranchState",
    "Messenger",
    "ReachDeadline",
    "RecordAnswers",
    "SendCancels",
    "SendConfirms",
    "SendTries",
    "Split",
    "SplitBranch",
    "SplitBranches",
    "SplitCoordinator",
    "SplitPlan",
    "SplitStanding",
    "SplitView",
    "SplitsCounted",
    "TakeOver",
    "find_plan",
    "find_split",
    "gid_of",
    "on_group_closed",
    "plan",
    "planned",
    "room",
    "splits_counted",
]


def room(post: Post, *, campus: str, try_ms_max: int = TRY_MS_MAX) -> Room:
    """Splitting as wiring puts it into the house of one campus. try_ms_max: how long a split waits for its Trys."""
    messenger = Messenger(post)
    return Room(
        name="splitting",
        database="core",
        tables=TABLES,
        commands={
            TakeOver: service.take_over,
            RecordAnswers: service.record_answers,
            ReachDeadline: service.reach_deadline,
        },
        errands={
            SendTries: messenger.send_tries,
            SendConfirms: messenger.send_confirms,
            SendCancels: messenger.send_cancels,
        },
        routes=ROUTES,
        figures=messenger.figures,
        openings=(Opening(TakeOver(coordinator=campus, try_ms_max=try_ms_max), messenger.take_over),),
    )

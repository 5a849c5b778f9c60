"""What is read of groups, and what became of a payment (P1 to P8, C3).

`views`: groups as pages show them. `pages`: lists of groups, and one with its members. `timeline`: all that happened to
one. `outcome`: what a payment came to.
"""

from __future__ import annotations

from tuanzi.groups.queries.outcome import FindPlan, PaidOutcome, PlannedSplit, outcome_of, standing_of
from tuanzi.groups.queries.pages import (
    CampusGroupPage,
    GroupPage,
    GroupsCounted,
    campus_group_page,
    group_page,
    group_record,
    groups_counted,
    load_group,
)
from tuanzi.groups.queries.timeline import GroupTimeline, group_timeline
from tuanzi.groups.queries.views import GroupDetail, GroupRecord, GroupView, detail_of, is_member, view_of

__all__ = [
    "CampusGroupPage",
    "FindPlan",
    "GroupDetail",
    "GroupPage",
    "GroupRecord",
    "GroupTimeline",
    "GroupView",
    "GroupsCounted",
    "PaidOutcome",
    "PlannedSplit",
    "campus_group_page",
    "detail_of",
    "group_page",
    "group_record",
    "group_timeline",
    "groups_counted",
    "is_member",
    "load_group",
    "outcome_of",
    "standing_of",
    "view_of",
]

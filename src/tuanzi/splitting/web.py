"""Splits over HTTP: the plan and its outcome (B2, B6)."""

from __future__ import annotations

from tuanzi.base.ids import GroupId
from tuanzi.base.problem import Unknown
from tuanzi.base.who import Role
from tuanzi.groups import is_member, load_group
from tuanzi.machinery.http.routes import Call, Route
from tuanzi.splitting.queries import SplitEvidence, SplitView, split_evidence, split_view


async def show_split(call: Call[None, None]) -> SplitView:
    """GET /v1/campuses/{campus}/groups/{group_id}/split: who gets what from whom, for members and operators."""
    who = call.caller
    group = await load_group(call.desks.core, GroupId(call.path["group_id"]))
    is_operator = Role.OPERATOR in who.roles
    if not is_operator and not is_member(group, who.person_id):
        raise Unknown(kind="group", id=group.id)
    return await split_view(call.desks.core, group.id, for_operator=is_operator)


async def show_evidence(call: Call[None, None]) -> SplitEvidence:
    """GET /v1/campuses/{campus}/operator/groups/{group_id}/split: all there is about a group's split."""
    return await split_evidence(call.desks, GroupId(call.path["group_id"]))


ROUTES = (
    Route(
        "GET",
        "/v1/campuses/{campus}/operator/groups/{group_id}/split",
        show_evidence,
        answer=SplitEvidence,
        roles=frozenset({Role.OPERATOR}),
        summary="A split's branches, plan, lines of the ledger and parcels",
    ),
    Route(
        "GET",
        "/v1/campuses/{campus}/groups/{group_id}/split",
        show_split,
        answer=SplitView,
        summary="A closed group's exact split, and how far it is",
    ),
)

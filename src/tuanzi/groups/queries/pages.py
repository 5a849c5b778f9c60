"""Lists of groups, and one group with its members, from the database."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, structs

from tuanzi.base.ids import GroupId
from tuanzi.base.problem import Unknown
from tuanzi.base.time import to_ms
from tuanzi.groups.model import Group, GroupState
from tuanzi.groups.queries.views import CampusGroup, GroupRecord, GroupView, MemberView, campus_group_of, view_of
from tuanzi.groups.store import GROUP, GROUPS, GROUPS_BEFORE, GROUPS_COUNTED, GROUPS_IN_STATE, LAST_LOOKED_AT
from tuanzi.machinery.http.routes import Desk
from tuanzi.orders import orders_by_id

# Our choice: half a day of a lunch wave's groups; about 10 ms.
GROUPS_LOOKED_AT_MAX = 5_000
# Our choice: to fill a page of groups with free seats so many pages of groups are read.
FULL_PAGES_MAX = 5


class GroupPage(Struct, frozen=True, kw_only=True, gc=False):
    """Groups that take members, oldest first; `next` is None on the last page."""

    items: tuple[GroupView, ...]
    next: str | None


class CampusGroupPage(Struct, frozen=True, kw_only=True, gc=False):
    """Groups of a campus, newest first; `next` is None on the last page, and a page may be short or empty before it."""

    items: tuple[CampusGroup, ...]
    next: str | None


class GroupsCounted(Struct, frozen=True, kw_only=True, gc=False):
    """Groups that take members now (`open`, `formed`), and how many were opened since a time and where those are."""

    open: int = 0
    formed: int = 0
    opened_since: int = 0
    formed_since: int = 0
    failed_since: int = 0


async def load_group(desk: Desk, group_id: GroupId) -> Group:
    """A group as it is kept. Raises Unknown."""
    group = desk.peek(Group, group_id)
    if group is None:
        rows = await desk.rows(GROUP, {"id": group_id})
        if not rows:
            raise Unknown(kind="group", id=group_id)
        group = GROUPS.from_row(rows[0])
    return group


async def group_page(
    desk: Desk, *, campaign_id: str, building_id: str, after: str, limit: int, now: datetime
) -> GroupPage:
    """Groups that take members, of a campaign and building when they are named.

    Left out are those whose seats are all taken, paid or not. A page may be short, or even empty, where very many are.
    """
    slots = {
        "campaign_id": campaign_id,
        "building_id": building_id,
        "limit": limit + 1,
        "now_ms": to_ms(now),
    }
    items: list[GroupView] = []
    for _ in range(FULL_PAGES_MAX):
        found = [GROUPS.from_row(row) for row in await desk.rows(GROUPS_IN_STATE, {**slots, "after": after})]
        for group in found:
            if len(items) == limit:
                return GroupPage(items=tuple(items), next=items[-1].group_id)
            after = group.id
            if not group.is_full:
                items.append(view_of(group))
        if len(found) <= limit:
            return GroupPage(items=tuple(items), next=None)
    return GroupPage(items=tuple(items), next=after)


async def campus_group_page(
    desk: Desk, *, state: GroupState | None, campaign_id: str, building_id: str, before: str, limit: int
) -> CampusGroupPage:
    """Groups of the campus older than `before`, of the next GROUPS_LOOKED_AT_MAX, that fit what is named."""
    slots = {"before": before or "~", "looked": GROUPS_LOOKED_AT_MAX}
    wanted = {"state": "" if state is None else state.value, "campaign_id": campaign_id, "building_id": building_id}
    rows = await desk.rows(GROUPS_BEFORE, {**slots, **wanted, "limit": limit + 1})
    items = [campus_group_of(GROUPS.from_row(row)) for row in rows]
    if len(items) > limit:
        return CampusGroupPage(items=tuple(items[:limit]), next=items[limit - 1].group_id)
    ((last, looked),) = await desk.rows(LAST_LOOKED_AT, slots)
    return CampusGroupPage(items=tuple(items), next=last if looked == GROUPS_LOOKED_AT_MAX else None)


async def group_record(desk: Desk, group_id: GroupId) -> GroupRecord:
    """A group with its members and orders. Raises Unknown."""
    group = await load_group(desk, group_id)
    members = tuple(
        [
            MemberView(
                member_id=seat.member_id,
                order_id=seat.order_id,
                building_id=seat.building_id,
                state=seat.state,
                since=seat.since,
                is_leader=seat.member_id == group.leader_id,
            )
            for seat in group.seats
        ]
    )
    return GroupRecord(
        **structs.asdict(campus_group_of(group)),
        pay_within_s=group.pay_within_s,
        members=members,
        orders=tuple(await orders_by_id(desk, [seat.order_id for seat in group.seats])),
    )


async def groups_counted(desk: Desk, *, since: str) -> GroupsCounted:
    """How many groups there are now, and of those whose ids come after `since`."""
    now: dict[str, int] = {}
    lately: dict[str, int] = {}
    for state, there, new in await desk.rows(GROUPS_COUNTED, {"since": since}):
        now[state], lately[state] = there, int(new)
    return GroupsCounted(
        open=now.get(GroupState.OPEN, 0),
        formed=now.get(GroupState.FORMED, 0),
        opened_since=sum(lately.values()),
        formed_since=lately.get(GroupState.FORMED, 0) + lately.get(GroupState.CLOSED, 0),
        failed_since=lately.get(GroupState.FAILED, 0),
    )

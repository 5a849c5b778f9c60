"""The list of open groups of a campaign, building and meal."""

from __future__ import annotations

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.groups.model import OPEN_GROUPS_MAX, Group, OpenGroups


def enlist(unit: Unit, group: Group) -> None:
    """Put a new group on the list, while that has room."""
    listed = unit.find(OpenGroups, (group.campaign_id, group.building_id, group.meal_id))
    ids = () if listed is None else listed.group_ids
    if len(ids) < OPEN_GROUPS_MAX:
        listed = OpenGroups(
            campaign_id=group.campaign_id,
            building_id=group.building_id,
            meal_id=group.meal_id,
            group_ids=(*ids, group.id),
        )
        unit.put(listed)


def unlist(unit: Unit, group: Group) -> None:
    """Take a group that has ended off the list."""
    listed = unit.find(OpenGroups, (group.campaign_id, group.building_id, group.meal_id))
    if listed is not None and group.id in listed.group_ids:
        ids = tuple([group_id for group_id in listed.group_ids if group_id != group.id])
        unit.put(replace(listed, group_ids=ids))

"""Rows of groups, and how pages ask for them."""

from __future__ import annotations

from tuanzi.groups.model import CampaignUse, Group, OpenGroups
from tuanzi.machinery.tables import table

GROUPS = table("campus_groups", Group, key="id")
CAMPAIGN_USES = table("campaign_uses", CampaignUse, key=("campaign_id", "member_id"))
OPEN_GROUPS = table("open_groups", OpenGroups, key=("campaign_id", "building_id", "meal_id"))
TABLES = (GROUPS, CAMPAIGN_USES, OPEN_GROUPS)

_COLUMNS = ", ".join(GROUPS.columns)

GROUP = "SELECT " + _COLUMNS + " FROM campus_groups WHERE id = :id ORDER BY id LIMIT 1"
GROUPS_IN_STATE = (
    "SELECT " + _COLUMNS + " FROM campus_groups WHERE state IN ('open', 'formed')"
    " AND (:campaign_id = '' OR campaign_id = :campaign_id) AND (:building_id = '' OR building_id = :building_id)"
    " AND closes_at_ms > :now_ms AND id > :after ORDER BY id LIMIT :limit"
)

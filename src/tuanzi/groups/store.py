"""Rows of groups, and how pages ask for them."""

from __future__ import annotations

from tuanzi.groups.model import CampaignUse, Group, OpenGroups, OrderedBefore
from tuanzi.machinery.tables import table

GROUPS = table("campus_groups", Group, key="id")
CAMPAIGN_USES = table("campaign_uses", CampaignUse, key=("campaign_id", "member_id"))
OPEN_GROUPS = table("open_groups", OpenGroups, key=("campaign_id", "building_id", "meal_id"))
ORDERED_BEFORE = table("ordered_before", OrderedBefore, key="member_id")
TABLES = (GROUPS, CAMPAIGN_USES, OPEN_GROUPS, ORDERED_BEFORE)

# Ids that one statement looks for.
NAMES_AT_ONCE = 20
_NAMED = " OR ".join([f"INSTR(body, :id{i}) > 0" for i in range(NAMES_AT_ONCE)])

_COLUMNS = ", ".join(GROUPS.columns)

GROUP = "SELECT " + _COLUMNS + " FROM campus_groups WHERE id = :id ORDER BY id LIMIT 1"
GROUPS_IN_STATE = (
    "SELECT " + _COLUMNS + " FROM campus_groups WHERE state IN ('open', 'formed') AND home IS NULL"
    " AND (:campaign_id = '' OR campaign_id = :campaign_id) AND (:building_id = '' OR building_id = :building_id)"
    " AND closes_at_ms > :now_ms AND id > :after ORDER BY id LIMIT :limit"
)

# For operators: whichever of the next `looked` groups fit, so that a rare one does not read the whole table.
GROUPS_BEFORE = (
    "SELECT " + _COLUMNS + " FROM campus_groups WHERE id < :before AND (:state = '' OR state = :state)"
    " AND (:campaign_id = '' OR campaign_id = :campaign_id) AND (:building_id = '' OR building_id = :building_id)"
    " AND id >= COALESCE((SELECT MIN(id) FROM"
    " (SELECT id FROM campus_groups WHERE id < :before ORDER BY id DESC LIMIT :looked) AS next_ones), '')"
    " ORDER BY id DESC LIMIT :limit"
)
LAST_LOOKED_AT = (
    "SELECT MIN(id), COUNT(*) FROM"
    " (SELECT id FROM campus_groups WHERE id < :before ORDER BY id DESC LIMIT :looked) AS next_ones ORDER BY 1 LIMIT 1"
)
GROUPS_COUNTED = """
SELECT state, COUNT(*), SUM(CASE WHEN id > :since THEN 1 ELSE 0 END) FROM campus_groups
WHERE id > :since OR state IN ('open', 'formed') GROUP BY state ORDER BY state LIMIT 10
"""

# What happened to a group, in the log of one database. An event is found by the ids in its body.
LAST_EVENT = "SELECT COALESCE(MAX(number), 0) FROM events ORDER BY 1 LIMIT 1"
EVENT_TIME = "SELECT at_ms FROM events WHERE number <= :number ORDER BY number DESC LIMIT 1"
EVENTS_NAMING = (
    "SELECT " + "number, at_ms, name, body FROM events WHERE number > :after AND number <= :until AND (" + _NAMED + ")"
    " ORDER BY number LIMIT :limit"
)

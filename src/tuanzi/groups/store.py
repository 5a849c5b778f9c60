"""Rows of groups, and how pages ask for them."""

from __future__ import annotations

from tuanzi.groups.model import CampaignUse, Group, OpenGroups, OrderedBefore
from tuanzi.machinery.room import Keeps
from tuanzi.machinery.several import SEVERAL
from tuanzi.machinery.tables import table

GROUPS = table("campus_groups", Group, key="id", alike=("tiers", "merchant_ids", "building_ids", "guest_campuses"))
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

# Of one person, for his export; the seats of others are not in it.
KEPT_GROUPS = (
    "SELECT " + "o.id, g.id, g.campaign_id, g.building_id, g.meal_id, g.state, g.opened_at_ms, g.closes_at_ms,"
    " CASE WHEN g.leader_id = o.member_id THEN 1 ELSE 0 END"
    " FROM orders o JOIN campus_groups g ON g.id = o.group_id"
    " WHERE o.id IN (" + SEVERAL + ") ORDER BY o.id LIMIT 100"
)
KEPT_USES = """
SELECT u.campaign_id, u.orders FROM campaigns c
JOIN campaign_uses u ON u.campaign_id = c.id AND u.member_id = :person_id
WHERE u.campaign_id > :after ORDER BY u.campaign_id LIMIT :limit
"""
KEPT_BEFORE = """
SELECT member_id, order_ids, is_regular FROM ordered_before
WHERE member_id = :person_id AND member_id > :after ORDER BY member_id LIMIT :limit
"""
KEEPS = (
    Keeps(
        table="campus_groups",
        columns=(
            "order_id",
            "id",
            "campaign_id",
            "building_id",
            "meal_id",
            "state",
            "opened_at_ms",
            "closes_at_ms",
            "is_leader",
        ),
        sql=KEPT_GROUPS,
        of_orders=True,
    ),
    Keeps(table="campaign_uses", columns=("campaign_id", "orders"), sql=KEPT_USES),
    Keeps(table="ordered_before", columns=ORDERED_BEFORE.columns, sql=KEPT_BEFORE),
)

-- What: groups with their seats, uses of campaigns by members, the index of open groups (B1).
-- Safe beside the release before: new tables, nobody else reads them.
-- Undo: drop the tables.

CREATE TABLE campus_groups (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    campaign_id VARCHAR(64) NOT NULL,
    leader_id VARCHAR(64) NOT NULL,
    building_id VARCHAR(64) NOT NULL,
    meal_id VARCHAR(40) NOT NULL,
    state VARCHAR(20) NOT NULL,
    tiers TEXT NOT NULL,
    merchant_ids TEXT NOT NULL,
    building_ids TEXT NOT NULL,
    delivery_fee_fen BIGINT NOT NULL CHECK (delivery_fee_fen >= 0),
    pay_within_s BIGINT NOT NULL,
    per_order_limit BIGINT NOT NULL,
    per_user_limit BIGINT NOT NULL,
    opened_at_ms BIGINT NOT NULL,
    closes_at_ms BIGINT NOT NULL,
    seats TEXT NOT NULL,
    version BIGINT NOT NULL
);

CREATE INDEX campus_groups_by_state ON campus_groups (state, id);

CREATE TABLE campaign_uses (
    campaign_id VARCHAR(64) NOT NULL,
    member_id VARCHAR(64) NOT NULL,
    orders BIGINT NOT NULL CHECK (orders >= 0),
    PRIMARY KEY (campaign_id, member_id)
);

CREATE TABLE open_groups (
    campaign_id VARCHAR(64) NOT NULL,
    building_id VARCHAR(64) NOT NULL,
    meal_id VARCHAR(40) NOT NULL,
    group_ids TEXT NOT NULL,
    PRIMARY KEY (campaign_id, building_id, meal_id)
);

-- What: what a campus offers: campus, buildings, merchants, dishes, meal periods, campaigns (B1, B4, B7).
-- Safe beside the release before: first release, nobody reads these tables yet.
-- Undo: drop the tables; groups and orders keep their own copies of what they need.
-- No foreign keys: one commit keeps many values in any order, and the writer checks what refers to what.

CREATE TABLE campuses (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    name_zh VARCHAR(80) NOT NULL,
    name_en VARCHAR(80) NOT NULL,
    south_e6 BIGINT NOT NULL,
    west_e6 BIGINT NOT NULL,
    north_e6 BIGINT NOT NULL,
    east_e6 BIGINT NOT NULL,
    CHECK (south_e6 < north_e6 AND west_e6 < east_e6)
);

CREATE TABLE buildings (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    kind VARCHAR(16) NOT NULL CHECK (kind IN ('dorm', 'teaching')),
    name_zh VARCHAR(80) NOT NULL,
    name_en VARCHAR(80) NOT NULL,
    latitude_e6 BIGINT NOT NULL,
    longitude_e6 BIGINT NOT NULL,
    residents BIGINT NOT NULL CHECK (residents >= 0)
);

CREATE TABLE merchants (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    name_zh VARCHAR(80) NOT NULL,
    name_en VARCHAR(80) NOT NULL,
    latitude_e6 BIGINT NOT NULL,
    longitude_e6 BIGINT NOT NULL,
    hours TEXT NOT NULL,
    is_open BIGINT NOT NULL CHECK (is_open IN (0, 1)),
    delivery_fee_fen BIGINT NOT NULL CHECK (delivery_fee_fen >= 0),
    min_order_fen BIGINT NOT NULL CHECK (min_order_fen >= 0)
);

CREATE TABLE dishes (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    merchant_id VARCHAR(64) NOT NULL,
    name_zh VARCHAR(80) NOT NULL,
    name_en VARCHAR(80) NOT NULL,
    price_fen BIGINT NOT NULL CHECK (price_fen > 0),
    portions_per_meal BIGINT NOT NULL CHECK (portions_per_meal >= 0),
    is_on_sale BIGINT NOT NULL CHECK (is_on_sale IN (0, 1)),
    is_addon BIGINT NOT NULL CHECK (is_addon IN (0, 1)),
    items TEXT NOT NULL,
    tags TEXT NOT NULL
);

CREATE INDEX dishes_by_merchant ON dishes (merchant_id, id);

CREATE TABLE meal_periods (
    id VARCHAR(16) NOT NULL PRIMARY KEY CHECK (id IN ('breakfast', 'lunch', 'dinner', 'night')),
    name_zh VARCHAR(80) NOT NULL,
    name_en VARCHAR(80) NOT NULL,
    starts_minute BIGINT NOT NULL,
    cut_off_minute BIGINT NOT NULL,
    ends_minute BIGINT NOT NULL,
    CHECK (starts_minute >= 0 AND starts_minute < cut_off_minute AND cut_off_minute <= ends_minute)
);

CREATE TABLE campaigns (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    name_zh VARCHAR(80) NOT NULL,
    name_en VARCHAR(80) NOT NULL,
    tiers TEXT NOT NULL,
    merchant_ids TEXT NOT NULL,
    building_ids TEXT NOT NULL,
    period_ids TEXT NOT NULL,
    starts_at_ms BIGINT NOT NULL,
    ends_at_ms BIGINT NOT NULL,
    group_lasts_minutes BIGINT NOT NULL CHECK (group_lasts_minutes > 0),
    pay_within_s BIGINT NOT NULL CHECK (pay_within_s > 0),
    per_order_limit BIGINT NOT NULL CHECK (per_order_limit > 0),
    per_user_limit BIGINT NOT NULL CHECK (per_user_limit >= 0),
    delivery_fee_fen BIGINT NOT NULL CHECK (delivery_fee_fen >= 0),
    state VARCHAR(8) NOT NULL CHECK (state IN ('draft', 'live', 'ended')),
    CHECK (starts_at_ms < ends_at_ms)
);

CREATE INDEX campaigns_by_state ON campaigns (state, id);

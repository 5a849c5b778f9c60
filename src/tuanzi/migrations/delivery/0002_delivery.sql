-- What: parcels and their drop-offs, riders, bundles and what dispatch has before it (B2, B3, B9, B10).
-- Safe beside the release before: new tables, nobody else reads them.
-- Undo: drop the tables, when no split is under way.

CREATE TABLE consignments (
    gid VARCHAR(80) NOT NULL PRIMARY KEY,
    group_id VARCHAR(64) NOT NULL,
    parcel_ids TEXT NOT NULL
);

CREATE TABLE parcels (
    id VARCHAR(90) NOT NULL PRIMARY KEY,
    gid VARCHAR(80) NOT NULL,
    group_id VARCHAR(64) NOT NULL,
    merchant_id VARCHAR(64) NOT NULL,
    building_id VARCHAR(64) NOT NULL,
    meal_id VARCHAR(64) NOT NULL,
    from_spot TEXT NOT NULL,
    to_spot TEXT NOT NULL,
    state VARCHAR(16) NOT NULL
        CHECK (state IN ('promised', 'waiting', 'assigned', 'picked_up', 'delivered', 'dropped')),
    sub_order_ids TEXT NOT NULL,
    portions BIGINT NOT NULL CHECK (portions >= 0),
    unready BIGINT NOT NULL CHECK (unready >= 0),
    unbegun BIGINT NOT NULL CHECK (unbegun BETWEEN 0 AND unready),
    ordered_at_ms BIGINT NOT NULL,
    arrives_at_ms BIGINT NOT NULL,
    ready_at_ms BIGINT,
    bundle_id VARCHAR(90),
    CHECK ((state IN ('assigned', 'picked_up', 'delivered')) = (bundle_id IS NOT NULL)),
    CHECK (state NOT IN ('picked_up', 'delivered') OR unready = 0)
);

CREATE INDEX parcels_by_merchant ON parcels (merchant_id, state, id);
CREATE INDEX parcels_by_state ON parcels (state, id);
CREATE INDEX parcels_by_bundle ON parcels (bundle_id, id);

CREATE TABLE drop_offs (
    sub_order_id VARCHAR(70) NOT NULL PRIMARY KEY,
    order_id VARCHAR(64) NOT NULL,
    member_id VARCHAR(64) NOT NULL,
    parcel_id VARCHAR(90) NOT NULL,
    portions BIGINT NOT NULL CHECK (portions >= 0),
    state VARCHAR(16) NOT NULL
        CHECK (state IN ('planned', 'cooking', 'ready', 'picked_up', 'delivered', 'dropped')),
    ready_at_ms BIGINT
);

CREATE INDEX drop_offs_by_order ON drop_offs (order_id, sub_order_id);

CREATE TABLE meal_loads (
    meal_id VARCHAR(64) NOT NULL PRIMARY KEY,
    portions BIGINT NOT NULL CHECK (portions >= 0)
);

CREATE TABLE riders (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    is_on BIGINT NOT NULL,
    spot TEXT NOT NULL,
    free_at_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    portions_max BIGINT NOT NULL CHECK (portions_max > 0),
    bundle_id VARCHAR(90),
    bundles BIGINT NOT NULL CHECK (bundles >= 0)
);

CREATE TABLE bundles (
    id VARCHAR(90) NOT NULL PRIMARY KEY,
    rider_id VARCHAR(64) NOT NULL,
    merchant_id VARCHAR(64) NOT NULL,
    from_spot TEXT NOT NULL,
    state VARCHAR(16) NOT NULL CHECK (state IN ('assigned', 'picked_up', 'delivered', 'released')),
    parcel_ids TEXT NOT NULL,
    assigned_at_ms BIGINT NOT NULL,
    picks_up_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT
);

CREATE INDEX bundles_by_rider ON bundles (rider_id, state, id);
CREATE INDEX bundles_by_state ON bundles (state, id);

CREATE TABLE boards (
    id VARCHAR(16) NOT NULL PRIMARY KEY,
    parcels TEXT NOT NULL,
    riders TEXT NOT NULL,
    riders_expected BIGINT,
    plan_at_ms BIGINT,
    planning_since_ms BIGINT
);

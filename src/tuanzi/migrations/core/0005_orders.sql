-- What: orders and their sub-orders (B2, B8).
-- Safe beside the release before: new tables, nobody else reads them.
-- Undo: drop the tables.

CREATE TABLE orders (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    group_id VARCHAR(64) NOT NULL,
    campaign_id VARCHAR(64) NOT NULL,
    member_id VARCHAR(64) NOT NULL,
    building_id VARCHAR(64) NOT NULL,
    meal_id VARCHAR(40) NOT NULL,
    state VARCHAR(20) NOT NULL,
    quote TEXT NOT NULL,
    cart TEXT,
    payable_fen BIGINT NOT NULL CHECK (payable_fen >= 0),
    paid_fen BIGINT NOT NULL CHECK (paid_fen >= 0),
    refundable TEXT NOT NULL,
    refunds TEXT NOT NULL,
    placed_at_ms BIGINT NOT NULL,
    pay_before_ms BIGINT NOT NULL,
    delivered_at_ms BIGINT,
    sub_orders BIGINT NOT NULL,
    version BIGINT NOT NULL
);

CREATE INDEX orders_by_member ON orders (member_id, id);

CREATE TABLE sub_orders (
    id VARCHAR(70) NOT NULL PRIMARY KEY,
    order_id VARCHAR(64) NOT NULL,
    group_id VARCHAR(64) NOT NULL,
    member_id VARCHAR(64) NOT NULL,
    merchant_id VARCHAR(64) NOT NULL,
    building_id VARCHAR(64) NOT NULL,
    meal_id VARCHAR(40) NOT NULL,
    state VARCHAR(20) NOT NULL,
    order_lines TEXT NOT NULL,
    items_fen BIGINT NOT NULL CHECK (items_fen >= 0),
    discount_fen BIGINT NOT NULL CHECK (discount_fen >= 0),
    delivery_fen BIGINT NOT NULL CHECK (delivery_fen >= 0),
    payable_fen BIGINT NOT NULL CHECK (payable_fen >= 0),
    planned_at_ms BIGINT NOT NULL,
    rider_id VARCHAR(64),
    CHECK (items_fen - discount_fen + delivery_fen = payable_fen)
);

CREATE INDEX sub_orders_by_group ON sub_orders (group_id, id);
CREATE INDEX sub_orders_by_merchant ON sub_orders (merchant_id, state, id);
CREATE INDEX sub_orders_by_rider ON sub_orders (state, rider_id, id);

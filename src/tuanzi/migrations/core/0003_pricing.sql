-- What: price rules in versions, which of them is in force, and members' coupons (B4).
-- Safe beside the release before: new tables only, the release before reads none of them.
-- Undo: drop the tables; orders keep the prices they were given, coupons not yet used are lost.

CREATE TABLE rule_books (
    id VARCHAR(16) NOT NULL PRIMARY KEY,
    active BIGINT NOT NULL,
    previous BIGINT NOT NULL,
    next_version BIGINT NOT NULL,
    CHECK (active >= 0 AND previous >= 0 AND active < next_version AND previous < next_version)
);

CREATE TABLE rule_versions (
    id VARCHAR(32) NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL UNIQUE,
    rules TEXT NOT NULL,
    samples TEXT NOT NULL,
    note VARCHAR(500) NOT NULL,
    made_by VARCHAR(64) NOT NULL,
    made_at_ms BIGINT NOT NULL,
    CHECK (version >= 1)
);

CREATE TABLE coupons (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    member_id VARCHAR(64) NOT NULL,
    off_fen BIGINT NOT NULL,
    threshold_fen BIGINT NOT NULL,
    merchant_id VARCHAR(64),
    expires_at_ms BIGINT NOT NULL,
    state VARCHAR(8) NOT NULL,
    order_id VARCHAR(64),
    CHECK (off_fen >= 0 AND threshold_fen >= 0),
    CHECK (state IN ('free', 'held', 'used')),
    CHECK ((state = 'free') = (order_id IS NULL))
);

CREATE INDEX coupons_by_member ON coupons (member_id, id);

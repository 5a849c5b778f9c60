-- What: which coupons operators gave, how many, when and who; one row for each time (B4).
-- Safe beside the release before: a new table, nobody else reads it.
-- Undo: drop the table; coupons stay.

CREATE TABLE coupon_grants (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    grant_id VARCHAR(24) NOT NULL,
    granted BIGINT NOT NULL CHECK (granted >= 1),
    off_fen BIGINT NOT NULL,
    threshold_fen BIGINT NOT NULL,
    merchant_id VARCHAR(64),
    expires_at_ms BIGINT NOT NULL,
    given_by VARCHAR(64) NOT NULL,
    given_at_ms BIGINT NOT NULL
);

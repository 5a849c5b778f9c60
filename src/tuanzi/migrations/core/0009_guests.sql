-- What: campaigns that take guests of other campuses, and groups with a home (B7).
-- Safe beside the release before: columns with defaults, which it neither reads nor writes.
-- Undo: drop the columns and the table, when no group with guests is under way.

ALTER TABLE campaigns ADD COLUMN guest_campuses VARCHAR(1000) NOT NULL DEFAULT '[]';

ALTER TABLE campus_groups ADD COLUMN guest_campuses VARCHAR(1000) NOT NULL DEFAULT '[]';

ALTER TABLE campus_groups ADD COLUMN home VARCHAR(400);

CREATE TABLE guest_seats (
    order_id VARCHAR(64) NOT NULL PRIMARY KEY,
    group_id VARCHAR(64) NOT NULL,
    campus_id VARCHAR(64) NOT NULL,
    home_id VARCHAR(64) NOT NULL,
    member_id VARCHAR(64) NOT NULL,
    building_id VARCHAR(64) NOT NULL,
    wanted TEXT NOT NULL,
    coupon_id VARCHAR(64),
    state VARCHAR(16) NOT NULL CHECK (state IN ('asked', 'held', 'paying', 'paid', 'leaving', 'gone')),
    reason VARCHAR(80) NOT NULL,
    facts TEXT NOT NULL,
    asked_at_ms BIGINT NOT NULL
);

CREATE INDEX guest_seats_by_state ON guest_seats (state, order_id);

-- What: per-person and per-board streams of messages, how far they were sent and acknowledged, how far each log is told,
-- and whose each order is (A3, A4).
-- Safe beside the release before: new tables only, in a new database.
-- Undo: drop the tables; clients then load their pages anew.

CREATE TABLE stream_messages (
    event_id VARCHAR(100) NOT NULL PRIMARY KEY,
    stream VARCHAR(80) NOT NULL,
    number BIGINT NOT NULL CHECK (number > 0),
    kind VARCHAR(40) NOT NULL,
    at_ms BIGINT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (stream, number)
);

CREATE INDEX stream_messages_by_age ON stream_messages (at_ms, event_id);

CREATE TABLE stream_cursors (
    stream VARCHAR(80) NOT NULL PRIMARY KEY,
    sent BIGINT NOT NULL CHECK (sent >= 0),
    acked BIGINT NOT NULL CHECK (acked >= 0 AND acked <= sent)
);

CREATE TABLE stream_floors (
    stream VARCHAR(80) NOT NULL PRIMARY KEY,
    floor BIGINT NOT NULL CHECK (floor > 0)
);

CREATE TABLE log_positions (
    source VARCHAR(40) NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL CHECK (number >= 0)
);

CREATE TABLE order_owners (
    order_id VARCHAR(64) NOT NULL PRIMARY KEY,
    group_id VARCHAR(64) NOT NULL,
    member_id VARCHAR(64) NOT NULL,
    is_member BIGINT NOT NULL CHECK (is_member IN (0, 1)),
    at_ms BIGINT NOT NULL
);

CREATE INDEX order_owners_by_group ON order_owners (group_id, order_id);
CREATE INDEX order_owners_by_age ON order_owners (at_ms, order_id);

CREATE TABLE stream_epochs (
    id VARCHAR(8) NOT NULL PRIMARY KEY,
    epoch VARCHAR(16) NOT NULL
);

-- What: the writer's cursor, the event log, timers, kept answers, followers' positions and parked events (B1, C4, J5).
-- Safe beside the release before: first release.
-- Undo: drop the tables; only on an empty database.

CREATE TABLE writer_cursor (
    id BIGINT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL CHECK (position >= 0),
    event_number BIGINT NOT NULL CHECK (event_number >= 0)
);

INSERT INTO writer_cursor (id, position, event_number) VALUES (1, 0, 0);

CREATE TABLE events (
    number BIGINT NOT NULL PRIMARY KEY,
    name VARCHAR(80) NOT NULL,
    version BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    body TEXT NOT NULL
);

CREATE TABLE timers (
    id VARCHAR(120) NOT NULL PRIMARY KEY,
    due_at_ms BIGINT NOT NULL,
    command VARCHAR(80) NOT NULL,
    body TEXT NOT NULL,
    attempts BIGINT NOT NULL
);

CREATE TABLE kept_answers (
    who VARCHAR(64) NOT NULL,
    idempotency_key VARCHAR(64) NOT NULL,
    command VARCHAR(80) NOT NULL,
    fingerprint VARCHAR(64) NOT NULL,
    body TEXT NOT NULL,
    kept_at_ms BIGINT NOT NULL,
    PRIMARY KEY (who, idempotency_key)
);

CREATE INDEX kept_answers_by_age ON kept_answers (kept_at_ms, who, idempotency_key);

CREATE TABLE follower_positions (
    source VARCHAR(40) NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL CHECK (number >= 0)
);

CREATE TABLE parked_events (
    source VARCHAR(40) NOT NULL,
    number BIGINT NOT NULL,
    name VARCHAR(80) NOT NULL,
    reason TEXT NOT NULL,
    parked_at_ms BIGINT NOT NULL,
    PRIMARY KEY (source, number)
);

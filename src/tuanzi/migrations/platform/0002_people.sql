-- What: people, whose phone is whose, sessions, open codes, rate limits, platform operators, audit log (J3).
-- Safe beside the release before: new tables only, the release before reads none of them.
-- Undo: drop the tables; only on an empty database, for people cannot sign in again as who they were.

CREATE TABLE people (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    campus_id VARCHAR(64),
    roles TEXT NOT NULL,
    merchant_id VARCHAR(64),
    phone_hash VARCHAR(64),
    phone_masked VARCHAR(11),
    phone_sealed VARCHAR(64),
    name VARCHAR(80) NOT NULL,
    session_ids TEXT NOT NULL,
    joined_at_ms BIGINT NOT NULL,
    erased_at_ms BIGINT,
    CHECK (
        erased_at_ms IS NULL
        OR (phone_hash IS NULL AND phone_masked IS NULL AND phone_sealed IS NULL AND merchant_id IS NULL AND name = '')
    )
);

CREATE INDEX people_by_phone ON people (phone_hash, id);

CREATE INDEX people_by_campus ON people (campus_id, id);

CREATE TABLE phone_owners (
    phone_hash VARCHAR(64) NOT NULL PRIMARY KEY,
    person_id VARCHAR(64) NOT NULL
);

CREATE TABLE sessions (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    token_hash VARCHAR(64) NOT NULL,
    person_id VARCHAR(64) NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    CHECK (expires_at_ms > created_at_ms)
);

CREATE UNIQUE INDEX sessions_by_token ON sessions (token_hash);

CREATE INDEX sessions_by_person ON sessions (person_id, id);

CREATE TABLE code_challenges (
    phone_hash VARCHAR(64) NOT NULL PRIMARY KEY,
    id VARCHAR(64) NOT NULL,
    code_hash VARCHAR(64) NOT NULL,
    campus_id VARCHAR(64) NOT NULL,
    wrong_count BIGINT NOT NULL CHECK (wrong_count BETWEEN 0 AND 5),
    expires_at_ms BIGINT NOT NULL,
    sent_at_ms BIGINT
);

CREATE TABLE rate_limits (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    windows TEXT NOT NULL
);

CREATE TABLE platform_operators (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    person_ids TEXT NOT NULL
);

CREATE TABLE audit_entries (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    person_id VARCHAR(64) NOT NULL,
    action VARCHAR(40) NOT NULL,
    subject VARCHAR(64) NOT NULL,
    facts TEXT NOT NULL
);

CREATE INDEX audit_entries_by_person ON audit_entries (person_id, id);

CREATE INDEX audit_entries_by_subject ON audit_entries (subject, id);

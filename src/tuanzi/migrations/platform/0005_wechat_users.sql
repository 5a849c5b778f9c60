-- What: whose WeChat account is whose, for signing in with it and paying by it (J3, C1).
-- Safe beside the release before: a new table and a column that may be empty, which it neither reads nor writes. Whoever
-- it erases leaves his row here: it opens no session, and goes when the account is bound again.
-- Undo: drop both; people sign in by phone, and bind their accounts again later.

ALTER TABLE people ADD COLUMN openid_hash VARCHAR(64);

CREATE TABLE wechat_users (
    openid_hash VARCHAR(64) NOT NULL PRIMARY KEY,
    person_id VARCHAR(64) NOT NULL,
    appid VARCHAR(64) NOT NULL,
    openid_sealed VARCHAR(255) NOT NULL,
    code_hash VARCHAR(64) NOT NULL,
    bound_at_ms BIGINT NOT NULL
);

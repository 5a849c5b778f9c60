-- What: payees, shares and returns at the payment company, claw-backs, and what needs a person (B8, C1, C2).
-- Safe beside the release before: new tables, and a nullable column that it neither reads nor writes.
-- Undo: drop the tables and the column of refunds, when no payout is under way.

CREATE TABLE payees (
    id VARCHAR(80) NOT NULL PRIMARY KEY,
    kind VARCHAR(16) NOT NULL CHECK (kind IN ('merchant', 'person')),
    account VARCHAR(64) NOT NULL,
    full_name VARCHAR(64) NOT NULL,
    state VARCHAR(16) NOT NULL CHECK (state IN ('new', 'added', 'refused')),
    refusal VARCHAR(80) NOT NULL
);

CREATE TABLE shares (
    id VARCHAR(80) NOT NULL PRIMARY KEY,
    order_id VARCHAR(64) NOT NULL,
    payment_id VARCHAR(64) NOT NULL,
    out_order_no VARCHAR(64) NOT NULL UNIQUE,
    state VARCHAR(16) NOT NULL CHECK (state IN ('sent', 'finished', 'refused')),
    parts BIGINT NOT NULL CHECK (parts > 0),
    sent_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT,
    reason VARCHAR(80) NOT NULL
);

CREATE INDEX shares_by_order ON shares (order_id, id);

CREATE TABLE share_parts (
    share_id VARCHAR(80) NOT NULL,
    number BIGINT NOT NULL CHECK (number >= 0),
    order_id VARCHAR(64) NOT NULL,
    line BIGINT NOT NULL CHECK (line >= 0),
    payee_id VARCHAR(80) NOT NULL,
    kind VARCHAR(16) NOT NULL CHECK (kind IN ('merchant', 'person')),
    account VARCHAR(64) NOT NULL,
    amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
    result VARCHAR(16) NOT NULL CHECK (result IN ('pending', 'success', 'closed')),
    reason VARCHAR(80) NOT NULL,
    back_fen BIGINT NOT NULL,
    PRIMARY KEY (share_id, number),
    FOREIGN KEY (share_id) REFERENCES shares (id),
    CHECK (back_fen BETWEEN 0 AND amount_fen),
    CHECK (back_fen = 0 OR result = 'success')
);

CREATE INDEX share_parts_by_order ON share_parts (order_id, share_id, number);

CREATE TABLE claw_backs (
    refund_id VARCHAR(64) NOT NULL PRIMARY KEY,
    order_id VARCHAR(64) NOT NULL,
    amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
    losses TEXT NOT NULL,
    returns BIGINT NOT NULL CHECK (returns >= 0),
    open_returns BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    CHECK (open_returns BETWEEN 0 AND returns)
);

CREATE INDEX claw_backs_by_order ON claw_backs (order_id, refund_id);

CREATE TABLE share_returns (
    id VARCHAR(80) NOT NULL PRIMARY KEY,
    order_id VARCHAR(64) NOT NULL,
    refund_id VARCHAR(64) NOT NULL,
    share_id VARCHAR(80) NOT NULL,
    part BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL CHECK (kind IN ('merchant', 'person')),
    account VARCHAR(64) NOT NULL,
    owed_in VARCHAR(96) NOT NULL,
    amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
    withheld_fen BIGINT NOT NULL CHECK (withheld_fen BETWEEN 0 AND amount_fen),
    out_return_no VARCHAR(64) NOT NULL UNIQUE,
    attempts BIGINT NOT NULL CHECK (attempts > 0),
    state VARCHAR(16) NOT NULL
        CHECK (state IN ('due', 'sent', 'settled', 'refused', 'withheld', 'paid_otherwise', 'written_off')),
    due_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT,
    reason VARCHAR(80) NOT NULL
);

CREATE INDEX share_returns_by_order ON share_returns (order_id, id);

CREATE TABLE debts (
    account VARCHAR(96) NOT NULL PRIMARY KEY,
    returns TEXT NOT NULL
);

CREATE TABLE cases (
    id VARCHAR(120) NOT NULL PRIMARY KEY,
    kind VARCHAR(24) NOT NULL CHECK (kind IN ('refund', 'share', 'return')),
    reference VARCHAR(80) NOT NULL,
    order_id VARCHAR(64) NOT NULL,
    amount_fen BIGINT NOT NULL,
    reason VARCHAR(80) NOT NULL,
    state VARCHAR(8) NOT NULL CHECK (state IN ('open', 'settled')),
    opened_at_ms BIGINT NOT NULL,
    times BIGINT NOT NULL CHECK (times > 0),
    settled_at_ms BIGINT,
    settled_by VARCHAR(64),
    settled_how VARCHAR(16),
    note VARCHAR(500)
);

CREATE INDEX cases_by_state ON cases (state, id);

ALTER TABLE refunds ADD COLUMN sub_order_id VARCHAR(70);

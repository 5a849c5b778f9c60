-- What: payments, refunds and the double-entry ledger of a campus (C2, C4).
-- Safe beside the release before: first release.
-- Undo: drop the tables; only on an empty database.

CREATE TABLE payments (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    order_id VARCHAR(64) NOT NULL,
    member_id VARCHAR(64) NOT NULL,
    amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
    state VARCHAR(16) NOT NULL CHECK (state IN ('opened', 'captured', 'refused', 'closed', 'misfit')),
    provider VARCHAR(32) NOT NULL,
    out_trade_no VARCHAR(32) NOT NULL,
    opened_at_ms BIGINT NOT NULL,
    transaction_id VARCHAR(64),
    captured_at_ms BIGINT,
    captured_fen BIGINT NOT NULL CHECK (captured_fen >= 0),
    refunded_fen BIGINT NOT NULL,
    CHECK (refunded_fen BETWEEN 0 AND captured_fen),
    CHECK (state <> 'captured' OR captured_fen = amount_fen)
);

CREATE INDEX payments_by_order ON payments (order_id, id);

CREATE TABLE refunds (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    order_id VARCHAR(64) NOT NULL,
    payment_id VARCHAR(64) NOT NULL,
    amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
    state VARCHAR(16) NOT NULL CHECK (state IN ('waiting', 'due', 'sent', 'settled', 'refused', 'parked')),
    out_refund_no VARCHAR(64) NOT NULL,
    reason VARCHAR(80) NOT NULL,
    due_at_ms BIGINT NOT NULL,
    settled_at_ms BIGINT,
    refusal VARCHAR(80)
);

CREATE INDEX refunds_by_order ON refunds (order_id, id);

CREATE TABLE journals (
    id VARCHAR(96) NOT NULL PRIMARY KEY,
    kind VARCHAR(16) NOT NULL,
    reference VARCHAR(64) NOT NULL,
    entry_count BIGINT NOT NULL CHECK (entry_count >= 2),
    turnover_fen BIGINT NOT NULL CHECK (turnover_fen > 0),
    at_ms BIGINT NOT NULL
);

CREATE TABLE entries (
    journal_id VARCHAR(96) NOT NULL,
    line BIGINT NOT NULL CHECK (line >= 0),
    account VARCHAR(96) NOT NULL,
    order_id VARCHAR(64) NOT NULL,
    amount_fen BIGINT NOT NULL CHECK (amount_fen <> 0),
    PRIMARY KEY (journal_id, line),
    FOREIGN KEY (journal_id) REFERENCES journals (id)
);

CREATE INDEX entries_by_order ON entries (order_id);

CREATE TABLE balances (
    account VARCHAR(96) NOT NULL PRIMARY KEY,
    amount_fen BIGINT NOT NULL
);

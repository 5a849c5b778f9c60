-- What: runs of the reconciliation, the differences they found, their chained reports; holds on payouts (C3).
-- Safe beside the release before: new tables only.
-- Undo: drop the tables; reports are evidence, so copy them first.

CREATE TABLE payout_holds (
    merchant_id VARCHAR(64) NOT NULL PRIMARY KEY,
    because TEXT NOT NULL
);

CREATE TABLE reconciliation_cursors (
    id VARCHAR(16) NOT NULL PRIMARY KEY,
    core_number BIGINT NOT NULL,
    money_number BIGINT NOT NULL,
    swept VARCHAR(64) NOT NULL,
    minute_runs BIGINT NOT NULL,
    last_run_at_ms BIGINT,
    summed_at_ms BIGINT,
    entries BIGINT NOT NULL,
    billed VARCHAR(10) NOT NULL,
    report_number BIGINT NOT NULL,
    report_hash VARCHAR(64) NOT NULL
);

CREATE TABLE reconciliation_runs (
    id VARCHAR(40) NOT NULL PRIMARY KEY,
    kind VARCHAR(16) NOT NULL,
    on_day VARCHAR(10),
    began_at_ms BIGINT NOT NULL,
    ended_at_ms BIGINT NOT NULL,
    orders_read BIGINT NOT NULL,
    lines_read BIGINT NOT NULL,
    under_way BIGINT NOT NULL,
    found BIGINT NOT NULL,
    unexplained_fen BIGINT NOT NULL CHECK (unexplained_fen >= 0),
    fault VARCHAR(200) NOT NULL,
    report_number BIGINT NOT NULL
);

CREATE TABLE differences (
    id VARCHAR(40) NOT NULL PRIMARY KEY,
    kind VARCHAR(4) NOT NULL CHECK (kind IN ('D1', 'D2', 'D3', 'D4', 'D5', 'D6', 'D7')),
    item VARCHAR(200) NOT NULL,
    order_id VARCHAR(64) NOT NULL,
    merchant_ids TEXT NOT NULL,
    sides TEXT NOT NULL,
    unexplained_fen BIGINT NOT NULL CHECK (unexplained_fen >= 0),
    mend VARCHAR(32) NOT NULL,
    evidence TEXT NOT NULL,
    state VARCHAR(16) NOT NULL CHECK (state IN ('open', 'carried', 'repaired', 'settled')),
    run_id VARCHAR(40) NOT NULL,
    found_at_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    occurrences BIGINT NOT NULL,
    is_raised BIGINT NOT NULL,
    ended_at_ms BIGINT,
    ended_by VARCHAR(64),
    reason TEXT
);

CREATE INDEX differences_by_state ON differences (state, id);
CREATE INDEX differences_by_run ON differences (run_id, id);

CREATE TABLE reconciliation_reports (
    number BIGINT NOT NULL PRIMARY KEY,
    run_id VARCHAR(40) NOT NULL,
    made_at_ms BIGINT NOT NULL,
    body TEXT NOT NULL,
    previous VARCHAR(64) NOT NULL,
    hash VARCHAR(64) NOT NULL
);

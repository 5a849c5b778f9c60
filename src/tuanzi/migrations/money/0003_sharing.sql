-- What: who gets what of each order: terms, pending and posted transfers, the subsidy budget; limits of balances (B3, C2).
-- Safe beside the release before: new tables, and nullable columns that it neither reads nor writes.
-- Undo: drop the tables and the two columns of balances, when no split is under way.

CREATE TABLE sharing_terms (
    id VARCHAR(32) NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL UNIQUE CHECK (version > 0),
    platform_rate BIGINT NOT NULL CHECK (platform_rate >= 0),
    leader_rate BIGINT NOT NULL CHECK (leader_rate >= 0),
    ambassador_rate BIGINT NOT NULL CHECK (ambassador_rate >= 0),
    provider_rate BIGINT NOT NULL CHECK (provider_rate >= 0),
    rider_rate BIGINT NOT NULL CHECK (rider_rate >= 0),
    subsidy_rate BIGINT NOT NULL CHECK (subsidy_rate BETWEEN 0 AND 10000),
    subsidy_budget_fen BIGINT NOT NULL CHECK (subsidy_budget_fen >= 0),
    outward_max BIGINT NOT NULL CHECK (outward_max BETWEEN 0 AND 10000),
    persons_max BIGINT NOT NULL CHECK (persons_max BETWEEN 0 AND 10000),
    note VARCHAR(500) NOT NULL,
    made_by VARCHAR(64) NOT NULL,
    made_at_ms BIGINT,
    CHECK (platform_rate + leader_rate + ambassador_rate + provider_rate <= 10000),
    CHECK (rider_rate + provider_rate <= 10000)
);

CREATE TABLE terms_in_force (
    id VARCHAR(32) NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
);

CREATE TABLE subsidy_budgets (
    id VARCHAR(32) NOT NULL PRIMARY KEY,
    most_fen BIGINT NOT NULL,
    used_fen BIGINT NOT NULL,
    CHECK (used_fen BETWEEN 0 AND most_fen)
);

CREATE TABLE sharing_branches (
    gid VARCHAR(80) NOT NULL PRIMARY KEY,
    group_id VARCHAR(64) NOT NULL,
    order_ids TEXT NOT NULL
);

CREATE TABLE sharings (
    order_id VARCHAR(64) NOT NULL PRIMARY KEY,
    gid VARCHAR(80) NOT NULL,
    group_id VARCHAR(64) NOT NULL,
    payment_id VARCHAR(64) NOT NULL,
    terms_version BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL CHECK (state IN ('pending', 'posted', 'voided')),
    payable_fen BIGINT NOT NULL CHECK (payable_fen >= 0),
    claimed_fen BIGINT NOT NULL,
    transfers BIGINT NOT NULL CHECK (transfers >= 0),
    tried_at_ms BIGINT NOT NULL,
    decided_at_ms BIGINT,
    completed_at_ms BIGINT,
    payout VARCHAR(16) NOT NULL CHECK (payout IN ('held', 'due', 'sharing', 'unfreezing', 'done')),
    rounds BIGINT NOT NULL CHECK (rounds >= 0),
    CHECK (claimed_fen BETWEEN 0 AND payable_fen),
    CHECK (state = 'posted' OR payout = 'held')
);

CREATE INDEX sharings_by_group ON sharings (group_id, order_id);

CREATE TABLE transfers (
    gid VARCHAR(80) NOT NULL,
    order_id VARCHAR(64) NOT NULL,
    line BIGINT NOT NULL CHECK (line >= 0),
    sub_order_id VARCHAR(70) NOT NULL,
    party VARCHAR(16) NOT NULL
        CHECK (party IN ('merchant', 'platform', 'rider', 'leader', 'ambassador', 'provider', 'subsidy')),
    account VARCHAR(96) NOT NULL,
    amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
    outward_fen BIGINT NOT NULL CHECK (outward_fen BETWEEN 0 AND amount_fen),
    cut_fen BIGINT NOT NULL CHECK (cut_fen >= 0),
    sent_fen BIGINT NOT NULL CHECK (sent_fen >= 0),
    given_fen BIGINT NOT NULL CHECK (given_fen >= 0),
    back_fen BIGINT NOT NULL CHECK (back_fen BETWEEN 0 AND given_fen),
    closed BIGINT NOT NULL CHECK (closed >= 0),
    PRIMARY KEY (gid, order_id, line),
    CHECK (cut_fen + sent_fen + given_fen <= amount_fen)
);

CREATE INDEX transfers_by_account ON transfers (account, order_id);

ALTER TABLE balances ADD COLUMN least_fen BIGINT CHECK (least_fen IS NULL OR amount_fen >= least_fen);

ALTER TABLE balances ADD COLUMN most_fen BIGINT CHECK (most_fen IS NULL OR amount_fen <= most_fen);

UPDATE balances SET most_fen = 0 WHERE account IN ('order_escrow', 'user_refund_payable');

-- What: the fences of transactions' branches and their coordinators' epochs (B3).
-- Safe beside the release before: new tables only.
-- Undo: drop the tables, when no transaction is under way.

CREATE TABLE fences (
    gid VARCHAR(80) NOT NULL,
    branch VARCHAR(40) NOT NULL,
    state VARCHAR(16) NOT NULL CHECK (state IN ('tried', 'confirmed', 'cancelled', 'suspended')),
    fingerprint VARCHAR(64) NOT NULL,
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (gid, branch)
);

CREATE TABLE coordinator_epochs (
    coordinator VARCHAR(40) NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL CHECK (epoch >= 0)
);

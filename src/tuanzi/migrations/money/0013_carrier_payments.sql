-- What: who was paid from another purse for bringing what no rider is known to have brought, by whose word (C2, decision 0038).
-- Safe beside the release before: a new table, which it neither reads nor writes.
-- Undo: drop it; what was booked stays in the ledger, and by whose word is lost.

CREATE TABLE carrier_payments (
    sub_order_id VARCHAR(70) NOT NULL PRIMARY KEY,
    order_id VARCHAR(64) NOT NULL,
    amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
    note VARCHAR(500) NOT NULL,
    paid_by VARCHAR(64) NOT NULL,
    paid_at_ms BIGINT NOT NULL
);

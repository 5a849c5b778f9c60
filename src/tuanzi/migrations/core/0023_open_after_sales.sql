-- What: which after-sales wait for an operator, and since when; those that wait already count from the delivery (B8).
-- Safe beside the release before: a new table, nobody else reads it; what is asked for there is not listed.
-- Undo: drop the table.

CREATE TABLE open_after_sales (
    order_id VARCHAR(64) NOT NULL PRIMARY KEY,
    asked_at_ms BIGINT NOT NULL
);

INSERT INTO open_after_sales (order_id, asked_at_ms)
SELECT id, COALESCE(delivered_at_ms, placed_at_ms) FROM orders WHERE state = 'after_sale';

-- What: completed orders for which the pool owed something when they were, so that a page of carriers who are owed reads
-- those alone (C2, decision 0035). Filled from the ledger: reads the pool's entries, two or three an order.
-- Safe beside the release before: a new table, which it neither reads nor writes. What that one completes meanwhile, and of
-- which no rider is known, is owed as ever and not listed: once it is gone, fill again by the statement below, leaving
-- out what is there.
-- Undo: drop it.

CREATE TABLE unbrought_orders (
    order_id VARCHAR(64) NOT NULL PRIMARY KEY,
    completed_at_ms BIGINT NOT NULL
);

INSERT INTO unbrought_orders (order_id, completed_at_ms)
SELECT e.order_id, MAX(s.completed_at_ms) FROM entries e JOIN sharings s ON s.order_id = e.order_id
WHERE e.account = 'rider_payable:pool' AND INSTR(e.account, ':') > 0 AND s.state = 'posted' AND s.completed_at_ms IS NOT NULL
GROUP BY e.order_id HAVING SUM(e.amount_fen) <> 0;

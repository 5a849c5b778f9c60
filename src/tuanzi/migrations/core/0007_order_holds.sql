-- What: orders for which nothing is made while their money is looked into (C3, D2 of the reconciliation).
-- Safe beside the release before: a new table, nobody else reads it.
-- Undo: drop the table.

CREATE TABLE order_holds (
    order_id VARCHAR(64) NOT NULL PRIMARY KEY,
    because VARCHAR(64) NOT NULL
);

-- What: what tells whether an order is its member's first, and whether a guest is a dorm head (B4).
-- Safe beside the release before: a table nobody else reads, a column with a default. Who ordered before counts as a
-- regular; members whose only orders came to nothing have no row. One pass over the orders, about 1 s for a million.
-- Undo: drop the table and the column; rules that ask for a first order then apply to nobody.

CREATE TABLE ordered_before (
    member_id VARCHAR(64) NOT NULL PRIMARY KEY,
    order_ids TEXT NOT NULL,
    is_regular BIGINT NOT NULL
);

INSERT INTO ordered_before (member_id, order_ids, is_regular)
SELECT member_id, '[]', 1 FROM orders
WHERE sub_orders > 0 OR state IN ('created', 'paid', 'grouped')
GROUP BY member_id;

ALTER TABLE guest_seats ADD COLUMN is_dorm_head BIGINT NOT NULL DEFAULT 0;

-- What: all transfers of an order in one row, for they are made and read together; a statement finds its entries by the
-- account alone (B2, C2).
-- Safe beside the release before: no, for it looks for the rows that are moved; stop it first.
-- Undo: make the table `transfers` anew out of these rows.

CREATE TABLE order_transfers (
    gid VARCHAR(80) NOT NULL,
    order_id VARCHAR(64) NOT NULL,
    transfers TEXT NOT NULL,
    PRIMARY KEY (gid, order_id)
);

INSERT INTO order_transfers (gid, order_id, transfers)
SELECT gid, order_id, '[' || GROUP_CONCAT(
    '{"gid":"' || gid || '","order_id":"' || order_id || '","line":' || line || ',"sub_order_id":"' || sub_order_id
    || '","party":"' || party || '","account":"' || account || '","amount":[' || amount_fen || '],"outward":['
    || outward_fen || '],"cut":[' || cut_fen || '],"sent":[' || sent_fen || '],"given":[' || given_fen || '],"back":['
    || back_fen || '],"closed":' || closed || '}'
) || ']'
FROM (SELECT * FROM transfers ORDER BY gid, order_id, line LIMIT 1000000000) AS in_order
GROUP BY gid, order_id;

DROP TABLE transfers;

CREATE INDEX entries_by_account ON entries (account, journal_id, line);

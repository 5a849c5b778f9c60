-- What: what members say is wrong with their orders, one row for each member, so that it goes when he does (B8, J3).
-- Safe beside the release before: a new table, nobody else reads it.
-- Undo: drop the table.

CREATE TABLE complaints (
    member_id VARCHAR(64) NOT NULL PRIMARY KEY,
    said TEXT NOT NULL
);

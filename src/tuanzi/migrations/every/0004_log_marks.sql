-- What: in which command log, and which history of it, the entries from a number on stand (issue 5, E1).
-- Safe beside the release before: a new table only.
-- Undo: drop the table.

CREATE TABLE log_marks (
    first_number BIGINT NOT NULL PRIMARY KEY CHECK (first_number >= 0),
    mark VARCHAR(80) NOT NULL
);

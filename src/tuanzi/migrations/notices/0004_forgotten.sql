-- What: streams of erased people, of which nothing is kept any more (J3, PIPL art. 47).
-- Safe beside the release before: a table nobody else reads.
-- Undo: drop the table, when every stream in it has no message left.

CREATE TABLE forgotten_streams (
    stream VARCHAR(80) NOT NULL PRIMARY KEY,
    since_ms BIGINT NOT NULL
);

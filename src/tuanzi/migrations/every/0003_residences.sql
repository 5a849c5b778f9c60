-- What: which copy of a campus's databases is in charge of it, and whether one was left for another (E1, issue 5).
--   In a campus's database one row, 'here': its token, and once it was left, for which and where its cursor stood.
--   In the platform's one row a campus: the token in charge; while it moves the next one, and where that is.
-- Safe beside the release before: a new table only.
-- Undo: drop the table, when no campus is on its way.

CREATE TABLE residences (
    name VARCHAR(40) NOT NULL PRIMARY KEY,
    token VARCHAR(40) NOT NULL,
    left_for VARCHAR(40) NOT NULL,
    going_to VARCHAR(255) NOT NULL,
    position BIGINT NOT NULL CHECK (position >= 0),
    event_number BIGINT NOT NULL CHECK (event_number >= 0)
);

-- What: a phone may have a code for each address that asked, and the addresses it was signed in from are known (J3).
-- Safe beside the release before: new tables only; it goes on with code_challenges, which nobody reads any more from now on; a code
-- that it sent is good for its five minutes with its own processes only. A later release drops that table.
-- Undo: drop both tables.

CREATE TABLE phone_codes (
    phone_hash VARCHAR(64) NOT NULL PRIMARY KEY,
    codes TEXT NOT NULL,
    wrong TEXT NOT NULL
);

CREATE TABLE familiar_addresses (
    phone_hash VARCHAR(64) NOT NULL PRIMARY KEY,
    marks TEXT NOT NULL
);

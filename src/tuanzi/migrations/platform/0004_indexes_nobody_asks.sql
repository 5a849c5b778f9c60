-- What: an index that no query asks is gone; a phone's owner is found in phone_owners, by its primary key (J3).
-- Safe beside the release before: it finds the same people without it, by reading on from the key of its page.
-- Undo: create it as 0002_people did.

DROP INDEX people_by_phone ON people;

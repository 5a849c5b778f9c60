-- What: an index that no query asks is gone; each step of an order's sharing wrote it anew (B3).
-- Safe beside the release before: an index only makes queries quicker, and none asks this one.
-- Undo: create it as 0003_sharing did.

DROP INDEX sharings_by_group ON sharings;

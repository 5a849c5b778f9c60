-- What: an index that no query asks is gone (B10).
-- Safe beside the release before: an index only makes queries quicker, and none asks this one.
-- Undo: create it as 0002_delivery did.

DROP INDEX bundles_by_state ON bundles;

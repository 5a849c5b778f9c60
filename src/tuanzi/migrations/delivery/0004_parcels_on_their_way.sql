-- What: in SQLite a parcel is in the index of bundles from when it is in a bundle (B10): each was written there twice,
-- first without one. Elsewhere the index is made anew as it was.
-- Safe beside the release before: its queries use this index too.
-- Undo: create it as 0002_delivery did.

DROP INDEX parcels_by_bundle ON parcels;

CREATE INDEX parcels_by_bundle ON parcels (bundle_id, id); -- WHERE bundle_id IS NOT NULL

-- What: two indexes that no query asks are gone; each step of a sub-order wrote one of them anew (B8).
-- Safe beside the release before: an index only makes queries quicker, and none asks these.
-- Undo: create them as 0005_orders and 0009_guests did.

DROP INDEX sub_orders_by_rider ON sub_orders;

DROP INDEX guest_seats_by_state ON guest_seats;

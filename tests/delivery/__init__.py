"""Delivery: parcels, riders, plans and hand-overs (B2, B3, B9, B10)."""

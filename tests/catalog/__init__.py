"""The catalog: what a campus offers, and when."""

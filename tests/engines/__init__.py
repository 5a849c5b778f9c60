"""Contract and crash tests: what a port promises holds on every engine of its need."""

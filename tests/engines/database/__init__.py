"""One contract for every database engine (E1)."""

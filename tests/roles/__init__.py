"""Commands of those who run an installation (J4)."""

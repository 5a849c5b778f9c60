"""Measurements over real HTTP, each beside a rival; what is measured and how is said at the top of each file."""

"""Tests of the room groups."""

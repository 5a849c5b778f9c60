"""Tests of the room splitting."""

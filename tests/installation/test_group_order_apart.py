"""The journeys of tests/journeys/test_group_order.py, with those who serve and those who decide apart (D3)."""

from tests.journeys.test_group_order import *  # noqa: F403 - the same tests, by another `town`

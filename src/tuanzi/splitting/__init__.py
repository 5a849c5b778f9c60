"""Splitting: a closed group's exact split into member x merchant x building (B2, B5, B6). Database: core.

Owns no table yet: the plan's sub-orders are rows of orders. Hears GroupClosed, in the commit that closed the group.
Emits SplitPlanned.
"""

from __future__ import annotations

from tuanzi.machinery.room import Room
from tuanzi.splitting.handlers import on_group_closed
from tuanzi.splitting.model import plan, planned

__all__ = ["on_group_closed", "plan", "planned", "room"]


def room() -> Room:
    """Splitting as wiring puts it into the house."""
    return Room(name="splitting", database="core")

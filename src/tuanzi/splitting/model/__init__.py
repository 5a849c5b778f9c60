"""The exact split of a closed group (B2, B5), and its life as a transaction over three databases (B3); pure.

`plans`: who gets what. `transaction`: what a coordinator knows of it, says and hears. `judgement`: what he makes
of it.
"""

from __future__ import annotations

from tuanzi.splitting.model.judgement import PAUSE_LONGEST, PAUSE_SHORTEST, Turn, pause_after, register, take_turn
from tuanzi.splitting.model.plans import OrderPlan, SplitPlan, boards_of, plan, planned
from tuanzi.splitting.model.transaction import (
    ADDRESSES,
    DELIVERY,
    HOME,
    SHARING,
    STOCK,
    TRY_MS_MAX,
    AnswersCame,
    BranchState,
    DeadlineCame,
    Event,
    Heard,
    Message,
    Split,
    SplitBranch,
    SplitBranches,
    SplitCoordinator,
    Word,
    gid_of,
)

__all__ = [
    "ADDRESSES",
    "DELIVERY",
    "HOME",
    "PAUSE_LONGEST",
    "PAUSE_SHORTEST",
    "SHARING",
    "STOCK",
    "TRY_MS_MAX",
    "AnswersCame",
    "BranchState",
    "DeadlineCame",
    "Event",
    "Heard",
    "Message",
    "OrderPlan",
    "Split",
    "SplitBranch",
    "SplitBranches",
    "SplitCoordinator",
    "SplitPlan",
    "Turn",
    "Word",
    "boards_of",
    "gid_of",
    "pause_after",
    "plan",
    "planned",
    "register",
    "take_turn",
]

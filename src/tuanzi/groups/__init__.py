"""Groups: opening, joining, forming, closing, failing, and money that comes late (B1). Database: core.

Owns campus_groups, campaign_uses, open_groups. Hears PaymentCaptured (of money, through its log), OrderCancelled.
Emits GroupOpened, SeatHeld, SeatPaid, SeatReleased, LeaderChanged, TierReached, GroupFormed, GroupClosed,
GroupFailed, LateMoneySettled, and RefundDue for money of an order nobody knows.
"""

from __future__ import annotations

from tuanzi.groups import service
from tuanzi.groups.handlers import hear_capture, on_order_cancelled, on_payment_captured
from tuanzi.groups.model import CampaignUse, Group, GroupState, OpenGroups, Seat, SeatState
from tuanzi.groups.problems import (
    AlreadyMember,
    BuildingNotInGroup,
    GroupFull,
    GroupNotOpen,
    MinimumNotReached,
    NoSeat,
    OrderLimitExceeded,
    SeatCommitted,
    UserLimitReached,
)
from tuanzi.groups.queries import (
    FindPlan,
    GroupsCounted,
    GroupView,
    PaidOutcome,
    PlannedSplit,
    groups_counted,
    is_member,
    load_group,
    outcome_of,
)
from tuanzi.groups.service import (
    CancelOrder,
    CloseGroup,
    ExpireSeat,
    HearCapture,
    JoinGroup,
    LeaveGroup,
    Left,
    OpenGroup,
    QuoteCart,
    Quoted,
    Seated,
    Wanted,
    give_up,
)
from tuanzi.groups.store import TABLES
from tuanzi.groups.web import routes
from tuanzi.machinery.room import Room
from tuanzi.money import Cashier, PaymentProvider

__all__ = [
    "TABLES",
    "AlreadyMember",
    "BuildingNotInGroup",
    "CampaignUse",
    "CancelOrder",
    "CloseGroup",
    "ExpireSeat",
    "FindPlan",
    "Group",
    "GroupFull",
    "GroupNotOpen",
    "GroupState",
    "GroupView",
    "GroupsCounted",
    "HearCapture",
    "JoinGroup",
    "LeaveGroup",
    "Left",
    "MinimumNotReached",
    "NoSeat",
    "OpenGroup",
    "OpenGroups",
    "OrderLimitExceeded",
    "PaidOutcome",
    "PlannedSplit",
    "QuoteCart",
    "Quoted",
    "Seat",
    "SeatCommitted",
    "SeatState",
    "Seated",
    "UserLimitReached",
    "Wanted",
    "give_up",
    "groups_counted",
    "is_member",
    "load_group",
    "on_order_cancelled",
    "on_payment_captured",
    "outcome_of",
    "room",
]


def room(provider: PaymentProvider, *, find_plan: FindPlan) -> Room:
    """Groups as wiring puts them into the house; orders are paid through `provider`."""
    return Room(
        name="groups",
        database="core",
        tables=TABLES,
        commands={
            OpenGroup: service.open_group,
            JoinGroup: service.join_group,
            QuoteCart: service.quote_cart,
            LeaveGroup: service.leave_group,
            CancelOrder: service.cancel_order,
            ExpireSeat: service.expire_seat,
            CloseGroup: service.close_group,
            HearCapture: hear_capture,
        },
        routes=routes(Cashier(provider), find_plan),
    )

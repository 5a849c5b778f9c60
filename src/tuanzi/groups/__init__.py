"""Groups: opening, joining, forming, closing, failing, and money that comes late (B1). Database: core.

Owns campus_groups, campaign_uses, open_groups, ordered_before. Hears PaymentCaptured (of money, through its log) and
OrderCancelled.
Emits GroupOpened, SeatHeld, SeatPaid, SeatReleased, LeaderChanged, TierReached, GroupFormed, GroupClosed,
GroupFailed, LateMoneySettled, GuestPaid, GuestLeaving, and RefundDue for money of an order nobody knows.
"""

from __future__ import annotations

from tuanzi.groups import service
from tuanzi.groups.handlers import hear_capture, on_order_cancelled, on_payment_captured
from tuanzi.groups.model import CampaignUse, Group, GroupState, Home, OpenGroups, Seat, SeatState
from tuanzi.groups.problems import (
    AlreadyMember,
    BuildingNotInGroup,
    GroupElsewhere,
    GroupFull,
    GroupNotOpen,
    MinimumNotReached,
    NoSeat,
    OrderLimitExceeded,
    SeatCommitted,
    TooManyUnpaid,
    UserLimitReached,
)
from tuanzi.groups.queries import (
    FindPlan,
    GroupDetail,
    GroupsCounted,
    GroupView,
    PaidOutcome,
    PlannedSplit,
    detail_of,
    groups_counted,
    is_member,
    load_group,
    outcome_of,
    view_of,
)
from tuanzi.groups.service import (
    CancelOrder,
    CloseGroup,
    ExpireSeat,
    HearCapture,
    HomeNews,
    JoinGroup,
    LeaveGroup,
    Left,
    OpenGroup,
    QuoteCart,
    Quoted,
    Seated,
    Wanted,
    follow_home,
    forget_use,
    give_up,
    hold_late_guest,
    late_money_seated,
    lose_seat,
    news_of,
    pay_seat,
    place_guest,
    quote_at,
    refund_late,
    release_seat,
    seat_guest,
    seated_as,
)
from tuanzi.groups.store import KEEPS, TABLES
from tuanzi.groups.web import Id, Lines, routes, wanted
from tuanzi.machinery.room import Room
from tuanzi.money import Cashier, PaymentProvider
from tuanzi.people import ForgetPerson, Payers

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
    "GroupDetail",
    "GroupElsewhere",
    "GroupFull",
    "GroupNotOpen",
    "GroupState",
    "GroupView",
    "GroupsCounted",
    "HearCapture",
    "Home",
    "HomeNews",
    "Id",
    "JoinGroup",
    "LeaveGroup",
    "Left",
    "Lines",
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
    "TooManyUnpaid",
    "UserLimitReached",
    "Wanted",
    "detail_of",
    "follow_home",
    "forget_use",
    "give_up",
    "groups_counted",
    "hold_late_guest",
    "is_member",
    "late_money_seated",
    "load_group",
    "lose_seat",
    "news_of",
    "on_order_cancelled",
    "on_payment_captured",
    "outcome_of",
    "pay_seat",
    "place_guest",
    "quote_at",
    "refund_late",
    "release_seat",
    "room",
    "seat_guest",
    "seated_as",
    "view_of",
    "wanted",
]


def room(provider: PaymentProvider, *, find_plan: FindPlan, payers: Payers | None = None) -> Room:
    """Groups as wiring puts them into the house; orders are paid through `provider`.

    payers: by which openid somebody pays; None where the provider knows members by their ids here.
    """
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
            ForgetPerson: service.forget_member,
        },
        asks={OpenGroup: service.asked_by_open, JoinGroup: service.asked_by_join},
        routes=routes(Cashier(provider), find_plan, payers),
        keeps=KEEPS,
    )

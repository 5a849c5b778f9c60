"""What can be done with a group, one function for each sentence of the spec (B1).

A campus has one writer, so there are no races here: the last seat goes to whoever queued first. `joining` opens groups
and takes seats, at a price of `prices`; `leaving` gives them up; `seats` pays and frees them; `ending` closes a group
or fails it. `late` finds seats for late money, `guests` are of other campuses. `members` and `listing` keep what is
known of members and which groups are open; `commands` is what is asked and answered.
"""

from __future__ import annotations

from tuanzi.groups.service.commands import (
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
)
from tuanzi.groups.service.ending import close_group, give_up
from tuanzi.groups.service.guests import HomeNews, follow_home, lose_seat, news_of, place_guest, seat_guest
from tuanzi.groups.service.joining import asked_by_join, asked_by_open, join_group, open_group, seated_as
from tuanzi.groups.service.late import hold_late_guest, late_money_seated, refund_late, settle_capture
from tuanzi.groups.service.leaving import cancel_order, expire_seat, leave_group
from tuanzi.groups.service.members import forget_member, forget_use
from tuanzi.groups.service.prices import quote_at, quote_cart
from tuanzi.groups.service.seats import pay_seat, release_seat

__all__ = [
    "CancelOrder",
    "CloseGroup",
    "ExpireSeat",
    "HearCapture",
    "HomeNews",
    "JoinGroup",
    "LeaveGroup",
    "Left",
    "OpenGroup",
    "QuoteCart",
    "Quoted",
    "Seated",
    "Wanted",
    "asked_by_join",
    "asked_by_open",
    "cancel_order",
    "close_group",
    "expire_seat",
    "follow_home",
    "forget_member",
    "forget_use",
    "give_up",
    "hold_late_guest",
    "join_group",
    "late_money_seated",
    "leave_group",
    "lose_seat",
    "news_of",
    "open_group",
    "pay_seat",
    "place_guest",
    "quote_at",
    "quote_cart",
    "refund_late",
    "release_seat",
    "seat_guest",
    "seated_as",
    "settle_capture",
]

"""A guest's seat, one function for each message and each step (B7). A row and a fence make every repeat harmless.

`home` is decided by the group's home campus, `away` by the guest's own, `commands` are what that is asked. His order,
portions, coupon and money are on his own; the seat, the count, the deadline, the tier and the outcome are the home's.
"""

from __future__ import annotations

from tuanzi.guests.service.away import (
    ask_again,
    ask_seat,
    end_empty_part,
    forget_seat,
    give_up_seat,
    hear_home,
    place_seat,
    quote_guest,
    record_answer,
    send,
    take_late_money,
)
from tuanzi.guests.service.commands import (
    AskAgain,
    AskSeat,
    ForgetSeat,
    GiveUpSeat,
    PlaceSeat,
    QuoteGuest,
    RecordAnswer,
    SeatAsked,
    SendWord,
    Word,
)
from tuanzi.guests.service.home import expire_guest_seat, forget_guest, leave_seat, look_at_group, pay_seat, try_seat

__all__ = [
    "AskAgain",
    "AskSeat",
    "ForgetSeat",
    "GiveUpSeat",
    "PlaceSeat",
    "QuoteGuest",
    "RecordAnswer",
    "SeatAsked",
    "SendWord",
    "Word",
    "ask_again",
    "ask_seat",
    "end_empty_part",
    "expire_guest_seat",
    "forget_guest",
    "forget_seat",
    "give_up_seat",
    "hear_home",
    "leave_seat",
    "look_at_group",
    "pay_seat",
    "place_seat",
    "quote_guest",
    "record_answer",
    "send",
    "take_late_money",
    "try_seat",
]

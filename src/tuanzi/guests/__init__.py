"""Guests: seats of one campus's students in groups of another one (B7). Database: core.

Owns guest_seats. Hears GuestPaid, GuestLeaving, GroupFormed, TierReached, GroupClosed, GroupFailed,
OrderCancelled. Emits nothing of its own: what comes of a seat is told by groups and orders. A seat is a small TCC over
two campuses' core databases: docs/decisions/0015.
"""

from __future__ import annotations

from collections.abc import Callable

from tuanzi.guests import service
from tuanzi.guests.handlers import (
    CancelledTold,
    Courier,
    GuestsTold,
    TellCancelled,
    TellGuests,
    cancelled_told,
    guests_told,
    on_group_moved,
    on_guest_leaving,
    on_guest_paid,
    on_order_cancelled,
)
from tuanzi.guests.model import (
    EndEmptyPart,
    ExpireGuestSeat,
    ForgetGuest,
    GuestSeat,
    GuestSeatState,
    HearHome,
    LeaveSeat,
    LookAtGroup,
    PaySeat,
    SeatAnswer,
    TrySeat,
    branch_of,
    forgetting_of,
)
from tuanzi.guests.problems import GuestsNotTaken, HomeAway, SeatGone
from tuanzi.guests.service import (
    AskAgain,
    AskSeat,
    ForgetSeat,
    GiveUpSeat,
    PlaceSeat,
    QuoteGuest,
    RecordAnswer,
    SendWord,
    Word,
)
from tuanzi.guests.store import GUEST_SEATS, KEEPS
from tuanzi.guests.web import routes
from tuanzi.machinery.post import Post
from tuanzi.machinery.room import Room

__all__ = [
    "GUEST_SEATS",
    "AskAgain",
    "AskSeat",
    "CancelledTold",
    "EndEmptyPart",
    "ExpireGuestSeat",
    "ForgetGuest",
    "ForgetSeat",
    "GiveUpSeat",
    "GuestSeat",
    "GuestSeatState",
    "GuestsNotTaken",
    "GuestsTold",
    "HearHome",
    "HomeAway",
    "LeaveSeat",
    "LookAtGroup",
    "PaySeat",
    "PlaceSeat",
    "QuoteGuest",
    "RecordAnswer",
    "SeatAnswer",
    "SeatGone",
    "SendWord",
    "TellCancelled",
    "TellGuests",
    "TrySeat",
    "Word",
    "branch_of",
    "forgetting_of",
    "on_group_moved",
    "on_guest_leaving",
    "on_guest_paid",
    "on_order_cancelled",
    "room",
]


def room(post: Post, *, is_campus: Callable[[str], bool]) -> Room:
    """Guests as wiring puts them into the house; other campuses are reached by `post`."""
    courier = Courier(post)
    return Room(
        name="guests",
        database="core",
        tables=(GUEST_SEATS,),
        commands={
            TrySeat: service.try_seat,
            PaySeat: service.pay_seat,
            LeaveSeat: service.leave_seat,
            ForgetGuest: service.forget_guest,
            ExpireGuestSeat: service.expire_guest_seat,
            LookAtGroup: service.look_at_group,
            AskSeat: service.ask_seat,
            AskAgain: service.ask_again,
            QuoteGuest: service.quote_guest,
            PlaceSeat: service.place_seat,
            GiveUpSeat: service.give_up_seat,
            ForgetSeat: service.forget_seat,
            RecordAnswer: service.record_answer,
            HearHome: service.hear_home,
            EndEmptyPart: service.end_empty_part,
            GuestsTold: guests_told,
            CancelledTold: cancelled_told,
        },
        errands={
            SendWord: courier.send_word,
            TellGuests: courier.tell_guests,
            TellCancelled: courier.tell_cancelled,
        },
        routes=routes(post, is_campus),
        keeps=KEEPS,
    )

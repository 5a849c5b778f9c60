"""What a guest's own campus is asked about his seat, and what it answers."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from tuanzi.base.ids import BuildingId, CampusId, CouponId, GroupId, OrderId, PersonId
from tuanzi.base.money import Money
from tuanzi.catalog import CampaignTier
from tuanzi.groups import QuoteCart, Wanted
from tuanzi.guests.model import GuestSeatState, SeatAnswer


class Word(StrEnum):
    """What the home campus was told of a seat."""

    PAY = "pay"
    PAY_ANEW = "pay_anew"  # money for a seat that is gone: another of the group, or none
    LEAVE = "leave"


class AskSeat(Struct, frozen=True, kw_only=True, gc=False):
    """A student wants a seat in another campus's group."""

    order_id: OrderId
    group_id: GroupId
    campus_id: CampusId
    home_id: CampusId
    member_id: PersonId
    building_id: BuildingId
    wanted: tuple[Wanted, ...]
    coupon_id: CouponId | None = None
    is_dorm_head: bool = False
    is_returning: bool = False


class SeatAsked(Struct, frozen=True, kw_only=True, gc=False):
    """The transaction is begun; the seat is asked for next."""

    order_id: OrderId


class AskAgain(Struct, frozen=True, kw_only=True, gc=False):
    """A student repeats his request for a seat that home, which was away, could not give him."""

    order_id: OrderId


class QuoteGuest(Struct, frozen=True, kw_only=True, gc=False):
    """Price a guest's cart at his group's terms, which its home has said; nothing changes."""

    cart: QuoteCart
    tiers: tuple[CampaignTier, ...]
    delivery_fee: Money


class PlaceSeat(Struct, frozen=True, kw_only=True, gc=False):
    """Home holds the seat: hold portions and coupon too, and place the order. attempt: the one it is held for."""

    order_id: OrderId
    answer: SeatAnswer
    attempt: int = 0


class GiveUpSeat(Struct, frozen=True, kw_only=True, gc=False):
    """There will be no order: home refused the seat, or did not answer in time, or this campus refused the cart."""

    order_id: OrderId
    reason: str
    facts: dict[str, str | int] = {}
    attempt: int = 0


class ForgetSeat(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a seat that came to nothing before there was an order, and that nobody asks for any more."""

    order_id: OrderId


class SendWord(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: tell the home campus, again and again until it answers."""

    word: Word
    order_id: OrderId
    group_id: GroupId
    campus_id: CampusId
    home_id: CampusId
    member_id: PersonId
    reason: str
    attempt: int = 0
    building_id: BuildingId | None = None


class RecordAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """What the home campus answered to a word."""

    word: Word
    answer: SeatAnswer
    attempt: int = 0


class SeatStanding(Struct, frozen=True, kw_only=True, gc=False):
    """Where a guest's seat is now."""

    order_id: OrderId
    state: GuestSeatState

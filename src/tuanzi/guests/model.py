"""A guest's seat as a transaction over two campuses, and what they say to each other (B7); pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tuanzi.base.branch import Branch
from tuanzi.base.ids import BuildingId, CampaignId, CampusId, CouponId, GroupId, MealId, OrderId, PersonId
from tuanzi.base.money import Money
from tuanzi.catalog import CampaignTier
from tuanzi.groups import GroupDetail, HomeNews, Wanted

# Our choice: twice the longest wait for a letter's answer; a seat that nobody could confirm by then is let go.
ASK_WITHIN: Final = timedelta(seconds=10)
# Our choice: money that came at the last moment has so long to be heard of at home.
GRACE: Final = timedelta(minutes=1)
# Our choice: longer than an answer is kept under its key (three days), for a repeat is told by the seat what was said.
FORGOTTEN_AFTER: Final = timedelta(days=7)
SEAT: Final = "seat"
USE: Final = "use"


class GuestSeatState(StrEnum):
    """Where a guest's seat is, as his own campus knows it.

    asked: tried at home, no answer yet. held: order and portions too. paying: his money is in, home decides whether the
    seat is his. leaving: home is told to let it go; if it was paid, home decides. gone: nothing of it is left.
    """

    ASKED = "asked"
    HELD = "held"
    PAYING = "paying"
    PAID = "paid"
    LEAVING = "leaving"
    GONE = "gone"


class GuestSeat(Struct, frozen=True, kw_only=True, gc=False):
    """A seat of a student of this campus in a group of another one; the transaction's row, kept beside his order.

    reason, facts: of the refusal or the leaving, when there was one. attempt: how often it was asked for anew, because
    home had been away or the seat was gone when the money came; each has a branch of its own at home. is_late: his
    money came too late for the seat he had, and home is asked for another one.

    One that became an order is never swept: it belongs to that as long as it is kept, in his export too, and home's
    late answers are known by it; about 500 bytes each. One that became none goes FORGOTTEN_AFTER home has let it go.
    """

    order_id: OrderId
    group_id: GroupId
    campus_id: CampusId
    home_id: CampusId
    member_id: PersonId
    building_id: BuildingId
    wanted: tuple[Wanted, ...]
    coupon_id: CouponId | None
    state: GuestSeatState
    reason: str
    facts: dict[str, str | int]
    asked_at: datetime
    is_dorm_head: bool = False
    attempt: int = 0
    is_returning: bool = False
    is_late: bool = False

    @property
    def branch(self) -> Branch:
        """Its branch at home."""
        return branch_of(self.order_id, self.campus_id, attempt=self.attempt)


def branch_of(order_id: OrderId, campus_id: CampusId, *, attempt: int = 0) -> Branch:
    """The seat's branch at home. The guest's campus coordinates, without epochs: it says only what it has committed,
    and never takes it back, so that an old process can say nothing but a repeat."""
    gid = f"{order_id}.seat{attempt or ''}"
    return Branch(gid=gid, branch=SEAT, coordinator=f"{campus_id}.guests", epoch=0)


def forgetting_of(order_id: OrderId, campus_id: CampusId) -> Branch:
    """The branch at home of counting a guest's order no more, which happens once."""
    return Branch(gid=f"{order_id}.use", branch=USE, coordinator=f"{campus_id}.guests", epoch=0)


class PartTerms(Struct, frozen=True, kw_only=True, gc=False):
    """What a guest's campus must know of a group to keep a part of it; as the campaign was when it was opened."""

    campaign_id: CampaignId
    building_id: BuildingId
    meal_id: MealId
    tiers: tuple[CampaignTier, ...]
    delivery_fee: Money
    pay_within_s: int
    per_order_limit: int
    opened_at: datetime
    closes_at: datetime


class SeatAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """How a seat stands at home after a message, and the group with it; repeats get how it stands then.

    is_seated: whether the seat is there, in a group that has not failed. terms: in answers to TrySeat. news: None when
    there is no such group.
    """

    order_id: OrderId
    is_seated: bool
    news: HomeNews | None
    terms: PartTerms | None = None


# To the home campus


class TrySeat(Struct, frozen=True, kw_only=True, gc=False):
    """Hold a seat for a guest."""

    branch: Branch
    group_id: GroupId
    order_id: OrderId
    member_id: PersonId
    building_id: BuildingId
    campus_id: CampusId


class PaySeat(Struct, frozen=True, kw_only=True, gc=False):
    """The guest has paid: make the seat his, if it is still there.

    anew: the seat he had is gone, and any free one of the group is as good; brought to this building.
    """

    branch: Branch
    group_id: GroupId
    order_id: OrderId
    member_id: PersonId
    campus_id: CampusId
    anew: BuildingId | None = None


class LeaveSeat(Struct, frozen=True, kw_only=True, gc=False):
    """Let a seat go, and never hold it any more; a paid one only while the group has not formed."""

    branch: Branch
    group_id: GroupId
    order_id: OrderId
    campus_id: CampusId
    reason: str


class ForgetGuest(Struct, frozen=True, kw_only=True, gc=False):
    """A guest's order was split and came to nothing all the same: it counts against no limit any more."""

    branch: Branch
    group_id: GroupId
    order_id: OrderId
    campus_id: CampusId


class GuestForgotten(Struct, frozen=True, kw_only=True, gc=False):
    """Whether it counted until now; a repeat is told that it did not."""

    order_id: OrderId
    is_forgotten: bool


class LookAtGroup(Struct, frozen=True, kw_only=True, gc=False):
    """Show a group to a campus whose students may be its guests; member_id: who looks, whose seat in it is said.

    home_id, member_id: None from the release before.
    """

    group_id: GroupId
    campus_id: CampusId
    home_id: CampusId | None = None
    member_id: PersonId | None = None


class NeighbourGroup(GroupDetail, frozen=True, kw_only=True, gc=False):
    """A group as a student of another campus sees it, who can look up nothing there.

    delivery_fee_fen: for the whole group; it is shared over all seats. per_order_limit: portions in one order. What has
    a default is not said by a home of the release before.
    """

    home_zh: str = ""
    home_en: str = ""
    campaign_zh: str = ""
    campaign_en: str = ""
    building_zh: str = ""
    building_en: str = ""
    delivery_fee_fen: int = 0
    per_order_limit: int = 0


class ExpireGuestSeat(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a guest's seat was neither paid nor let go; his campus may be away.

    branch: None in timers that the release before set, for first attempts.
    """

    group_id: GroupId
    order_id: OrderId
    campus_id: CampusId
    branch: Branch | None = None


# To a guest's campus


class HearHome(Struct, frozen=True, kw_only=True, gc=False):
    """What a group's home says of it."""

    news: HomeNews


class EndEmptyPart(Struct, frozen=True, kw_only=True, gc=False):
    """Timer on a guest's campus: the group's time is over, of which home tells only those who have a guest in it."""

    group_id: GroupId


class PartEnded(Struct, frozen=True, kw_only=True, gc=False):
    """Whether the part was ended now."""

    group_id: GroupId
    is_ended: bool


class NewsTaken(Struct, frozen=True, kw_only=True, gc=False):
    """The news was heard; with the version of the group that is known now."""

    group_id: str
    version: int

"""An offer to buy together: its tiers, limits, times, and whom it serves (B1, B7)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from msgspec import Struct

from tuanzi.base.ids import BuildingId, CampaignId, CampusId, MerchantId
from tuanzi.base.money import ZERO, Money
from tuanzi.catalog.model.checks import PRICE_FEN_MAX, Whole, check_list, check_names, check_number
from tuanzi.catalog.model.meals import DAY_MINUTES, Meal, PeriodId
from tuanzi.catalog.problems import CampaignNotLive, TiersNotImproving, TimesInvalid, TooMany

TIERS_MAX = 5
GROUP_SIZE_MAX = 100
LISTED_MAX = 200  # merchants or buildings of one campaign
GUEST_CAMPUSES_MAX = 10


class CampaignState(StrEnum):
    """How far a campaign is; it never goes back."""

    DRAFT = "draft"
    LIVE = "live"
    ENDED = "ended"

    def may_become(self, state: CampaignState) -> bool:
        """Whether this state may be followed by, or stay, `state`."""
        order = (CampaignState.DRAFT, CampaignState.LIVE, CampaignState.ENDED)
        return order.index(self) <= order.index(state)


class CampaignTier(Struct, frozen=True, kw_only=True, gc=False):
    """What a group of at least `size` paid members gets: percent off the dishes, and `off` for each member."""

    size: Whole
    off_percent: Whole
    off: Money


class Campaign(Struct, frozen=True, kw_only=True, gc=False):
    """An offer to buy together; a group keeps a copy of what it was opened with (P22).

    tiers: ascending by size, each better than the one before. building_ids: empty for every building.
    period_ids: the meals it can be opened for. starts_at <= t < ends_at: when groups can be opened.
    group_lasts_minutes: the longest a group stays open. pay_within_s: how long a seat is held before payment.
    per_order_limit: portions in one order. per_user_limit: orders of one member in this campaign, 0 for any number.
    delivery_fee: for the whole group and one building. guest_campuses: whose students may take seats as guests, with
    dishes and buildings of their own campus (B7); empty for nobody's.
    """

    id: CampaignId
    name_zh: str
    name_en: str
    tiers: tuple[CampaignTier, ...]
    merchant_ids: tuple[MerchantId, ...]
    building_ids: tuple[BuildingId, ...]
    period_ids: tuple[PeriodId, ...]
    starts_at: datetime
    ends_at: datetime
    group_lasts_minutes: Whole
    pay_within_s: Whole
    per_order_limit: Whole
    per_user_limit: Whole
    delivery_fee: Money
    state: CampaignState
    guest_campuses: tuple[CampusId, ...] = ()

    def __post_init__(self) -> None:
        check_names(self)
        _check_tiers(self.tiers)
        check_list("merchant_ids", self.merchant_ids, least=1, most=LISTED_MAX)
        check_list("building_ids", self.building_ids, least=0, most=LISTED_MAX)
        check_list("period_ids", self.period_ids, least=1, most=len(PeriodId))
        check_list("guest_campuses", self.guest_campuses, least=0, most=GUEST_CAMPUSES_MAX)
        for field, at in (("starts_at", self.starts_at), ("ends_at", self.ends_at)):
            if at.tzinfo is None:
                raise TimesInvalid(field=field, value=at)
        if self.ends_at <= self.starts_at:
            raise TimesInvalid(field="ends_at", value=self.ends_at)
        check_number("group_lasts_minutes", self.group_lasts_minutes, least=1, most=DAY_MINUTES)
        check_number("pay_within_s", self.pay_within_s, least=10, most=3600)
        check_number("per_order_limit", self.per_order_limit, least=1, most=1000)
        check_number("per_user_limit", self.per_user_limit, least=0, most=1000)
        check_number("delivery_fee_fen", self.delivery_fee.fen, least=0, most=PRICE_FEN_MAX)

    @property
    def group_lasts(self) -> timedelta:
        """The longest a group stays open."""
        return timedelta(minutes=self.group_lasts_minutes)

    @property
    def pay_within(self) -> timedelta:
        """How long a seat is held before payment."""
        return timedelta(seconds=self.pay_within_s)

    def is_live(self, *, now: datetime) -> bool:
        """Whether groups can be opened now, as far as state and times go."""
        return self.state is CampaignState.LIVE and self.starts_at <= now < self.ends_at

    def check_live(self, *, now: datetime) -> None:
        """Raises CampaignNotLive when groups cannot be opened now."""
        if not self.is_live(now=now):
            raise CampaignNotLive(campaign_id=self.id, state=self.state.value)

    def serves(self, building_id: BuildingId) -> bool:
        """Whether it delivers there."""
        return not self.building_ids or building_id in self.building_ids

    def group_closes_at(self, meal: Meal, *, now: datetime) -> datetime:
        """When a group opened now for this meal closes: it lasts no longer than the meal's orders and the campaign."""
        return min(now + self.group_lasts, meal.closes_at, self.ends_at)


def _check_tiers(tiers: tuple[CampaignTier, ...]) -> None:
    if not 1 <= len(tiers) <= TIERS_MAX:
        raise TooMany(field="tiers", value=len(tiers), least=1, most=TIERS_MAX)
    for i, tier in enumerate(tiers):
        check_number(f"tiers[{i}].size", tier.size, least=2, most=GROUP_SIZE_MAX)
        check_number(f"tiers[{i}].off_percent", tier.off_percent, least=0, most=100)
        check_number(f"tiers[{i}].off_fen", tier.off.fen, least=ZERO.fen, most=PRICE_FEN_MAX)
    for i, (lower, upper) in enumerate(pairwise(tiers), start=1):
        if upper.size <= lower.size:
            raise TiersNotImproving(field=f"tiers[{i}].size", value=upper.size)
        if upper.off < lower.off:
            raise TiersNotImproving(field=f"tiers[{i}].off_fen", value=upper.off.fen)
        if upper.off_percent < lower.off_percent or (upper.off_percent, upper.off) == (lower.off_percent, lower.off):
            raise TiersNotImproving(field=f"tiers[{i}].off_percent", value=upper.off_percent)

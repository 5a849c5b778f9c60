"""Who the parties are, and the terms an order's money is shared by."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tuanzi.base.money import ZERO, Money
from tuanzi.sharing.problems import TermsInvalid

WHOLE: Final = 10_000
BUDGET_ID: Final = "subsidy"
IN_FORCE_ID: Final = "terms"


class Party(StrEnum):
    """Who gets a part of an order's money."""

    MERCHANT = "merchant"
    PLATFORM = "platform"
    RIDER = "rider"
    LEADER = "leader"
    AMBASSADOR = "ambassador"
    PROVIDER = "provider"  # the payment company's fee
    SUBSIDY = "subsidy"  # to the merchant, out of the platform's own pocket


PERSONS: Final = (Party.RIDER, Party.LEADER, Party.AMBASSADOR)


class SharingTerms(Struct, frozen=True, kw_only=True, gc=False):
    """How a campus shares its orders' money; an order keeps the version it was shared by. Rates are of 10,000.

    platform_rate, leader_rate, ambassador_rate, provider_rate: of what the dishes cost after discounts; what is left
    is the merchant's. rider_rate: of the delivery fee, of which provider_rate is taken too; the rest is the platform's.
    subsidy_rate: of the merchant's discount, paid to him by the platform, all together up to subsidy_budget.
    outward_max: how much of a payment may go to others through the payment company.
    persons_max: the same for persons - rider, leader, ambassador - alone: 30 % where nothing else is agreed (WeChat's
    guide for platforms, reliability.md 5.2). Merchants' money is the price of their food and no commission, so it
    counts for outward_max only. What is above either is owed all the same, and paid by other means (P11).
    """

    id: str
    version: int
    platform_rate: int = 800
    leader_rate: int = 200
    ambassador_rate: int = 100
    provider_rate: int = 60
    rider_rate: int = 9_000
    subsidy_rate: int = 0
    subsidy_budget: Money = ZERO
    outward_max: int = WHOLE
    persons_max: int = 3_000
    note: str = ""
    made_by: str = ""
    made_at: datetime | None = None

    def __post_init__(self) -> None:
        of_goods = (self.platform_rate, self.leader_rate, self.ambassador_rate, self.provider_rate)
        rates = (*of_goods, self.rider_rate, self.subsidy_rate, self.outward_max, self.persons_max)
        if min(rates) < 0 or max(rates) > WHOLE or self.subsidy_budget.fen < 0:
            raise TermsInvalid(field="rate")
        if sum(of_goods) > WHOLE:
            raise TermsInvalid(field="platform_rate")
        if self.rider_rate + self.provider_rate > WHOLE:
            raise TermsInvalid(field="rider_rate")

    def rate_of(self, party: Party) -> int:
        """What a party gets of 10,000 of what the dishes cost."""
        match party:
            case Party.PLATFORM:
                return self.platform_rate
            case Party.LEADER:
                return self.leader_rate
            case Party.AMBASSADOR:
                return self.ambassador_rate
            case Party.PROVIDER:
                return self.provider_rate
            case _:
                return 0


def terms_id(version: int) -> str:
    """The id of a version of the terms."""
    return f"terms.{version}"


# In force until an operator says otherwise: 8 % to the platform and 2 % to the leader are our choice; 0.6 % is what
# WeChat Pay charges ordinary merchants.
FIRST_TERMS: Final = SharingTerms(id=terms_id(0), version=0)


class TermsInForce(Struct, frozen=True, kw_only=True, gc=False):
    """Which version of the terms is in force; one row, none before the first change."""

    id: str
    version: int


class SubsidyBudget(Struct, frozen=True, kw_only=True, gc=False):
    """What of the platform's budget for subsidies is set aside or spent; one row."""

    id: str
    most: Money
    used: Money

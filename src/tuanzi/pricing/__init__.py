"""Pricing: what a cart costs, by rules that operators change as data, and how amounts are divided to the fen (B4, B5).

Owns, in the database `core`: rule_books, rule_versions, coupons, coupon_grants.
Hears nothing. Emits RuleBookSwitched, CouponsGranted.

Give `quote` and `settle` the rules of `active_rules` or, for what an order or group keeps, of `load_rules`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tuanzi.machinery.room import Room
from tuanzi.pricing.handlers import COMMANDS
from tuanzi.pricing.model import (
    BASE_RULES,
    COUPON,
    PROMISE,
    TIER,
    Cart,
    CartLine,
    Coupon,
    CouponState,
    Discount,
    LinePart,
    NotAllocatable,
    Quote,
    QuoteLine,
    Rule,
    RuleBook,
    RuleKind,
    RuleVersion,
    Sample,
    SampleLine,
    Tier,
    allocate,
    allocate_matrix,
    allocate_refund,
    portions_of,
    quote,
    settle,
    share_matrix,
)
from tuanzi.pricing.problems import (
    CouponExpired,
    CouponIdTaken,
    CouponNotHeld,
    CouponTaken,
    CouponUseless,
    MembersUnknown,
    NothingToRollBack,
    RuleInvalid,
    RulesUnchecked,
)
from tuanzi.pricing.service import (
    CheckRules,
    CouponGranted,
    DraftRules,
    GrantCoupon,
    GrantCoupons,
    RollBackRules,
    RulesChecked,
    RulesDrafted,
    RulesSwitched,
    SwitchRules,
    active_rules,
    asked_by_grant,
    give_back_coupon,
    hold_coupon,
    load_free_coupon,
    load_rules,
    use_coupon,
)
from tuanzi.pricing.store import KEEPS, TABLES
from tuanzi.pricing.web import ROUTES, FindStrangers, grant_route

__all__ = [
    "BASE_RULES",
    "COUPON",
    "PROMISE",
    "TIER",
    "Cart",
    "CartLine",
    "CheckRules",
    "Coupon",
    "CouponExpired",
    "CouponGranted",
    "CouponIdTaken",
    "CouponNotHeld",
    "CouponState",
    "CouponTaken",
    "CouponUseless",
    "Discount",
    "DraftRules",
    "GrantCoupon",
    "GrantCoupons",
    "LinePart",
    "MembersUnknown",
    "NotAllocatable",
    "NothingToRollBack",
    "Quote",
    "QuoteLine",
    "RollBackRules",
    "Rule",
    "RuleBook",
    "RuleInvalid",
    "RuleKind",
    "RuleVersion",
    "RulesChecked",
    "RulesDrafted",
    "RulesSwitched",
    "RulesUnchecked",
    "Sample",
    "SampleLine",
    "SwitchRules",
    "Tier",
    "active_rules",
    "allocate",
    "allocate_matrix",
    "allocate_refund",
    "give_back_coupon",
    "hold_coupon",
    "load_free_coupon",
    "load_rules",
    "portions_of",
    "quote",
    "room",
    "settle",
    "share_matrix",
    "use_coupon",
]


def room(
    *, find_strangers: FindStrangers | None = None, see_merchant: Callable[..., Awaitable[Any]] | None = None
) -> Room:
    """Pricing as wiring puts it into the house.

    find_strangers: who of several is nobody of a campus. see_merchant: raises Unknown where there is none. Without both
    nobody is granted coupons over HTTP.
    """
    granting = [] if find_strangers is None or see_merchant is None else [grant_route(find_strangers, see_merchant)]
    return Room(
        name="pricing",
        database="core",
        tables=TABLES,
        commands=COMMANDS,
        asks={GrantCoupons: asked_by_grant},
        routes=[*ROUTES, *granting],
        keeps=KEEPS,
    )

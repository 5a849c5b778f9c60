"""Which service carries out which command; pricing hears no events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tuanzi.machinery.room import Handler
from tuanzi.pricing import service

COMMANDS: Final[Mapping[type[Any], Handler]] = {
    service.DraftRules: service.draft_rules,
    service.CheckRules: service.price_samples,
    service.SwitchRules: service.switch_rules,
    service.RollBackRules: service.roll_back_rules,
    service.GrantCoupon: service.grant_coupon,
    service.GrantCoupons: service.grant_coupons,
}

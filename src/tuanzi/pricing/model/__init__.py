"""Values and pure rules of pricing: dividing fen exactly, rules as data, and what carts and groups cost (B4, B5).

`allocation` divides fen; `cart` is what is priced, and its quote; `expressions` are what operators write in `rules`,
which are data. `bill` is a cart while it is being priced with them, and `prices` makes the quote of a cart and settles
a group.
"""

from __future__ import annotations

from tuanzi.pricing.model.allocation import NotAllocatable, allocate, allocate_matrix, allocate_refund, share_matrix
from tuanzi.pricing.model.bill import ReadyRule
from tuanzi.pricing.model.cart import (
    Cart,
    CartLine,
    Coupon,
    CouponGrant,
    CouponState,
    Discount,
    LinePart,
    Quote,
    QuoteLine,
    Tier,
    portions_of,
)
from tuanzi.pricing.model.expressions import ExpressionBad, compile_text
from tuanzi.pricing.model.prices import quote, settle
from tuanzi.pricing.model.rules import (
    BASE_RULES,
    BOOK_ID,
    COUPON,
    EMPTY_BOOK,
    PROMISE,
    RULES_MAX,
    SAMPLES_MAX,
    TIER,
    Rule,
    RuleBook,
    RuleKind,
    RuleVersion,
    Sample,
    SampleLine,
    check_rules,
    version_id,
)

__all__ = [
    "BASE_RULES",
    "BOOK_ID",
    "COUPON",
    "EMPTY_BOOK",
    "PROMISE",
    "RULES_MAX",
    "SAMPLES_MAX",
    "TIER",
    "Cart",
    "CartLine",
    "Coupon",
    "CouponGrant",
    "CouponState",
    "Discount",
    "ExpressionBad",
    "LinePart",
    "NotAllocatable",
    "Quote",
    "QuoteLine",
    "ReadyRule",
    "Rule",
    "RuleBook",
    "RuleKind",
    "RuleVersion",
    "Sample",
    "SampleLine",
    "Tier",
    "allocate",
    "allocate_matrix",
    "allocate_refund",
    "check_rules",
    "compile_text",
    "portions_of",
    "quote",
    "settle",
    "share_matrix",
    "version_id",
]

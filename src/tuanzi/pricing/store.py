"""The tables of pricing, in the database `core`, and the statements its pages are read with."""

from __future__ import annotations

from tuanzi.machinery.room import Keeps
from tuanzi.machinery.tables import table
from tuanzi.pricing.model import Coupon, CouponGrant, RuleBook, RuleVersion

RULE_BOOKS = table("rule_books", RuleBook, key="id")
RULE_VERSIONS = table("rule_versions", RuleVersion, key="id")
COUPONS = table("coupons", Coupon, key="id")
COUPON_GRANTS = table("coupon_grants", CouponGrant, key="id")

TABLES = (RULE_BOOKS, RULE_VERSIONS, COUPONS, COUPON_GRANTS)

BOOK = """
SELECT id, active, previous, next_version FROM rule_books WHERE id = :id ORDER BY id LIMIT 1
"""

VERSION = """
SELECT id, version, rules, samples, note, made_by, made_at_ms FROM rule_versions
WHERE version = :version ORDER BY version LIMIT 1
"""

VERSIONS_PAGE = """
SELECT version, note, made_by, made_at_ms FROM rule_versions
WHERE :before = 0 OR version < :before
ORDER BY version DESC LIMIT :limit
"""

COUPONS_OF_MEMBER = """
SELECT id, off_fen, threshold_fen, merchant_id, expires_at_ms, state, order_id FROM coupons
WHERE member_id = :member_id AND id > :after
ORDER BY id LIMIT :limit
"""

GRANTS_PAGE = (
    "SELECT "
    + ", ".join(COUPON_GRANTS.columns)
    + " FROM coupon_grants WHERE id < :before ORDER BY id DESC LIMIT :limit"
)

COUPONS_OF_GRANT = """
SELECT id, member_id, state, order_id FROM coupons
WHERE id > :after AND id < :to_id
ORDER BY id LIMIT :limit
"""

KEPT_COUPONS = (
    "SELECT "
    + ", ".join(COUPONS.columns)
    + " FROM coupons WHERE member_id = :person_id AND id > :after ORDER BY id LIMIT :limit"
)
# What somebody did as an operator; there are as many rows as they did such things, a few a day.
_MADE = ("id", "version", "note", "made_by", "made_at_ms")
KEPT_VERSIONS = (
    "SELECT "
    + ", ".join(_MADE)
    + " FROM rule_versions WHERE made_by = :person_id AND id > :after ORDER BY id LIMIT :limit"
)
KEPT_GRANTS = (
    "SELECT "
    + ", ".join(COUPON_GRANTS.columns)
    + " FROM coupon_grants WHERE given_by = :person_id AND id > :after ORDER BY id LIMIT :limit"
)
KEEPS = (
    Keeps(table="coupons", columns=COUPONS.columns, sql=KEPT_COUPONS),
    Keeps(table="rule_versions", columns=_MADE, sql=KEPT_VERSIONS),
    Keeps(table="coupon_grants", columns=COUPON_GRANTS.columns, sql=KEPT_GRANTS),
)

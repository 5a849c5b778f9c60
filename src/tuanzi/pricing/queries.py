"""What operators and members read of price rules and coupons."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct

from tuanzi.base.problem import Unknown
from tuanzi.base.time import from_ms
from tuanzi.machinery.http.routes import Desk
from tuanzi.pricing import store
from tuanzi.pricing.model import BASE_RULES, BOOK_ID, EMPTY_BOOK, CouponState, Rule, RuleBook, Sample

PAGE_MAX: Final = 100


class VersionEntry(Struct, frozen=True, kw_only=True, gc=False):
    """One version in the list."""

    version: int
    note: str
    made_by: str
    made_at: datetime
    is_active: bool


class VersionPage(Struct, frozen=True, kw_only=True, gc=False):
    """Versions, the newest first; `next` is what to ask for as `after`. active, previous: of the book."""

    items: tuple[VersionEntry, ...]
    next: int | None
    active: int
    previous: int


class VersionView(Struct, frozen=True, kw_only=True, gc=False):
    """One version with all its rules and sample carts."""

    version: int
    rules: tuple[Rule, ...]
    samples: tuple[Sample, ...]
    note: str
    made_by: str
    made_at: datetime
    is_active: bool


class CouponEntry(Struct, frozen=True, kw_only=True, gc=False):
    """One coupon; `is_usable`: free and not expired."""

    id: str
    off_fen: int
    threshold_fen: int
    merchant_id: str | None
    expires_at: datetime
    state: str
    order_id: str | None
    is_usable: bool


class CouponPage(Struct, frozen=True, kw_only=True, gc=False):
    """A member's coupons, the oldest first; `next` is what to ask for as `after`."""

    items: tuple[CouponEntry, ...]
    next: str | None


class GrantEntry(Struct, frozen=True, kw_only=True, gc=False):
    """Coupons that an operator gave at once: one to each of `granted` members. merchant_id: null for all shops."""

    id: str
    grant_id: str
    granted: int
    off_fen: int
    threshold_fen: int
    merchant_id: str | None
    expires_at: datetime
    given_by: str
    given_at: datetime


class GrantPage(Struct, frozen=True, kw_only=True, gc=False):
    """What was given, the newest first; `next` is what to ask for as `after`."""

    items: tuple[GrantEntry, ...]
    next: str | None


class GrantedCoupon(Struct, frozen=True, kw_only=True, gc=False):
    """Whose a coupon of a grant is, and what became of it."""

    id: str
    member_id: str
    state: CouponState
    order_id: str | None


class GrantedPage(Struct, frozen=True, kw_only=True, gc=False):
    """The coupons of a grant, however often more of it were given; `next` is what to ask for as `after`."""

    items: tuple[GrantedCoupon, ...]
    next: str | None


async def version_page(desk: Desk, *, after: int, limit: int) -> VersionPage:
    """The versions before number `after`, or from the newest on for 0."""
    book = await _book(desk)
    rows = await desk.rows(store.VERSIONS_PAGE, {"before": after, "limit": limit + 1})
    items = tuple(
        VersionEntry(
            version=version, note=note, made_by=made_by, made_at=from_ms(made_at_ms), is_active=version == book.active
        )
        for version, note, made_by, made_at_ms in rows[:limit]
    )
    more = items[-1].version if len(rows) > limit else None
    return VersionPage(items=items, next=more, active=book.active, previous=book.previous)


async def version_view(desk: Desk, *, version: int) -> VersionView:
    """One version; 0 is the empty one that every campus starts with. Raises Unknown."""
    book = await _book(desk)
    rows = await desk.rows(store.VERSION, {"version": version})
    if not rows and version:
        raise Unknown(kind="rule_version", id=version)
    rules = store.RULE_VERSIONS.from_row(rows[0]) if rows else BASE_RULES
    return VersionView(
        version=rules.version,
        rules=rules.rules,
        samples=rules.samples,
        note=rules.note,
        made_by=rules.made_by,
        made_at=rules.made_at,
        is_active=rules.version == book.active,
    )


async def coupons_of(desk: Desk, *, member_id: str, after: str, limit: int, now: datetime) -> CouponPage:
    """A member's coupons after the one with id `after`."""
    rows = await desk.rows(store.COUPONS_OF_MEMBER, {"member_id": member_id, "after": after, "limit": limit + 1})
    items = tuple(
        CouponEntry(
            id=id,
            off_fen=off_fen,
            threshold_fen=threshold_fen,
            merchant_id=merchant_id,
            expires_at=from_ms(expires_at_ms),
            state=state,
            order_id=order_id,
            is_usable=state == "free" and now < from_ms(expires_at_ms),
        )
        for id, off_fen, threshold_fen, merchant_id, expires_at_ms, state, order_id in rows[:limit]
    )
    return CouponPage(items=items, next=items[-1].id if len(rows) > limit else None)


async def grant_page(desk: Desk, *, after: str, limit: int) -> GrantPage:
    """What operators gave before the one with id `after`, or from the newest on for ""."""
    rows = await desk.rows(store.GRANTS_PAGE, {"before": after or "~", "limit": limit + 1})
    items = tuple(
        GrantEntry(
            id=one.id,
            grant_id=one.grant_id,
            granted=one.granted,
            off_fen=one.off.fen,
            threshold_fen=one.threshold.fen,
            merchant_id=one.merchant_id,
            expires_at=one.expires_at,
            given_by=one.given_by,
            given_at=one.given_at,
        )
        for one in map(store.COUPON_GRANTS.from_row, rows[:limit])
    )
    return GrantPage(items=items, next=items[-1].id if len(rows) > limit else None)


async def coupons_of_grant(desk: Desk, *, grant_id: str, after: str, limit: int) -> GrantedPage:
    """The coupons of a grant after the one with id `after`; none where there is no such grant."""
    slots = {"after": max(after, f"{grant_id}."), "to_id": f"{grant_id}/", "limit": limit + 1}
    rows = await desk.rows(store.COUPONS_OF_GRANT, slots)
    items = tuple(
        GrantedCoupon(id=id, member_id=member_id, state=CouponState(state), order_id=order_id)
        for id, member_id, state, order_id in rows[:limit]
    )
    return GrantedPage(items=items, next=items[-1].id if len(rows) > limit else None)


async def _book(desk: Desk) -> RuleBook:
    rows = await desk.rows(store.BOOK, {"id": BOOK_ID})
    return store.RULE_BOOKS.from_row(rows[0]) if rows else EMPTY_BOOK

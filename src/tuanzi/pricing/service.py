"""What can be done with price rules and coupons, one function for each sentence (B4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from tuanzi.base.ids import CouponId, MerchantId, OrderId, PersonId
from tuanzi.base.money import Money
from tuanzi.base.problem import Unknown
from tuanzi.base.time import from_ms, to_ms
from tuanzi.base.unit import Unit
from tuanzi.events import CouponsGranted, RuleBookSwitched
from tuanzi.machinery.memory import Place
from tuanzi.pricing.model import (
    BASE_RULES,
    BOOK_ID,
    EMPTY_BOOK,
    Coupon,
    CouponGrant,
    CouponState,
    Rule,
    RuleBook,
    RuleVersion,
    Sample,
    check_rules,
    quote,
    version_id,
)
from tuanzi.pricing.problems import (
    CouponExpired,
    CouponIdTaken,
    CouponNotHeld,
    CouponTaken,
    CouponUseless,
    NothingToRollBack,
    RulesUnchecked,
)

# Our choice: later than anybody means, and every database and zone knows it.
COUPONS_END: Final = datetime(2100, 1, 1, tzinfo=UTC)


class DraftRules(Struct, frozen=True, kw_only=True, gc=False):
    """Save a new version of the rules; it is not in force before it is switched on."""

    rules: tuple[Rule, ...]
    samples: tuple[Sample, ...]
    note: str
    operator_id: PersonId


class RulesDrafted(Struct, frozen=True, kw_only=True, gc=False):
    """The number of the new version."""

    version: int


class CheckRules(Struct, frozen=True, kw_only=True, gc=False):
    """Price a version's sample carts, and `samples` besides; changes nothing."""

    version: int
    samples: tuple[Sample, ...] = ()


class SampleChecked(Struct, frozen=True, kw_only=True, gc=False):
    """One sample cart under the version checked and under the one in force, and which rules took what."""

    name: str
    expected_fen: int
    payable_fen: int
    active_payable_fen: int
    amounts_fen: dict[str, int]
    active_amounts_fen: dict[str, int]
    skipped_rules: tuple[str, ...]
    matches: bool


class RulesChecked(Struct, frozen=True, kw_only=True, gc=False):
    """All sample carts side by side. unused_rules: those that took nothing from any of them."""

    version: int
    active: int
    samples: tuple[SampleChecked, ...]
    unused_rules: tuple[str, ...]
    matches: bool


class SwitchRules(Struct, frozen=True, kw_only=True, gc=False):
    """Put a version in force."""

    version: int
    operator_id: PersonId


class RollBackRules(Struct, frozen=True, kw_only=True, gc=False):
    """Go back to the version that was in force before; unchecked, for it is meant for emergencies."""

    operator_id: PersonId


class RulesSwitched(Struct, frozen=True, kw_only=True, gc=False):
    """Which version is in force now and which was before; equal where nothing changed."""

    version: int
    before: int


class GrantCoupon(Struct, frozen=True, kw_only=True, gc=False):
    """Give a member a coupon."""

    coupon_id: CouponId
    member_id: PersonId
    off_fen: int
    threshold_fen: int
    expires_at: datetime
    merchant_id: MerchantId | None = None


class GrantCoupons(Struct, frozen=True, kw_only=True, gc=False):
    """Give each of these members a coupon of his own, all alike. grant_id: what their ids begin with.

    id: under which it is kept that they were given.
    """

    id: str
    grant_id: str
    member_ids: tuple[PersonId, ...]
    off_fen: int
    threshold_fen: int
    expires_at: datetime
    merchant_id: MerchantId | None
    operator_id: PersonId


class CouponsGiven(Struct, frozen=True, kw_only=True, gc=False):
    """The coupons, in the order of the members. granted: how many were not there before."""

    coupon_ids: tuple[CouponId, ...]
    granted: int


class CouponGranted(Struct, frozen=True, kw_only=True, gc=False):
    """The coupon is there; `is_new` is false where it was there before."""

    coupon_id: CouponId
    is_new: bool


def draft_rules(unit: Unit, command: DraftRules, *, now: datetime) -> RulesDrafted:
    """Save a new version. Raises RuleInvalid, and nothing is saved; a repeat saves another version."""
    check_rules(command.rules, command.samples)
    book = load_book(unit)
    version = book.next_version
    unit.add(
        RuleVersion(
            id=version_id(version),
            version=version,
            rules=command.rules,
            samples=command.samples,
            note=command.note,
            made_by=command.operator_id,
            made_at=now,
        )
    )
    unit.put(msgspec.structs.replace(book, next_version=version + 1))
    return RulesDrafted(version=version)


def price_samples(unit: Unit, command: CheckRules, *, now: datetime) -> RulesChecked:
    """Price sample carts under a version and under the one in force. Raises Unknown, RuleInvalid for a bad sample."""
    version, active = load_rules(unit, version=command.version), active_rules(unit)
    for sent in (version.samples, command.samples):
        check_rules((), sent)
    samples = tuple(_checked(sample, version, active) for sample in (*version.samples, *command.samples))
    used = {rule_id for sample in samples for rule_id in sample.amounts_fen}
    return RulesChecked(
        version=version.version,
        active=active.version,
        samples=samples,
        unused_rules=tuple(rule.id for rule in version.rules if rule.id not in used),
        matches=all(sample.matches for sample in samples),
    )


def switch_rules(unit: Unit, command: SwitchRules, *, now: datetime) -> RulesSwitched:
    """Put a version in force, after pricing its sample carts once more; a repeat changes nothing.

    Raises Unknown; RuleInvalid for a bad sample; RulesUnchecked: it has rules but no sample, or one does not cost what
    its author expects.
    """
    version, book = load_rules(unit, version=command.version), load_book(unit)
    if book.active == version.version:
        return RulesSwitched(version=book.active, before=book.active)
    if version.rules and not version.samples:
        raise RulesUnchecked(version=version.version, samples=0, why="no-samples")
    check_rules((), version.samples)  # a release before kept some that cannot be priced
    for sample in version.samples:
        checked = _checked(sample, version, version)
        if not checked.matches:
            raise RulesUnchecked(
                version=version.version,
                sample=sample.name,
                expected_fen=sample.expected_fen,
                payable_fen=checked.payable_fen,
                skipped_rules=checked.skipped_rules,
                why="skipped" if checked.skipped_rules else "price",
            )
    return _switch(unit, book, to=version.version, previous=book.active, by=command.operator_id)


def roll_back_rules(unit: Unit, command: RollBackRules, *, now: datetime) -> RulesSwitched:
    """Put the version before back in force, one step. Raises NothingToRollBack, so that a repeat goes no further."""
    book = load_book(unit)
    if book.previous == book.active:
        raise NothingToRollBack(active=book.active)
    return _switch(unit, book, to=book.previous, previous=book.previous, by=command.operator_id)


def active_rules(unit: Unit) -> RuleVersion:
    """The rules in force; BASE_RULES where none were ever switched on."""
    return load_rules(unit, version=load_book(unit).active)


def load_rules(unit: Unit, *, version: int) -> RuleVersion:
    """The rules of this version, such as the one that an order or group keeps. Raises Unknown."""
    return unit.load(RuleVersion, version_id(version)) if version else BASE_RULES


def load_book(unit: Unit) -> RuleBook:
    """Which version is in force."""
    return unit.find(RuleBook, BOOK_ID) or EMPTY_BOOK


def grant_coupon(unit: Unit, command: GrantCoupon, *, now: datetime) -> CouponGranted:
    """Give a member a coupon; a repeat finds it there, whatever became of it. Raises CouponIdTaken."""
    coupon = Coupon(
        id=command.coupon_id,
        member_id=command.member_id,
        off=Money(command.off_fen),
        threshold=Money(command.threshold_fen),
        merchant_id=command.merchant_id,
        expires_at=command.expires_at,
    )
    there = unit.find(Coupon, coupon.id)
    if there is None:
        unit.add(coupon)
    elif msgspec.structs.replace(there, state=CouponState.FREE, order_id=None) != coupon:
        raise CouponIdTaken(coupon_id=coupon.id)
    return CouponGranted(coupon_id=coupon.id, is_new=there is None)


def grant_coupons(unit: Unit, command: GrantCoupons, *, now: datetime) -> CouponsGiven:
    """Give each member his coupon, all or none; a repeat of the grant finds those that are there, and adds the others.
    Who gave how many is kept; of a repeat that adds nobody, nothing.

    Raises CouponUseless, and CouponIdTaken: the grant said something else before.
    """
    if not now < command.expires_at < COUPONS_END:
        raise CouponUseless(expires_at=command.expires_at)
    # Kept to the millisecond, so that a repeat is told as one.
    expires_at = from_ms(to_ms(command.expires_at))
    given = [
        grant_coupon(
            unit,
            GrantCoupon(
                coupon_id=granted_id(command.grant_id, member_id),
                member_id=member_id,
                off_fen=command.off_fen,
                threshold_fen=command.threshold_fen,
                expires_at=expires_at,
                merchant_id=command.merchant_id,
            ),
            now=now,
        )
        for member_id in command.member_ids
    ]
    granted = sum(each.is_new for each in given)
    if granted:
        kept = CouponGrant(
            id=command.id,
            grant_id=command.grant_id,
            granted=granted,
            off=Money(command.off_fen),
            threshold=Money(command.threshold_fen),
            merchant_id=command.merchant_id,
            expires_at=expires_at,
            given_by=command.operator_id,
            given_at=now,
        )
        unit.add(kept)
        unit.emit(
            CouponsGranted(grant_id=command.grant_id, granted=granted, off_fen=command.off_fen, by=command.operator_id)
        )
    return CouponsGiven(coupon_ids=tuple(each.coupon_id for each in given), granted=granted)


def granted_id(grant_id: str, member_id: PersonId) -> CouponId:
    """The id of a member's coupon of a grant, so that he has one at most."""
    return CouponId(f"{grant_id}.{member_id}")


def asked_by_grant(command: GrantCoupons) -> Sequence[Place]:
    """What granting looks at: coupons that mostly are not there."""
    return [(Coupon, granted_id(command.grant_id, member_id)) for member_id in command.member_ids]


def hold_coupon(unit: Unit, *, coupon_id: CouponId, member_id: PersonId, order_id: OrderId, now: datetime) -> Coupon:
    """Keep a member's own coupon for one order; a repeat for the same order changes nothing.

    Raises Unknown: there is none, or it is somebody else's; CouponTaken: by another order; CouponExpired.
    """
    coupon = unit.find(Coupon, coupon_id)
    if coupon is not None and coupon.member_id == member_id and coupon.order_id == order_id:
        return coupon
    coupon = load_free_coupon(unit, coupon_id=coupon_id, member_id=member_id, now=now)
    coupon = msgspec.structs.replace(coupon, state=CouponState.HELD, order_id=order_id)
    unit.put(coupon)
    return coupon


def load_free_coupon(unit: Unit, *, coupon_id: CouponId, member_id: PersonId, now: datetime) -> Coupon:
    """A member's own coupon that he could use now. Raises Unknown, CouponTaken, CouponExpired."""
    coupon = unit.find(Coupon, coupon_id)
    if coupon is None or coupon.member_id != member_id:
        raise Unknown(kind="coupon", id=coupon_id)
    if coupon.state is not CouponState.FREE:
        raise CouponTaken(coupon_id=coupon_id)
    if coupon.expires_at <= now:
        raise CouponExpired(coupon_id=coupon_id)
    return coupon


def use_coupon(unit: Unit, *, coupon_id: CouponId, order_id: OrderId) -> Coupon:
    """Use up a coupon that is held for this order; a repeat changes nothing. Raises Unknown, CouponNotHeld."""
    coupon = unit.load(Coupon, coupon_id)
    if coupon.order_id != order_id:
        raise CouponNotHeld(coupon_id=coupon_id, order_id=order_id)
    if coupon.state is CouponState.HELD:
        coupon = msgspec.structs.replace(coupon, state=CouponState.USED)
        unit.put(coupon)
    return coupon


def give_back_coupon(unit: Unit, *, coupon_id: CouponId, order_id: OrderId) -> bool:
    """Free a coupon that this order holds or used, for an order that came to nothing; its expiry stays as it was.

    Returns: whether it was freed; False for a repeat, or where another order has it by now. Raises Unknown.
    """
    coupon = unit.load(Coupon, coupon_id)
    if coupon.order_id != order_id:
        return False
    unit.put(msgspec.structs.replace(coupon, state=CouponState.FREE, order_id=None))
    return True


def _switch(unit: Unit, book: RuleBook, *, to: int, previous: int, by: PersonId) -> RulesSwitched:
    unit.put(msgspec.structs.replace(book, active=to, previous=previous))
    unit.emit(RuleBookSwitched(book_version=to, before=book.active, by=by))
    return RulesSwitched(version=to, before=book.active)


def _checked(sample: Sample, version: RuleVersion, active: RuleVersion) -> SampleChecked:
    cart = sample.cart()
    new, old = quote(version, cart), quote(active, cart)
    return SampleChecked(
        name=sample.name,
        expected_fen=sample.expected_fen,
        payable_fen=new.payable.fen,
        active_payable_fen=old.payable.fen,
        amounts_fen={discount.rule_id: discount.amount.fen for discount in new.amounts},
        active_amounts_fen={discount.rule_id: discount.amount.fen for discount in old.amounts},
        skipped_rules=new.skipped_rules,
        matches=new.payable.fen == sample.expected_fen and not new.skipped_rules,
    )

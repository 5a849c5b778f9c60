"""Rules as data: what operators write, the sample carts that must come out right, and what may be saved (B4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from tuanzi.base.ids import BuildingId, CouponId, DishId, MerchantId, PersonId
from tuanzi.base.money import Money
from tuanzi.pricing.model.cart import LINES_MAX, Cart, CartLine, Coupon, Tier
from tuanzi.pricing.model.expressions import ExpressionBad, Fact, compile_text
from tuanzi.pricing.problems import RuleInvalid

RULES_MAX: Final = 64
SAMPLES_MAX: Final = 50
# Our choice: nobody means another century, and near either end of the calendar there is no hour in Shanghai.
PRICED_FROM: Final = datetime(2000, 1, 1, tzinfo=UTC)
PRICED_UNTIL: Final = datetime(2100, 1, 1, tzinfo=UTC)
# What takes money off without being a rule of the book.
TIER: Final = "tier"
COUPON: Final = "coupon"
PROMISE: Final = "promise"

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
Id = Annotated[str, Meta(min_length=1, max_length=64)]
Fen = Annotated[int, Meta(ge=0, le=100_000_000)]


class RuleKind(StrEnum):
    """What a rule changes. `amount` is fen off, but the price of one set or portion for SET_MEAL and ADDON.

    SET_MEAL: the dishes of a set meal at one price. GROUP_TIER: on top of the campaign's tier.
    FULL_REDUCTION: 满减. COUPON: on top of the member's coupon (膨胀券), only where that is used.
    ADDON: one portion of a dish at, say, 1 yuan (加价购). DELIVERY_FEE: off the member's share of the fee.
    GROUP_REDUCTION: off the whole group at closing, divided over members x merchants.
    """

    SET_MEAL = "set_meal"
    GROUP_TIER = "group_tier"
    FULL_REDUCTION = "full_reduction"
    COUPON = "coupon"
    ADDON = "addon"
    DELIVERY_FEE = "delivery_fee"
    GROUP_REDUCTION = "group_reduction"


class Rule(Struct, frozen=True, kw_only=True, gc=False):
    """One price rule. Within a kind the lower `priority` goes first, then the id.

    condition, amount: expressions over the facts of `CART_FACTS` or `GROUP_FACTS`, in fen.
    exclusive: of the rules of one cart with the same word, the first that takes anything excludes the rest; the
    member's coupon has the word "coupon". merchant_id: looks at and takes from this merchant's lines only.
    starts_at, ends_at: half-open. set_meal_id, dish_ids: SET_MEAL: what one set is made of, an id for each portion;
    ADDON: the dishes that may be added on.
    """

    id: str
    kind: RuleKind
    amount: Annotated[str, Meta(max_length=300)]
    title_zh: Annotated[str, Meta(min_length=1, max_length=60)]
    title_en: Annotated[str, Meta(min_length=1, max_length=60)]
    condition: Annotated[str, Meta(max_length=300)] = "true"
    priority: int = 100
    exclusive: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    merchant_id: MerchantId | None = None
    set_meal_id: Id | None = None
    dish_ids: Annotated[tuple[DishId, ...], Meta(max_length=50)] = ()


class SampleLine(Struct, frozen=True, kw_only=True, gc=False):
    """One line of a sample cart."""

    dish_id: Id
    merchant_id: Id
    unit_price_fen: Fen
    quantity: Annotated[int, Meta(ge=1, le=99)] = 1
    set_meal_id: Id | None = None
    addon: bool = False


class Sample(Struct, frozen=True, kw_only=True, gc=False):
    """A cart and what it must cost: `expected_fen` is worked out by the operator, not by the rules."""

    name: Annotated[str, Meta(min_length=1, max_length=60)]
    lines: Annotated[tuple[SampleLine, ...], Meta(min_length=1, max_length=LINES_MAX)]
    priced_at: datetime
    expected_fen: Fen
    tier_size: Annotated[int, Meta(ge=1, le=1000)] = 1
    off_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    off_fen: Fen = 0
    delivery_fee_fen: Fen = 0
    fee_shares: Annotated[int, Meta(ge=1, le=1000)] = 1
    is_first_order: bool = False
    is_leader: bool = False
    is_dorm_head: bool = False
    building_id: Annotated[str, Meta(max_length=64)] = ""
    coupon_off_fen: Fen = 0
    coupon_threshold_fen: Fen = 0
    coupon_merchant_id: Id | None = None

    def cart(self) -> Cart:
        """The cart to price; raises ValueError where it is none (an add-on inside of a set meal)."""
        return Cart(
            lines=tuple(_line(line) for line in self.lines),
            tier=Tier(size=self.tier_size, off_percent=self.off_percent, off=Money(self.off_fen)),
            delivery_fee=Money(self.delivery_fee_fen),
            fee_shares=self.fee_shares,
            priced_at=self.priced_at,
            is_first_order=self.is_first_order,
            is_leader=self.is_leader,
            is_dorm_head=self.is_dorm_head,
            building_id=BuildingId(self.building_id),
            coupon=self._coupon() if self.coupon_off_fen else None,
        )

    def _coupon(self) -> Coupon:
        return Coupon(
            id=CouponId("sample"),
            member_id=PersonId("sample"),
            off=Money(self.coupon_off_fen),
            threshold=Money(self.coupon_threshold_fen),
            merchant_id=MerchantId(self.coupon_merchant_id) if self.coupon_merchant_id else None,
            expires_at=datetime.max.replace(tzinfo=UTC),
        )


class RuleVersion(Struct, frozen=True, kw_only=True, gc=False):
    """All price rules at one time, with the sample carts that must come out right; never changed once saved."""

    id: str
    version: int
    rules: tuple[Rule, ...]
    samples: tuple[Sample, ...]
    note: str
    made_by: PersonId
    made_at: datetime


class RuleBook(Struct, frozen=True, kw_only=True, gc=False):
    """Which version is in force; one row, `id` is BOOK_ID. `previous` is `active` where there is no way back."""

    id: str
    active: int
    previous: int
    next_version: int


BOOK_ID: Final = "book"
EMPTY_BOOK: Final = RuleBook(id=BOOK_ID, active=0, previous=0, next_version=1)


def version_id(version: int) -> str:
    """The key of a version's row."""
    return f"v{version}"


# Version 0: in force where no rules were ever switched on; campaign tiers, coupons and the fee share still count.
BASE_RULES: Final = RuleVersion(
    id=version_id(0),
    version=0,
    rules=(),
    samples=(),
    note="",
    made_by=PersonId(""),
    made_at=datetime(1970, 1, 1, tzinfo=UTC),
)

# Facts of a cart and of a group, with carts to try a new expression on: very small, usual, large.
# items_fen: the goods in scope after set meal prices; due_fen: what is left of it to pay; hour, weekday (1 is Monday):
# in Asia/Shanghai; delivery_fee_fen: the member's share, the group's whole fee for a group.
_GROUP_SPECIMENS: Final[tuple[dict[str, Fact], ...]] = tuple(
    {
        "items_fen": items,
        "due_fen": due,
        "items_count": count,
        "merchants_count": merchants,
        "tier_size": size,
        "members": size,
        "delivery_fee_fen": fee,
        "building_id": "",
        "hour": hour,
        "weekday": weekday,
    }
    for items, due, count, merchants, size, fee, hour, weekday in (
        (0, 0, 1, 1, 1, 0, 0, 1),
        (1, 1, 1, 1, 3, 1, 7, 2),
        (1500, 1200, 1, 1, 3, 134, 12, 3),
        (3000, 2400, 2, 1, 5, 80, 11, 4),
        (6000, 4500, 4, 2, 10, 40, 18, 5),
        (20000, 16000, 12, 3, 20, 300, 21, 6),
        (1_000_000, 900_000, 500, 10, 1000, 5000, 23, 7),
    )
)
_CART_SPECIMENS: Final[tuple[dict[str, Fact], ...]] = tuple(
    {**facts, "is_first_order": said, "is_leader": said, "is_dorm_head": said, "coupon_fen": 500 if said else 1}
    for facts in _GROUP_SPECIMENS
    for said in (False, True)
)
GROUP_FACTS: Final = frozenset(_GROUP_SPECIMENS[0])
CART_FACTS: Final = frozenset(_CART_SPECIMENS[0]) - {"coupon_fen"}


def facts_of(kind: RuleKind) -> frozenset[str]:
    """The names that expressions of this kind of rule may use."""
    match kind:
        case RuleKind.GROUP_REDUCTION:
            return GROUP_FACTS
        case RuleKind.COUPON:
            return CART_FACTS | {"coupon_fen"}
        case _:
            return CART_FACTS


def check_rules(rules: Sequence[Rule], samples: Sequence[Sample]) -> None:
    """Make sure that a version may be saved. Raises RuleInvalid with the row, counted from 1, and what is wrong."""
    if len(rules) > RULES_MAX or len(samples) > SAMPLES_MAX:
        raise RuleInvalid(row=0, why="many", what=f"{RULES_MAX}, {SAMPLES_MAX}")
    seen: set[str] = set()
    for row, rule in enumerate(rules, start=1):
        fault = Fault("twice") if rule.id in seen else next(_faults(rule), None)
        if fault is not None:
            raise RuleInvalid(row=row, rule_id=rule.id, why=fault.why, what=fault.what)
        seen.add(rule.id)
    for row, sample in enumerate(samples, start=1):
        fault = next(_faults_of_sample(sample), None)
        if fault is not None:
            raise RuleInvalid(row=row, sample=sample.name, why=fault.why)


class Fault(Struct, frozen=True, gc=False):
    """What is wrong. why, what: as of `ExpressionBad`; `problems.WRONG` says it in both languages."""

    why: str
    what: str = ""


def _faults_of_sample(sample: Sample) -> Iterator[Fault]:
    if sample.priced_at.tzinfo is None:
        yield Fault("zone")
    elif not PRICED_FROM <= sample.priced_at < PRICED_UNTIL:
        yield Fault("century")
    if any(line.addon and line.set_meal_id for line in sample.lines):
        yield Fault("addon")


def _faults(rule: Rule) -> Iterator[Fault]:
    if not _ID.fullmatch(rule.id) or rule.id in (TIER, COUPON, PROMISE):
        yield Fault("id")
    times = [at for at in (rule.starts_at, rule.ends_at) if at is not None]
    if any(at.tzinfo is None for at in times) or (len(times) == 2 and times[0] >= times[1]):
        yield Fault("period")
    if (rule.set_meal_id is not None) != (rule.kind is RuleKind.SET_MEAL):
        yield Fault("set-meal")
    if bool(rule.dish_ids) != (rule.kind in (RuleKind.SET_MEAL, RuleKind.ADDON)):
        yield Fault("dishes")
    try:
        _try_out(rule)
    except ExpressionBad as error:
        yield Fault(error.why, error.what)


def _try_out(rule: Rule) -> None:
    """Evaluate both expressions on the specimens. Raises ExpressionBad.

    The amount must be one wherever the condition holds, and somewhere at all.
    """
    condition, amount = compile_text(rule.condition), compile_text(rule.amount)
    strange = (condition.names | amount.names) - facts_of(rule.kind)
    if strange:
        names = ", ".join(sorted(strange))
        raise ExpressionBad(f"unknown: {names}", why="unknown", what=names)
    specimens = _GROUP_SPECIMENS if rule.kind is RuleKind.GROUP_REDUCTION else _CART_SPECIMENS
    bad: ExpressionBad | None = None
    good = 0
    for facts in specimens:
        holds = condition.is_true(facts)
        try:
            amount.fen(facts)
            good += 1
        except ExpressionBad as error:
            if holds:
                raise
            bad = error
    if bad is not None and not good:
        raise bad


def _line(line: SampleLine) -> CartLine:
    return CartLine(
        dish_id=DishId(line.dish_id),
        merchant_id=MerchantId(line.merchant_id),
        unit_price=Money(line.unit_price_fen),
        quantity=line.quantity,
        set_meal_id=line.set_meal_id,
        addon=line.addon,
    )

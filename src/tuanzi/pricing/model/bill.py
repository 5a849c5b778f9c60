"""A cart while it is being priced: the rules, compiled, the facts they ask for, and what each took off which line."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Final

from tuanzi.base.ids import CouponId, MerchantId
from tuanzi.base.money import Money
from tuanzi.base.time import SHANGHAI
from tuanzi.pricing.model.allocation import portions
from tuanzi.pricing.model.cart import Cart, Discount, Quote, QuoteLine
from tuanzi.pricing.model.expressions import Expression, ExpressionBad, Fact, compile_text
from tuanzi.pricing.model.rules import Rule, RuleKind, RuleVersion, facts_of

_NUMBER: Final = re.compile(r"[0-9]{1,8}")


class ReadyRule:
    """A rule, compiled. Where an expression is a plain number or `true`, the engine is not asked."""

    __slots__ = ("_amount", "_condition", "_fixed_fen", "_names", "names", "rule")

    def __init__(self, rule: Rule) -> None:
        """Raises ExpressionBad: an expression does not compile, or asks for what is not known."""
        condition, amount = compile_text(rule.condition), compile_text(rule.amount)
        names = condition.names | amount.names
        if not names <= facts_of(rule.kind):
            raise ExpressionBad(f"unknown: {sorted(names - facts_of(rule.kind))}")
        self.rule = rule
        self.names = names
        self._names = tuple((name, FACTS[name]) for name in sorted(names))
        self._condition: Expression | None = None if rule.condition.strip() == "true" else condition
        self._amount = amount
        self._fixed_fen = int(rule.amount) if _NUMBER.fullmatch(rule.amount) else None

    def is_in_force(self, at: datetime) -> bool:
        """Whether `at` is in the rule's period."""
        starts_at, ends_at = self.rule.starts_at, self.rule.ends_at
        return (starts_at is None or starts_at <= at) and (ends_at is None or at < ends_at)

    def worth(self, bill: Bill, lines: Sequence[int]) -> int | None:
        """The amount the rule gives for these lines of the bill; None where it does not apply, or is broken."""
        return self.worth_of({name: fact(bill, lines) for name, fact in self._names}, bill.skipped)

    def worth_of(self, facts: dict[str, Fact], skipped: dict[str, None]) -> int | None:
        """The same for given facts; a broken rule is noted in `skipped` and takes nothing (X08)."""
        try:
            if self._condition is not None and not self._condition.is_true(facts):
                return None
            return self._amount.fen(facts) if self._fixed_fen is None else self._fixed_fen
        except ExpressionBad:
            skipped[self.rule.id] = None
            return None


class ReadyBook:
    """The rules of one version by kind, in the order they apply; `broken`: those that do not compile.

    quotes: prices of the last carts, by `likeness`: at lunch most ask for what somebody has asked for already.
    """

    __slots__ = ("_asked", "_by_kind", "_turns", "broken", "quotes", "version")

    def __init__(self, book: RuleVersion) -> None:
        self.version = book.version
        self.broken: list[str] = []
        self.quotes: dict[tuple[object, ...], Quote] = {}
        self._by_kind: dict[RuleKind, list[ReadyRule]] = {}
        for rule in sorted(book.rules, key=lambda rule: (rule.priority, rule.id)):
            try:
                self._by_kind.setdefault(rule.kind, []).append(ReadyRule(rule))
            except ExpressionBad:
                self.broken.append(rule.id)
        names = {name for ready in chain(*self._by_kind.values()) for name in ready.names}
        self._asked = tuple([ask for name, ask in MEMBER_FACTS.items() if name in names])
        self._turns = sorted({at for rule in book.rules for at in (rule.starts_at, rule.ends_at) if at is not None})

    def likeness(self, cart: Cart) -> tuple[object, ...]:
        """All of a cart without a coupon that these rules look at: carts alike in it have the same price.

        Of the time that is which rules are in force: how many periods have begun or ended by then.
        """
        return (
            cart.lines,
            cart.tier,
            cart.delivery_fee,
            cart.fee_shares,
            bisect_right(self._turns, cart.priced_at) if self._turns else 0,
            *[ask(cart) for ask in self._asked],
        )

    def of(self, kind: RuleKind) -> Sequence[ReadyRule]:
        """The rules of this kind."""
        return self._by_kind.get(kind, ())


class Bill:
    """What each line costs so far (`due`), and who took what off it.

    priced: what the goods cost after set meals, which conditions and thresholds look at. apart: lines, by number, with
    a portion that is set aside for an add-on rule and takes no part in anything else.
    """

    __slots__ = (
        "amounts",
        "apart",
        "cart",
        "claimed",
        "coupon_id",
        "due",
        "fee",
        "fee_given",
        "fee_share",
        "given",
        "listed",
        "members",
        "priced",
        "skipped",
    )

    def __init__(
        self, cart: Cart, *, fee_share: int, members: int, apart: dict[int, ReadyRule], skipped: dict[str, None]
    ) -> None:
        self.cart = cart
        self.listed = [line.unit_price.fen * line.quantity for line in cart.lines]
        self.due = self.listed.copy()
        for i in apart:
            self.due[i] -= cart.lines[i].unit_price.fen
        self.priced = self.due
        self.given: list[list[tuple[str, int]]] = [[] for _ in cart.lines]
        self.fee_share = self.fee = fee_share
        self.fee_given: list[tuple[str, int]] = []
        self.members = members
        self.apart = apart
        self.skipped = skipped
        self.amounts: dict[str, int] = {}
        self.claimed: set[str] = set()
        self.coupon_id: CouponId | None = None

    @property
    def payable(self) -> int:
        """All there is to pay so far."""
        return sum(self.due) + self.fee

    def lines_of(self, merchant_id: MerchantId | None) -> Sequence[int]:
        """The numbers of the lines of this merchant; of all for None."""
        if merchant_id is None:
            return range(len(self.due))
        return [i for i, line in enumerate(self.cart.lines) if line.merchant_id == merchant_id]

    def take(self, rule_id: str, fen: int, lines: Sequence[int]) -> int:
        """Take up to `fen` off these lines, divided by what is due on them; gives what was taken."""
        dues = [self.due[i] for i in lines]
        fen = min(fen, sum(dues))
        if fen <= 0:
            return 0
        for i, part in zip(lines, portions(fen, dues), strict=True):
            self.take_from(rule_id, part, i)
        return fen

    def take_from(self, rule_id: str, fen: int, line: int) -> None:
        """Take exactly `fen`, at most what is due, off one line."""
        if fen:
            self.due[line] -= fen
            self.given[line].append((rule_id, fen))
            self.amounts[rule_id] = self.amounts.get(rule_id, 0) + fen

    def take_fee(self, rule_id: str, fen: int) -> int:
        """Take up to `fen` off the share of the delivery fee; gives what was taken."""
        fen = min(fen, self.fee)
        if fen > 0:
            self.fee -= fen
            self.fee_given.append((rule_id, fen))
            self.amounts[rule_id] = self.amounts.get(rule_id, 0) + fen
        return fen

    def close(self, version: int) -> Quote:
        """The quote this bill comes to."""
        cart, payable = self.cart, self.payable
        assert min(self.due) >= 0 <= self.fee, f"taken too much: {self.due} {self.fee}"
        lines = tuple(
            [
                QuoteLine(
                    dish_id=line.dish_id,
                    merchant_id=line.merchant_id,
                    quantity=line.quantity,
                    list_price=Money(listed),
                    discounts=_discounts(given) if given else (),
                    payable=Money(due),
                    parts=line.parts,
                )
                for line, listed, given, due in zip(cart.lines, self.listed, self.given, self.due, strict=True)
            ]
        )
        return Quote(
            lines=lines,
            fee_share=Money(self.fee_share),
            fee_discounts=_discounts(self.fee_given),
            delivery_fee=Money(self.fee),
            payable=Money(payable),
            saved=Money(sum(self.listed) + cart.delivery_fee.fen - payable),
            amounts=_discounts(self.amounts.items()),
            coupon_id=self.coupon_id,
            tier_size=cart.tier.size,
            rule_version=version,
            skipped_rules=tuple(sorted(self.skipped)),
        )


# What rules may ask that is neither of the goods nor of the group.
MEMBER_FACTS: Final[dict[str, Callable[[Cart], Fact]]] = {
    "building_id": lambda cart: cart.building_id,
    "is_first_order": lambda cart: cart.is_first_order,
    "is_leader": lambda cart: cart.is_leader,
    "is_dorm_head": lambda cart: cart.is_dorm_head,
    "hour": lambda cart: cart.priced_at.astimezone(SHANGHAI).hour,
    "weekday": lambda cart: cart.priced_at.astimezone(SHANGHAI).isoweekday(),
}


def _of_member(ask: Callable[[Cart], Fact], bill: Bill, lines: Sequence[int]) -> Fact:
    return ask(bill.cart)


FACTS: Final[dict[str, Callable[[Bill, Sequence[int]], Fact]]] = {
    "items_fen": lambda bill, lines: sum([bill.priced[i] for i in lines]),
    "due_fen": lambda bill, lines: sum([bill.due[i] for i in lines]),
    "items_count": lambda bill, lines: sum([bill.cart.lines[i].quantity - (i in bill.apart) for i in lines]),
    "merchants_count": lambda bill, lines: len({bill.cart.lines[i].merchant_id for i in lines}),
    "tier_size": lambda bill, lines: bill.cart.tier.size,
    "members": lambda bill, lines: bill.members,
    "delivery_fee_fen": lambda bill, lines: bill.fee_share,
    **{name: partial(_of_member, ask) for name, ask in MEMBER_FACTS.items()},
    "coupon_fen": lambda bill, lines: bill.cart.coupon.off.fen if bill.cart.coupon else 0,
}


def _discounts(given: Iterable[tuple[str, int]]) -> tuple[Discount, ...]:
    return tuple([Discount(rule_id=rule_id, amount=Money(fen)) for rule_id, fen in given])

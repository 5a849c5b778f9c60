"""Carts, rules and a campus' core database for the tests of pricing; amounts in fen, noon is 12:00 in Shanghai."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from tuanzi import pricing, wiring
from tuanzi.base.ids import Ids
from tuanzi.base.money import Money
from tuanzi.base.who import Role, Who
from tuanzi.machinery.http.routes import Call
from tuanzi.machinery.writer import Request, Writer, drive
from tuanzi.pricing import BASE_RULES, Cart, CartLine, Coupon, Quote, Rule, RuleKind, RuleVersion, Tier

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # a Monday
ALONE = Tier(size=1)


def line(price: int, quantity: int = 1, *, dish: str = "d1", shop: str = "m1", **more: Any) -> CartLine:
    """One line of a cart."""
    return CartLine(dish_id=dish, merchant_id=shop, unit_price=Money(price), quantity=quantity, **more)


def cart(*lines: CartLine, tier: Tier = ALONE, fee: int = 0, shares: int = 1, **facts: Any) -> Cart:
    """A cart priced at noon."""
    facts.setdefault("priced_at", NOON)
    return Cart(lines=lines, tier=tier, delivery_fee=Money(fee), fee_shares=shares, **facts)


def rule(kind: RuleKind, amount: str, condition: str = "true", *, id: str = "r1", **more: Any) -> Rule:
    """A price rule."""
    return Rule(id=id, kind=kind, amount=amount, condition=condition, title_zh="满减", title_en="Off", **more)


def book(*rules: Rule, version: int = 1) -> RuleVersion:
    """A version with these rules."""
    return replace(BASE_RULES, id=f"v{version}", version=version, rules=rules)


def coupon(off: int, *, threshold: int = 0, shop: str | None = None, **more: Any) -> Coupon:
    """A free coupon of the member p1, valid for a day from noon."""
    more.setdefault("expires_at", NOON + timedelta(days=1))
    return Coupon(id="c1", member_id="p1", off=Money(off), threshold=Money(threshold), merchant_id=shop, **more)


def payables(quote: Quote) -> list[int]:
    """What each line comes to, in fen."""
    return [each.payable.fen for each in quote.lines]


def amounts(quote: Quote) -> dict[str, int]:
    """What each rule took off, in fen."""
    return {each.rule_id: each.amount.fen for each in quote.amounts}


def make_sure_it_adds_up(quote: Quote, of: Cart) -> None:
    """Every sum that a quote promises, to the fen (B5)."""
    taken: dict[str, int] = {}
    for each, wanted in zip(quote.lines, of.lines, strict=True):
        off = sum(discount.amount.fen for discount in each.discounts)
        assert each.list_price.fen == wanted.unit_price.fen * wanted.quantity, quote
        assert each.payable.fen == each.list_price.fen - off, quote
        assert 0 <= each.payable.fen <= each.list_price.fen, quote
        for discount in each.discounts:
            assert discount.amount.fen > 0, quote
            taken[discount.rule_id] = taken.get(discount.rule_id, 0) + discount.amount.fen
    for discount in quote.fee_discounts:
        taken[discount.rule_id] = taken.get(discount.rule_id, 0) + discount.amount.fen
    off_fee = sum(discount.amount.fen for discount in quote.fee_discounts)
    assert quote.delivery_fee.fen == quote.fee_share.fen - off_fee >= 0, quote
    assert quote.payable.fen == sum(payables(quote)) + quote.delivery_fee.fen, quote
    whole = sum(each.list_price.fen for each in quote.lines) + of.delivery_fee.fen
    assert quote.saved.fen == whole - quote.payable.fen >= 0, quote
    assert amounts(quote) == taken, quote


class Campus:
    """A campus' core database with the real writer; `submit` and `rows` make it a desk."""

    def __init__(self) -> None:
        room = pricing.room()
        self.database = wiring.open_database(None, "core", now=NOON)
        position, number = self.database.cursor()
        self._writer = Writer(wiring.schema_of("core", [room]), position=position, event_number=number)
        self._routes = {f"{route.method} {route.path}": route for route in room.routes}
        self.now = NOON

    async def submit(self, command: Any, *, who: str = "", key: Any = None) -> Any:
        """Carry out a command."""
        return self.carry_out(command)

    def carry_out(self, command: Any) -> Any:
        """Carry out a command, and give what the writer says; raises its problem."""
        (outcome,) = drive(self._writer.carry_out([Request(command)], now=self.now), self.database)
        if outcome.problem is not None:
            raise outcome.problem
        return outcome

    async def rows(self, sql: str, slots: Any = None) -> list[tuple[Any, ...]]:
        """Rows as they are kept."""
        return self.database.rows(sql, slots)

    def forget(self) -> None:
        """Make the writer read everything from the database again."""
        self._writer.memory = type(self._writer.memory)(1000)

    async def request(
        self, what: str, *, path: dict[str, str] | None = None, body: Any = None, query: Any = None
    ) -> Any:
        """Ask a route, as the machinery does once it has let the request in; bodies and queries are checked."""
        route = self._routes[what]
        who = Who(person_id="p1", session_id="s1", roles=frozenset({Role.OPERATOR}))
        call: Call[Any, Any] = Call(
            who=who,
            path={"campus": "beijing", **(path or {})},
            body=msgspec.json.decode(msgspec.json.encode(body), type=route.body) if route.body else None,
            query=msgspec.convert(query or {}, route.query, strict=False) if route.query else None,
            key=None,
            now=self.now,
            ids=Ids(lambda bits: 7),
            desks=_Desks(self),
            client="test",
        )
        return await route.handler(call)


class _Desks:
    def __init__(self, core: Campus) -> None:
        self.core: Any = core
        self.money: Any = None
        self.platform: Any = None

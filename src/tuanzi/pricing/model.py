"""Values and pure rules of pricing: dividing fen exactly, carts, rules as data, and the price of a cart (B4, B5).

In this order: dividing fen; what is priced, and its price; expressions; rules as data; a cart while it is being
priced; the price of a cart, and of a whole group at its closing.

Order of operations: line price -> set meal price -> group tier -> full reduction (满减) -> coupon -> 1-yuan add-on
(加价购) -> share of the delivery fee. Each stage divides its own amount over the lines and the division is kept.
Fen are divided by largest remainders (Hamilton) in integers, with caps, and in two dimensions. Peers that round each
line, or let the last line take the rest, lose fen or push a line below zero (reference/peers.md section 1b).
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache, partial
from itertools import chain
from numbers import Real
from typing import Annotated, Any, Final

import zen
from msgspec import Meta, Struct

from tuanzi.base.ids import BuildingId, CouponId, DishId, MerchantId, OrderId, PersonId
from tuanzi.base.money import ZERO, Money, total
from tuanzi.base.time import SHANGHAI
from tuanzi.pricing.problems import RuleInvalid

# dividing fen


class NotAllocatable(ValueError):
    """The amount does not fit under the caps, or the sums contradict each other."""


def allocate(amount: Money, weights: Sequence[int], *, caps: Sequence[Money]) -> list[Money]:
    """Divide `amount` in proportion to `weights`, exactly, no part above its cap.

    A part whose share reaches its cap is fixed there and the rest is divided again (water-filling); what is left is
    divided by largest remainders, a tie going to the earlier part. A weight of zero gets nothing, unless the caps of
    all others are full: then the rest goes to the zero weights in proportion to their caps.

    weights, caps: (n,) >= 0. Returns: (n,) parts that sum to `amount`, 0 <= part <= cap; same input, same parts.
    Raises NotAllocatable: a negative amount, weight or cap, different lengths, or caps that sum to less than `amount`.
    """
    limits = [cap.fen for cap in caps]
    if len(weights) != len(limits):
        raise NotAllocatable(f"{len(weights)} weights for {len(limits)} caps")
    if amount.fen < 0 or min(weights, default=0) < 0 or min(limits, default=0) < 0:
        raise NotAllocatable(f"negative: {amount.fen} fen by {list(weights)} under {limits}")
    if sum(limits) < amount.fen:
        raise NotAllocatable(f"{amount.fen} fen do not fit under caps of {sum(limits)} fen")
    parts = _fill(amount.fen, weights, limits)
    rest = amount.fen - sum(parts)
    if rest:
        room = [limit - part for limit, part in zip(limits, parts, strict=True)]
        parts = [part + more for part, more in zip(parts, portions(rest, room), strict=True)]
    return [Money(part) for part in parts]


def allocate_refund(amount: Money, remaining: Sequence[Money]) -> list[Money]:
    """Divide a refund over what has not been refunded yet, line by line.

    Weights and caps are what remains, so that no line is ever paid back more than was paid, and the last refund
    gives back exactly the rest. Never compute it as the difference of two allocations of the running total: largest
    remainders are not monotone in the amount (Alabama paradox), and a line's part could then be negative.

    remaining: (n,) fen still refundable. Raises NotAllocatable: `amount` is negative or more than remains in all.
    """
    return allocate(amount, [money.fen for money in remaining], caps=remaining)


def allocate_matrix(
    weights: Sequence[Sequence[int]],
    *,
    row_sums: Sequence[Money],
    column_sums: Sequence[Money],
    caps: Sequence[Sequence[Money]],
) -> list[list[Money]]:
    """Fill a matrix, members x merchants, so that every row and every column has exactly the sum asked for.

    Cells are first filled to their rounded-down share of the row, as far as cap and column allow; what is missing
    is pushed along shortest augmenting paths, rows and columns in order, over cells with a weight before cells
    without. So the answer is near the proportion, the same for the same input, and found whenever there is one.

    weights, caps: (rows, columns) >= 0; row_sums: (rows,); column_sums: (columns,). Returns: (rows, columns).
    Raises NotAllocatable: no matrix within the caps has these sums.
    """
    rows, columns = [money.fen for money in row_sums], [money.fen for money in column_sums]
    limits = [[cap.fen for cap in row] for row in caps]
    if not _fits(weights, rows, columns) or not _fits(limits, rows, columns):
        raise NotAllocatable("weights and caps must be >= 0 and have the shape of the sums")
    if sum(rows) != sum(columns) or min(rows, default=0) < 0 or min(columns, default=0) < 0:
        raise NotAllocatable(f"rows sum to {sum(rows)} fen, columns to {sum(columns)} fen; no sum may be negative")
    return [[Money(fen) for fen in row] for row in _matrix(weights, rows, columns, limits)]


def share_matrix(amount: Money, weights: Sequence[Sequence[int]]) -> list[list[Money]]:
    """Divide `amount` over members x merchants by weight, every cell, row and column within a fen of its exact share.

    Controlled rounding (Bacharach 1966): cells are rounded down, and the missing fen are single units of flow whose
    rows and columns may each be rounded down or up; such a rounding always exists. Rows and columns are not rounded
    on their own, for two such roundings may contradict each other.

    weights: (rows, columns) >= 0, the amount at most their sum. Returns: (rows, columns), each cell <= its weight.
    Raises NotAllocatable: a negative amount or weight, ragged rows, or more than all the weights.
    """
    whole = sum(map(sum, weights))
    columns = len(weights[0]) if weights else 0
    if not 0 <= amount.fen <= whole or not _fits(weights, [0] * len(weights), [0] * columns):
        raise NotAllocatable(f"{amount.fen} fen over weights that sum to {whole}")
    if whole == 0:
        return [[Money(0)] * columns for _ in weights]
    fen = amount.fen
    floors = [[fen * weight // whole for weight in row] for row in weights]
    ups = _round_up([[fen * weight % whole for weight in row] for row in weights], whole)
    return [
        [Money(floor + up) for floor, up in zip(down, more, strict=False)]
        for down, more in zip(floors, ups, strict=False)
    ]


def portions(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide `amount` by largest remainders, a tie going to the earlier weight; plain ints, for the hot path.

    weights: (n,) >= 0 with a positive sum, or any when `amount` is 0. Where the amount is at most the sum of the
    weights, no part is above its weight. Returns: (n,) parts that sum to `amount`.
    """
    if len(weights) == 1:
        return [amount]
    whole = sum(weights)
    if amount == whole:
        return list(weights)
    products = [amount * weight for weight in weights]
    parts = [product // whole for product in products]
    missing = amount - sum(parts)
    if missing:
        losses = [product % whole for product in products]
        for i in sorted(range(len(parts)), key=losses.__getitem__, reverse=True)[:missing]:
            parts[i] += 1
    return parts


def _fill(amount: int, weights: Sequence[int], limits: Sequence[int]) -> list[int]:
    """Water-filling over the positive weights: as much of `amount` as their caps let in."""
    parts = [0] * len(weights)
    open_ = [i for i, weight in enumerate(weights) if weight]
    while open_:
        whole = sum(weights[i] for i in open_)
        full = [i for i in open_ if amount * weights[i] >= limits[i] * whole]
        if not full:
            for i, part in zip(open_, portions(amount, [weights[i] for i in open_]), strict=True):
                parts[i] = part
            break
        for i in full:
            parts[i] = limits[i]
            amount -= limits[i]
        open_ = [i for i in open_ if i not in full]
    return parts


def _fits(cells: Sequence[Sequence[int]], rows: Sequence[int], columns: Sequence[int]) -> bool:
    return len(cells) == len(rows) and all(len(row) == len(columns) and min(row, default=0) >= 0 for row in cells)


def _round_up(losses: list[list[int]], whole: int) -> list[list[int]]:
    """Which cells to round up, 0 or 1 each, so that rows, columns and all are within a unit of their exact sums.

    losses: (rows, columns) numerators over `whole`, what each cell loses by rounding down. Returns one row and one
    column more: their cells are the slack between a sum rounded up and a sum rounded down.
    """
    rows = [sum(row) for row in losses]
    columns = [sum(column) for column in zip(*losses, strict=True)]
    row_ceilings, column_ceilings = [-(-row // whole) for row in rows], [-(-column // whole) for column in columns]
    missing = sum(rows) // whole
    weights = [[*row, -row_sum % whole] for row, row_sum in zip(losses, rows, strict=True)]
    weights.append([*[-column % whole for column in columns], 0])
    limits = [[1 if weight else 0 for weight in row] for row in weights]
    return _matrix(
        weights,
        [*row_ceilings, sum(column_ceilings) - missing],
        [*column_ceilings, sum(row_ceilings) - missing],
        limits,
    )


def _matrix(
    weights: Sequence[Sequence[int]], rows: Sequence[int], columns: Sequence[int], limits: list[list[int]]
) -> list[list[int]]:
    row_left, column_left = list(rows), list(columns)
    cells = [[0] * len(columns) for _ in rows]
    for i, row in enumerate(weights):
        whole, asked = sum(row), rows[i]
        for j, weight in enumerate(row):
            if weight:
                part = min(asked * weight // whole, limits[i][j], column_left[j])
                cells[i][j] = part
                row_left[i] -= part
                column_left[j] -= part
    weighted = [
        [limit if weight else 0 for limit, weight in zip(*pair, strict=True)]
        for pair in zip(limits, weights, strict=True)
    ]
    for allowed in (weighted, limits):
        _push_straight(cells, allowed, row_left, column_left)
        while any(row_left) and _augment(cells, allowed, row_left, column_left):
            pass
    if any(row_left):
        raise NotAllocatable(f"no matrix under these caps has rows {list(rows)} and columns {list(columns)}")
    return cells


def _push_straight(
    cells: list[list[int]], limits: list[list[int]], row_left: list[int], column_left: list[int]
) -> None:
    """All paths of one step, in the order in which `_augment` would find them; mostly there are no others."""
    for i, left in enumerate(row_left):
        for j, limit in enumerate(limits[i]):
            if not left:
                break
            amount = min(left, column_left[j], limit - cells[i][j])
            if amount > 0:
                cells[i][j] += amount
                column_left[j] -= amount
                left -= amount
        row_left[i] = left


def _augment(cells: list[list[int]], limits: list[list[int]], row_left: list[int], column_left: list[int]) -> bool:
    """Push as much as one shortest path carries from a row that is short to a column that is short.

    Rows give over cells below their limit; a column gives back over cells above zero. False when no path is left.
    """
    came_to_column: dict[int, int] = {}
    came_to_row: dict[int, int] = {i: -1 for i, left in enumerate(row_left) if left}
    queue = deque(came_to_row)
    while queue:
        i = queue.popleft()
        for j, limit in enumerate(limits[i]):
            if j in came_to_column or cells[i][j] >= limit:
                continue
            came_to_column[j] = i
            if column_left[j]:
                _push(j, cells, limits, row_left, column_left, came_to_row, came_to_column)
                return True
            for k, row in enumerate(cells):
                if row[j] and k not in came_to_row:
                    came_to_row[k] = j
                    queue.append(k)
    return False


def _push(
    last: int,
    cells: list[list[int]],
    limits: list[list[int]],
    row_left: list[int],
    column_left: list[int],
    came_to_row: dict[int, int],
    came_to_column: dict[int, int],
) -> None:
    giving, taking = [], []
    column = last
    while True:
        row = came_to_column[column]
        giving.append((row, column))
        column = came_to_row[row]
        if column < 0:
            break
        taking.append((row, column))
    amount = min(
        row_left[row],
        column_left[last],
        *(limits[i][j] - cells[i][j] for i, j in giving),
        *(cells[i][j] for i, j in taking),
    )
    for i, j in giving:
        cells[i][j] += amount
    for i, j in taking:
        cells[i][j] -= amount
    row_left[row] -= amount
    column_left[last] -= amount


# what is priced, and its price

LINES_MAX: Final = 100


class CartLine(Struct, frozen=True, kw_only=True, gc=False):
    """So many portions of one dish.

    set_meal_id: the set meal these portions were chosen as part of.
    addon: chosen as the 1-yuan add-on (加价购); one portion costs the add-on price where a rule grants it.
    """

    dish_id: DishId
    merchant_id: MerchantId
    unit_price: Money
    quantity: int
    set_meal_id: str | None = None
    addon: bool = False

    def __post_init__(self) -> None:
        if self.quantity < 1 or self.unit_price.fen < 0 or (self.addon and self.set_meal_id is not None):
            raise ValueError(f"no line of a cart: {self}")


class Tier(Struct, frozen=True, kw_only=True, gc=False):
    """What the campaign promises a group of `size`: first whole percent off, then an amount off each member."""

    size: int
    off_percent: int = 0
    off: Money = ZERO

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 <= self.off_percent <= 100 or self.off.fen < 0:
            raise ValueError(f"no tier: {self}")


class CouponState(StrEnum):
    """Where a coupon is in its life; `give_back` makes a held or used one free again."""

    FREE = "free"
    HELD = "held"
    USED = "used"


class Coupon(Struct, frozen=True, kw_only=True, gc=False):
    """An amount off for one member, once, when the goods it is valid for cost at least `threshold`.

    merchant_id: valid for this merchant's dishes only; None: for all. order_id: the order it is held or used for.
    """

    id: CouponId
    member_id: PersonId
    off: Money
    threshold: Money
    merchant_id: MerchantId | None
    expires_at: datetime
    state: CouponState = CouponState.FREE
    order_id: OrderId | None = None

    def __post_init__(self) -> None:
        if self.off.fen < 0 or self.threshold.fen < 0 or (self.state is CouponState.FREE) != (self.order_id is None):
            raise ValueError(f"no coupon: {self}")


class Cart(Struct, frozen=True, kw_only=True, gc=False):
    """What one member wants, and the facts that rules may ask about.

    delivery_fee: the whole group's. fee_shares: over how many members it is shared; `settle` counts for itself.
    priced_at: the time the periods of rules and coupons are judged by; an order keeps it, so that its price at
    closing is judged by the same time.
    """

    lines: tuple[CartLine, ...]
    tier: Tier
    delivery_fee: Money
    fee_shares: int
    priced_at: datetime
    is_first_order: bool = False
    is_leader: bool = False
    is_dorm_head: bool = False
    building_id: BuildingId = BuildingId("")
    coupon: Coupon | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.lines) <= LINES_MAX or self.fee_shares < 1 or self.delivery_fee.fen < 0:
            raise ValueError(f"no cart: {len(self.lines)} lines, {self.delivery_fee} over {self.fee_shares}")


class Discount(Struct, frozen=True, kw_only=True, gc=False):
    """What one rule took off; `rule_id` may also be TIER, COUPON or PROMISE."""

    rule_id: str
    amount: Money


class QuoteLine(Struct, frozen=True, kw_only=True, gc=False):
    """One line's price: `payable` is `list_price` (of all portions) less its discounts, and never negative."""

    dish_id: DishId
    merchant_id: MerchantId
    quantity: int
    list_price: Money
    discounts: tuple[Discount, ...]
    payable: Money


class Quote(Struct, frozen=True, kw_only=True, gc=False):
    """A member's price, to the fen; every sum below is exact.

    lines: as in the cart, in its order. fee_share: his part of the delivery fee. delivery_fee: what he pays of it,
    `fee_share` less `fee_discounts`. payable: all lines and the delivery fee; may be 0.
    saved: against ordering alone, at list prices and with the whole delivery fee.
    amounts: what each rule took off, lines and fee together. coupon_id: the coupon, if it was used.
    rule_version: the rules that priced it. skipped_rules: broken ones that were left out (X08); tell an operator.
    """

    lines: tuple[QuoteLine, ...]
    fee_share: Money
    fee_discounts: tuple[Discount, ...]
    delivery_fee: Money
    payable: Money
    saved: Money
    amounts: tuple[Discount, ...]
    coupon_id: CouponId | None
    tier_size: int
    rule_version: int
    skipped_rules: tuple[str, ...] = ()


# expressions as operators write them
#
# They may use the names they are offered, numbers, texts, comparisons, arithmetic, `? :` and min, max, floor, ceil over
# a list. Nothing that loops, reads the clock or makes chance gets past `compile_text`, so that an expression always
# ends within microseconds and says the same for the same cart. This part alone knows the zen engine.

TEXT_LENGTH_MAX: Final = 300
FEN_MAX: Final = 100_000_000  # a million yuan; more is a mistake in the rule, not an offer
FUNCTIONS: Final = frozenset({"min", "max", "floor", "ceil"})
WORDS: Final = frozenset({"and", "or", "not", "in", "true", "false"})

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[0-9]{1,12}(?:\.[0-9]{1,6})?(?![\w.]))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<text>'[^'\\]{0,64}')
      | (?P<sign>==|!=|>=|<=|[><+\-*/%()\[\],?:!])
    )""",
    re.VERBOSE,
)
Fact = int | bool | str


class ExpressionBad(ValueError):
    """The expression cannot be used, or gave what is neither a yes/no nor an amount in fen."""


class Expression:
    """A compiled expression; `names` are the facts it needs."""

    __slots__ = ("_evaluate", "names")

    def __init__(self, text: str, names: frozenset[str]) -> None:
        self.names = names
        try:
            self._evaluate = zen.compile_expression(text).evaluate
        except RuntimeError as error:
            raise ExpressionBad(_reason(error)) from error

    def is_true(self, facts: dict[str, Fact]) -> bool:
        """What a condition says of these facts. Raises ExpressionBad for anything but true or false."""
        said = self._run(facts)
        if isinstance(said, bool):
            return said
        raise ExpressionBad(f"a condition must say true or false, not {said!r:.60}")

    def fen(self, facts: dict[str, Fact]) -> int:
        """The amount, in fen, that these facts give; what is not a whole fen is rounded down (our rule).

        Raises ExpressionBad: no number, not finite, negative, or above FEN_MAX.
        """
        said = self._run(facts)
        is_number = isinstance(said, Real) and not isinstance(said, bool)
        if is_number and math.isfinite(said) and 0 <= said <= FEN_MAX:
            fen: int = math.floor(said)
            return fen
        raise ExpressionBad(f"an amount must be 0 to {FEN_MAX} fen, not {said!r:.60}")

    def _run(self, facts: dict[str, Fact]) -> Any:
        try:
            return self._evaluate(facts)
        except RuntimeError as error:
            raise ExpressionBad(_reason(error)) from error


@lru_cache(maxsize=1024)
def compile_text(text: str) -> Expression:
    """The expression that `text` says; compiled once for each text, the 1,024 last used are kept.

    Raises ExpressionBad: too long, a sign or word that is not allowed, or not an expression.
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise ExpressionBad(f"longer than {TEXT_LENGTH_MAX} characters")
    names: set[str] = set()
    at, end = 0, len(text.rstrip())
    while at < end:
        token = _TOKEN.match(text, at)
        if token is None:
            raise ExpressionBad(f"not allowed at character {at + 1}: {text[at : at + 12].strip()!r}")
        at = token.end()
        name = token["name"]
        if name in FUNCTIONS and not text[at:].lstrip().startswith("("):
            raise ExpressionBad(f"{name} is a function")
        if name and name not in WORDS and name not in FUNCTIONS:
            names.add(name)
    return Expression(text, frozenset(names))


def _reason(error: RuntimeError) -> str:
    """The engine's words without its stack trace."""
    return str(error).partition("\n")[0][:200]


# rules as data

RULES_MAX: Final = 64
SAMPLES_MAX: Final = 50
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
    """Make sure that a version may be saved. Raises RuleInvalid with the row, counted from 1, and the reason."""
    if len(rules) > RULES_MAX or len(samples) > SAMPLES_MAX:
        raise RuleInvalid(row=0, reason=f"at most {RULES_MAX} rules and {SAMPLES_MAX} sample carts")
    seen: set[str] = set()
    for row, rule in enumerate(rules, start=1):
        reason = "its id is used twice" if rule.id in seen else next(_faults(rule), None)
        if reason is not None:
            raise RuleInvalid(row=row, rule_id=rule.id, reason=reason)
        seen.add(rule.id)
    for row, sample in enumerate(samples, start=1):
        if sample.priced_at.tzinfo is None or any(line.addon and line.set_meal_id for line in sample.lines):
            raise RuleInvalid(row=row, sample=sample.name, reason="a time without its zone, or an add-on in a set meal")


def _faults(rule: Rule) -> Iterator[str]:
    if not _ID.fullmatch(rule.id) or rule.id in (TIER, COUPON, PROMISE):
        yield "its id must be 1 to 40 of a-z 0-9 _ - and not tier, coupon or promise"
    times = [at for at in (rule.starts_at, rule.ends_at) if at is not None]
    if any(at.tzinfo is None for at in times) or (len(times) == 2 and times[0] >= times[1]):
        yield "its period must have zones and end after it starts"
    if (rule.set_meal_id is not None) != (rule.kind is RuleKind.SET_MEAL):
        yield "set_meal_id belongs to a set meal, and must be there"
    if bool(rule.dish_ids) != (rule.kind in (RuleKind.SET_MEAL, RuleKind.ADDON)):
        yield "dish_ids belong to a set meal or an add-on, and must be there"
    try:
        _try_out(rule)
    except ExpressionBad as error:
        yield str(error)


def _try_out(rule: Rule) -> None:
    """Evaluate both expressions on the specimens. Raises ExpressionBad.

    The amount must be one wherever the condition holds, and somewhere at all.
    """
    condition, amount = compile_text(rule.condition), compile_text(rule.amount)
    strange = (condition.names | amount.names) - facts_of(rule.kind)
    if strange:
        raise ExpressionBad(f"unknown: {', '.join(sorted(strange))}")
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


# a cart while it is being priced

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


# the price of a cart and of a group

READY_BOOKS_MAX: Final = 64
# Of one version; about 1 kB each.
QUOTES_MAX: Final = 4096
_ready_books: dict[int, tuple[RuleVersion, ReadyBook]] = {}  # by id(); holds the value, so that its id stays taken


def quote(book: RuleVersion, cart: Cart) -> Quote:
    """The price of one member's cart; pure: the same cart and rules give the same price.

    The share of the delivery fee is rounded up to a fen, so that any group of at least `fee_shares` covers the fee;
    `settle` gives the odd fen back. A rule that is broken takes nothing and is named in `skipped_rules` (X08).
    The prices of the last carts are kept: that costs a tenth, and the rows of equal prices are written alike.
    """
    ready = _ready(book)
    if cart.coupon is not None:  # each is one of its own
        return _priced_alone(ready, cart)
    likeness = ready.likeness(cart)
    kept = ready.quotes.get(likeness)
    if kept is None:
        if len(ready.quotes) >= QUOTES_MAX:
            ready.quotes.clear()
        kept = ready.quotes[likeness] = _priced_alone(ready, cart)
    return kept


def _priced_alone(ready: ReadyBook, cart: Cart) -> Quote:
    fee_share = -(-cart.delivery_fee.fen // cart.fee_shares)
    return _bill(ready, cart, fee_share=fee_share, members=cart.fee_shares).close(ready.version)


def settle(
    book: RuleVersion, carts: Sequence[Cart], paid: Sequence[Quote], *, members: int | None = None
) -> list[Quote]:
    """The final prices of a closed group, in the order of its members.

    carts: each member's cart with the tier that was reached; all name the same delivery fee, which is divided over
    `len(carts)`, exactly and by equal parts, no part above the share that was paid (so the parts sum to the fee, or
    to all that was paid towards it). paid: what each one paid, as his order keeps it.
    Nobody ends above what he paid: where rules would have it so, the difference is taken off as PROMISE. What
    goes back to him is `paid[i].payable - settled[i].payable`. members: of the whole group, where these carts are one
    campus's part of it and their delivery fee is that part's share (B7); None: they are the whole.
    Group reductions look at the whole group, at the latest `priced_at` in it, and are divided over members x
    merchants, every sum within a fen of its exact share.
    Raises ValueError: nobody, unequal lengths, or different delivery fees.
    """
    if not carts or len(carts) != len(paid) or len({cart.delivery_fee for cart in carts}) > 1:
        raise ValueError(f"no group: {len(carts)} carts, {len(paid)} paid, or different delivery fees")
    ready = _ready(book)
    may_stand = members is None and not ready.of(RuleKind.GROUP_REDUCTION)
    if may_stand and all(map(partial(_stands, ready.version, len(carts)), carts, paid)):
        return list(paid)
    caps = [quote_.fee_share for quote_ in paid]
    covered = min(carts[0].delivery_fee, total(caps))
    shares = allocate(covered, [1] * len(carts), caps=caps)
    bills = [
        _bill(ready, cart, fee_share=share.fen, members=members or len(carts))
        for cart, share in zip(carts, shares, strict=True)
    ]
    _reduce_group(ready, bills)
    for bill, before in zip(bills, paid, strict=True):
        above = bill.payable - before.payable.fen
        if above > 0:
            bill.take_fee(PROMISE, above - bill.take(PROMISE, above, bill.lines_of(None)))
    return [bill.close(ready.version) for bill in bills]


def _stands(version: int, members: int, cart: Cart, before: Quote) -> bool:
    """Whether pricing this cart again would give what was paid: same rules, tier and number of members, and a fee
    without an odd fen. It saves a third of a closing where the smallest tier was just met, which most are."""
    return (
        before.rule_version == version
        and before.tier_size == cart.tier.size
        and members == cart.fee_shares
        and cart.delivery_fee.fen % members == 0
    )


def _ready(book: RuleVersion) -> ReadyBook:
    """The compiled rules; kept by identity, for a version's value lives as long as it is in force."""
    kept = _ready_books.get(id(book))
    if kept is not None and kept[0] is book:
        return kept[1]
    ready = ReadyBook(book)
    if len(_ready_books) >= READY_BOOKS_MAX:
        _ready_books.clear()
    _ready_books[id(book)] = (book, ready)
    return ready


def _bill(ready: ReadyBook, cart: Cart, *, fee_share: int, members: int) -> Bill:
    """A cart through all stages.

    Portions for add-ons are first set apart; where one is then not granted it is a portion like any other and all is
    priced again, with one fewer set apart each time.
    """
    skipped = dict.fromkeys(ready.broken)
    addons = ready.of(RuleKind.ADDON)
    apart = _set_apart(addons, cart) if addons else {}
    while True:
        bill = Bill(cart, fee_share=fee_share, members=members, apart=apart, skipped=skipped)
        for meal in ready.of(RuleKind.SET_MEAL):
            _price_set_meal(bill, meal)
        bill.priced = bill.due.copy()
        _take_tier(bill)
        _run(bill, ready.of(RuleKind.GROUP_TIER))
        _run(bill, ready.of(RuleKind.FULL_REDUCTION))
        _take_coupon(bill, ready.of(RuleKind.COUPON))
        refused = _grant_addons(bill) if apart else ()
        if not refused:
            break
        apart = {i: rule for i, rule in apart.items() if i not in refused}
    for rule in ready.of(RuleKind.DELIVERY_FEE):
        if _may_apply(bill, rule) and bill.lines_of(rule.rule.merchant_id):
            worth = rule.worth(bill, bill.lines_of(rule.rule.merchant_id))
            if worth and bill.take_fee(rule.rule.id, worth):
                _claim(bill, rule)
    return bill


def _may_apply(bill: Bill, ready: ReadyRule) -> bool:
    return ready.rule.exclusive not in bill.claimed and ready.is_in_force(bill.cart.priced_at)


def _claim(bill: Bill, ready: ReadyRule) -> None:
    if ready.rule.exclusive is not None:
        bill.claimed.add(ready.rule.exclusive)


def _run(bill: Bill, rules: Sequence[ReadyRule], within: MerchantId | None = None) -> None:
    """Let each rule take its amount off the lines of its merchant, and of `within` where given."""
    for ready in rules:
        merchant_id = ready.rule.merchant_id
        if within is not None and merchant_id not in (None, within):
            continue
        lines = bill.lines_of(within or merchant_id)
        if lines and _may_apply(bill, ready):
            worth = ready.worth(bill, lines)
            if worth and bill.take(ready.rule.id, worth, lines):
                _claim(bill, ready)


def _take_tier(bill: Bill) -> None:
    tier = bill.cart.tier
    if tier.off_percent or tier.off:
        due = sum(bill.due)
        percent = due * tier.off_percent // 100
        bill.take(TIER, min(percent + tier.off.fen, due), range(len(bill.due)))


def _take_coupon(bill: Bill, extras: Sequence[ReadyRule]) -> None:
    """The member's coupon, on the lines of its merchant alone (vendure issue 4117), then what rules add to it."""
    coupon = bill.cart.coupon
    if coupon is None or COUPON in bill.claimed or coupon.expires_at <= bill.cart.priced_at:
        return
    lines = bill.lines_of(coupon.merchant_id)
    if sum([bill.priced[i] for i in lines]) < coupon.threshold.fen:
        return
    if bill.take(COUPON, coupon.off.fen, lines):
        bill.coupon_id = coupon.id
        bill.claimed.add(COUPON)
        _run(bill, extras, coupon.merchant_id)


def _price_set_meal(bill: Bill, ready: ReadyRule) -> None:
    """As many whole sets as the lines chosen for this set meal make, at the set's price; the rest at list price."""
    rule = ready.rule
    lines = [i for i in bill.lines_of(rule.merchant_id) if bill.cart.lines[i].set_meal_id == rule.set_meal_id]
    counts = {dish: rule.dish_ids.count(dish) for dish in rule.dish_ids}
    there = dict.fromkeys(counts, 0)
    for i in lines:
        line = bill.cart.lines[i]
        if line.dish_id in there:
            there[line.dish_id] += line.quantity
    sets = min(there[dish] // count for dish, count in counts.items())
    if not sets or not _may_apply(bill, ready):
        return
    price = ready.worth(bill, lines)
    if price is None:
        return
    left = {dish: sets * count for dish, count in counts.items()}
    values = []
    for i in lines:
        line = bill.cart.lines[i]
        used = min(line.quantity, left.get(line.dish_id, 0))
        values.append(min(used * line.unit_price.fen, bill.due[i]))
        if used:
            left[line.dish_id] -= used
    off = sum(values) - sets * price
    if off > 0:
        for i, part in zip(lines, portions(off, values), strict=True):
            bill.take_from(rule.id, part, i)
        _claim(bill, ready)


def _set_apart(addons: Sequence[ReadyRule], cart: Cart) -> dict[int, ReadyRule]:
    """One portion for each add-on rule in force: of the first line chosen as add-on that it names."""
    apart: dict[int, ReadyRule] = {}
    for ready in addons:
        rule = ready.rule
        for i, line in enumerate(cart.lines):
            fits = line.dish_id in rule.dish_ids and rule.merchant_id in (None, line.merchant_id)
            if line.addon and fits and i not in apart and ready.is_in_force(cart.priced_at):
                apart[i] = ready
                break
    return apart


def _grant_addons(bill: Bill) -> Sequence[int]:
    """Put the portions set apart back, each at its add-on price; gives the lines whose rule did not grant it."""
    refused = []
    for i, ready in bill.apart.items():
        unit = bill.cart.lines[i].unit_price.fen
        price = ready.worth(bill, bill.lines_of(ready.rule.merchant_id)) if _may_apply(bill, ready) else None
        if price is None or price >= unit:
            refused.append(i)
            continue
        _claim(bill, ready)
        bill.due[i] += unit
        bill.take_from(ready.rule.id, unit - price, i)
    return refused


def _reduce_group(ready: ReadyBook, bills: Sequence[Bill]) -> None:
    """Group reductions, each divided over members x merchants and from there over the lines."""
    claimed: set[str] = set()
    at = max(bill.cart.priced_at for bill in bills)
    for rule in ready.of(RuleKind.GROUP_REDUCTION):
        lines = [bill.lines_of(rule.rule.merchant_id) for bill in bills]
        if rule.rule.exclusive in claimed or not rule.is_in_force(at) or not any(lines):
            continue
        skipped: dict[str, None] = {}
        worth = rule.worth_of(_group_facts(bills, lines), skipped) or 0
        for bill in bills:
            bill.skipped.update(skipped)
        if _take_from_group(rule.rule.id, worth, bills, lines) and rule.rule.exclusive is not None:
            claimed.add(rule.rule.exclusive)


def _take_from_group(rule_id: str, fen: int, bills: Sequence[Bill], lines: Sequence[Sequence[int]]) -> int:
    merchants = list(
        dict.fromkeys(bill.cart.lines[i].merchant_id for bill, mine in zip(bills, lines, strict=True) for i in mine)
    )
    dues = [
        [sum([bill.due[i] for i in mine if bill.cart.lines[i].merchant_id == merchant]) for merchant in merchants]
        for bill, mine in zip(bills, lines, strict=True)
    ]
    fen = min(fen, sum(map(sum, dues)))
    for bill, row in zip(bills, share_matrix(Money(fen), dues), strict=True):
        for merchant, part in zip(merchants, row, strict=True):
            bill.take(rule_id, part.fen, bill.lines_of(merchant))
    return fen


def _group_facts(bills: Sequence[Bill], lines: Sequence[Sequence[int]]) -> dict[str, Fact]:
    """The facts of `GROUP_FACTS`; `building_id` is empty where members live in different buildings."""
    pairs = [(bill, i) for bill, mine in zip(bills, lines, strict=True) for i in mine]
    buildings = {bill.cart.building_id for bill in bills}
    shown_at = max(bill.cart.priced_at for bill in bills).astimezone(SHANGHAI)
    return {
        "items_fen": sum(bill.priced[i] for bill, i in pairs),
        "due_fen": sum(bill.due[i] for bill, i in pairs),
        "items_count": sum(bill.cart.lines[i].quantity for bill, i in pairs),
        "merchants_count": len({bill.cart.lines[i].merchant_id for bill, i in pairs}),
        "tier_size": bills[0].cart.tier.size,
        "members": len(bills),
        "delivery_fee_fen": bills[0].cart.delivery_fee.fen,
        "building_id": buildings.pop() if len(buildings) == 1 else "",
        "hour": shown_at.hour,
        "weekday": shown_at.isoweekday(),
    }

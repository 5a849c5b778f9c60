"""The price of a cart, and of a whole group at its closing.

Order of operations: line price -> set meal price -> group tier -> full reduction (满减) -> coupon -> 1-yuan add-on
(加价购) -> share of the delivery fee. Each stage divides its own amount over the lines and the division is kept.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial
from typing import Final

from tuanzi.base.ids import MerchantId
from tuanzi.base.money import Money, total
from tuanzi.base.time import SHANGHAI
from tuanzi.pricing.model.allocation import allocate, portions, share_matrix
from tuanzi.pricing.model.bill import Bill, ReadyBook, ReadyRule
from tuanzi.pricing.model.cart import Cart, Quote
from tuanzi.pricing.model.expressions import Fact
from tuanzi.pricing.model.rules import COUPON, PROMISE, TIER, RuleKind, RuleVersion

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
    books: Sequence[RuleVersion], carts: Sequence[Cart], paid: Sequence[Quote], *, members: int | None = None
) -> list[Quote]:
    """The final prices of a closed group, in the order of its members, each by the version that priced what he paid.

    books: those versions; one, unless the rules were switched while the group was open.
    carts: each member's cart with the tier that was reached; all name the same delivery fee, which is divided over
    `len(carts)`, exactly and by equal parts, no part above the share that was paid (so the parts sum to the fee, or
    to all that was paid towards it). paid: what each one paid, as his order keeps it.
    Nobody ends above what he paid: where rules would have it so, the difference is taken off as PROMISE. What
    goes back to him is `paid[i].payable - settled[i].payable`. members: of the whole group, where these carts are one
    campus's part of it and their delivery fee is that part's share (B7); None: they are the whole.
    Group reductions of a version look at the carts it priced as if they were the whole group, at the latest `priced_at`
    of them, and are divided over members x merchants, every sum within a fen of its exact share.
    Raises ValueError: nobody, unequal lengths, different delivery fees, or a version that is not among `books`.
    """
    if not carts or len(carts) != len(paid) or len({cart.delivery_fee for cart in carts}) > 1:
        raise ValueError(f"no group: {len(carts)} carts, {len(paid)} paid, or different delivery fees")
    ready = {book.version: _ready(book) for book in books}
    may_stand = members is None and not any([each.of(RuleKind.GROUP_REDUCTION) for each in ready.values()])
    if may_stand and all(map(partial(_stands, ready, len(carts)), carts, paid)):
        return list(paid)
    if not ready.keys() >= {quote_.rule_version for quote_ in paid}:
        raise ValueError(f"rules of {sorted(ready)} cannot settle what others priced")
    caps = [quote_.fee_share for quote_ in paid]
    covered = min(carts[0].delivery_fee, total(caps))
    shares = allocate(covered, [1] * len(carts), caps=caps)
    bills = [
        _bill(ready[before.rule_version], cart, fee_share=share.fen, members=members or len(carts))
        for cart, before, share in zip(carts, paid, shares, strict=True)
    ]
    for version, rules in ready.items():
        own = [bill for bill, before in zip(bills, paid, strict=True) if before.rule_version == version]
        is_all = len(own) == len(bills)
        fee_fen = carts[0].delivery_fee.fen if is_all else sum([bill.fee_share for bill in own])
        _reduce_group(rules, own, fee_fen=fee_fen, members=members if is_all and members else len(own))
    for bill, before in zip(bills, paid, strict=True):
        above = bill.payable - before.payable.fen
        if above > 0:
            bill.take_fee(PROMISE, above - bill.take(PROMISE, above, bill.lines_of(None)))
    return [bill.close(before.rule_version) for bill, before in zip(bills, paid, strict=True)]


def _stands(ready: Container[int], members: int, cart: Cart, before: Quote) -> bool:
    """Whether pricing this cart again, by the rules it was priced by, would give what was paid: same tier and number
    of members, and a fee without an odd fen. It saves a third of a closing where the smallest tier was just met, which
    most are."""
    return (
        before.rule_version in ready
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


def _reduce_group(ready: ReadyBook, bills: Sequence[Bill], *, fee_fen: int, members: int) -> None:
    """Group reductions, each divided over members x merchants and from there over the lines.

    members: of the whole group, which may be more than the bills here.
    """
    reductions = ready.of(RuleKind.GROUP_REDUCTION)
    if not reductions or not bills:
        return
    claimed: set[str] = set()
    at = max(bill.cart.priced_at for bill in bills)
    for rule in reductions:
        lines = [bill.lines_of(rule.rule.merchant_id) for bill in bills]
        if rule.rule.exclusive in claimed or not rule.is_in_force(at) or not any(lines):
            continue
        skipped: dict[str, None] = {}
        worth = rule.worth_of(_group_facts(bills, lines, fee_fen=fee_fen, members=members), skipped) or 0
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


def _group_facts(
    bills: Sequence[Bill], lines: Sequence[Sequence[int]], *, fee_fen: int, members: int
) -> dict[str, Fact]:
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
        "members": members,
        "delivery_fee_fen": fee_fen,
        "building_id": buildings.pop() if len(buildings) == 1 else "",
        "hour": shown_at.hour,
        "weekday": shown_at.isoweekday(),
    }

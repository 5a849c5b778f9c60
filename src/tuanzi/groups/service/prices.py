"""What a cart costs: at each tier before a seat is taken, and as the order of who takes one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from msgspec.structs import replace

from tuanzi import stock
from tuanzi.base.ids import BuildingId, MerchantId
from tuanzi.base.money import ZERO, Money
from tuanzi.base.unit import Unit
from tuanzi.catalog import (
    Campaign,
    CampaignTier,
    Dish,
    Merchant,
    dishes_for_cart,
    load_building_served,
    load_campaign_for_opening,
)
from tuanzi.groups.model import Group
from tuanzi.groups.problems import MinimumNotReached, OrderLimitExceeded
from tuanzi.groups.service.commands import JoinGroup, Off, QuoteCart, Quoted, TierPrice, Wanted
from tuanzi.groups.service.members import ordered_before
from tuanzi.orders import Order, OrderState
from tuanzi.pricing import (
    Cart,
    CartLine,
    LinePart,
    Quote,
    Tier,
    active_rules,
    give_back_coupon,
    hold_coupon,
    load_free_coupon,
    portions_of,
    quote,
)


def quote_cart(unit: Unit, command: QuoteCart, *, now: datetime) -> Quoted:
    """What a cart would cost at each tier; nothing changes, and nothing is counted or held.

    Raises Unknown, CampaignNotLive, BuildingNotServed, and what the catalog and coupons refuse.
    """
    terms: Campaign | Group
    if command.group_id is None:
        terms = load_campaign_for_opening(unit, command.campaign_id, now=now)
        load_building_served(unit, command.building_id, campaign=terms)
    else:
        terms = unit.load(Group, command.group_id)
    return quote_at(
        unit,
        command,
        tiers=terms.tiers,
        delivery_fee=terms.delivery_fee,
        merchant_ids=terms.merchant_ids,
        is_leader=command.group_id is None,
        now=now,
    )


def quote_at(
    unit: Unit,
    command: QuoteCart,
    *,
    tiers: Sequence[CampaignTier],
    delivery_fee: Money,
    merchant_ids: Collection[MerchantId],
    is_leader: bool,
    now: datetime,
) -> Quoted:
    """What a cart would cost at these tiers, whatever campus has them; nothing changes.

    Raises Unknown, and what the catalog and coupons refuse.
    """
    dishes = dishes_for_cart(unit, [line.dish_id for line in command.lines], merchant_ids=merchant_ids, now=now)
    coupon = None
    if command.coupon_id is not None:
        coupon = load_free_coupon(unit, coupon_id=command.coupon_id, member_id=command.member_id, now=now)
    is_first_order = ordered_before(unit, command.member_id).is_none and not command.is_returning
    book = active_rules(unit)
    quotes = []
    for tier in tiers:
        cart = Cart(
            lines=_cart_lines(command.lines, dishes),
            tier=_priced(tier),
            delivery_fee=delivery_fee,
            fee_shares=tier.size,
            priced_at=now,
            is_first_order=is_first_order,
            is_dorm_head=command.is_dorm_head,
            is_leader=is_leader,
            building_id=command.building_id,
            coupon=coupon,
        )
        quotes.append(quote(book, cart))
    return Quoted(
        tiers=tuple(
            TierPrice(
                size=tier.size,
                list_fen=sum(line.list_price.fen for line in priced.lines),
                delivery_fen=priced.fee_share.fen,
                offs=tuple(Off(rule_id=off.rule_id, amount_fen=off.amount.fen) for off in priced.amounts),
                payable_fen=priced.payable.fen,
                saved_fen=priced.saved.fen,
            )
            for tier, priced in zip(tiers, quotes, strict=True)
        ),
        delivery_fen=quotes[0].delivery_fee.fen,
        rule_version=quotes[0].rule_version,
    )


def priced_order(
    unit: Unit,
    group: Group,
    *,
    command: JoinGroup,
    building_id: BuildingId,
    is_first_order: bool,
    now: datetime,
) -> Order:
    """The order at the price of the smallest tier; its portions and coupon are held."""
    if sum([line.quantity for line in command.lines]) > group.per_order_limit:
        raise OrderLimitExceeded(group_id=group.id, limit=group.per_order_limit)
    dishes = dishes_for_cart(unit, [line.dish_id for line in command.lines], merchant_ids=group.merchant_ids, now=now)
    coupon = None
    if command.coupon_id is not None:
        coupon = hold_coupon(
            unit, coupon_id=command.coupon_id, member_id=command.member_id, order_id=command.order_id, now=now
        )
    smallest = group.tiers[0]
    cart = Cart(
        lines=_cart_lines(command.lines, dishes),
        tier=_priced(smallest),
        delivery_fee=group.delivery_fee,
        fee_shares=smallest.size,
        priced_at=now,
        is_first_order=is_first_order,
        is_dorm_head=command.is_dorm_head,
        is_leader=command.member_id == group.leader_id,
        building_id=building_id,
        coupon=coupon,
    )
    priced = quote(active_rules(unit), cart)
    if coupon is not None and priced.coupon_id is None:
        # It takes nothing off this cart: it stays the member's, and no later price may use it.
        give_back_coupon(unit, coupon_id=coupon.id, order_id=command.order_id)
        cart = replace(cart, coupon=None)
    _check_minimums(unit, priced)
    held = portions_of(priced.lines)
    totals = {dish.id: dish.portions_per_meal for dish in dishes}
    for dish_id in held.keys() - totals.keys():
        totals[dish_id] = unit.load(Dish, dish_id).portions_per_meal
    stock.hold(unit, held, meal_id=group.meal_id, totals=totals)
    return Order(
        id=command.order_id,
        group_id=group.id,
        campaign_id=group.campaign_id,
        member_id=command.member_id,
        building_id=building_id,
        meal_id=group.meal_id,
        state=OrderState.CREATED,
        quote=priced,
        cart=cart,
        payable=priced.payable,
        paid=ZERO,
        refundable=(),
        refunds=(),
        placed_at=now,
        pay_before=min(now + group.pay_within, group.closes_at),
    )


def _cart_lines(lines: Sequence[Wanted], dishes: Sequence[Dish]) -> tuple[CartLine, ...]:
    return tuple(
        [
            CartLine(
                dish_id=dish.id,
                merchant_id=dish.merchant_id,
                unit_price=dish.price,
                quantity=line.quantity,
                set_meal_id=line.set_meal_id,
                addon=line.addon,
                parts=_parts_of(dish) if dish.items else (),
            )
            for line, dish in zip(lines, dishes, strict=True)
        ]
    )


def _parts_of(dish: Dish) -> tuple[LinePart, ...]:
    return tuple([LinePart(dish_id=item.dish_id, quantity=item.quantity) for item in dish.items])


def _priced(tier: CampaignTier) -> Tier:
    return Tier(size=tier.size, off_percent=tier.off_percent, off=tier.off)


def _check_minimums(unit: Unit, priced: Quote) -> None:
    """Raises MinimumNotReached: a merchant's dishes, at list price, are below what he cooks for."""
    worth: dict[MerchantId, int] = {}
    for line in priced.lines:
        worth[line.merchant_id] = worth.get(line.merchant_id, 0) + line.list_price.fen
    for merchant_id, fen in worth.items():
        minimum = unit.load(Merchant, merchant_id).min_order
        if fen < minimum.fen:
            raise MinimumNotReached(merchant_id=merchant_id, minimum_fen=minimum.fen, worth_fen=fen)

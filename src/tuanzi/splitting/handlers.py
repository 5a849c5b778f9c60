"""A closed group is split in the commit that closed it (B2, B6: accepted and shown at once)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi import orders
from tuanzi.base.unit import Unit
from tuanzi.events import GroupClosed, SplitPlanned
from tuanzi.groups import Group
from tuanzi.orders import Order
from tuanzi.pricing import Tier, load_rules, settle
from tuanzi.splitting.model import plan, planned


def on_group_closed(unit: Unit, event: GroupClosed, *, now: datetime) -> None:
    """Final prices by the tier reached, the difference back, and the plan; all of it or, with a bug, no closing."""
    group = unit.load(Group, event.group_id)
    reached = group.tier_reached()
    members = [unit.load(Order, order_id) for order_id in event.order_ids]
    assert reached is not None, f"group {group.id} closed below its smallest tier"
    tier = Tier(size=reached.size, off_percent=reached.off_percent, off=reached.off)
    carts = []
    for order in members:
        assert order.cart is not None, f"order {order.id} was split before"
        carts.append(replace(order.cart, tier=tier))
    # All are priced at the end by the rules that priced the first: an order keeps the version that priced it (B4).
    book = load_rules(unit, version=members[0].quote.rule_version)
    finals = settle(book, carts, [order.quote for order in members])
    rows = []
    returned_fen = 0
    for order, final in zip(members, finals, strict=True):
        subs = plan(order, final, now=now)
        orders.mark_split(unit, order, final=final, subs=subs, now=now)
        returned_fen += order.payable.fen - final.payable.fen
        rows += [planned(sub) for sub in subs]
    split = SplitPlanned(
        group_id=group.id,
        sub_orders=tuple(rows),
        paid_fen=sum([order.payable.fen for order in members]),
        returned_fen=returned_fen,
    )
    unit.emit(split)

"""Who gets what of one order: its final price divided over sub-orders and parties, to the fen (B5)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from tuanzi.base.ids import OrderId, SubOrderId
from tuanzi.base.money import Money
from tuanzi.money import SharedOrder
from tuanzi.pricing import allocate_matrix
from tuanzi.sharing.model.terms import PERSONS, WHOLE, Party, SharingTerms
from tuanzi.sharing.model.transfers import POOL, Transfer, account_of
from tuanzi.sharing.problems import PartsMisfit

OUTWARD: Final = (Party.MERCHANT, *PERSONS)
_COMMISSIONS: Final = (Party.PLATFORM, Party.LEADER, Party.AMBASSADOR, Party.PROVIDER)


def plan_transfers(
    order: SharedOrder, *, terms: SharingTerms, gid: str, leader_id: str, ambassador_id: str | None
) -> list[Transfer]:
    """Who gets what of one order: its final price to the fen, over all sub-orders and over all parties; none negative.

    Raises PartsMisfit when the sub-orders are not what the order costs.
    """
    _check_parts(order)
    parts = [(part.payable_fen - part.delivery_fen, part.delivery_fen, part.discount_fen) for part in order.parts]
    owners = {Party.RIDER: POOL, Party.LEADER: leader_id, Party.AMBASSADOR: ambassador_id or ""}
    order_id = OrderId(order.order_id)
    return [
        Transfer(
            gid=gid,
            order_id=order_id,
            line=line,
            sub_order_id=SubOrderId(order.parts[i].sub_order_id),
            party=party,
            account=account_of(party, owners.get(party, order.parts[i].merchant_id)),
            amount=amount,
            outward=outward,
        )
        for line, (i, party, amount, outward) in enumerate(_amounts(tuple(parts), terms, bool(ambassador_id)))
    ]


@lru_cache(maxsize=4096)
def _amounts(
    parts: tuple[tuple[int, int, int], ...], terms: SharingTerms, has_ambassador: bool
) -> tuple[tuple[int, Party, Money, Money], ...]:
    """What of which sub-order goes to which party, and how much of that outward; empty amounts left out.

    parts: of each sub-order the fen of its dishes, of its delivery and of its discount. Remembered, for at a meal the
    same dishes are ordered at the same prices again and again.
    """
    commissions = [party for party in _COMMISSIONS if party is not Party.AMBASSADOR or has_ambassador]
    of_goods = _goods_cells([goods for goods, _, _ in parts], [terms.rate_of(party) for party in commissions])
    of_delivery = _delivery_cells([delivery for _, delivery, _ in parts], terms)
    subsidies = _subsidies([discount for _, _, discount in parts], terms)
    planned: list[tuple[int, Party, int]] = []
    for i, (to_platform, to_leader, *to_ambassador, to_provider, to_merchant) in enumerate(of_goods):
        to_rider, more_to_platform, more_to_provider = of_delivery[i]
        cells = (  # in the order of Party
            (i, Party.MERCHANT, to_merchant),
            (i, Party.PLATFORM, to_platform + more_to_platform),
            (i, Party.RIDER, to_rider),
            (i, Party.LEADER, to_leader),
            (i, Party.AMBASSADOR, to_ambassador[0] if to_ambassador else 0),
            (i, Party.PROVIDER, to_provider + more_to_provider),
            (i, Party.SUBSIDY, subsidies[i]),
        )
        planned += [cell for cell in cells if cell[2]]
    payable_fen = sum([goods + delivery for goods, delivery, _ in parts])
    outward = _outward([(party, fen) for _, party, fen in planned], payable_fen=payable_fen, terms=terms)
    return tuple([(i, party, Money(fen), Money(out)) for (i, party, fen), out in zip(planned, outward, strict=True)])


def _check_parts(order: SharedOrder) -> None:
    for part in order.parts:
        is_whole = part.items_fen - part.discount_fen + part.delivery_fen == part.payable_fen
        if not is_whole or min(part.discount_fen, part.delivery_fen, part.payable_fen - part.delivery_fen) < 0:
            raise PartsMisfit(order_id=order.order_id, sub_order_id=part.sub_order_id)
    if sum([part.payable_fen for part in order.parts]) != order.payable_fen:
        raise PartsMisfit(order_id=order.order_id, payable_fen=order.payable_fen)


def _goods_cells(goods: Sequence[int], rates: Sequence[int]) -> list[list[int]]:
    """Sub-orders x (commissions in order, then the merchant): rows sum to `goods`, columns to the order's shares."""
    whole = sum(goods)
    if not whole:
        return [[0] * (len(rates) + 1) for _ in goods]
    columns = Money(whole).share([*rates, WHOLE - sum(rates)])
    if len(goods) == 1:
        return [[column.fen for column in columns]]
    weights = [[column.fen * row for column in columns] for row in goods]
    caps = [[Money(row)] * len(columns) for row in goods]
    cells = allocate_matrix(weights, row_sums=[Money(row) for row in goods], column_sums=columns, caps=caps)
    return [[cell.fen for cell in row] for row in cells]


def _delivery_cells(fees: Sequence[int], terms: SharingTerms) -> list[list[int]]:
    """Sub-orders x (rider, platform, provider): each fee by itself, for each may be brought by another rider."""
    weights = (terms.rider_rate, WHOLE - terms.rider_rate - terms.provider_rate, terms.provider_rate)
    return [[part.fen for part in Money(fee).share(weights)] for fee in fees]


def _subsidies(discounts: Sequence[int], terms: SharingTerms) -> list[int]:
    """What the platform adds to each sub-order: its rate of the order's discounts, rounded down as a whole."""
    whole = sum(discounts) * terms.subsidy_rate // WHOLE
    return [part.fen for part in Money(whole).share(discounts)] if whole else [0] * len(discounts)


def _outward(parts: Sequence[tuple[Party, int]], *, payable_fen: int, terms: SharingTerms) -> list[int]:
    """How much of each part may go through the payment company: persons within their cap, then all within theirs."""
    wanted = [fen if party in OUTWARD else 0 for party, fen in parts]
    persons = [fen if party in PERSONS else 0 for party, fen in parts]
    persons_fen = payable_fen * terms.persons_max // WHOLE
    if sum(persons) > persons_fen:
        allowed = Money(persons_fen).share(persons)
        wanted = [
            one.fen if party in PERSONS else fen for one, fen, (party, _) in zip(allowed, wanted, parts, strict=True)
        ]
    outward_fen = payable_fen * terms.outward_max // WHOLE
    if sum(wanted) > outward_fen:
        wanted = [one.fen for one in Money(outward_fen).share(wanted)]
    return wanted

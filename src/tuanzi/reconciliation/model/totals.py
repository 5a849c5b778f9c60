"""Differences of running balances with their entries, and of stock with the orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from tuanzi.base.money import Money
from tuanzi.money import Balance
from tuanzi.orders import DEAD, HOLDING, OrderRecord, SubOrder
from tuanzi.pricing import portions_of
from tuanzi.reconciliation.model.differences import Book, Difference, Kind, Mend, Side, difference_of
from tuanzi.stock import Portions


def of_balances(entries: Mapping[str, int], balances: Mapping[str, int]) -> list[Difference]:
    """Accounts whose running balance is not the sum of their entries."""
    off = {
        account: entries.get(account, 0) - balances.get(account, 0)
        for account in sorted({**entries, **balances})
        if entries.get(account, 0) != balances.get(account, 0)
    }
    # Several that are off by nothing together: a journal is missing, or one too many, and no balance is wrong.
    is_journal = len(off) > 1 and sum(off.values()) == 0
    found = [
        difference_of(
            Kind.ORDER_BOOK,
            f"balance:{account}",
            Side(book=Book.LEDGER, fen=entries.get(account, 0), says="the sum of its entries"),
            Side(book=Book.PAYMENTS, fen=balances.get(account), says="its running balance"),
            mend=Mend.NONE if is_journal else Mend.RESTORE_BALANCE,
            order_id="",
            fen=fen,
            rows={"balance": Balance(account=account, amount=Money(balances.get(account, 0))), "off": off},
        )
        for account, fen in off.items()
    ]
    return found


class PortionsWanted(Struct, frozen=True, kw_only=True, gc=False):
    """How many portions of a dish orders hold and have bought for a meal."""

    held: int
    sold: int

    def __add__(self, more: PortionsWanted) -> PortionsWanted:
        """Of other orders too."""
        return PortionsWanted(held=self.held + more.held, sold=self.sold + more.sold)


NOTHING_WANTED = PortionsWanted(held=0, sold=0)


def of_stock(
    wanted: Mapping[tuple[str, str], PortionsWanted], kept: Mapping[tuple[str, str], Portions]
) -> list[Difference]:
    """Dishes of meals whose portions are not what the orders say; keys are (dish, meal). Portions are no fen."""
    found = []
    for place in sorted({**wanted, **kept}):
        due, portions = wanted.get(place, NOTHING_WANTED), kept.get(place)
        said = (0, 0) if portions is None else (portions.held, portions.sold)
        if said == (due.held, due.sold):
            continue
        fits = portions is None or due.held + due.sold <= portions.total
        difference = difference_of(
            Kind.ORDER_BOOK,
            f"portions:{place[0]}/{place[1]}",
            Side(book=Book.ORDERS, fen=None, says=f"{due.held} held, {due.sold} sold"),
            Side(book=Book.STOCK, fen=None, says="no row" if portions is None else f"{said[0]} held, {said[1]} sold"),
            mend=Mend.RESTORE_PORTIONS if fits else Mend.NONE,
            order_id="",
            fen=0,
            rows={"orders": due, "portions": portions},
        )
        found.append(difference)
    return found


def wanted_of(orders: Sequence[tuple[OrderRecord, Sequence[SubOrder]]]) -> dict[tuple[str, str], PortionsWanted]:
    """What orders hold and have bought, by dish and meal."""
    held: Counter[tuple[str, str]] = Counter()
    sold: Counter[tuple[str, str]] = Counter()
    for order, subs in orders:
        if order.state in HOLDING:
            for dish_id, count in order.portions.items():
                held[dish_id, order.meal_id] += count
        for sub in subs:
            if sub.state not in DEAD:
                for dish_id, count in portions_of(sub.order_lines).items():
                    sold[dish_id, sub.meal_id] += count
    return {place: PortionsWanted(held=held[place], sold=sold[place]) for place in {**held, **sold}}

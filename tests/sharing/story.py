"""A split of two paid orders, its money database and a payment company that remembers everything, told in steps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.money.till import Till
from tests.sharing.split import ANN, BEN, CANCEL, CONFIRM, SPLIT
from tuanzi.events import AfterSaleAsked, OrderCompleted, ParcelDelivered, RefundDue
from tuanzi.money import Cashier, Fault, SandboxProvider, SharedOrder, TrySharing
from tuanzi.sharing import store
from tuanzi.sharing.model import Sharing, Transfer

Faulty = Callable[[str, str], Fault | None]
DAY = timedelta(hours=25)  # until everybody has his share


class Story:
    """What happens to the money of a split; `broken` says which of the next calls of an operation go wrong, and how."""

    def __init__(self, *, share_max: int = 10_000) -> None:
        self.broken: dict[str, list[Fault | None]] = {}
        self.calls: list[tuple[str, str]] = []
        self.sandbox = SandboxProvider(faults=self._fault, share_max=share_max)
        self.till = Till(self.sandbox)
        self.cashier = Cashier(self.sandbox)

    async def pay(self, *orders: SharedOrder) -> None:
        """The members pay."""
        for order in orders or (ANN, BEN):
            await self.cashier.pay(
                self.till,
                order_id=order.order_id,
                member_id=order.member_id,
                amount_fen=order.paid_fen,
                now=self.till.now,
            )

    async def do(self, *commands: Any) -> None:
        """Carry these out."""
        for command in commands:
            await self.till.submit(command)

    async def split(self, split: TrySharing = SPLIT) -> None:
        """Both members pay, and the split is confirmed."""
        await self.pay(*split.orders)
        await self.do(split, CONFIRM)

    async def cancel(self) -> None:
        """The split is cancelled."""
        await self.do(CANCEL)

    def deliver(self, *sub_order_ids: str, rider_id: str = "p_rider") -> None:
        """A rider brings sub-orders."""
        delivered = ParcelDelivered(
            parcel_id="x_1", bundle_id="b_1", rider_id=rider_id, building_id="dorm-1", sub_order_ids=sub_order_ids
        )
        self.till.hear(delivered, source="delivery")

    def complete(self, *order_ids: str) -> None:
        """Orders are completed."""
        for order_id in order_ids:
            self.till.hear(OrderCompleted(order_id=order_id, member_id="m"))

    def dispute(self, order_id: str) -> None:
        """Its member asks for after-sale."""
        self.till.hear(AfterSaleAsked(order_id=order_id, member_id="m"))

    def refund(self, refund_id: str, amount_fen: int, *, sub_order_id: str | None = None) -> None:
        """Core says that money of the order goes back; the refund's id begins with the order's."""
        due = RefundDue(
            refund_id=refund_id,
            order_id=refund_id.rpartition(".")[0],
            member_id="m",
            amount_fen=amount_fen,
            reason="after_sale",
            sub_order_id=sub_order_id,
        )
        self.till.hear(due)

    async def wait(self, span: timedelta = DAY) -> int:
        """Let time pass; how many errands failed."""
        return await self.till.pass_time(span)

    async def paid_out(self, *order_ids: str) -> None:
        """Split, brought, completed and shared."""
        await self.split()
        self.deliver("o_ann.1", "o_ben.1", "o_ben.2")
        self.complete(*order_ids or ("o_ann", "o_ben"))
        await self.wait()

    def transfers(self, order_id: str) -> dict[tuple[str, str], Transfer]:
        """An order's transfers by the sub-order's number and party."""
        rows = self.till.database.rows(
            "SELECT gid, order_id, transfers FROM order_transfers WHERE order_id = :id", {"id": order_id}
        )
        found = [each for row in rows for each in store.TRANSFERS.from_row(row).transfers]
        return {(each.sub_order_id.rpartition(".")[2], each.party.value): each for each in found}

    def sharing(self, order_id: str) -> Sharing:
        """An order's sharing."""
        (row,) = self.till.database.fetch(store.SHARINGS, [order_id])
        return store.SHARINGS.from_row(row)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows as they are kept."""
        return self.till.database.rows(sql)

    def _fault(self, operation: str, number: str) -> Fault | None:
        self.calls.append((operation, number))
        left = self.broken.get(operation)
        return left.pop(0) if left else None

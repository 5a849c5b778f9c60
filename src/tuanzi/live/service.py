"""Whose an order is, to tell people of events that name only orders and groups (A1); and whose stream is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from tuanzi.base.unit import Unit
from tuanzi.live.model import OrderOwner, stream_of_person
from tuanzi.live.store import ORDER_OWNERS, OWNER_OF, OWNERS_OF_GROUP, ForgottenStream
from tuanzi.machinery.database import Ask
from tuanzi.machinery.tables import Row
from tuanzi.people import ForgetPerson, Forgotten

V = TypeVar("V")
OWNERS_MAX = 100_000


class LookingDesk(Protocol):
    """A desk that answers many questions at once."""

    async def look(self, reading: Callable[[Ask], V]) -> V:
        """What `reading` makes of the answers to its questions, all of one committed state; it runs in a thread."""


class Owners:
    """Whose each order is, in memory as far as it was used lately, else from the database `notices`.

    About 400 bytes for each order, in each of two generations.
    """

    def __init__(self, desk: LookingDesk) -> None:
        self._desk = desk
        self._young: dict[str, OrderOwner] = {}
        self._old: dict[str, OrderOwner] = {}
        self._groups: dict[str, dict[str, None]] = {}  # the members' orders, of groups that are known in full

    def begin(self, group_id: str) -> None:
        """A group was opened: all that will be known of it is told from now on."""
        if len(self._groups) >= OWNERS_MAX:
            self._groups.clear()
        self._groups[group_id] = {}

    def keep(self, owner: OrderOwner) -> None:
        """Remember whose an order is, and whether it is still of its group."""
        before = self.find(owner.order_id)
        if before is not None and before.group_id in self._groups:
            self._groups[before.group_id].pop(owner.order_id, None)
        self._remember(owner)
        if owner.is_member and owner.group_id in self._groups:
            self._groups[owner.group_id][owner.order_id] = None

    def find(self, order_id: str) -> OrderOwner | None:
        """Whose an order is; None for one that was placed before anything was told."""
        owner = self._young.get(order_id)
        return self._old.get(order_id) if owner is None else owner

    def members_of(self, group_id: str) -> list[OrderOwner]:
        """The orders that are in a group now; `learn` must have seen an event of it."""
        found = [self.find(order_id) for order_id in self._groups.get(group_id, ())]
        return [owner for owner in found if owner is not None]

    async def learn(self, order_ids: Sequence[str], *, group_ids: Sequence[str]) -> None:
        """Read of these orders and groups what memory does not have, in one look."""
        orders = {order_id for order_id in order_ids if self.find(order_id) is None}
        groups = {group_id for group_id in group_ids if group_id not in self._groups}
        if not orders and not groups:
            return

        def read(ask: Ask) -> tuple[list[Row], dict[str, list[Row]]]:
            return (
                [row for order_id in sorted(orders) for row in ask(OWNER_OF, {"order_id": order_id})],
                {group_id: ask(OWNERS_OF_GROUP, {"group_id": group_id}) for group_id in sorted(groups)},
            )

        rows, by_group = await self._desk.look(read)
        for row in rows:
            self._remember(ORDER_OWNERS.from_row(row))
        for group_id, members in by_group.items():
            self.begin(group_id)
            for row in members:
                self.keep(ORDER_OWNERS.from_row(row))

    def _remember(self, owner: OrderOwner) -> None:
        if len(self._young) >= OWNERS_MAX and owner.order_id not in self._young:
            self._old, self._young = self._young, {}
        self._young[owner.order_id] = owner


def forget_stream(unit: Unit, command: ForgetPerson, *, now: datetime) -> Forgotten:
    """A person is erased: what was told to him goes with the next sweep, within a minute, and so does what still is.

    A repeat changes nothing.
    """
    stream = stream_of_person(command.person_id)
    if unit.find(ForgottenStream, stream) is None:
        unit.add(ForgottenStream(stream=stream, since=now))
    return Forgotten(person_id=command.person_id)

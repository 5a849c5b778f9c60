"""The desks of a campus, as those who use them find them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tuanzi.engines.post.desks import CarrierDesk
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.unhurried import Unhurried

# The desk at an address as a campus writes it (`Letter.address`), wherever it is.
FindDesk = Callable[[str], CarrierDesk | None]
V = TypeVar("V")


@dataclass(slots=True)
class CampusDesks:
    """What a request for one campus may reach."""

    core: WriterDesk
    money: WriterDesk
    delivery: WriterDesk
    notices: WriterDesk
    platform: WriterDesk


class CampusBooks:
    """The books of a campus, as its reconciliation finds them when it looks: in no hurry. find: the campus's desks."""

    def __init__(self, find: Callable[[], Mapping[str, WriterDesk]]) -> None:
        self._find = find

    @property
    def core(self) -> Unhurried:
        """The desk of orders and stock."""
        return Unhurried(self._find()["core"])

    @property
    def money(self) -> Unhurried:
        """The desk of the ledger."""
        return Unhurried(self._find()["money"])


async def surely(desk: WriterDesk, keep: Callable[[], Awaitable[V]]) -> V:
    """What `keep` gives; as long as nothing can be kept, such as on a full disk, it is tried again and again.

    Raises Unavailable when the desk is closed.
    """
    while True:
        try:
            return await keep()
        except Unavailable:
            if not desk.is_open:
                raise
            await asyncio.sleep(1.0)

"""The post: letters go straight to the desks, which carry out what is handed in wherever their writers are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tuanzi.machinery.post import Letter
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.writer import Outcome

# Our choice: longer than a writer's longest expected wait (2 s), much shorter than an errand's limit (30 s).
ANSWER_S_MAX = 5.0


class CarrierDesk(Protocol):
    """A desk that has a command of another database carried out."""

    def hand_in(self, command: Any) -> asyncio.Future[Outcome]:
        """Its outcome, a problem too, comes after the commit. Raises Unavailable when the desk is closed."""


class DeskPost:
    """Hands letters in at desks.

    find: the desk at an address, None where there is none. answer_s_max: what is not answered by then is given up,
    though it may still be done.
    """

    def __init__(self, find: Callable[[str], CarrierDesk | None], *, answer_s_max: float = ANSWER_S_MAX) -> None:
        self._find = find
        self._answer_s_max = answer_s_max

    async def send(self, letters: Sequence[Letter]) -> list[Any]:
        """As the port says."""
        handed = [self._hand_in(letter) for letter in letters]
        waiting = [one for one in handed if isinstance(one, asyncio.Future)]
        if waiting:
            await asyncio.wait(waiting, timeout=self._answer_s_max)
        return [_answer(one) for one in handed]

    def _hand_in(self, letter: Letter) -> asyncio.Future[Outcome] | Unavailable:
        desk = self._find(letter.address)
        if desk is None:
            return Unavailable(address=letter.address)
        try:
            return desk.hand_in(letter.command)
        except Unavailable as closed:
            return closed


def _answer(handed: asyncio.Future[Outcome] | Unavailable) -> Any:
    if isinstance(handed, Unavailable):
        return handed
    if not handed.done():
        return TimeoutError()
    error = handed.exception()
    if error is not None:
        return error
    outcome = handed.result()
    return outcome.answer if outcome.problem is None else outcome.problem

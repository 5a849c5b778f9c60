"""The post: how commands reach the writers of other databases, here or elsewhere (B3, B6, B7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct


class Letter(Struct, frozen=True, kw_only=True, gc=False):
    """A command and whose writer is to carry it out: "money" of this campus, or of another one, "shanghai.core"."""

    address: str
    command: Any


class Post(Protocol):
    """Carries commands to other databases, as one campus sees them.

    It may lose a letter or its answer, or carry it twice: then nobody knows what was done. So what is sent must be
    harmless twice, and whoever sends it sends it again until there is an answer.
    """

    async def send(self, letters: Sequence[Letter]) -> list[Any]:
        """Have each letter's command carried out, all at once.

        Returns, in the order of the letters and within a time limit: the command's answer, after the commit there; its
        Problem, which is an answer too; Unavailable, Busy or TimeoutError when there is none.
        """

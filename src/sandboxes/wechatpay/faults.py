"""What goes wrong on demand: how a call is treated, what becomes of money matters, and how callbacks are sent."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from random import Random
from typing import Any

import msgspec
from msgspec import Struct


class Kind(StrEnum):
    """Everything that may go wrong."""

    # with a call
    DELAY = "delay"  # answered `seconds` later
    LOST = "lost"  # nothing was done, the connection is cut
    ANSWER_LOST = "answer_lost"  # it was done, the connection is cut
    BROKEN_BEFORE = "broken_before"  # 500, nothing was done
    BROKEN_AFTER = "broken_after"  # 500, it was done
    TOO_OFTEN = "too_often"  # 429, nothing was done
    FORGED = "forged"  # done, the answer is signed by nobody
    PROBE = "probe"  # done, the answer carries WeChat's probe signature
    UNSIGNED = "unsigned"  # done, the answer has no signature at all
    REFUSE = "refuse"  # a business error `code`, nothing was done
    # with money matters
    SLOW = "slow"  # a refund, share or return takes `seconds` of the sandbox's time
    STUCK = "stuck"  # a share stays in PROCESSING until it is let go
    CLOSED = "closed"  # the receiver number `line` of a share is closed for `code`
    NO_BALANCE = "no_balance"  # a return fails: the receiver has nothing
    # with callbacks
    DUPLICATE = "duplicate"  # `copies` at once
    REORDERED = "reordered"  # kept back until another callback was sent, or for `seconds`
    LATE = "late"  # sent `seconds` later
    NEVER = "never"
    FORGED_TOO = "forged_too"  # a copy signed by nobody, about another amount, goes before the true one
    PROBE_TOO = "probe_too"  # a copy with the probe signature goes before the true one
    STALE_TOO = "stale_too"  # a copy as it was signed a day ago goes before the true one
    # with bills
    LINE_DROPPED = "line_dropped"  # the line of `number` is missing
    LINE_EDITED = "line_edited"  # the line of `number` says `fen` more
    LINE_ADDED = "line_added"  # a line of `number` with `fen` that nobody knows


OF_CALLBACKS = frozenset(
    {
        Kind.DUPLICATE,
        Kind.REORDERED,
        Kind.LATE,
        Kind.NEVER,
        Kind.FORGED_TOO,
        Kind.PROBE_TOO,
        Kind.STALE_TOO,
    }
)
OF_BILLS = frozenset({Kind.LINE_DROPPED, Kind.LINE_EDITED, Kind.LINE_ADDED})
OF_MATTERS = frozenset({Kind.SLOW, Kind.STUCK, Kind.CLOSED, Kind.NO_BALANCE})


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong.

    at: the endpoint ("prepay", "query", "close", "refund", "query_refund", "share", ...), the event type of a
    callback ("TRANSACTION.SUCCESS"), a bill ("tradebill"), or "*". times: how often; None is for ever.
    probability: of each time it could happen.
    """

    at: str
    kind: Kind
    times: int | None = 1
    probability: float = 1.0
    seconds: float = 1.0
    code: str = ""
    line: int = 0
    copies: int = 10
    number: str = ""
    fen: int = 0


class Faults:
    """The faults that are on; `hits` counts what happened, by place and kind."""

    def __init__(self, chance: Random, given: list[Fault]) -> None:
        self.hits: Counter[str] = Counter()
        self._chance = chance
        self._on: list[list[Any]] = [[fault, fault.times] for fault in given]

    def add(self, fault: Fault) -> None:
        """From now on this goes wrong too."""
        self._on.append([fault, fault.times])

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self._on.clear()

    def listed(self) -> list[Fault]:
        """What is still to go wrong."""
        return [msgspec.structs.replace(fault, times=left) for fault, left in self._on]

    def strike(self, at: str, among: frozenset[Kind] | None = None) -> Fault | None:
        """The first fault that strikes here and now; a call's own kinds when none are named."""
        for entry in list(self._on):
            fault, left = entry
            fits = fault.kind in among if among is not None else fault.kind not in OF_CALLBACKS | OF_BILLS | OF_MATTERS
            if not fits or fault.at not in (at, "*"):
                continue
            if fault.probability < 1.0 and self._chance.random() >= fault.probability:
                continue
            self.hits[f"{at}:{fault.kind.value}"] += 1
            if left is not None:
                entry[1] = left - 1
                if entry[1] <= 0:
                    self._on.remove(entry)
            return fault  # type: ignore[no-any-return]
        return None

    def standing(self, at: str, among: frozenset[Kind]) -> list[Fault]:
        """The faults of these kinds that are on here; asking does not use them up."""
        return [fault for fault, _ in self._on if fault.kind in among and fault.at in (at, "*")]

"""What people are told of what happened to them (A1, B9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tests.heart import Campus, run
from tests.live.office import Direct
from tests.live.test_repeats import SCHEMA
from tuanzi import live
from tuanzi.base.branch import BranchRefused
from tuanzi.delivery import TryDelivery
from tuanzi.machinery.push.ports import Drafts

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)


class Full(BranchRefused):
    """No room here."""

    code = "tests/no-room"


async def told(events: Sequence[Any]) -> list[tuple[str, dict[str, Any]]]:
    """The messages that are made of events: to which stream, and what they say."""
    teller, drafts = live.LiveTeller(Direct(SCHEMA)), Drafts()
    for number, event in enumerate(events, 1):
        if type(event) in teller.heard:
            await teller.prepare([event])
            teller.tell("core", number, event, drafts, now=NOON)
    return [(draft.stream, msgspec.json.decode(draft.data)) for draft in drafts.messages]


def test_who_paid_for_a_split_that_is_cancelled_is_told_why_and_that_his_money_comes_back() -> None:
    campus = Campus()
    campus.post.spoil = lambda letter: Full() if type(letter.command) is TryDelivery else None

    order_ids = [seated.order_id for seated in campus.group("m1", "m2", "m3")]

    messages = run(told(campus.events))
    for member, order_id in zip(("m1", "m2", "m3"), order_ids, strict=True):
        his = [said for stream, said in messages if stream == f"user:{member}"]
        *_, cancelled, due, failed = his
        assert (cancelled["kind"], cancelled["order_id"]) == ("order.changed", order_id)
        assert (cancelled["state"], cancelled["reason"]) == ("refunding", "split_cancelled")
        assert (due["kind"], due["order_id"], due["state"]) == ("refund.changed", order_id, "due")
        assert (due["amount_fen"], due["reason"]) == (2201, "split_cancelled")
        assert (failed["kind"], failed["order_id"]) == ("group.outcome", order_id)
        assert (failed["outcome"], failed["reason"]) == ("failed", "split_cancelled")


def test_a_merchant_is_told_of_his_part_only_when_the_split_is_done() -> None:
    campus = Campus()
    campus.post.spoil = lambda letter: Full() if type(letter.command) is TryDelivery else None
    campus.group("m1", "m2", "m3")

    of_cancelled = [said["kind"] for stream, said in run(told(campus.events)) if stream.startswith("board:")]
    campus.events.clear()
    campus.post.spoil = lambda letter: None
    campus.group("m1", "m2", "m3")
    of_confirmed = [said["kind"] for stream, said in run(told(campus.events)) if stream.startswith("board:")]

    assert of_cancelled == []
    assert of_confirmed == ["board.planned"]

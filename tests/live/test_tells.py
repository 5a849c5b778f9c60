"""What people are told of what happened to them (A1, B9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.heart import Campus, run
from tests.live.office import Direct
from tests.live.test_repeats import SCHEMA
from tuanzi import live
from tuanzi.base.branch import BranchRefused
from tuanzi.delivery import TryDelivery
from tuanzi.events import GroupOpened, OrderAdvanced, OrderCancelled, OrderPaid, OrderPlaced, TierReached
from tuanzi.machinery.push.ports import Batch, Drafts

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)


class Full(BranchRefused):
    """No room here."""

    code = "tests/no-room"


class Blind(Direct):
    """A desk that nobody may ask anything."""

    def __init__(self) -> None:
        super().__init__(SCHEMA)

    async def look(self, reading: Any) -> Any:
        """Not here."""
        raise AssertionError("asked for what is known")


async def told(events: Sequence[Any], *, forgets: bool = False) -> list[tuple[str, dict[str, Any]]]:
    """The messages that are made of events: to which stream, and what they say. forgets: who tells knows nothing but
    what is kept, as after a start."""
    desk = Direct(SCHEMA)
    teller, archive = live.LiveTeller(desk), live.StreamArchive(desk)
    messages: list[tuple[str, dict[str, Any]]] = []
    for event in events:
        if type(event) not in teller.heard:
            continue
        drafts = Drafts()
        await teller.prepare([event])
        teller.tell(event, drafts, now=NOON)
        messages += [(draft.stream, msgspec.json.decode(draft.data)) for draft in drafts.messages]
        await archive.keep(Batch(at=NOON, inserts=drafts.inserts, upserts=drafts.upserts))
        if forgets:
            teller = live.LiveTeller(desk)
    return messages


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


def outcomes_of(messages: Sequence[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    """Who was told of a group's outcome, and of which order."""
    return [(stream, said["order_id"]) for stream, said in messages if said["kind"] == "group.outcome"]


def opened(group_id: str) -> GroupOpened:
    """A group opens."""
    return GroupOpened(group_id=group_id, leader_id="li", campaign_id="trio", building_id="dorm-1", closes_at=NOON)


def placed(order_id: str, member_id: str, *, group_id: str = "g1") -> OrderPlaced:
    """Somebody takes a seat."""
    return OrderPlaced(order_id=order_id, group_id=group_id, member_id=member_id, payable_fen=900, pay_before=NOON)


def cancelled(order_id: str, member_id: str, *, group_id: str = "g1") -> OrderCancelled:
    """Somebody leaves."""
    return OrderCancelled(order_id=order_id, group_id=group_id, member_id=member_id, paid_fen=0, reason="left")


TIER = TierReached(group_id="g1", size=2)


@pytest.mark.parametrize("forgets", [False, True])
def test_who_left_a_group_is_not_told_of_the_tier_that_it_reached(forgets: bool) -> None:
    seated = [placed("o1", "li"), placed("o2", "wei"), placed("o3", "ann")]
    happened = [opened("g1"), *seated, cancelled("o2", "wei"), TIER]

    assert outcomes_of(run(told(happened, forgets=forgets))) == [("user:li", "o1"), ("user:ann", "o3")]


@pytest.mark.parametrize("forgets", [False, True])
def test_whose_late_money_found_a_seat_in_another_group_is_told_of_that_one(forgets: bool) -> None:
    moved = OrderPaid(order_id="o2", group_id="g2", member_id="wei", paid_fen=900)
    seated = [placed("o1", "li"), placed("o2", "wei")]
    happened = [opened("g1"), opened("g2"), *seated, cancelled("o2", "wei"), moved, TIER]
    of_second = [*happened[:-1], TierReached(group_id="g2", size=2)]

    assert outcomes_of(run(told(happened, forgets=forgets))) == [("user:li", "o1")]
    assert outcomes_of(run(told(of_second, forgets=forgets))) == [("user:wei", "o2")]


async def test_events_of_one_batch_ask_for_nothing_that_others_of_it_say_and_what_is_kept_is_the_last() -> None:
    desk = Direct(SCHEMA)
    drafts, teller = Drafts(), live.LiveTeller(Blind())
    happened = [
        opened("g1"),
        placed("o1", "li"),
        placed("o2", "wei"),
        OrderAdvanced(order_id="o1", member_id="li", before="paid", state="grouped"),
        cancelled("o2", "wei"),
    ]

    await teller.prepare(happened)
    for event in happened:
        teller.tell(event, drafts, now=NOON)
    await live.StreamArchive(desk).keep(Batch(at=NOON, upserts=drafts.upserts))

    advanced = msgspec.json.decode(drafts.messages[2].data)
    assert (advanced["state"], advanced["group_id"]) == ("grouped", "g1")
    assert [len(rows) for _, rows in drafts.upserts] == [3]
    kept = desk.database.rows("SELECT order_id, is_member FROM order_owners ORDER BY order_id")
    assert kept == [("o1", 1), ("o2", 0)]

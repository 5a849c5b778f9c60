"""The follower: what is left of another database's log, whatever was handed out, passed over or taken back."""

from __future__ import annotations

from typing import Any

from tuanzi.events import OrderAdvanced, OrderCompleted
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.follower import Follower

HEARD = OrderAdvanced(order_id="o1", member_id="p1", before="paid", state="split")
UNHEARD = OrderCompleted(order_id="o1", member_id="p1")


def test_what_is_handed_out_or_passed_over_is_not_left_until_the_follower_starts_over() -> None:
    follower = Follower("core", heard=[OrderAdvanced], codec=Codec(commands=(), events=()), position=0)
    log: list[tuple[int, Any]] = [(1, HEARD), (2, HEARD), (3, UNHEARD)]

    follower.offer(log)
    at_first = follower.left
    follower.take(1)
    after_one = follower.left
    follower.take(2)
    after_all = follower.left
    follower.kept(1)
    follower.start_over(1)

    assert (at_first, after_one, after_all) == (3, 2, 0)
    assert follower.left == 2
    assert follower.lag == 2

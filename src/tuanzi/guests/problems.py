"""What guests are refused."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class GuestsNotTaken(Problem):
    """This group takes no guests of your campus."""

    code = "guests/guests-not-taken"
    status = 409
    title_zh = "该团不接受您所在校区的同学跨校参团"


class HomeAway(Problem):
    """The group's campus cannot be reached right now; no seat was taken, nothing is to be paid."""

    code = "guests/home-away"
    status = 503
    title_zh = "对方校区暂时无法连接，未占用名额，也无需付款"


class SeatGone(Problem):
    """The seat that was asked for is not held any more."""

    code = "guests/seat-gone"
    status = 409
    title_zh = "名额已释放"

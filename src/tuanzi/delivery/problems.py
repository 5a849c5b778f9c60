"""What delivery refuses."""

from __future__ import annotations

from tuanzi.base.branch import BranchRefused
from tuanzi.base.problem import Problem


class NotPromised(BranchRefused):
    """The riders of this meal cannot bring any more."""

    code = "delivery/not-promised"
    status = 409
    title_zh = "本餐段配送运力已满，无法承诺送达"


class NotReady(Problem):
    """Not everything in the bundle is ready yet."""

    code = "delivery/not-ready"
    status = 409
    title_zh = "还有餐品未出餐，请稍候取餐"


class NotPickedUp(Problem):
    """The parcel was not picked up yet."""

    code = "delivery/not-picked-up"
    status = 409
    title_zh = "尚未取餐，无法送达"


class StillCarrying(Problem):
    """A rider who carries food brings it first."""

    code = "delivery/still-carrying"
    status = 409
    title_zh = "手上还有未送达的餐品，请先送达"


class ShiftTooLong(Problem):
    """A shift ends in the future, and within 16 hours."""

    code = "delivery/shift-too-long"
    status = 422
    title_zh = "班次结束时间应晚于现在且不超过 16 小时"


class RidersEnough(Problem):
    """More riders on shift than can be planned with."""

    code = "delivery/riders-enough"
    status = 409
    title_zh = "在岗骑手已达上限"

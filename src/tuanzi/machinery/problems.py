"""What the machinery itself refuses, whatever the business."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class KeyReused(Problem):
    """This Idempotency-Key was already used for another request."""

    code = "machinery/key-reused"
    status = 422
    title_zh = "这个 Idempotency-Key 已用于另一个请求"


class Unavailable(Problem):
    """The request could not be kept right now; nothing was changed, try again."""

    code = "machinery/unavailable"
    status = 503
    title_zh = "服务暂时不可用，请稍后再试"


class Crashed(Problem):
    """The request failed because of a fault of ours; nothing was changed."""

    code = "machinery/crashed"
    status = 500
    title_zh = "系统内部错误，未做任何更改"


class NotParked(Problem):
    """This event is not laid aside here; it was heard, now or before."""

    code = "machinery/not-parked"
    status = 404
    title_zh = "该事件未被搁置，或已处理"


class TooSlow(Problem):
    """The request took too long to decide and was given up; nothing was changed."""

    code = "machinery/too-slow"
    status = 503
    title_zh = "处理超时，未做任何更改"

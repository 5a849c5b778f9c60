"""What the reconciliation refuses."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class DifferenceEnded(Problem):
    """This difference is repaired or settled already."""

    code = "reconciliation/difference-ended"
    status = 409
    title_zh = "该差异已处理完毕"


class DayNotOver(Problem):
    """The bills of a day can be compared after 10:00 of the next one in Shanghai."""

    code = "reconciliation/day-not-over"
    status = 409
    title_zh = "该日账单须在次日 10 点后核对"


class BillsGone(Problem):
    """Payment companies keep the bills of a day for three months."""

    code = "reconciliation/bills-gone"
    status = 422
    title_zh = "支付机构仅保留最近三个月的账单"

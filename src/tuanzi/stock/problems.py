"""What stock refuses."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class StockShort(Problem):
    """Not enough portions of a dish are left for this meal."""

    code = "stock/stock-short"
    status = 409
    title_zh = "份数不足"


class TotalTooSmall(Problem):
    """More portions are held or sold already than the new total."""

    code = "stock/total-too-small"
    status = 409
    title_zh = "总份数少于已售和已占用的份数"

"""What live refuses over HTTP; refusals inside a connection are `Fault` and `Close` of the protocol."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class CampusUnnamed(Problem):
    """Say of which campus you want to hear: you belong to none."""

    code = "live/campus-unnamed"
    status = 422
    title_zh = "请指定校区"

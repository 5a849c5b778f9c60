"""What is read for live: streams from the database, whose an order is, who may hear what (A4, A5).

`archive`: the streams themselves. `escalations`: what nobody acknowledged. `gatekeeper`: who may hear what. `pages`:
what is shown when somebody asks. `desks`: those that are asked.
"""

from __future__ import annotations

from tuanzi.live.queries.archive import StreamArchive, find_log_position, rename_history
from tuanzi.live.queries.escalations import Escalations
from tuanzi.live.queries.gatekeeper import Gatekeeper
from tuanzi.live.queries.pages import MessagePage, group_picture, message_page

__all__ = [
    "Escalations",
    "Gatekeeper",
    "MessagePage",
    "StreamArchive",
    "find_log_position",
    "group_picture",
    "message_page",
    "rename_history",
]

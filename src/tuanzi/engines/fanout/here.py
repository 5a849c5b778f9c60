"""The fan-out of one process: every gateway of a campus is right here."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tuanzi.machinery.push.ports import Kept, Node

log = logging.getLogger("tuanzi.fanout")


class Here:
    """Calls the gateways of this process; one that fails touches no other."""

    def __init__(self) -> None:
        self._nodes: dict[str, list[Node]] = {}

    def publish(self, campus_id: str, batch: Sequence[Kept]) -> None:
        """Tell every gateway of a campus what was committed."""
        for node in self._nodes.get(campus_id, ()):
            try:
                node.deliver(batch)
            except Exception:
                log.exception("fanout.node_failed", extra={"campus": campus_id})

    def change(self, campus_id: str, channels: Sequence[str]) -> None:
        """Tell every gateway of a campus that pictures have changed."""
        for node in self._nodes.get(campus_id, ()):
            for channel in channels:
                node.change(channel)

    def catch_up(self, campus_id: str) -> None:
        """Have every gateway of a campus look for what it did not hear."""
        for node in self._nodes.get(campus_id, ()):
            node.catch_up()

    def join(self, campus_id: str, node: Node) -> None:
        """Be told from now on."""
        self._nodes.setdefault(campus_id, []).append(node)

"""A merchant's server that takes callbacks: keeps them as they came and answers as it is told."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Taken:
    """One callback: its path, headers by lower-case names, and body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def at(self) -> datetime:
        """When it says it was signed."""
        return datetime.fromtimestamp(int(self.headers["wechatpay-timestamp"]), tz=UTC)


class Receiver:
    """Listens on a free port from the start until `close`; `answers` are used up one by one, then all is 204.

    goes_on: while it is not set, what is taken is not answered.
    """

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.answers: deque[int] = deque()
        self.goes_on = threading.Event()
        self.goes_on.set()
        self._more = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                taken = Taken(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                with receiver._more:
                    receiver.taken.append(taken)
                    status = receiver.answers.popleft() if receiver.answers else 204
                    receiver._more.notify_all()
                receiver.goes_on.wait()
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/{{campus}}/notify"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, n: int, *, seconds: float = 60) -> list[Taken]:
        """The first `n` callbacks once they are there."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.taken) >= n, timeout=seconds), len(self.taken)
            return list(self.taken[:n])

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

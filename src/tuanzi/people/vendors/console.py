"""The sandbox sender: shows codes where the demo runs, and sends nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable


def write_out(line: str) -> None:
    """Show a line on standard output at once."""
    sys.stdout.write(line)
    sys.stdout.flush()


# Our choice: more than anybody signs in with at once on a demo.
REMEMBERED_MAX = 100


class ConsoleSender:
    """Writes every code to the console. For demo mode only: whoever sees the console can sign in as anybody."""

    def __init__(self, write: Callable[[str], object] = write_out) -> None:
        """write: takes one line with its end."""
        self._write = write
        self._last: dict[str, str] = {}

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        """Show the code; the same line again for a repeat."""
        self._last.pop(phone, None)
        self._last[phone] = code
        if len(self._last) > REMEMBERED_MAX:
            del self._last[next(iter(self._last))]
        self._write(f"[demo] code for {phone[:3]}****{phone[7:]}: {code}\n")

    def last_code(self, phone: str) -> str | None:
        """The newest code for a phone, for a demo page that plays the text message; None when there is none."""
        return self._last.get(phone)

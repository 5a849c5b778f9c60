"""The sandbox sender: shows codes where the demo runs, and sends nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable


def write_out(line: str) -> None:
    """Show a line on standard output at once."""
    sys.stdout.write(line)
    sys.stdout.flush()


class ConsoleSender:
    """Writes every code to the console. For demo mode only: whoever sees the console can sign in as anybody."""

    def __init__(self, write: Callable[[str], object] = write_out) -> None:
        """write: takes one line with its end."""
        self._write = write

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        """Show the code; the same line again for a repeat."""
        self._write(f"[demo] code for {phone[:3]}****{phone[7:]}: {code}\n")

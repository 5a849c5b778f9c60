"""What stands where no company that sends messages is configured: it says so, and sends nothing."""

from __future__ import annotations


class NoCodeSender(Exception):
    """No company that sends codes is configured; outside of the demo nobody can sign in by code."""


class AbsentSender:
    """Refuses every code, so that none is shown to whoever reads the console; it is tried again until there is one."""

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        """Raises NoCodeSender."""
        raise NoCodeSender(challenge_id)

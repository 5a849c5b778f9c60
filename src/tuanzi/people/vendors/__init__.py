"""Who carries a code to a phone: the port, Aliyun SMS behind it, and the sandbox that shows it on the console."""

from __future__ import annotations

from typing import Protocol

from tuanzi.people.vendors.absent import AbsentSender
from tuanzi.people.vendors.aliyun import AliyunSender, SmsAccount, SmsNotAccepted
from tuanzi.people.vendors.console import ConsoleSender

__all__ = ["AbsentSender", "AliyunSender", "CodeSender", "ConsoleSender", "SmsAccount", "SmsNotAccepted"]


class CodeSender(Protocol):
    """A company that sends text messages."""

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        """Have `code` sent to the 11 digits of `phone`; returns when the company has accepted it.

        challenge_id: the same for a repeat, so that a company that can may send it once. Whoever implements this keeps
        neither phone nor code and logs neither. Raises anything when it was not accepted: it is tried again.
        """

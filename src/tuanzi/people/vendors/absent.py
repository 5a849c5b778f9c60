"""What stands where no company is configured: it says so, and does nothing."""

from __future__ import annotations

from tuanzi.people.problems import WechatAbsent


class NoCodeSender(Exception):
    """No company that sends codes is configured; outside of the demo nobody can sign in by code."""


class AbsentSender:
    """Refuses every code, so that none is shown to whoever reads the console; it is tried again until there is one."""

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        """Raises NoCodeSender."""
        raise NoCodeSender(challenge_id)


class AbsentLogin:
    """No app of WeChat's: people sign in by phone and code."""

    appid = ""

    async def openid_of(self, code: str) -> str:
        """Raises WechatAbsent."""
        raise WechatAbsent()

"""Who carries a code to a phone, and who tells whose WeChat signs in: the ports, and what is behind them."""

from __future__ import annotations

from typing import Protocol

from tuanzi.people.vendors.absent import AbsentLogin, AbsentSender
from tuanzi.people.vendors.aliyun import AliyunSender, SmsAccount, SmsNotAccepted
from tuanzi.people.vendors.console import ConsoleSender
from tuanzi.people.vendors.wechat import LOGIN_GATEWAY, MiniProgram, PlayedPhones, WechatApp

__all__ = [
    "LOGIN_GATEWAY",
    "AbsentLogin",
    "AbsentSender",
    "AliyunSender",
    "CodeSender",
    "ConsoleSender",
    "MiniProgram",
    "PlayedPhones",
    "SmsAccount",
    "SmsNotAccepted",
    "WechatApp",
    "WechatLogin",
]


class CodeSender(Protocol):
    """A company that sends text messages."""

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        """Have `code` sent to the 11 digits of `phone`; returns when the company has accepted it.

        challenge_id: the same for a repeat, so that a company that can may send it once. Whoever implements this keeps
        neither phone nor code and logs neither. Raises anything when it was not accepted: it is tried again.
        """


class WechatLogin(Protocol):
    """WeChat, as it tells an app who of its users signs in."""

    @property
    def appid(self) -> str:
        """The app, whose openids these are; another app knows the same person by another openid."""

    async def openid_of(self, code: str) -> str:
        """The openid of the person whose phone got this code from `wx.login`; uses the code up, whatever comes.

        Answers within the adapter's own time limit. Whoever implements this keeps and logs neither code, openid nor
        session key. Raises WechatCodeRefused, WechatUserRefused, WechatTooOften and WechatUnreachable; WechatAbsent
        where no app is set up.
        """

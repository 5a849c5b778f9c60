"""Signing in with WeChat: a mini program's code for an openid, by GET /sns/jscode2session (J3).

Source: developers.weixin.qq.com, "code2Session". A code is good for five minutes and once. It is never sent twice, for
a request that got no answer may have used it: the phone is asked for another. The session key that comes with an openid
opens what a phone encrypts; nothing here needs it, so it is not even read.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from tuanzi.base.ids import PersonId
from tuanzi.people.problems import WechatCodeRefused, WechatTooOften, WechatUnreachable, WechatUserRefused

if TYPE_CHECKING:
    import httpx

LOGIN_GATEWAY = "https://api.weixin.qq.com"
CONNECT_S_MAX = 2
READ_S_MAX = 5
# Our choice: WeChat counts by the minute, and is seldom busy for longer than some seconds.
LIMITED_S, BUSY_S = 60, 3

_LIMITED = 45011
_BLOCKED = 40226
# Invalid or too old, used before, none.
_CODE_REFUSED = frozenset({40029, 40163, 41008})

log = logging.getLogger("tuanzi.people")


class WechatApp(Struct, frozen=True, kw_only=True, gc=False):
    """Which mini program we are. gateway: where WeChat is."""

    appid: str
    secret: str
    gateway: str = LOGIN_GATEWAY

    def __repr__(self) -> str:
        """Without its secret."""
        return f"WechatApp(appid={self.appid!r}, gateway={self.gateway!r})"


class _Session(Struct, frozen=True, gc=False):
    openid: str = ""
    errcode: int = 0


class _Login(Struct, frozen=True, gc=False):
    code: str


class MiniProgram:
    """Asks WeChat whose code it is."""

    def __init__(self, app: WechatApp, *, read_s_max: float = READ_S_MAX) -> None:
        self._app = app
        self._client = _client_of(app, read_s_max=read_s_max)

    @property
    def appid(self) -> str:
        """See the port."""
        return self._app.appid

    async def openid_of(self, code: str) -> str:
        """See the port; asks once."""
        import httpx

        query = {
            "appid": self._app.appid,
            "secret": self._app.secret,
            "js_code": code,
            "grant_type": "authorization_code",
        }
        try:
            response = await self._client.get("/sns/jscode2session", params=query)
        except httpx.HTTPError as error:
            log.warning("people.wechat_silent", extra={"reason": type(error).__name__})
            # From nowhere: what it says holds the address, and so the secret and the code.
            raise WechatUnreachable(retry_after_s=BUSY_S) from None
        try:
            session = msgspec.json.decode(response.content, type=_Session)
        except msgspec.DecodeError:
            session = _Session()
        if session.openid and not session.errcode:
            return session.openid
        if session.errcode in _CODE_REFUSED:
            raise WechatCodeRefused()
        if session.errcode == _BLOCKED:
            raise WechatUserRefused()
        if session.errcode == _LIMITED:
            raise WechatTooOften(retry_after_s=LIMITED_S)
        # -1: WeChat is busy. Another number is about ourselves, such as a wrong secret, and somebody must look.
        log.error("people.wechat_refused", extra={"status": response.status_code, "errcode": session.errcode})
        raise WechatUnreachable(retry_after_s=BUSY_S)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


class PlayedPhones:
    """The phones of a demo at WeChat's sandbox, each with a WeChat of its own: they give codes as `wx.login` does."""

    def __init__(self, app: WechatApp) -> None:
        self._client = _client_of(app)

    async def code_of(self, person_id: PersonId) -> str:
        """A fresh code of this person's phone. Raises WechatUnreachable."""
        import httpx

        try:
            response = await self._client.post(f"/phones/{person_id}/login")
            return msgspec.json.decode(response.content, type=_Login).code
        except (httpx.HTTPError, msgspec.DecodeError):
            raise WechatUnreachable(retry_after_s=BUSY_S) from None

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


def _client_of(app: WechatApp, *, read_s_max: float = READ_S_MAX) -> httpx.AsyncClient:
    import httpx

    # It logs every address it asks, and ours hold the secret and codes.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    timeout = httpx.Timeout(read_s_max, connect=CONNECT_S_MAX)
    return httpx.AsyncClient(base_url=app.gateway, timeout=timeout, trust_env=False)

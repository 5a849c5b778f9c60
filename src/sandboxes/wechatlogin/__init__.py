"""WeChat's sign-in on this machine: `wx.login` of its phones, code2Session of its servers, and faults on demand (J3).

Follows developers.weixin.qq.com ("code2Session", "wx.login", error codes). Where they are silent, what is done here
says "our choice". Whoever has a phone has an account; its openid is another one in each app.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

CODE_LIFE = timedelta(minutes=5)
# The papers' limit for one user.
_CALLS_MAX, _CALLS_WITHIN = 100, timedelta(minutes=1)
# Our choice: as many as a demo's phones get within a code's life.
_CODES_MAX = 20_000
PHONES, SESSIONS = "/phones/", "/sns/"
_SAID = {
    -1: "system error",
    40002: "invalid grant_type",
    40013: "invalid appid",
    40029: "invalid code",
    40125: "invalid appsecret",
    40163: "code been used",
    40226: "code blocked",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    43001: "require GET method",
    45011: "api minute-quota reach limit, must slower, retry next minute",
}
# What a fault answers, by its name.
_TOLD = {"busy": -1, "limited": 45011, "blocked": 40226, "expired": 40029}


@dataclass
class Issued:
    """A code that a phone was given."""

    user: str
    at: datetime
    is_used: bool = False


@dataclass
class Company:
    """The company's side: one mini program, and the codes of its users.

    faults: what happens to the next requests of servers, one each: "busy", "limited", "blocked", "expired", "slow",
    "lost_request", "lost_answer", "503", "nonsense".
    slow_s: how long an answer that is slow takes. session_keys: the last that was given out for each user. asked: how
    often servers asked.
    """

    appid: str
    secret: str
    clock: Callable[[], datetime]
    slow_s: float = 30.0
    faults: deque[str] = field(default_factory=deque)
    codes: dict[str, Issued] = field(default_factory=dict)
    calls: dict[str, deque[datetime]] = field(default_factory=dict)
    session_keys: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    def openid_of(self, user: str) -> str:
        """A user's openid in this app: 28 characters, the same for good."""
        digest = hashlib.sha256(f"{self.appid} {user}".encode()).digest()
        return f"o{base64.urlsafe_b64encode(digest).decode()[:27]}"

    def login(self, user: str) -> str:
        """`wx.login` on the phone of a user: a fresh code."""
        while len(self.codes) >= _CODES_MAX:
            del self.codes[next(iter(self.codes))]
        code = f"0{secrets.token_urlsafe(23)}"
        self.codes[code] = Issued(user=user, at=self.clock())
        return code

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request (ASGI): of a phone, or of a mini program's servers."""
        assert scope["type"] == "http"
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass
        path = unquote(scope["path"])
        if path.startswith(PHONES) and path.endswith("/login") and scope["method"] == "POST":
            user = path.removeprefix(PHONES).removesuffix("/login")
            await _answer(send, 200, {"code": self.login(user), "errMsg": "login:ok"})
            return
        if path != "/sns/jscode2session":
            await _answer(send, 404, {"errcode": 404, "errmsg": "not found"})
            return
        self.asked += 1
        fault = self.faults.popleft() if self.faults else ""
        if fault == "slow":
            await asyncio.sleep(self.slow_s)
        if fault == "503":
            await _answer(send, 503, {})
            return
        told: dict[str, Any] = {}
        if fault != "lost_request":
            query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
            told = self._refusal(_TOLD[fault]) if fault in _TOLD else self.session_of(query, method=scope["method"])
        if fault in ("lost_request", "lost_answer"):
            # An answer that breaks off: the server closes the connection.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99")]})
            raise ConnectionResetError(fault)
        await _answer(send, 200, "<html>502 Bad Gateway</html>" if fault == "nonsense" else told)

    def session_of(self, query: dict[str, str], *, method: str = "GET") -> dict[str, Any]:
        """What code2Session answers."""
        errcode = self._checked(method, query)
        if errcode:
            return self._refusal(errcode)
        issued, now = self.codes.get(query["js_code"]), self.clock()
        if issued is None or now - issued.at >= CODE_LIFE:
            return self._refusal(40029)
        if issued.is_used:
            return self._refusal(40163)
        calls = self.calls.setdefault(issued.user, deque())
        while calls and now - calls[0] >= _CALLS_WITHIN:
            calls.popleft()
        if len(calls) >= _CALLS_MAX:
            return self._refusal(45011)
        calls.append(now)
        issued.is_used = True
        session_key = self.session_keys[issued.user] = base64.b64encode(secrets.token_bytes(16)).decode()
        return {"session_key": session_key, "openid": self.openid_of(issued.user)}

    def _checked(self, method: str, query: dict[str, str]) -> int:
        """What is wrong with a request of a server; 0 when nothing is."""
        if method != "GET":
            return 43001
        for name, errcode in (("appid", 41002), ("secret", 41004), ("js_code", 41008)):
            if not query.get(name):
                return errcode
        if query["appid"] != self.appid:
            return 40013
        if not secrets.compare_digest(query["secret"].encode(), self.secret.encode()):
            return 40125
        return 0 if query.get("grant_type") == "authorization_code" else 40002

    def _refusal(self, errcode: int) -> dict[str, Any]:
        rid = f"{secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
        return {"errcode": errcode, "errmsg": f"{_SAID[errcode]}, rid: {rid}"}


async def _answer(send: Any, status: int, told: Any) -> None:
    """Answer as WeChat does: JSON that says that it is text."""
    body = told.encode() if isinstance(told, str) else json.dumps(told).encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})

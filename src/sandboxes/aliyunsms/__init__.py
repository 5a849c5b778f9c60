"""Aliyun SMS on this machine: SendSms of 2017-05-25 with real signatures, limits per phone, and faults on demand (J3).

Follows help.aliyun.com ("SendSms", "V3 request body and signature", error codes). Where they are silent, what is done
here says "our choice". What it was given to send can be read, as a phone shows it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

_AUTHORIZATION = re.compile(
    r"ACS3-HMAC-SHA256 Credential=(?P<key>[^,]+),SignedHeaders=(?P<names>[a-z0-9;-]+),"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_PHONE = re.compile(r"(\+?86|0086)?1[3-9][0-9]{9}")
_MUST_BE_SIGNED = {
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
}
_OFF_MAX = timedelta(minutes=15)
# The papers' limits for codes to one phone under one signature.
_LIMITS = ((timedelta(minutes=1), 1), (timedelta(hours=1), 5), (timedelta(days=1), 10))
# Our choice: as many as a test looks at.
_KEPT_MAX = 1_000


@dataclass
class Message:
    """A text message that was accepted."""

    phone: str
    sign_name: str
    template_code: str
    params: dict[str, str]
    out_id: str
    at: datetime


@dataclass
class Company:
    """The company's side: one customer, his signature and template, and what he had sent. faults: what happens to the
    next requests, one each: "lost_request", "lost_answer", "503", "throttled"."""

    access_key_id: str
    access_key_secret: str
    sign_name: str
    template_code: str
    clock: Callable[[], datetime]
    sent: deque[Message] = field(default_factory=lambda: deque(maxlen=_KEPT_MAX))
    nonces: set[str] = field(default_factory=set)
    faults: deque[str] = field(default_factory=deque)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request (ASGI)."""
        assert scope["type"] == "http"
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        fault = self.faults.popleft() if self.faults else ""
        status, told = (503, {"Code": "ServiceUnavailable"}) if fault == "503" else (0, {})
        if fault == "throttled":
            status, told = 400, {"Code": "Throttling.User"}
        if fault != "lost_request" and not status:
            status, told = self._answer(scope, body)
        if fault in ("lost_request", "lost_answer"):
            # An answer that breaks off: the server closes the connection.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99")]})
            raise ConnectionResetError(fault)
        content = json.dumps({"RequestId": f"R{len(self.nonces)}", "Message": told["Code"], **told}).encode()
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": content})

    def _answer(self, scope: Any, body: bytes) -> tuple[int, dict[str, str]]:
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True, strict_parsing=True))
        problem = self._check_signature(scope, headers, query, body)
        if problem:
            return 400, {"Code": problem}
        if (headers["x-acs-action"], headers["x-acs-version"]) != ("SendSms", "2017-05-25"):
            return 404, {"Code": "InvalidAction.NotFound"}
        return 200, self._send(query)

    def _check_signature(self, scope: Any, headers: dict[str, str], query: dict[str, str], body: bytes) -> str:
        match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if match is None:
            return "IncompleteSignature"
        names = match["names"].split(";")
        if names != sorted(names) or not set(names) >= _MUST_BE_SIGNED or not set(names) <= set(headers):
            return "IncompleteSignature"
        if match["key"] != self.access_key_id:
            return "InvalidAccessKeyId.NotFound"
        payload = hashlib.sha256(body).hexdigest()
        if payload != headers["x-acs-content-sha256"]:
            return "SignatureDoesNotMatch"
        pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
        lines = [scope["method"], scope["path"], "&".join("=".join(pair) for pair in pairs)]
        lines += [f"{name}:{headers[name].strip()}" for name in names] + ["", ";".join(names), payload]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        right = hmac.new(self.access_key_secret.encode(), f"ACS3-HMAC-SHA256\n{digest}".encode(), hashlib.sha256)
        if not hmac.compare_digest(right.hexdigest(), match["signature"]):
            return "SignatureDoesNotMatch"
        at = datetime.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(at - self.clock()) > _OFF_MAX:
            return "InvalidTimeStamp.Expired"
        if headers["x-acs-signature-nonce"] in self.nonces:
            return "SignatureNonceUsed"
        self.nonces.add(headers["x-acs-signature-nonce"])
        return ""

    def _send(self, query: dict[str, str]) -> dict[str, str]:
        phone, now = query.get("PhoneNumbers", ""), self.clock()
        if not _PHONE.fullmatch(phone):
            return {"Code": "isv.MOBILE_NUMBER_ILLEGAL"}
        if query.get("SignName") != self.sign_name:
            return {"Code": "isv.SMS_SIGNATURE_ILLEGAL"}
        if query.get("TemplateCode") != self.template_code:
            return {"Code": "isv.SMS_TEMPLATE_ILLEGAL"}
        try:
            params = json.loads(query.get("TemplateParam", ""))
        except json.JSONDecodeError:
            return {"Code": "isv.INVALID_JSON_PARAM"}
        if not isinstance(params, dict) or set(params) != {"code"}:
            return {"Code": "isv.TEMPLATE_MISSING_PARAMETERS"}
        own = [message.at for message in self.sent if message.phone == phone]
        if any(sum(now - at < within for at in own) >= times for within, times in _LIMITS):
            return {"Code": "isv.BUSINESS_LIMIT_CONTROL"}
        self.sent.append(Message(phone, query["SignName"], query["TemplateCode"], params, query.get("OutId", ""), now))
        return {"Code": "OK", "BizId": f"{len(self.sent)}^0"}

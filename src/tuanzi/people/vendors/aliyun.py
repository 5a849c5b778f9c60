"""Codes by text message through Aliyun SMS, action SendSms of 2017-05-25, signed with ACS3-HMAC-SHA256 (J3).

Sources: help.aliyun.com, "SendSms" and "V3 request body and signature", whose worked example is a test of ours. A
request that got no answer may have been carried out: it is made again, and the phone then has the same code twice.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    import httpx

GATEWAY = "https://dysmsapi.aliyuncs.com"
VERSION = "2017-05-25"
CONNECT_S_MAX = 2
READ_S_MAX = 5
ACCEPTED = "OK"
_ALGORITHM = "ACS3-HMAC-SHA256"
_OF_NOTHING = hashlib.sha256(b"").hexdigest()


class SmsAccount(Struct, frozen=True, kw_only=True, gc=False):
    """Who we are at Aliyun SMS. template_code: of a template with one variable, `code`. gateway: where it is."""

    access_key_id: str
    access_key_secret: str
    sign_name: str
    template_code: str
    gateway: str = GATEWAY

    def __repr__(self) -> str:
        """Without its secret."""
        return f"SmsAccount(access_key_id={self.access_key_id!r}, gateway={self.gateway!r})"


class SmsNotAccepted(Exception):
    """Aliyun did not accept a message, or nobody knows whether it did; says its code, and neither phone nor text."""


class _Answer(Struct, frozen=True, gc=False):
    Code: str = ""


class AliyunSender:
    """Sends codes with a template of ours; asks for one message at a time, as the papers advise for codes."""

    def __init__(self, account: SmsAccount, *, clock: Callable[[], datetime], nonce: Callable[[], str]) -> None:
        """clock: the time; Aliyun refuses what is signed 15 minutes off. nonce: another text at each call."""
        import httpx

        self._account = account
        self._clock = clock
        self._nonce = nonce
        # It logs every address it asks, and ours hold phones and codes.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        timeout = httpx.Timeout(READ_S_MAX, connect=CONNECT_S_MAX)
        self._client: httpx.AsyncClient = httpx.AsyncClient(base_url=account.gateway, timeout=timeout, trust_env=False)

    async def send(self, *, phone: str, code: str, challenge_id: str) -> None:
        """Have the code sent. Raises SmsNotAccepted, which is tried again."""
        import httpx

        query = {
            "OutId": challenge_id,
            "PhoneNumbers": phone,
            "SignName": self._account.sign_name,
            "TemplateCode": self._account.template_code,
            "TemplateParam": msgspec.json.encode({"code": code}).decode(),
        }
        headers = {
            "host": self._client.base_url.netloc.decode(),
            "x-acs-action": "SendSms",
            "x-acs-content-sha256": _OF_NOTHING,
            "x-acs-date": self._clock().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": self._nonce(),
            "x-acs-version": VERSION,
        }
        headers["Authorization"] = authorization(self._account, query=query, headers=headers)
        try:
            response = await self._client.post(f"/?{canonical_query(query)}", headers=headers)
        except httpx.HTTPError as error:
            # From nowhere: what it says may hold the address, and so the phone and the code.
            raise SmsNotAccepted(type(error).__name__) from None
        try:
            said = msgspec.json.decode(response.content, type=_Answer).Code
        except msgspec.DecodeError:
            said = ""
        if response.status_code != httpx.codes.OK or said != ACCEPTED:
            raise SmsNotAccepted(f"{response.status_code} {said[:60]}")

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


def canonical_query(query: Mapping[str, str]) -> str:
    """A query as it is signed and sent: ascending, every sign but letters, digits and -_.~ as %XX."""
    return "&".join(f"{quote(name, safe='~')}={quote(query[name], safe='~')}" for name in sorted(query))


def authorization(account: SmsAccount, *, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The header that proves who asks, for a POST to / without a body. headers: all that are signed, in lower case."""
    names = sorted(headers)
    signed = ";".join(names)
    request = "\n".join(
        (
            "POST",
            "/",
            canonical_query(query),
            *(f"{name}:{headers[name].strip()}" for name in names),
            "",
            signed,
            headers["x-acs-content-sha256"],
        )
    )
    text = f"{_ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(account.access_key_secret.encode(), text.encode(), "sha256").hex()
    return f"{_ALGORITHM} Credential={account.access_key_id},SignedHeaders={signed},Signature={signature}"

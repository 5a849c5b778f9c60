"""Asking WeChat Pay, and what it said and signed.

Only what WeChat signed counts: no answer, a 5xx, a 429, a 401 (ours was not accepted) or a wrong signature is
ProviderUnreachable, which is never a refusal and never makes a new number.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from tuanzi.money.problems import NoticeRefused, ProviderUnreachable

if TYPE_CHECKING:
    import httpx
    from wechatpayv3.async_ import AsyncWeChatPay

log = logging.getLogger("tuanzi.money.wechatpay")

GATEWAY = "https://api.mch.weixin.qq.com"
CONNECT_S_MAX = 2
READ_S_MAX = 5
# Of one call of the port, which may ask twice; HTTP gives up after 10 s (machinery, Limits).
CALL_S_MAX = 8
# Our choice: a third of the hundred connections that its client opens, so that who is about to pay finds one; at 0.1 s
# an answer it is 320 a second, where WeChat takes 150 refunds. What more there is waits, an errand for 30 s.
ERRANDS_AT_ONCE = 32
BUSY = "处理中"  # INVALID_REQUEST that goes away: "订单处理中，请稍后重试", "分账单处理中"


class Merchant(Struct, frozen=True, kw_only=True, gc=False):
    """Who we are at WeChat Pay, and where it is.

    notify_url: with `{campus}` where the campus goes. public_key, public_key_id: of WeChat Pay; both empty when its
    certificates are used, as older merchants do. pay_page: in front of a sandbox, where its pay pages are.
    """

    mchid: str
    appid: str
    merchant_serial: str
    merchant_key: str
    api_key: str
    notify_url: str
    gateway: str = GATEWAY
    public_key: str = ""
    public_key_id: str = ""
    pay_page: str = ""

    def __repr__(self) -> str:
        """Without its secrets."""
        return f"Merchant(mchid={self.mchid!r}, gateway={self.gateway!r})"


class Answer(Struct, frozen=True, gc=False):
    """What WeChat said, and signed. text: its own words when it refused."""

    status: int
    json: Any
    code: str = ""
    text: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300


# The client gives back no headers; the last answer of a task is noted here.
_ANSWERS: ContextVar[list[httpx.Response] | None] = ContextVar("answers", default=None)
_IS_WAITED_FOR: ContextVar[bool] = ContextVar("is_waited_for", default=False)


@contextmanager
def waited_for() -> Iterator[None]:
    """A person waits for what is asked meanwhile: it does not queue with errands."""
    token = _IS_WAITED_FOR.set(True)
    try:
        yield
    finally:
        _IS_WAITED_FOR.reset(token)


class SignedLine:
    """Requests to WeChat Pay over one client, whose connections open with the first; what is not signed is no answer.

    Errands go a few at a time: after an outage hundreds are due at once, and all of them together would have each other
    wait for a connection until nobody knows what was done, and who is about to pay with them.

    unknown: how many results were unknown, by why.
    """

    def __init__(self, merchant: Merchant) -> None:
        self.unknown: Counter[str] = Counter()
        # Half of a start's imports (0.4 s): only who pays through it waits for them.
        from wechatpayv3.async_ import AsyncWeChatPay, WeChatPayType

        self._client = AsyncWeChatPay(
            WeChatPayType.MINIPROG,
            mchid=merchant.mchid,
            private_key=merchant.merchant_key,
            cert_serial_no=merchant.merchant_serial,
            appid=merchant.appid,
            apiv3_key=merchant.api_key,
            notify_url=merchant.notify_url,
            timeout=(CONNECT_S_MAX, READ_S_MAX),
            public_key=merchant.public_key or None,
            public_key_id=merchant.public_key_id or None,
        )
        self._client._core._gate_way = merchant.gateway
        self._opening = asyncio.Lock()
        self._errands = asyncio.Semaphore(ERRANDS_AT_ONCE)

    async def ask(self, call: Callable[[AsyncWeChatPay], Awaitable[Any]], *, number: str) -> Answer:
        """One request. Raises ProviderUnreachable unless a signed answer came that says what was done."""
        status, text = await self._sent(call, number=number)
        if status in (401, 429) or status >= 500:
            raise self.unreachable(number, why=f"status_{status}")
        try:
            told: Any = msgspec.json.decode(text) if text else None
            if 200 <= status < 300:
                return Answer(status, told)
            return Answer(status, None, code=str(told["code"]), text=str(told.get("message", "")))
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
            raise self.unreachable(number, why="unreadable") from error

    async def fetch(self, url: str, *, number: str) -> bytes:
        """A file; the bill that names it is signed and has its hash."""
        status, content = await self._sent(lambda client: client.download_bill(url), number=number)
        if status != 200 or not isinstance(content, bytes):
            raise self.unreachable(number, why=f"status_{status}")
        return content

    async def read(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """What a callback says, once it is known to be WeChat's. Raises NoticeRefused: "signature", "content"."""
        client = await self._opened()
        try:
            text = body.decode("utf-8")
            signed = await client._core._verify_signature_async(headers, text)
        except Exception as error:  # the client raises bare Exceptions, for an unknown kind of signature for example
            raise NoticeRefused(reason="signature") from error
        if not signed:
            raise NoticeRefused(reason="signature")
        try:
            told: dict[str, Any] | None = client.callback(headers, text)
        except Exception as error:
            raise NoticeRefused(reason="content") from error
        if not told:
            raise NoticeRefused(reason="content")
        return told

    def sign(self, said: list[str]) -> str:
        """The merchant's signature."""
        return str(self._client.sign(said))

    def raise_if_busy(self, answer: Answer, number: str) -> None:
        """Raise ProviderUnreachable when a refusal is none: it is not done yet, and may be asked for again."""
        if answer.code == "INVALID_REQUEST" and BUSY in answer.text:
            raise self.unreachable(number, why="busy")

    def unreachable(self, number: str, *, why: str) -> ProviderUnreachable:
        """That nobody knows what was done, counted and logged."""
        self.unknown[why] += 1
        log.warning("wechatpay.unknown", extra={"number": number, "why": why})
        return ProviderUnreachable(number=number)

    async def close(self) -> None:
        """Hang up; the next call opens anew."""
        core = self._client._core
        if core._client is not None:
            client, core._client = core._client, None
            await client.aclose()

    async def _sent(self, call: Callable[[AsyncWeChatPay], Awaitable[Any]], *, number: str) -> tuple[int, Any]:
        seen: list[httpx.Response] = []
        token = _ANSWERS.set(seen)
        try:
            async with nullcontext() if _IS_WAITED_FOR.get() else self._errands, asyncio.timeout(CALL_S_MAX):
                client = await self._opened()
                status, text = await call(client)
                # The client checks what went well; a refusal must be WeChat's own too.
                if 400 <= status < 500 and not await client._core._verify_signature_async(
                    seen[-1].headers, seen[-1].text
                ):
                    raise self.unreachable(number, why="refusal_unsigned")
        except ProviderUnreachable:
            raise
        except Exception as error:  # it lets httpx's errors through and raises bare ones for a wrong signature
            raise self.unreachable(number, why=type(error).__name__) from error
        finally:
            _ANSWERS.reset(token)
        return status, text

    async def _opened(self) -> AsyncWeChatPay:
        """The client with its connections, and certificates where they are used."""
        if self._client._core._client is None:
            async with self._opening:
                if self._client._core._client is None:
                    await self._open_connections()
        return self._client

    async def _open_connections(self) -> None:
        core = self._client._core
        try:
            await self._client.__aenter__()
        except BaseException:
            await self.close()  # half open: without certificates nothing can be checked
            raise
        core._client.event_hooks = {"response": [_note]}


async def _note(response: httpx.Response) -> None:
    seen = _ANSWERS.get()
    if seen is not None:
        await response.aread()
        seen.append(response)

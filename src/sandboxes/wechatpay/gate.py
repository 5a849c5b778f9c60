"""The /v3 API: every request's signature is checked, every answer is signed, and faults strike in between."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandboxes.wechatpay import bills, receivers, refunds, returns, shares, trades
from sandboxes.wechatpay.callbacks import Sender, settle_due
from sandboxes.wechatpay.company import Company
from sandboxes.wechatpay.faults import Fault, Kind
from sandboxes.wechatpay.keys import SCHEME
from sandboxes.wechatpay.refusals import Refusal, broken, too_often, unsigned, wrong

log = logging.getLogger("sandboxes.wechatpay")

T = TypeVar("T")
CLOCK_S_MAX = 300
BODY_BYTES_MAX = 64 * 1024
_FIELD = re.compile(r'([a-z_]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, its signature checked. serial: which of the platform's keys the answer is signed with."""

    place: tuple[str, ...]
    query: dict[str, str]
    body: bytes
    serial: str

    def read(self, kind: type[T]) -> T:
        """The body. Raises Refusal."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise wrong(f"请求参数不符合要求：{error}") from None

    def need(self, name: str) -> str:
        """A value of the query. Raises Refusal."""
        value = self.query.get(name, "")
        if not value:
            raise wrong(f"缺少参数 {name}")
        return value


Handle = Callable[[Company, Ask], Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and path of the API; `{}` stands for a value. name: what faults and rates call it."""

    name: str
    method: str
    path: re.Pattern[str]
    handle: Handle
    status: int = 200


def _endpoint(name: str, method: str, path: str, handle: Handle, status: int = 200) -> Endpoint:
    return Endpoint(name, method, re.compile("/v3/" + path.replace("{}", "([^/]+)")), handle, status)


def _close(company: Company, ask: Ask) -> None:
    trades.close(company, ask.place[0], ask.read(trades.Mchid))


def _bill(kind: str) -> Handle:
    def handle(company: Company, ask: Ask) -> Any:
        return bills.apply(company, kind, bill_date=ask.need("bill_date"), tar_type=ask.query.get("tar_type", ""))

    return handle


ENDPOINTS = (
    _endpoint("certificates", "GET", "certificates", lambda c, a: c.keys.certificates(now=c.clock.machine())),
    _endpoint(
        "prepay",
        "POST",
        "pay/transactions/jsapi",
        lambda c, a: trades.prepay(c, a.read(trades.Order), serial=a.serial),
    ),
    _endpoint(
        "query",
        "GET",
        "pay/transactions/out-trade-no/{}",
        lambda c, a: trades.query(c, out_trade_no=a.place[0], mchid=a.need("mchid")),
    ),
    _endpoint(
        "query",
        "GET",
        "pay/transactions/id/{}",
        lambda c, a: trades.query(c, transaction_id=a.place[0], mchid=a.need("mchid")),
    ),
    _endpoint("close", "POST", "pay/transactions/out-trade-no/{}/close", _close, 204),
    _endpoint("refund", "POST", "refund/domestic/refunds", lambda c, a: refunds.refund(c, a.read(refunds.RefundBody))),
    _endpoint("query_refund", "GET", "refund/domestic/refunds/{}", lambda c, a: refunds.query(c, a.place[0])),
    _endpoint(
        "add_receiver",
        "POST",
        "profitsharing/receivers/add",
        lambda c, a: receivers.add_receiver(c, a.read(receivers.ReceiverBody), serial=a.serial),
    ),
    _endpoint(
        "delete_receiver",
        "POST",
        "profitsharing/receivers/delete",
        lambda c, a: receivers.delete_receiver(c, a.read(receivers.ReceiverBody)),
    ),
    _endpoint(
        "unfreeze",
        "POST",
        "profitsharing/orders/unfreeze",
        lambda c, a: shares.unfreeze(c, a.read(shares.UnfreezeBody)),
    ),
    _endpoint(
        "share",
        "POST",
        "profitsharing/orders",
        lambda c, a: shares.share(c, a.read(shares.ShareBody), serial=a.serial),
    ),
    _endpoint(
        "query_share",
        "GET",
        "profitsharing/orders/{}",
        lambda c, a: shares.query(c, a.place[0], transaction_id=a.need("transaction_id")),
    ),
    _endpoint("unsplit", "GET", "profitsharing/transactions/{}/amounts", lambda c, a: shares.amounts(c, a.place[0])),
    _endpoint("max_ratio", "GET", "profitsharing/merchant-configs/{}", lambda c, a: shares.max_ratio(c, a.place[0])),
    _endpoint(
        "return",
        "POST",
        "profitsharing/return-orders",
        lambda c, a: returns.give_back(c, a.read(returns.ReturnBody)),
    ),
    _endpoint(
        "query_return",
        "GET",
        "profitsharing/return-orders/{}",
        lambda c, a: returns.query_return(c, a.place[0], out_order_no=a.need("out_order_no")),
    ),
    _endpoint("tradebill", "GET", "bill/tradebill", _bill("tradebill")),
    _endpoint("fundflowbill", "GET", "bill/fundflowbill", _bill("fundflowbill")),
    _endpoint("sharingbill", "GET", "profitsharing/bills", _bill("sharingbill")),
    _endpoint("download", "GET", "billdownload/file", lambda c, a: bills.download(c, a.need("token"))),
)
NAMES = tuple(dict.fromkeys(endpoint.name for endpoint in ENDPOINTS))


class Gate:
    """An ASGI application for everything under /v3."""

    def __init__(self, company: Company, sender: Sender) -> None:
        self._company = company
        self._sender = sender
        self._spent: dict[tuple[str, int], int] = defaultdict(int)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        path = unquote(scope["path"])
        found = [each for each in ENDPOINTS if each.method == request.method and each.path.fullmatch(path)]
        if not found:
            await self._signed(404, {"code": "NOT_FOUND", "message": "接口不存在"}, None)(scope, receive, send)
            return
        endpoint = found[0]
        match = endpoint.path.fullmatch(path)
        assert match is not None
        body = await request.body()
        fault = self._company.faults.strike(endpoint.name)
        if fault is not None and fault.kind is Kind.LOST:
            await _cut(scope, receive)
            return
        serial = self._serial(request)
        try:
            response = self._answer(endpoint, match.groups(), request, body, serial, fault)
        finally:
            self._sender.wake()
        if fault is not None:
            if fault.kind is Kind.DELAY:
                await asyncio.sleep(fault.seconds)
            if fault.kind is Kind.ANSWER_LOST:
                await _cut(scope, receive)
                return
        await response(scope, receive, send)

    def _answer(
        self,
        endpoint: Endpoint,
        place: tuple[str, ...],
        request: Request,
        body: bytes,
        serial: str,
        fault: Fault | None,
    ) -> Response:
        try:
            self._check(request, body)
            _before(fault)
            self._ration(endpoint.name)
            settle_due(self._company)
            told = endpoint.handle(self._company, Ask(place, dict(request.query_params), body, serial))
            if fault is not None and fault.kind is Kind.BROKEN_AFTER:
                raise broken()
        except Refusal as refused:
            refusal = broken() if fault is not None and fault.kind is Kind.BROKEN_AFTER else refused
            told = {"code": refusal.code, "message": refusal.message}
            return self._signed(refusal.status, told, fault, serial=serial)
        return self._signed(endpoint.status, told, fault, serial=serial)

    def _signed(self, status: int, told: Any, fault: Fault | None, *, serial: str = "") -> Response:
        kind = None if fault is None else fault.kind
        is_file = isinstance(told, bytes)
        body = told if is_file else b"" if told is None else json.dumps(told, ensure_ascii=False).encode()
        headers = {} if told is None else {"Content-Type": "text/plain" if is_file else "application/json"}
        if kind is not Kind.UNSIGNED and not is_file:
            signed = self._company.keys.sign(
                body.decode(),
                serial=serial or self._company.keys.platform_serial,
                at=self._company.clock.machine(),
                forged=kind is Kind.FORGED,
                probe=kind is Kind.PROBE,
            )
            headers |= signed.headers()
        return Response(body, status, headers)

    def _serial(self, request: Request) -> str:
        """The key that the merchant wants to be answered with: the public key's when he names it."""
        named = request.headers.get("wechatpay-serial", "")
        return named if self._company.keys.knows(named) else self._company.keys.platform_serial

    def _check(self, request: Request, body: bytes) -> None:
        """Raises Refusal unless the merchant signed the request, just now."""
        company = self._company
        if len(body) > BODY_BYTES_MAX:
            raise wrong("请求体过大")
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        given = dict(_FIELD.findall(rest))
        if scheme != SCHEME or {"mchid", "nonce_str", "signature", "timestamp", "serial_no"} - set(given):
            raise unsigned("Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》")
        if given["mchid"] != company.keys.mchid or given["serial_no"].upper() != company.keys.merchant_serial:
            raise unsigned("商户证书序列号有误，请使用签名私钥匹配的证书序列号")
        if not given["timestamp"].isascii() or not given["timestamp"].isdigit() or len(given["timestamp"]) > 12:
            raise unsigned("Http头Authorization中的timestamp不正确")
        at = datetime.fromtimestamp(int(given["timestamp"]), tz=UTC)
        if abs((company.clock.machine() - at).total_seconds()) > CLOCK_S_MAX:
            raise unsigned("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
        raw: bytes = request.scope["raw_path"].partition(b"?")[0]
        target = raw.decode("ascii")
        if request.scope["query_string"]:
            target += "?" + request.scope["query_string"].decode("ascii")
        text = f"{request.method}\n{target}\n{given['timestamp']}\n{given['nonce_str']}\n"
        try:
            text += body.decode() + "\n"
        except UnicodeDecodeError:
            raise wrong("请求体不是 UTF-8") from None
        if not company.keys.is_merchants(text, given["signature"]):
            raise unsigned("签名错误，请检查后再试")

    def _ration(self, name: str) -> None:
        """Raises Refusal when this second has had all its requests."""
        most = self._company.terms.rates.get(name)
        if most is None:
            return
        second = int(self._company.clock.machine().timestamp())
        if (name, second) not in self._spent:
            self._spent.clear()
        self._spent[name, second] += 1
        if self._spent[name, second] > most:
            raise too_often()


def _before(fault: Fault | None) -> None:
    """Raises the Refusal of a fault that strikes before anything was done."""
    match None if fault is None else fault.kind:
        case Kind.BROKEN_BEFORE:
            raise broken()
        case Kind.TOO_OFTEN:
            raise too_often()
        case Kind.REFUSE:
            code = fault.code if fault is not None else ""
            raise Refusal(403, code or "NO_AUTH", "商户暂无此业务权限")
        case _:
            return


async def _cut(scope: Scope, receive: Receive) -> None:
    """Break the connection without an answer."""
    scope["cut"]()
    while (await receive())["type"] != "http.disconnect":
        pass

"""C1: the public `wechatpayv3` client, unmodified but for its gateway address, works against the sandbox everywhere."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from wechatpayv3 import WeChatPay as SyncClient
from wechatpayv3 import WeChatPayType as SyncType
from wechatpayv3.async_ import AsyncWeChatPay
from wechatpayv3.async_ import WeChatPayType as AsyncType

from tests.money.company import CompanyProcess
from tests.money.company import company as company_process

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
DAY = "2026-11-23"
NUMBER = "p_conformance"
COOK = "1900000109"
TERMS = {"refund_s": 5, "share_s": 5, "return_s": 5, "share_wait_s": 30, "share_max": 3000}
SHAPES = ("sync-key", "sync-certificates", "async-key", "async-certificates")
# Where the sandbox's limits are counted, one shape of the client is enough.
ONE_SHAPE = pytest.mark.parametrize("client", ["async-key"], indirect=True)
CUT = (httpx.TransportError, requests.exceptions.ConnectionError)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompanyProcess]:
    """A sandbox process whose refunds, shares and returns take their time."""
    with company_process(tmp_path_factory.mktemp("wechatpay"), **TERMS) as process:
        yield process


class Client:
    """One of the client's four shapes: sync or async, by the public key or by certificates."""

    def __init__(self, company: CompanyProcess, folder: Path, shape: str) -> None:
        self.is_sync = shape.startswith("sync")
        merchant = company.merchant(with_public_key=shape.endswith("key"))
        self.mchid, self.appid = merchant.mchid, merchant.appid
        (folder / "certificates").mkdir()
        certificate = company.folder / "platform_certificate.pem"
        # The sync client wants a certificate before its gateway can be changed; the async one fetches its own.
        (folder / "certificates" / "platform.pem").write_text(certificate.read_text())
        words: dict[str, Any] = {
            "wechatpay_type": (SyncType if self.is_sync else AsyncType).MINIPROG,
            "mchid": merchant.mchid,
            "private_key": merchant.merchant_key,
            "cert_serial_no": merchant.merchant_serial,
            "appid": merchant.appid,
            "apiv3_key": merchant.api_key,
            "notify_url": "http://127.0.0.1:9/notify",
            "timeout": (2, 5),
            "public_key": merchant.public_key or None,
            "public_key_id": merchant.public_key_id or None,
        }
        if self.is_sync:
            self.client = SyncClient(**words, cert_dir=str(folder / "certificates"))
        else:
            self.client = AsyncWeChatPay(**words)
        self.client._core._gate_way = company.address

    async def __aenter__(self) -> Client:
        """Open connections, fetch certificates."""
        if not self.is_sync:
            await self.client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Hang up."""
        if not self.is_sync:
            await self.client.__aexit__(*error)

    async def __call__(self, name: str, /, *words: Any, **named: Any) -> tuple[int, Any]:
        """Status and JSON of a call; the body as it is when it is no JSON."""
        method = getattr(self.client, name)
        if self.is_sync:
            status, text = await asyncio.to_thread(method, *words, **named)
        else:
            status, text = await method(*words, **named)
        try:
            return status, json.loads(text) if text else None
        except ValueError:
            return status, text

    async def pay(self, number: str = NUMBER, fen: int = 1200, **named: Any) -> tuple[int, Any]:
        """Open an order whose money can be shared."""
        words = {"payer": {"openid": "o_member"}, "attach": "a b", "settle_info": {"profit_sharing": True}} | named
        return await self("pay", "团子", number, {"total": fen, "currency": "CNY"}, **words)

    async def give_back(self, number: str, fen: int, *, of: str = NUMBER) -> tuple[int, Any]:
        """Ask for a refund of an order of 12 yuan."""
        amount = {"refund": fen, "total": 1200, "currency": "CNY"}
        return await self("refund", number, amount, out_trade_no=of, reason="迟到")


@pytest.fixture(params=SHAPES)
async def client(company: CompanyProcess, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """The client, and a sandbox that knows of nothing; it is noon there and stays noon."""
    company.forget()
    company.set_clock(NOON)
    async with Client(company, tmp_path, request.param) as made:
        yield made


async def paid(client: Client, company: CompanyProcess, number: str = NUMBER) -> str:
    """The transaction_id of an order that was opened and paid a minute ago."""
    assert (await client.pay(number))[0] == 200
    transaction = str(company.pay(number).json()["transaction_id"])
    company.forward(timedelta(minutes=1))
    return transaction


def part(account: str, fen: int, *, kind: str = "MERCHANT_ID") -> dict[str, Any]:
    """One receiver of a share."""
    return {"type": kind, "account": account, "amount": fen, "description": "分给你"}


async def befriend(client: Client) -> None:
    """Let the cook be given shares."""
    status, told = await client("profitsharing_add_receiver", "MERCHANT_ID", COOK, "PARTNER", name="团子餐饮有限公司")
    assert (status, told["account"]) == (200, COOK), told


async def shared(client: Client, company: CompanyProcess) -> str:
    """The transaction_id of an order of which the cook has 300 fen; the rest is the merchant's."""
    transaction = await paid(client, company)
    await befriend(client)
    assert (await client("profitsharing_order", transaction, "s_1", [part(COOK, 300)], True))[0] == 200
    company.forward(timedelta(seconds=5))
    return transaction


class TestEveryEndpoint:
    """What each endpoint answers to each shape of the client."""

    async def test_certificates_are_served_sealed(self, client: Client) -> None:
        core = client.client._core
        if client.is_sync:
            core._certificates.clear()
            await asyncio.to_thread(core._update_certificates)
        else:
            await core._update_certificates()

        assert len(core._certificates) == 1

    async def test_an_order_is_opened_queried_and_closed(self, client: Client) -> None:
        status, opened = await client.pay()
        waiting = await client("query", out_trade_no=NUMBER)
        closed = await client("close", NUMBER)
        after = await client("query", out_trade_no=NUMBER)
        again = await client("close", NUMBER)
        anew = await client.pay()

        assert (status, opened["prepay_id"][:2]) == (200, "wx")
        assert (waiting[0], waiting[1]["trade_state"], waiting[1]["amount"]["total"]) == (200, "NOTPAY", 1200)
        assert closed == (204, None)
        assert after[1]["trade_state"] == "CLOSED"
        assert [again[1]["code"], anew[1]["code"]] == ["ORDER_CLOSED", "ORDER_CLOSED"]

    async def test_a_paid_order_is_found_by_both_its_numbers(self, client: Client, company: CompanyProcess) -> None:
        transaction = await paid(client, company)

        by_number = await client("query", out_trade_no=NUMBER)
        by_transaction = await client("query", transaction_id=transaction)
        close = await client("close", NUMBER)

        assert by_number == by_transaction
        assert by_number[1] == {
            "appid": client.appid,
            "mchid": client.mchid,
            "out_trade_no": NUMBER,
            "transaction_id": transaction,
            "trade_type": "JSAPI",
            "trade_state": "SUCCESS",
            "trade_state_desc": "支付成功",
            "bank_type": "OTHERS",
            "attach": "a b",
            "success_time": "2026-11-23T12:00:00+08:00",
            "payer": {"openid": "o_member"},
            "promotion_detail": [],
            "amount": {"total": 1200, "payer_total": 1200, "currency": "CNY", "payer_currency": "CNY"},
        }
        assert close == (400, {"code": "ORDERPAID", "message": "该订单已支付"})

    async def test_opening_again_is_the_same_order_and_other_terms_are_refused(
        self, client: Client, company: CompanyProcess
    ) -> None:
        first = await client.pay()
        again = await client.pay()
        other = await client.pay(fen=1)
        company.forward(timedelta(hours=2))
        later = await client.pay()

        assert first == again
        assert (other[0], other[1]["code"]) == (403, "OUT_TRADE_NO_USED")
        assert later[0] == 200
        assert later != first

    @ONE_SHAPE
    @pytest.mark.parametrize(
        ("named", "code"),
        [
            ({"number": "short"}, "PARAM_ERROR"),
            ({"fen": 0}, "PARAM_ERROR"),
            ({"attach": "团" * 43}, "PARAM_ERROR"),
            ({"notify_url": "http://x/?campus=1"}, "PARAM_ERROR"),
            ({"appid": "wx0"}, "APPID_MCHID_NOT_MATCH"),
            ({"time_expire": "2026-11-23T11:00:00+08:00"}, "PARAM_ERROR"),
        ],
    )
    async def test_an_order_that_cannot_be_meant_is_refused(
        self, client: Client, company: CompanyProcess, named: dict[str, Any], code: str
    ) -> None:
        status, told = await client.pay(**named)

        assert (status, told["code"]) == (400, code)
        assert company.totals()["paid_count"] == 0

    @ONE_SHAPE
    async def test_an_order_closes_at_its_own_time(self, client: Client, company: CompanyProcess) -> None:
        await client.pay(time_expire="2026-11-23T12:30:00+08:00")
        company.forward(timedelta(minutes=30))

        late = company.pay(NUMBER)

        assert (late.status_code, late.json()["code"]) == (400, "ORDER_CLOSED")
        assert (await client("query", out_trade_no=NUMBER))[1]["trade_state"] == "CLOSED"

    async def test_a_refund_is_on_its_way_and_then_arrives_once(self, client: Client, company: CompanyProcess) -> None:
        await paid(client, company)

        first = await client.give_back("r_1", 500)
        again = await client.give_back("r_1", 500)
        other = await client.give_back("r_1", 400)
        company.forward(timedelta(seconds=5))
        arrived = await client("query_refund", "r_1")
        above = await client.give_back("r_2", 701)
        unknown = await client("query_refund", "r_2")

        assert (first[0], first[1]["status"], first[1]["amount"]["refund"]) == (200, "PROCESSING", 500)
        assert first == again
        assert (other[0], other[1]["code"]) == (400, "INVALID_REQUEST")
        assert (arrived[1]["status"], arrived[1]["success_time"]) == ("SUCCESS", "2026-11-23T12:01:05+08:00")
        assert (above[0], above[1]["code"]) == (400, "INVALID_REQUEST")
        assert (unknown[0], unknown[1]["code"]) == (404, "RESOURCE_NOT_EXISTS")
        assert (await client("query", out_trade_no=NUMBER))[1]["trade_state"] == "REFUND"

    @ONE_SHAPE
    async def test_an_order_is_refunded_fifty_times_and_no_more(self, client: Client, company: CompanyProcess) -> None:
        await paid(client, company)

        answers = [await client.give_back(f"r_{i}", 1) for i in range(51)]

        assert [status for status, _ in answers] == [200] * 50 + [400]
        assert company.totals()["refunded_fen"] == 50

    async def test_a_share_is_carried_out_later_part_by_part(self, client: Client, company: CompanyProcess) -> None:
        transaction = await paid(client, company)
        await befriend(client)
        parts = [part(COOK, 300), part("o_stranger", 50, kind="PERSONAL_OPENID")]

        asked = await client("profitsharing_order", transaction, "s_1", parts, False)
        again = await client("profitsharing_order", transaction, "s_1", parts, False)
        other = await client("profitsharing_order", transaction, "s_1", parts[:1], False)
        company.forward(timedelta(seconds=5))
        done = await client("profitsharing_order_query", transaction, "s_1")
        left = await client("profitsharing_amount_query", transaction)

        assert (asked[0], asked[1]["state"]) == (200, "PROCESSING")
        assert {each["result"] for each in asked[1]["receivers"]} == {"PENDING"}
        assert asked == again
        assert (other[0], other[1]["code"]) == (400, "INVALID_REQUEST")
        assert done[1]["state"] == "FINISHED"
        assert [(each["account"], each["result"], each.get("fail_reason")) for each in done[1]["receivers"]] == [
            (COOK, "SUCCESS", None),
            ("o_stranger", "CLOSED", "NO_RELATION"),
        ]
        assert left == (200, {"transaction_id": transaction, "unsplit_amount": 900})

    async def test_a_share_needs_time_money_and_the_agreed_part(self, client: Client, company: CompanyProcess) -> None:
        await client.pay()
        transaction = company.pay(NUMBER).json()["transaction_id"]

        early = await client("profitsharing_order", transaction, "s_1", [part(COOK, 1)], False)
        company.forward(timedelta(seconds=30))
        ratio = await client("profitsharing_order", transaction, "s_1", [part(COOK, 361)], False)
        above = await client("profitsharing_order", transaction, "s_1", [part(COOK, 1201)], False)
        unknown = await client("profitsharing_order_query", transaction, "s_1")
        most = await client("profitsharing_config_query", client.mchid)

        assert (early[0], early[1]["code"], early[1]["message"]) == (400, "INVALID_REQUEST", "订单处理中，请稍后重试")
        assert (ratio[0], ratio[1]["code"]) == (403, "RULE_LIMIT")
        assert (above[0], above[1]["code"]) == (403, "NOT_ENOUGH")
        assert (unknown[0], unknown[1]["code"]) == (404, "RESOURCE_NOT_EXISTS")
        assert most == (200, {"sub_mchid": client.mchid, "max_ratio": 3000})

    @ONE_SHAPE
    async def test_an_order_is_shared_fifty_times_with_fifty_receivers(
        self, client: Client, company: CompanyProcess
    ) -> None:
        transaction = await paid(client, company)
        crowd = [part(f"o_{i}", 1, kind="PERSONAL_OPENID") for i in range(51)]

        wide = await client("profitsharing_order", transaction, "s_wide", crowd, False)
        answers = [
            await client("profitsharing_order", transaction, f"s_{i}", [part(COOK, 1)], False) for i in range(51)
        ]

        assert (wide[0], wide[1]["code"]) == (400, "PARAM_ERROR")
        assert [status for status, _ in answers] == [200] * 50 + [403]
        assert answers[-1][1]["code"] == "RULE_LIMIT"

    async def test_money_that_is_not_to_be_shared_is_not_frozen(self, client: Client, company: CompanyProcess) -> None:
        await client.pay(settle_info={"profit_sharing": False})
        transaction = company.pay(NUMBER).json()["transaction_id"]
        company.forward(timedelta(minutes=1))

        answer = await client("profitsharing_order", transaction, "s_1", [part(COOK, 1)], False)

        assert (answer[0], answer[1]["message"]) == (400, "非分账订单不支持分账")
        assert company.trade(NUMBER)["own_fen"] == 1200

    async def test_unfreezing_ends_it_under_a_number_of_its_own(self, client: Client, company: CompanyProcess) -> None:
        transaction = await paid(client, company)

        asked = await client("profitsharing_unfreeze", transaction, "u_1", "完结")
        again = await client("profitsharing_unfreeze", transaction, "u_1", "完结")
        company.forward(timedelta(seconds=5))
        done = await client("profitsharing_order_query", transaction, "u_1")
        more = await client("profitsharing_unfreeze", transaction, "u_2", "完结")

        assert asked == again
        assert done[1]["state"] == "FINISHED"
        assert [(each["account"], each["amount"], each["result"]) for each in done[1]["receivers"]] == [
            (client.mchid, 1200, "SUCCESS")
        ]
        assert (more[0], more[1]["code"]) == (403, "NOT_ENOUGH")

    async def test_shared_money_is_returned_before_it_is_refunded(
        self, client: Client, company: CompanyProcess
    ) -> None:
        await shared(client, company)

        above = await client.give_back("r_1", 1200)
        words = {"out_order_no": "s_1"}
        back = await client("profitsharing_return", "t_1", COOK, 300, "退回", **words)
        again = await client("profitsharing_return", "t_1", COOK, 300, "退回", **words)
        more = await client("profitsharing_return", "t_2", COOK, 1, "退回", **words)
        company.forward(timedelta(seconds=5))
        done = await client("profitsharing_return_query", "s_1", "t_1")
        whole = await client.give_back("r_1", 1200)

        assert (above[0], above[1]["code"]) == (403, "NOT_ENOUGH")
        assert (back[0], back[1]["result"]) == (200, "PROCESSING")
        assert back == again
        assert (more[0], more[1]["code"]) == (400, "INVALID_REQUEST")
        assert (done[1]["result"], done[1]["amount"], done[1]["return_mchid"]) == ("SUCCESS", 300, COOK)
        assert (whole[0], whole[1]["status"]) == (200, "PROCESSING")

    async def test_a_receiver_without_money_returns_nothing(self, client: Client, company: CompanyProcess) -> None:
        await shared(client, company)
        company.http.post("/control/balances", json={"account": COOK, "fen": 0})

        back = await client("profitsharing_return", "t_1", COOK, 300, "退回", out_order_no="s_1")

        assert (back[0], back[1]["result"], back[1]["fail_reason"]) == (200, "FAILED", "BALANCE_NOT_ENOUGH")
        assert (await client("profitsharing_return_query", "s_1", "t_1"))[1] == back[1]

    async def test_receivers_are_added_with_a_sealed_name_and_deleted(
        self, client: Client, company: CompanyProcess
    ) -> None:
        nameless = await client("profitsharing_add_receiver", "MERCHANT_ID", COOK, "PARTNER")
        strange = await client("profitsharing_add_receiver", "PERSONAL_OPENID", "o_1", "FRIEND")
        await befriend(client)
        await befriend(client)
        gone = await client("profitsharing_delete_receiver", "MERCHANT_ID", COOK)
        transaction = await paid(client, company)
        await client("profitsharing_order", transaction, "s_1", [part(COOK, 1)], False)
        company.forward(timedelta(seconds=5))
        done = await client("profitsharing_order_query", transaction, "s_1")

        assert [nameless[1]["code"], strange[1]["code"]] == ["PARAM_ERROR", "PARAM_ERROR"]
        assert gone == (200, {"type": "MERCHANT_ID", "account": COOK})
        assert done[1]["receivers"][0]["fail_reason"] == "NO_RELATION"

    @pytest.mark.parametrize("tar_type", ["GZIP", ""])
    async def test_bills_of_a_day_are_there_on_the_next_at_ten(
        self, client: Client, company: CompanyProcess, tar_type: str
    ) -> None:
        await shared(client, company)
        await client.give_back("r_1", 200)
        early = await client("trade_bill", DAY, tar_type=tar_type)
        company.set_clock(datetime(2026, 11, 24, 1, 59, tzinfo=UTC))
        creating = await client("trade_bill", DAY, tar_type=tar_type)
        company.set_clock(datetime(2026, 11, 24, 2, 0, tzinfo=UTC))
        empty = await client("trade_bill", "2026-11-22", tar_type=tar_type)

        texts = {}
        for name in ("trade_bill", "fundflow_bill", "profitsharing_bill"):
            status, told = await client(name, DAY, tar_type=tar_type)
            assert (status, told["hash_type"]) == (200, "SHA1"), told
            status, file = await client("download_bill", told["download_url"])
            raw = gzip.decompress(file) if tar_type else file
            assert hashlib.sha1(raw).hexdigest() == told["hash_value"]
            texts[name] = raw.decode("utf-8-sig").splitlines()

        assert [early[1]["code"], creating[1]["code"]] == ["INVALID_REQUEST", "STATEMENT_CREATING"]
        assert empty[1]["code"] == "NO_STATEMENT_EXIST"
        assert [len(lines) for lines in texts.values()] == [5, 6, 4]
        assert texts["trade_bill"][-1] == "`2,`12.00,`2.00,`0.00,`0.00,`12.00,`2.00"
        assert texts["fundflow_bill"][-1] == "`3,`1,`12.00,`2,`5.00"
        assert texts["profitsharing_bill"][-1] == "`1,`3.00,`0.00"
        assert all(line.startswith("`") for lines in texts.values() for line in (lines[1], lines[-1]))

    async def test_an_unsigned_or_old_request_is_not_let_in(self, client: Client, company: CompanyProcess) -> None:
        async with httpx.AsyncClient(base_url=company.address, trust_env=False) as http:
            unsigned = await http.get(f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={client.mchid}")
        core = client.client._core
        core._cert_serial_no = "00"
        strange = await client("query", out_trade_no=NUMBER)

        assert (unsigned.status_code, unsigned.json()["code"]) == (401, "SIGN_ERROR")
        assert (strange[0], strange[1]["code"]) == (401, "SIGN_ERROR")


# Each endpoint once: the call, and the name it has for faults.
CALLS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "query": ("query", (), {"out_trade_no": NUMBER}),
    "close": ("close", ("p_waiting",), {}),
    "query_refund": ("query_refund", ("r_0",), {}),
    "refund": ("refund", ("r_1", {"refund": 1, "total": 1200, "currency": "CNY"}), {"out_trade_no": NUMBER}),
    "add_receiver": ("profitsharing_add_receiver", ("PERSONAL_OPENID", "o_1", "USER"), {}),
    "delete_receiver": ("profitsharing_delete_receiver", ("PERSONAL_OPENID", "o_1"), {}),
    "query_share": ("profitsharing_order_query", ("{transaction}", "s_1"), {}),
    "share": ("profitsharing_order", ("{transaction}", "s_2", [part(COOK, 1)], False), {}),
    "unsplit": ("profitsharing_amount_query", ("{transaction}",), {}),
    "max_ratio": ("profitsharing_config_query", ("{mchid}",), {}),
    "return": ("profitsharing_return", ("t_1", COOK, 1, "退回"), {"out_order_no": "s_1"}),
    "query_return": ("profitsharing_return_query", ("s_1", "t_0"), {}),
    "unfreeze": ("profitsharing_unfreeze", ("{transaction}", "u_1", "完结"), {}),
    "tradebill": ("trade_bill", (DAY,), {}),
    "fundflowbill": ("fundflow_bill", (DAY,), {}),
    "sharingbill": ("profitsharing_bill", (DAY,), {}),
}


class TestEveryFault:
    """What each fault looks like to each shape of the client, at every endpoint."""

    async def calls(self, client: Client, company: CompanyProcess) -> dict[str, Any]:
        """Every endpoint's call, each of which would succeed."""
        transaction = await paid(client, company)
        await client.pay("p_waiting")
        await befriend(client)
        await client("profitsharing_order", transaction, "s_1", [part(COOK, 300)], False)
        company.forward(timedelta(seconds=5))
        await client("profitsharing_return", "t_0", COOK, 1, "退回", out_order_no="s_1")
        await client.give_back("r_0", 1)
        company.set_clock(NOON + timedelta(days=1))
        names = {"{transaction}": transaction, "{mchid}": client.mchid}
        calls: dict[str, Any] = {"prepay": lambda: client.pay("p_faulty")}
        for endpoint, (method, words, named) in CALLS.items():
            filled = tuple(names.get(word, word) if isinstance(word, str) else word for word in words)
            calls[endpoint] = lambda method=method, filled=filled, named=named: client(method, *filled, **named)
        return calls

    @pytest.mark.parametrize("fault", ["lost", "answer_lost"])
    async def test_a_cut_connection_is_an_error_and_the_call_can_be_repeated(
        self, client: Client, company: CompanyProcess, fault: str
    ) -> None:
        for endpoint, call in (await self.calls(client, company)).items():
            company.breaks(endpoint, fault)

            with pytest.raises(CUT):
                await call()

            status, told = await call()
            was_done = fault == "answer_lost" and endpoint == "close"
            assert (status, (told or {}).get("code")) == ((400, "ORDER_CLOSED") if was_done else (status, None)), told

    @pytest.mark.parametrize(
        ("fault", "status", "code"),
        [
            ("broken_before", 500, "SYSTEM_ERROR"),
            ("broken_after", 500, "SYSTEM_ERROR"),
            ("too_often", 429, "FREQUENCY_LIMITED"),
            ("refuse", 403, "NO_AUTH"),
        ],
    )
    async def test_errors_are_answered_in_wechats_shape(
        self, client: Client, company: CompanyProcess, fault: str, status: int, code: str
    ) -> None:
        for endpoint, call in (await self.calls(client, company)).items():
            company.breaks(endpoint, fault)

            answer = await call()

            assert (answer[0], answer[1]["code"]) == (status, code), endpoint
        assert sum(n for name, n in company.hits().items() if name.endswith(f":{fault}")) >= len(CALLS) + 1

    @pytest.mark.parametrize("fault", ["forged", "probe", "unsigned"])
    async def test_an_answer_that_is_not_signed_by_wechat_is_not_believed(
        self, client: Client, company: CompanyProcess, fault: str
    ) -> None:
        for endpoint, call in (await self.calls(client, company)).items():
            company.breaks(endpoint, fault)

            with pytest.raises(Exception, match=r"failed to verify|does not support this algorithm"):
                await call()

            assert (await call())[0] in (200, 204) or endpoint == "close"

    async def test_a_delayed_answer_comes_later(self, client: Client, company: CompanyProcess) -> None:
        await client.pay()
        company.breaks("query", "delay", seconds=0.3)
        began = time.monotonic()

        answer = await client("query", out_trade_no=NUMBER)

        assert answer[0] == 200
        assert time.monotonic() - began >= 0.3

    async def test_what_was_lost_was_not_done_and_what_was_answered_to_nobody_was(
        self, client: Client, company: CompanyProcess
    ) -> None:
        told = []
        for number, fault in (
            ("p_lost", "lost"),
            ("p_before", "broken_before"),
            ("p_many", "too_often"),
            ("p_answer", "answer_lost"),
            ("p_after", "broken_after"),
        ):
            company.breaks("prepay", fault)
            with contextlib.suppress(CUT):
                await client.pay(number)
            told.append((await client("query", out_trade_no=number))[0])

        assert told == [404, 404, 404, 200, 200]

    async def test_a_share_can_be_stuck_until_it_is_let_go(self, client: Client, company: CompanyProcess) -> None:
        transaction = await paid(client, company)
        await befriend(client)
        company.breaks("share", "stuck")
        await client("profitsharing_order", transaction, "s_1", [part(COOK, 1)], False)
        company.forward(timedelta(days=2))
        stuck = await client("profitsharing_order_query", transaction, "s_1")

        company.http.post("/control/shares/s_1/let-go")

        done = await client("profitsharing_order_query", transaction, "s_1")
        assert (stuck[1]["state"], done[1]["state"]) == ("PROCESSING", "FINISHED")

    @ONE_SHAPE
    @pytest.mark.parametrize("reason", ["ACCOUNT_ABNORMAL", "NO_RELATION", "RECEIVER_HIGH_RISK", "NO_AUTH"])
    async def test_a_receiver_can_be_closed_for_each_reason(
        self, client: Client, company: CompanyProcess, reason: str
    ) -> None:
        transaction = await paid(client, company)
        await befriend(client)
        company.breaks("share", "closed", code=reason)
        await client("profitsharing_order", transaction, "s_1", [part(COOK, 100)], False)
        company.forward(timedelta(seconds=5))

        done = await client("profitsharing_order_query", transaction, "s_1")

        assert (done[1]["receivers"][0]["result"], done[1]["receivers"][0]["fail_reason"]) == ("CLOSED", reason)
        assert company.trade(NUMBER)["frozen_fen"] == 1200

    @ONE_SHAPE
    async def test_lines_of_a_bill_can_be_dropped_edited_and_added(
        self, client: Client, company: CompanyProcess
    ) -> None:
        for number in ("p_kept00", "p_edited", "p_gone00"):
            await paid(client, company, number)
        company.set_clock(NOON + timedelta(days=1))
        company.breaks("tradebill", "line_dropped", number="p_gone00", times=None)
        company.breaks("tradebill", "line_edited", number="p_edited", fen=7, times=None)
        company.breaks("tradebill", "line_added", number="p_strange", fen=9, times=None)

        _, told = await client("trade_bill", DAY)
        _, file = await client("download_bill", told["download_url"])

        lines = [line.split(",`") for line in gzip.decompress(file).decode("utf-8-sig").splitlines()[1:-2]]
        assert [(line[6], line[24]) for line in lines] == [
            ("p_kept00", "12.00"),
            ("p_edited", "12.07"),
            ("p_strange", "0.09"),
        ]

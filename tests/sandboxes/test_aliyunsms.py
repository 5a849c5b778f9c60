"""J3: codes go out by Aliyun SMS, signed as its papers say; over real HTTP, against a server that knows only them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import uvicorn

from sandboxes.aliyunsms import Company
from tuanzi.people import AliyunSender, SmsAccount, SmsNotAccepted
from tuanzi.people.vendors.aliyun import authorization
from tuanzi.settings import SettingWrong, read_settings

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
PHONE = "13812341234"


class Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Shop:
    """Our account there, the company, and a sender with a clock that is moved by hand."""

    def __init__(self, port: int) -> None:
        self.now = NOON
        numbers = count()
        self.company = Company("AK1", "s3cret", "团子", "SMS_1", clock=lambda: NOON + self.waited)
        self.waited = timedelta()
        self.account = SmsAccount(
            access_key_id="AK1",
            access_key_secret="s3cret",
            sign_name="团子",
            template_code="SMS_1",
            gateway=f"http://127.0.0.1:{port}",
        )
        self.nonce: Callable[[], str] = lambda: f"n{next(numbers)}"
        self.senders: list[AliyunSender] = []

    def sender(self, **changed: str) -> AliyunSender:
        account = SmsAccount(**{name: getattr(self.account, name) for name in self.account.__struct_fields__} | changed)
        self.senders.append(AliyunSender(account, clock=lambda: self.now, nonce=lambda: self.nonce()))
        return self.senders[-1]


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    listening = socket.create_server(("127.0.0.1", 0))
    made = Shop(listening.getsockname()[1])
    config = uvicorn.Config(made.company, ws="none", lifespan="off", log_config=None, access_log=False)
    server = Quiet(config)
    serving = asyncio.create_task(server.serve([listening]))
    yield made
    for sender in made.senders:
        await sender.close()
    server.should_exit = True
    await serving


def test_the_papers_own_example_is_signed_as_they_say() -> None:
    account = SmsAccount(
        access_key_id="YourAccessKeyId", access_key_secret="YourAccessKeySecret", sign_name="", template_code=""
    )
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    query = {"RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}

    assert authorization(account, query=query, headers=headers) == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


async def test_a_code_goes_out_under_our_name_with_our_template(shop: Shop) -> None:
    await shop.sender().send(phone=PHONE, code="042042", challenge_id="v_1")

    (message,) = shop.company.sent
    assert (message.phone, message.params, message.out_id) == (PHONE, {"code": "042042"}, "v_1")
    assert (message.sign_name, message.template_code) == ("团子", "SMS_1")


async def test_no_log_holds_a_phone_or_a_code(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    await shop.sender().send(phone=PHONE, code="042042", challenge_id="v_1")

    assert shop.company.sent
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    assert not [line for line in ours if PHONE in line or "042042" in line]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"access_key_secret": "other"}, "400 SignatureDoesNotMatch"),
        ({"access_key_id": "AK2"}, "400 InvalidAccessKeyId.NotFound"),
        ({"sign_name": "别家"}, "200 isv.SMS_SIGNATURE_ILLEGAL"),
        ({"template_code": "SMS_2"}, "200 isv.SMS_TEMPLATE_ILLEGAL"),
    ],
)
async def test_what_the_company_refuses_is_no_sent_code(shop: Shop, changed: dict[str, str], code: str) -> None:
    with pytest.raises(SmsNotAccepted, match=code):
        await shop.sender(**changed).send(phone=PHONE, code="042042", challenge_id="v_1")

    assert not shop.company.sent


async def test_a_clock_that_is_off_and_a_nonce_used_twice_are_refused(shop: Shop) -> None:
    sender = shop.sender()
    shop.now = NOON + timedelta(minutes=16)
    with pytest.raises(SmsNotAccepted, match="InvalidTimeStamp"):
        await sender.send(phone=PHONE, code="042042", challenge_id="v_1")
    shop.now, shop.nonce = NOON, lambda: "same"
    await sender.send(phone=PHONE, code="042042", challenge_id="v_1")

    with pytest.raises(SmsNotAccepted, match="SignatureNonceUsed"):
        await sender.send(phone="13912341234", code="042042", challenge_id="v_2")


async def test_more_than_one_a_minute_to_a_phone_is_refused_until_the_minute_is_over(shop: Shop) -> None:
    sender = shop.sender()
    await sender.send(phone=PHONE, code="042042", challenge_id="v_1")
    with pytest.raises(SmsNotAccepted, match="BUSINESS_LIMIT_CONTROL"):
        await sender.send(phone=PHONE, code="777777", challenge_id="v_2")

    shop.waited = timedelta(minutes=1)
    await sender.send(phone=PHONE, code="777777", challenge_id="v_2")

    assert [message.params["code"] for message in shop.company.sent] == ["042042", "777777"]


@pytest.mark.parametrize("fault", ["lost_request", "lost_answer", "503", "throttled"])
async def test_no_answer_or_a_sick_company_is_said_without_phone_or_code_and_tried_again(
    shop: Shop, fault: str
) -> None:
    sender = shop.sender()
    shop.company.faults.append(fault)

    with pytest.raises(SmsNotAccepted) as raised:
        await sender.send(phone=PHONE, code="042042", challenge_id="v_1")

    assert PHONE not in repr(raised.value)
    assert "042042" not in repr(raised.value)
    assert raised.value.__cause__ is None
    shop.waited = timedelta(minutes=1)
    await sender.send(phone=PHONE, code="042042", challenge_id="v_1")
    assert {message.params["code"] for message in shop.company.sent} == {"042042"}


def test_an_account_is_read_from_the_environment_and_its_secret_from_a_file(tmp_path: object) -> None:
    secret = f"{tmp_path}/sms"
    with open(secret, "w", encoding="utf-8") as file:
        file.write("s3cret\n")
    told = {
        "TUANZI_DATA": str(tmp_path),
        "TUANZI_SMS_ACCESS_KEY_ID": "AK1",
        "TUANZI_SMS_ACCESS_KEY_SECRET_FILE": secret,
        "TUANZI_SMS_SIGN_NAME": "团子",
        "TUANZI_SMS_TEMPLATE_CODE": "SMS_1",
    }

    sms = read_settings(told).sms

    assert sms == SmsAccount(access_key_id="AK1", access_key_secret="s3cret", sign_name="团子", template_code="SMS_1")
    assert "s3cret" not in repr(sms)
    assert read_settings({"TUANZI_DATA": str(tmp_path)}).sms is None
    for missing in list(told)[2:]:
        with pytest.raises(SettingWrong, match=missing):
            read_settings({name: value for name, value in told.items() if name != missing})

"""C4: notices of WeChat Pay repeated, late, reordered or forged change nothing twice and nothing wrongly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.money.company import CompanyProcess
from tests.money.providers import company
from tests.money.receiver import Receiver, Taken
from tests.money.till import MEMBER, NOON, ORDER, PAYMENT, Till
from tuanzi.base.problem import Unknown
from tuanzi.events import PaymentCaptured, RefundDue, RefundRefused, RefundSettled
from tuanzi.money import NOTIFY_PATH, Cashier, WeChatPay
from tuanzi.money.problems import NoticeRefused

__all__ = ["company"]

CAMPUS = "beijing"
CAPTURED = {"provider_clearing": 1200, "order_escrow": -1200}
REFUNDED = {"provider_clearing": 700, "order_escrow": -700}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where the sandbox's callbacks go."""
    made = Receiver()
    yield made
    made.close()


class House:
    """The money room over WeChat Pay, its callbacks handed in by the test as they came over the wire."""

    def __init__(self, company: CompanyProcess, receiver: Receiver) -> None:
        company.forget()
        company.set_clock(NOON)
        self.company = company
        self.receiver = receiver
        self.wechat = WeChatPay(company.merchant(notify_url=receiver.url))
        self.till = Till(self.wechat.at(CAMPUS))
        (self.route,) = [route for route in self.till.room.routes if route.path == NOTIFY_PATH]
        # The route counts on its own provider; the room was given one that is at a campus already.
        self.counted = self.till.provider.notices

    async def paid(self) -> Taken:
        """A payment of 12 yuan that was opened and paid; its notice."""
        cashier = Cashier(self.wechat.at(CAMPUS))
        await cashier.pay(
            self.till, order_id=ORDER, member_id=MEMBER, amount_fen=1200, now=self.till.now, payer="o_openid_of_member"
        )
        assert self.company.pay(PAYMENT).status_code == 200
        return self.receiver.wait_for(1)[0]

    async def take(self, taken: Taken, *, after: timedelta = timedelta(), campus: str = CAMPUS) -> int:
        """Hand a callback in so long after it was signed; gives the status of the answer."""
        call = self.till.call(who=None, path={"campus": campus})
        call.body = taken.body
        call.headers = {name.encode(): value.encode() for name, value in taken.headers.items()}
        call.now = taken.at + after
        reply = await self.route.handler(call)
        return int(reply.status)

    def kept(self) -> tuple[dict[str, int], list[Any]]:
        """Balances and events."""
        return self.till.balances(), list(self.till.events)


@pytest.fixture
async def house(company: CompanyProcess, receiver: Receiver) -> AsyncIterator[House]:
    """A room that knows of nothing yet."""
    made = House(company, receiver)
    yield made
    await made.wechat.close_connections()
    await made.till.provider.close_connections()


async def test_a_notice_of_a_payment_is_recorded_once_however_often_it_comes(house: House) -> None:
    taken = await house.paid()

    statuses = [await house.take(taken) for _ in range(10)]

    assert taken.path == f"/{CAMPUS}/notify"
    assert statuses == [204] * 10
    assert house.kept()[0] == CAPTURED
    assert [event.amount_fen for event in house.till.events if isinstance(event, PaymentCaptured)] == [1200]
    assert house.counted == {"payment_taken": 1, "payment_repeated": 9}


async def test_a_notice_of_a_payment_that_is_not_known_here_is_recorded_too(house: House) -> None:
    taken = await house.paid()
    house.till = Till(house.wechat.at(CAMPUS))
    (house.route,) = [route for route in house.till.room.routes if route.path == NOTIFY_PATH]

    await house.take(taken)

    assert house.kept()[0] == CAPTURED


@pytest.mark.parametrize("late", [timedelta(seconds=300), timedelta(days=1), timedelta(seconds=-300)])
async def test_a_notice_five_minutes_off_is_refused(house: House, late: timedelta) -> None:
    taken = await house.paid()

    with pytest.raises(NoticeRefused) as refused:
        await house.take(taken, after=late)

    assert refused.value.facts == {"reason": "stale"}
    assert house.kept() == ({}, [])
    assert house.counted == {"stale": 1}
    assert await house.take(taken, after=timedelta(seconds=299)) == 204


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"wechatpay-signature": "WECHATPAY/SIGNTEST/abcd"}, "probe"),
        ({"wechatpay-signature": "YWJjZA=="}, "signature"),
        ({"wechatpay-signature": ""}, "signature"),
        ({"wechatpay-signature": "é"}, "signature"),
        ({"wechatpay-nonce": "other"}, "signature"),
        ({"wechatpay-serial": "PUB_KEY_ID_0"}, "signature"),
        ({"wechatpay-serial": "12AB"}, "signature"),
        ({"wechatpay-signature-type": "WECHATPAY2-SM2-WITH-SM3"}, "signature"),
        ({"wechatpay-timestamp": "yesterday"}, "stale"),
        ({"wechatpay-timestamp": "9" * 30}, "stale"),
    ],
)
async def test_a_notice_that_is_not_signed_by_wechat_is_refused(
    house: House, change: dict[str, str], reason: str
) -> None:
    taken = await house.paid()
    forged = replace(taken, headers=taken.headers | change)
    call = house.till.call(who=None, path={"campus": CAMPUS})
    call.body, call.now = forged.body, taken.at
    call.headers = {name.encode(): value.encode("latin-1") for name, value in forged.headers.items()}

    with pytest.raises(NoticeRefused) as refused:
        await house.route.handler(call)

    assert (refused.value.status, refused.value.facts) == (401, {"reason": reason})
    assert house.kept() == ({}, [])
    assert house.counted == {reason: 1}


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[]", b"not json"])
async def test_a_notice_with_another_body_is_refused(house: House, body: bytes) -> None:
    taken = await house.paid()

    with pytest.raises(NoticeRefused):
        await house.take(replace(taken, body=body))

    assert house.kept() == ({}, [])


async def test_a_notice_of_another_campus_is_refused(house: House) -> None:
    taken = await house.paid()

    with pytest.raises(NoticeRefused) as refused:
        await house.take(taken, campus="shanghai")

    assert refused.value.facts == {"reason": "content"}
    assert house.kept() == ({}, [])


async def refunded(house: House) -> None:
    """A refund of 5 yuan that the company works on."""
    house.till.hear(
        RefundDue(refund_id="r_1", order_id=ORDER, member_id=MEMBER, amount_fen=500, reason="late", payment_id=PAYMENT)
    )
    house.company.breaks("refund", "slow", seconds=60)
    assert await house.till.pass_time() == 0
    assert house.till.column("SELECT state FROM refunds") == ["sent"]


async def test_a_notice_of_a_refund_settles_it_once_however_often_it_comes(house: House) -> None:
    await house.take(await house.paid())
    await refunded(house)
    house.company.forward(timedelta(seconds=60))
    notice = house.receiver.wait_for(2)[1]

    statuses = [await house.take(notice) for _ in range(10)]

    assert statuses == [204] * 10
    assert house.kept()[0] == REFUNDED
    assert [event.refund_id for event in house.till.events if isinstance(event, RefundSettled)] == ["r_1"]


async def test_a_refund_that_was_closed_is_owed_still_and_asks_for_a_person(house: House) -> None:
    await house.take(await house.paid())
    await refunded(house)
    assert house.company.http.post("/control/refunds/r_1/abandon", json={"state": "CLOSED"}).status_code == 204
    notice = house.receiver.wait_for(2)[1]

    assert await house.take(notice) == 204

    assert house.kept()[0] == {**CAPTURED, "order_escrow": -700, "user_refund_payable": -500}
    assert [event.reason for event in house.till.events if isinstance(event, RefundRefused)] == ["closed"]


async def test_a_refund_whose_notice_comes_before_its_payment_is_not_known_and_comes_again(house: House) -> None:
    paid = await house.paid()
    await house.take(paid)
    await refunded(house)
    house.company.forward(timedelta(seconds=60))
    notice = house.receiver.wait_for(2)[1]
    house.till = Till(house.wechat.at(CAMPUS))
    (house.route,) = [route for route in house.till.room.routes if route.path == NOTIFY_PATH]

    with pytest.raises(Unknown):
        await house.take(notice)

    assert house.kept() == ({}, [])
    assert await house.take(paid) == 204
    assert house.kept()[0] == CAPTURED

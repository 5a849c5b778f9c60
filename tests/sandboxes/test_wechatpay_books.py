"""C1: what the sandbox answered or owes survives kill -9, and its callbacks come by the published schedule."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.money.company import CompanyProcess
from tests.money.company import company as company_process
from tests.money.providers import COOK, NUMBER, TERMS, asked, back, share
from tests.money.receiver import Receiver
from tests.money.till import NOON
from tuanzi.money import ProviderUnreachable, WeChatPay
from tuanzi.money.model import RefundProgress
from tuanzi.money.vendors import ShareProgress, TradeState

WAITS_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where callbacks go."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def company(tmp_path: Path) -> Iterator[CompanyProcess]:
    """A sandbox process of this test alone; it is noon there and stays noon."""
    with company_process(tmp_path, **(TERMS | {"refund_s": 60, "share_s": 60})) as process:
        process.set_clock(NOON)
        yield process


async def paid(wechat: WeChatPay, company: CompanyProcess, number: str = NUMBER) -> str:
    """The transaction of a payment that was opened and paid."""
    await wechat.open(asked(number=number), now=NOON)
    return str(company.pay(number).json()["transaction_id"])


async def test_everything_it_answered_is_there_after_kill_9_and_what_it_owes_goes_on(
    company: CompanyProcess, receiver: Receiver
) -> None:
    wechat = WeChatPay(company.merchant(notify_url=receiver.url)).at("beijing")
    receiver.answers.extend([500] * 1)
    transaction = await paid(wechat, company)
    receiver.wait_for(1)
    await wechat.add_receiver(COOK, "团子餐饮有限公司", now=NOON)
    shared = await wechat.share(share((COOK, 200), transaction_id=transaction), now=NOON)
    refund = await wechat.refund(back(amount_fen=100), now=NOON)

    company.kill()
    with pytest.raises(ProviderUnreachable):
        await wechat.query(NUMBER, now=NOON)
    company.start()

    assert (shared.progress, refund.progress) == (ShareProgress.PROCESSING, RefundProgress.PROCESSING)
    assert (await wechat.query(NUMBER, now=NOON)).state is TradeState.PAID
    assert (await wechat.query_share("s_1", transaction, now=NOON)).progress is ShareProgress.PROCESSING
    assert company.trade(NUMBER)["frozen_fen"] == 900
    company.forward(timedelta(seconds=60))
    assert (await wechat.query_share("s_1", transaction, now=NOON)).progress is ShareProgress.FINISHED
    assert (await wechat.query_refund("r_1", now=NOON)).progress is RefundProgress.SETTLED
    first, *others = receiver.wait_for(3)
    assert json.loads(first.body)["id"] in {json.loads(each.body)["id"] for each in others}
    await wechat.close_connections()


async def test_no_acknowledged_payment_is_lost_when_it_is_killed_again_and_again(company: CompanyProcess) -> None:
    wechat = WeChatPay(company.merchant())
    acknowledged: list[str] = []
    numbers = iter(range(10_000))
    stop = asyncio.Event()
    paid_once = asyncio.Semaphore(0)

    async def pays() -> None:
        async with httpx.AsyncClient(trust_env=False) as phone:
            while not stop.is_set():
                number = f"p_{next(numbers):06d}"
                try:
                    opening = await wechat.open(asked(number=number), now=NOON)
                    page = opening.prepay["package"].removeprefix("prepay_id=")
                    answer = await phone.post(f"{company.address}/pay/{page}/pay")
                    answer.raise_for_status()
                except (ProviderUnreachable, httpx.HTTPError):
                    await asyncio.sleep(0.05)
                    continue
                acknowledged.append(number)
                paid_once.release()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(pays())
        for _ in range(3):
            for _ in range(15):
                await paid_once.acquire()
            await asyncio.to_thread(company.kill)
            await asyncio.to_thread(company.start)
        stop.set()

    states = [(await wechat.query(number, now=NOON)).state for number in acknowledged]
    assert len(acknowledged) >= 45
    assert set(states) == {TradeState.PAID}
    totals = company.totals()
    assert totals["paid_fen"] == totals["frozen_fen"] == 1200 * totals["paid_count"]
    assert totals["paid_count"] >= len(acknowledged)
    await wechat.close_connections()


async def test_a_callback_is_sent_by_the_published_schedule_and_then_given_up(
    company: CompanyProcess, receiver: Receiver
) -> None:
    wechat = WeChatPay(company.merchant(notify_url=receiver.url))
    receiver.answers.extend([500, 404, 302] + [503] * 20)
    await paid(wechat, company)
    receiver.wait_for(1)

    for n, wait in enumerate(WAITS_S, start=1):
        company.wait_for(NUMBER, "TRANSACTION.SUCCESS", state="again", attempts=n)
        company.forward(timedelta(seconds=wait - 1))
        assert len(receiver.taken) == n
        company.forward(timedelta(seconds=1))
        receiver.wait_for(n + 1)

    company.wait_for(NUMBER, "TRANSACTION.SUCCESS", state="given_up")
    assert len(receiver.taken) == 16
    assert len({json.loads(taken.body)["id"] for taken in receiver.taken}) == 1
    assert sum(WAITS_S) == 24 * 3600 + 4 * 60
    await wechat.close_connections()


async def test_what_is_forgotten_while_its_callback_is_on_its_way_troubles_no_other(
    company: CompanyProcess, receiver: Receiver
) -> None:
    wechat = WeChatPay(company.merchant(notify_url=receiver.url))
    receiver.goes_on.clear()
    await paid(wechat, company)
    receiver.wait_for(1)

    company.forget()
    receiver.goes_on.set()

    for n in range(2, 5):
        await paid(wechat, company, f"p_later_{n}")
        receiver.wait_for(n)
        company.wait_for(f"p_later_{n}", "TRANSACTION.SUCCESS", state="done")
    await wechat.close_connections()


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        ("duplicate", ["true"] * 10),
        ("forged_too", ["forged", "true"]),
        ("probe_too", ["probe", "true"]),
        ("stale_too", ["stale", "true"]),
    ],
)
async def test_callbacks_can_be_repeated_and_forged(
    company: CompanyProcess, receiver: Receiver, fault: str, kinds: list[str]
) -> None:
    wechat = WeChatPay(company.merchant(notify_url=receiver.url))
    company.breaks("TRANSACTION.SUCCESS", fault)

    await paid(wechat, company)

    receiver.wait_for(len(kinds))
    callback = company.wait_for(NUMBER, "TRANSACTION.SUCCESS")
    assert [answer["kind"] for answer in callback["answers"]] == kinds
    await wechat.close_connections()


async def test_callbacks_can_be_late_out_of_order_and_never(company: CompanyProcess, receiver: Receiver) -> None:
    wechat = WeChatPay(company.merchant(notify_url=receiver.url))
    for number, fault in (("p_never0", "never"), ("p_later0", "late"), ("p_second", "reordered")):
        company.breaks("TRANSACTION.SUCCESS", fault, seconds=3600)
        await paid(wechat, company, number)
        company.wait_for(number, "TRANSACTION.SUCCESS", state={"late": "late", "never": "never"}.get(fault, "held"))
    await paid(wechat, company, "p_first0")
    company.wait_for("p_first0", "TRANSACTION.SUCCESS")
    company.wait_for("p_second", "TRANSACTION.SUCCESS")
    assert len(receiver.taken) == 2
    company.forward(timedelta(hours=1))
    company.wait_for("p_later0", "TRANSACTION.SUCCESS")

    assert company.trade("p_never0")["callbacks"][0]["attempts"] == 0
    assert len(receiver.taken) == 3
    await wechat.close_connections()


def test_control_needs_its_token_and_the_pay_page_does_not(company: CompanyProcess) -> None:
    with httpx.Client(base_url=company.address, trust_env=False) as stranger:
        assert stranger.get("/control/totals").status_code == 401
        assert stranger.delete("/control/books", headers={"authorization": "Bearer x"}).status_code == 401
        assert stranger.get("/pay/wx_unheard").status_code == 404
    assert company.stop() == 0


async def test_the_pay_page_shows_what_is_paid_and_pays_it_in_both_languages(company: CompanyProcess) -> None:
    wechat = WeChatPay(company.merchant())
    opening = await wechat.open(asked(), now=NOON)
    page = "/pay/" + opening.prepay["package"].removeprefix("prepay_id=")
    html = {"accept": "text/html"}

    chinese = company.http.get(page, headers=html)
    english = company.http.get(page, headers={**html, "accept-language": "en-GB,en"})
    cancelled = company.http.post(f"{page}/cancel", headers=html, follow_redirects=True)
    wrong = company.http.post(f"{page}/pay", json=dict(opening.prepay) | {"timeStamp": "1"})
    right = company.http.post(f"{page}/pay", json=dict(opening.prepay))
    again = company.http.post(f"{page}/pay")
    after = company.http.get(page, headers=html)

    assert "立即支付 ¥12.00" in chinese.text
    assert "Pay ¥12.00" in english.text
    assert '<html lang="zh-CN">' in chinese.text
    assert "已取消" in cancelled.text
    assert (wrong.status_code, wrong.json()["code"]) == (401, "SIGN_ERROR")
    assert right.json()["transaction_id"] == again.json()["transaction_id"]
    assert "✓ 支付成功" in after.text
    assert "<button" not in after.text
    for each in (chinese, english, after):
        assert "http" not in each.text.replace(company.address, "")
        assert each.headers["content-security-policy"].startswith("default-src 'none'")
    await wechat.close_connections()

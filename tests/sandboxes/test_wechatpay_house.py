"""C1, C4: a real `tuanzi run` takes WeChat's callbacks as they come in the wild: nothing twice, nothing wrong."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from servers.process import free_ports
from tests.money.company import ROOT, START_S_MAX, CompanyProcess
from tests.money.company import company as company_process
from tests.money.providers import TERMS
from tuanzi.money import NOTIFY_PATH, WeChatPay
from tuanzi.money.vendors.cashier import payment_asked


class House:
    """`tuanzi run` with settings alone pointed at the sandbox, as at the real gateway."""

    def __init__(self, folder: Path, company: CompanyProcess) -> None:
        (port,) = free_ports(1)
        self.address = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.log = folder / "log"
        told, at = company.merchant_file, company.folder
        settings = {
            "TUANZI_PORT": str(port),
            "TUANZI_LIVE_PORT": "0",
            "TUANZI_DATA": str(folder / "data"),
            "TUANZI_PAYMENTS": "wechat",
            "TUANZI_WECHAT_GATEWAY": company.address,
            "TUANZI_WECHAT_MCHID": told["mchid"],
            "TUANZI_WECHAT_APPID": told["appid"],
            "TUANZI_WECHAT_APP_SECRET_FILE": str(at / "app_secret"),
            "TUANZI_WECHAT_MERCHANT_SERIAL": told["merchant_serial"],
            "TUANZI_WECHAT_MERCHANT_KEY_FILE": str(at / told["merchant_key_file"]),
            "TUANZI_WECHAT_API_KEY_FILE": str(at / told["api_key_file"]),
            "TUANZI_WECHAT_PUBLIC_KEY_FILE": str(at / told["public_key_file"]),
            "TUANZI_WECHAT_PUBLIC_KEY_ID": told["public_key_id"],
            "TUANZI_WECHAT_NOTIFY_URL": self.address,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tuanzi.roles.cli", "run"],
                cwd=ROOT,
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.http = httpx.Client(base_url=self.address, trust_env=False, timeout=10)
        ends = time.monotonic() + START_S_MAX
        while not self._is_ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < ends
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def figures(self) -> dict[str, float]:
        """How many callbacks came, by what became of them."""
        found = re.findall(
            r'^tuanzi_payment_notices_total{result="(\w+)"} (\S+)$', self.http.get("/metrics").text, re.M
        )
        # Nobody ordered here, so the money goes back: refunds have their own callbacks.
        return {result: float(times) for result, times in found if not result.startswith("refund")}

    def rows(self, sql: str, *, campus: str = "beijing") -> list[tuple[object, ...]]:
        """Committed rows of a campus's money."""
        connection = sqlite3.connect(f"file:{self.folder}/data/{campus}/money.db?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def booked(self, payment_id: str) -> list[tuple[object, ...]]:
        """The lines of the journals of a payment."""
        return self.rows(
            f"SELECT account, amount_fen FROM entries WHERE journal_id LIKE '%:{payment_id}' ORDER BY line"
        )

    def stop(self) -> int:
        """End it as Ctrl-C does; its exit code."""
        self.http.close()
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompanyProcess]:
    """The sandbox; its time is the machine's."""
    with company_process(tmp_path_factory.mktemp("wechatpay"), **TERMS) as process:
        yield process


@pytest.fixture(scope="module")
def house(company: CompanyProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A real house."""
    made = House(tmp_path_factory.mktemp("house"), company)
    yield made
    assert made.stop() == 0, made.log.read_text()[-4000:]


BOOKED = [("provider_clearing", 1200), ("order_escrow", -1200)]
REACHED = {
    "duplicate": {"payment_taken": 1, "payment_repeated": 9},
    "forged_too": {"signature": 1, "payment_taken": 1},
    "probe_too": {"probe": 1, "payment_taken": 1},
    "stale_too": {"stale": 1, "payment_taken": 1},
    "late": {"payment_taken": 1},
}


async def paid(house: House, company: CompanyProcess, name: str, *, campus: str = "beijing") -> str:
    """The id of a payment whose callbacks go to the house."""
    wechat = WeChatPay(company.merchant(notify_url=house.address + NOTIFY_PATH)).at(campus)
    payment_id = f"p_{name}"
    asked = payment_asked(payment_id, order_id=f"o_{name}", member_id="m_1", amount_fen=1200)
    await wechat.open(asked, now=datetime.now(UTC))
    assert company.pay(payment_id).status_code == 200
    await wechat.close_connections()
    return payment_id


@pytest.mark.parametrize("fault", REACHED)
async def test_one_payment_is_booked_once_and_rightly_whatever_comes(
    house: House, company: CompanyProcess, fault: str
) -> None:
    before = house.figures()
    company.breaks("TRANSACTION.SUCCESS", fault, seconds=0.3)

    payment_id = await paid(house, company, f"{fault}_1")

    callback = company.wait_for(payment_id, "TRANSACTION.SUCCESS")
    after = house.figures()
    assert house.booked(payment_id) == BOOKED
    assert {
        result: after[result] - before.get(result, 0) for result in after if after[result] != before.get(result)
    } == REACHED[fault]
    refused = [answer["answer"] for answer in callback["answers"] if answer["kind"] != "true"]
    assert set(refused) <= {"401"}
    assert {answer["answer"] for answer in callback["answers"] if answer["kind"] == "true"} == {"204"}


async def test_payments_whose_callbacks_overtake_each_other_are_all_booked(
    house: House, company: CompanyProcess
) -> None:
    company.breaks("TRANSACTION.SUCCESS", "reordered", seconds=30)
    first = await paid(house, company, "held_1")
    second = await paid(house, company, "held_2")

    company.wait_for(first, "TRANSACTION.SUCCESS")

    assert house.booked(first) == house.booked(second) == BOOKED


async def test_a_day_old_callback_is_refused_with_a_problem_and_a_fresh_one_is_a_repeat(
    house: House, company: CompanyProcess
) -> None:
    payment_id = await paid(house, company, "replayed_1")
    callback = company.wait_for(payment_id, "TRANSACTION.SUCCESS")

    def replay(**how: object) -> int:
        status: int = company.http.post(f"/control/callbacks/{callback['id']}/replay", json=how).json()["status"]
        return status

    statuses = [replay(age_s=86_400), replay(age_s=301), replay(kind="forged"), replay(kind="probe"), replay()]

    assert statuses == [401, 401, 401, 401, 204]
    assert house.booked(payment_id) == BOOKED


async def test_a_callback_that_never_came_is_booked_when_it_comes_by_hand(
    house: House, company: CompanyProcess
) -> None:
    company.breaks("TRANSACTION.SUCCESS", "never")
    payment_id = await paid(house, company, "never_1")
    callback = company.wait_for(payment_id, "TRANSACTION.SUCCESS", state="never")
    nothing = house.booked(payment_id)

    company.http.post(f"/control/callbacks/{callback['id']}/replay", json={})

    assert nothing == []
    assert house.booked(payment_id) == BOOKED


async def test_a_callback_at_another_campus_changes_nothing_there(house: House, company: CompanyProcess) -> None:
    wechat = WeChatPay(company.merchant(notify_url=house.address + NOTIFY_PATH.replace("{campus}", "shanghai")))
    asked = payment_asked("p_strayed_1", order_id="o_strayed_1", member_id="m_1", amount_fen=1200)
    await wechat.at("beijing").open(asked, now=datetime.now(UTC))

    company.pay("p_strayed_1")

    callback = company.wait_for("p_strayed_1", "TRANSACTION.SUCCESS", state="again")
    assert [answer["answer"] for answer in callback["answers"]] == ["401"]
    assert house.rows("SELECT id FROM payments WHERE id = 'p_strayed_1'", campus="shanghai") == []
    await wechat.close_connections()


def test_a_stranger_gets_a_problem_document(house: House) -> None:
    address = NOTIFY_PATH.replace("{campus}", "beijing")

    answer = house.http.post(address, json={"id": "x"}, headers={"wechatpay-timestamp": str(int(time.time()))})

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "money/notice-refused"
    assert answer.json()["reason"] == "signature"


def test_no_secret_is_logged(house: House, company: CompanyProcess) -> None:
    printed = house.log.read_text()

    for name in ("api_key_file", "merchant_key_file"):
        secret = (company.folder / company.merchant_file[name]).read_text()
        for line in secret.strip().splitlines():
            assert line.startswith("-----") or line not in printed

"""J3, C1: signing in with WeChat over HTTP; an account is one person's, and payments by WeChat are made from it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Cast, Person, Town, done, refused
from tests.money.company import CompanyProcess
from tests.money.company import company as company_process
from tuanzi.base.ids import PersonId
from tuanzi.money import WeChatPay
from tuanzi.people import AbsentLogin, MiniProgram, PlayedPhones, WechatApp

MINGS_PHONE = PersonId("phone-of-ming")
USERS = "SELECT person_id, openid_hash FROM wechat_users ORDER BY openid_hash"


def code_of(town: Town, user: str) -> dict[str, str]:
    """The body with a fresh code of a user's phone."""
    return {"code": town.wechat.company.login(user)}


async def bind(person: Person, town: Town, user: str) -> Any:
    """Bind a user's account to a person."""
    return await done(person.send("PUT", "/v1/me/wechat", code_of(town, user)))


async def test_a_student_signs_in_by_phone_once_and_with_wechat_from_then_on(town: Town) -> None:
    anew = town.client.post("/v1/wechat/sessions", json=code_of(town, "ming"))
    document = await refused(anew, 404, "people/wechat-unknown")
    ming = await town.sign_in()
    await bind(ming, town, "ming")

    code = code_of(town, "ming")
    session = await done(town.client.post("/v1/wechat/sessions", json=code), 201)
    again = Person(town.client, session["token"], session["person_id"], "beijing")
    me = await done(again.get("/v1/me"))
    await refused(town.client.post("/v1/wechat/sessions", json=code), 422, "people/wechat-code-refused")

    assert document["title"].startswith("该微信尚未绑定")
    assert (me["person_id"], me["has_wechat"], me["campus_id"]) == (ming.id, True, "beijing")
    (key,) = set(town.wechat.company.session_keys.values())
    for name in town.house.platform.database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
        rows = repr(town.house.platform.database.rows(f"SELECT * FROM {name[0]}"))
        assert town.wechat.company.openid_of("ming") not in rows
        assert key not in rows
        assert code["code"] not in rows


@pytest.mark.parametrize("is_apart", [False, True])
async def test_of_many_who_bind_one_account_at_once_exactly_one_has_it(tmp_path: Path, is_apart: bool) -> None:
    async with Town(tmp_path, is_apart=is_apart) as town:
        crowd = [await town.sign_in() for _ in range(8)]
        codes = [code_of(town, "shared") for _ in crowd]

        answers = await asyncio.gather(
            *(one.send("PUT", "/v1/me/wechat", code) for one, code in zip(crowd, codes, strict=True))
        )
        session = await done(town.client.post("/v1/wechat/sessions", json=code_of(town, "shared")), 201)

        won = [one.id for one, answer in zip(crowd, answers, strict=True) if answer.status_code == 200]
        lost = [answer.json()["code"] for answer in answers if answer.status_code != 200]
        assert (len(won), lost) == (1, ["people/wechat-taken"] * 7)
        assert [person_id for person_id, _ in town.writers.desks[0].database.rows(USERS)] == won
        assert session["person_id"] == won[0]


async def test_one_who_binds_two_accounts_at_once_has_one_of_them(town: Town) -> None:
    ming = await town.sign_in()

    await asyncio.gather(*(bind(ming, town, user) for user in ("one", "two", "three")))
    answers = [
        await town.client.post("/v1/wechat/sessions", json=code_of(town, user)) for user in ("one", "two", "three")
    ]

    assert sorted(answer.status_code for answer in answers) == [201, 404, 404]
    assert len(town.house.platform.database.rows(USERS)) == 1


async def test_a_binding_sent_again_is_answered_alike_and_changes_nothing(town: Town) -> None:
    ming = await town.sign_in()
    code = code_of(town, "ming")
    first = await done(ming.send("PUT", "/v1/me/wechat", code, key="bind-once-1"))
    before = await town.digest()

    again = [await done(ming.send("PUT", "/v1/me/wechat", code, key=key)) for key in ("bind-once-1", "bind-once-2")]

    assert again == [first, first]
    assert await town.digest() == before


async def test_where_no_app_is_set_up_everybody_is_told_so(tmp_path: Path) -> None:
    async with Town(tmp_path, login=AbsentLogin()) as town:
        ming = await town.sign_in()

        signing_in = town.client.post("/v1/wechat/sessions", json={"code": "x"}, headers={"accept-language": "en"})
        document = await refused(signing_in, 404, "people/wechat-absent")
        await refused(ming.send("PUT", "/v1/me/wechat", {"code": "x"}), 404, "people/wechat-absent")

        assert document["title"] == "Signing in with WeChat is not set up here; sign in with phone and code."


async def test_after_erasing_the_account_is_nobodys_and_may_be_another_persons(cast: Cast) -> None:
    town = cast.town
    await bind(cast.ming, town, "ming")
    await done(cast.ming.send("DELETE", "/v1/me"))

    unknown = town.client.post("/v1/wechat/sessions", json=code_of(town, "ming"))
    await refused(unknown, 404, "people/wechat-unknown")
    assert town.house.platform.database.rows(USERS) == []
    await bind(cast.hua, town, "ming")

    assert [person_id for person_id, _ in town.house.platform.database.rows(USERS)] == [cast.hua.id]


# Paying


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompanyProcess]:
    """WeChat's sandbox, its payments and its sign-in."""
    with company_process(tmp_path_factory.mktemp("wechat")) as process:
        yield process


class Paying:
    """A house that is paid by WeChat, and WeChat's phones."""

    def __init__(self, company: CompanyProcess, folder: Path, *, is_demo: bool) -> None:
        company.forget()
        self.company = company
        secret = (company.folder / "app_secret").read_text()
        self.app = WechatApp(appid=company.merchant_file["appid"], secret=secret, gateway=company.address)
        self.payments, self.login, self.phones = (
            WeChatPay(company.merchant()),
            MiniProgram(self.app),
            PlayedPhones(self.app),
        )
        self.town = Town(
            folder, payments=self.payments, login=self.login, phones=self.phones if is_demo else None, seed=11
        )
        company.set_clock(self.town.now)  # an order may be paid there as long as its seat is held here

    async def order(self, person: Person) -> str:
        """The id of an order that is to be paid."""
        return str((await done(person.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201))["order_id"])

    def payer_of(self, payment_id: str) -> str:
        """Who is to pay, as the company noted it."""
        books = sqlite3.connect(f"file:{self.company.folder}/wechatpay.db?mode=ro", uri=True)
        try:
            ((openid,),) = books.execute("SELECT openid FROM trades WHERE out_trade_no = ?", (payment_id,)).fetchall()
        finally:
            books.close()
        return str(openid)

    async def close(self) -> None:
        """Let go of all connections."""
        await self.login.close()
        await self.phones.close()
        await self.payments.close_connections()


@pytest.fixture
async def paying(company: CompanyProcess, tmp_path: Path) -> AsyncIterator[Paying]:
    """A house where people sign in with WeChat."""
    made = Paying(company, tmp_path, is_demo=False)
    async with made.town:
        yield made
    await made.close()


async def test_a_payment_by_wechat_is_made_from_the_account_the_member_signs_in_with(paying: Paying) -> None:
    ming = await paying.town.sign_in()
    order_id = await paying.order(ming)
    unknown = ming.post(f"orders/{order_id}/pay")
    document = await refused(unknown, 409, "people/wechat-needed")
    code = await paying.phones.code_of(MINGS_PHONE)
    await done(ming.send("PUT", "/v1/me/wechat", {"code": code}))

    outcome = await done(ming.post(f"orders/{order_id}/pay"))
    again = await done(ming.post(f"orders/{order_id}/pay"))

    openid = await paying.login.openid_of(await paying.phones.code_of(MINGS_PHONE))
    assert document["title"].startswith("微信支付需要先用微信登录")
    assert (outcome["order_state"], outcome["payment_id"]) == ("created", again["payment_id"])
    assert outcome["prepay"]["paySign"]
    assert paying.payer_of(outcome["payment_id"]) == openid


async def test_wechat_takes_no_money_for_a_seat_that_is_no_longer_held(paying: Paying) -> None:
    ming = await paying.town.sign_in()
    await done(ming.send("PUT", "/v1/me/wechat", {"code": await paying.phones.code_of(MINGS_PHONE)}))
    order_id = await paying.order(ming)
    payment_id = (await done(ming.post(f"orders/{order_id}/pay")))["payment_id"]
    pay_before = datetime.fromisoformat((await done(ming.get(f"orders/{order_id}")))["pay_before"])

    paying.company.set_clock(pay_before + timedelta(minutes=1))

    assert paying.company.pay(payment_id).status_code == 400


async def test_who_binds_another_account_before_he_has_paid_pays_his_order_from_it(paying: Paying) -> None:
    ming = await paying.town.sign_in()
    await done(ming.send("PUT", "/v1/me/wechat", {"code": await paying.phones.code_of(MINGS_PHONE)}))
    order_id = await paying.order(ming)
    first = await done(ming.post(f"orders/{order_id}/pay"))
    other = PersonId("other-phone-of-ming")
    await done(ming.send("PUT", "/v1/me/wechat", {"code": await paying.phones.code_of(other)}))

    second = await done(ming.post(f"orders/{order_id}/pay"))
    by_first = paying.company.pay(first["payment_id"])
    by_second = paying.company.pay(f"{first['payment_id']}*2")
    paid = await done(ming.post(f"orders/{order_id}/pay"))

    openid = await paying.login.openid_of(await paying.phones.code_of(other))
    assert second["payment_id"] == first["payment_id"]
    assert second["prepay"]["package"] != first["prepay"]["package"]
    assert paying.payer_of(f"{first['payment_id']}*2") == openid
    assert (by_first.status_code, by_second.status_code) == (400, 200)
    assert (first["order_state"], second["order_state"], paid["order_state"]) == ("created", "created", "paid")
    assert paying.company.totals()["paid_count"] == 1


async def test_in_a_demo_who_never_signed_in_with_wechat_pays_by_the_phone_that_is_played(
    company: CompanyProcess, tmp_path: Path
) -> None:
    paying = Paying(company, tmp_path, is_demo=True)
    async with paying.town:
        ming = await paying.town.sign_in()

        outcome = await done(ming.post(f"orders/{await paying.order(ming)}/pay"))

        openid = await paying.login.openid_of(await paying.phones.code_of(PersonId(ming.id)))
        assert paying.payer_of(outcome["payment_id"]) == openid
        assert paying.town.house.platform.database.rows(USERS) == []
    await paying.close()

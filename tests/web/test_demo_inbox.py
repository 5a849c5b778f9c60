"""The demo plays the text message to who sits at its machine, and to nobody else (J3, J4)."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.journeys.conftest import Town, done
from tuanzi.base.who import Role
from tuanzi.people import ConsoleSender
from tuanzi.roles.api import Accounts, application

PHONE = "13812345678"
STAFF = ((Role.RIDER, "13800000002"),)


def browser(
    town: Town,
    inbox: ConsoleSender | None,
    *,
    client: str = "127.0.0.1",
    host: str = "localhost:8000",
    accounts: Accounts = (),
) -> httpx.AsyncClient:
    """A browser at an address, on a page of a host."""
    transport = httpx.ASGITransport(application(town.house, inbox=inbox, accounts=accounts), client=(client, 40000))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


async def sent(inbox: ConsoleSender, *, phone: str = PHONE, code: str) -> None:
    """A code is on its way."""
    await inbox.send(phone=phone, code=code, challenge_id="v_1")


async def test_the_newest_code_is_shown_at_the_machine_of_the_demo(tmp_path: Path) -> None:
    inbox = ConsoleSender(lambda line: None)
    async with Town(tmp_path) as town:
        await sent(inbox, code="111111")
        await sent(inbox, code="222222")

        mine = await done(browser(town, inbox).get("/demo/inbox", headers={"tuanzi-phone": PHONE}))
        other = await done(browser(town, inbox).get("/demo/inbox", headers={"tuanzi-phone": "13900000000"}))

    assert mine == {"is_demo": True, "code": "222222"}
    assert other == {"is_demo": True, "code": None}


@pytest.mark.parametrize(
    ("client", "host"),
    [("192.0.2.7", "localhost:8000"), ("127.0.0.1", "tuanzi.example:8000")],
    ids=["from another machine", "under another name"],
)
async def test_nobody_else_sees_a_code(tmp_path: Path, client: str, host: str) -> None:
    inbox = ConsoleSender(lambda line: None)
    async with Town(tmp_path) as town:
        await sent(inbox, code="111111")

        answer = await done(
            browser(town, inbox, client=client, host=host).get("/demo/inbox", headers={"tuanzi-phone": PHONE})
        )

    assert answer == {"is_demo": True, "code": None}


async def test_without_a_demo_there_is_nothing_to_see(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        answer = await browser(town, None).get("/demo/inbox", headers={"tuanzi-phone": PHONE})

    assert answer.json() == {"is_demo": False, "code": None}
    assert answer.headers["cache-control"] == "no-store"


async def test_whom_of_the_demo_one_may_be_is_told_at_its_machine_only(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        mine = await done(browser(town, None, accounts=STAFF).get("/demo/accounts"))
        far = await done(browser(town, None, accounts=STAFF, client="192.0.2.7").get("/demo/accounts"))
        named = await done(browser(town, None, accounts=STAFF, host="tuanzi.example:8000").get("/demo/accounts"))
        none = await done(browser(town, None).get("/demo/accounts"))

    assert mine == {"items": [{"role": "rider", "phone": "13800000002"}]}
    assert far == named == none == {"items": []}


async def test_only_so_many_codes_are_remembered() -> None:
    inbox = ConsoleSender(lambda line: None)
    for n in range(101):
        await sent(inbox, phone=f"138{n:08d}", code=f"{n:06d}")

    assert inbox.last_code("13800000000") is None
    assert (inbox.last_code("13800000001"), inbox.last_code("13800000100")) == ("000001", "000100")

"""J3: WeChat is asked who signs in, once for each code; over real HTTP, against a server that follows its papers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import uvicorn

from sandboxes.wechatlogin import Company
from tuanzi.base.ids import PersonId
from tuanzi.base.problem import Problem
from tuanzi.people import MiniProgram, PlayedPhones, WechatApp, WechatTooOften, WechatUnreachable
from tuanzi.people.problems import WechatCodeRefused, WechatUserRefused

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
SECRET = "a_secret_of_the_app"


class Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Bench:
    """Our app, the company, and logins that ask it; its clock is moved by hand."""

    def __init__(self, port: int) -> None:
        self.now = NOON
        self.company = Company("wx_tuanzi", SECRET, clock=lambda: self.now)
        self.gateway = f"http://127.0.0.1:{port}"
        self._opened: list[MiniProgram | PlayedPhones] = []

    def login(self, *, appid: str = "wx_tuanzi", secret: str = SECRET, read_s_max: float = 5) -> MiniProgram:
        login = MiniProgram(WechatApp(appid=appid, secret=secret, gateway=self.gateway), read_s_max=read_s_max)
        self._opened.append(login)
        return login

    def phones(self) -> PlayedPhones:
        phones = PlayedPhones(WechatApp(appid="wx_tuanzi", secret=SECRET, gateway=self.gateway))
        self._opened.append(phones)
        return phones

    async def close(self) -> None:
        for each in self._opened:
            await each.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    listening = socket.create_server(("127.0.0.1", 0))
    made = Bench(listening.getsockname()[1])
    config = uvicorn.Config(made.company, ws="none", lifespan="off", log_config=None, access_log=False)
    server = Quiet(config)
    serving = asyncio.create_task(server.serve([listening]))
    yield made
    await made.close()
    server.should_exit = True
    server.force_exit = True
    await serving


async def test_a_code_of_a_phone_is_its_owners_openid_the_same_each_time_and_another_in_another_app(
    bench: Bench,
) -> None:
    login = bench.login()

    first = await login.openid_of(bench.company.login("ming"))
    second = await login.openid_of(bench.company.login("ming"))
    other = await login.openid_of(bench.company.login("hua"))

    assert first == second == bench.company.openid_of("ming")
    assert len({first, other, Company("wx_other", SECRET, clock=lambda: NOON).openid_of("ming")}) == 3
    assert len(first) == 28


async def test_a_code_is_good_once_and_for_five_minutes(bench: Bench) -> None:
    login = bench.login()
    used, old = bench.company.login("ming"), bench.company.login("ming")
    await login.openid_of(used)
    bench.now += timedelta(minutes=5)

    for code in (used, old, "never-given"):
        with pytest.raises(WechatCodeRefused):
            await login.openid_of(code)


@pytest.mark.parametrize(
    ("fault", "problem", "facts"),
    [
        ("expired", WechatCodeRefused, {}),
        ("blocked", WechatUserRefused, {}),
        ("limited", WechatTooOften, {"retry_after_s": 60}),
        ("busy", WechatUnreachable, {"retry_after_s": 3}),
        ("503", WechatUnreachable, {"retry_after_s": 3}),
        ("nonsense", WechatUnreachable, {"retry_after_s": 3}),
        ("lost_request", WechatUnreachable, {"retry_after_s": 3}),
        ("lost_answer", WechatUnreachable, {"retry_after_s": 3}),
    ],
)
async def test_every_fault_is_a_refusal_that_says_what_to_do_and_is_asked_about_once(
    bench: Bench, fault: str, problem: type[Problem], facts: dict[str, int]
) -> None:
    login = bench.login()
    bench.company.faults.append(fault)
    code = bench.company.login("ming")

    with pytest.raises(problem) as refused:
        await login.openid_of(code)

    assert refused.value.facts == facts
    assert bench.company.asked == 1
    assert refused.value.__cause__ is None
    assert await login.openid_of(bench.company.login("ming")) == bench.company.openid_of("ming")


async def test_an_answer_that_was_lost_has_used_the_code_up_and_a_fresh_one_is_good(bench: Bench) -> None:
    login = bench.login()
    bench.company.faults.append("lost_answer")
    code = bench.company.login("ming")
    with pytest.raises(WechatUnreachable):
        await login.openid_of(code)

    with pytest.raises(WechatCodeRefused):
        await login.openid_of(code)
    assert await login.openid_of(bench.company.login("ming")) == bench.company.openid_of("ming")


async def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_its_time_limit(bench: Bench) -> None:
    login = bench.login(read_s_max=0.2)
    bench.company.faults.append("slow")

    async with asyncio.timeout(5):
        with pytest.raises(WechatUnreachable):
            await login.openid_of(bench.company.login("ming"))


async def test_more_than_a_hundred_a_minute_of_one_user_are_refused_until_the_minute_is_over(bench: Bench) -> None:
    login = bench.login()
    for _ in range(100):
        await login.openid_of(bench.company.login("ming"))

    with pytest.raises(WechatTooOften):
        await login.openid_of(bench.company.login("ming"))
    await login.openid_of(bench.company.login("hua"))
    bench.now += timedelta(minutes=1)
    await login.openid_of(bench.company.login("ming"))


@pytest.mark.parametrize(("changed", "errcode"), [({"secret": "wrong"}, 40125), ({"appid": "wx_other"}, 40013)])
async def test_what_is_wrong_with_ourselves_is_logged_for_who_can_mend_it(
    bench: Bench, caplog: pytest.LogCaptureFixture, changed: dict[str, str], errcode: int
) -> None:
    with pytest.raises(WechatUnreachable):
        await bench.login(**changed).openid_of(bench.company.login("ming"))

    (line,) = [record for record in caplog.records if record.name == "tuanzi.people"]
    assert (line.levelno, line.getMessage(), vars(line)["errcode"]) == (logging.ERROR, "people.wechat_refused", errcode)


async def test_no_log_holds_a_secret_a_code_an_openid_or_a_session_key(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    login = bench.login()
    codes = [bench.company.login("ming") for _ in range(3)]

    await login.openid_of(codes[0])
    for fault, code in (("lost_answer", codes[1]), ("busy", codes[2])):
        bench.company.faults.append(fault)
        with pytest.raises(WechatUnreachable) as refused:
            await login.openid_of(code)
        assert not [word for word in (SECRET, code) if word in repr(refused.value)]

    ours = [f"{record.getMessage()} {vars(record)}" for record in caplog.records if "uvicorn" not in record.name]
    hidden = [SECRET, *codes, bench.company.openid_of("ming"), *bench.company.session_keys.values()]
    assert bench.company.session_keys
    assert not [line for line in ours for word in hidden if word in line]
    assert SECRET not in repr(WechatApp(appid="wx_tuanzi", secret=SECRET))


async def test_the_phones_of_a_demo_give_codes_of_their_own_accounts(bench: Bench) -> None:
    login, phones = bench.login(), bench.phones()

    openids = [await login.openid_of(await phones.code_of(PersonId(name))) for name in ("p_1", "p_2", "p_1")]

    assert openids == [bench.company.openid_of(name) for name in ("p_1", "p_2", "p_1")]


async def test_the_company_says_what_is_wrong_as_its_papers_do(bench: Bench) -> None:
    code = bench.company.login("ming")
    good = {"appid": "wx_tuanzi", "secret": SECRET, "js_code": code, "grant_type": "authorization_code"}
    wrong = [
        ("appid", "", 41002),
        ("appid", "wx_other", 40013),
        ("secret", "", 41004),
        ("secret", "no", 40125),
        ("js_code", "", 41008),
        ("js_code", "no", 40029),
        ("grant_type", "client_credential", 40002),
    ]
    async with httpx.AsyncClient(base_url=bench.gateway, trust_env=False) as client:
        said = [(await client.get("/sns/jscode2session", params=good | {name: value})) for name, value, _ in wrong]
        posted = await client.post("/sns/jscode2session", params=good)
        right = await client.get("/sns/jscode2session", params=good)
        again = await client.get("/sns/jscode2session", params=good)

    assert [answer.json()["errcode"] for answer in said] == [errcode for _, _, errcode in wrong]
    assert {answer.status_code for answer in said} == {200}
    assert posted.json()["errcode"] == 43001
    assert (set(right.json()), right.headers["content-type"]) == ({"openid", "session_key"}, "text/plain")
    assert again.json()["errcode"] == 40163

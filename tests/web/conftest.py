"""Browsers before a real house: students who use the pages, and students who only speak HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, ViewportSize, expect

from servers.process import free_ports
from tests.web.texts import Texts

ROOT = Path(__file__).parents[2]
BUILT = [ROOT / f"src/tuanzi/roles/pages/{pages}/index.html" for pages in ("student", "console")]
PHONE = ViewportSize(width=390, height=844)
DESK = ViewportSize(width=1280, height=800)
# What a browser needs where it runs as root and no network but this machine is to be reached.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 20_000
# Wherever nothing else is said: Playwright's own five seconds are few where others work too.
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """The machine's own browser; none is downloaded."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "these tests need Chromium: `make browser` installs it on Debian"
    return {"executable_path": path, "args": FLAGS}


class PagesHouse:
    """A house in a process of its own, and what tests ask of it besides its pages."""

    def __init__(self, folder: Path, *, campuses: str = "beijing") -> None:
        assert all(page.exists() for page in BUILT), "the pages are not built: `make pages`"
        self.port, live_port = free_ports(2)
        self.data = folder / "data"
        self._log = (folder / "log").open("wb")
        words = [sys.executable, "-m", "tests.web.serving"]
        words += [str(self.port), str(live_port), str(folder / "data"), campuses]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        self.process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", (folder / "log").read_text()
        self.serves_at(f"http://127.0.0.1:{self.port}")

    def serves_at(self, address: str) -> None:
        """Know where it answers, and nobody there yet."""
        self.address = address
        self.client = httpx.Client(base_url=self.address, timeout=20)
        self._phones = count(13700000000)
        self._keys = count()
        self._operator: str | None = None

    def pass_time(self, *, seconds: float) -> None:
        """Move the house's clock; what is due has happened."""
        self._tell(str(seconds))

    def refuse_refunds(self, times: int) -> None:
        """Have the payment company refuse the next refunds, so many."""
        self._tell(f"refuse {times}")

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"heard\n"

    def next_phone(self) -> str:
        """A number nobody has."""
        return str(next(self._phones))

    def student(self) -> Student:
        """Somebody who signed in over HTTP."""
        return self.student_with(self.next_phone())

    def student_with(self, phone: str) -> Student:
        """The one who has this phone, signed in over HTTP."""
        return Student(self, self._sign_in(phone)["token"])

    def hire(self, role: str, *, merchant_id: str | None = None) -> dict[str, Any]:
        """Somebody whom an operator gave a role; gives his session, as the console keeps it."""
        hired = self._sign_in(self.next_phone())
        body = {"roles": [role], "merchant_id": merchant_id}
        self._put(f"/v1/people/{hired['person_id']}/roles", body)
        return {**hired, **body}

    def put_campaign(self, id: str, *, like: str, state: str, guest_campuses: Sequence[str] = ()) -> None:
        """A campaign of Beijing is as another one now, in this state, and takes guests of these campuses."""
        campaigns = "/v1/campuses/beijing/campaigns"
        entry = self.client.get(f"{campaigns}/{like}").raise_for_status().json()
        self._put(f"{campaigns}/{id}", {**entry, "id": id, "state": state, "guest_campuses": [*guest_campuses]})

    def bring(self, sub_order_id: str) -> None:
        """An operator says that a sub-order, which is ready, was picked up and brought."""
        for step in ("pick-up", "deliver"):
            self._operate("POST", f"/v1/campuses/beijing/sub-orders/{sub_order_id}/{step}", {})

    def put_hours(self, merchant_id: str, *, opens_minute: int, closes_minute: int) -> None:
        """A kitchen of Beijing cooks from then to then, every day."""
        path = f"/v1/campuses/beijing/merchants/{merchant_id}"
        entry = self.client.get(path).raise_for_status().json()
        span = {"opens_minute": opens_minute, "closes_minute": closes_minute}
        self._put(path, {**entry, "hours": [[span]] * 7})

    def _put(self, path: str, body: dict[str, Any]) -> None:
        """What an operator puts."""
        self._operate("PUT", path, body)

    def _operate(self, method: str, path: str, body: dict[str, Any]) -> None:
        if self._operator is None:
            self._operator = self._sign_in("13800000000")["token"]
        headers = {"authorization": f"Bearer {self._operator}", "idempotency-key": f"operator-{next(self._keys)}"}
        self.client.request(method, path, json=body, headers=headers).raise_for_status()

    def _sign_in(self, phone: str) -> dict[str, Any]:
        def newest() -> str | None:
            code: str | None = self.client.get("/demo/inbox", headers={"tuanzi-phone": phone}).json()["code"]
            return code

        before = newest()  # of another test, and used
        self.client.post("/v1/codes", json={"phone": phone, "campus_id": "beijing"}).raise_for_status()
        code = before
        while code == before:
            code = newest()
        return dict(self.client.post("/v1/sessions", json={"phone": phone, "code": code}).raise_for_status().json())

    def stop(self) -> None:
        """Let it end as an operator would."""
        self.client.close()
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=60) == 0
        self._log.close()


class Student:
    """A student without a browser."""

    def __init__(self, house: PagesHouse, token: str) -> None:
        self._house = house
        self._token = token

    @property
    def headers(self) -> dict[str, str]:
        """What his requests say of him."""
        return {"authorization": f"Bearer {self._token}"}

    def post(self, path: str, body: Any) -> Any:
        """POST to the campus; gives the answer, which must be good."""
        answer = self.send(path, body)
        assert answer.is_success, answer.text
        return answer.json()

    def send(self, path: str, body: Any) -> httpx.Response:
        """POST to the campus."""
        headers = {
            "authorization": f"Bearer {self._token}",
            "idempotency-key": f"{self._token[:12]}-{next(self._house._keys)}",
        }
        return self._house.client.post(f"/v1/campuses/beijing/{path}", json=body, headers=headers)

    def bind_wechat(self, code: str) -> httpx.Response:
        """Bind the WeChat whose code this is, as the mini program does."""
        headers = {**self.headers, "idempotency-key": f"bind-{code}-{next(self._house._keys)}"}
        return self._house.client.put("/v1/me/wechat", json={"code": code}, headers=headers)

    def open_group(self, campaign: str, *, building: str = "bj-dorm-01", dish: str = "bj-m01-d01") -> str:
        """Open a group and pay; gives its id."""
        lines = [{"dish_id": dish, "quantity": 1}]
        opened = self.post("groups", {"campaign_id": campaign, "building_id": building, "lines": lines})
        self.post(f"orders/{opened['order_id']}/pay", {})
        return str(opened["group_id"])

    def try_join(self, group_id: str, *, dish: str) -> httpx.Response:
        """Ask for a seat in a group, which may be refused."""
        return self.send(f"groups/{group_id}/orders", {"lines": [{"dish_id": dish, "quantity": 1}]})

    def join(self, group_id: str, *, dish: str = "bj-m01-d02") -> None:
        """Join a group and pay."""
        joined = self.post(f"groups/{group_id}/orders", {"lines": [{"dish_id": dish, "quantity": 1}]})
        self.post(f"orders/{joined['order_id']}/pay", {})


class Window:
    """A student's browser window; whatever it complains about is kept."""

    def __init__(self, house: PagesHouse, context: BrowserContext) -> None:
        self.house = house
        self.context = context
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        context.on("request", self._see)

    def go(self, place: str = "today/today") -> None:
        """Open a page by its address, anew."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.house.address}/m/#/pages/{place}")

    def press(self, name: str, *, exact: bool = True, nth: int = 0) -> None:
        """Press a button by its name, as soon as it is there."""
        self.button(name, exact=exact).nth(nth).click()

    def button(self, name: str, *, exact: bool = True) -> Any:
        """A button by its name; pages behind the one that is seen do not count."""
        return self.page.locator("uni-page:visible").get_by_role("button", name=name, exact=exact)

    def sees(self, text: str) -> None:
        """Wait until a text can be seen."""
        expect(self.page.locator("uni-page:visible").get_by_text(text).first).to_be_visible(timeout=WAIT_MS)

    def sign_in(self, *, building: str = "松园1号楼") -> None:
        """Sign in with the code of the played text message, and say where one lives."""
        self.go("signin/signin")
        self.page.locator("input[type=tel]").fill(self.house.next_phone())
        self.press("获取验证码")
        self.press("填入验证码")
        self.press("登录")
        self.press("送到：选择楼栋，点按更换")
        self.press(building)
        self.sees("现在吃什么")

    def student(self) -> Student:
        """The one who is signed in here, without the browser."""
        token = self.page.evaluate("JSON.parse(localStorage['tuanzi.account']).data.token")
        return Student(self.house, token)

    def keep_screen(self, name: str) -> None:
        """Keep a picture for the papers, where TUANZI_SCREENS says."""
        if folder := os.environ.get("TUANZI_SCREENS"):
            self.page.wait_for_timeout(700)  # what moves has come to rest
            self.page.screenshot(path=ROOT / folder / f"{name}.png", animations="disabled")

    def _hear(self, message: ConsoleMessage) -> None:
        # A refusal is an answer too; the browser says so of every one.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _see(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")):
            self.complaints.append(f"asked {request.url}")


class ConsoleWindow(Window):
    """A window of somebody who works: a merchant, a rider, an operator."""

    def __init__(self, house: PagesHouse, context: BrowserContext, *, language: str = "zh-CN") -> None:
        super().__init__(house, context)
        self.say = Texts("console", language)

    def go(self, place: str = "") -> None:
        """Open a screen of the console by its address, anew."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.house.address}/console/#/{place}")

    def button(self, name: str, *, exact: bool = True) -> Any:
        """A button by its name."""
        return self.page.get_by_role("button", name=name, exact=exact)

    def sees(self, text: str) -> None:
        """Wait until a text can be seen."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=WAIT_MS)

    def enter(self, phone: str) -> None:
        """Sign in with this phone and the code of the played text message."""
        self.go()
        self.page.get_by_label(self.say("phone"), exact=True).fill(phone)
        self.press(self.say("codeAsk"))
        self.press(self.say("demoFill"))
        self.press(self.say("signIn"))
        expect(self.button(self.say("signOut"))).to_be_visible(timeout=WAIT_MS)

    def enter_as(self, hired: Mapping[str, Any], place: str = "") -> None:
        """Open a screen as somebody whose session is kept in this browser."""
        account = json.dumps(json.dumps(hired))
        keep = f"localStorage.setItem('tuanzi.console.account', {account})"
        self.page.add_init_script(f"location.protocol === 'http:' && {keep}")
        self.go(place)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesHouse]:
    """A house that serves the pages."""
    house = PagesHouse(tmp_path_factory.mktemp("pages"))
    yield house
    house.stop()


@pytest.fixture
def windows(house: PagesHouse, browser: Browser) -> Iterator[list[Window]]:
    """Two windows of two students; nothing may have gone wrong in them, and nothing foreign been asked."""
    opened = [
        Window(house, browser.new_context(viewport=PHONE, locale="zh-CN", is_mobile=True, has_touch=True))
        for _ in range(2)
    ]
    yield opened
    complaints = [line for window in opened for line in window.complaints]
    for window in opened:
        window.context.close()
    assert complaints == []


@pytest.fixture
def console(house: PagesHouse, browser: Browser) -> Iterator[ConsoleWindow]:
    """A window of the console on a desk; nothing may have gone wrong in it, and nothing foreign been asked."""
    window = ConsoleWindow(house, browser.new_context(viewport=DESK, locale="zh-CN"))
    yield window
    window.context.close()
    assert window.complaints == []


@pytest.fixture
def window(windows: list[Window]) -> Window:
    """One of them."""
    return windows[0]

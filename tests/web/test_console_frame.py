"""Whoever works signs in at the console, in either language, and finds what is his (J1, J3)."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.web.conftest import ROOT, WAIT_MS, ConsoleWindow, PagesHouse
from tests.web.test_everybody_can_use_them import FIND_FAULTS


def test_who_has_no_role_is_told_whom_to_ask(house: PagesHouse, console: ConsoleWindow) -> None:
    console.enter(house.next_phone())

    console.sees("请联系平台运营开通")
    expect(console.page.get_by_role("link", name="去学生端点餐")).to_have_attribute("href", "/m/")


def test_who_is_not_signed_in_signs_in_first_and_comes_to_where_he_wanted(
    house: PagesHouse, console: ConsoleWindow
) -> None:
    console.go("operator/nowhere")

    expect(console.page.get_by_role("heading", name="团子工作台")).to_be_visible(timeout=WAIT_MS)
    console.keep_screen("console-signin")
    assert "to=/operator/nowhere" in console.page.url.replace("%2F", "/")


def test_who_signs_out_is_out_and_his_token_opens_nothing_any_more(house: PagesHouse, console: ConsoleWindow) -> None:
    console.enter(house.next_phone())
    kept = console.page.evaluate("JSON.parse(localStorage.getItem('tuanzi.console.account')).token")

    console.press("退出登录")

    expect(console.button("登录")).to_be_visible(timeout=WAIT_MS)
    assert console.page.evaluate("localStorage.getItem('tuanzi.console.account')") is None
    assert house.client.get("/v1/me", headers={"authorization": f"Bearer {kept}"}).status_code == 401


def test_the_console_speaks_the_language_that_was_chosen_and_remembers_it(
    house: PagesHouse, console: ConsoleWindow
) -> None:
    console.go()
    console.press("English")
    console.sees("Where kitchens, riders and operators start their day")

    console.go()

    console.sees("Where kitchens, riders and operators start their day")
    console.keep_screen("console-signin-en")
    assert console.page.evaluate("document.documentElement.lang") == "en"
    assert console.page.title() == "Tuanzi console"


def test_a_cut_line_is_said_and_mended(house: PagesHouse, console: ConsoleWindow) -> None:
    console.enter(house.next_phone())
    expect(console.page.get_by_text("实时", exact=True)).to_be_visible(timeout=WAIT_MS)

    console.context.set_offline(True)
    console.sees("定时刷新")
    console.context.set_offline(False)

    expect(console.page.get_by_text("实时", exact=True)).to_be_visible(timeout=WAIT_MS)
    # What the browser says of a line that was cut on purpose.
    console.complaints[:] = [line for line in console.complaints if "ERR_INTERNET_DISCONNECTED" not in line]


@pytest.mark.parametrize("place", ["sign-in", ""])
def test_the_frame_has_no_serious_fault_of_accessibility(house: PagesHouse, console: ConsoleWindow, place: str) -> None:
    console.page.emulate_media(reduced_motion="reduce")
    if not place:
        console.enter(house.next_phone())
    console.go(place)
    expect(console.page.get_by_role("heading", level=1)).to_have_count(1, timeout=WAIT_MS)

    console.page.evaluate((ROOT / "web/student/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8"))

    assert console.page.evaluate(FIND_FAULTS) == []

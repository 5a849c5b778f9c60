"""B4, B7: an operator of the platform works on one campus at a time; each has price rules of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.web.conftest import DESK, WAIT_MS, ConsoleWindow, PagesHouse
from tests.web.test_operator_console import choose


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesHouse]:
    """A house with two campuses."""
    house = PagesHouse(tmp_path_factory.mktemp("campuses"), campuses="beijing,shanghai")
    yield house
    house.stop()


@pytest.fixture(scope="module")
def operator(house: PagesHouse, browser: Browser) -> Iterator[ConsoleWindow]:
    """The operator of the platform; nothing may have gone wrong in his window."""
    window = ConsoleWindow(house, browser.new_context(viewport=DESK, locale="zh-CN"))
    window.enter("13800000000")
    yield window
    window.context.close()
    assert window.complaints == []


def test_price_rules_are_taken_to_another_campus_as_a_draft_of_its_own(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    page = operator.page
    operator.go("operator/rules")
    operator.press("以 v0 为底新建")
    operator.press("加规则")
    choose(operator, "只限商家", "学一食堂盖饭窗口")
    operator.press("保存为新版本")
    expect(page.get_by_role("heading", name="v1")).to_be_visible(timeout=WAIT_MS)

    choose(operator, "带到其他校区", "青团大学上海校区")
    status = page.get_by_role("status").filter(has_text="规则来自")
    expect(status).to_contain_text("保存后只属于本校区", timeout=WAIT_MS)
    expect(status).to_contain_text(re.compile("本校区没有：bj-m"), timeout=WAIT_MS)
    operator.keep_screen("console-rules-carried")
    operator.press("保存为新版本")
    expect(page.get_by_role("heading", name="v1")).to_be_visible(timeout=WAIT_MS)

    token = page.evaluate("JSON.parse(localStorage.getItem('tuanzi.console.account')).token")
    headers = {"authorization": f"Bearer {token}"}
    there, here = (
        house.client.get(f"/v1/campuses/{campus}/pricing/versions", headers=headers).raise_for_status().json()
        for campus in ("shanghai", "beijing")
    )
    assert [(one["version"], one["is_active"]) for one in there["items"]] == [(1, False)]
    assert re.fullmatch("来自.+ v1", there["items"][0]["note"])
    assert [one["note"] for one in here["items"]] == [""]


def test_where_there_is_nothing_yet_a_screen_says_so_in_its_middle(operator: ConsoleWindow) -> None:
    operator.go("operator/books")
    operator.sees("没有差异：各本账一致")

    left, right, middle = operator.page.evaluate("""() => {
        const said = [...document.querySelectorAll('div.words')].find(each => each.checkVisibility())
        const pane = said.closest('.el-tab-pane').getBoundingClientRect(), own = said.getBoundingClientRect()
        return [pane.left, pane.right, (own.left + own.right) / 2]
    }""")

    assert abs(middle - (left + right) / 2) < 1
    assert right - left > DESK["width"] / 2

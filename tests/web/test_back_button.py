"""On a phone, back closes the sheet that is open; only then does it leave the page (J1)."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.web.conftest import PagesHouse, Window
from tests.web.test_student_journeys import fill_cart, group_in


def is_closed(window: Window, title: str) -> None:
    """No sheet of this title is seen."""
    expect(window.page.get_by_role("dialog", name=title, exact=True)).to_have_count(0)


def is_open(window: Window, title: str) -> None:
    """It is."""
    expect(window.page.get_by_role("dialog", name=title, exact=True)).to_be_visible()


def test_back_closes_a_sheet_first_and_then_leaves_the_page(house: PagesHouse, window: Window) -> None:
    group_id = house.student().open_group("trio", building="bj-dorm-07")
    window.sign_in(building="竹园7号楼")
    window.go("mine/mine")
    window.page.evaluate(f"location.hash = '#/pages/group/group?campus=beijing&id={group_id}'")
    window.press("参团（还有 2 个名额）")
    fill_cart(window, dish="宫保鸡丁饭")
    window.press("锁定名额")
    is_open(window, "支付")

    window.page.go_back()
    is_closed(window, "支付")
    assert group_in(window) == group_id
    window.press("去支付", exact=False)
    is_open(window, "支付")
    window.page.go_back()
    is_closed(window, "支付")

    # One that is closed by its cross, or by Escape, needs no press more.
    window.press("去支付", exact=False)
    window.press("关闭")
    is_closed(window, "支付")
    window.press("去支付", exact=False)
    is_open(window, "支付")
    expect(window.page.get_by_role("dialog", name="支付", exact=True)).to_be_focused()  # a slow machine shows it late
    window.page.keyboard.press("Escape")
    is_closed(window, "支付")
    window.page.wait_for_timeout(300)  # what the history still has to do
    window.page.go_back()
    window.page.wait_for_url(re.compile("menu/menu"))
    window.sees("选菜")


def test_a_sheet_that_opens_when_another_closes_is_closed_by_one_press_too(house: PagesHouse, window: Window) -> None:
    window.sign_in(building="竹园8号楼")
    window.go("menu/menu?campaign=trio")
    fill_cart(window)
    window.press("开团并锁定名额")
    is_open(window, "支付")
    group_id = group_in(window)
    window.press("立即支付")
    window.sees("拼团立减")
    is_closed(window, "支付")
    window.page.go_back()

    expect(window.page.get_by_text("拼团立减")).to_have_count(0)
    window.sees("还差 2 人成团")
    assert group_in(window) == group_id
    window.page.go_back()
    window.page.wait_for_url(re.compile("menu/menu"))


def test_a_page_that_a_sheet_leads_to_is_left_to_the_page_of_the_sheet(house: PagesHouse, window: Window) -> None:
    group_id = house.student().open_group("trio", building="bj-dorm-06")
    house.student().join(group_id)
    window.sign_in(building="竹园6号楼")
    window.go(f"group/group?campus=beijing&id={group_id}")
    window.press("参团（还有 1 个名额）")
    fill_cart(window)
    house.student().join(group_id)
    window.press("锁定名额")
    window.sees("被抢先一步")

    window.press("为我开一个新团")
    window.sees("选菜")
    window.page.go_back()

    assert group_in(window) == group_id
    is_closed(window, "被抢先一步")
    window.sees("3 人成团")


def test_a_page_read_anew_while_a_sheet_was_open_needs_no_press_more(house: PagesHouse, window: Window) -> None:
    window.sign_in(building="松园2号楼")
    window.go("me/me")
    window.page.evaluate("location.hash = '#/pages/privacy/privacy'")
    window.press("注销账号")
    is_open(window, "真的要注销吗？")

    window.page.reload()
    window.sees("注销账号")
    window.page.wait_for_timeout(300)
    window.page.go_back()

    window.page.wait_for_url(re.compile("me/me"))

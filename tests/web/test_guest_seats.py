"""A student of another campus opens a shared link, is told what it means, joins and pays there, in a browser (B7)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.web.conftest import PHONE, WAIT_MS, PagesHouse, Window
from tests.web.test_student_journeys import pay


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesHouse]:
    """A house with two campuses; the trio of Beijing takes guests of Shanghai, the duo does not."""
    house = PagesHouse(tmp_path_factory.mktemp("guests"), campuses="beijing,shanghai")
    house.put_campaign("trio", like="trio", state="live", guest_campuses=["shanghai"])
    yield house
    house.stop()


@pytest.fixture
def guest(house: PagesHouse, browser: Browser) -> Iterator[Window]:
    """A window of somebody who lives in Shanghai; nothing may have gone wrong in it."""
    window = Window(house, browser.new_context(viewport=PHONE, locale="zh-CN", is_mobile=True, has_touch=True))
    yield window
    window.context.close()
    assert window.complaints == []


def sign_in_of_shanghai(window: Window) -> None:
    """Sign in on the page that asks for it, as a student of Shanghai."""
    window.press("青团大学上海校区")
    window.page.locator("uni-page:visible input[type=tel]").fill(window.house.next_phone())
    window.press("获取验证码")
    window.press("填入验证码")
    window.press("登录")


def choose_pork(window: Window) -> None:
    """One portion of a dish of Shanghai, to one's own building there; what it costs is known."""
    window.press("加一份 红烧肉饭")
    window.press("去结算")
    window.press("选择")
    window.press("桂苑1号楼")
    window.sees("人越多越省")


def test_a_student_of_another_campus_follows_a_link_joins_pays_and_sees_the_group_form(
    house: PagesHouse, guest: Window
) -> None:
    group_id = house.student().open_group("trio")
    link = f"group/group?campus=beijing&id={group_id}"
    guest.go(link)
    guest.press("参团（还有 2 个名额）")
    sign_in_of_shanghai(guest)

    guest.sees("跨校参团")
    guest.sees("这是青团大学北京校区的团。你点的是青团大学上海校区的菜，送到你自己的楼")
    guest.sees("青团大学北京校区 · 松园1号楼")
    guest.sees("三人小团")
    guest.keep_screen("guest-group")
    guest.press("跨校参团（还有 2 个名额）")
    choose_pork(guest)
    # 20.00 less 12 %, and a third of 6.00 for the delivery.
    guest.sees("¥19.60")
    guest.keep_screen("guest-checkout")
    guest.press("锁定名额")
    guest.sees("立即支付")
    pay(guest)
    guest.sees("还差 1 人成团")
    guest.sees("邀请好友，还差 1 人")
    guest.keep_screen("guest-seated")

    # From his orders he comes to the same whole group.
    guest.go("mine/mine")
    guest.page.locator("uni-page:visible").get_by_text("红烧肉饭").first.click()
    guest.sees("这是青团大学北京校区的团")
    guest.sees("还差 1 人成团")
    house.student().join(group_id)

    guest.sees("3 人成团，开始备餐")
    guest.press("查看订单")
    guest.sees("送到 桂苑1号楼")
    guest.sees("本校区合计")  # of the others' orders his campus knows nothing
    guest.sees("¥19.60")
    guest.keep_screen("guest-order")


def test_a_guest_leaves_again_before_the_group_forms(house: PagesHouse, guest: Window) -> None:
    group_id = house.student().open_group("trio")
    guest.go("signin/signin")
    sign_in_of_shanghai(guest)
    guest.sees("现在吃什么")
    guest.go(f"group/group?campus=beijing&id={group_id}")
    guest.press("跨校参团（还有 2 个名额）")
    choose_pork(guest)
    guest.press("锁定名额")
    pay(guest)

    guest.press("退出拼团")
    guest.press("退出")

    guest.press("跨校参团（还有 2 个名额）")
    guest.sees("选菜")


def test_who_may_be_no_guest_is_told_so(house: PagesHouse, guest: Window) -> None:
    group_id = house.student().open_group("duo")
    guest.go("signin/signin")
    sign_in_of_shanghai(guest)
    guest.sees("现在吃什么")

    guest.go(f"group/group?campus=beijing&id={group_id}")

    guest.sees("不接受你所在校区的同学")
    guest.keep_screen("guest-not-taken")
    guest.press("看看别的团")
    guest.sees("现在吃什么")


def test_a_guest_whom_somebody_was_faster_than_is_sent_to_groups_of_his_own_campus(
    house: PagesHouse, guest: Window
) -> None:
    group_id = house.student().open_group("trio")
    house.student().join(group_id)
    guest.go("signin/signin")
    sign_in_of_shanghai(guest)
    guest.sees("现在吃什么")
    guest.go(f"group/group?campus=beijing&id={group_id}")
    guest.press("跨校参团（还有 1 个名额）")
    choose_pork(guest)
    house.student().join(group_id)

    guest.press("锁定名额")

    guest.sees("被抢先一步")
    guest.sees("可以看看自己校区的团")
    expect(guest.button("为我开一个新团")).to_have_count(0, timeout=WAIT_MS)
    guest.press("看看别的团", nth=1)  # the page behind offers the same
    guest.sees("现在吃什么")

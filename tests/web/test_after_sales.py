"""Who is not content with a meal says so in a browser, reads what became of it, and takes it back (B8, J1)."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.web.conftest import WAIT_MS, PagesHouse, Student, Window

ORDERS = "/v1/campuses/beijing/orders"


def brought(house: PagesHouse, window: Window) -> tuple[str, Student]:
    """An order of who is signed in, open in his window while it is brought; and an operator."""
    me = window.student()
    group_id = me.open_group("trio")
    for _ in range(2):
        house.student().join(group_id)
    mine = house.client.get(ORDERS, headers=me.headers).json()["items"]
    order_id = mine[0]["order_id"]
    window.go(f"order/order?id={order_id}")
    window.sees("待接单")
    house.pass_time(seconds=61)  # the operator's last code may have been asked for by another test
    staff = Student(house, house.hire("operator")["token"])
    for step in ("accept", "cook", "ready", "pick-up", "deliver"):
        staff.post(f"sub-orders/{order_id}.1/{step}", {})
    return order_id, staff


def complain(window: Window, words: str) -> None:
    """Say what is wrong with the order that is shown."""
    window.press("有问题")
    window.page.get_by_label("哪里不对？").locator("visible=true").last.fill(words)
    window.press("提交售后")


def after_sale(house: PagesHouse, order_id: str, staff: Student) -> dict[str, Any]:
    """What operators read of it."""
    answer = house.client.get(f"{ORDERS}/{order_id}/after-sale", headers=staff.headers)
    return dict(answer.raise_for_status().json())


def test_who_is_not_content_says_what_is_wrong(house: PagesHouse, window: Window) -> None:
    window.sign_in()
    order_id, staff = brought(house, window)

    complain(window, "汤洒了一半，打 13812345678")
    expect(window.page.get_by_text("文字中含有手机号").first).to_be_visible(timeout=WAIT_MS)
    window.page.get_by_label("哪里不对？").locator("visible=true").last.fill("汤洒了一半")
    window.keep_screen("complaint")
    window.press("提交售后")

    window.sees("售后中")
    window.sees("等待处理")
    window.sees("汤洒了一半")
    assert after_sale(house, order_id, staff)["reason"] == "汤洒了一半"

    staff.post(f"orders/{order_id}/after-sale/decision", {"amount_fen": 300})
    window.sees("已处理完毕")
    window.sees("售后退款")
    window.keep_screen("after-sale-decided")
    expect(window.button("撤销售后")).to_have_count(0)


def test_who_is_content_after_all_takes_it_back_and_may_ask_again(house: PagesHouse, window: Window) -> None:
    window.sign_in()
    order_id, staff = brought(house, window)
    complain(window, "")
    window.sees("等待处理")
    window.sees("提交时间")  # also where nothing was said

    window.press("撤销售后")
    window.keep_screen("after-sale-withdraw")
    window.press("继续等待")
    assert after_sale(house, order_id, staff)["withdrawn_at"] is None
    window.press("撤销售后")
    window.press("撤销")

    window.sees("已撤销")
    window.sees("已完成")
    window.keep_screen("after-sale-withdrawn")
    assert after_sale(house, order_id, staff)["withdrawn_at"] is not None
    complain(window, "还有一份没到")
    window.sees("等待处理")
    expect(window.page.get_by_role("dialog")).to_have_count(0)
    assert after_sale(house, order_id, staff)["reason"] == "还有一份没到"


def test_in_two_tabs_of_one_student_each_shows_what_the_other_did(house: PagesHouse, window: Window) -> None:
    window.sign_in()
    order_id, staff = brought(house, window)
    other = Window(house, window.context)
    other.go(f"order/order?id={order_id}")
    other.sees("已送达")
    other.press("有问题")

    window.press("我拿到了")
    window.sees("已完成")
    other.sees("哪里不对？")
    other.press("提交售后")
    other.sees("等待处理")
    window.sees("等待处理")

    for each in (window, other):
        each.press("撤销售后")
    window.press("撤销")
    window.sees("已撤销")
    other.sees("已撤销")
    expect(other.button("撤销")).to_have_count(0)
    assert after_sale(house, order_id, staff)["withdrawn_at"] is not None
    assert other.complaints == []

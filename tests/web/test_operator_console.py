"""An operator works at the console: a campus at a glance, orders, groups, splits, books, rules, people (J1, B3, C3)."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Response, Route, expect

from simulation.living import OPERATOR_PHONE
from tests.web.conftest import DESK, ROOT, WAIT_MS, ConsoleWindow, PagesHouse
from tests.web.test_everybody_can_use_them import FIND_FAULTS

ACCOUNT = "tuanzi.console.account"
SCREENS = ("overview", "orders", "groups", "splits", "books", "rules", "coupons", "campaigns", "terms", "people")


@pytest.fixture(scope="module")
def account(house: PagesHouse, browser: Browser) -> str:
    """What the browser of the demo's operator keeps once he has signed in, with his phone and the code sent to it."""
    window = ConsoleWindow(house, browser.new_context(viewport=DESK, locale="zh-CN"))
    house.pass_time(seconds=61)  # his last code may have been asked for by another test
    window.enter(OPERATOR_PHONE)
    window.sees("实时总览")
    kept = window.page.evaluate(f"localStorage.getItem('{ACCOUNT}')")
    window.context.close()
    assert window.complaints == []
    house.pass_time(seconds=61)  # and the next one may be by whoever hires
    return str(kept)


@pytest.fixture
def operator(house: PagesHouse, browser: Browser, account: str) -> Iterator[ConsoleWindow]:
    """A window of the operator, who signed in before; nothing may go wrong in it, and nothing foreign be asked."""
    kept = {"origin": house.address, "localStorage": [{"name": ACCOUNT, "value": account}]}
    context = browser.new_context(viewport=DESK, locale="zh-CN", storage_state={"origins": [kept]})  # type: ignore
    window = ConsoleWindow(house, context)
    yield window
    window.context.close()
    assert window.complaints == []


def closed_group(house: PagesHouse) -> str:
    """A group of three that is closed, and whose split is confirmed."""
    group_id = house.student().open_group("trio")
    house.student().join(group_id)
    house.student().join(group_id, dish="bj-m02-d03")
    until(lambda: rows(house, "core", f"SELECT state FROM splits WHERE group_id = '{group_id}'") == [("confirmed",)])
    return group_id


def advance(house: PagesHouse, sub_order_id: str, *steps: str) -> None:
    """Have the shop of the rice bowls move one of its sub-orders on."""
    token = house.hire("merchant", merchant_id="bj-m01")["token"]
    for step in steps:
        headers = {"authorization": f"Bearer {token}", "idempotency-key": f"{step}-{sub_order_id}"}
        path = f"/v1/campuses/beijing/sub-orders/{sub_order_id}/{step}"
        house.client.post(path, json={}, headers=headers).raise_for_status()


def rows(house: PagesHouse, database: str, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the house's files, as an auditor would read them."""
    with sqlite3.connect(f"file:{house.data}/beijing/{database}.db?mode=ro", uri=True) as file:
        return file.execute(sql).fetchall()


def plant(house: PagesHouse, database: str, sql: str) -> None:
    """Change the house's files behind its back."""
    with sqlite3.connect(house.data / "beijing" / f"{database}.db", timeout=10) as file:
        file.execute(sql)


def until(condition: Any) -> None:
    """Wait until something is so that only the house's files show."""
    ends_at = time.monotonic() + WAIT_MS / 1000
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.05)


def keep_screen(window: ConsoleWindow, name: str, *, height: int) -> None:
    """Keep a picture of a screen that is longer than a desk's."""
    window.page.set_viewport_size({**DESK, "height": height})  # type: ignore[typeddict-item]
    window.keep_screen(name)
    window.page.set_viewport_size(DESK)  # type: ignore[arg-type]


def figure(window: ConsoleWindow, label: str) -> Locator:
    """The value of a figure of the overview."""
    return window.page.locator(".figure", has_text=label).locator(".value")


def choose(window: ConsoleWindow, name: str, option: str) -> None:
    """Open a list of choices by the keyboard, and take one."""
    box = window.page.get_by_role("combobox", name=name)
    box.focus()
    box.press("Enter")
    take(window.page.get_by_role("option", name=option))


def take(option: Locator) -> None:
    """Take a choice of a list that is still unfolding: on a busy machine it moves on between a button's down and up."""
    expect(option).to_be_visible(timeout=WAIT_MS)
    option.dispatch_event("click")


def guard(window: ConsoleWindow, action: str, *, at_once: Callable[[Response], bool] | None = None) -> None:
    """Type the word that a dialog asks for, and do it. at_once: what the page is answered right after that."""
    dialog = window.page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name=action)).to_be_disabled()
    box = dialog.get_by_label(re.compile("输入 .+ 确认"))
    asked = re.search("输入 (.+) 确认", str(box.get_attribute("aria-label")))
    assert asked
    box.fill(asked.group(1))
    button = dialog.get_by_role("button", name=action)
    if at_once is None:
        button.click()
    else:
        with window.page.expect_response(at_once, timeout=WAIT_MS):  # it looks again by itself every half minute
            button.click()
    expect(dialog).to_have_count(0, timeout=WAIT_MS)


def test_the_overview_moves_with_what_happens(house: PagesHouse, operator: ConsoleWindow) -> None:
    operator.go("operator/overview")
    now = figure(operator, "正在拼的团")
    expect(now).to_be_visible(timeout=WAIT_MS)
    expect(operator.page.get_by_text("实时", exact=True)).to_be_visible(timeout=WAIT_MS)
    before = now.inner_text()
    escrow = figure(operator, "托管中的货款").inner_text()

    house.student().open_group("trio", building="bj-dorm-03")

    # First, for it is a rate of the last ten seconds.
    expect(figure(operator, "每秒下单")).to_have_text(re.compile(r"^0\.[1-9]$"), timeout=WAIT_MS)
    expect(now).not_to_have_text(before, timeout=WAIT_MS)
    running = "SELECT COUNT(*) FROM campus_groups WHERE state IN ('open', 'formed')"
    until(lambda: rows(house, "core", running) == [(int(now.inner_text()),)])  # those of other tests may end meanwhile
    expect(figure(operator, "托管中的货款")).not_to_have_text(escrow, timeout=WAIT_MS)
    expect(operator.page.locator("canvas")).to_have_count(1)
    for database in ("订单库", "资金库", "配送库", "消息库"):
        expect(operator.page.get_by_role("row", name=re.compile(database))).to_have_count(1)
    for _ in range(12):
        closed_group(house)
    keep_screen(operator, "console-overview", height=1120)


def test_counts_of_the_overview_come_by_push(house: PagesHouse, operator: ConsoleWindow) -> None:
    """What is asked for stands still from the first answer on: whatever moves was told."""
    answers: list[bytes] = []

    def stand_still(route: Route) -> None:
        answers.append(answers[0] if answers else route.fetch().body())
        route.fulfill(body=answers[0], content_type="application/json")

    operator.page.route("**/v1/campuses/beijing/overview", stand_still)
    with operator.page.expect_response("**/v1/campuses/beijing/overview", timeout=WAIT_MS):
        operator.go("operator/overview")
    note = operator.page.locator(".figure", has_text="每秒下单")
    expect(operator.page.get_by_text("实时", exact=True)).to_be_visible(timeout=WAIT_MS)
    placed = json.loads(answers[0])["orders_placed"]

    house.student().open_group("trio", building="bj-dorm-03")

    expect(note).to_contain_text(re.compile(rf"\b{placed + 1}\b"), timeout=WAIT_MS)


def test_an_order_is_followed_from_the_list_to_its_split(house: PagesHouse, operator: ConsoleWindow) -> None:
    group_id = closed_group(house)
    (order_id,) = rows(house, "core", f"SELECT MIN(id) FROM orders WHERE group_id = '{group_id}'")[0]

    operator.go("operator/orders")
    operator.page.get_by_role("link", name=f"o_…{order_id[-6:]}").click()
    operator.sees("分毫不差")
    # 18.00 less 12 % and 2.00 of the delivery.
    operator.sees("¥17.84")
    keep_screen(operator, "console-order", height=1100)
    operator.page.get_by_role("link", name="查看拆单").click()
    operator.sees("三库事务")
    lanes = operator.page.locator(".lane")
    expect(lanes).to_have_count(3)
    for lane, name in zip(lanes.all(), ("delivery", "sharing", "stock"), strict=True):
        fence = rows(house, {"sharing": "money", "stock": "core"}.get(name, name), "SELECT DISTINCT branch FROM fences")
        assert (name,) in fence
        expect(lane.locator(".tag", has_text="已确认")).to_have_count(2)
    expect(operator.page.locator("[data-test=sum]")).to_have_text("✓ 合计 ¥0.00")
    paid = sum(fen for (fen,) in rows(house, "core", f"SELECT paid_fen FROM orders WHERE group_id = '{group_id}'"))
    operator.sees(f"实付 ¥{paid // 100}.{paid % 100:02}")
    expect(operator.page.get_by_role("row", name=re.compile("待派单|已承诺|已派单"))).not_to_have_count(0)
    keep_screen(operator, "console-split", height=1700)

    operator.page.get_by_role("link", name="查看团").click()

    for event in ("开团", "成团", "截团", "拆单计划", "拆单确认", "收款", "送达承诺"):
        expect(operator.page.locator(".event").get_by_text(event, exact=True).first).to_be_visible(timeout=WAIT_MS)
    events = operator.page.locator(".event")
    assert events.count() > 20
    operator.page.locator(".event").first.get_by_role("button", name="原文").click()
    operator.sees(f'"group_id": "{group_id}"')
    operator.page.locator(".event").first.get_by_role("button", name="原文").click()
    keep_screen(operator, "console-group", height=1250)


def test_orders_and_groups_are_found_by_what_they_are(house: PagesHouse, operator: ConsoleWindow) -> None:
    group_id = closed_group(house)
    open_id = house.student().open_group("trio", building="bj-dorm-02")

    operator.go("operator/orders")
    operator.sees("¥")
    operator.keep_screen("console-orders")
    box = operator.page.get_by_label("订单号、团号、用户号或手机号")
    box.fill(group_id)
    box.press("Enter")
    operator.sees("全部事件")
    operator.go("operator/groups")
    expect(operator.page.get_by_role("link", name=f"g_…{open_id[-6:]}")).to_be_visible(timeout=WAIT_MS)
    operator.keep_screen("console-groups")
    choose(operator, "状态", "已截团")

    expect(operator.page.get_by_role("link", name=f"g_…{open_id[-6:]}")).to_have_count(0, timeout=WAIT_MS)
    expect(operator.page.get_by_role("link", name=f"g_…{group_id[-6:]}")).to_be_visible()


def test_money_goes_back_by_hand_only_when_its_amount_is_typed(house: PagesHouse, operator: ConsoleWindow) -> None:
    group_id = closed_group(house)
    (order_id,) = rows(house, "core", f"SELECT MAX(id) FROM orders WHERE group_id = '{group_id}'")[0]
    operator.go(f"operator/orders/{order_id}")
    operator.press("人工退款")
    dialog = operator.page.get_by_role("dialog")
    dialog.get_by_label("金额（元）").fill("1.50")
    dialog.get_by_label("原因").fill("少了一份汤")
    operator.keep_screen("console-refund")

    guard(operator, "退还 ¥1.50")

    operator.sees("已退还 ¥1.50")
    back = f"SELECT amount_fen, reason FROM refunds WHERE order_id = '{order_id}'"
    until(lambda: rows(house, "money", back) == [(150, "少了一份汤")])
    expect(operator.page.get_by_role("row", name=re.compile("少了一份汤.+¥1.50"))).to_have_count(1, timeout=WAIT_MS)


def test_a_version_of_the_rules_is_drafted_checked_switched_on_and_rolled_back(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    book = "SELECT active FROM rule_books"
    operator.go("operator/rules")
    operator.press("以 v0 为底新建")
    operator.press("加规则")
    operator.page.get_by_label("条件").fill("items_fen >= 1500")
    operator.page.get_by_label("中文名").fill("满 15 减 3")
    operator.press("加样例")
    choose(operator, "加入菜品", "番茄牛腩饭 ¥18.00")
    operator.page.get_by_label("应付（元）").fill("14.00")
    keep_screen(operator, "console-rules-draft", height=1000)
    operator.press("保存为新版本")
    operator.sees("v1 的规则")

    operator.press("核对样例")
    operator.sees("有不一致")
    expect(operator.button("上线这个版本")).to_be_disabled()
    operator.press("以 v1 为底新建")
    operator.page.get_by_label("应付（元）").fill("15.00")
    operator.press("保存为新版本")
    operator.sees("v2 的规则")
    operator.press("核对样例")
    operator.sees("全部一致")
    choose(operator, "加入菜品", "番茄牛腩饭 ¥18.00")
    operator.press("试算")
    expect(operator.page.locator(".answer .fen").first).to_have_text("¥15.00", timeout=WAIT_MS)
    expect(operator.page.locator(".answer .fen").last).to_have_text("¥18.00")
    keep_screen(operator, "console-rules", height=1000)
    operator.press("上线这个版本")
    guard(operator, "上线 v2")
    operator.sees("当前生效 v2")
    until(lambda: rows(house, "core", book) == [(2,)])
    operator.press("回滚到 v0")
    guard(operator, "立即回滚")

    operator.sees("当前生效 v0")
    until(lambda: rows(house, "core", book) == [(0,)])


def test_a_campaign_is_written_refused_at_its_fields_and_changed(house: PagesHouse, operator: ConsoleWindow) -> None:
    kept = "SELECT name_zh, tiers, delivery_fee_fen, per_user_limit, state FROM campaigns WHERE id = 'late-supper'"
    operator.go("operator/campaigns")
    operator.press("新活动")
    form = operator.page.locator("form")
    form.get_by_label("编号").fill("late-supper")
    form.get_by_label("中文名").fill("宵夜拼团")
    form.get_by_label("英文名").fill("Late supper")
    form.get_by_label("配送费（元）").fill("6.5")
    choose(operator, "商家", "学一食堂盖饭窗口")
    operator.page.keyboard.press("Escape")
    operator.press("加一档")
    form.get_by_label("减（%）").last.fill("5")

    operator.press("保存")

    tier = form.locator("fieldset .fields").last
    expect(tier.get_by_role("alert")).to_have_text("人数越多的档位优惠必须越大", timeout=WAIT_MS)
    operator.sees("有字段不符合要求")
    assert rows(house, "core", kept) == []
    keep_screen(operator, "console-campaign-form", height=1100)

    form.get_by_label("减（%）").last.fill("15")
    operator.press("保存")
    operator.sees("宵夜拼团 已保存")
    ((name, tiers, fee, limit, state),) = rows(house, "core", kept)
    assert (name, fee, limit, state) == ("宵夜拼团", 650, 0, "draft")
    assert [tier["off_percent"] for tier in json.loads(tiers)] == [10, 15]

    card = operator.page.locator(".campaigns li", has_text="late-supper")
    card.get_by_role("button", name="修改").click()
    form.get_by_label("每人最多单数").fill("2")
    operator.press("保存")

    until(lambda: rows(house, "core", kept)[0][3] == 2)


def is_list_of_differences(response: Response) -> bool:
    """Whether the list of differences was read, and says that none is open any more."""
    is_list = response.request.method == "GET" and "/reconciliation/differences?" in response.url
    return is_list and response.json()["items"] == []


def test_a_difference_that_only_a_person_can_decide_is_settled_with_a_reason(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    group_id = closed_group(house)
    (order_id,) = rows(house, "core", f"SELECT MIN(id) FROM orders WHERE group_id = '{group_id}'")[0]
    plant(house, "core", f"DELETE FROM orders WHERE id = '{order_id}'")
    operator.go("operator/books")

    operator.press("立即核对")
    card = operator.page.locator(".differences li", has_text=f"o_…{order_id[-6:]}")
    expect(card).to_have_count(1, timeout=WAIT_MS)
    card.get_by_role("button", name="证据").click()
    operator.keep_screen("console-books")
    card.get_by_role("button", name="人工处理").click()
    operator.page.get_by_role("dialog").get_by_label("原因（会保存）").fill("已按昨夜备份恢复")
    guard(operator, "确认处理", at_once=is_list_of_differences)

    expect(card).to_have_count(0, timeout=WAIT_MS)
    kept = rows(house, "money", f"SELECT state, reason FROM differences WHERE order_id = '{order_id}'")
    assert kept == [("settled", "已按昨夜备份恢复")]
    operator.page.get_by_role("tab", name="报告").click()
    expect(operator.page.get_by_text("✓ 完整").first).to_be_visible(timeout=WAIT_MS)
    with operator.page.expect_download() as waiting:
        operator.press("下载第 1 号报告的差异表")
    assert order_id in waiting.value.path().read_text(encoding="utf-8")


def test_a_refund_that_the_company_refuses_is_listed_tried_again_and_then_paid_by_hand(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    group_id = closed_group(house)
    (order_id,) = rows(house, "core", f"SELECT MAX(id) FROM orders WHERE group_id = '{group_id}'")[0]
    house.refuse_refunds(2)
    operator.go(f"operator/orders/{order_id}")
    operator.press("人工退款")
    dialog = operator.page.get_by_role("dialog")
    dialog.get_by_label("金额（元）").fill("2.00")
    dialog.get_by_label("原因").fill("送错了")
    guard(operator, "退还 ¥2.00")
    refund = f"SELECT state, refusal FROM refunds WHERE order_id = '{order_id}'"
    until(lambda: rows(house, "money", refund) == [("refused", "refused")])

    operator.go("operator/books")
    operator.page.get_by_role("tab", name="资金事项").click()
    choose(operator, "类型", "退款被拒")
    row = operator.page.get_by_role("row", name=re.compile(f"退款被拒.+{order_id[-6:]}.+支付公司拒绝"))
    row.get_by_role("button", name="人工处理").click()
    operator.page.get_by_role("dialog").get_by_label("原因（会保存）").fill("用户换了新卡")
    guard(operator, "确认处理")
    cases = f"SELECT state, times FROM cases WHERE order_id = '{order_id}'"
    until(lambda: rows(house, "money", cases) == [("open", 2)])
    operator.go("operator/books")
    operator.page.get_by_role("tab", name="资金事项").click()
    row.get_by_role("button", name="证据").click()
    expect(operator.page.get_by_text("第 1 次（支付公司拒绝）：重试")).to_be_visible(timeout=WAIT_MS)
    operator.keep_screen("console-refused-refund")
    row.get_by_role("button", name="人工处理").click()
    dialog.get_by_text("已线下支付").click()
    dialog.get_by_label("原因（会保存）").fill("现金退还，有签收")
    guard(operator, "确认处理")

    expect(row).to_have_count(0, timeout=WAIT_MS)
    assert rows(house, "money", refund) == [("settled", "paid_otherwise")]
    kept = f"SELECT number, how, note FROM case_settlements WHERE case_id LIKE 'refund.{order_id}%' ORDER BY number"
    assert rows(house, "money", kept) == [(1, "retry", "用户换了新卡"), (2, "paid_otherwise", "现金退还，有签收")]
    assert rows(house, "money", "SELECT SUM(amount_fen) FROM entries") == [(0,)]
    choose(operator, "状态", "已处理")
    expect(row).to_have_count(1, timeout=WAIT_MS)


def test_the_trial_balance_is_shown_and_the_whole_ledger_read_when_asked(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    closed_group(house)
    read = "SELECT COALESCE(MAX(proven_at_ms), 0) FROM ledger_proofs"
    before = rows(house, "money", read)
    operator.go("operator/books")
    operator.page.get_by_role("tab", name="试算平衡").click()
    table = operator.page.get_by_role("region", name="试算平衡")
    expect(table).to_contain_text("支付公司存管", timeout=WAIT_MS)
    house.pass_time(seconds=1)

    operator.press("通读全部账目")

    until(lambda: rows(house, "money", read) > before)
    expect(operator.page.get_by_text(re.compile("把全部 [1-9][0-9]* 条分录加总"))).to_be_visible(timeout=WAIT_MS)
    operator.sees("与余额一致")
    operator.sees("逐张核对过全部凭证")
    debit, credit = table.locator("tfoot td").all_inner_texts()
    assert debit == credit
    assert debit.startswith("¥")
    operator.keep_screen("console-trial")


def test_coupons_are_given_to_who_was_chosen_and_good_at_one_shop(house: PagesHouse, operator: ConsoleWindow) -> None:
    phone = house.next_phone()
    member = house.student_with(phone)
    operator.go("operator/coupons")
    box = operator.page.get_by_label("完整手机号")
    operator.press("发券")
    operator.sees("请选 1 到 200 位同学")
    box.fill(phone)
    box.press("Enter")
    expect(operator.page.locator("tbody tr")).to_have_count(1, timeout=WAIT_MS)
    operator.page.locator("tbody .el-checkbox").click()
    operator.sees("已选 1 人")
    operator.page.get_by_label("减多少（元）").fill("2.50")
    operator.page.get_by_label("满多少可用（元）").fill("15")
    operator.page.get_by_role("combobox", name="哪家店可用").click()
    take(operator.page.get_by_role("option").nth(1))
    operator.keep_screen("console-coupons")

    operator.press("发券")
    guard(operator, "发券")

    operator.sees("新发 1 / 1 人")
    line = operator.page.get_by_role("region", name="发过的券").locator("tbody tr").first
    expect(line).to_contain_text("¥2.50", timeout=WAIT_MS)
    expect(line).to_contain_text("¥15.00")
    keep_screen(operator, "console-grants", height=1120)
    line.get_by_role("button").click()
    whose = operator.page.get_by_role("dialog").locator("tbody tr")
    expect(whose).to_have_count(1, timeout=WAIT_MS)
    expect(whose).to_contain_text("未使用")
    operator.keep_screen("console-granted")
    ((coupon,),) = [house.client.get("/v1/campuses/beijing/coupons", headers=member.headers).json()["items"]]
    assert (coupon["off_fen"], coupon["threshold_fen"], coupon["state"]) == (250, 1500, "free")
    assert coupon["merchant_id"].startswith("bj-m")


def test_what_a_shop_is_late_to_accept_is_listed_with_when_it_goes_back(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    group_id = closed_group(house)
    house.pass_time(seconds=5 * 60 + 1)

    operator.go("operator/overview")

    operator.sees("超时未接的子单")
    (order_id,) = rows(house, "core", f"SELECT MIN(id) FROM orders WHERE group_id = '{group_id}'")[0]
    line = operator.page.get_by_role("row").filter(has=operator.page.get_by_title(f"{order_id}.1"))
    expect(line).to_have_count(1, timeout=WAIT_MS)
    operator.keep_screen("console-late")


def test_what_a_shop_accepted_and_does_not_have_ready_is_listed_and_given_up_by_hand(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    group_id = closed_group(house)
    (order_id,) = rows(house, "core", f"SELECT MIN(id) FROM orders WHERE group_id = '{group_id}'")[0]
    sub_id = f"{order_id}.1"
    advance(house, sub_id, "accept")
    house.pass_time(seconds=30 * 60 + 1)

    operator.go("operator/overview")

    operator.sees("超时未出餐的子单")
    line = operator.page.get_by_role("row").filter(has=operator.page.get_by_title(sub_id))
    expect(line).to_contain_text("已接单", timeout=WAIT_MS)
    operator.keep_screen("console-unready")
    line.get_by_role("button").click()
    operator.keep_screen("console-unready-ask")
    guard(operator, "退给同学")
    expect(line).to_have_count(0, timeout=WAIT_MS)
    assert rows(house, "core", f"SELECT state FROM sub_orders WHERE id = '{sub_id}'") == [("rejected",)]


def test_what_is_ready_and_fetched_by_nobody_is_listed_and_another_rider_is_sent(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    group_id = closed_group(house)
    bowls = f"SELECT id FROM sub_orders WHERE group_id = '{group_id}' AND merchant_id = 'bj-m01' ORDER BY id"
    for (sub_id,) in rows(house, "core", bowls):
        advance(house, sub_id, "accept", "cook", "ready")
    on_the_counter = f"SELECT id FROM parcels WHERE group_id = '{group_id}' AND unready = 0"
    until(lambda: len(rows(house, "delivery", on_the_counter)) == 1)
    ((parcel_id,),) = rows(house, "delivery", on_the_counter)
    house.pass_time(seconds=15 * 60 + 1)

    operator.go("operator/overview")

    operator.sees("超时未取的餐")
    line = operator.page.locator(f"tr[data-parcel='{parcel_id}']")
    expect(line).to_contain_text("待派单", timeout=WAIT_MS)
    expect(line).to_contain_text("还没派出")
    keep_screen(operator, "console-unfetched", height=1120)
    line.get_by_role("button").click()
    operator.keep_screen("console-unfetched-ask")
    guard(operator, "另派骑手")
    operator.sees("现在没有骑手在岗")
    expect(line).to_have_count(1)


def test_an_after_sale_is_listed_until_an_operator_has_decided_it(house: PagesHouse, operator: ConsoleWindow) -> None:
    student = house.student()
    group_id = student.open_group("trio")
    for _ in range(2):
        house.student().join(group_id)
    (order_id,) = rows(house, "core", f"SELECT MIN(id) FROM orders WHERE group_id = '{group_id}'")[0]
    until(lambda: rows(house, "core", f"SELECT state FROM splits WHERE group_id = '{group_id}'") == [("confirmed",)])
    advance(house, f"{order_id}.1", "accept", "cook", "ready")
    house.bring(f"{order_id}.1")
    student.post(f"orders/{order_id}/after-sale", {"reason": "汤洒了一半"})

    operator.go("operator/overview")

    operator.sees("等待处理的售后")
    line = operator.page.locator(f"tr[data-order='{order_id}']")
    expect(line).to_contain_text("汤洒了一半", timeout=WAIT_MS)
    keep_screen(operator, "console-after-sales", height=1120)
    line.get_by_role("link", name="处理售后").click()
    operator.press("处理售后")
    operator.page.get_by_role("dialog").get_by_label("金额（元）").fill("5")
    operator.keep_screen("console-after-sale-decided")
    guard(operator, "退还 ¥5.00")
    operator.sees("已退还 ¥5.00")
    assert rows(house, "core", f"SELECT * FROM open_after_sales WHERE order_id = '{order_id}'") == []
    operator.go("operator/overview")
    expect(figure(operator, "售后待处理")).not_to_have_text("…", timeout=WAIT_MS)
    expect(line).to_have_count(0)


def test_how_long_shops_may_take_is_shown_and_set(house: PagesHouse, operator: ConsoleWindow) -> None:
    kept = "SELECT late_minutes, given_up_minutes, ready_minutes FROM acceptance_terms"
    operator.go("operator/terms")
    ready = operator.page.get_by_label("接单后多久没出餐算超时（分钟）")
    expect(ready).to_have_value("30", timeout=WAIT_MS)
    operator.sees("当前生效的就是这些")
    operator.keep_screen("console-terms")
    operator.page.get_by_label("多久不接就自动退给同学（分钟）").fill("5")
    operator.press("保存时限")
    operator.sees("并且要大于算超时的分钟数")
    operator.page.get_by_label("多久不接就自动退给同学（分钟）").fill("20")
    ready.fill("31")

    operator.press("保存时限")
    operator.sees("31 分钟没出餐算超时")
    guard(operator, "保存时限")

    operator.sees("时限已保存")
    assert rows(house, "core", kept) == [(5, 20, 31)]
    operator.page.reload()
    expect(ready).to_have_value("31", timeout=WAIT_MS)
    ready.fill("30")
    operator.press("保存时限")
    guard(operator, "保存时限")
    until(lambda: rows(house, "core", kept) == [(5, 20, 30)])


def test_roles_are_changed_and_the_audit_says_by_whom(house: PagesHouse, operator: ConsoleWindow) -> None:
    phone = house.next_phone()
    newcomer = house.student_with(phone)
    operator.go("operator/people")
    box = operator.page.get_by_label("完整手机号")
    box.fill(phone)
    box.press("Enter")
    expect(operator.page.locator("tbody tr")).to_have_count(1, timeout=WAIT_MS)
    operator.press("改身份")
    operator.page.get_by_role("dialog").get_by_text("骑手", exact=True).click()

    guard(operator, "改身份")

    expect(operator.page.locator("tbody .role", has_text="骑手")).to_have_count(1, timeout=WAIT_MS)
    assert house.client.get("/v1/me", headers=newcomer.headers).json()["roles"] == ["rider", "student"]
    operator.keep_screen("console-people")
    operator.page.get_by_role("tab", name="操作记录").click()
    line = operator.page.get_by_role("row", name=re.compile("改身份.+身份: 骑手、学生")).first
    expect(line).to_be_visible(timeout=WAIT_MS)
    operator.keep_screen("console-audit")


def test_no_screen_of_the_operator_has_a_serious_fault_of_accessibility(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    group_id = closed_group(house)
    (order_id,) = rows(house, "core", f"SELECT MIN(id) FROM orders WHERE group_id = '{group_id}'")[0]
    axe = (ROOT / "web/student/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    operator.page.emulate_media(reduced_motion="reduce")
    faults: list[str] = []

    for screen in (*SCREENS, f"orders/{order_id}", f"groups/{group_id}", f"splits/{group_id}"):
        operator.go(f"operator/{screen}")
        expect(operator.page.get_by_role("heading", level=1)).to_have_count(1, timeout=WAIT_MS)
        expect(operator.page.locator(".bones")).to_have_count(0, timeout=WAIT_MS)
        operator.page.evaluate(axe)
        faults += [f"{screen}: {line}" for line in operator.page.evaluate(FIND_FAULTS)]
        if screen == "campaigns":
            operator.keep_screen("console-campaigns")

    assert faults == []


def test_a_dialog_that_changes_money_is_left_by_the_keyboard_and_changes_nothing(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    group_id = closed_group(house)
    (order_id,) = rows(house, "core", f"SELECT MIN(id) FROM orders WHERE group_id = '{group_id}'")[0]
    operator.go(f"operator/orders/{order_id}")
    opener = operator.button("人工退款")
    opener.focus()

    operator.page.keyboard.press("Enter")
    dialog = operator.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_label(re.compile("输入 .+ 确认")).press("Enter")
    operator.page.keyboard.press("Escape")

    expect(dialog).to_have_count(0, timeout=WAIT_MS)
    expect(opener).to_be_focused()
    assert rows(house, "money", f"SELECT COUNT(*) FROM refunds WHERE order_id = '{order_id}'") == [(0,)]


def test_the_console_speaks_english_to_who_wants_it(house: PagesHouse, operator: ConsoleWindow) -> None:
    closed_group(house)
    operator.go("operator/overview")
    operator.press("English")

    operator.sees("Money in escrow")
    operator.page.get_by_role("link", name="Reconciliation").click()
    operator.sees("Compare now")
    chinese = operator.page.evaluate("document.querySelector('main').innerText.match(/\\p{Script=Han}/gu)")
    operator.go("operator/overview")
    operator.sees("Push arrival")
    expect(figure(operator, "Orders per second")).to_have_text(re.compile("[0-9]"), timeout=WAIT_MS)
    keep_screen(operator, "console-overview-en", height=1120)

    assert chinese is None


def test_a_student_who_opens_it_is_refused(house: PagesHouse, console: ConsoleWindow) -> None:
    phone = house.next_phone()
    console.enter(phone)

    console.go("operator/overview")

    console.sees("请联系平台运营开通")
    expect(console.page.get_by_text("托管中的货款")).to_have_count(0)
    kept = console.page.evaluate(f"JSON.parse(localStorage.getItem('{ACCOUNT}')).token")
    for path in ("overview", "operator/orders", "operator/groups"):
        answer = house.client.get(f"/v1/campuses/beijing/{path}", headers={"authorization": f"Bearer {kept}"})
        assert answer.status_code == 403, path


def paid_wrongly(house: PagesHouse, order_id: str) -> str:
    """A second payment of an order, of another amount than was asked, is in the books."""
    id = f"p_wrong{order_id[-6:]}"
    columns = "id, order_id, member_id, amount_fen, state, provider, out_trade_no, opened_at_ms, transaction_id,"
    columns += " captured_at_ms, captured_fen, refunded_fen"
    sql = f"INSERT INTO payments ({columns}) SELECT '{id}', order_id, member_id, 1300, 'misfit', provider, '{id}',"
    plant(house, "money", f"{sql} 0, 't_wrong', 0, 1234, 0 FROM payments WHERE order_id = '{order_id}'")
    plant(house, "money", f"INSERT INTO journals VALUES ('misfit:{id}', 'misfit', '{id}', 2, 1234, 0)")
    for line, account, fen in ((0, "provider_clearing", 1234), (1, "suspense", -1234)):
        plant(house, "money", f"INSERT INTO entries VALUES ('misfit:{id}', {line}, '{account}', '{order_id}', {fen})")
    return id


def test_money_of_another_amount_than_asked_is_sent_back_to_who_paid_it(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    (order_id,) = rows(house, "core", f"SELECT MIN(id) FROM orders WHERE group_id = '{closed_group(house)}'")[0]
    payment_id = paid_wrongly(house, order_id)
    operator.go("operator/books")

    operator.press("立即核对")
    told = operator.page.locator(".differences li", has_text=f"o_…{order_id[-6:]}").filter(has_text="misfit")
    expect(told).to_have_count(1, timeout=WAIT_MS)
    operator.page.get_by_role("tab", name="待查款").click()
    row = operator.page.locator("tr", has_text=f"o_…{order_id[-6:]}")
    expect(row).to_have_count(1, timeout=WAIT_MS)
    row.get_by_role("button", name="退回付款人").click()
    guard(operator, "确认退回")

    expect(row).to_have_count(0, timeout=WAIT_MS)
    kept = f"SELECT amount_fen, reason FROM refunds WHERE payment_id = '{payment_id}'"
    assert rows(house, "money", kept) == [(1234, "amount_differs")]


def test_what_a_bill_has_more_than_the_ledger_is_booked_as_an_operator_says_that_it_ended(
    house: PagesHouse, operator: ConsoleWindow
) -> None:
    (order_id,) = rows(house, "core", f"SELECT MIN(id) FROM orders WHERE group_id = '{closed_group(house)}'")[0]
    sides = '[{"book":"provider","fen":2206,"says":"paid"},{"book":"ledger","fen":2201,"says":"captured"}]'
    plant(
        house,
        "money",
        f"INSERT INTO differences VALUES ('d_aside', 'D3', 'p_aside', '{order_id}', '[]', '{sides}', 5, 'set_aside',"
        " '{}', 'open', 'a_run', 0, 0, 1, 1, NULL, NULL, NULL)",
    )
    plant(house, "money", "INSERT INTO journals VALUES ('difference:d_aside', 'difference', 'd_aside', 2, 5, 0)")
    for line, account, fen in ((0, "provider_clearing", 5), (1, "suspense", -5)):
        plant(
            house,
            "money",
            f"INSERT INTO entries VALUES ('difference:d_aside', {line}, '{account}', '{order_id}', {fen})",
        )
    operator.go("operator/books")
    operator.page.get_by_role("tab", name="待查款").click()
    row = operator.page.locator("tr", has_text="22.06").filter(has_text=f"o_…{order_id[-6:]}")
    expect(row).to_have_count(1, timeout=WAIT_MS)

    row.get_by_role("button", name="人工处理").click()
    dialog = operator.page.get_by_role("dialog")
    dialog.get_by_text("账单已更正").click()
    dialog.get_by_label("原因（会保存）").fill("微信支付更正通知 2026-11-24")
    guard(operator, "确认处理")

    expect(row).to_have_count(0, timeout=WAIT_MS)
    kept = "SELECT account, amount_fen FROM entries WHERE journal_id = 'suspense_ended:d_aside' ORDER BY line"
    assert rows(house, "money", kept) == [("suspense", 5), ("provider_clearing", -5)]
    assert rows(house, "money", "SELECT state, reason FROM differences WHERE id = 'd_aside'") == [
        ("settled", "booked_back: 微信支付更正通知 2026-11-24")
    ]


def over_by_hand(house: PagesHouse, account: str) -> str:
    """An order that is over, and that an operator has marked as delivered."""
    ming = house.student()
    group_id = ming.open_group("trio")
    for _ in range(2):
        house.student().join(group_id)
    split = f"SELECT state FROM splits WHERE group_id = '{group_id}'"
    until(lambda: rows(house, "core", split) == [("confirmed",)])
    leaders = "SELECT o.id FROM orders o JOIN campus_groups g ON g.id = o.group_id AND g.leader_id = o.member_id"
    ((order_id,),) = rows(house, "core", f"{leaders} WHERE g.id = '{group_id}'")
    advance(house, f"{order_id}.1", "accept", "cook", "ready")
    token = json.loads(account)["token"]
    for step in ("pick-up", "deliver"):
        headers = {"authorization": f"Bearer {token}", "idempotency-key": f"{step}-{order_id}"}
        path = f"/v1/campuses/beijing/sub-orders/{order_id}.1/{step}"
        house.client.post(path, json={}, headers=headers).raise_for_status()
    ming.post(f"orders/{order_id}/confirm", {})
    completed = f"SELECT completed_at_ms FROM sharings WHERE order_id = '{order_id}'"
    until(lambda: rows(house, "money", completed) != [(None,)])
    return str(order_id)


def test_whoever_brought_a_sub_order_by_hand_is_said_to_be_paid_outside(
    house: PagesHouse, operator: ConsoleWindow, account: str
) -> None:
    order_id = over_by_hand(house, account)
    operator.go("operator/books")
    operator.page.get_by_role("tab", name="待付配送费").click()
    row = operator.page.locator("tr", has_text=f"o_…{order_id[-6:]}")
    expect(row).to_have_count(1, timeout=WAIT_MS)

    row.get_by_role("button", name="记为已付").click()
    note = operator.page.get_by_role("dialog").get_by_label("付给谁、怎么付、凭证号（会保存）")
    note.fill("三号楼小王，现金，收据 12")
    guard(operator, "确认已付")

    expect(row.filter(has_text="三号楼小王，现金，收据 12")).to_have_count(1, timeout=WAIT_MS)
    expect(row.get_by_role("button", name="记为已付")).to_have_count(0)
    said = f"SELECT amount_fen, paid_by FROM carrier_payments WHERE order_id = '{order_id}'"
    ((fen, by),) = rows(house, "money", said)
    journal = f"paid_otherwise:carrier.{order_id}.1"
    kept = f"SELECT account, amount_fen FROM entries WHERE journal_id = '{journal}' ORDER BY line"
    assert rows(house, "money", kept) == [("rider_payable:pool", fen), ("platform_funds", -fen)]
    assert by == json.loads(account)["person_id"]

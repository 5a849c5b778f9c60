"""What a kitchen and a rider can do at their boards, and what the boards are to those who use them (B9, J1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from tests.web.conftest import DESK, PHONE, ROOT, WAIT_MS, ConsoleWindow, PagesHouse
from tests.web.test_everybody_can_use_them import FIND_FAULTS, TOUCH_PX_MIN

SHOP = "bj-m01"
BEEF, CHICKEN, PORK, TOFU, SOUP = (f"{SHOP}-d0{n}" for n in (1, 2, 3, 6, 7))
ZHAJIANG, SESAME, BRAISED, MUNG = (f"bj-m02-d0{n}" for n in (1, 4, 5, 6))
LOOK_S = 31
FIND_OVERFLOW = """() => {
  const width = document.documentElement.clientWidth
  return [...document.querySelectorAll('#app *')]
    .filter((node) => node.getClientRects().length && node.getBoundingClientRect().right > width + 1)
    .filter((node) => !node.closest('.unseen, .menu'))
    .map((node) => `${node.tagName} ${node.className} ${node.textContent.slice(0, 40)}`)
}"""
FIND_SMALL = f"""() => [...document.querySelectorAll('button, select, input, [role=button], [role=switch]')]
  .filter((node) => node.getClientRects().length && !node.closest('.unseen') && node.type !== 'radio')
  .map((node) => [node.getAttribute('aria-label') || node.textContent, node.getBoundingClientRect()])
  .filter(([, box]) => box.height < {TOUCH_PX_MIN} - 0.5 || box.width < {TOUCH_PX_MIN} - 0.5)
  .map(([name, box]) => `${{name}} ${{box.width}} x ${{box.height}}`)"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesHouse]:
    """A house whose boards are empty."""
    house = PagesHouse(tmp_path_factory.mktemp("pages"))
    yield house
    house.stop()


class Kitchen(ConsoleWindow):
    """A merchant's window."""

    def ticket(self, building: str) -> Locator:
        """What goes to a building."""
        return self.page.get_by_role("article").filter(has_text=building)

    def column(self, name: str) -> Locator:
        """A column of the board."""
        return self.page.locator(f"[data-column={name}]")

    def waiting(self) -> int:
        """How many orders wait to be accepted."""
        return int(self.column("waiting").locator(".count").inner_text().split()[0])

    def make(self, building: str, orders: int) -> None:
        """Accept, cook and have ready what goes to a building."""
        for step in ("acceptAll", "cookAll", "makeReadyAll"):
            self.press(f"{building}: {self.say(step, n=orders)}")
        expect(self.column("ready")).to_contain_text(building, timeout=WAIT_MS)


@pytest.fixture
def kitchen(house: PagesHouse, browser: Browser) -> Iterator[Kitchen]:
    """The board of the shop, open."""
    yield from kitchen_of(house, browser, shop=SHOP)


@pytest.fixture
def noodles(house: PagesHouse, browser: Browser) -> Iterator[Kitchen]:
    """The board of another shop, where nobody else orders."""
    yield from kitchen_of(house, browser, shop="bj-m02")


def kitchen_of(house: PagesHouse, browser: Browser, *, shop: str) -> Iterator[Kitchen]:
    """The board of a shop, open."""
    window = Kitchen(house, browser.new_context(viewport=DESK, locale="zh-CN"))
    window.enter_as(house.hire("merchant", merchant_id=shop), "merchant")
    expect(window.column("gone")).to_be_visible(timeout=WAIT_MS)
    yield window
    window.context.close()
    assert window.complaints == []


@pytest.fixture
def rider(house: PagesHouse, browser: Browser) -> Iterator[ConsoleWindow]:
    """The board of a rider who is not on shift."""
    context = browser.new_context(viewport=PHONE, locale="zh-CN", is_mobile=True, has_touch=True)
    window = ConsoleWindow(house, context)
    window.enter_as(house.hire("rider"), "rider")
    window.sees("开工前，先说你在哪")
    yield window
    window.context.close()
    assert window.complaints == []


def split(house: PagesHouse, building: str, *dishes: str, at: Kitchen | None = None) -> None:
    """A group of two whose merchant may begin; at: a board that has to show it before time may go on."""
    before = 0 if at is None else at.waiting()
    group_id = house.student().open_group("duo", building=building, dish=dishes[0])
    for dish in dishes[1:]:
        house.student().join(group_id, dish=dish)
    if at is not None:
        expect(at.column("waiting").locator(".count")).to_have_text(f"{before + len(dishes)} 单", timeout=WAIT_MS)


def test_what_goes_to_one_building_is_one_ticket_and_moves_on_together(house: PagesHouse, kitchen: Kitchen) -> None:
    split(house, "bj-dorm-01", BEEF, SOUP)
    split(house, "bj-dorm-01", BEEF, CHICKEN)
    split(house, "bj-dorm-02", PORK, TOFU)
    ticket = kitchen.ticket("松园1号楼")
    expect(ticket).to_have_count(1, timeout=WAIT_MS)
    expect(ticket.get_by_role("list", name="4 份").get_by_role("listitem")).to_have_text(
        ["番茄牛腩饭×2", "宫保鸡丁饭×1", "紫菜蛋花汤×1"], timeout=WAIT_MS
    )

    kitchen.press("松园1号楼: 接单 4 单")

    expect(kitchen.column("kitchen").get_by_role("article")).to_have_count(1, timeout=WAIT_MS)
    expect(kitchen.column("kitchen")).to_contain_text("已接单")
    expect(kitchen.column("waiting").get_by_role("article")).to_have_count(1)
    expect(kitchen.column("waiting")).to_contain_text("松园2号楼")
    expect(kitchen.page).to_have_title("(2) 团子工作台")


def test_a_dish_that_is_switched_off_can_be_ordered_by_nobody_until_it_is_back(
    house: PagesHouse, kitchen: Kitchen
) -> None:
    group_id = house.student().open_group("beijing-always", building="bj-dorm-03")
    kitchen.press("菜品", exact=False)
    tofu = kitchen.page.get_by_role("switch", name="麻婆豆腐饭")
    expect(tofu).to_be_checked()

    tofu.click()
    expect(tofu).not_to_be_checked(timeout=WAIT_MS)
    kitchen.keep_screen("merchant-dishes")
    refused = house.student().try_join(group_id, dish=TOFU)

    assert (refused.status_code, refused.json()["code"]) == (409, "catalog/dish-not-on-sale")
    kitchen.page.keyboard.press("Escape")
    expect(kitchen.button("菜品", exact=False)).to_have_text("菜品 1 样售罄")
    kitchen.press("菜品", exact=False)
    tofu.click()
    expect(tofu).to_be_checked(timeout=WAIT_MS)
    assert house.student().try_join(group_id, dish=TOFU).status_code == 201


def test_an_order_that_cannot_be_made_goes_back_to_its_student_after_a_second_question(
    house: PagesHouse, kitchen: Kitchen
) -> None:
    split(house, "bj-dorm-04", BEEF, CHICKEN)
    orders = kitchen.ticket("松园4号楼").get_by_role("button", name="查看")
    expect(orders).to_have_count(2, timeout=WAIT_MS)

    orders.first.click()
    dialog = kitchen.page.get_by_role("dialog")
    expect(dialog).to_contain_text("番茄牛腩饭")
    expect(dialog).to_contain_text("¥18.00")
    kitchen.press("做不了，退给同学")
    expect(dialog).to_contain_text("不能撤销")
    kitchen.keep_screen("merchant-order")
    kitchen.press("退掉")

    expect(orders).to_have_count(1, timeout=WAIT_MS)
    expect(kitchen.ticket("松园4号楼")).not_to_contain_text("番茄牛腩饭")
    expect(dialog).to_have_count(0)


def test_the_statement_says_what_was_earned_and_comes_as_a_file(house: PagesHouse, kitchen: Kitchen) -> None:
    split(house, "bj-dorm-05", BEEF, CHICKEN)
    expect(kitchen.ticket("竹园5号楼")).to_be_visible(timeout=WAIT_MS)
    kitchen.press("对账单")
    kitchen.sees("期末应得")
    kitchen.keep_screen("merchant-statement")
    total = kitchen.page.locator(".total").inner_text()

    with kitchen.page.expect_download() as download:
        kitchen.press("下载 CSV")

    assert download.value.suggested_filename == f"{SHOP}-2026-11-23-2026-11-23.csv"
    lines = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) > 2
    fen = total.removeprefix("¥").replace(",", "").replace(".", "")
    assert lines[-1] == f"2026-11-23,closing,,,{fen},{fen}"


def test_the_statement_opens_on_the_servers_day_though_its_clock_came_late(kitchen: Kitchen) -> None:
    held: list[Route] = []
    kitchen.page.route("**/v1/clock", lambda route: held.append(route))
    kitchen.page.reload()
    expect(kitchen.page.get_by_role("button", name="对账单")).to_be_visible(timeout=WAIT_MS)
    with kitchen.page.expect_response("**/v1/clock"):
        held[0].continue_()

    kitchen.press("对账单")
    kitchen.sees("期末应得")

    days = kitchen.page.locator("input[type=date]")
    assert [days.nth(i).input_value() for i in range(2)] == ["2026-11-23"] * 2


def test_a_cut_line_is_said_at_the_kitchen_and_what_came_meanwhile_is_there_when_it_is_back(
    house: PagesHouse, kitchen: Kitchen
) -> None:
    kitchen.context.set_offline(True)
    kitchen.sees("网络已断开，正在重连")
    kitchen.keep_screen("merchant-line-cut")
    split(house, "bj-dorm-06", BEEF, CHICKEN)
    expect(kitchen.ticket("竹园6号楼")).to_have_count(0)

    kitchen.context.set_offline(False)

    expect(kitchen.ticket("竹园6号楼")).to_be_visible(timeout=WAIT_MS)
    expect(kitchen.page.get_by_text("网络已断开")).to_have_count(0)
    # What the browser says of a line that was cut on purpose.
    kitchen.complaints[:] = [line for line in kitchen.complaints if "ERR_INTERNET_DISCONNECTED" not in line]


def test_a_press_while_the_line_is_cut_is_done_once_when_it_is_back(house: PagesHouse, kitchen: Kitchen) -> None:
    split(house, "bj-dorm-07", BEEF, CHICKEN)
    accept = kitchen.button("竹园7号楼: 接单 2 单")
    expect(accept).to_be_visible(timeout=WAIT_MS)

    kitchen.context.set_offline(True)
    accept.click()
    kitchen.context.set_offline(False)

    expect(kitchen.column("kitchen")).to_contain_text("竹园7号楼", timeout=WAIT_MS)
    kitchen.complaints[:] = [line for line in kitchen.complaints if "ERR_INTERNET_DISCONNECTED" not in line]


def test_a_keyboard_goes_from_ticket_to_ticket_and_into_a_sheet_and_out_of_it(
    house: PagesHouse, kitchen: Kitchen
) -> None:
    for building in ("bj-dorm-08", "bj-dorm-09"):
        split(house, building, BEEF, CHICKEN)
    first, second = (kitchen.button(f"{building}: 接单 2 单") for building in ("竹园8号楼", "梅园9号楼"))
    expect(second).to_be_visible(timeout=WAIT_MS)
    first.focus()

    kitchen.page.keyboard.press("Enter")

    expect(kitchen.column("kitchen")).to_contain_text("竹园8号楼", timeout=WAIT_MS)
    expect(kitchen.column("waiting").locator(".step:focus")).to_have_count(1, timeout=WAIT_MS)
    opener = kitchen.button("菜品", exact=False)
    opener.focus()
    kitchen.page.keyboard.press("Enter")
    expect(kitchen.page.get_by_role("dialog")).to_be_visible()
    kitchen.page.keyboard.press("Escape")
    expect(opener).to_be_focused()


def test_a_kitchen_that_reads_nothing_says_why_and_tries_again(house: PagesHouse, browser: Browser) -> None:
    window = Kitchen(house, browser.new_context(viewport=DESK, locale="zh-CN"))
    is_cut = True
    window.page.route(
        "**/merchant/sub-orders*", lambda route: route.fulfill(status=503) if is_cut else route.continue_()
    )

    window.enter_as(house.hire("merchant", merchant_id=SHOP), "merchant")
    window.sees("网络不通，请稍后再试。")
    is_cut = False
    window.press("再试一次")

    expect(window.column("waiting")).to_be_visible(timeout=WAIT_MS)
    window.context.close()
    assert window.complaints == []


def test_who_has_one_board_does_not_come_to_the_other(house: PagesHouse, rider: ConsoleWindow) -> None:
    rider.go("merchant")

    rider.sees("开工前，先说你在哪")
    assert rider.page.url.endswith("#/rider")


def test_a_rider_waits_for_the_kitchen_fetches_and_brings_door_by_door(
    house: PagesHouse, kitchen: Kitchen, rider: ConsoleWindow
) -> None:
    rider.keep_screen("rider-shift")
    rider.press("开工")
    rider.sees("在岗，等派单")
    rider.keep_screen("rider-idle")
    for building in ("bj-dorm-10", "bj-dorm-11"):
        split(house, building, BEEF, CHICKEN)
    for building in ("梅园10号楼", "梅园11号楼"):
        expect(kitchen.ticket(building)).to_be_visible(timeout=WAIT_MS)
        kitchen.make(building, 2)

    house.pass_time(seconds=LOOK_S)
    house.pass_time(seconds=LOOK_S)
    rider.sees("全部出餐，可以取了")
    rider.keep_screen("rider-fetch")
    rider.press("已取到 4 份")
    rider.sees("0/2 站")
    stops = rider.page.get_by_role("listitem").get_by_role("heading")
    first, second = stops.all_inner_texts()
    assert {first, second} == {"梅园10号楼", "梅园11号楼"}
    rider.press(f"{first}：送到了")
    rider.sees("1/2 站")
    rider.keep_screen("rider-round")
    rider.press(f"{second}：送到了")

    rider.sees("在岗，等派单")
    for building in (first, second):
        expect(kitchen.ticket(building)).to_have_count(0, timeout=WAIT_MS)
    rider.press("收工")
    rider.sees("开工前，先说你在哪")


def each_state(house: PagesHouse, kitchen: Kitchen, rider: ConsoleWindow, look: Callable[[str, Any], None]) -> None:
    """Have `look` see both boards in every state, with something on them."""
    look("a shift to begin", rider.page)
    rider.press("开工")
    rider.sees("在岗，等派单")
    look("a rider who waits", rider.page)
    split(house, "bj-dorm-12", BEEF, CHICKEN)
    split(house, "bj-dorm-12", SOUP, PORK)
    expect(kitchen.ticket("梅园12号楼")).to_contain_text("接单 4 单", timeout=WAIT_MS)
    look("tickets to accept", kitchen.page)
    kitchen.make("梅园12号楼", 4)
    kitchen.ticket("梅园12号楼").get_by_role("button", name="查看").first.click()
    expect(kitchen.page.get_by_role("dialog")).to_be_visible()
    look("an order", kitchen.page)
    kitchen.page.keyboard.press("Escape")
    for sheet, sign in (("菜品", "麻婆豆腐饭"), ("对账单", "期末应得")):
        kitchen.press(sheet, exact=False)
        kitchen.sees(sign)
        look(sheet, kitchen.page)
        kitchen.page.keyboard.press("Escape")
    house.pass_time(seconds=LOOK_S)
    house.pass_time(seconds=LOOK_S)
    rider.sees("全部出餐，可以取了")
    look("a bundle to fetch", rider.page)
    rider.press("已取到 4 份")
    rider.sees("下一站")
    look("a bundle to bring", rider.page)
    rider.press("梅园12号楼：送到了")
    rider.sees("在岗，等派单")
    rider.press("收工")
    rider.sees("开工前，先说你在哪")


def test_no_state_of_a_board_has_a_serious_fault_of_accessibility_or_is_too_small_for_a_finger(
    house: PagesHouse, kitchen: Kitchen, rider: ConsoleWindow
) -> None:
    axe = (ROOT / "web/student/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    faults: list[str] = []
    for window in (kitchen, rider):
        window.page.emulate_media(reduced_motion="reduce")  # what is fading in has no contrast yet

    def look(state: str, page: Any) -> None:
        page.evaluate(axe)
        found = [*page.evaluate(FIND_FAULTS), *page.evaluate(FIND_SMALL)]
        faults.extend(f"{state}: {line}" for line in found)

    each_state(house, kitchen, rider, look)

    assert faults == []


def test_nothing_of_a_board_is_cut_off_on_a_small_phone_with_large_text(
    house: PagesHouse, kitchen: Kitchen, rider: ConsoleWindow
) -> None:
    cut: list[str] = []
    for window in (kitchen, rider):
        window.page.set_viewport_size({"width": 320, "height": 640})
        window.page.add_style_tag(content="html { -webkit-text-size-adjust: 200%; text-size-adjust: 200%; }")
    for column in ("备餐", "出餐", "待接单"):
        kitchen.page.get_by_role("group", name="看哪一列").get_by_role("button", name=column).click()
        cut.extend(f"{column}: {line}" for line in kitchen.page.evaluate(FIND_OVERFLOW))
    cut.extend(f"shift: {line}" for line in rider.page.evaluate(FIND_OVERFLOW))
    rider.press("开工")
    rider.sees("在岗，等派单")
    cut.extend(f"idle: {line}" for line in rider.page.evaluate(FIND_OVERFLOW))
    rider.press("收工")

    rider.sees("开工前，先说你在哪")
    assert cut == []


def test_the_most_urgent_ticket_hangs_first_in_every_column(
    house: PagesHouse, noodles: Kitchen, rider: ConsoleWindow
) -> None:
    rider.press("开工")
    rider.sees("在岗，等派单")
    split(house, "bj-dorm-07", ZHAJIANG, MUNG, at=noodles)
    split(house, "bj-dorm-07", SESAME, ZHAJIANG, at=noodles)
    noodles.make("竹园7号楼", 4)
    house.pass_time(seconds=LOOK_S)
    house.pass_time(seconds=LOOK_S)
    rider.press("已取到 4 份")
    rider.sees("下一站")
    for building, dishes in (
        ("bj-dorm-09", (ZHAJIANG, ZHAJIANG)),
        ("bj-dorm-06", (SESAME, MUNG)),
        ("bj-dorm-05", (BRAISED, ZHAJIANG)),
        ("bj-dorm-04", (ZHAJIANG, MUNG)),
        ("bj-dorm-03", (SESAME, SESAME)),
    ):
        split(house, building, *dishes, at=noodles)
        house.pass_time(seconds=60)

    noodles.make("梅园9号楼", 2)
    noodles.press("竹园6号楼: 接单 2 单")
    noodles.press("竹园6号楼: 开做 2 单")
    noodles.press("竹园5号楼: 接单 2 单")

    hanging = {
        "waiting": ["松园4号楼", "松园3号楼"],
        "kitchen": ["竹园6号楼", "竹园5号楼"],
        "ready": ["梅园9号楼"],
        "gone": ["竹园7号楼"],
    }
    for column, buildings in hanging.items():
        expect(noodles.column(column).get_by_role("heading", level=3)).to_have_text(buildings, timeout=WAIT_MS)
    noodles.page.evaluate("scrollTo(0, 0)")
    noodles.page.mouse.move(0, 0)
    noodles.keep_screen("merchant-board")
    rider.press("竹园7号楼：送到了")
    rider.sees("这一趟送完了")
    rider.press("收工")
    rider.sees("开工前，先说你在哪")


def test_who_wants_less_motion_sees_tickets_appear_at_once(house: PagesHouse, kitchen: Kitchen) -> None:
    kitchen.page.emulate_media(reduced_motion="reduce")
    split(house, "bj-dorm-02", BEEF, CHICKEN)
    ticket = kitchen.ticket("松园2号楼").first
    expect(ticket).to_be_visible(timeout=WAIT_MS)

    assert ticket.evaluate("node => parseFloat(getComputedStyle(node).transitionDuration)") < 0.001


def test_a_ticket_that_is_late_says_until_when_it_may_be_accepted(house: PagesHouse, noodles: Kitchen) -> None:
    group_id = house.student().open_group("trio", building="bj-dorm-02", dish=SESAME)
    for _ in range(2):
        house.student().join(group_id, dish=SESAME)
    ticket = noodles.ticket("松园2号楼")
    expect(ticket).to_be_visible(timeout=WAIT_MS)
    expect(ticket).not_to_contain_text("接单超时")

    house.pass_time(seconds=5 * 60 + 1)
    noodles.page.reload()

    expect(ticket).to_contain_text("接单超时", timeout=WAIT_MS)
    expect(ticket).to_contain_text("自动退给同学")
    noodles.keep_screen("board-late")
    noodles.press("松园2号楼: 接单 3 单")
    expect(noodles.column("kitchen")).to_contain_text("松园2号楼", timeout=WAIT_MS)
    expect(noodles.column("kitchen")).not_to_contain_text("接单超时")


def test_a_ticket_that_was_to_be_ready_says_so_until_it_is(house: PagesHouse, noodles: Kitchen) -> None:
    group_id = house.student().open_group("trio", building="bj-dorm-08", dish=SESAME)
    for _ in range(2):
        house.student().join(group_id, dish=SESAME)
    noodles.press("竹园8号楼: 接单 3 单")
    ticket = noodles.column("kitchen").get_by_role("article").filter(has_text="竹园8号楼")
    expect(ticket).to_be_visible(timeout=WAIT_MS)
    expect(ticket).not_to_contain_text("出餐超时")

    house.pass_time(seconds=30 * 60 + 1)
    noodles.page.reload()

    expect(ticket).to_contain_text("出餐超时", timeout=WAIT_MS)
    noodles.keep_screen("board-unready")
    noodles.press("竹园8号楼: 开做 3 单")
    expect(ticket).to_contain_text("出餐超时", timeout=WAIT_MS)
    noodles.press("竹园8号楼: 出餐 3 单")
    expect(noodles.column("ready")).to_contain_text("竹园8号楼", timeout=WAIT_MS)
    expect(noodles.column("ready")).not_to_contain_text("出餐超时")


def test_a_ticket_that_no_rider_fetches_says_that_the_platform_knows(house: PagesHouse, noodles: Kitchen) -> None:
    group_id = house.student().open_group("trio", building="bj-dorm-07", dish=SESAME)
    for _ in range(2):
        house.student().join(group_id, dish=SESAME)
    for step in ("接单", "开做", "出餐"):
        noodles.press(f"竹园7号楼: {step} 3 单")
    ticket = noodles.column("ready").get_by_role("article").filter(has_text="竹园7号楼")
    expect(ticket).to_be_visible(timeout=WAIT_MS)
    expect(ticket).not_to_contain_text("还没人取")

    house.pass_time(seconds=15 * 60 + 1)
    noodles.page.reload()

    expect(ticket).to_contain_text("还没人取，平台已收到提醒", timeout=WAIT_MS)
    noodles.keep_screen("board-unfetched")

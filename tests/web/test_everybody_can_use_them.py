"""The pages serve people who use a keyboard, a screen reader, large text, a small phone, or less motion (J1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.web.conftest import ROOT, WAIT_MS, PagesHouse, Window

# Of a group's page and the like, which need something to show.
SCREENS = ("today/today", "mine/mine", "me/me", "signin/signin", "privacy/privacy", "menu/menu?campaign=trio")
TOUCH_PX_MIN = 44

FIND_FAULTS = """async () => {
  const found = await axe.run(document, { resultTypes: ['violations'] })
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 160)} (${nodes.length})`)
}"""
FIND_OVERFLOW = """() => {
  const width = document.documentElement.clientWidth
  return [...document.querySelectorAll('uni-page *')]
    .filter((node) => node.getClientRects().length && node.getBoundingClientRect().right > width + 1)
    .filter((node) => !node.closest('.rail, .unseen, [aria-hidden=true]'))
    .map((node) => `${node.tagName} ${node.className} ${node.textContent.slice(0, 40)}`)
}"""
FIND_SMALL = f"""() => [...document.querySelectorAll('[role=button]')]
  .filter((node) => node.getClientRects().length)
  .map((node) => [node.getAttribute('aria-label') || node.textContent, node.getBoundingClientRect()])
  .filter(([, box]) => box.height < {TOUCH_PX_MIN} - 0.5 || box.width < {TOUCH_PX_MIN} - 0.5)
  .map(([name, box]) => `${{name}} ${{box.width}} x ${{box.height}}`)"""


def each_screen(window: Window, house: PagesHouse, look: Callable[[str], Any]) -> None:
    """Have `look` see every screen, with something on it."""
    group_id = house.student().open_group("beijing-always")
    window.sign_in()
    screens = (*SCREENS, f"group/group?campus=beijing&id={group_id}", "dish/dish?id=bj-m01-d01")
    for screen in screens:
        window.go(screen)
        expect(window.page.locator("uni-page:visible [role=heading][aria-level='1']").first).to_be_visible(
            timeout=WAIT_MS
        )
        expect(window.page.locator("uni-page:visible .bones")).to_have_count(0, timeout=WAIT_MS)
        look(screen)


def test_no_screen_has_a_serious_fault_of_accessibility(house: PagesHouse, window: Window) -> None:
    window.page.emulate_media(reduced_motion="reduce")  # what is fading in has no contrast yet
    axe = (ROOT / "web/student/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    faults: list[str] = []

    def look(screen: str) -> None:
        window.page.evaluate(axe)
        faults.extend(f"{screen}: {line}" for line in window.page.evaluate(FIND_FAULTS))

    each_screen(window, house, look)

    assert faults == []


def test_everything_that_is_pressed_is_large_enough_for_a_finger(house: PagesHouse, window: Window) -> None:
    small: list[str] = []

    each_screen(window, house, lambda screen: small.extend(f"{screen}: {x}" for x in window.page.evaluate(FIND_SMALL)))

    assert small == []


@pytest.mark.parametrize("text", ["100%", "200%"])
def test_nothing_is_cut_off_on_a_small_phone_and_with_large_text(house: PagesHouse, window: Window, text: str) -> None:
    window.page.set_viewport_size({"width": 320, "height": 640})
    cut: list[str] = []

    def look(screen: str) -> None:
        window.page.add_style_tag(content=f"html {{ -webkit-text-size-adjust: {text}; text-size-adjust: {text}; }}")
        cut.extend(f"{screen}: {line}" for line in window.page.evaluate(FIND_OVERFLOW))

    each_screen(window, house, look)

    assert cut == []


def test_a_keyboard_opens_chooses_and_closes_and_the_focus_comes_back(window: Window) -> None:
    window.sign_in()
    opener = window.button("送到：松园1号楼，点按更换")
    opener.focus()

    window.page.keyboard.press("Enter")
    dialog = window.page.get_by_role("dialog", name="送到哪里")
    expect(dialog).to_be_visible()
    expect(dialog).to_be_focused()
    window.page.keyboard.press("Escape")

    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()
    window.page.keyboard.press("Space")
    expect(dialog).to_be_focused()
    window.page.get_by_role("dialog").get_by_role("button", name="松园2号楼").focus()
    window.page.keyboard.press("Space")
    expect(window.button("送到：松园2号楼，点按更换")).to_be_visible()


def test_who_wants_less_motion_gets_less(house: PagesHouse, browser: Browser) -> None:
    group_id = house.student().open_group("beijing-always")
    context = browser.new_context(locale="zh-CN", reduced_motion="reduce")
    window = Window(house, context)
    window.go(f"group/group?campus=beijing&id={group_id}")

    ball = window.page.locator(".ball.paid").first
    expect(ball).to_be_visible(timeout=WAIT_MS)

    assert ball.evaluate("node => parseFloat(getComputedStyle(node).animationDuration)") < 0.001
    context.close()


def test_seats_are_told_to_screen_readers(house: PagesHouse, window: Window) -> None:
    group_id = house.student().open_group("beijing-always")

    window.go(f"group/group?campus=beijing&id={group_id}")

    seats = window.page.locator("[aria-live=polite]", has_text="共 5 个名额，已占 1 个，已付款 1 个")
    expect(seats).to_have_count(1, timeout=WAIT_MS)
    house.student().join(group_id)
    expect(window.page.locator("[aria-live=polite]", has_text="已占 2 个，已付款 2 个")).to_have_count(
        1, timeout=WAIT_MS
    )

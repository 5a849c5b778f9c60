"""J1, J4: who opens the address of a house finds the student app, the console and the API, and a group to join."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.web.conftest import PHONE, PagesHouse, Window


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesHouse]:
    """A house in which nothing has happened yet."""
    house = PagesHouse(tmp_path_factory.mktemp("front"))
    yield house
    house.stop()


@pytest.fixture
def visitor(house: PagesHouse, browser: Browser) -> Iterator[Window]:
    """Somebody with a Chinese phone before the front page; nothing may have gone wrong in his window."""
    window = Window(house, browser.new_context(viewport=PHONE, locale="zh-CN"))
    window.page.goto(house.address)
    yield window
    window.context.close()
    assert window.complaints == []


def test_the_front_page_has_a_door_for_everybody(house: PagesHouse, visitor: Window) -> None:
    doors = visitor.page.get_by_role("navigation").get_by_role("link")

    assert [door.get_attribute("href") for door in doors.all()] == ["/m/", "/console/", "/docs"]
    assert [house.client.get(to).status_code for to in ("/m/", "/console/", "/docs")] == [200, 200, 200]
    assert house.client.get(visitor.page.locator("link[rel=icon]").get_attribute("href") or "").status_code == 200


def test_a_group_that_is_filling_leads_to_itself_in_the_language_chosen(house: PagesHouse, visitor: Window) -> None:
    page = visitor.page
    group_id = house.student().open_group("trio")
    card = page.locator(f'a[href="/m/#/pages/group/group?campus=beijing&id={group_id}"]')

    expect(card).to_contain_text("还差 2 人成团")
    expect(card.locator("time")).to_have_text(re.compile(r"^(10:00|9:\d\d)$"))  # by the house's clock, not the phone's
    expect(page.get_by_text("1 个团正在拼")).to_be_visible()
    visitor.keep_screen("front")
    page.get_by_role("button", name="English").click()
    expect(card).to_contain_text("2 more to form")
    expect(page.get_by_text("1 group is filling")).to_be_visible()
    card.click()

    expect(page).to_have_url(re.compile(f"id={group_id}"))
    expect(page.get_by_text("Log in or sign up").or_(page.get_by_text("Join")).first).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"

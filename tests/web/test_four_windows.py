"""Two students, a merchant and a rider take a group from its opening to the door, in four live windows (J1, B9)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.web.conftest import DESK, PHONE, WAIT_MS, ConsoleWindow, PagesHouse, Window
from tests.web.texts import LANGUAGES, Texts

MERCHANT_PHONE, RIDER_PHONE = "13800000001", "13800000002"
# As the demo's catalog has them, and a building that no other test's rider goes to.
NAMES = {
    "zh-CN": {"building": "梅园9号楼", "beef": "番茄牛腩饭", "chicken": "宫保鸡丁饭"},
    "en": {
        "building": "Plum Court 9",
        "beef": "Tomato Beef Brisket Rice",
        "chicken": "Kung Pao Chicken Rice",
    },
}
# The planner of delivery looks every half minute; a rider is given what is ready at its next look but one at most.
LOOK_S = 31


class StudentWindow(Window):
    """A student's window in one of the languages."""

    def __init__(self, house: PagesHouse, context: Any, *, language: str) -> None:
        super().__init__(house, context)
        self.say = Texts("student", language)
        self.names = NAMES[language]

    def enter(self) -> None:
        """Sign in, and say where one lives."""
        say, names = self.say, self.names
        self.go("signin/signin")
        self.page.locator("input[type=tel]").fill(self.house.next_phone())
        self.press(say("codeAsk"))
        self.press(say("demoFill"))
        self.press(say("signIn"))
        self.press(say("chooseBuilding", name=say("noBuilding")))
        self.press(names["building"])
        self.sees(say("eatNow"))

    def take_seat(self, dish: str, *, button: str) -> None:
        """Put a dish into the cart of the menu that is open, take the seat, and pay."""
        say = self.say
        self.press(say("oneMore", name=dish))
        self.press(say("checkOut"))
        self.press(say(button))
        self.press(say("payNowButton"))
        self.sees(say("savedTogether"))
        self.press(say("close"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesHouse]:
    """A house whose boards are empty."""
    house = PagesHouse(tmp_path_factory.mktemp("pages"))
    yield house
    house.stop()


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_students_a_merchant_and_a_rider_take_a_group_from_opening_to_delivered(
    house: PagesHouse, browser: Browser, language: str
) -> None:
    take_from_opening_to_delivered(house, browser, language=language)


def take_from_opening_to_delivered(house: PagesHouse, browser: Browser, *, language: str) -> None:
    """The whole journey, in windows of a language."""

    def phone() -> Any:
        return browser.new_context(viewport=PHONE, locale=language, is_mobile=True, has_touch=True)

    leader, friend = (StudentWindow(house, phone(), language=language) for _ in range(2))
    merchant = ConsoleWindow(house, browser.new_context(viewport=DESK, locale=language), language=language)
    rider = ConsoleWindow(house, phone(), language=language)
    windows = (leader, friend, merchant, rider)
    say, names = merchant.say, NAMES[language]
    building = names["building"]

    # The shop is open and the rider on shift before anybody orders; nothing is loaded again after this.
    merchant.enter(MERCHANT_PHONE)
    merchant.sees(say("waitingEmpty"))
    rider.enter(RIDER_PHONE)
    rider.press(say("beginShift"))
    rider.sees(say("idleTitle"))

    # A student opens a group and another joins it.
    leader.enter()
    friend.enter()
    leader.go("menu/menu?campaign=duo")
    leader.take_seat(names["beef"], button="openAndHold")
    leader.page.wait_for_url(re.compile("group/group"), timeout=WAIT_MS)
    group_id = re.search(r"id=(g_\w+)", leader.page.url).group(1)
    leader.sees(leader.say("headMissing", n=1))
    merchant.sees(say("waitingEmpty"))
    friend.go(f"group/group?campus=beijing&id={group_id}")
    friend.press(friend.say("joinNow", n=1))
    friend.take_seat(names["chicken"], button="takeSeat")
    for student in (leader, friend):
        student.sees(student.say("headClosed", n=2))
        student.press(student.say("seeOrder"))

    # The merchant sees both on one ticket, and takes them on step by step; the students hear of each.
    ticket = merchant.page.get_by_role("article").filter(has_text=building)
    expect(ticket).to_contain_text(names["beef"], timeout=WAIT_MS)
    expect(ticket).to_contain_text(names["chicken"])
    merchant.press(f"{building}: {say('acceptAll', n=2)}")
    leader.sees(leader.say("after-accepted"))
    friend.sees(friend.say("after-accepted"))
    merchant.press(f"{building}: {say('cookAll', n=2)}")
    expect(column(merchant, "kitchen")).to_contain_text(say("cooking"), timeout=WAIT_MS)
    merchant.keep_screen(f"merchant-cooking-{language}")
    leader.sees(leader.say("after-cooking"))
    merchant.press(f"{building}: {say('makeReadyAll', n=2)}")
    expect(column(merchant, "ready")).to_contain_text(building, timeout=WAIT_MS)
    leader.sees(leader.say("sub-ready"))

    # The rider is given both as one bundle, fetches it, and brings it to the door.
    house.pass_time(seconds=LOOK_S)
    house.pass_time(seconds=LOOK_S)
    rider.press(say("pickUp", n=2))
    rider.sees(say("nextStop"))
    rider.keep_screen(f"rider-bring-{language}")
    expect(column(merchant, "gone")).to_contain_text(building, timeout=WAIT_MS)
    friend.sees(friend.say("after-picked_up"))
    rider.press(say("deliverAt", building=building))
    rider.sees(say("idleTitle"))
    for student in (leader, friend):
        student.sees(student.say("after-delivered"))
    expect(column(merchant, "gone")).to_contain_text(say("goneEmpty"), timeout=WAIT_MS)

    rider.press(say("endShift"))
    rider.sees(say("offTitle"))
    complaints = [line for window in windows for line in window.complaints]
    for window in windows:
        window.context.close()
    house.pass_time(seconds=61)  # so that the two may be sent another code
    assert complaints == []


def column(merchant: ConsoleWindow, name: str) -> Any:
    """A column of the merchant's board."""
    return merchant.page.locator(f"[data-column={name}]")

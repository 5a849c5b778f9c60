"""Students of two campuses in one group, over HTTP: one seat count, one outcome, each order on its own shard (B7)."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.conftest import BEEF_RICE, LUNCH_FOR_THREE, Person, Town, cart, done, refused
from tests.waiting import until
from tuanzi.groups.model import UNPAID_MAX

PORK_RICE = cart(("sh-m01-d01", 1))  # 20.00 yuan
GUEST_CART = {"building_id": "sh-dorm-01", "lines": PORK_RICE}


def balances(town: Town, campus: str) -> dict[str, int]:
    """The accounts of a campus that are not empty."""
    sql = "SELECT account, SUM(amount_fen) FROM entries GROUP BY account HAVING SUM(amount_fen) <> 0 ORDER BY account"
    return dict(town.rows(sql, database="money", campus=campus))


def seats(town: Town, campus: str = "beijing") -> list[tuple[Any, ...]]:
    """The groups of a campus's database, by state and seats."""
    return town.rows("SELECT id, state, seats, home FROM campus_groups ORDER BY id", campus=campus)


async def let_guests_in(town: Town, operator: Person, campaign_id: str = "bj-lunch-3", **changes: Any) -> None:
    """Have a campaign of Beijing take guests of Shanghai."""
    path = f"/v1/campuses/beijing/campaigns/{campaign_id}"
    campaign = await done(operator.get(path))
    body = {**campaign, "guest_campuses": ["shanghai"], **changes}
    await done(operator.send("PUT", path, body))


class Pair:
    """A group of Beijing that guests may join: ming and hua of Beijing, and wei of Shanghai, who has no seat yet."""

    def __init__(self, town: Town) -> None:
        self.town = town

    async def gather(self, **changes: Any) -> Pair:
        """Sign in, and open the group; hua joins."""
        town = self.town
        self.operator = await town.operator()
        await let_guests_in(town, self.operator, **changes)
        self.ming, self.hua = await town.sign_in(), await town.sign_in()
        self.wei, self.yun = await town.sign_in(campus="shanghai"), await town.sign_in(campus="shanghai")
        await self.open_group()
        return self

    async def open_group(self) -> None:
        """Ming opens a group, and hua joins it; from now on it is the one that is meant."""
        opened = await done(self.ming.post("groups", {**LUNCH_FOR_THREE, "lines": BEEF_RICE}), 201)
        self.group_id = opened["group_id"]
        joined = await done(self.hua.post(f"groups/{self.group_id}/orders", {"lines": BEEF_RICE}), 201)
        self.orders = [opened["order_id"], joined["order_id"]]
        self.page = f"neighbours/beijing/groups/{self.group_id}"

    async def join(self, person: Person, body: Any = None, *, key: str | None = None) -> httpx.Response:
        """A student of Shanghai asks for a seat."""
        return await person.post(f"{self.page}/orders", body or GUEST_CART, key=key)

    async def pay_both(self) -> None:
        """Both of Beijing pay."""
        for person, order_id in zip((self.ming, self.hua), self.orders, strict=True):
            await done(person.post(f"orders/{order_id}/pay"))

    async def settled(self) -> None:
        """Wait until every word between the campuses is heard."""
        timers = "SELECT id FROM timers WHERE id LIKE 'guest:%' AND command LIKE '%Send%' OR id LIKE 'guests:%'"
        await until(lambda: not any(self.town.rows(timers, campus=each) for each in ("beijing", "shanghai")))
        await self.town.settled()


@pytest.fixture
async def pair(town: Town) -> Pair:
    """Two of Beijing with seats, nothing paid."""
    return await Pair(town).gather()


async def test_two_of_beijing_and_one_of_shanghai_form_one_group_split_on_each_shard_to_the_fen(pair: Pair) -> None:
    town = pair.town
    page = await done(pair.wei.get(pair.page))
    seated = await done(pair.join(pair.wei), 201)
    await pair.pay_both()
    await done(pair.wei.post(f"orders/{seated['order_id']}/pay"))
    await pair.settled()

    # The page and the seat are the home campus's.
    assert (page["seats_taken"], page["seats_max"], page["missing"]) == (2, 3, 3)
    # 20.00 less 10 %, and a third of 6.00 for the delivery.
    assert (seated["payable_fen"], seated["seats_taken"], seated["group_state"]) == (1800 + 200, 1, "open")
    home = await done(pair.ming.get(f"groups/{pair.group_id}"))
    away = await done(pair.wei.get(f"groups/{pair.group_id}"))
    for each in (home, away):
        assert (each["state"], each["paid_count"], each["missing"]) == ("closed", 3, 0)
    assert (home["seats_taken"], away["seats_taken"]) == (3, 1)

    # Each campus split its own part, and both add up to the group's.
    here = await done(pair.ming.get(f"groups/{pair.group_id}/split"))
    there = await done(pair.wei.get(f"groups/{pair.group_id}/split"))
    for each in (here, there):
        assert each["state"] == "confirmed"
    amounts = [
        (sub["merchant_id"], sub["building_id"], sub["items_fen"], sub["discount_fen"], sub["delivery_fen"])
        for each in (here, there)
        for sub in each["sub_orders"]
    ]
    assert amounts == [
        ("bj-m01", "bj-dorm-01", 1800, 180, 200),
        ("bj-m01", "bj-dorm-01", 1800, 180, 200),
        ("sh-m01", "sh-dorm-01", 2000, 200, 200),
    ]
    for person, order_id in zip((pair.ming, pair.hua, pair.wei), [*pair.orders, seated["order_id"]], strict=True):
        order = await done(person.get(f"orders/{order_id}"))
        assert order["state"] == "split"

    # Orders, portions, payments and ledger are where each member is.
    for campus, dish, count, fen in (("beijing", "bj-m01-d01", 2, 3640), ("shanghai", "sh-m01-d01", 1, 2000)):
        assert town.rows("SELECT COUNT(*) FROM orders", campus=campus) == [(count,)]
        assert town.rows(f"SELECT held, sold FROM portions WHERE dish_id = '{dish}'", campus=campus) == [(0, count)]
        paid = town.rows("SELECT SUM(amount_fen) FROM payments", database="money", campus=campus)
        assert paid == [(fen,)]
        assert sum(balances(town, campus).values()) == 0


async def test_a_tier_that_is_reached_over_both_campuses_counts_for_all_and_the_delivery_adds_up(town: Town) -> None:
    tiers = [{"size": 2, "off_percent": 10, "off_fen": 0}, {"size": 3, "off_percent": 20, "off_fen": 0}]
    pair = await Pair(town).gather(tiers=tiers, delivery_fee_fen=1001)
    seated = await done(pair.join(pair.wei), 201)
    await done(pair.wei.post(f"orders/{seated['order_id']}/pay"))
    await pair.pay_both()
    await pair.settled()

    splits = [await done(person.get(f"groups/{pair.group_id}/split")) for person in (pair.ming, pair.wei)]
    subs = [sub for split in splits for sub in split["sub_orders"]]

    assert [(sub["discount_fen"], sub["items_fen"]) for sub in subs] == [(360, 1800), (360, 1800), (400, 2000)]
    assert sum(sub["delivery_fen"] for sub in subs) == 1001
    order = await done(pair.wei.get(f"orders/{seated['order_id']}"))
    # 18.00 and half of 10.01 were paid; 16.00 and a third of it is the price.
    assert seated["payable_fen"] == 1800 + 501
    assert (order["payable_fen"], order["state"]) == (1600 + 333, "split")
    refunded = town.rows("SELECT SUM(amount_fen) FROM refunds", database="money", campus="shanghai")
    assert refunded == [(seated["payable_fen"] - subs[2]["payable_fen"],)]


async def test_a_guest_sees_the_whole_group_with_its_names_and_his_own_seat(pair: Pair) -> None:
    before = await done(pair.wei.get(pair.page))
    seated = await done(pair.join(pair.wei), 201)
    await done(pair.wei.post(f"orders/{seated['order_id']}/pay"))
    await pair.settled()

    after = await done(pair.wei.get(pair.page))
    others = await done(pair.yun.get(pair.page))
    campus = (await done(pair.ming.get(pair.ming.campus)))["campus"]
    campaign = await done(pair.ming.get("campaigns/bj-lunch-3"))

    assert (before["my_order_id"], before["seats_taken"], [seat["is_mine"] for seat in before["seats"]]) == (
        None,
        2,
        [False, False],
    )
    assert (after["my_order_id"], others["my_order_id"]) == (seated["order_id"], None)
    assert [(seat["state"], seat["is_leader"], seat["is_mine"]) for seat in after["seats"]] == [
        ("held", True, False),
        ("held", False, False),
        ("paid", False, True),
    ]
    assert (after["home_zh"], after["home_en"]) == (campus["name_zh"], campus["name_en"])
    assert (after["campaign_zh"], after["campaign_en"]) == (campaign["name_zh"], campaign["name_en"])
    assert (after["building_zh"], after["delivery_fee_fen"], after["per_order_limit"]) == ("松园1号楼", 600, 6)
    # The part on his own campus says where the whole is; at home it is whole.
    assert (await done(pair.wei.get(f"groups/{pair.group_id}")))["home_campus_id"] == "beijing"
    assert (await done(pair.ming.get(f"groups/{pair.group_id}")))["home_campus_id"] is None


async def test_what_a_guest_is_quoted_is_what_he_pays(town: Town) -> None:
    tiers = [{"size": 2, "off_percent": 10, "off_fen": 0}, {"size": 3, "off_percent": 20, "off_fen": 5}]
    pair = await Pair(town).gather(tiers=tiers, delivery_fee_fen=1001)

    quoted = await done(pair.wei.post(f"{pair.page}/quotes", GUEST_CART))

    # 20.00 less 10 % with half of 10.01; 20.00 less 20 % and 5 fen with a third.
    prices = [(tier["size"], tier["list_fen"], tier["delivery_fen"], tier["payable_fen"]) for tier in quoted["tiers"]]
    assert prices == [(2, 2000, 501, 1800 + 501), (3, 2000, 334, 1595 + 334)]
    assert town.rows("SELECT id FROM orders", campus="shanghai") == []
    assert (await done(pair.wei.get(pair.page)))["seats_taken"] == 2
    assert (await done(pair.join(pair.wei), 201))["payable_fen"] == quoted["tiers"][0]["payable_fen"]


async def test_nothing_is_quoted_that_a_guest_could_not_have(pair: Pair) -> None:
    await refused(pair.wei.post(f"{pair.page}/quotes", {**GUEST_CART, "lines": BEEF_RICE}), 404, "base/unknown")
    await let_guests_in(pair.town, pair.operator, guest_campuses=[])
    pair.ming, pair.hua = await pair.town.sign_in(), await pair.town.sign_in()
    await pair.open_group()
    await refused(pair.wei.post(f"{pair.page}/quotes", GUEST_CART), 404, "base/unknown")


async def test_the_last_seat_is_refused_to_a_guest_when_it_is_taken_and_nothing_stays_held(pair: Pair) -> None:
    lan = await pair.town.sign_in()
    await done(lan.post(f"groups/{pair.group_id}/orders", {"lines": BEEF_RICE}), 201)

    await refused(pair.join(pair.wei, key="wei-joins"), 409, "groups/group-full")
    await refused(pair.join(pair.wei, key="wei-joins"), 409, "groups/group-full")
    await pair.settled()

    assert pair.town.rows("SELECT COUNT(*) FROM orders", campus="shanghai") == [(0,)]
    assert pair.town.rows("SELECT state, reason FROM guest_seats", campus="shanghai") == [("gone", "groups/group-full")]
    assert pair.town.rows("SELECT state FROM fences WHERE branch = 'seat'") == [("suspended",)]


async def test_the_last_seat_goes_to_exactly_one_over_both_campuses(pair: Pair) -> None:
    town = pair.town
    won = []
    for number in range(9):
        locals_, guests = [[await town.sign_in(campus=campus) for _ in range(8)] for campus in ("beijing", "shanghai")]
        pair.ming, pair.hua = [await town.sign_in() for _ in range(2)]
        await pair.open_group()
        asked = f"SELECT 1 FROM guest_seats WHERE group_id = '{pair.group_id}' LIMIT 1"
        async with asyncio.TaskGroup() as race:
            racing = [race.create_task(pair.join(guest)) for guest in guests]
            if number % 3:  # a guest's way is longer: he may begin earlier
                await until(partial(town.rows, asked, campus="shanghai"))
            path = f"groups/{pair.group_id}/orders"
            racing += [race.create_task(local.post(path, {"lines": BEEF_RICE})) for local in locals_]
        answers = [task.result() for task in racing]
        codes = [answer.json().get("code") for answer in answers if answer.status_code != 201]
        assert codes == ["groups/group-full"] * 15
        (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
        won.append(winner["order_id"])
        await pair.settled()
        home = await done(pair.ming.get(f"groups/{pair.group_id}"))
        assert (home["seats_taken"], home["seats_max"]) == (3, 3)

    kept = [id for campus in ("beijing", "shanghai") for (id,) in town.rows("SELECT id FROM orders", campus=campus)]
    assert len(kept) == 2 + 9 * 3
    assert set(won) <= set(kept)
    of_guests = [id for (id,) in town.rows("SELECT id FROM orders", campus="shanghai")]
    states = dict(town.rows("SELECT state, COUNT(*) FROM guest_seats GROUP BY state", campus="shanghai"))
    assert states.get("held", 0) == len(of_guests)
    assert states["gone"] == 9 * 8 - len(of_guests)
    held = town.rows("SELECT COALESCE(SUM(held), 0) FROM portions", campus="shanghai")
    assert held == [(len(of_guests),)]


async def test_a_cart_that_his_campus_cannot_serve_leaves_no_seat_at_home(pair: Pair) -> None:
    too_many = {**GUEST_CART, "lines": cart(("sh-m01-d01", 7))}

    await refused(pair.join(pair.wei, too_many), 409, "groups/order-limit-exceeded")
    await refused(pair.join(pair.wei, {**GUEST_CART, "lines": BEEF_RICE}), 404, "base/unknown")
    await refused(pair.join(pair.wei, {**GUEST_CART, "building_id": "bj-dorm-01"}), 404, "base/unknown")
    await pair.settled()

    assert (await done(pair.wei.get(pair.page)))["seats_taken"] == 2
    assert pair.town.rows("SELECT state FROM guest_seats", campus="shanghai") == [("gone",)]
    assert pair.town.rows("SELECT SUM(held) FROM portions", campus="shanghai") == [(None,)]


async def test_a_guest_who_paid_for_none_of_three_seats_gets_no_fourth_and_hears_the_same_again(pair: Pair) -> None:
    for _ in range(UNPAID_MAX):
        await done(pair.join(pair.wei), 201)
        pair.ming, pair.hua = await pair.town.sign_in(), await pair.town.sign_in()
        await pair.open_group()

    for _ in range(2):
        await refused(pair.join(pair.wei, key="the-fourth"), 409, "groups/too-many-unpaid")
    await pair.settled()

    assert pair.town.rows("SELECT COUNT(*) FROM orders", campus="shanghai") == [(UNPAID_MAX,)]
    group = await done(pair.wei.get(pair.page))
    assert (group["seats_taken"], group["paid_count"]) == (2, 0)


async def test_only_campaigns_that_say_so_take_guests_and_only_of_the_campuses_they_name(town: Town) -> None:
    pair = await Pair(town).gather(guest_campuses=[])

    await refused(pair.join(pair.wei), 409, "guests/guests-not-taken")
    await refused(pair.wei.get(pair.page), 404, "base/unknown")
    own = f"/v1/campuses/shanghai/neighbours/shanghai/groups/{pair.group_id}"
    await refused(pair.wei.get(own), 404, "base/unknown")
    await refused(pair.wei.get(own.replace("/shanghai/groups", "/atlantis/groups")), 404, "base/unknown")
    path = "/v1/campuses/beijing/campaigns/bj-lunch-3"
    campaign = await done(pair.operator.get(path))
    wrongs = (["beijing"], "guest-campus-invalid"), (["shanghai", "shanghai"], "given-twice")
    for wrong, code in (*wrongs, (["shanghai", "atlantis"], "guest-campus-unknown")):
        body = {**campaign, "guest_campuses": wrong}
        await refused(pair.operator.send("PUT", path, body), 422, f"catalog/{code}")


async def test_a_join_sent_again_has_one_seat_and_one_order_and_the_same_answer(pair: Pair) -> None:
    first = await pair.join(pair.wei, key="wei-joins")
    again = await pair.join(pair.wei, key="wei-joins")

    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    await refused(pair.join(pair.wei), 409, "groups/already-member")
    await refused(
        pair.join(pair.wei, {**GUEST_CART, "building_id": "sh-dorm-02"}, key="wei-joins"), 422, "machinery/key-reused"
    )
    assert (await done(pair.wei.get(pair.page)))["seats_taken"] == 3
    assert pair.town.rows("SELECT COUNT(*) FROM orders", campus="shanghai") == [(1,)]


async def test_a_guest_who_leaves_frees_his_seat_at_home_and_gets_his_money_back(pair: Pair) -> None:
    unpaid = await done(pair.join(pair.wei), 201)
    left = await done(pair.wei.send("DELETE", f"groups/{pair.group_id}/seat"))
    await pair.settled()
    assert (left["order_state"], left["order_id"]) == ("cancelled", unpaid["order_id"])
    assert (await done(pair.wei.get(pair.page)))["seats_taken"] == 2

    paid = await done(pair.join(pair.wei), 201)
    await done(pair.wei.post(f"orders/{paid['order_id']}/pay"))
    await pair.settled()
    assert (await done(pair.wei.get(pair.page)))["paid_count"] == 1
    await done(pair.wei.post(f"orders/{paid['order_id']}/cancel"))
    await pair.settled()

    assert (await done(pair.wei.get(pair.page)))["seats_taken"] == 2
    order = await done(pair.wei.get(f"orders/{paid['order_id']}"))
    assert (order["state"], order["refunded_fen"]) == ("refunded", 2000)
    assert pair.town.rows("SELECT SUM(held), SUM(sold) FROM portions", campus="shanghai") == [(0, 0)]


async def test_a_paid_guest_of_a_formed_group_may_not_leave(town: Town) -> None:
    tiers = [{"size": 2, "off_percent": 10, "off_fen": 0}, {"size": 5, "off_percent": 20, "off_fen": 0}]
    pair = await Pair(town).gather(tiers=tiers)
    seated = await done(pair.join(pair.wei), 201)
    await done(pair.wei.post(f"orders/{seated['order_id']}/pay"))
    await pair.pay_both()
    await pair.settled()

    await refused(pair.wei.send("DELETE", f"groups/{pair.group_id}/seat"), 409, "groups/seat-committed")


async def test_a_failed_group_refunds_each_guest_on_his_own_campus(pair: Pair) -> None:
    seated = await done(pair.join(pair.wei), 201)
    await done(pair.wei.post(f"orders/{seated['order_id']}/pay"))
    await done(pair.ming.post(f"orders/{pair.orders[0]}/pay"))
    await pair.settled()

    pair.town.pass_time(minutes=31)
    await pair.settled()

    for person, order_id, fen in ((pair.ming, pair.orders[0], 1820), (pair.wei, seated["order_id"], 2000)):
        order = await done(person.get(f"orders/{order_id}"))
        assert (order["state"], order["refunded_fen"]) == ("refunded", fen)
    assert [state for _, state, *_ in seats(pair.town)] == ["failed"]
    assert [state for _, state, *_ in seats(pair.town, "shanghai")] == ["failed"]
    assert pair.town.rows("SELECT SUM(held), SUM(sold) FROM portions", campus="shanghai") == [(0, 0)]


async def test_a_guest_who_does_not_pay_in_time_loses_his_seat_on_both_campuses(pair: Pair) -> None:
    seated = await done(pair.join(pair.wei), 201)
    await pair.pay_both()

    pair.town.pass_time(minutes=5)
    await pair.settled()

    assert (await done(pair.wei.get(f"orders/{seated['order_id']}")))["state"] == "cancelled"
    assert (await done(pair.wei.get(pair.page)))["seats_taken"] == 2
    assert pair.town.rows("SELECT state FROM guest_seats", campus="shanghai") == [("gone",)]


async def test_a_group_of_the_own_campus_is_not_joined_by_way_of_another(pair: Pair) -> None:
    await done(pair.join(pair.wei), 201)

    await refused(pair.yun.post(f"groups/{pair.group_id}/orders", {"lines": PORK_RICE}), 409, "groups/group-elsewhere")
    assert (await done(pair.yun.get("groups")))["items"] == []


async def test_nobody_hears_of_guests_where_there_are_none(pair: Pair) -> None:
    lan = await pair.town.sign_in()
    joined = await done(lan.post(f"groups/{pair.group_id}/orders", {"lines": BEEF_RICE}), 201)
    await pair.pay_both()
    await done(lan.post(f"orders/{joined['order_id']}/pay"))
    await pair.settled()

    assert pair.town.rows("SELECT COUNT(*) FROM fences WHERE branch = 'seat'") == [(0,)]
    assert pair.town.rows("SELECT name FROM events WHERE name LIKE 'groups.guest%'") == []
    assert seats(pair.town, "shanghai") == []
    for ((_, state, kept, home),) in [seats(pair.town)]:
        assert (state, home, "campus_id" in kept) == ("closed", None, False)


async def test_what_is_kept_survives_a_restart(tmp_path: Path) -> None:
    async with Town(tmp_path) as town:
        pair = await Pair(town).gather()
        seated = await done(pair.join(pair.wei), 201)
        await done(pair.wei.post(f"orders/{seated['order_id']}/pay"))
        await pair.settled()
        tokens = [(each.token, each.id) for each in (pair.ming, pair.hua, pair.wei)]
    async with Town(tmp_path, seed=8) as town:
        pair.town = town
        ming, hua, wei = [
            Person(town.client, token, id, campus)
            for (token, id), campus in zip(tokens, ("beijing", "beijing", "shanghai"), strict=True)
        ]
        pair.ming, pair.hua = ming, hua
        await pair.pay_both()
        await pair.settled()

        assert (await done(wei.get(f"orders/{seated['order_id']}")))["state"] == "split"

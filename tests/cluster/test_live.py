"""Messages reach people at whichever gateway they are, across processes (A1, A2, A6)."""

from __future__ import annotations

import asyncio
from typing import Any

import centrifuge
import httpx

from tests.cluster.conftest import Ground, start
from tests.faults.city import BUILDING, CAMPAIGN, CAMPUS, City
from tests.journeys.conftest import Person, done
from tests.live.street import Ears, token_of


class EarsAt(Ears):
    """The public client at a gateway of one's choice."""

    async def connect_at(self, url: str) -> EarsAt:
        """Connect there."""
        self.client = centrifuge.Client(url, events=self, get_token=self._token, min_reconnect_delay=0.02, proxy=None)
        await self.client.connect()
        await self.client.ready()
        return self

    async def _token(self) -> str:
        return str((await token_of(self.person))["token"])

    def kinds(self) -> list[str]:
        """What was heard, in order."""
        return [data["kind"] for _, data in self.heard]


async def test_a_group_is_told_to_its_members_at_two_gateways_and_after_one_of_them_died(
    ground: Ground, city: City
) -> None:
    add = ground.cluster.add
    writer, api = add("writer", "writer"), add("api", "api")
    gateways = [add(f"gateway{i}", "gateway") for i in (1, 2)]
    await start(writer)
    await start(api, *gateways)
    urls = [f"ws://127.0.0.1:{each.environment['TUANZI_LIVE_PORT']}/connection/websocket" for each in gateways]
    async with httpx.AsyncClient(base_url=api.address, timeout=60) as client:
        people = [Person(client, each.token.decode(), each.person_id, CAMPUS) for each in city.students[:3]]
        ears = [await EarsAt(person).connect_at(urls[i % 2]) for i, person in enumerate(people)]
        lines = [{"dish_id": city.dishes[1], "quantity": 1}]

        opened = await done(
            people[0].post("groups", {"campaign_id": CAMPAIGN, "building_id": BUILDING, "lines": lines}), 201
        )
        orders = [opened["order_id"]]
        for person in people[1:]:
            joined = await done(person.post(f"groups/{opened['group_id']}/orders", {"lines": lines}), 201)
            orders.append(joined["order_id"])
        gateways[1].process.kill()
        restarting = asyncio.create_task(start(gateways[1]))
        for person, order_id in zip(people, orders, strict=True):
            await done(person.post(f"orders/{order_id}/pay"))
        await restarting
        async with asyncio.timeout(60):
            while not all("split.planned" in each.kinds() for each in ears):  # noqa: ASYNC110 - told from elsewhere
                await asyncio.sleep(0.05)
        heard: list[Any] = [each.numbers for each in ears]
        for each in ears:
            await each.client.disconnect()

    for numbers in heard:
        assert numbers == list(range(1, len(numbers) + 1)), heard

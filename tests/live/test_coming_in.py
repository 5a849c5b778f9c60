"""Who signs out, or loses rights, while one of his phones is just being let in is not let in (A5)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.journeys.conftest import Cast
from tests.live.lines import CAMPUS, Talk, Watch, a_gateway
from tests.live.street import token_of
from tests.waiting import until
from tuanzi.events import RolesChanged, SessionEnded
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.ports import StreamState
from tuanzi.machinery.push.protocol import Close


class Slow:
    """An archive that says where a stream is when the test says so."""

    def __init__(self, archive: Any) -> None:
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self._archive = archive

    async def load(self, stream: str) -> StreamState:
        self.is_asked.set()
        await self.may_answer.wait()
        state: StreamState = await self._archive.load(stream)
        return state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)


@pytest.mark.parametrize("ending", [SessionEnded, RolesChanged], ids=lambda kind: kind.__name__)
async def test_what_ends_a_connection_ends_one_that_is_being_let_in(cast: Cast, ending: type) -> None:
    hub = cast.town.house.live.hubs[CAMPUS]
    told = await token_of(cast.ming)
    async with a_gateway(cast, Watch(), PushLimits(ping_s=1)) as gateway:
        hub._archive = slow = Slow(hub._archive)
        talk = Talk(cast, gateway)
        talk.send(connect={"token": told["token"]})
        await slow.is_asked.wait()
        gateway.tick()  # nobody is pinged before he was let in
        (client,) = hub.clients[cast.ming.id]
        said = list(talk.line.said)

        if ending is SessionEnded:
            assert client.ticket is not None
            gateway.end_session(client.ticket.session_id, cast.ming.id)
        else:
            gateway.end_person(cast.ming.id, is_coming_back=True)
        slow.may_answer.set()
        await until(lambda: talk.line.said)
        talk.client.on_closed()

    assert said == []
    assert talk.line.said == [{"closed": Close.SIGNED_OUT if ending is SessionEnded else Close.RIGHTS_CHANGED}]
    assert cast.ming.id not in hub.clients

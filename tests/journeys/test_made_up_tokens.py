"""J3, J5: a flood of made-up tokens is refused unread, and who shares its address is answered (decision 0036)."""

from __future__ import annotations

import secrets
from datetime import timedelta

from tests.journeys.conftest import Town, done, refused
from tuanzi.people.queries.doorkeeper import GUESSES_AT_ONCE


async def guess(town: Town) -> int:
    """Ask for something with a token that nobody has."""
    answer = await town.client.get("/v1/me", headers={"authorization": f"Bearer {secrets.token_hex(32)}"})
    return answer.status_code


async def test_a_flood_is_told_to_wait_and_whoever_shares_its_address_is_answered_and_may_sign_in(town: Town) -> None:
    signed_in = await town.sign_in()

    statuses = [await guess(town) for _ in range(GUESSES_AT_ONCE + 50)]

    assert statuses == [401] * GUESSES_AT_ONCE + [429] * 50
    told = await town.client.get("/v1/me", headers={"authorization": f"Bearer {secrets.token_hex(32)}"})
    assert told.headers["retry-after"] == "1"
    assert "tuanzi_guesses_refused_total 51.0" in (await town.client.get("/metrics")).text
    # Not in memory any more, and from the same address.
    town.now += timedelta(minutes=6)
    assert [await guess(town) for _ in range(GUESSES_AT_ONCE + 1)][-1] == 429
    assert (await done(signed_in.get("/v1/me")))["person_id"] == signed_in.id
    newcomer = await town.sign_in()
    assert (await done(newcomer.get("/v1/me")))["person_id"] == newcomer.id
    # A token of this house whose session has ended is told that, however many guess.
    await done(signed_in.send("DELETE", "/v1/sessions/current"))
    await refused(signed_in.get("/v1/me"), 401, "http/not-signed-in")

"""Who a token is: mostly from memory, and of guesses not more than a network may make (J3, decision 0036)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from math import ceil
from typing import Any

import msgspec

from tuanzi.base.ids import PersonId, SessionId
from tuanzi.base.network import network_of
from tuanzi.base.problem import Busy
from tuanzi.base.time import from_ms
from tuanzi.base.who import Role, Who
from tuanzi.events import PersonErased, RolesChanged, SessionEnded
from tuanzi.machinery.http.problems import TooManyRequests
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.limiter import Limiter
from tuanzi.machinery.several import FEW_AT_ONCE, several
from tuanzi.machinery.together import Together
from tuanzi.people import store
from tuanzi.people.model import Keys

TOKEN_LENGTH = 64
# Our choice: what the database can be asked at once; more than that are guesses at tokens.
FLIGHTS_MAX = 512
# Our choice: one read answers sixteen; a hall of phones whose sessions ended may come back at once.
GUESSES_PER_S = 20
GUESSES_AT_ONCE = 400

_roles = msgspec.json.Decoder(tuple[Role, ...])


async def find_who(desk: Desk, session_id: SessionId, *, now: datetime) -> Who | None:
    """Whose session this is, with his rights of now; None when it has ended."""
    rows = await desk.rows(store.WHO_BY_SESSION, {"session_id": session_id})
    if not rows:
        return None
    who, expires_at = _who_of(rows[0])
    return who if now < expires_at else None


def _who_of(row: tuple[Any, ...]) -> tuple[Who, datetime]:
    session_id, person_id, expires_at_ms, roles, campus_id, merchant_id, is_returning = row
    who = Who(
        person_id=person_id,
        session_id=session_id,
        roles=_roles_of(roles),
        campus_id=campus_id,
        merchant_id=merchant_id,
        is_returning=bool(is_returning),
    )
    return who, from_ms(expires_at_ms)


@lru_cache(maxsize=256)
def _roles_of(text: str) -> frozenset[Role]:
    """The roles kept as this text; thousands have the same."""
    return frozenset(_roles.decode(text))


Known = tuple[Who | None, datetime]  # who it is, and until when that may be believed


class _Generation:
    """Tokens remembered together and forgotten together."""

    __slots__ = ("digests", "known")

    def __init__(self) -> None:
        self.known: dict[bytes, Known] = {}
        self.digests: dict[PersonId, tuple[bytes, ...]] = {}

    def forget(self, person_id: PersonId) -> None:
        for digest in self.digests.pop(person_id, ()):
            self.known.pop(digest, None)


class _Flight:
    """One question to the database that all who ask the same wait for.

    forgotten: people whose rights changed meanwhile. again: its asker was cancelled, so another must ask.
    """

    __slots__ = ("answer", "forgotten")

    def __init__(self) -> None:
        self.answer: asyncio.Future[Known | None] = asyncio.get_running_loop().create_future()
        self.forgotten: set[PersonId] = set()


class Doorkeeper:
    """Tells who a token is, mostly from memory: a hit costs about 1 us, a miss one read shared by all who wait for it.

    What is remembered is believed until the session ends, `on_event` hears otherwise, or `fresh_for` is over, which
    bounds how long a node that missed an event is wrong. About 600 bytes for each token remembered.
    What this house did not make is a guess. It is looked up all the same, for sessions of before tokens had marks last
    thirty days, until too many guesses from one network opened nothing (decision 0036).
    """

    def __init__(
        self,
        desk: Desk,
        *,
        keys: Keys,
        remembered_max: int = 100_000,
        fresh_for: timedelta = timedelta(minutes=5),
        unknown_for: timedelta = timedelta(seconds=2),
    ) -> None:
        """desk: of the database `platform`. keys: tell which tokens this house made. unknown_for: how long a token that
        nobody has is not asked for again."""
        self.guesses_refused = 0
        self._desk = desk
        self._keys = keys
        self._guesses = Limiter(GUESSES_PER_S, GUESSES_AT_ONCE)
        self._generation_max = max(1, remembered_max // 2)
        self._fresh_for = fresh_for
        self._unknown_for = unknown_for
        self._young = _Generation()
        self._old = _Generation()
        self._strangers: dict[bytes, datetime] = {}
        self._flights: dict[bytes, _Flight] = {}
        # While the newest sessions are read: whose rights changed since that began.
        self._forgotten_meanwhile: set[PersonId] | None = None
        # Measured with 950 students a second whom it did not remember: one by one they took a quarter of a core.
        self._rows = Together(self._read, at_once=FEW_AT_ONCE)

    async def authenticate(self, token: str, now: datetime, asker: str = "") -> Who | None:
        """The person this token belongs to; None for one that nobody has or whose session is over.

        asker: the client address it came from; guesses from there that opened nothing are counted.
        Raises TooManyRequests for one guess too many, Busy when too many tokens are asked for at once, and what the
        database raises.
        """
        if len(token) != TOKEN_LENGTH or not token.isascii():
            return None
        digest = sha256(token.encode()).digest()
        while True:
            known = self._recall(digest, now=now)
            if known is None:
                flight = self._flights.get(digest)
                if flight is not None:
                    known = await asyncio.shield(flight.answer)
                elif self._keys.made(token) or digest in self._young.known or digest in self._old.known:
                    known = await self._ask(digest, now=now)
                else:
                    known = await self._try(digest, network=network_of(asker), now=now)
            if known is not None:
                return known[0]

    def recall(self, token: str, now: datetime) -> Who | None:
        """The person this token belongs to, when that is remembered; None says nothing, then `authenticate` knows."""
        if len(token) != TOKEN_LENGTH or not token.isascii():
            return None
        known = self._young.known.get(sha256(token.encode()).digest())
        return known[0] if known is not None and now < known[1] else None

    async def warm_up(self, now: datetime, *, sessions_max: int = 50_000) -> int:
        """Read the newest sessions, so that a start at noon is not a rush of questions; gives how many were read."""
        forgotten: set[PersonId] = set()
        self._forgotten_meanwhile = forgotten
        try:
            rows = await self._desk.rows(store.WHO_OF_NEWEST, {"limit": sessions_max})
        finally:
            self._forgotten_meanwhile = None
        for token_hash, *row in rows:
            known = self._known_of(tuple(row), now=now)
            if known[0] is None or known[0].person_id not in forgotten:
                self._remember(bytes.fromhex(token_hash), known)
        return len(rows)

    def on_event(self, event: object) -> None:
        """Hear an event of the database `platform`; anything but the three that end or change rights is ignored."""
        if isinstance(event, PersonErased | RolesChanged | SessionEnded):
            self.forget(PersonId(event.person_id))

    def forget(self, person_id: PersonId) -> None:
        """Believe nothing about this person's tokens any more, nor an answer that is under way; they are read again."""
        self._young.forget(person_id)
        self._old.forget(person_id)
        for flight in self._flights.values():
            flight.forgotten.add(person_id)
        if self._forgotten_meanwhile is not None:
            self._forgotten_meanwhile.add(person_id)

    async def _try(self, digest: bytes, *, network: str, now: datetime) -> Known:
        """Ask for a guess; only what opens nothing is counted, so that nobody's session costs another's."""
        wait_s = self._guesses.wait_s(network, now)
        if wait_s:
            self.guesses_refused += 1
            raise TooManyRequests(retry_after_s=ceil(wait_s))
        known = await self._ask(digest, now=now)
        if known[0] is None:
            self._guesses.take(network, now)
        return known

    def _recall(self, digest: bytes, *, now: datetime) -> Known | None:
        known = self._young.known.get(digest)
        if known is not None and now < known[1]:
            return known
        known = self._old.known.get(digest)
        if known is not None and now < known[1]:
            self._remember(digest, known)
            return known
        until = self._strangers.get(digest)
        return (None, until) if until is not None and now < until else None

    async def _ask(self, digest: bytes, *, now: datetime) -> Known:
        if len(self._flights) >= FLIGHTS_MAX:
            raise Busy(retry_after_s=1)
        flight = self._flights[digest] = _Flight()
        try:
            known = await self._load(digest, flight, now=now)
        except BaseException as error:
            if isinstance(error, Exception):
                flight.answer.set_exception(error)
                flight.answer.exception()  # seen here: nobody else may be waiting
            else:
                flight.answer.set_result(None)
            raise
        finally:
            del self._flights[digest]
        flight.answer.set_result(known)
        return known

    async def _load(self, digest: bytes, flight: _Flight, *, now: datetime) -> Known:
        """Ask the database, again while rights change under the question; the third answer is not remembered."""
        for _ in range(3):
            flight.forgotten.clear()
            known = self._known_of(await self._rows.load(digest.hex()), now=now)
            who = known[0]
            if who is None or who.person_id not in flight.forgotten:
                self._remember(digest, known)
                break
        return known

    async def _read(self, token_hashes: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        slots = next(several(token_hashes, at_once=FEW_AT_ONCE))
        return {token_hash: tuple(row) for token_hash, *row in await self._desk.few(store.WHO_BY_TOKENS, slots)}

    def _known_of(self, row: tuple[Any, ...] | None, *, now: datetime) -> Known:
        if row is None:
            return None, now + self._unknown_for
        who, expires_at = _who_of(row)
        if now >= expires_at:
            return None, now + self._unknown_for
        return who, min(expires_at, now + self._fresh_for)

    def _remember(self, digest: bytes, known: Known) -> None:
        who, until = known
        if who is None:
            if len(self._strangers) >= self._generation_max:
                self._strangers.clear()
            self._strangers[digest] = until
            return
        young = self._young
        if len(young.known) >= self._generation_max and digest not in young.known:
            self._old = young
            young = self._young = _Generation()
        young.known[digest] = known
        digests = young.digests.get(who.person_id, ())
        if digest not in digests:
            young.digests[who.person_id] = (*digests, digest)

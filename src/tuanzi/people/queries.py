"""What is read of people: by pages, and by the doorkeeper who tells who a token is (J3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from math import ceil
from typing import Any

import msgspec
from msgspec import Struct

from tuanzi.base.ids import CampusId, MerchantId, PersonId, SessionId
from tuanzi.base.network import network_of
from tuanzi.base.problem import Busy, Unknown
from tuanzi.base.time import from_ms
from tuanzi.base.who import Role, Who
from tuanzi.events import PersonErased, RolesChanged, SessionEnded
from tuanzi.machinery.http.problems import TooManyRequests
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.limiter import Limiter
from tuanzi.machinery.several import FEW_AT_ONCE, several
from tuanzi.machinery.together import Together
from tuanzi.people import store
from tuanzi.people.model import SESSIONS_MAX, Keys
from tuanzi.people.problems import WechatAbsent, WechatNeeded
from tuanzi.people.vendors import PlayedPhones, WechatLogin

TOKEN_LENGTH = 64
# Our choice: what the database can be asked at once; more than that are guesses at tokens.
FLIGHTS_MAX = 512
# Our choice: one read answers sixteen; a hall of phones whose sessions ended may come back at once.
GUESSES_PER_S = 20
GUESSES_AT_ONCE = 400
AUDIT_PER_EXPORT = 500
# Our choice: more than pay in a demo within some minutes.
PLAYED_MAX = 20_000
_NEWEST = "~"  # no id comes after it

_roles = msgspec.json.Decoder(tuple[Role, ...])
_facts = msgspec.json.Decoder(dict[str, str])


class Me(Struct, frozen=True, kw_only=True, gc=False):
    """What a signed-in person sees of himself. has_wechat: whether he may sign in and pay with WeChat."""

    person_id: PersonId
    name: str
    phone_masked: str | None
    roles: tuple[Role, ...]
    campus_id: CampusId | None
    merchant_id: MerchantId | None
    joined_at: datetime
    has_wechat: bool


class WechatLine(Struct, frozen=True, kw_only=True, gc=False):
    """A WeChat account by which somebody is known; the openid is only good for this app."""

    appid: str
    openid: str
    bound_at: datetime


class SessionLine(Struct, frozen=True, kw_only=True, gc=False):
    """One open session."""

    id: SessionId
    created_at: datetime
    expires_at: datetime


class AuditLine(Struct, frozen=True, kw_only=True, gc=False):
    """One entry of the audit log."""

    id: str
    at: datetime
    person_id: str
    action: str
    subject: str
    facts: dict[str, str]


class Export(Struct, frozen=True, kw_only=True, gc=False):
    """All that people keeps of a person, phone in plain (PIPL art. 45).

    is_returning: that somebody with his phone was erased who had ordered.
    audit: what he did to others and others to him, newest first; `audit_next` asks for the rest, None when this is all.
    Not in it: an open code (5 minutes) and rate limits, which cannot be traced to him.
    """

    person: Me
    phone: str | None
    is_returning: bool
    wechat: WechatLine | None
    sessions: tuple[SessionLine, ...]
    audit: tuple[AuditLine, ...]
    audit_next: str | None


class PersonLine(Struct, frozen=True, kw_only=True, gc=False):
    """What an operator sees of a person."""

    person_id: PersonId
    name: str
    phone_masked: str | None
    roles: tuple[Role, ...]
    campus_id: CampusId | None
    merchant_id: MerchantId | None
    joined_at: datetime
    erased_at: datetime | None


class PeoplePage(Struct, frozen=True, kw_only=True, gc=False):
    """People in the order in which they joined; `next` is None on the last page."""

    items: tuple[PersonLine, ...]
    next: str | None


class AuditPage(Struct, frozen=True, kw_only=True, gc=False):
    """Entries of the audit log, newest first; `next` is None on the last page."""

    items: tuple[AuditLine, ...]
    next: str | None


async def me(desk: Desk, *, person_id: PersonId) -> Me:
    """A person as he sees himself. Raises Unknown."""
    return _me(await _person_row(desk, person_id=person_id))


async def export(desk: Desk, *, person_id: PersonId, keys: Keys, after: str) -> Export:
    """All that is kept of a person, the audit log from `after` back. Raises Unknown."""
    row = await _person_row(desk, person_id=person_id)
    wechat = await desk.rows(store.WECHAT_OF_PERSON, {"person_id": person_id})
    sessions = await desk.rows(store.SESSIONS_OF_PERSON, {"person_id": person_id, "limit": SESSIONS_MAX})
    slots = {"person_id": person_id, "before": after or _NEWEST, "limit": AUDIT_PER_EXPORT + 1}
    audit = [_audit_line(entry) for entry in await desk.rows(store.AUDIT_OF_PERSON, slots)]
    return Export(
        person=_me(row),
        phone=None if row[3] is None else keys.unseal(row[3]),
        is_returning=bool(row[8]),
        wechat=_wechat_line(wechat[0], keys=keys) if wechat else None,
        sessions=tuple(
            SessionLine(id=id, created_at=from_ms(created_at_ms), expires_at=from_ms(expires_at_ms))
            for id, created_at_ms, expires_at_ms in sessions
        ),
        audit=tuple(audit[:AUDIT_PER_EXPORT]),
        audit_next=audit[AUDIT_PER_EXPORT - 1].id if len(audit) > AUDIT_PER_EXPORT else None,
    )


async def is_bound_with(desk: Desk, *, person_id: PersonId, code_hash: str) -> bool:
    """Whether somebody's WeChat account was bound with this very code: then he asks again, and WeChat would refuse."""
    rows = await desk.rows(store.WECHAT_OF_PERSON, {"person_id": person_id})
    return any(bound_with == code_hash for _, _, bound_with, _ in rows)


def are_sealed_otherwise(ask: Callable[[str], list[Any]], *, keys: Keys) -> bool:
    """Whether people are kept here, and none of the first hundred and the newest hundred is known by these keys: they
    were sealed under another secret. One who is known is enough, for a house may have lived under two."""
    sealed = [phone for sql in (store.FIRST_SEALED_PHONES, store.NEWEST_SEALED_PHONES) for (phone,) in ask(sql)]
    return bool(sealed) and not keys.opens_any(sealed)


class Payers:
    """By which openid WeChat takes somebody's payment: the one he signs in with."""

    def __init__(self, *, keys: Keys, login: WechatLogin, phones: PlayedPhones | None = None) -> None:
        """phones: in a demo, whoever never signed in with WeChat pays by the account of the phone that is played."""
        self._keys = keys
        self._login = login
        self._phones = phones
        self._played: dict[PersonId, str] = {}

    async def openid_of(self, desk: Desk, *, person_id: PersonId, appid: str) -> str:
        """Somebody's openid for an app. desk: of the platform.

        Raises WechatNeeded when he has none, WechatAbsent when he could have none here, and in a demo what the sandbox
        refuses.
        """
        for bound_to, sealed, _, _ in await desk.rows(store.WECHAT_OF_PERSON, {"person_id": person_id}):
            if bound_to == appid:
                return self._keys.unseal_openid(sealed, appid=appid)
        if self._login.appid != appid:
            raise WechatAbsent()
        if self._phones is None:
            raise WechatNeeded()
        if person_id not in self._played:
            if len(self._played) >= PLAYED_MAX:
                self._played.clear()
            self._played[person_id] = await self._login.openid_of(await self._phones.code_of(person_id))
        return self._played[person_id]


async def find_strangers(desk: Desk, person_ids: Sequence[PersonId], *, campus_id: CampusId) -> list[PersonId]:
    """Those of these who are nobody of this campus, or erased; in the same order."""
    known = {
        id
        for slots in several(person_ids)
        for (id,) in await desk.rows(store.LIVING_OF_CAMPUS, {**slots, "campus_id": campus_id})
    }
    return [id for id in person_ids if id not in known]


async def people_page(
    desk: Desk, *, campus_id: CampusId | None, phone_hash: str | None, after: str, limit: int
) -> PeoplePage:
    """People of a campus, or of all with None; only the owner of a phone when its hash is given."""
    if phone_hash is not None:
        return await _owner_page(desk, phone_hash, campus_id=campus_id, after=after)
    slots: dict[str, object] = {"after": after, "limit": limit + 1}
    if campus_id is None:
        rows = await desk.rows(store.PEOPLE_AFTER, slots)
    else:
        rows = await desk.rows(store.PEOPLE_OF_CAMPUS, {**slots, "campus_id": campus_id})
    items = [_person_line(row) for row in rows]
    return PeoplePage(items=tuple(items[:limit]), next=items[limit - 1].person_id if len(items) > limit else None)


async def _owner_page(desk: Desk, phone_hash: str, *, campus_id: CampusId | None, after: str) -> PeoplePage:
    """The owner of a phone, found as a sign-in finds him; nobody for an operator of another campus."""
    found = [_person_line(row) for row in await desk.rows(store.PERSON_OF_PHONE, {"phone_hash": phone_hash})]
    seen = [one for one in found if campus_id in (None, one.campus_id) and one.person_id > after]
    return PeoplePage(items=tuple(seen), next=None)


async def audit_page(desk: Desk, *, after: str, limit: int) -> AuditPage:
    """The audit log from `after` back, or from the newest entry."""
    rows = await desk.rows(store.AUDIT_PAGE, {"before": after or _NEWEST, "limit": limit + 1})
    items = [_audit_line(row) for row in rows]
    return AuditPage(items=tuple(items[:limit]), next=items[limit - 1].id if len(items) > limit else None)


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


async def _person_row(desk: Desk, *, person_id: PersonId) -> tuple[Any, ...]:
    rows = await desk.rows(store.PERSON, {"person_id": person_id})
    if not rows:
        raise Unknown(kind="person", id=person_id)
    return rows[0]


def _me(row: tuple[Any, ...]) -> Me:
    id, name, phone_masked, _, roles, campus_id, merchant_id, joined_at_ms, _, openid_hash = row
    return Me(
        person_id=id,
        name=name,
        phone_masked=phone_masked,
        roles=_roles.decode(roles),
        campus_id=campus_id,
        merchant_id=merchant_id,
        joined_at=from_ms(joined_at_ms),
        has_wechat=openid_hash is not None,
    )


def _wechat_line(row: tuple[Any, ...], *, keys: Keys) -> WechatLine:
    appid, sealed, _, bound_at_ms = row
    return WechatLine(appid=appid, openid=keys.unseal_openid(sealed, appid=appid), bound_at=from_ms(bound_at_ms))


def _person_line(row: tuple[Any, ...]) -> PersonLine:
    id, name, phone_masked, roles, campus_id, merchant_id, joined_at_ms, erased_at_ms = row
    return PersonLine(
        person_id=id,
        name=name,
        phone_masked=phone_masked,
        roles=_roles.decode(roles),
        campus_id=campus_id,
        merchant_id=merchant_id,
        joined_at=from_ms(joined_at_ms),
        erased_at=None if erased_at_ms is None else from_ms(erased_at_ms),
    )


def _audit_line(row: tuple[Any, ...]) -> AuditLine:
    id, at_ms, person_id, action, subject, facts = row
    return AuditLine(
        id=id, at=from_ms(at_ms), person_id=person_id, action=action, subject=subject, facts=_facts.decode(facts)
    )


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

"""What people see of themselves, and operators of them (J3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from tuanzi.base.ids import CampusId, MerchantId, PersonId, SessionId
from tuanzi.base.problem import Unknown
from tuanzi.base.time import from_ms
from tuanzi.base.who import Role
from tuanzi.machinery.http.routes import Desk
from tuanzi.people import store
from tuanzi.people.model import SESSIONS_MAX, Keys

AUDIT_PER_EXPORT = 500
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


async def people_page(desk: Desk, *, campus_id: CampusId | None, after: str, limit: int) -> PeoplePage:
    """People of a campus, or of all with None."""
    slots: dict[str, object] = {"after": after, "limit": limit + 1}
    if campus_id is None:
        rows = await desk.rows(store.PEOPLE_AFTER, slots)
    else:
        rows = await desk.rows(store.PEOPLE_OF_CAMPUS, {**slots, "campus_id": campus_id})
    items = [_person_line(row) for row in rows]
    return PeoplePage(items=tuple(items[:limit]), next=items[limit - 1].person_id if len(items) > limit else None)


async def owner_page(desk: Desk, *, campus_id: CampusId | None, phone_hash: str) -> PeoplePage:
    """The owner of a phone, found as a sign-in finds him; nobody for an operator of another campus."""
    found = [_person_line(row) for row in await desk.rows(store.PERSON_OF_PHONE, {"phone_hash": phone_hash})]
    seen = [one for one in found if campus_id in (None, one.campus_id)]
    return PeoplePage(items=tuple(seen), next=None)


async def audit_page(desk: Desk, *, after: str, limit: int) -> AuditPage:
    """The audit log from `after` back, or from the newest entry."""
    rows = await desk.rows(store.AUDIT_PAGE, {"before": after or _NEWEST, "limit": limit + 1})
    items = [_audit_line(row) for row in rows]
    return AuditPage(items=tuple(items[:limit]), next=items[limit - 1].id if len(items) > limit else None)


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

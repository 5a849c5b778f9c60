"""Signing in by a WeChat account that was bound."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.unit import Unit
from tuanzi.people.model import (
    BindWechat,
    CountWechatTry,
    Person,
    Quotas,
    RateLimit,
    SealedOpenid,
    SignedIn,
    SignInWithWechat,
    UnbindWechat,
    WechatBound,
    WechatTryCounted,
    WechatUnbound,
    WechatUser,
)
from tuanzi.people.problems import TooManyCodes, WechatTaken, WechatTooOften, WechatUnknown
from tuanzi.people.service.limits import keep_limit
from tuanzi.people.service.persons import audit, load_living
from tuanzi.people.service.sessions import open_session


def count_wechat_try(unit: Unit, command: CountWechatTry, *, now: datetime, quotas: Quotas) -> WechatTryCounted:
    """Count that WeChat is asked about a code, before it is. Raises WechatTooOften, and counts nothing then."""
    quota = quotas.wechat_per_person if command.is_person else quotas.wechat_per_address
    before = unit.find(RateLimit, command.mark) or RateLimit(id=command.mark)
    try:
        limit = before.spent(quota, now=now)
    except TooManyCodes as many:
        raise WechatTooOften(**many.facts) from None
    keep_limit(unit, limit, before=before)
    return WechatTryCounted()


def sign_in_with_wechat(unit: Unit, command: SignInWithWechat, *, now: datetime) -> SignedIn:
    """Open a session for whose WeChat account this is. Raises WechatUnknown as long as nobody has bound it."""
    person = _owner_of(unit, command.openid)
    if person is None:
        raise WechatUnknown()
    return open_session(unit, command, person=person, now=now)


def bind_wechat(unit: Unit, command: BindWechat, *, now: datetime) -> WechatBound:
    """Give somebody this WeChat account, in place of the one he had; a repeat changes nothing but when it was.

    Raises WechatTaken while it is somebody else's, and Unknown once he is erased.
    """
    person = load_living(unit, command.person_id)
    openid = command.openid
    owner = _owner_of(unit, openid)
    if owner is not None and owner.id != person.id:
        raise WechatTaken()

    if owner is None and person.openid_hash is not None:
        unit.remove(WechatUser, person.openid_hash)
    unit.put(
        WechatUser(
            openid_hash=openid.hash,
            person_id=person.id,
            appid=openid.appid,
            openid_sealed=openid.sealed,
            code_hash=command.code_hash,
            bound_at=now,
        )
    )
    if owner is None:
        unit.put(replace(person, openid_hash=openid.hash).checked())
        facts = {"in_place_of_another": "no" if person.openid_hash is None else "yes"}
        unit.add(audit(command.audit_id, by=person.id, action="bind_wechat", subject=person.id, facts=facts, now=now))
    return WechatBound(person_id=person.id)


def unbind_wechat(unit: Unit, command: UnbindWechat, *, now: datetime) -> WechatUnbound:
    """Forget somebody's WeChat account; he signs in by phone. A repeat changes nothing. Raises Unknown once erased."""
    person = load_living(unit, command.person_id)
    if person.openid_hash is not None:
        unit.remove(WechatUser, person.openid_hash)
        unit.put(replace(person, openid_hash=None).checked())
        unit.add(audit(command.audit_id, by=person.id, action="unbind_wechat", subject=person.id, facts={}, now=now))
    return WechatUnbound(person_id=person.id)


def _owner_of(unit: Unit, openid: SealedOpenid) -> Person | None:
    """Who has bound this WeChat account; the release before leaves rows of those whom it erases."""
    user = unit.find(WechatUser, openid.hash)
    person = None if user is None else unit.load(Person, user.person_id)
    return None if person is None or person.erased_at is not None else person

"""What people can do: sign in with a code, sign out, be forgotten, be given roles (J3)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.ids import MerchantId, PersonId, SessionId
from tuanzi.base.problem import Forbidden, Unknown
from tuanzi.base.unit import Unit
from tuanzi.base.who import Role
from tuanzi.events import PersonErased, PersonJoined, RolesChanged, SessionEnded
from tuanzi.people.model import (
    CODE_LIFE,
    FORMER_LIFE,
    PLATFORM,
    SESSION_LIFE,
    AppointOperator,
    AppointStaff,
    AuditEntry,
    BindWechat,
    ChangeName,
    CodeChallenge,
    CodeRefused,
    CodeRequested,
    CodeSent,
    CountWechatTry,
    Erased,
    ErasePerson,
    ExpireSession,
    FamiliarAddresses,
    ForgetChallenge,
    ForgetFormerPhone,
    ForgetLimit,
    Forgotten,
    FormerPhone,
    LiveCode,
    NameChanged,
    OperatorAppointed,
    Person,
    PhoneOwner,
    PlatformOperators,
    Quotas,
    RateLimit,
    RecordCodeSent,
    RecordForgotten,
    RequestCode,
    RolesSet,
    SealedOpenid,
    SendCode,
    Session,
    SetRoles,
    SignedIn,
    SignedOut,
    SignIn,
    SignInWithWechat,
    SignOut,
    Swept,
    TellErased,
    UnbindWechat,
    WechatBound,
    WechatTryCounted,
    WechatUnbound,
    WechatUser,
    former_mark,
    in_order,
    mark_of,
)
from tuanzi.people.problems import (
    CampusMissing,
    CodeLocked,
    MerchantMismatch,
    TooManyCodes,
    WechatTaken,
    WechatTooOften,
    WechatUnknown,
)


def request_code(unit: Unit, command: RequestCode, *, now: datetime, quotas: Quotas) -> CodeRequested:
    """Send a code to a phone, known or not, in place of the one before that was asked for from the same address.

    A repeat within the cool-down is refused, and counts for nothing. Raises TooManyCodes.
    """
    phone, asker = command.phone, command.address_mark
    counted = [(mark_of(phone.mark, asker), quotas.per_asker), (asker, quotas.per_address)]
    if not _is_familiar(unit, phone.hash, asker):
        counted.append((phone.mark, quotas.per_phone))
    limits = [unit.find(RateLimit, mark) or RateLimit(id=mark) for mark, _ in counted]
    spent = [limit.spent(quota, now=now) for limit, (_, quota) in zip(limits, counted, strict=True)]
    expires_at = now + CODE_LIFE
    code = LiveCode(
        id=command.challenge_id,
        code_hash=command.code_hash,
        campus_id=command.campus_id,
        asker=asker,
        expires_at=expires_at,
    )
    before_it = _challenge_of(unit, phone.hash)
    challenge = before_it.with_code(code, now=now)

    for before, limit in zip(limits, spent, strict=True):
        _keep_limit(unit, before, limit)
    for one in before_it.codes:
        if one not in challenge.codes:
            unit.unschedule(_code_errand(one.id))
    unit.put(challenge)
    forget = ForgetChallenge(challenge_id=command.challenge_id, phone_hash=phone.hash)
    unit.schedule(_challenge_timer(phone.hash), forget, at=expires_at)
    send = SendCode(
        challenge_id=command.challenge_id, phone_hash=phone.hash, phone_sealed=phone.sealed, expires_at=expires_at
    )
    unit.schedule(_code_errand(command.challenge_id), send, at=now)
    return CodeRequested(expires_in_s=CODE_LIFE.seconds, again_in_s=quotas.cool_down_s)


def record_code_sent(unit: Unit, command: RecordCodeSent, *, now: datetime) -> CodeSent:
    """Note when a code went out; nothing is noted when it was late, used, or another has taken its place."""
    challenge = _challenge_of(unit, command.phone_hash).sent(command.challenge_id, at=now)
    if not command.is_sent or challenge is None:
        return CodeSent(is_recorded=False)
    unit.put(challenge)
    return CodeSent(is_recorded=True)


def sign_in(unit: Unit, command: SignIn, *, now: datetime, quotas: Quotas) -> SignedIn | CodeRefused:
    """Open a session for who has the code; the first time makes him a student of the campus he named.

    The code is used up: a repeat is refused. A wrong code is an answer, so that the try is counted.
    Raises CodeExpired and CodeLocked.
    """
    asker = command.address_mark
    challenge = _challenge_of(unit, command.phone.hash)
    code = challenge.find_met(command.code_hash, asker=asker, now=now)
    is_familiar = _is_familiar(unit, command.phone.hash, asker)
    if not is_familiar and not challenge.has_asked(asker):
        _count_guess(unit, command, quotas=quotas, is_right=code is not None, now=now)
    if code is None:
        challenge = challenge.failed(asker)
        unit.put(challenge)
        return CodeRefused(tries_left=challenge.tries_left(asker))
    owner = unit.find(PhoneOwner, command.phone.hash)
    person = None if owner is None else unit.load(Person, owner.person_id)

    _drop_challenge(unit, command.phone.hash)
    if asker and not is_familiar:
        known = unit.find(FamiliarAddresses, command.phone.hash) or FamiliarAddresses(phone_hash=command.phone.hash)
        unit.put(known.with_one(asker))
    if person is None:
        person = Person(
            id=command.person_id,
            campus_id=code.campus_id,
            roles=(Role.STUDENT,),
            phone_hash=command.phone.hash,
            phone_masked=command.phone.masked,
            phone_sealed=command.phone.sealed,
            joined_at=now,
            is_returning=_is_returning(unit, command.phone.hash),
        )
        unit.add(PhoneOwner(phone_hash=command.phone.hash, person_id=person.id))
        unit.emit(PersonJoined(person_id=person.id, campus_id=person.campus_id))
    return _open_session(unit, command, person=person, now=now)


def _is_familiar(unit: Unit, phone_hash: str, asker: str) -> bool:
    """Whether this phone was signed in from there before."""
    known = unit.find(FamiliarAddresses, phone_hash)
    return known is not None and asker in known.marks


def _count_guess(unit: Unit, command: SignIn, *, quotas: Quotas, is_right: bool, now: datetime) -> None:
    """Count what comes from where nobody asked for a code. Raises CodeLocked when too much was wrong, before it says
    whether this is right."""
    mark = mark_of(command.phone.mark, "wrong")
    before = unit.find(RateLimit, mark) or RateLimit(id=mark)
    try:
        limit = before.spent(quotas.wrong_per_phone, now=now)
    except TooManyCodes:
        raise CodeLocked() from None
    if not is_right:
        _keep_limit(unit, before, limit)


def count_wechat_try(unit: Unit, command: CountWechatTry, *, now: datetime, quotas: Quotas) -> WechatTryCounted:
    """Count that WeChat is asked about a code, before it is. Raises WechatTooOften, and counts nothing then."""
    quota = quotas.wechat_per_person if command.is_person else quotas.wechat_per_address
    before = unit.find(RateLimit, command.mark) or RateLimit(id=command.mark)
    try:
        limit = before.spent(quota, now=now)
    except TooManyCodes as many:
        raise WechatTooOften(**many.facts) from None
    _keep_limit(unit, before, limit)
    return WechatTryCounted()


def sign_in_with_wechat(unit: Unit, command: SignInWithWechat, *, now: datetime) -> SignedIn:
    """Open a session for whose WeChat account this is. Raises WechatUnknown as long as nobody has bound it."""
    person = _owner_of(unit, command.openid)
    if person is None:
        raise WechatUnknown()
    return _open_session(unit, command, person=person, now=now)


def bind_wechat(unit: Unit, command: BindWechat, *, now: datetime) -> WechatBound:
    """Give somebody this WeChat account, in place of the one he had; a repeat changes nothing but when it was.

    Raises WechatTaken while it is somebody else's, and Unknown once he is erased.
    """
    person = _load_living(unit, command.person_id)
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
        unit.add(_audit(command.audit_id, by=person.id, action="bind_wechat", subject=person.id, facts=facts, now=now))
    return WechatBound(person_id=person.id)


def _owner_of(unit: Unit, openid: SealedOpenid) -> Person | None:
    """Who has bound this WeChat account; the release before leaves rows of those whom it erases."""
    user = unit.find(WechatUser, openid.hash)
    person = None if user is None else unit.load(Person, user.person_id)
    return None if person is None or person.erased_at is not None else person


def unbind_wechat(unit: Unit, command: UnbindWechat, *, now: datetime) -> WechatUnbound:
    """Forget somebody's WeChat account; he signs in by phone. A repeat changes nothing. Raises Unknown once erased."""
    person = _load_living(unit, command.person_id)
    if person.openid_hash is not None:
        unit.remove(WechatUser, person.openid_hash)
        unit.put(replace(person, openid_hash=None).checked())
        unit.add(_audit(command.audit_id, by=person.id, action="unbind_wechat", subject=person.id, facts={}, now=now))
    return WechatUnbound(person_id=person.id)


def _open_session(unit: Unit, command: SignIn | SignInWithWechat, *, person: Person, now: datetime) -> SignedIn:
    session = Session(
        id=command.session_id,
        token_hash=command.token_hash,
        person_id=person.id,
        created_at=now,
        expires_at=now + SESSION_LIFE,
    )
    person, ended = person.signed_in(session.id)
    for session_id in ended:
        _end_session(unit, session_id, person_id=person.id)
    unit.put(person)
    unit.add(session)
    timer = ExpireSession(session_id=session.id, person_id=person.id)
    unit.schedule(_session_timer(session.id), timer, at=session.expires_at)
    return SignedIn(
        session_id=session.id,
        person_id=person.id,
        roles=person.roles,
        campus_id=person.campus_id,
        merchant_id=person.merchant_id,
        expires_at=session.expires_at,
    )


def sign_out(unit: Unit, command: SignOut, *, now: datetime) -> SignedOut:
    """End a session of his own; a repeat changes nothing. Raises Unknown for a session of somebody else."""
    session = unit.find(Session, command.session_id)
    if session is not None:
        if session.person_id != command.person_id:
            raise Unknown(kind="session", id=command.session_id)
        unit.put(unit.load(Person, session.person_id).signed_out(session.id))
        _end_session(unit, session.id, person_id=session.person_id)
    return SignedOut(session_id=command.session_id)


def change_name(unit: Unit, command: ChangeName, *, now: datetime) -> NameChanged:
    """Call a person as he wants; a repeat changes nothing. Raises Unknown once he is erased."""
    unit.put(replace(_load_living(unit, command.person_id), name=command.name).checked())
    return NameChanged(person_id=command.person_id)


def erase_person(unit: Unit, command: ErasePerson, *, now: datetime) -> Erased:
    """Forget all that is personal of somebody and end his sessions; his id stays, as a pseudonym.

    Campuses are told by an errand of the same commit, so that a crash leaves none out. A repeat changes nothing. Raises
    LastOperator.
    """
    person = unit.load(Person, command.person_id)
    mark = ""
    if person.erased_at is not None:
        return Erased(person_id=person.id, erased_at=person.erased_at)
    if person.is_platform_operator:
        unit.put(unit.load(PlatformOperators, PLATFORM).left(person.id))

    for session_id in person.session_ids:
        _end_session(unit, session_id, person_id=person.id)
    if person.phone_hash is not None:
        unit.remove(PhoneOwner, person.phone_hash)
        _drop_challenge(unit, person.phone_hash)
        unit.remove(FamiliarAddresses, person.phone_hash)
        mark = former_mark(person.phone_hash)
        _remember(unit, FormerPhone(mark=mark, erasure=command.audit_id, forget_at=now + FORMER_LIFE))
    if person.openid_hash is not None:
        unit.remove(WechatUser, person.openid_hash)
    unit.put(person.erased(now=now))
    unit.add(_audit(command.audit_id, by=person.id, action="erase", subject=person.id, facts={}, now=now))
    unit.emit(PersonErased(person_id=person.id))
    # Of who returned it is known that his phone had ordered, whatever he did since.
    tell = TellErased(person_id=person.id, audit_id=command.audit_id, mark="" if person.is_returning else mark)
    unit.schedule(_erasure(person.id), tell, at=now)
    return Erased(person_id=person.id, erased_at=now)


def record_forgotten(unit: Unit, command: RecordForgotten, *, now: datetime) -> Forgotten:
    """Write down that every database has forgotten a person; a repeat changes nothing."""
    id = f"{command.audit_id}.done"
    if unit.find(AuditEntry, id) is None:
        facts = {"databases": ",".join(command.where)}
        former = unit.find(FormerPhone, command.mark) if command.mark else None
        if former is not None and former.erasure == command.audit_id:
            _settle_former(unit, former, has_ordered=command.has_ordered)
        unit.add(_audit(id, by="platform", action="forgotten", subject=command.person_id, facts=facts, now=now))
    return Forgotten(person_id=command.person_id)


def forget_former_phone(unit: Unit, command: ForgetFormerPhone, *, now: datetime) -> Swept:
    """Remove a mark whose time is over; a newer one for the same phone stays."""
    former = unit.find(FormerPhone, command.mark)
    if former is None or now < former.forget_at:
        return Swept(is_removed=False)
    unit.remove(FormerPhone, former.mark)
    return Swept(is_removed=True)


def _settle_former(unit: Unit, former: FormerPhone, *, has_ordered: bool) -> None:
    """Every campus has answered: the mark stays for who had ordered, and leads to his erasing no more."""
    if has_ordered:
        unit.put(replace(former, erasure=""))
    else:
        unit.remove(FormerPhone, former.mark)
        unit.unschedule(_former(former.mark))


def _remember(unit: Unit, former: FormerPhone) -> None:
    unit.put(former)
    unit.schedule(_former(former.mark), ForgetFormerPhone(mark=former.mark), at=former.forget_at)


def _is_returning(unit: Unit, phone_hash: str) -> bool:
    return unit.find(FormerPhone, former_mark(phone_hash)) is not None


def set_roles(unit: Unit, command: SetRoles, *, now: datetime) -> RolesSet:
    """Give a person exactly these roles; a repeat changes nothing.

    An operator of a campus acts on its people only and moves nobody elsewhere. An operator of the platform stays one
    until he loses the role or is given a campus. Whether a shop or campus exists is for the caller to know.
    Raises Forbidden, Unknown, MerchantMismatch, CampusMissing and LastOperator.
    """
    before = _changeable(unit, command)
    roles = in_order(command.roles)
    campus_id = command.campus_id or before.campus_id
    _check_shop(roles, command.merchant_id)
    if campus_id is None and Role.OPERATOR not in roles:
        raise CampusMissing(person_id=before.id)
    person = replace(before, roles=roles, merchant_id=command.merchant_id, campus_id=campus_id).checked()
    if before.is_platform_operator and not person.is_platform_operator:
        unit.put(unit.load(PlatformOperators, PLATFORM).left(person.id))

    return _give(unit, before, person, by=command.by, audit_id=command.audit_id, now=now)


def appoint_staff(unit: Unit, command: AppointStaff, *, now: datetime) -> RolesSet:
    """Give the owner of a phone, known or not, exactly these roles on a campus; a repeat changes nothing.

    Raises MerchantMismatch, and Forbidden for an operator of the platform: another operator takes that from him.
    """
    roles = in_order(command.roles)
    _check_shop(roles, command.merchant_id)
    owner = unit.find(PhoneOwner, command.phone.hash)
    before = Person(
        id=command.person_id,
        campus_id=command.campus_id,
        roles=(),
        phone_hash=command.phone.hash,
        phone_masked=command.phone.masked,
        phone_sealed=command.phone.sealed,
        joined_at=now,
        is_returning=_is_returning(unit, command.phone.hash),
    )
    if owner is not None:
        before = unit.load(Person, owner.person_id)
        if before.is_platform_operator:
            raise Forbidden(role=Role.OPERATOR)
    person = replace(before, roles=roles, merchant_id=command.merchant_id, campus_id=command.campus_id).checked()

    if owner is None:
        unit.add(PhoneOwner(phone_hash=command.phone.hash, person_id=person.id))
        unit.emit(PersonJoined(person_id=person.id, campus_id=person.campus_id))
    return _give(unit, before, person, by=command.by, audit_id=command.audit_id, now=now)


def _check_shop(roles: tuple[Role, ...], merchant_id: MerchantId | None) -> None:
    if (Role.MERCHANT in roles) != (merchant_id is not None):
        raise MerchantMismatch()


def _give(unit: Unit, before: Person, person: Person, *, by: str, audit_id: str, now: datetime) -> RolesSet:
    """Keep a person with other rights, tell it, and write it down."""
    if person != before:
        facts = {
            "roles_before": ",".join(before.roles),
            "roles": ",".join(person.roles),
            "merchant_id": person.merchant_id or "",
            "campus_id": person.campus_id or "",
        }
        unit.put(person)
        unit.add(_audit(audit_id, by=by, action="set_roles", subject=person.id, facts=facts, now=now))
        unit.emit(RolesChanged(person_id=person.id, roles=person.roles))
    return RolesSet(
        person_id=person.id,
        roles=person.roles,
        merchant_id=person.merchant_id,
        campus_id=person.campus_id,
        is_changed=person != before,
    )


def _changeable(unit: Unit, command: SetRoles) -> Person:
    """The person whose roles are to change, when the operator is one now and may change them."""
    operator = unit.load(Person, command.by)
    if Role.OPERATOR not in operator.roles:
        raise Forbidden(role=Role.OPERATOR)
    person = _load_living(unit, command.person_id)
    if operator.campus_id is not None:
        if person.campus_id != operator.campus_id:
            raise Unknown(kind="person", id=command.person_id)
        if command.campus_id not in (None, operator.campus_id):
            raise Forbidden(campus_id=command.campus_id)
    return person


def appoint_operator(unit: Unit, command: AppointOperator, *, now: datetime) -> OperatorAppointed:
    """Make the owner of a phone an operator of the platform, known or not; a repeat changes nothing.

    Raises TooManyOperators.
    """
    owner = unit.find(PhoneOwner, command.phone.hash)
    before = None if owner is None else unit.load(Person, owner.person_id)
    if before is not None and before.is_platform_operator:
        return OperatorAppointed(person_id=before.id, is_changed=False)
    person = before or Person(
        id=command.person_id,
        campus_id=None,
        roles=(Role.OPERATOR,),
        phone_hash=command.phone.hash,
        phone_masked=command.phone.masked,
        phone_sealed=command.phone.sealed,
        joined_at=now,
        is_returning=_is_returning(unit, command.phone.hash),
    )
    person = replace(person, campus_id=None, roles=in_order((*person.roles, Role.OPERATOR))).checked()
    operators = (unit.find(PlatformOperators, PLATFORM) or PlatformOperators()).joined(person.id)

    if before is None:
        unit.add(PhoneOwner(phone_hash=command.phone.hash, person_id=person.id))
        unit.emit(PersonJoined(person_id=person.id, campus_id=None))
    unit.put(operators)
    unit.put(person)
    unit.add(_audit(command.audit_id, by=command.by, action="appoint", subject=person.id, facts={}, now=now))
    unit.emit(RolesChanged(person_id=person.id, roles=person.roles))
    return OperatorAppointed(person_id=person.id, is_changed=True)


def expire_session(unit: Unit, command: ExpireSession, *, now: datetime) -> Swept:
    """Remove a session whose time is over; one that was ended before is left as it is."""
    session = unit.find(Session, command.session_id)
    if session is None or now < session.expires_at:
        return Swept(is_removed=False)
    unit.remove(Session, session.id)
    unit.put(unit.load(Person, session.person_id).signed_out(session.id))
    return Swept(is_removed=True)


def forget_challenge(unit: Unit, command: ForgetChallenge, *, now: datetime) -> Swept:
    """Remove codes whose time is over; a newer one for the same phone keeps them until it goes."""
    challenge = unit.find(CodeChallenge, command.phone_hash)
    if challenge is None or challenge.codes[-1].id != command.challenge_id:
        return Swept(is_removed=False)
    unit.remove(CodeChallenge, command.phone_hash)
    return Swept(is_removed=True)


def forget_limit(unit: Unit, command: ForgetLimit, *, now: datetime) -> Swept:
    """Remove a rate limit all of whose windows are over; another look is taken later when one is open."""
    limit = unit.find(RateLimit, command.id)
    if limit is None:
        return Swept(is_removed=False)
    if now < limit.ends_at:
        unit.schedule(_limit_timer(limit.id), command, at=limit.ends_at)
        return Swept(is_removed=False)
    unit.remove(RateLimit, limit.id)
    return Swept(is_removed=True)


def _load_living(unit: Unit, person_id: PersonId) -> Person:
    """The person. Raises Unknown when there is none or he is erased."""
    person = unit.load(Person, person_id)
    if person.erased_at is not None:
        raise Unknown(kind="person", id=person_id)
    return person


def _end_session(unit: Unit, session_id: SessionId, *, person_id: PersonId) -> None:
    unit.remove(Session, session_id)
    unit.unschedule(_session_timer(session_id))
    unit.emit(SessionEnded(person_id=person_id, session_id=session_id))


def _challenge_of(unit: Unit, phone_hash: str) -> CodeChallenge:
    return unit.find(CodeChallenge, phone_hash) or CodeChallenge(phone_hash=phone_hash)


def _drop_challenge(unit: Unit, phone_hash: str) -> None:
    for code in _challenge_of(unit, phone_hash).codes:
        unit.unschedule(_code_errand(code.id))
    unit.remove(CodeChallenge, phone_hash)
    unit.unschedule(_challenge_timer(phone_hash))


def _keep_limit(unit: Unit, before: RateLimit, limit: RateLimit) -> None:
    """Keep what was counted, until it is forgotten; without windows nothing is counted."""
    if limit.windows:
        unit.put(limit)
    if limit.windows and not before.windows:
        unit.schedule(_limit_timer(limit.id), ForgetLimit(id=limit.id), at=limit.ends_at)


def _audit(id: str, *, by: str, action: str, subject: str, facts: dict[str, str], now: datetime) -> AuditEntry:
    return AuditEntry(id=id, at=now, person_id=by, action=action, subject=subject, facts=facts)


def _limit_timer(mark: str) -> str:
    return f"limit:{mark}"


def _challenge_timer(phone_hash: str) -> str:
    return f"challenge:{phone_hash}"


def _code_errand(challenge_id: str) -> str:
    return f"code:{challenge_id}"


def _session_timer(session_id: SessionId) -> str:
    return f"session:{session_id}"


def _former(mark: str) -> str:
    return f"former:{mark}"


def _erasure(person_id: PersonId) -> str:
    return f"erasure:{person_id}"

"""Signing in by phone: a code is asked for, sent, and tried (J3)."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.unit import Unit
from tuanzi.base.who import Role
from tuanzi.events import PersonJoined
from tuanzi.people.model import (
    CODE_LIFE,
    CodeChallenge,
    CodeRefused,
    CodeRequested,
    CodeSent,
    FamiliarAddresses,
    ForgetChallenge,
    LiveCode,
    Person,
    PhoneOwner,
    Quotas,
    RateLimit,
    RecordCodeSent,
    RequestCode,
    SendCode,
    SignedIn,
    SignIn,
    Swept,
    mark_of,
)
from tuanzi.people.problems import CodeLocked, TooManyCodes
from tuanzi.people.service.former import is_returning
from tuanzi.people.service.limits import keep_limit
from tuanzi.people.service.sessions import open_session


def request_code(unit: Unit, command: RequestCode, *, now: datetime, quotas: Quotas) -> CodeRequested:
    """Send a code to a phone, known or not, in place of the one before that was asked for from the same address.

    A device on which this phone was signed in before is as an address of its own, wherever it is (0039).
    A repeat within the cool-down is refused, and counts for nothing. Raises TooManyCodes.
    """
    phone, address = command.phone, command.address_mark
    asker = command.device_mark or address
    counted = [(mark_of(phone.mark, asker), quotas.per_asker), (address, quotas.per_address)]
    if not command.device_mark and not _is_familiar(unit, phone.hash, address):
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
        keep_limit(unit, limit, before=before)
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
    address = command.address_mark
    asker = command.device_mark or address
    challenge = _challenge_of(unit, command.phone.hash)
    code = challenge.find_met(command.code_hash, asker=asker, now=now)
    is_familiar = _is_familiar(unit, command.phone.hash, address)
    if not command.device_mark and not is_familiar and not challenge.has_asked(asker):
        _count_guess(unit, command, quotas=quotas, is_right=code is not None, now=now)
    if code is None:
        challenge = challenge.failed(asker)
        unit.put(challenge)
        return CodeRefused(tries_left=challenge.tries_left(asker))
    owner = unit.find(PhoneOwner, command.phone.hash)
    person = None if owner is None else unit.load(Person, owner.person_id)

    drop_challenge(unit, command.phone.hash)
    if address and not is_familiar:
        known = unit.find(FamiliarAddresses, command.phone.hash) or FamiliarAddresses(phone_hash=command.phone.hash)
        unit.put(known.with_one(address))
    if person is None:
        person = Person(
            id=command.person_id,
            campus_id=code.campus_id,
            roles=(Role.STUDENT,),
            phone_hash=command.phone.hash,
            phone_masked=command.phone.masked,
            phone_sealed=command.phone.sealed,
            joined_at=now,
            is_returning=is_returning(unit, command.phone.hash),
        )
        unit.add(PhoneOwner(phone_hash=command.phone.hash, person_id=person.id))
        unit.emit(PersonJoined(person_id=person.id, campus_id=person.campus_id))
    return open_session(unit, command, person=person, now=now)


def forget_challenge(unit: Unit, command: ForgetChallenge, *, now: datetime) -> Swept:
    """Remove codes whose time is over; a newer one for the same phone keeps them until it goes."""
    challenge = unit.find(CodeChallenge, command.phone_hash)
    if challenge is None or challenge.codes[-1].id != command.challenge_id:
        return Swept(is_removed=False)
    unit.remove(CodeChallenge, command.phone_hash)
    return Swept(is_removed=True)


def drop_challenge(unit: Unit, phone_hash: str) -> None:
    """Make the codes of a phone worthless, and send none that was not sent yet."""
    for code in _challenge_of(unit, phone_hash).codes:
        unit.unschedule(_code_errand(code.id))
    unit.remove(CodeChallenge, phone_hash)
    unit.unschedule(_challenge_timer(phone_hash))


def _challenge_of(unit: Unit, phone_hash: str) -> CodeChallenge:
    return unit.find(CodeChallenge, phone_hash) or CodeChallenge(phone_hash=phone_hash)


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
        keep_limit(unit, limit, before=before)


def _challenge_timer(phone_hash: str) -> str:
    return f"challenge:{phone_hash}"


def _code_errand(challenge_id: str) -> str:
    return f"code:{challenge_id}"

"""Sessions: opened by whoever has shown who he is, ended by him or by time."""

from __future__ import annotations

from datetime import datetime

from tuanzi.base.ids import PersonId, SessionId
from tuanzi.base.problem import Unknown
from tuanzi.base.unit import Unit
from tuanzi.events import SessionEnded
from tuanzi.people.model import (
    SESSION_LIFE,
    ExpireSession,
    Person,
    Session,
    SignedIn,
    SignedOut,
    SignIn,
    SignInWithWechat,
    SignOut,
    Swept,
)


def open_session(unit: Unit, command: SignIn | SignInWithWechat, *, person: Person, now: datetime) -> SignedIn:
    """Open a session as the command names it; the oldest of too many ends."""
    session = Session(
        id=command.session_id,
        token_hash=command.token_hash,
        person_id=person.id,
        created_at=now,
        expires_at=now + SESSION_LIFE,
    )
    person, ended = person.signed_in(session.id)
    for session_id in ended:
        end_session(unit, session_id, person_id=person.id)
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
        end_session(unit, session.id, person_id=session.person_id)
    return SignedOut(session_id=command.session_id)


def expire_session(unit: Unit, command: ExpireSession, *, now: datetime) -> Swept:
    """Remove a session whose time is over; one that was ended before is left as it is."""
    session = unit.find(Session, command.session_id)
    if session is None or now < session.expires_at:
        return Swept(is_removed=False)
    unit.remove(Session, session.id)
    unit.put(unit.load(Person, session.person_id).signed_out(session.id))
    return Swept(is_removed=True)


def end_session(unit: Unit, session_id: SessionId, *, person_id: PersonId) -> None:
    """Remove a session and tell it; the person's row is the caller's."""
    unit.remove(Session, session_id)
    unit.unschedule(_session_timer(session_id))
    unit.emit(SessionEnded(person_id=person_id, session_id=session_id))


def _session_timer(session_id: SessionId) -> str:
    return f"session:{session_id}"

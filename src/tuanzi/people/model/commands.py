"""What people are asked to do: commands, errands and timers; ids, hashes and seals in them are made at the edge."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.base.ids import CampusId, MerchantId, PersonId, SessionId
from tuanzi.base.who import Role
from tuanzi.people.model.keys import SealedOpenid, SealedPhone


class RequestCode(Struct, frozen=True, kw_only=True, gc=False):
    """Have a code sent to a phone. device_mark: as in `SignIn`."""

    challenge_id: str
    phone: SealedPhone
    code_hash: str
    campus_id: CampusId
    address_mark: str
    device_mark: str = ""


class SendCode(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: send the code of a challenge, unless it is too late by then."""

    challenge_id: str
    phone_hash: str
    phone_sealed: str
    expires_at: datetime


class RecordCodeSent(Struct, frozen=True, kw_only=True, gc=False):
    """What became of a SendCode."""

    challenge_id: str
    phone_hash: str
    is_sent: bool


class SignIn(Struct, frozen=True, kw_only=True, gc=False):
    """Open a session; `person_id` is used when the phone is new.

    device_mark: of the devices on which this phone was signed in before, when it is one of them (0039); "" else.
    """

    session_id: SessionId
    person_id: PersonId
    phone: SealedPhone
    code_hash: str
    token_hash: str
    address_mark: str = ""
    device_mark: str = ""


class CountWechatTry(Struct, frozen=True, kw_only=True, gc=False):
    """Count a call of WeChat's before it is made. is_person: whether the mark is of somebody signed in."""

    mark: str
    is_person: bool


class SignInWithWechat(Struct, frozen=True, kw_only=True, gc=False):
    """Open a session for whose WeChat account this is."""

    session_id: SessionId
    openid: SealedOpenid
    token_hash: str


class BindWechat(Struct, frozen=True, kw_only=True, gc=False):
    """Let somebody sign in and pay with this WeChat account from now on, and with no other."""

    person_id: PersonId
    openid: SealedOpenid
    code_hash: str
    audit_id: str


class UnbindWechat(Struct, frozen=True, kw_only=True, gc=False):
    """Forget somebody's WeChat account."""

    person_id: PersonId
    audit_id: str


class SignOut(Struct, frozen=True, kw_only=True, gc=False):
    """End a session."""

    session_id: SessionId
    person_id: PersonId


class ChangeName(Struct, frozen=True, kw_only=True, gc=False):
    """Be called otherwise, or nothing with an empty name."""

    person_id: PersonId
    name: str


class ErasePerson(Struct, frozen=True, kw_only=True, gc=False):
    """Forget a person at his own request."""

    person_id: PersonId
    audit_id: str


class TellErased(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: have every other database that holds something personal of somebody forget it, until all have."""

    person_id: PersonId
    audit_id: str
    mark: str = ""


class ForgetPerson(Struct, frozen=True, kw_only=True, gc=False):
    """To a campus's database: what tells who somebody is goes; what only his pseudonym stands beside stays.

    Harmless twice. Answered by `Forgotten`; a problem means not yet.
    """

    person_id: PersonId


class RecordForgotten(Struct, frozen=True, kw_only=True, gc=False):
    """Every database has forgotten a person; where: their addresses. has_ordered: whether one knows orders of his.

    mark: his phone's, when it is only kept if he has; "" in errands of the release before.
    """

    person_id: PersonId
    audit_id: str
    where: tuple[str, ...]
    mark: str = ""
    has_ordered: bool = False


class SetRoles(Struct, frozen=True, kw_only=True, gc=False):
    """Give a person these roles and no other; a campus_id moves him there, None leaves him where he is."""

    person_id: PersonId
    roles: tuple[Role, ...]
    merchant_id: MerchantId | None
    campus_id: CampusId | None
    by: PersonId
    audit_id: str


class AppointOperator(Struct, frozen=True, kw_only=True, gc=False):
    """Make the owner of a phone an operator of the platform; for the command line and demo data, not for HTTP."""

    person_id: PersonId
    phone: SealedPhone
    by: str
    audit_id: str


class AppointStaff(Struct, frozen=True, kw_only=True, gc=False):
    """Give the owner of a phone these roles on a campus and no other; for demo data, not for HTTP."""

    person_id: PersonId
    phone: SealedPhone
    roles: tuple[Role, ...]
    merchant_id: MerchantId | None
    campus_id: CampusId
    by: str
    audit_id: str


class ExpireSession(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a session's time is over."""

    session_id: SessionId
    person_id: PersonId


class ForgetChallenge(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a code's time is over."""

    challenge_id: str
    phone_hash: str


class ForgetLimit(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: all windows of a rate limit may be over."""

    id: str


class ForgetFormerPhone(Struct, frozen=True, kw_only=True, gc=False):
    """Timer: a mark has been kept long enough."""

    mark: str

"""Who somebody is, what leads to him, and what is kept of him when he is gone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import CampusId, MerchantId, PersonId, SessionId
from tuanzi.base.who import Role
from tuanzi.people.problems import LastOperator, NameInvalid, TooManyOperators

# Our choice: more devices than a student has; a further sign-in ends the oldest session.
SESSIONS_MAX = 10
NAME_LENGTH_MAX = 20
# Our choice: they are kept in one row, and nobody needs more.
PLATFORM_OPERATORS_MAX = 100
# Our choice: so long it is known of a phone alone that somebody who was erased had ordered (decision 0020).
FORMER_LIFE = timedelta(days=730)


def tidy_name(text: str) -> str:
    """A name as it is kept, without spaces around; empty for none. Raises NameInvalid."""
    name = unicodedata.normalize("NFC", text).strip()
    if len(name) > NAME_LENGTH_MAX or not name.isprintable():
        raise NameInvalid(length_max=NAME_LENGTH_MAX)
    return name


class Person(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody who signed in or was appointed; after erasing only a pseudonym: id, campus and the two times.

    campus_id: None for an operator of the whole platform. roles: ascending, each once.
    is_returning: whether somebody with his phone was erased who had ordered: his own first order is not the first.
    openid_hash: of the WeChat account he signs in with (`WechatUser`); None without one.
    session_ids: of his open sessions, oldest first. Made by `replace` it must be `checked`, which replace does not do.
    """

    id: PersonId
    campus_id: CampusId | None
    roles: tuple[Role, ...]
    merchant_id: MerchantId | None = None
    phone_hash: str | None
    phone_masked: str | None
    phone_sealed: str | None
    name: str = ""
    session_ids: tuple[SessionId, ...] = ()
    joined_at: datetime
    erased_at: datetime | None = None
    is_returning: bool = False
    openid_hash: str | None = None

    def __post_init__(self) -> None:
        self.checked()

    def checked(self) -> Person:
        """This person. Raises ValueError for one that cannot be."""
        if self.roles != in_order(self.roles):
            raise ValueError(f"roles out of order: {self.roles}")
        if len(self.session_ids) > SESSIONS_MAX:
            raise ValueError(f"{len(self.session_ids)} sessions")
        if self.erased_at is not None:
            personal = (self.phone_hash, self.phone_masked, self.phone_sealed, self.merchant_id)
            if self.roles or self.session_ids or self.name or self.is_returning or personal != (None, None, None, None):
                raise ValueError(f"{self.id} is erased and still has data")
        elif self.campus_id is None and Role.OPERATOR not in self.roles:
            raise ValueError(f"{self.id} has neither a campus nor the platform")
        if (Role.MERCHANT in self.roles) != (self.merchant_id is not None):
            raise ValueError(f"{self.id} is a merchant without a shop, or the other way round")
        return self

    @property
    def is_platform_operator(self) -> bool:
        """Whether he may act on every campus."""
        return self.campus_id is None and Role.OPERATOR in self.roles

    def signed_in(self, session_id: SessionId) -> tuple[Person, tuple[SessionId, ...]]:
        """Him with one more session, and the sessions that end because they are too many."""
        session_ids = (*self.session_ids, session_id)
        ended, kept = session_ids[:-SESSIONS_MAX], session_ids[-SESSIONS_MAX:]
        return replace(self, session_ids=kept).checked(), ended

    def signed_out(self, session_id: SessionId) -> Person:
        """Him without that session."""
        return replace(self, session_ids=tuple(id for id in self.session_ids if id != session_id)).checked()

    def erased(self, *, now: datetime) -> Person:
        """What may be kept of him when he wants to be forgotten (PIPL art. 47)."""
        return replace(
            self,
            roles=(),
            merchant_id=None,
            phone_hash=None,
            phone_masked=None,
            phone_sealed=None,
            name="",
            session_ids=(),
            erased_at=now,
            is_returning=False,
            openid_hash=None,
        ).checked()


def in_order(roles: Iterable[Role]) -> tuple[Role, ...]:
    """Roles as they are kept: ascending, each once."""
    return tuple(sorted(set(roles)))


class PhoneOwner(Struct, frozen=True, kw_only=True, gc=False):
    """Whose phone it is; one person for each."""

    phone_hash: str
    person_id: PersonId


class FormerPhone(Struct, frozen=True, kw_only=True, gc=False):
    """A phone whose owner was erased and had ordered, as a mark that leads to nobody; until `forget_at`.

    erasure: the audit entry of an erasing after which no campus has said yet whether he had; "" from then on.
    """

    mark: str
    erasure: str
    forget_at: datetime


class WechatUser(Struct, frozen=True, kw_only=True, gc=False):
    """Whose WeChat account this is; there is one person for each, and a person has one at most.

    code_hash: of the code he was bound with, by which a repeat is told.
    """

    openid_hash: str
    person_id: PersonId
    appid: str
    openid_sealed: str
    code_hash: str
    bound_at: datetime


PLATFORM = "platform"


class PlatformOperators(Struct, frozen=True, kw_only=True, gc=False):
    """Who may act on every campus; one row, so that the last of them can be told."""

    id: str = PLATFORM
    person_ids: tuple[PersonId, ...] = ()

    def joined(self, person_id: PersonId) -> PlatformOperators:
        """With one more. Raises TooManyOperators."""
        if len(self.person_ids) >= PLATFORM_OPERATORS_MAX:
            raise TooManyOperators(operators_max=PLATFORM_OPERATORS_MAX)
        return replace(self, person_ids=(*self.person_ids, person_id))

    def left(self, person_id: PersonId) -> PlatformOperators:
        """With one less. Raises LastOperator."""
        remaining = tuple(id for id in self.person_ids if id != person_id)
        if not remaining:
            raise LastOperator(person_id=person_id)
        return replace(self, person_ids=remaining)


class AuditEntry(Struct, frozen=True, kw_only=True, gc=False):
    """Who changed the rights or data of whom, and how; ids only, kept for good.

    person_id: who acted, a person's id or e.g. `cli`. subject: the person acted upon.
    """

    id: str
    at: datetime
    person_id: str
    action: str
    subject: str
    facts: dict[str, str]

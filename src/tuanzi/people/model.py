"""People, their sessions and codes: values, commands, answers, and the rules that need no database (J3).

A phone number, openid, code, token or client address is turned into a seal, hash or mark by `Keys` at the edge, before
it becomes part of a command: nothing that is stored, queued or logged holds one in plain.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import CampusId, MerchantId, PersonId, SessionId
from tuanzi.base.who import Role
from tuanzi.people.problems import (
    CodeExpired,
    CodeLocked,
    LastOperator,
    NameInvalid,
    PhoneInvalid,
    TooManyCodes,
    TooManyOperators,
)

# Our choice, as is usual for codes by text message (J3).
CODE_DIGITS = 6
CODE_LIFE = timedelta(minutes=5)
CODE_WRONG_MAX = 5
SESSION_LIFE = timedelta(days=30)
# Our choice: more devices than a student has; a further sign-in ends the oldest session.
SESSIONS_MAX = 10
NAME_LENGTH_MAX = 20
# Our choice: they are kept in one row, and nobody needs more.
PLATFORM_OPERATORS_MAX = 100
# Our choice: so long it is known of a phone alone that somebody who was erased had ordered (decision 0020).
FORMER_LIFE = timedelta(days=730)

_SECOND = timedelta(seconds=1)
_MAINLAND = re.compile(r"(?:\+?86|0086)?(1[3-9][0-9]{9})")
_BETWEEN_DIGITS = str.maketrans("", "", " \t-()")


def mainland_phone(text: str) -> str:
    """The 11 digits of a mainland mobile number, from what people type: +86, 0086, spaces, dashes, wide digits.

    Raises PhoneInvalid.
    """
    plain = unicodedata.normalize("NFKC", text).translate(_BETWEEN_DIGITS)
    match = _MAINLAND.fullmatch(plain)
    if match is None:
        raise PhoneInvalid()
    return match.group(1)


def mask_phone(phone: str) -> str:
    """What may be shown of a phone: 138****1234."""
    return f"{phone[:3]}****{phone[7:]}"


def tidy_name(text: str) -> str:
    """A name as it is kept, without spaces around; empty for none. Raises NameInvalid."""
    name = unicodedata.normalize("NFC", text).strip()
    if len(name) > NAME_LENGTH_MAX or not name.isprintable():
        raise NameInvalid(length_max=NAME_LENGTH_MAX)
    return name


def hash_token(token: str) -> str:
    """How a session's token is kept; SHA-256 without a key is enough for 256 bits of chance."""
    return hashlib.sha256(token.encode()).hexdigest()


def former_mark(phone_hash: str) -> str:
    """What is kept of a phone whose owner was erased; who has no secret of the platform cannot make it of a phone."""
    return hashlib.sha256(f"former {phone_hash}".encode()).hexdigest()


class SealedPhone(Struct, frozen=True, kw_only=True, gc=False):
    """A phone as commands and rows hold it.

    hash: HMAC-SHA256, to find its owner. masked: for the eye. sealed: AES-SIV, to send to it and to export it.
    mark: another HMAC, to count codes by; it cannot be matched with `hash`, so that erasing may leave the count.
    """

    hash: str
    masked: str
    sealed: str
    mark: str


class SealedOpenid(Struct, frozen=True, kw_only=True, gc=False):
    """Who somebody is to an app of WeChat's, as commands and rows hold it.

    hash: HMAC-SHA256 of app and openid, to find him. sealed: AES-SIV, to let him pay by it and to export it.
    """

    hash: str
    appid: str
    sealed: str


class Keys:
    """All that people does with the platform's secret; each use has a key of its own, derived by HMAC-SHA512.

    Sealing is AES-256-SIV (RFC 5297): it needs no chance, so a command decided twice gives the same row twice; that
    equal phones give equal seals says no more than their hashes do.
    The secret cannot be changed while people are kept: their phones would not be found again.
    """

    def __init__(self, secret: bytes) -> None:
        """secret: at least 32 bytes, the same on every node."""
        if len(secret) < 32:
            raise ValueError("the secret of people must have at least 32 bytes")
        self._hash_key = _subkey(secret, "phone hash")
        self._mark_key = _subkey(secret, "rate limit")
        self._code_key = _subkey(secret, "code")
        self._proof_key = _subkey(secret, "code proof")
        self._signing_key = _subkey(secret, "signature")
        self._siv = AESSIV(_subkey(secret, "phone seal"))

    def seal(self, phone: str) -> SealedPhone:
        """A phone as people typed it, sealed. Raises PhoneInvalid."""
        digits = mainland_phone(phone)
        sealed = self._siv.encrypt(digits.encode(), [b"phone"])
        return SealedPhone(
            hash=_digest(self._hash_key, digits),
            masked=mask_phone(digits),
            sealed=urlsafe_b64encode(sealed).decode(),
            mark=_digest(self._mark_key, f"phone {digits}"),
        )

    def unseal(self, sealed: str) -> str:
        """The 11 digits again. Raises cryptography's InvalidTag when it was sealed with another secret."""
        return self._siv.decrypt(urlsafe_b64decode(sealed), [b"phone"]).decode()

    def seal_openid(self, openid: str, *, appid: str) -> SealedOpenid:
        """Who WeChat says somebody is, sealed."""
        sealed = self._siv.encrypt(openid.encode(), [b"openid", appid.encode()])
        return SealedOpenid(
            hash=_digest(self._hash_key, f"openid {appid} {openid}"),
            appid=appid,
            sealed=urlsafe_b64encode(sealed).decode(),
        )

    def unseal_openid(self, sealed: str, *, appid: str) -> str:
        """The openid again. Raises cryptography's InvalidTag when it is another app's, or another secret's."""
        return self._siv.decrypt(urlsafe_b64decode(sealed), [b"openid", appid.encode()]).decode()

    def hash_wechat_code(self, code: str) -> str:
        """How it is told that a sign-in code of WeChat's was used by the same person before."""
        return _digest(self._proof_key, f"wechat {code}")

    def mark_wechat(self, asker: str) -> str:
        """What sign-ins with WeChat are counted by: a client address as for codes, or who is signed in."""
        return _digest(self._mark_key, f"wechat {_network_of(asker)}")

    def mark_address(self, address: str) -> str:
        """What codes asked from a client address are counted by; IPv6 by its /64, for that is what one client has."""
        return _digest(self._mark_key, f"address {_network_of(address)}")

    def sign(self, text: str) -> str:
        """What proves that this house said a text, such as a token's claim."""
        return _digest(self._signing_key, text)

    def signed(self, text: str, signature: str) -> bool:
        """Whether this house said the text; takes as long whatever differs."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode())

    def code_of(self, challenge_id: str, *, phone_hash: str) -> str:
        """The 6 digits of a challenge; a function of the secret, so that they need not be kept to be sent."""
        number = int(_digest(self._code_key, f"{phone_hash} {challenge_id}")[:16], 16)
        return str(number % 10**CODE_DIGITS).zfill(CODE_DIGITS)

    def hash_code(self, code: str, *, phone_hash: str) -> str:
        """How a code is kept and compared; keyed, for a million codes are soon tried."""
        return _digest(self._proof_key, f"{phone_hash} {code}")


def _subkey(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"tuanzi people {purpose}".encode(), "sha512")


def _digest(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


def _network_of(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(int(parsed) >> 64)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


# Values


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


class Session(Struct, frozen=True, kw_only=True, gc=False):
    """What a token opens, until `expires_at`."""

    id: SessionId
    token_hash: str
    person_id: PersonId
    created_at: datetime
    expires_at: datetime


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


class CodeChallenge(Struct, frozen=True, kw_only=True, gc=False):
    """The one code that a phone may be signed in with now; gone once used."""

    phone_hash: str
    id: str
    code_hash: str
    campus_id: CampusId
    wrong_count: int = 0
    expires_at: datetime
    sent_at: datetime | None = None

    def is_met(self, code_hash: str, *, now: datetime) -> bool:
        """Whether this is the code. Raises CodeExpired, and CodeLocked after 5 wrong tries even for the right one."""
        if now >= self.expires_at:
            raise CodeExpired()
        if self.wrong_count >= CODE_WRONG_MAX:
            raise CodeLocked()
        return hmac.compare_digest(self.code_hash, code_hash)

    def failed(self) -> CodeChallenge:
        """The challenge after one more wrong try."""
        return replace(self, wrong_count=self.wrong_count + 1)

    @property
    def tries_left(self) -> int:
        """How many wrong codes it still takes."""
        return CODE_WRONG_MAX - self.wrong_count


class Quota(Struct, frozen=True, kw_only=True, gc=False):
    """So many times in a window, which opens with the first; one time is a cool-down."""

    times: int
    within: timedelta


class Quotas(Struct, frozen=True, kw_only=True, gc=False):
    """How often codes may be asked for, and WeChat about one.

    Our choice: a phone gets what a forgetful person needs, which leaves 50 guesses in a million a day; an address is
    generous, for a whole campus may come from one.
    """

    per_phone: tuple[Quota, ...] = (
        Quota(times=1, within=timedelta(minutes=1)),
        Quota(times=5, within=timedelta(hours=1)),
        Quota(times=10, within=timedelta(days=1)),
    )
    per_address: tuple[Quota, ...] = (
        Quota(times=200, within=timedelta(minutes=10)),
        Quota(times=3000, within=timedelta(days=1)),
    )
    # Each is one call of WeChat's, and an app has some 10,000 a minute for all.
    wechat_per_address: tuple[Quota, ...] = (
        Quota(times=1000, within=timedelta(minutes=10)),
        Quota(times=20_000, within=timedelta(days=1)),
    )
    wechat_per_person: tuple[Quota, ...] = (Quota(times=20, within=timedelta(hours=1)),)

    @property
    def cool_down_s(self) -> int:
        """Seconds from one code to the next for the same phone; 0 without a quota of one time."""
        return max((quota.within // _SECOND for quota in self.per_phone if quota.times == 1), default=0)


class Window(Struct, frozen=True, kw_only=True, gc=False):
    """What was spent of the quota of `within_s` seconds since the window opened."""

    within_s: int
    since: datetime
    times: int

    @property
    def ends_at(self) -> datetime:
        """When the quota is whole again."""
        return self.since + timedelta(seconds=self.within_s)


class RateLimit(Struct, frozen=True, kw_only=True, gc=False):
    """How often one phone or address asked, in every window still open; `id` is its mark."""

    id: str
    windows: tuple[Window, ...] = ()

    def spent(self, quotas: Iterable[Quota], *, now: datetime) -> RateLimit:
        """One more time counted in every quota. Raises TooManyCodes with the seconds until all of them allow it."""
        is_open = {window.within_s: window for window in self.windows if now < window.ends_at}
        windows: list[Window] = []
        free_at = now
        for quota in quotas:
            within_s = quota.within // _SECOND
            window = is_open.get(within_s) or Window(within_s=within_s, since=now, times=0)
            if window.times >= quota.times:
                free_at = max(free_at, window.ends_at)
            windows.append(replace(window, times=window.times + 1))
        if free_at > now:
            raise TooManyCodes(retry_after_s=-((now - free_at) // _SECOND))
        return RateLimit(id=self.id, windows=tuple(windows))

    @property
    def ends_at(self) -> datetime:
        """When it can be forgotten."""
        return max(window.ends_at for window in self.windows)


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


# Commands and errands; ids, hashes and seals are made at the edge


class RequestCode(Struct, frozen=True, kw_only=True, gc=False):
    """Have a code sent to a phone."""

    challenge_id: str
    phone: SealedPhone
    code_hash: str
    campus_id: CampusId
    address_mark: str


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
    """Open a session; `person_id` is used when the phone is new."""

    session_id: SessionId
    person_id: PersonId
    phone: SealedPhone
    code_hash: str
    token_hash: str


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


# Answers; kept with idempotency keys, so nothing personal is in them


class CodeRequested(Struct, frozen=True, kw_only=True, gc=False):
    """A code is on its way; the same for every phone. Seconds until it expires and until another may be asked for."""

    expires_in_s: int
    again_in_s: int


class CodeSent(Struct, frozen=True, kw_only=True, gc=False):
    """Whether the sending was recorded; not when another code has taken its place."""

    is_recorded: bool


class SignedIn(Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """A session is open; who has the token is this person."""

    session_id: SessionId
    person_id: PersonId
    roles: tuple[Role, ...]
    campus_id: CampusId | None
    merchant_id: MerchantId | None
    expires_at: datetime


class CodeRefused(Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """The code was wrong; an answer and no Problem, because the try must be counted."""

    tries_left: int


class WechatTryCounted(Struct, frozen=True, kw_only=True, gc=False):
    """WeChat may be asked now."""


class WechatBound(Struct, frozen=True, kw_only=True, gc=False):
    """Who signs in and pays with that WeChat account."""

    person_id: PersonId


class WechatUnbound(Struct, frozen=True, kw_only=True, gc=False):
    """Who has no WeChat account here, now or before."""

    person_id: PersonId


class SignedOut(Struct, frozen=True, kw_only=True, gc=False):
    """The session is ended, now or before."""

    session_id: SessionId


class NameChanged(Struct, frozen=True, kw_only=True, gc=False):
    """The name is kept."""

    person_id: PersonId


class KeptOn(Struct, frozen=True, kw_only=True, gc=False):
    """Something that stays when a person is erased, and why, in both languages."""

    what: str
    what_zh: str
    why: str
    why_zh: str


# What stays beside a pseudonym, and why (PIPL art. 47: what a law has kept longer is only stored and protected).
KEPT_ON = (
    KeptOn(
        what="Orders, payments, refunds and ledger entries, under an id that leads to nobody",
        what_zh="订单、支付、退款和账本分录，仅以无法识别到个人的编号保存",
        why="E-Commerce Law art. 31 has transactions kept for three years, and accounting law the books",
        why_zh="《电子商务法》第三十一条要求交易信息至少保存三年，会计法规要求保存账簿",
    ),
    KeptOn(
        what="Names of receiving accounts in shares that were paid out already",
        what_zh="已完成分账中的收款账号",
        why="The payment company takes money back from the account it was given to, and the law has vouchers kept",
        why_zh="支付机构只能从原收款账号回退款项，会计法规要求保存凭证",
    ),
    KeptOn(
        what="For two years: that somebody with this phone had ordered, as a keyed mark without the phone or an id",
        what_zh="两年内：该手机号曾下过单这一事实，仅以加密标记保存，不含手机号和编号",
        why="The price of a first order is given once; nothing else is done with it",
        why_zh="首单优惠仅可享受一次，该标记不作他用",
    ),
    KeptOn(
        what="The audit log: who changed whose rights, by such ids",
        what_zh="审计日志：谁更改了谁的权限，仅以上述编号记录",
        why="PIPL art. 51 and 55 have the handling of personal data recorded",
        why_zh="《个人信息保护法》第五十一条、第五十五条要求记录个人信息处理活动",
    ),
)


class Erased(Struct, frozen=True, kw_only=True, gc=False):
    """Nothing is left but this pseudonym, and what stands beside it: `kept_on`.

    Live messages, a payee's name and account and a rider's place go within minutes, as soon as each campus hears it.
    """

    person_id: PersonId
    erased_at: datetime
    kept_on: tuple[KeptOn, ...] = KEPT_ON


class Forgotten(Struct, frozen=True, kw_only=True, gc=False):
    """A database holds nothing any more that tells who this is. has_ordered: whether it knows orders of this id."""

    person_id: PersonId
    has_ordered: bool = False


class RolesSet(Struct, frozen=True, kw_only=True, gc=False):
    """The roles a person has now."""

    person_id: PersonId
    roles: tuple[Role, ...]
    merchant_id: MerchantId | None
    campus_id: CampusId | None
    is_changed: bool


class OperatorAppointed(Struct, frozen=True, kw_only=True, gc=False):
    """Who is an operator of the platform now."""

    person_id: PersonId
    is_changed: bool


class Swept(Struct, frozen=True, kw_only=True, gc=False):
    """Whether a timer removed what it was set for; not when it was gone or is needed again."""

    is_removed: bool

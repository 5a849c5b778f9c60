"""Sessions, the codes that open them, and how often codes may be asked for."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import CampusId, PersonId, SessionId
from tuanzi.people.problems import CodeExpired, CodeLocked, TooManyCodes

# Our choice, as is usual for codes by text message (J3).
CODE_LIFE = timedelta(minutes=5)
CODE_WRONG_MAX = 5
# So many addresses have a code of a phone at once, and so many of its own are known: two networks and one more.
LIVE_CODES_MAX = 3
FAMILIAR_MAX = 3
SESSION_LIFE = timedelta(days=30)
_SECOND = timedelta(seconds=1)


class Session(Struct, frozen=True, kw_only=True, gc=False):
    """What a token opens, until `expires_at`."""

    id: SessionId
    token_hash: str
    person_id: PersonId
    created_at: datetime
    expires_at: datetime


class LiveCode(Struct, frozen=True, kw_only=True, gc=False):
    """A code that was sent. asker: the mark of the address that asked for it."""

    id: str
    code_hash: str
    campus_id: CampusId
    asker: str
    expires_at: datetime
    sent_at: datetime | None = None


class WrongTries(Struct, frozen=True, kw_only=True, gc=False):
    """How many wrong codes came from an address since it last asked for one."""

    asker: str
    count: int


class CodeChallenge(Struct, frozen=True, kw_only=True, gc=False):
    """The codes that a phone may be signed in with now, the oldest first; gone once one is used.

    Each address that asked has one of its own, and tries of its own: who asks for somebody else's phone, or guesses,
    takes nothing from its owner.
    """

    phone_hash: str
    codes: tuple[LiveCode, ...] = ()
    wrong: tuple[WrongTries, ...] = ()

    def with_code(self, code: LiveCode, *, now: datetime) -> CodeChallenge:
        """With a new code in place of its asker's last one, and new tries for him.

        Raises TooManyCodes while as many others have one as may be: any of those is good for the owner too.
        """
        others = [one for one in self.codes if now < one.expires_at and one.asker != code.asker]
        if len(others) >= LIVE_CODES_MAX:
            raise TooManyCodes(retry_after_s=-((now - others[0].expires_at) // _SECOND))
        wrong = tuple([one for one in self.wrong if one.asker != code.asker])
        return replace(self, codes=(*others, code), wrong=wrong)

    def find_met(self, code_hash: str, *, asker: str, now: datetime) -> LiveCode | None:
        """The code that this is. Raises CodeExpired, and CodeLocked after 5 wrong tries even for a right one."""
        live = [one for one in self.codes if now < one.expires_at]
        if not live:
            raise CodeExpired()
        if self.tries_left(asker) <= 0:
            raise CodeLocked()
        return next((one for one in live if hmac.compare_digest(one.code_hash, code_hash)), None)

    def failed(self, asker: str) -> CodeChallenge:
        """The challenge after one more wrong try from there."""
        count = CODE_WRONG_MAX - self.tries_left(asker) + 1
        others = [one for one in self.wrong if one.asker != asker]
        return replace(self, wrong=(*others, WrongTries(asker=asker, count=count)))

    def tries_left(self, asker: str) -> int:
        """How many wrong codes it still takes from there."""
        return CODE_WRONG_MAX - next((one.count for one in self.wrong if one.asker == asker), 0)

    def has_asked(self, asker: str) -> bool:
        """Whether one of the codes was asked for there."""
        return any(one.asker == asker for one in self.codes)

    def sent(self, challenge_id: str, *, at: datetime) -> CodeChallenge | None:
        """The challenge once this code of it went out; None when that is none of them any more."""
        codes = tuple([replace(one, sent_at=at) if one.id == challenge_id else one for one in self.codes])
        return None if codes == self.codes else replace(self, codes=codes)


class FamiliarAddresses(Struct, frozen=True, kw_only=True, gc=False):
    """The marks of addresses from which a phone was signed in last; what strangers use up is not taken from them."""

    phone_hash: str
    marks: tuple[str, ...] = ()

    def with_one(self, mark: str) -> FamiliarAddresses:
        """With one more; the oldest goes."""
        return replace(self, marks=(*self.marks[1 - FAMILIAR_MAX :], mark))


class Quota(Struct, frozen=True, kw_only=True, gc=False):
    """So many times in a window, which opens with the first; one time is a cool-down."""

    times: int
    within: timedelta


class Quotas(Struct, frozen=True, kw_only=True, gc=False):
    """How often codes may be asked for, and WeChat about one.

    Our choice. per_asker: what one address asks for one phone: what a forgetful person needs, 50 guesses a day.
    per_phone: what all addresses together do that its owner never signed in from, and wrong_per_phone the codes that
    those of them guess which asked for none: with three codes at once, at most 360 in a million a day, by twenty
    addresses. So a phone gets 60 messages a day at most, ten of them for devices that were signed in with it (0039),
    and no stranger uses up what its owner has at home.
    per_address is generous, for a whole campus may come from one.
    """

    per_asker: tuple[Quota, ...] = (
        Quota(times=1, within=timedelta(minutes=1)),
        Quota(times=5, within=timedelta(hours=1)),
        Quota(times=10, within=timedelta(days=1)),
    )
    per_phone: tuple[Quota, ...] = (
        Quota(times=8, within=timedelta(hours=1)),
        Quota(times=20, within=timedelta(days=1)),
    )
    wrong_per_phone: tuple[Quota, ...] = (Quota(times=20, within=timedelta(days=1)),)
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
        return max((quota.within // _SECOND for quota in self.per_asker if quota.times == 1), default=0)


class Window(Struct, frozen=True, kw_only=True, gc=False):
    """What was spent of the quota of `within_s` seconds since the window opened."""

    within_s: int
    since: datetime
    times: int

    @property
    def ends_at(self) -> datetime:
        """When the quota is whole again."""
        return self.since + timedelta(seconds=self.within_s)


def mark_of(*marks: str) -> str:
    """What is counted by several marks together; they are keyed hashes, so that this tells no more."""
    return sha256(" ".join(marks).encode()).hexdigest()


class RateLimit(Struct, frozen=True, kw_only=True, gc=False):
    """How often a phone, an address or both were asked with, in every window still open; `id` is its mark."""

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

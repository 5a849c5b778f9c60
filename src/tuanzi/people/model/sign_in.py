"""Sessions, the codes that open them, and how often codes may be asked for."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import CampusId, PersonId, SessionId
from tuanzi.people.problems import CodeExpired, CodeLocked, TooManyCodes

# Our choice, as is usual for codes by text message (J3).
CODE_LIFE = timedelta(minutes=5)
CODE_WRONG_MAX = 5
SESSION_LIFE = timedelta(days=30)
_SECOND = timedelta(seconds=1)


class Session(Struct, frozen=True, kw_only=True, gc=False):
    """What a token opens, until `expires_at`."""

    id: SessionId
    token_hash: str
    person_id: PersonId
    created_at: datetime
    expires_at: datetime


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

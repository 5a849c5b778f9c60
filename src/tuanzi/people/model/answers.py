"""What people answer; kept with idempotency keys, so nothing personal is in them."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.base.ids import CampusId, MerchantId, PersonId, SessionId
from tuanzi.base.who import Role


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

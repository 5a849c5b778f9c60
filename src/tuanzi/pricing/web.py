"""HTTP of price rules, for operators, and of a member's coupons (B4, J2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from tuanzi.base.ids import CampusId, MerchantId, PersonId
from tuanzi.base.problem import Unknown
from tuanzi.base.who import Role
from tuanzi.machinery.http.routes import Call, Committed, Desk, Route
from tuanzi.pricing.model import RULES_MAX, SAMPLES_MAX, Rule, Sample, SampleLine
from tuanzi.pricing.problems import (
    CouponIdTaken,
    CouponUseless,
    MembersUnknown,
    NothingToRollBack,
    RuleInvalid,
    RulesUnchecked,
)
from tuanzi.pricing.queries import (
    PAGE_MAX,
    CouponPage,
    GrantedPage,
    GrantPage,
    VersionPage,
    VersionView,
    coupons_of,
    coupons_of_grant,
    grant_page,
    version_page,
    version_view,
)
from tuanzi.pricing.service import (
    CheckRules,
    CouponsGiven,
    DraftRules,
    GrantCoupons,
    RollBackRules,
    RulesChecked,
    RulesDrafted,
    RulesSwitched,
    SwitchRules,
)

T = TypeVar("T")

PATH = "/v1/campuses/{campus}/pricing"
OPERATORS = frozenset({Role.OPERATOR})
# Of versions and priorities; our choice: more than anybody makes, and it fits every database.
NUMBER_MAX = 999_999_999
# Our choice: a class or a building; each is a row of one commit, and more are asked for by further requests.
GRANTED_AT_ONCE = 200
# Our choice: 1,000 yuan; more is a slip of the keyboard.
COUPON_FEN_MAX = 100_000

# With the grant's id and a dot it fits a coupon's key.
MemberId = Annotated[str, Meta(min_length=1, max_length=39)]


class FindStrangers(Protocol):
    """Who of several is nobody of a campus."""

    def __call__(self, desk: Desk, person_ids: Sequence[PersonId], *, campus_id: CampusId) -> Awaitable[list[PersonId]]:
        """Those, in the same order. desk: of the platform."""


class RuleBody(Rule, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A rule as it is sent: a misspelt field is refused, where a stored one of a later release is passed over."""

    priority: Annotated[int, Meta(ge=-NUMBER_MAX, le=NUMBER_MAX)] = 100


class SampleLineBody(SampleLine, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A sample line as it is sent."""


class SampleBody(Sample, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A sample cart as it is sent."""

    lines: Annotated[tuple[SampleLineBody, ...], Meta(min_length=1, max_length=100)]


class DraftBody(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A new version."""

    rules: Annotated[tuple[RuleBody, ...], Meta(max_length=RULES_MAX)]
    samples: Annotated[tuple[SampleBody, ...], Meta(max_length=SAMPLES_MAX)] = ()
    note: Annotated[str, Meta(max_length=500)] = ""


class CheckBody(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Sample carts to price besides those of the version."""

    samples: Annotated[tuple[SampleBody, ...], Meta(max_length=SAMPLES_MAX)] = ()


class GrantBody(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Who is given a coupon each, all alike. grant_id: chosen by the operator; of one grant a member has one coupon."""

    grant_id: Annotated[str, Meta(min_length=1, max_length=24, pattern=r"^[a-z0-9][a-z0-9_-]*$(?!\n)")]
    member_ids: Annotated[tuple[MemberId, ...], Meta(min_length=1, max_length=GRANTED_AT_ONCE)]
    off_fen: Annotated[int, Meta(ge=1, le=COUPON_FEN_MAX)]
    threshold_fen: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    expires_at: Annotated[datetime, Meta(tz=True)]
    merchant_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class VersionsQuery(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Which part of the list."""

    after: Annotated[int, Meta(ge=0, le=NUMBER_MAX)] = 0
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 20


class CouponsQuery(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Which part of the list."""

    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 20


class GrantsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list; `after` is the `next` of the page before."""

    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 20


async def versions(call: Call[None, VersionsQuery]) -> VersionPage:
    """GET /v1/campuses/{campus}/pricing/versions"""
    return await version_page(call.desks.core, after=call.query.after, limit=call.query.limit)


async def version(call: Call[None, None]) -> VersionView:
    """GET /v1/campuses/{campus}/pricing/versions/{version}"""
    return await version_view(call.desks.core, version=_number(call))


async def draft(call: Call[DraftBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/pricing/versions"""
    command = DraftRules(
        rules=tuple(_plain(Rule, rule) for rule in call.body.rules),
        samples=tuple(_plain(Sample, sample) for sample in call.body.samples),
        note=call.body.note,
        operator_id=call.caller.person_id,
    )
    return await call.desks.core.submit(command, who=call.caller.person_id, key=call.key)


async def check(call: Call[CheckBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/pricing/versions/{version}/check"""
    samples = tuple(_plain(Sample, sample) for sample in call.body.samples)
    command = CheckRules(version=_number(call), samples=samples)
    return await call.desks.core.submit(command, who=call.caller.person_id)


async def switch(call: Call[None, None]) -> Committed:
    """POST /v1/campuses/{campus}/pricing/versions/{version}/switch"""
    command = SwitchRules(version=_number(call), operator_id=call.caller.person_id)
    return await call.desks.core.submit(command, who=call.caller.person_id, key=call.key)


async def roll_back(call: Call[None, None]) -> Committed:
    """POST /v1/campuses/{campus}/pricing/roll-back"""
    command = RollBackRules(operator_id=call.caller.person_id)
    return await call.desks.core.submit(command, who=call.caller.person_id, key=call.key)


async def coupons(call: Call[None, CouponsQuery]) -> CouponPage:
    """GET /v1/campuses/{campus}/coupons"""
    query = call.query
    return await coupons_of(
        call.desks.core, member_id=call.caller.person_id, after=query.after, limit=query.limit, now=call.now
    )


async def grants(call: Call[None, GrantsQuery]) -> GrantPage:
    """GET /v1/campuses/{campus}/coupon-grants: what operators gave, the newest first."""
    return await grant_page(call.desks.core, after=call.query.after, limit=call.query.limit)


async def granted(call: Call[None, GrantsQuery]) -> GrantedPage:
    """GET /v1/campuses/{campus}/coupon-grants/{grant_id}/coupons: who has one of a grant, and what became of it."""
    query = call.query
    return await coupons_of_grant(call.desks.core, grant_id=call.path["grant_id"], after=query.after, limit=query.limit)


def grant_route(find_strangers: FindStrangers, see_merchant: Callable[..., Awaitable[Any]]) -> Route:
    """The route by which operators give members coupons; what it asks is answered by other rooms."""

    async def grant(call: Call[GrantBody, None]) -> Committed:
        """POST /v1/campuses/{campus}/coupons"""
        body, desks = call.body, call.desks
        member_ids = tuple(PersonId(id) for id in dict.fromkeys(body.member_ids))
        strangers = await find_strangers(desks.platform, member_ids, campus_id=CampusId(call.path["campus"]))
        if strangers:
            raise MembersUnknown(person_ids=tuple(strangers))
        merchant_id = None if body.merchant_id is None else MerchantId(body.merchant_id)
        if merchant_id is not None:
            await see_merchant(desks.core, merchant_id=merchant_id)
        command = GrantCoupons(
            id=call.ids.make("cg", now=call.now),
            grant_id=body.grant_id,
            member_ids=member_ids,
            off_fen=body.off_fen,
            threshold_fen=body.threshold_fen,
            expires_at=body.expires_at,
            merchant_id=merchant_id,
            operator_id=call.caller.person_id,
        )
        return await desks.core.submit(command, who=call.caller.person_id, key=call.key)

    return Route(
        method="POST",
        path="/v1/campuses/{campus}/coupons",
        handler=grant,
        body=GrantBody,
        answer=CouponsGiven,
        summary="Give members a coupon each",
        status=201,
        roles=OPERATORS,
        problems=(CouponIdTaken, CouponUseless, MembersUnknown),
    )


def _number(call: Call[Any, Any]) -> int:
    text = call.path["version"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise Unknown(kind="rule_version", id=text)
    return int(text)


def _plain(kind: type[T], body: Struct) -> T:
    return msgspec.convert(msgspec.to_builtins(body), kind)


ROUTES = (
    Route(
        method="GET",
        path=f"{PATH}/versions",
        handler=versions,
        query=VersionsQuery,
        answer=VersionPage,
        summary="The versions of the price rules",
        roles=OPERATORS,
    ),
    Route(
        method="GET",
        path=f"{PATH}/versions/{{version}}",
        handler=version,
        answer=VersionView,
        summary="One version of the price rules",
        roles=OPERATORS,
    ),
    Route(
        method="POST",
        path=f"{PATH}/versions",
        handler=draft,
        body=DraftBody,
        answer=RulesDrafted,
        summary="Save a new version of the price rules",
        status=201,
        roles=OPERATORS,
        problems=(RuleInvalid,),
    ),
    Route(
        method="POST",
        path=f"{PATH}/versions/{{version}}/check",
        handler=check,
        body=CheckBody,
        answer=RulesChecked,
        summary="Price sample carts under a version and under the one in force",
        roles=OPERATORS,
        problems=(RuleInvalid,),
        keyed=False,
    ),
    Route(
        method="POST",
        path=f"{PATH}/versions/{{version}}/switch",
        handler=switch,
        answer=RulesSwitched,
        summary="Put a version in force",
        roles=OPERATORS,
        problems=(RuleInvalid, RulesUnchecked),
    ),
    Route(
        method="POST",
        path=f"{PATH}/roll-back",
        handler=roll_back,
        answer=RulesSwitched,
        summary="Go back to the version before",
        roles=OPERATORS,
        problems=(NothingToRollBack,),
    ),
    Route(
        method="GET",
        path="/v1/campuses/{campus}/coupons",
        handler=coupons,
        query=CouponsQuery,
        answer=CouponPage,
        summary="My coupons",
    ),
    Route(
        method="GET",
        path="/v1/campuses/{campus}/coupon-grants",
        handler=grants,
        query=GrantsQuery,
        answer=GrantPage,
        summary="Coupons that operators gave, the newest first",
        roles=OPERATORS,
    ),
    Route(
        method="GET",
        path="/v1/campuses/{campus}/coupon-grants/{grant_id}/coupons",
        handler=granted,
        query=GrantsQuery,
        answer=GrantedPage,
        summary="Who has a coupon of a grant",
        roles=OPERATORS,
    ),
)

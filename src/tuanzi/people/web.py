"""What people answers over HTTP (J3). Phones, codes and tokens are hashed or sealed here, before anything is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from tuanzi.base.ids import CampusId, MerchantId, PersonId, SessionId
from tuanzi.base.problem import Forbidden, Unknown
from tuanzi.base.who import Role
from tuanzi.machinery.http.routes import Call, Committed, Reply, Route
from tuanzi.people import problems, queries
from tuanzi.people.model import (
    BindWechat,
    ChangeName,
    CodeRefused,
    CodeRequested,
    CountWechatTry,
    Erased,
    ErasePerson,
    Keys,
    NameChanged,
    RequestCode,
    RolesSet,
    SealedOpenid,
    SetRoles,
    SignedIn,
    SignedOut,
    SignIn,
    SignInWithWechat,
    SignOut,
    UnbindWechat,
    WechatBound,
    WechatUnbound,
    hash_token,
    tidy_name,
)
from tuanzi.people.queries import AuditPage, Export, Me, PeoplePage
from tuanzi.people.vendors import WechatLogin

Phone = Annotated[str, Meta(min_length=11, max_length=32, description="Mainland mobile number, +86 or not.")]
Device = Annotated[str, Meta(min_length=64, max_length=64, pattern="^[0-9a-f]{64}$")]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
After = Annotated[str, Meta(max_length=64)]
Limit = Annotated[int, Meta(ge=1, le=100)]


class CodeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose phone, and which campus he belongs to when he is new. device: what a sign-in with this phone gave here."""

    phone: Phone
    campus_id: Id
    device: Device | None = None


class SessionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A phone and the code it received. device: as in `CodeBody`."""

    phone: Phone
    code: Annotated[str, Meta(min_length=6, max_length=6, pattern="^[0-9]{6}$")]
    device: Device | None = None


class WechatBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `wx.login` gave the phone: good for five minutes, and once."""

    code: Annotated[str, Meta(min_length=1, max_length=128, pattern="^[!-~]{1,128}$")]


class NameBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name; empty for none."""

    name: Annotated[str, Meta(max_length=80)]


class RolesBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All roles from now on; a merchant's shop; another campus, by an operator of the platform only."""

    roles: Annotated[tuple[Role, ...], Meta(min_length=1, max_length=len(Role))]
    merchant_id: Id | None = None
    campus_id: Id | None = None


class PeopleQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which people."""

    after: After = ""
    limit: Limit = 20


class OwnerBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose phone it is; in a body, for addresses are kept in logs."""

    phone: Phone


class AuditQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the audit log."""

    after: After = ""
    limit: Limit = 20


class ExportQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the audit log goes on."""

    after: After = ""


class SessionOpened(Struct, frozen=True, kw_only=True, gc=False):
    """A session; `token` is shown this once and kept nowhere.

    device: to be kept on the device, also after signing out, and shown with the next code that is asked for this phone;
    "" where none was signed in with.
    """

    token: str
    session_id: SessionId
    person_id: PersonId
    roles: tuple[Role, ...]
    campus_id: CampusId | None
    merchant_id: MerchantId | None
    expires_at: datetime
    device: str = ""


# Whether a campus has a shop; it reads what that campus has committed.
HasShop = Callable[[CampusId, MerchantId], Awaitable[bool]]


class Reception:
    """The handlers, with what they need besides the call."""

    def __init__(
        self, *, keys: Keys, login: WechatLogin, is_campus: Callable[[CampusId], bool], has_shop: HasShop | None
    ) -> None:
        self._keys = keys
        self._login = login
        self._is_campus = is_campus
        self._has_shop = has_shop

    async def ask_code(self, call: Call[CodeBody, None]) -> Committed:
        """POST /v1/codes: send a code; the answer is the same for every phone, known or not."""
        phone = self._keys.seal(call.body.phone)
        campus_id = CampusId(call.body.campus_id)
        if not self._is_campus(campus_id):
            raise problems.CampusUnknown(campus_id=campus_id)
        challenge_id = call.ids.make("v", now=call.now)
        code = self._keys.code_of(challenge_id, phone_hash=phone.hash)
        return await call.desks.platform.submit(
            RequestCode(
                challenge_id=challenge_id,
                phone=phone,
                code_hash=self._keys.hash_code(code, phone_hash=phone.hash),
                campus_id=campus_id,
                address_mark=self._keys.mark_address(call.client),
                device_mark=self._keys.mark_device(call.body.device, phone_hash=phone.hash),
            )
        )

    async def open_session(self, call: Call[SessionBody, None]) -> Reply:
        """POST /v1/sessions: sign in with a code, once; a repeat with the used code is refused."""
        phone = self._keys.seal(call.body.phone)
        token = self._keys.token_of(call.ids.token())
        committed = await call.desks.platform.submit(
            SignIn(
                session_id=SessionId(call.ids.make("s", now=call.now)),
                person_id=PersonId(call.ids.make("p", now=call.now)),
                phone=phone,
                code_hash=self._keys.hash_code(call.body.code, phone_hash=phone.hash),
                token_hash=hash_token(token),
                address_mark=self._keys.mark_address(call.client),
                device_mark=self._keys.mark_device(call.body.device, phone_hash=phone.hash),
            )
        )
        answer = committed.answer
        if isinstance(answer, CodeRefused):
            raise problems.CodeWrong(tries_left=answer.tries_left)
        return Reply(body=_opened(answer, token=token, device=self._keys.device_of(phone.hash)))

    async def open_session_with_wechat(self, call: Call[WechatBody, None]) -> Reply:
        """POST /v1/wechat/sessions: sign in with WeChat's code, once; a repeat with the used code is refused.

        Who is not known yet signs in with phone and code and binds the account, with another code of WeChat's.
        """
        count = CountWechatTry(mark=self._keys.mark_wechat(call.client), is_person=False)
        openid = await self._ask_wechat(call, count)
        token = self._keys.token_of(call.ids.token())
        command = SignInWithWechat(
            session_id=SessionId(call.ids.make("s", now=call.now)), openid=openid, token_hash=hash_token(token)
        )
        committed = await call.desks.platform.submit(command)
        return Reply(body=_opened(committed.answer, token=token))

    async def bind_wechat(self, call: Call[WechatBody, None]) -> Reply:
        """PUT /v1/me/wechat: sign in and pay with this WeChat account from now on, in place of another one.

        A repeat with the code that it was bound with is answered alike.
        """
        who = call.caller
        code_hash = self._keys.hash_wechat_code(call.body.code)
        if await queries.is_bound_with(call.desks.platform, person_id=who.person_id, code_hash=code_hash):
            return Reply(body=WechatBound(person_id=who.person_id))
        count = CountWechatTry(mark=self._keys.mark_wechat(who.person_id), is_person=True)
        openid = await self._ask_wechat(call, count)
        command = BindWechat(
            person_id=who.person_id,
            openid=openid,
            code_hash=code_hash,
            audit_id=call.ids.make("a", now=call.now),
        )
        committed = await call.desks.platform.submit(command, who=who.person_id)
        return Reply(body=committed.answer)

    async def _ask_wechat(self, call: Call[WechatBody, None], count: CountWechatTry) -> SealedOpenid:
        """Whose code it is, counted before WeChat is asked; where it is not set up, nothing is counted."""
        if not self._login.appid:
            raise problems.WechatAbsent()
        await call.desks.platform.submit(count)
        openid = await self._login.openid_of(call.body.code)
        return self._keys.seal_openid(openid, appid=self._login.appid)

    async def unbind_wechat(self, call: Call[None, None]) -> Committed:
        """DELETE /v1/me/wechat: forget the WeChat account of the signed-in person."""
        who = call.caller
        command = UnbindWechat(person_id=who.person_id, audit_id=call.ids.make("a", now=call.now))
        return await call.desks.platform.submit(command, who=who.person_id, key=call.key)

    async def close_session(self, call: Call[None, None]) -> Committed:
        """DELETE /v1/sessions/current: sign out."""
        who = call.caller
        return await call.desks.platform.submit(
            SignOut(session_id=who.session_id, person_id=who.person_id), who=who.person_id, key=call.key
        )

    async def me(self, call: Call[None, None]) -> Me:
        """GET /v1/me: the signed-in person."""
        return await queries.me(call.desks.platform, person_id=call.caller.person_id)

    async def rename(self, call: Call[NameBody, None]) -> Committed:
        """PUT /v1/me/name: be called otherwise."""
        who = call.caller
        command = ChangeName(person_id=who.person_id, name=tidy_name(call.body.name))
        return await call.desks.platform.submit(command, who=who.person_id, key=call.key)

    async def export(self, call: Call[None, ExportQuery]) -> Export:
        """GET /v1/me/export: all that is kept of the signed-in person."""
        return await queries.export(
            call.desks.platform, person_id=call.caller.person_id, keys=self._keys, after=call.query.after
        )

    async def erase(self, call: Call[None, None]) -> Committed:
        """DELETE /v1/me: forget the signed-in person and end his sessions."""
        who = call.caller
        command = ErasePerson(person_id=who.person_id, audit_id=call.ids.make("a", now=call.now))
        return await call.desks.platform.submit(command, who=who.person_id, key=call.key)

    async def set_roles(self, call: Call[RolesBody, None]) -> Committed:
        """PUT /v1/people/{person_id}/roles: give a person these roles and no other."""
        who, body = call.caller, call.body
        command = SetRoles(
            person_id=PersonId(call.path["person_id"]),
            roles=body.roles,
            merchant_id=None if body.merchant_id is None else MerchantId(body.merchant_id),
            campus_id=None if body.campus_id is None else CampusId(body.campus_id),
            by=who.person_id,
            audit_id=call.ids.make("a", now=call.now),
        )
        if command.campus_id is not None and not self._is_campus(command.campus_id):
            raise problems.CampusUnknown(campus_id=command.campus_id)
        if command.merchant_id is not None and self._has_shop is not None:
            person = await queries.me(call.desks.platform, person_id=command.person_id)
            campus_id = command.campus_id or person.campus_id
            is_mine = call.caller.campus_id in (None, campus_id)  # else he is refused, and told nothing of the shop
            if is_mine and campus_id is not None and not await self._has_shop(campus_id, command.merchant_id):
                raise problems.ShopUnknown(merchant_id=command.merchant_id, campus_id=campus_id)
        return await call.desks.platform.submit(command, who=who.person_id, key=call.key)

    async def list_people(self, call: Call[None, PeopleQuery]) -> PeoplePage:
        """GET /v1/people: people of the operator's campus, or of all for an operator of the platform."""
        return await queries.people_page(
            call.desks.platform, campus_id=call.caller.campus_id, after=call.query.after, limit=call.query.limit
        )

    async def find_owner(self, call: Call[OwnerBody, None]) -> PeoplePage:
        """POST /v1/people/owner: who has a phone, of the operator's campus; nobody where nobody there has it."""
        return await queries.owner_page(
            call.desks.platform, campus_id=call.caller.campus_id, phone_hash=self._keys.seal(call.body.phone).hash
        )

    async def list_audit(self, call: Call[None, AuditQuery]) -> AuditPage:
        """GET /v1/audit: who changed whose rights or data; for operators of the platform."""
        if call.caller.campus_id is not None:
            raise Forbidden(role=Role.OPERATOR)
        return await queries.audit_page(call.desks.platform, after=call.query.after, limit=call.query.limit)


def _opened(answer: SignedIn, *, token: str, device: str = "") -> SessionOpened:
    return SessionOpened(
        token=token,
        device=device,
        session_id=answer.session_id,
        person_id=answer.person_id,
        roles=answer.roles,
        campus_id=answer.campus_id,
        merchant_id=answer.merchant_id,
        expires_at=answer.expires_at,
    )


def routes(
    *, keys: Keys, login: WechatLogin, is_campus: Callable[[CampusId], bool], has_shop: HasShop | None = None
) -> tuple[Route, ...]:
    """The routes of people."""
    at = Reception(keys=keys, login=login, is_campus=is_campus, has_shop=has_shop)
    operator = frozenset({Role.OPERATOR})
    p = problems
    # Somebody who is erased while he asks was let in, and is nobody any more.
    erased = (Unknown,)
    asking_wechat = (p.WechatAbsent, p.WechatCodeRefused, p.WechatUserRefused, p.WechatTooOften, p.WechatUnreachable)
    return (
        Route(
            "POST",
            "/v1/codes",
            at.ask_code,
            CodeRequested,
            "Send a one-time code to a phone",
            body=CodeBody,
            status=202,
            signed_in=False,
            keyed=False,
            problems=(p.PhoneInvalid, p.CampusUnknown, p.TooManyCodes),
        ),
        Route(
            "POST",
            "/v1/sessions",
            at.open_session,
            SessionOpened,
            "Sign in with phone and code",
            body=SessionBody,
            status=201,
            signed_in=False,
            keyed=False,
            problems=(p.PhoneInvalid, p.CodeWrong, p.CodeLocked, p.CodeExpired),
        ),
        Route(
            "POST",
            "/v1/wechat/sessions",
            at.open_session_with_wechat,
            SessionOpened,
            "Sign in with WeChat",
            body=WechatBody,
            status=201,
            signed_in=False,
            keyed=False,
            problems=(*asking_wechat, p.WechatUnknown),
        ),
        Route(
            "PUT",
            "/v1/me/wechat",
            at.bind_wechat,
            WechatBound,
            "Bind one's WeChat account",
            body=WechatBody,
            keyed=False,
            problems=(*asking_wechat, p.WechatTaken, *erased),
        ),
        Route(
            "DELETE",
            "/v1/me/wechat",
            at.unbind_wechat,
            WechatUnbound,
            "Forget one's WeChat account",
            keyed=False,
            problems=erased,
        ),
        Route("DELETE", "/v1/sessions/current", at.close_session, SignedOut, "Sign out", keyed=False),
        Route("GET", "/v1/me", at.me, Me, "The signed-in person"),
        Route(
            "PUT",
            "/v1/me/name",
            at.rename,
            NameChanged,
            "Change one's name",
            body=NameBody,
            keyed=False,
            problems=(p.NameInvalid, *erased),
        ),
        Route("GET", "/v1/me/export", at.export, Export, "All data kept of oneself", query=ExportQuery),
        Route("DELETE", "/v1/me", at.erase, Erased, "Be forgotten", keyed=False, problems=(p.LastOperator,)),
        Route(
            "PUT",
            "/v1/people/{person_id}/roles",
            at.set_roles,
            RolesSet,
            "Give and take roles",
            body=RolesBody,
            roles=operator,
            problems=(p.MerchantMismatch, p.CampusMissing, p.CampusUnknown, p.ShopUnknown, p.LastOperator),
        ),
        Route(
            "GET",
            "/v1/people",
            at.list_people,
            PeoplePage,
            "People",
            query=PeopleQuery,
            roles=operator,
        ),
        Route(
            "POST",
            "/v1/people/owner",
            at.find_owner,
            PeoplePage,
            "Who has a phone",
            body=OwnerBody,
            is_phone=True,
            roles=operator,
            keyed=False,
            problems=(p.PhoneInvalid,),
        ),
        Route("GET", "/v1/audit", at.list_audit, AuditPage, "The audit log", query=AuditQuery, roles=operator),
    )

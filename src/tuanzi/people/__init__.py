"""People: who somebody is, what he may do, and what is kept of him (J3). Database: platform.

Owns people, phone_owners, wechat_users, former_phones, sessions, phone_codes, familiar_addresses, rate_limits,
platform_operators, audit_entries.
Hears nothing. Emits PersonJoined, PersonErased, RolesChanged, SessionEnded.
A phone is kept as keyed hash, mask and seal, an openid as keyed hash and seal, a code as keyed hash, a token as hash;
no other room keeps any of them, and payments are told by whom they are paid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tuanzi.base.ids import CampusId
from tuanzi.machinery.post import Post
from tuanzi.machinery.room import Room
from tuanzi.people import handlers, model, service, store, web
from tuanzi.people.model import (
    AppointOperator,
    AppointStaff,
    ChangeName,
    ForgetPerson,
    Forgotten,
    Keys,
    OperatorAppointed,
    Quota,
    Quotas,
    SealedPhone,
    tidy_name,
)
from tuanzi.people.problems import WechatAbsent, WechatNeeded, WechatTooOften, WechatUnreachable
from tuanzi.people.queries import Doorkeeper, Payers, are_sealed_otherwise, find_strangers, find_who, me
from tuanzi.people.vendors import (
    LOGIN_GATEWAY,
    AbsentLogin,
    AbsentSender,
    AliyunSender,
    CodeSender,
    ConsoleSender,
    MiniProgram,
    PlayedPhones,
    SmsAccount,
    SmsNotAccepted,
    WechatApp,
    WechatLogin,
)
from tuanzi.people.web import HasShop

__all__ = [
    "LOGIN_GATEWAY",
    "AbsentLogin",
    "AbsentSender",
    "AliyunSender",
    "AppointOperator",
    "AppointStaff",
    "ChangeName",
    "CodeSender",
    "ConsoleSender",
    "Doorkeeper",
    "ForgetPerson",
    "Forgotten",
    "HasShop",
    "Keys",
    "MiniProgram",
    "OperatorAppointed",
    "Payers",
    "PlayedPhones",
    "Quota",
    "Quotas",
    "SealedPhone",
    "SmsAccount",
    "SmsNotAccepted",
    "WechatAbsent",
    "WechatApp",
    "WechatLogin",
    "WechatNeeded",
    "WechatTooOften",
    "WechatUnreachable",
    "are_sealed_otherwise",
    "find_strangers",
    "find_who",
    "me",
    "room",
    "tidy_name",
]


def room(
    *,
    keys: Keys,
    sender: CodeSender,
    login: WechatLogin,
    is_campus: Callable[[CampusId], bool],
    quotas: Quotas,
    post: Post,
    personal: Sequence[str] = (),
    has_shop: HasShop | None = None,
) -> Room:
    """The room of people.

    keys: made of the platform's secret. sender: who carries codes. login: who tells whose WeChat signs in. is_campus:
    whether a campus exists, told without I/O. quotas: how often codes may be asked for; `Quotas()` outside of load
    tests. post: reaches the databases `personal`, which forget who is erased. has_shop: whether a campus has a shop;
    without it, as where no routes are served, none is looked for.
    """
    return Room(
        name="people",
        database="platform",
        tables=store.TABLES,
        commands={
            model.RequestCode: partial(service.request_code, quotas=quotas),
            model.RecordCodeSent: service.record_code_sent,
            model.SignIn: partial(service.sign_in, quotas=quotas),
            model.CountWechatTry: partial(service.count_wechat_try, quotas=quotas),
            model.SignInWithWechat: service.sign_in_with_wechat,
            model.BindWechat: service.bind_wechat,
            model.UnbindWechat: service.unbind_wechat,
            model.SignOut: service.sign_out,
            model.ChangeName: service.change_name,
            model.ErasePerson: service.erase_person,
            model.RecordForgotten: service.record_forgotten,
            model.SetRoles: service.set_roles,
            model.AppointOperator: service.appoint_operator,
            model.AppointStaff: service.appoint_staff,
            model.ExpireSession: service.expire_session,
            model.ForgetChallenge: service.forget_challenge,
            model.ForgetLimit: service.forget_limit,
            model.ForgetFormerPhone: service.forget_former_phone,
        },
        errands={
            model.SendCode: partial(handlers.send_code, keys=keys, sender=sender),
            model.TellErased: partial(handlers.tell_erased, post=post, where=personal),
        },
        routes=web.routes(keys=keys, login=login, is_campus=is_campus, has_shop=has_shop),
    )

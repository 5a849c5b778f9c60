"""People: who somebody is, what he may do, and what is kept of him (J3). Database: platform.

Owns people, phone_owners, former_phones, sessions, code_challenges, rate_limits, platform_operators, audit_entries.
Hears nothing. Emits PersonJoined, PersonErased, RolesChanged, SessionEnded.
A phone is kept as keyed hash, mask and seal, a code as keyed hash, a token as hash; no other room knows any of them.
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
    ForgetPerson,
    Forgotten,
    Keys,
    OperatorAppointed,
    Quota,
    Quotas,
    SealedPhone,
)
from tuanzi.people.queries import Doorkeeper, find_who, me
from tuanzi.people.vendors import (
    AbsentSender,
    AliyunSender,
    CodeSender,
    ConsoleSender,
    SmsAccount,
    SmsNotAccepted,
)

__all__ = [
    "AbsentSender",
    "AliyunSender",
    "AppointOperator",
    "AppointStaff",
    "CodeSender",
    "ConsoleSender",
    "Doorkeeper",
    "ForgetPerson",
    "Forgotten",
    "Keys",
    "OperatorAppointed",
    "Quota",
    "Quotas",
    "SealedPhone",
    "SmsAccount",
    "SmsNotAccepted",
    "find_who",
    "me",
    "room",
]


def room(
    *,
    keys: Keys,
    sender: CodeSender,
    is_campus: Callable[[CampusId], bool],
    quotas: Quotas,
    post: Post,
    personal: Sequence[str] = (),
) -> Room:
    """The room of people.

    keys: made of the platform's secret. sender: who carries codes. is_campus: whether a campus exists, told without
    I/O. quotas: how often codes may be asked for; `Quotas()` outside of load tests. post: reaches the databases
    `personal`, which forget who is erased.
    """
    return Room(
        name="people",
        database="platform",
        tables=store.TABLES,
        commands={
            model.RequestCode: partial(service.request_code, quotas=quotas),
            model.RecordCodeSent: service.record_code_sent,
            model.SignIn: service.sign_in,
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
        routes=web.routes(keys=keys, is_campus=is_campus),
    )

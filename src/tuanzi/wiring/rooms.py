"""Rooms meet vendors: every room of the house, and what the writer of a database knows by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tuanzi import (
    catalog,
    delivery,
    groups,
    guests,
    live,
    money,
    orders,
    people,
    pricing,
    reconciliation,
    sharing,
    splitting,
    stock,
)
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.internal import HearParked
from tuanzi.machinery.post import Post
from tuanzi.machinery.push.ports import Elsewhere
from tuanzi.machinery.room import Listener, Room
from tuanzi.machinery.writer import Schema
from tuanzi.wiring.hearing import all_events, hearings, names_heard


@dataclass(frozen=True, slots=True)
class Vendors:
    """The outside companies, as this process reaches them.

    login: who tells whose WeChat signs in. phones: of a demo, which play WeChat. elsewhere: who reaches a person whose
    page is closed.
    """

    codes: people.CodeSender
    payments: money.PaymentProvider
    login: people.WechatLogin = field(default_factory=people.AbsentLogin)
    phones: people.PlayedPhones | None = None
    elsewhere: Elsewhere | None = None


def rooms_of(
    *,
    keys: people.Keys,
    sender: people.CodeSender,
    provider: money.PaymentProvider,
    is_campus: Callable[[str], bool],
    post: Post,
    campus: str = "",
    books: reconciliation.Books | None = None,
    address: live.Address | None = None,
    campuses: Sequence[str] = (),
    login: people.WechatLogin | None = None,
    phones: people.PlayedPhones | None = None,
    has_shop: people.HasShop | None = None,
) -> list[Room]:
    """Every room of the house, bound to its vendors; `provider` and `post` are those of the campus `campus`.

    books: what that campus's reconciliation compares; without them there is none. address: of the gateway.
    campuses: all of them, for who is erased is forgotten on each. has_shop: for those who serve routes.
    """
    login = login or people.AbsentLogin()
    payers = people.Payers(keys=keys, login=login, phones=phones)
    rooms = [
        catalog.room(is_campus=is_campus),
        pricing.room(find_strangers=people.find_strangers, see_merchant=catalog.merchant_view),
        stock.room(),
        orders.room(),
        groups.room(provider, find_plan=splitting.find_plan, payers=payers),
        guests.room(post, is_campus=is_campus),
        splitting.room(post, campus=campus),
        money.room(provider),
        sharing.room(provider),
        delivery.room(),
        live.room(keys=keys, address=address or live.Address()),
    ]
    personal = sorted({room.database for room in rooms if people.ForgetPerson in room.commands})
    everybody = people.room(
        keys=keys,
        sender=sender,
        login=login,
        is_campus=is_campus,
        quotas=people.Quotas(),
        post=post,
        personal=[f"{campus}.{database}" for campus in campuses for database in personal],
        has_shop=has_shop,
    )
    rooms.insert(0, everybody)
    if books is not None:
        rooms.append(reconciliation.room(books, provider, hears=lambda: names_heard(rooms)))
    return rooms


def schema_of(database: str, rooms: Sequence[Room]) -> Schema:
    """What the writer of a kind of database knows."""
    here = [room for room in rooms if room.database == database]
    hears: dict[type, list[Listener]] = {}
    follows: dict[tuple[str, type], list[Listener]] = {}
    for one in hearings(rooms):
        if one.target == one.source == database:
            hears.setdefault(one.event, []).append(one.listener)
        elif one.target == database:
            follows.setdefault((one.source, one.event), []).append(one.listener)
    commands = [kind for room in here for kind in (*room.commands, *room.errands)]
    if follows:
        commands.append(HearParked)
    return Schema(
        database=database,
        tables=[table for room in here for table in room.tables],
        decides={kind: handler for room in here for kind, handler in room.commands.items()},
        hears=hears,
        follows=follows,
        errands=frozenset(kind for room in here for kind in room.errands),
        codec=Codec(commands=commands, events=all_events()),
        assumed_new={kind: places for room in here for kind, places in room.assumed_new.items()},
        asks={kind: places for room in here for kind, places in room.asks.items()},
        foresees={kind: places for room in here for kind, places in room.foresees.items()},
    )

"""Where needs meet engines and events meet listeners; nowhere else is either chosen."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from tuanzi import (
    catalog,
    delivery,
    events,
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
from tuanzi.base.ids import CampusId, Ids, MerchantId
from tuanzi.engines.database.connections import Address
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.replicas import Replicated
from tuanzi.engines.database.residence import Residence
from tuanzi.engines.database.scribe import Dictated, Scribe
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.engines.database.whereabouts import Whereabouts
from tuanzi.engines.fanout.here import Here
from tuanzi.engines.post.desks import CarrierDesk, DeskPost
from tuanzi.events import Event
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.desk import AHEAD_MIN, WriterDesk
from tuanzi.machinery.follower import Follower
from tuanzi.machinery.http.routes import Desks
from tuanzi.machinery.internal import POSITION_OF_SOURCE
from tuanzi.machinery.migrate import Migratable, migrate
from tuanzi.machinery.post import Post
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push.escalation import Escalator
from tuanzi.machinery.push.gateway import Gateway
from tuanzi.machinery.push.hub import Hub
from tuanzi.machinery.push.keeper import Keeper, Log, Pace
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.ports import Elsewhere, FanOut
from tuanzi.machinery.push.seen import Seen
from tuanzi.machinery.room import ErrandHandler, Listener, Room
from tuanzi.machinery.stopwatch import shared
from tuanzi.machinery.unhurried import Unhurried
from tuanzi.machinery.writer import Schema, Writer
from tuanzi.settings import Settings

# The desk at an address as a campus writes it (`Letter.address`), wherever it is.
FindDesk = Callable[[str], CarrierDesk | None]
V = TypeVar("V")

# Who hears what: (the listener's database, the listener). In the emitter's own database a listener runs in the
# same commit; in another one it hears through the event log, in order and once in effect.
HEARD: dict[type[Event], tuple[tuple[str, Listener], ...]] = {
    events.GroupFormed: (("core", guests.on_group_moved),),
    events.TierReached: (("core", guests.on_group_moved),),
    events.GroupClosed: (("core", splitting.on_group_closed), ("core", guests.on_group_moved)),
    events.GroupFailed: (("core", guests.on_group_moved),),
    events.GuestPaid: (("core", guests.on_guest_paid),),
    events.GuestLeaving: (("core", guests.on_guest_leaving),),
    events.PaymentCaptured: (("core", groups.on_payment_captured),),
    events.OrderCompleted: (("money", sharing.on_order_completed),),
    events.RefundDue: (("money", sharing.on_refund_due),),
    events.RefundRefused: (("money", sharing.on_refund_refused),),
    events.RefundSettled: (("core", orders.on_refund_settled), ("money", sharing.on_refund_settled)),
    events.OrderDoubted: (("core", orders.on_order_doubted),),
    events.DifferenceRepaired: (("core", orders.on_difference_repaired),),
    events.SubOrderAdvanced: (("delivery", delivery.on_sub_order_advanced),),
    events.OrderCancelled: (("core", groups.on_order_cancelled),),
    events.BundlePickedUp: (("core", orders.on_bundle_picked_up),),
    events.ParcelDelivered: (("core", orders.on_parcel_delivered), ("money", sharing.on_parcel_delivered)),
}

# Told for those who read the log from outside: the doorkeeper's and status board's caches, pages, auditors, operators.
FOR_OUTSIDE_READERS: frozenset[type[Event]] = frozenset(
    {
        events.PersonJoined,
        events.PersonErased,
        events.RolesChanged,
        events.SessionEnded,
        events.CatalogChanged,
        events.CampaignChanged,
        events.DishSoldOut,
        events.RuleBookSwitched,
        events.CouponsGranted,
        events.GroupOpened,
        events.SeatHeld,
        events.SeatPaid,
        events.SeatReleased,
        events.LeaderChanged,
        events.LateMoneySettled,
        events.SplitPlanned,
        events.SplitConfirmed,
        events.SplitCancelled,
        events.OrderPlaced,
        events.OrderPaid,
        events.OrderAdvanced,
        events.OrderRefunded,
        events.DifferenceFound,
        events.DifferenceRaised,
        events.BillsUnusable,
        events.PromiseMade,
        events.PromiseMoved,
        events.BundleAssigned,
        events.BundleReleased,
        events.ParcelDropped,
        events.BundleDelivered,
        events.RiderCameOn,
        events.RiderWentOff,
    }
)

# Of a campus, each with a writer of its own; "platform" is shared by all campuses.
CAMPUS_DATABASES = ("core", "money", "delivery", "notices")
# On a server a commit costs it, its replica and this process much, however little it keeps; so where hardly anybody
# waits, none begins so soon after another. Measured once at full load, `order_path_cluster`, with deciding ahead only
# full batches: 2,240 -> 1,870 us of processor a chain, 800 -> 940 chains/s, latency at half load the same.
SERVED_PACE_S = {"delivery": 0.1, "notices": 0.1}
# Whose events are told live; see `live.TELLS` for which becomes what for whom.
TOLD_LIVE = ("core", "money", "delivery")
# (the target, its source)
FOLLOWS = (
    ("core", "money"),
    ("money", "core"),
    ("core", "delivery"),
    ("delivery", "core"),
    ("money", "delivery"),
)


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
        catalog.room(),
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
        rooms.append(reconciliation.room(books, provider, hears=names_heard(rooms)))
    return rooms


def schema_of(database: str, rooms: Sequence[Room]) -> Schema:
    """What the writer of a kind of database knows."""
    here = [room for room in rooms if room.database == database]
    home = _homes(rooms)
    hears: dict[type, list[Listener]] = {}
    follows: dict[tuple[str, type], list[Listener]] = {}
    for event, listeners in HEARD.items():
        emitter = home[event.name.partition(".")[0]]
        for where, listener in listeners:
            if where != database:
                continue
            if emitter == database:
                hears.setdefault(event, []).append(listener)
            else:
                follows.setdefault((emitter, event), []).append(listener)
    commands = [kind for room in here for kind in (*room.commands, *room.errands)]
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


def _homes(rooms: Sequence[Room]) -> dict[str, str]:
    """The database of each room; the reconciliation's too where nothing is compared and it is not among the rooms."""
    return {"reconciliation": "money"} | {room.name: room.database for room in rooms}


def names_heard(rooms: Sequence[Room]) -> dict[tuple[str, str], frozenset[str]]:
    """By (target, source): the names of the events of one database that another one hears."""
    home = _homes(rooms)
    heard: dict[tuple[str, str], set[str]] = {}
    for event, listeners in HEARD.items():
        for target, _ in listeners:
            heard.setdefault((target, home[event.name.partition(".")[0]]), set()).add(event.name)
    return {pair: frozenset(names) for pair, names in heard.items()}


def all_events() -> list[type[Event]]:
    """Every event that can happen."""
    return [
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    ]


def follower_of(target: str, source: str, *, schema: Schema, position: int) -> Follower:
    """What carries the events of `source` to the database `target`, whose schema is given."""
    heard = [event for emitter, event in schema.follows if emitter == source]
    return Follower(source, heard=heard, codec=schema.codec, position=position)


def position_of(database: Any, source: str) -> int:
    """The last event of `source` whose effect `database` keeps."""
    rows = database.rows(POSITION_OF_SOURCE, {"source": source})
    return int(rows[0][0]) if rows else 0


def place_of(database: Any) -> str:
    """Behind all that this process has committed there, where a replica may not have it yet; else ""."""
    return database.primary.gtid if isinstance(database, Replicated) else ""


def open_database(path: Path | None, kind: str, *, now: datetime) -> Sqlite:
    """A database of this release at `path`, made when it is not there; in memory for None."""
    if path is None:
        return _new_in_memory(kind, now).copy()
    path.parent.mkdir(parents=True, exist_ok=True)
    database = Sqlite(path)
    migrate(database, ("every", kind), now=now)
    return database


@lru_cache(maxsize=16)
def _new_in_memory(kind: str, now: datetime) -> Sqlite:
    """What simulations begin with, a thousand times over."""
    database = Sqlite(None)
    migrate(database, ("every", kind), now=now)
    return database


def open_where_set(
    settings: Settings,
    name: str,
    kind: str,
    *,
    now: datetime | None,
    takes_over: bool = False,
    scribe: Scribe | None = None,
) -> Migratable:
    """The database `platform` or e.g. `beijing.core` where the settings say: a file, or a schema of their server.

    now: when it is brought to this release; None for one that another process keeps, which may not be there yet.
    takes_over: whether whoever wrote there is ended first. scribe: who writes into files; None for this process itself.
    """
    database: Migratable
    server = settings.server_of(name)
    if server is None:
        path = settings.data / f"{name.replace('.', '/')}.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        database = Sqlite(path) if scribe is None else Dictated(path, scribe)
    else:
        address = schema_on(server, name)
        database = Replicated(address) if address.others else MariaDb(address)
    if takes_over:
        database.take_over()
    if now is not None:
        migrate(database, ("every", kind), now=now)
    return database


def schema_on(server: Address, name: str) -> Address:
    """Where the database `platform` or e.g. `beijing.core` is on a server."""
    return replace(server, schema=f"{server.schema}_{name.replace('.', '_')}")


def campus_on(server: Address, campus: str) -> dict[str, Address]:
    """Where the databases of a campus are on a server, by kind."""
    return {kind: schema_on(server, f"{campus}.{kind}") for kind in CAMPUS_DATABASES}


class CampusBooks:
    """The books of a campus, as its reconciliation finds them when it looks: in no hurry. find: the campus's desks."""

    def __init__(self, find: Callable[[], Mapping[str, WriterDesk]]) -> None:
        self._find = find

    @property
    def core(self) -> Unhurried:
        """The desk of orders and stock."""
        return Unhurried(self._find()["core"])

    @property
    def money(self) -> Unhurried:
        """The desk of the ledger."""
        return Unhurried(self._find()["money"])


@dataclass(slots=True)
class CampusDesks:
    """What a request for one campus may reach."""

    core: WriterDesk
    money: WriterDesk
    delivery: WriterDesk
    notices: WriterDesk
    platform: WriterDesk


def wall_clock() -> datetime:
    """Now; read at the edge only."""
    return datetime.now(UTC)


async def _has_shop(campuses: Callable[[], Mapping[str, Desks]], campus_id: CampusId, merchant_id: MerchantId) -> bool:
    desks = campuses().get(campus_id)
    return desks is not None and await catalog.has_merchant(desks.core, merchant_id)


class Workshop:
    """What this process makes desks and rooms with, whichever part of the house it is."""

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        *,
        clock: Callable[[], datetime] = wall_clock,
        ids: Ids | None = None,
        scribe: Scribe | None = None,
    ) -> None:
        """scribe: who writes into SQLite's files; None for this process itself."""
        self.settings = settings
        self.scribe = scribe
        self.clock = clock
        self.ids = ids or Ids(secrets.randbits)
        self.keys = people.Keys(settings.secret)
        self.address = live.Address(url=settings.live_url)
        self.payments = vendors.payments
        self.elsewhere = vendors.elsewhere
        self.watch = shared(settings.decide_ms_max / 1000)
        self._codes = vendors.codes
        self._login, self._phones = vendors.login, vendors.phones

    def rooms_for(
        self,
        campus: str,
        find: FindDesk,
        books: reconciliation.Books | None,
        *,
        has_shop: people.HasShop | None = None,
    ) -> list[Room]:
        """The rooms of a campus: their errands go to a payment company that reports to it, and by its post.

        campus: "" for those whose routes serve every campus. find: the desk at an address (`Letter.address`).
        """
        return rooms_of(
            keys=self.keys,
            sender=self._codes,
            provider=self.payments.at(campus) if campus else self.payments,
            is_campus=lambda name: name in self.settings.campuses,
            post=DeskPost(find),
            campus=campus,
            books=books,
            address=self.address,
            campuses=self.settings.campuses,
            login=self._login,
            phones=self._phones,
            has_shop=has_shop,
        )

    def rooms_without_campus(
        self, find: FindDesk, *, campuses: Callable[[], Mapping[str, Desks]] | None = None
    ) -> list[Room]:
        """The rooms whose routes are served: they work with the desks of whichever campus is asked for.

        campuses: their desks, for those who do serve.
        """
        has_shop = None if campuses is None else partial(_has_shop, campuses)
        return self.rooms_for("", find, CampusBooks(lambda: {}), has_shop=has_shop)

    def open(self, kind: str, name: str, *, takes_over: bool = False, settings: Settings | None = None) -> Migratable:
        """A database of this installation, made when it is not there. name: "platform", or a campus and the kind.

        settings: those in force inside of `residing`.
        """
        return open_where_set(
            settings or self.settings, name, kind, now=self.clock(), takes_over=takes_over, scribe=self.scribe
        )

    def open_for_reading(self, kind: str, name: str) -> Whereabouts:
        """A database that a writer elsewhere keeps; it may not be there yet, and then cannot be asked, and may move."""
        settings = self.settings
        return Whereabouts(lambda: settings.server_of(name), lambda: open_where_set(settings, name, kind, now=None))

    def open_campus(self, campus: str) -> dict[str, Migratable]:
        """The databases of a campus, by kind. Raises Elsewhere when others are in charge of it."""
        with self.residing(campus) as settings:
            return {kind: self.open(kind, f"{campus}.{kind}", settings=settings) for kind in CAMPUS_DATABASES}

    @contextmanager
    def residing(self, campus: str) -> Iterator[Settings]:
        """Open the databases of a campus inside of this, by the settings that it gives: where they are in charge of it.

        Raises Elsewhere when others are, and DatabaseUnavailable. Blocks.
        """
        settings = self.settings.settled
        server = settings.server_of(campus)
        if settings.database is None or server is None:
            yield settings
            return
        platform = schema_on(settings.database, "platform")
        residence = Residence(campus, platform=platform, databases=campus_on(server, campus))
        residence.check()
        yield settings
        residence.register(fresh=secrets.token_hex(16))

    def desk(
        self,
        kind: str,
        name: str,
        rooms: Sequence[Room],
        database: Migratable,
        *,
        errands: Mapping[type, ErrandHandler] | None = None,
    ) -> WriterDesk:
        """The desk and the writer of an open database. errands: who does which, instead of the rooms themselves."""
        settings = self.settings
        position, number = database.cursor()
        writer = Writer(
            schema_of(kind, rooms),
            position=position,
            event_number=number,
            places_max=settings.places_max,
            stopwatch=self.watch,
        )
        of_rooms: dict[type, ErrandHandler] = {
            errand: handler for room in rooms if room.database == kind for errand, handler in room.errands.items()
        }
        is_served = isinstance(database, (MariaDb, Replicated))
        return WriterDesk(
            name,
            writer,
            database,
            clock=self.clock,
            errands={kind: (errands or {}).get(kind, handler) for kind, handler in of_rooms.items()},
            openings=[opening for room in rooms if room.database == kind for opening in room.openings],
            batch_max=settings.batch_max,
            queue_max=settings.queue_max,
            wait_s_max=settings.wait_ms_max / 1000,
            ahead_min=settings.batch_max if is_served else AHEAD_MIN,
            pace_s=SERVED_PACE_S.get(kind, 0.0) if is_served else 0.0,
        )


class WriterLine(Struct, frozen=True, kw_only=True, gc=False):
    """How one database's writer keeps up.

    waiting: commands in its queue. wait_ms: about how long a new one waits, by the mean batch so far. batch_ms_max: the
    longest batch. turned_away: commands refused because too many waited. lag_events: of other databases, not heard yet.
    """

    database: str
    is_open: bool
    waiting: int
    wait_ms: int
    batch_ms: int
    batch_ms_max: int
    commands: int
    turned_away: int
    timers: int
    lag_events: int


class LocalCampus:
    """The writers of one campus, all in this process."""

    def __init__(
        self,
        campus: str,
        shop: Workshop,
        databases: Mapping[str, Migratable],
        *,
        platform: Any,
        find: FindDesk,
        errands: Callable[[Sequence[Room]], Mapping[type, ErrandHandler]] | None = None,
    ) -> None:
        """databases: open, by kind. platform: its desk, here or elsewhere. find: desks of other campuses.

        errands: who does which errands of the rooms, where it is not the rooms themselves.
        """
        self.campus = campus
        self.rooms = shop.rooms_for(campus, self._find_or(find), CampusBooks(lambda: self.writers))
        others = {} if errands is None else errands(self.rooms)
        self.writers = {
            kind: shop.desk(kind, f"{campus}.{kind}", self.rooms, databases[kind], errands=others)
            for kind in CAMPUS_DATABASES
        }
        for target, source in FOLLOWS:
            schema = schema_of(target, self.rooms)
            position = position_of(self.writers[target].database, source)
            follower = follower_of(target, source, schema=schema, position=position)
            self.writers[target].follow(self.writers[source], follower)
        self.desks = CampusDesks(**self.writers, platform=platform)
        self.watch = reconciliation.Watch(campus, self.writers["money"])
        self.writers["money"].subscribe(self.watch.on_events)

    def lines(self, *, batch_max: int) -> list[WriterLine]:
        """How each writer keeps up."""
        return [_writer_line(kind, desk, batch_max=batch_max) for kind, desk in self.writers.items()]

    def _find_or(self, find: FindDesk) -> FindDesk:
        def find_here(address: str) -> CarrierDesk | None:
            elsewhere, _, kind = address.rpartition(".")
            return self.writers.get(kind) if elsewhere in ("", self.campus) else find(address)

        return find_here


def _writer_line(database: str, desk: WriterDesk, *, batch_max: int) -> WriterLine:
    figures = desk.figures
    batch_ms = 1000 * figures.busy_s / figures.batches if figures.batches else 0.0
    batches_before = -(-desk.queue_length // batch_max)
    return WriterLine(
        database=database,
        is_open=desk.is_open,
        waiting=desk.queue_length,
        wait_ms=round(batches_before * batch_ms),
        batch_ms=round(batch_ms),
        batch_ms_max=round(1000 * figures.batch_s_max),
        commands=figures.commands,
        turned_away=figures.turned_away,
        timers=desk.timers_held,
        lag_events=sum(desk.lags.values()),
    )


class House(Workshop):
    """All desks of one process: with SQLite files under the data folder (D3), or on a database server (E1)."""

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        *,
        clock: Callable[[], datetime] = wall_clock,
        ids: Ids | None = None,
        scribe: Scribe | None = None,
    ) -> None:
        super().__init__(settings, vendors, clock=clock, ids=ids, scribe=scribe)
        # Their routes serve every campus; what a campus's own desks do is done by rooms of its own.
        self.campuses: dict[str, CampusDesks] = {}
        self.rooms = self.rooms_without_campus(self._find_desk, campuses=lambda: self.campuses)
        self.platform = self.desk("platform", "platform", self.rooms, self.open("platform", "platform"))
        self.locals = [
            LocalCampus(campus, self, self.open_campus(campus), platform=self.platform, find=self._find_desk)
            for campus in settings.campuses
        ]
        self.campuses = {each.campus: each.desks for each in self.locals}
        self.campus_rooms = {each.campus: each.rooms for each in self.locals}
        self.watches = [each.watch for each in self.locals]
        self.doorkeeper = people.Doorkeeper(self.platform)
        self.live = LiveSide(self)
        self.platform.subscribe(self._tell_doorkeeper)

    def _find_desk(self, address: str) -> WriterDesk | None:
        """The desk of a campus, by its full address."""
        campus, _, kind = address.rpartition(".")
        desks = self.campuses.get(campus)
        return None if desks is None or kind not in CAMPUS_DATABASES else getattr(desks, kind)

    def _tell_doorkeeper(self, numbered: Sequence[tuple[int, Any]]) -> None:
        for _, event in numbered:
            self.doorkeeper.on_event(event)
            self.live.on_event(event)

    def writer_lines(self, campus: str) -> list[WriterLine]:
        """How the writers of a campus keep up."""
        (here,) = [each for each in self.locals if each.campus == campus]
        return here.lines(batch_max=self.settings.batch_max)

    @property
    def closed(self) -> list[str]:
        """The desks that do not take commands yet, or no more."""
        return sorted(desk.name for desk in self.desks if not desk.is_open)

    @property
    def desks(self) -> list[WriterDesk]:
        """Every desk of the house."""
        return [self.platform, *(desk for each in self.locals for desk in each.writers.values())]

    def desks_of(self, campus: str | None) -> CampusDesks | None:
        """The desks of a campus; for None some whose `platform` may be used; None for an unknown one."""
        return next(iter(self.campuses.values())) if campus is None else self.campuses.get(campus)

    async def run(self) -> None:
        """Work until `close`. Raises Fenced when another process writes to the same data."""
        self.watch.arm()
        try:
            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(desk.run()) for desk in self.desks]
                beside = tasks.create_task(self._run_live())
                await asyncio.wait(working)
                beside.cancel()
        finally:
            self.watch.disarm()
            for desk in self.desks:
                desk.database.close()

    async def _run_live(self) -> None:
        for desk in self.desks:
            await desk.opened.wait()
        await self.live.run()

    async def opened(self) -> None:
        """Wait until every desk takes commands and the newest sessions are known."""
        for desk in self.desks:
            await desk.opened.wait()
        await self.doorkeeper.warm_up(self.clock())
        for desks in self.campuses.values():
            await _surely(desks.money, partial(desks.money.submit, reconciliation.Begin(), is_accepted=True))

    def close(self) -> None:
        """Stop when what was accepted is done."""
        for desk in self.desks:
            desk.close()


async def _surely(desk: WriterDesk, keep: Callable[[], Awaitable[V]]) -> V:
    """What `keep` gives; as long as nothing can be kept, such as on a full disk, it is tried again and again.

    Raises Unavailable when the desk is closed.
    """
    while True:
        try:
            return await keep()
        except Unavailable:
            if not desk.is_open:
                raise
            await asyncio.sleep(1.0)


class Telling:
    """What tells the people of one campus what happened: who keeps its streams, beside the campus's writers."""

    def __init__(
        self, shop: Workshop, campus: str, desks: CampusDesks, fan_out: FanOut, *, has_gateway: bool = False
    ) -> None:
        """has_gateway: of this process, and there is no other."""
        self.archive = live.StreamArchive(desks.notices, has_all_readers=has_gateway)
        self.teller = live.LiveTeller(desks.notices)
        self.escalator = Escalator(
            campus,
            book=live.Escalations(desks.notices),
            elsewhere=shop.elsewhere,
            prefix=live.PERSONS_STREAM,
            after_s=shop.settings.live_escalate_s,
            clock=time.monotonic,
            now=shop.clock,
        )
        self._ids = shop.ids
        self.keeper = Keeper(
            campus,
            [_log_of(desks, source) for source in TOLD_LIVE],
            teller=self.teller,
            archive=self.archive,
            fan_out=fan_out,
            seen=Seen(clock=time.monotonic),
            now=shop.clock,
            pace=Pace(every_s=shop.settings.live_gather_ms / 1000, patient_s=shop.settings.live_patient_ms / 1000),
            escalator=self.escalator,
        )

    @property
    def arrival(self) -> live.Arrival:
        """What became of the messages."""
        figures = self.escalator.figures
        return live.Arrival(
            kept=self.keeper.figures.messages,
            arrived=figures.arrived,
            escalated=figures.escalated,
            late=figures.late,
            waiting=figures.waiting,
        )

    async def begin(self) -> str:
        """The name of the streams' history; it begins now when there is none."""
        return await self.archive.begin(fresh=self._ids.token()[:12], positions=self.keeper.positions)


class LiveSide:
    """What tells people what happened: for each campus one who keeps its streams, and the gateway of this process."""

    def __init__(self, house: House) -> None:
        self._campuses = house.campuses
        self.fan_out = Here()
        self.limits = PushLimits()
        self.tellings = {
            id: Telling(house, id, desks, self.fan_out, has_gateway=True) for id, desks in house.campuses.items()
        }
        self.archives = {id: each.archive for id, each in self.tellings.items()}
        self.tellers = {id: each.teller for id, each in self.tellings.items()}
        self.keepers = {id: each.keeper for id, each in self.tellings.items()}
        self.gates = GateSide(
            house,
            house.platform,
            house.campuses,
            archives=self.archives,
            fan_out=self.fan_out,
            limits=self.limits,
            overview=self.overview,
        )
        self.hubs, self.gateway, self.on_event = self.gates.hubs, self.gates.gateway, self.gates.on_event
        for id, hub in self.hubs.items():
            self.tellings[id].escalator.acked_here = hub.acked

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            for id, hub in self.hubs.items():
                hub.epoch = await _surely(self._campuses[id].notices, self.tellings[id].begin)
        except Unavailable:
            return  # closed before anything was told
        async with asyncio.TaskGroup() as tasks:
            for keeper in self.keepers.values():
                tasks.create_task(keeper.run())
            tasks.create_task(self.gateway.run())

    def overview(self, campus_id: str) -> live.OpsPicture:
        """What a campus's operators see."""
        tally = self.tellers[campus_id].tally
        return self.gates.overview(campus_id, tally, self.tellings[campus_id].arrival)


class GateSide:
    """The gateway of a process: who comes in, and the hubs that hand out what was kept, wherever it was kept."""

    def __init__(
        self,
        shop: Workshop,
        platform: Any,
        campuses: Mapping[str, Any],
        *,
        archives: Mapping[str, live.StreamArchive],
        fan_out: FanOut,
        limits: PushLimits,
        overview: Callable[[str], live.OpsPicture],
    ) -> None:
        gate = live.Gatekeeper(platform, campuses, keys=shop.keys, now=shop.clock, overview=overview)
        self.hubs = {
            id: Hub(id, archive=archive, gate=gate, limits=limits, clock=time.monotonic)
            for id, archive in archives.items()
        }
        name = shop.ids.token()[:8]
        self.gateway = Gateway(self.hubs, gate, name=name, limits=limits, clock=time.monotonic, now=shop.clock)
        for id, hub in self.hubs.items():
            fan_out.join(id, hub)

    def on_event(self, event: object) -> None:
        """Hear an event of the database `platform`: who signed out, was erased or has other rights is let go."""
        match event:
            case events.SessionEnded():
                self.gateway.end_session(event.session_id, event.person_id)
            case events.RolesChanged():
                self.gateway.end_person(event.person_id, is_coming_back=True)
            case events.PersonErased():
                self.gateway.end_person(event.person_id, is_coming_back=False)
            case _:
                pass

    def overview(self, campus_id: str, tally: Mapping[str, Any], arrival: live.Arrival) -> live.OpsPicture:
        """What a campus's operators see of this gateway, beside what was told."""
        hub = self.hubs[campus_id]
        return live.OpsPicture(
            **tally,
            messages_kept=arrival.kept,
            messages_arrived=arrival.arrived,
            messages_escalated=arrival.escalated,
            messages_late=arrival.late,
            messages_waiting=arrival.waiting,
            messages_sent=hub.figures.sent,
            messages_acked=hub.figures.acked,
            people_connected=len(hub.clients),
        )


def _log_of(desks: CampusDesks, source: str) -> Log:
    """The log of one database, from where it was told last; where nothing was told yet, from now on."""
    position = live.find_log_position(desks.notices.database, source)
    if position is None:
        position = getattr(desks, source).event_number
    return Log(getattr(desks, source), follower_of_log(source, position=position))


def follower_of_log(source: str, *, position: int) -> Follower:
    """What carries the events that are told live from the log of `source`."""
    codec = Codec(commands=(), events=all_events())
    return Follower(source, heard=list(live.TELLS), codec=codec, position=position)

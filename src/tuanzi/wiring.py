"""Where needs meet engines and events meet listeners; nowhere else is either chosen."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from tuanzi.base.ids import Ids
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.engines.fanout.here import Here
from tuanzi.engines.post.desks import DeskPost
from tuanzi.events import Event
from tuanzi.machinery.codec import Codec
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.follower import Follower
from tuanzi.machinery.internal import POSITION_OF_SOURCE
from tuanzi.machinery.migrate import Migratable, migrate
from tuanzi.machinery.post import Post
from tuanzi.machinery.push.gateway import Gateway
from tuanzi.machinery.push.hub import Hub
from tuanzi.machinery.push.keeper import Keeper, Log
from tuanzi.machinery.push.limits import PushLimits
from tuanzi.machinery.push.seen import Seen
from tuanzi.machinery.room import Listener, Room
from tuanzi.machinery.stopwatch import shared
from tuanzi.machinery.writer import Schema, Writer
from tuanzi.settings import Settings

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
        events.DifferenceRepaired,
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
    """The outside companies, as this process reaches them."""

    codes: people.CodeSender
    payments: money.PaymentProvider


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
) -> list[Room]:
    """Every room of the house, bound to its vendors; `provider` and `post` are those of the campus `campus`.

    books: what that campus's reconciliation compares; without them there is none. address: of the gateway.
    """
    rooms = [
        people.room(keys=keys, sender=sender, is_campus=is_campus, quotas=people.Quotas()),
        catalog.room(),
        pricing.room(),
        stock.room(),
        orders.room(),
        groups.room(provider, find_plan=splitting.find_plan),
        guests.room(post, is_campus=is_campus),
        splitting.room(post, campus=campus),
        money.room(provider),
        sharing.room(provider),
        delivery.room(),
        live.room(keys=keys, address=address or live.Address()),
    ]
    if books is not None:
        rooms.append(reconciliation.room(books, provider, hears=names_heard(rooms)))
    return rooms


def schema_of(database: str, rooms: Sequence[Room]) -> Schema:
    """What the writer of a kind of database knows."""
    here = [room for room in rooms if room.database == database]
    home = {room.name: room.database for room in rooms}
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
        foresees={kind: places for room in here for kind, places in room.foresees.items()},
    )


def names_heard(rooms: Sequence[Room]) -> dict[tuple[str, str], frozenset[str]]:
    """By (target, source): the names of the events of one database that another one hears."""
    home = {room.name: room.database for room in rooms}
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


def open_database(path: Path | None, kind: str, *, now: datetime) -> Sqlite:
    """A database of this release at `path`, made when it is not there; in memory for None."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    database = Sqlite(path)
    migrate(database, ("every", kind), now=now)
    return database


def open_where_set(settings: Settings, name: str, kind: str, *, now: datetime) -> Migratable:
    """The database `platform` or e.g. `beijing.core` where the settings say: a file, or a schema of their server."""
    if settings.database is None:
        return open_database(settings.data / f"{name.replace('.', '/')}.db", kind, now=now)
    prefix = settings.database.schema
    database = MariaDb(replace(settings.database, schema=f"{prefix}_{name.replace('.', '_')}"))
    migrate(database, ("every", kind), now=now)
    return database


class CampusBooks:
    """The books of a campus, as its reconciliation finds them when it looks. find: the campus's desks."""

    def __init__(self, find: Callable[[], Mapping[str, WriterDesk]]) -> None:
        self._find = find

    @property
    def core(self) -> WriterDesk:
        """The desk of orders and stock."""
        return self._find()["core"]

    @property
    def money(self) -> WriterDesk:
        """The desk of the ledger."""
        return self._find()["money"]


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


class House:
    """All desks of one process: with SQLite files under the data folder (D3), or on a database server (E1)."""

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        *,
        clock: Callable[[], datetime] = wall_clock,
        ids: Ids | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.ids = ids or Ids(secrets.randbits)
        self.keys = people.Keys(settings.secret)
        self.address = live.Address(url=settings.live_url)
        self.campuses: dict[str, CampusDesks] = {}
        self.campus_rooms: dict[str, list[Room]] = {}
        self._databases: list[Migratable] = []
        self.payments = vendors.payments
        self._watch = shared(settings.decide_ms_max / 1000)
        self._codes = vendors.codes
        # Their routes serve every campus; what a campus's own desks do is done by rooms of its own.
        self.rooms = self._rooms("")
        self.watches: list[reconciliation.Watch] = []
        self.platform = self._desk("platform", "platform", self.rooms)
        for campus in settings.campuses:
            rooms = self.campus_rooms[campus] = self._rooms(campus)
            desks = {kind: self._desk(kind, f"{campus}.{kind}", rooms) for kind in CAMPUS_DATABASES}
            for target, source in FOLLOWS:
                schema = schema_of(target, rooms)
                position = position_of(desks[target].database, source)
                desks[target].follow(desks[source], follower_of(target, source, schema=schema, position=position))
            self.campuses[campus] = CampusDesks(**desks, platform=self.platform)
            self.watches.append(reconciliation.Watch(campus, desks["money"]))
            desks["money"].subscribe(self.watches[-1].on_events)
        self.doorkeeper = people.Doorkeeper(self.platform)
        self.live = LiveSide(self)
        self.platform.subscribe(self._tell_doorkeeper)

    def _rooms(self, campus: str) -> list[Room]:
        """The rooms of a campus: their errands go to a payment company that reports to it, and by its post."""
        return rooms_of(
            keys=self.keys,
            sender=self._codes,
            provider=self.payments.at(campus) if campus else self.payments,
            is_campus=lambda name: name in self.settings.campuses,
            post=DeskPost(lambda address: self._find_desk(campus, address)),
            campus=campus,
            books=CampusBooks(lambda: {"core": self.campuses[campus].core, "money": self.campuses[campus].money}),
            address=self.address,
        )

    def _find_desk(self, campus: str, address: str) -> WriterDesk | None:
        """The desk at an address as this campus writes it (`Letter.address`)."""
        elsewhere, _, kind = address.rpartition(".")
        desks = self.campuses.get(elsewhere or campus)
        return None if desks is None or kind not in CAMPUS_DATABASES else getattr(desks, kind)

    def _desk(self, kind: str, name: str, rooms: Sequence[Room]) -> WriterDesk:
        settings = self.settings
        database = open_where_set(settings, name, kind, now=self.clock())
        self._databases.append(database)
        position, number = database.cursor()
        writer = Writer(
            schema_of(kind, rooms),
            position=position,
            event_number=number,
            places_max=settings.places_max,
            stopwatch=self._watch,
        )
        errands: dict[type, Any] = {
            errand: handler for room in rooms if room.database == kind for errand, handler in room.errands.items()
        }
        return WriterDesk(
            name,
            writer,
            database,
            clock=self.clock,
            errands=errands,
            openings=[opening for room in rooms if room.database == kind for opening in room.openings],
            batch_max=settings.batch_max,
            queue_max=settings.queue_max,
            wait_s_max=settings.wait_ms_max / 1000,
        )

    def _tell_doorkeeper(self, numbered: Sequence[tuple[int, Any]]) -> None:
        for _, event in numbered:
            self.doorkeeper.on_event(event)
            self.live.on_event(event)

    @property
    def desks(self) -> list[WriterDesk]:
        """Every desk of the house."""
        campuses = self.campuses.values()
        return [self.platform, *(getattr(campus, kind) for campus in campuses for kind in CAMPUS_DATABASES)]

    def desks_of(self, campus: str | None) -> CampusDesks | None:
        """The desks of a campus; for None some whose `platform` may be used; None for an unknown one."""
        return next(iter(self.campuses.values())) if campus is None else self.campuses.get(campus)

    async def run(self) -> None:
        """Work until `close`. Raises Fenced when another process writes to the same data."""
        self._watch.arm()
        try:
            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(desk.run()) for desk in self.desks]
                beside = tasks.create_task(self._run_live())
                await asyncio.wait(working)
                beside.cancel()
        finally:
            self._watch.disarm()
            for database in self._databases:
                database.close()

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
            await desks.money.submit(reconciliation.Begin(), is_accepted=True)

    def close(self) -> None:
        """Stop when what was accepted is done."""
        for desk in self.desks:
            desk.close()


class LiveSide:
    """What tells people what happened: for each campus one who keeps its streams, and the gateway of this process."""

    def __init__(self, house: House) -> None:
        self.fan_out = Here()
        self._ids = house.ids
        self.limits = PushLimits()
        self.archives = {id: live.StreamArchive(desks.notices) for id, desks in house.campuses.items()}
        self.tellers = {id: live.LiveTeller(desks.notices) for id, desks in house.campuses.items()}
        gate = live.Gatekeeper(house.platform, house.campuses, keys=house.keys, now=house.clock, overview=self.overview)
        self.hubs = {
            id: Hub(id, archive=archive, gate=gate, limits=self.limits, clock=time.monotonic)
            for id, archive in self.archives.items()
        }
        self.keepers = {
            id: Keeper(
                id,
                [_log_of(desks, source) for source in TOLD_LIVE],
                teller=self.tellers[id],
                archive=self.archives[id],
                fan_out=self.fan_out,
                seen=Seen(clock=time.monotonic),
                now=house.clock,
            )
            for id, desks in house.campuses.items()
        }
        name = house.ids.token()[:8]
        self.gateway = Gateway(self.hubs, gate, name=name, limits=self.limits, clock=time.monotonic, now=house.clock)
        for id, hub in self.hubs.items():
            self.fan_out.join(id, hub)

    async def run(self) -> None:
        """Work until cancelled."""
        for id, hub in self.hubs.items():
            positions = self.keepers[id].positions
            hub.epoch = await self.archives[id].begin(fresh=self._ids.token()[:12], positions=positions)
        async with asyncio.TaskGroup() as tasks:
            for keeper in self.keepers.values():
                tasks.create_task(keeper.run())
            tasks.create_task(self.gateway.run())

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

    def overview(self, campus_id: str) -> live.OpsPicture:
        """What a campus's operators see."""
        hub, tally = self.hubs[campus_id], self.tellers[campus_id].tally
        return live.OpsPicture(
            **tally,
            messages_kept=self.keepers[campus_id].figures.messages,
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

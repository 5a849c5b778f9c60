"""What a process makes desks and rooms with, whichever part of the house it is."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from tuanzi import catalog, live, people, reconciliation
from tuanzi.base.ids import CampusId, Ids, MerchantId
from tuanzi.engines.database.mariadb import MariaDb
from tuanzi.engines.database.replicas import Replicated
from tuanzi.engines.database.residence import Residence
from tuanzi.engines.database.scribe import Scribe
from tuanzi.engines.database.whereabouts import Whereabouts
from tuanzi.engines.post.desks import DeskPost
from tuanzi.machinery.desk import AHEAD_MIN, WriterDesk
from tuanzi.machinery.http.routes import Desks
from tuanzi.machinery.migrate import Migratable
from tuanzi.machinery.room import ErrandHandler, Room
from tuanzi.machinery.stopwatch import shared
from tuanzi.machinery.writer import Writer
from tuanzi.settings import Settings, SettingWrong
from tuanzi.wiring.databases import CAMPUS_DATABASES, SERVED_PACE_S, campus_on, check_files, open_where_set, schema_on
from tuanzi.wiring.desks import CampusBooks, FindDesk
from tuanzi.wiring.rooms import Vendors, rooms_of, schema_of

PLATFORM = "platform"
ANOTHER_SECRET = "the people here are kept under another; nobody would be known by this one"


def wall_clock() -> datetime:
    """Now; read at the edge only."""
    return datetime.now(UTC)


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
        """scribe: who writes into SQLite's files; None for this process itself. Raises DatabaseUnavailable when one of
        those is gone."""
        if settings.database is None:
            check_files(settings.data, settings.campuses)
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

        settings: those in force inside of `residing`. Raises SettingWrong when the platform's people are kept under
        another secret: nobody would be known, and whoever comes would be somebody new.
        """
        database = open_where_set(
            settings or self.settings, name, kind, now=self.clock(), takes_over=takes_over, scribe=self.scribe
        )
        if name == PLATFORM and people.are_sealed_otherwise(database.rows, keys=self.keys):
            database.close()
            raise SettingWrong(f"TUANZI_SECRET or its file: {ANOTHER_SECRET}")
        return database

    def open_for_reading(self, kind: str, name: str) -> Whereabouts:
        """A database that a writer elsewhere keeps; it may not be there yet, and then cannot be asked, and may move."""
        settings = self.settings
        return Whereabouts(lambda: settings.server_of(name), lambda: open_where_set(settings, name, kind, now=None))

    def open_campus(self, campus: str, *, takes_over: bool = False) -> dict[str, Migratable]:
        """The databases of a campus, by kind. Raises Elsewhere when others are in charge of it."""
        with self.residing(campus) as settings:
            return {
                kind: self.open(kind, f"{campus}.{kind}", takes_over=takes_over, settings=settings)
                for kind in CAMPUS_DATABASES
            }

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


async def _has_shop(campuses: Callable[[], Mapping[str, Desks]], campus_id: CampusId, merchant_id: MerchantId) -> bool:
    desks = campuses().get(campus_id)
    return desks is not None and await catalog.has_merchant(desks.core, merchant_id)

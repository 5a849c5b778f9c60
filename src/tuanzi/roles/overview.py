"""What an operator sees of a campus at a glance: what moves, what waits, what arrived (J1, B3; issue 4)."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from tuanzi.base.ids import make_id
from tuanzi.base.time import SHANGHAI
from tuanzi.base.who import Role
from tuanzi.groups import groups_counted
from tuanzi.installation import Front
from tuanzi.live import OpsPicture
from tuanzi.machinery.http.routes import Call, Route
from tuanzi.money import Account, balances_of
from tuanzi.splitting import splits_counted
from tuanzi.wiring import House, WriterLine


class SplitsLine(Struct, frozen=True, kw_only=True, gc=False):
    """Splits under way in a state, and how long the oldest of them waits."""

    state: str
    count: int
    waits_ms: int


class Pushes(Struct, frozen=True, kw_only=True, gc=False):
    """Messages since the process started, as `Arrival` says; at this gateway: handed to a client, acknowledged, and who
    is connected now."""

    kept: int
    arrived: int
    escalated: int
    late: int
    waiting: int
    sent: int
    acked: int
    connected: int


class CampusOverview(Struct, frozen=True, kw_only=True, gc=False):
    """A campus now. orders_placed, orders_paid: since the process started, so that two readings give a rate.

    *_today: of the groups opened since midnight in Asia/Shanghai. escrow_fen: members' money whose meal is not settled
    yet. refunds_owed_fen: on its way back to them. owner: the process that decides for the campus; "" where that is the
    one that answers, or none has said so yet.
    """

    at: datetime
    orders_placed: int
    orders_paid: int
    groups_open: int
    groups_formed: int
    opened_today: int
    formed_today: int
    failed_today: int
    escrow_fen: int
    refunds_owed_fen: int
    suspense_fen: int
    splits: tuple[SplitsLine, ...]
    splits_confirmed_today: int
    splits_cancelled_today: int
    writers: tuple[WriterLine, ...]
    pushes: Pushes
    owner: str


async def overview_of(house: House | Front, campus: str, *, now: datetime) -> CampusOverview:
    """A campus as it is now; three small queries."""
    desks = house.campuses[campus]
    midnight = now.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    since = make_id("g", now=midnight, chance=0)
    groups = await groups_counted(desks.core, since=since)
    splits = await splits_counted(desks.core, since=since)
    accounts = (Account.ORDER_ESCROW, Account.USER_REFUND_PAYABLE, Account.SUSPENSE)
    balances = await balances_of(desks.money, accounts)
    picture: OpsPicture = house.live.overview(campus)
    return CampusOverview(
        at=now,
        orders_placed=picture.orders_placed,
        orders_paid=picture.orders_paid,
        groups_open=groups.open,
        groups_formed=groups.formed,
        opened_today=groups.opened_since,
        formed_today=groups.formed_since,
        failed_today=groups.failed_since,
        escrow_fen=-balances[Account.ORDER_ESCROW],
        refunds_owed_fen=-balances[Account.USER_REFUND_PAYABLE],
        suspense_fen=-balances[Account.SUSPENSE],
        splits=tuple(
            [
                SplitsLine(state=state, count=count, waits_ms=_ms(now - splits.waits_since[state]))
                for state, count in splits.under_way.items()
            ]
        ),
        splits_confirmed_today=splits.confirmed_since,
        splits_cancelled_today=splits.cancelled_since,
        writers=tuple(house.writer_lines(campus)),
        pushes=Pushes(
            kept=picture.messages_kept,
            arrived=picture.messages_arrived,
            escalated=picture.messages_escalated,
            late=picture.messages_late,
            waiting=picture.messages_waiting,
            sent=picture.messages_sent,
            acked=picture.messages_acked,
            connected=picture.people_connected,
        ),
        owner=house.figures[campus].owner if isinstance(house, Front) else "",
    )


def _ms(lasted: timedelta) -> int:
    return max(0, lasted // timedelta(milliseconds=1))


def overview_route(house: House | Front) -> Route:
    """The route of it."""

    async def show_overview(call: Call[None, None]) -> CampusOverview:
        """GET /v1/campuses/{campus}/overview: the campus at a glance."""
        return await overview_of(house, call.path["campus"], now=call.now)

    return Route(
        "GET",
        "/v1/campuses/{campus}/overview",
        show_overview,
        answer=CampusOverview,
        roles=frozenset({Role.OPERATOR}),
        summary="The campus at a glance, for operators",
    )

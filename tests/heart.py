"""A campus in memory: real writers for core, money and delivery, a clock that tests move, words to tell stories with.

`Campus` carries commands out one by one or in batches, lets its databases hear each other as the house does,
fires what is due, and can be killed and opened again at any point. Amounts are in fen; lunch is ordered from 10:00 to
12:30 in Shanghai.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from tests.watched import Watched
from tuanzi import catalog, delivery, groups, money, orders, pricing, sharing, splitting, stock, wiring
from tuanzi.base.ids import CampusId, OrderId, PersonId, SubOrderId
from tuanzi.base.problem import Problem
from tuanzi.catalog import (
    Building,
    BuildingKind,
    CampaignEntry,
    CampaignState,
    DishEntry,
    MealPeriod,
    MerchantEntry,
    OpenSpan,
    PeriodId,
    TierEntry,
)
from tuanzi.groups import CancelOrder, Group, JoinGroup, LeaveGroup, Left, OpenGroup, Seated, Wanted
from tuanzi.machinery.codec import name_of
from tuanzi.machinery.internal import EVENTS_AFTER, Timer
from tuanzi.machinery.post import Letter
from tuanzi.machinery.problems import Crashed
from tuanzi.machinery.room import Room
from tuanzi.machinery.timers import TimerBook
from tuanzi.machinery.writer import Request, Schema, Writer, drive
from tuanzi.money import RecordCapture, SandboxProvider, payment_of
from tuanzi.money.model import RecordRefund, RefundProgress
from tuanzi.orders import AdvanceSubOrder, Order, SubOrder, SubOrderAnswer, SubStep
from tuanzi.pricing import Coupon, GrantCoupon
from tuanzi.stock import Portions, SetPortions
from tuanzi.wiring import FOLLOWS, follower_of, position_of, schema_of

# The databases whose rooms decide; those that only tell what happened are not here.
HEART = ("core", "money", "delivery")
MORNING = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # Monday, 10:00 in Shanghai: lunch can be ordered from now on
START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)  # 11:00 in Shanghai
CUT_OFF = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)  # 12:30 in Shanghai
LUNCH = "2026-11-23.lunch"
OPERATOR = PersonId("p_operator")
BEIJING = CampusId("beijing")

SPLIT_ERRANDS = frozenset(map(name_of, (splitting.SendTries, splitting.SendConfirms, splitting.SendCancels)))

BUILDINGS = ("dorm-1", "dorm-2", "dorm-3")
# dish: merchant, price, portions for a meal
DISHES = {
    "beef": ("noodles", 2200, 100),
    "soup": ("noodles", 601, 100),
    "milk-tea": ("tea", 1500, 100),
    "cake": ("tea", 900, 4),
}
MINIMUMS = {"noodles": 500, "tea": 1000}
ALL_DAY = ((OpenSpan(opens_minute=0, closes_minute=1440),),) * 7

TRIO = CampaignEntry(
    id="trio",
    name_zh="三人团",
    name_en="Trio",
    tiers=(TierEntry(size=3, off_fen=300),),
    merchant_ids=("noodles", "tea"),
    building_ids=("dorm-1", "dorm-2"),
    period_ids=(PeriodId.LUNCH,),
    starts_at=START - timedelta(days=20),
    ends_at=START + timedelta(days=20),
    group_lasts_minutes=45,
    pay_within_s=300,
    per_order_limit=6,
    per_user_limit=0,
    delivery_fee_fen=901,
    state=CampaignState.LIVE,
)
LADDER = replace(
    TRIO,
    id="ladder",
    name_en="Ladder",
    tiers=(
        TierEntry(size=3, off_percent=10),
        TierEntry(size=5, off_percent=15),
        TierEntry(size=10, off_percent=15, off_fen=100),
    ),
    building_ids=(),
)
STEPS = replace(
    TRIO,
    id="steps",
    name_en="Steps",
    tiers=(
        TierEntry(size=2, off_percent=5),
        TierEntry(size=3, off_percent=7, off_fen=50),
        TierEntry(size=4, off_percent=9, off_fen=99),
    ),
    per_user_limit=2,
    building_ids=(),
)
ONCE = replace(TRIO, id="once", name_en="Once", per_user_limit=1)
GIFT = replace(TRIO, id="gift", name_en="Gift", tiers=(TierEntry(size=3, off_percent=100),), delivery_fee_fen=0)
CAMPAIGNS = (TRIO, LADDER, STEPS, ONCE, GIFT)


def lines(*wanted: str | tuple[str, int]) -> tuple[Wanted, ...]:
    """A cart: `lines("beef", ("soup", 2))`."""
    return tuple(
        Wanted(dish_id=one[0], quantity=one[1]) if isinstance(one, tuple) else Wanted(dish_id=one, quantity=1)  # type: ignore[arg-type]
        for one in wanted
    )


def catalog_commands() -> Iterator[Any]:
    """What makes the campus: two merchants, four dishes, three buildings, lunch, five campaigns."""
    campus = catalog.Campus(
        id=BEIJING,
        name_zh="青团大学",
        name_en="Qingtuan",
        south_e6=40_000_000,
        west_e6=116_000_000,
        north_e6=40_010_000,
        east_e6=116_010_000,
    )
    yield catalog.PutCampus(campus=campus, by=OPERATOR)
    for id in BUILDINGS:
        building = Building(
            id=id,  # type: ignore[arg-type]
            kind=BuildingKind.DORM,
            name_zh="松园",
            name_en="Pine Court",
            latitude_e6=40_001_000,
            longitude_e6=116_001_000,
            residents=400,
        )
        yield catalog.PutBuilding(campus_id=BEIJING, building=building, by=OPERATOR)
    for id, minimum in MINIMUMS.items():
        merchant = MerchantEntry(
            id=id,
            name_zh="店",
            name_en="Shop",
            latitude_e6=40_002_000,
            longitude_e6=116_002_000,
            hours=ALL_DAY,
            delivery_fee_fen=0,
            min_order_fen=minimum,
        )
        yield catalog.PutMerchant(campus_id=BEIJING, merchant=merchant, by=OPERATOR)
    period = MealPeriod(
        id=PeriodId.LUNCH, name_zh="午餐", name_en="Lunch", starts_minute=600, cut_off_minute=750, ends_minute=810
    )
    yield catalog.PutMealPeriod(period=period, by=OPERATOR)
    for id, (merchant_id, price_fen, portions) in DISHES.items():
        dish = DishEntry(
            id=id,
            merchant_id=merchant_id,
            name_zh="菜",
            name_en="Dish",
            price_fen=price_fen,
            portions_per_meal=portions,
        )
        yield catalog.PutDish(dish=dish, merchant_id=None, by=OPERATOR)
    for campaign in CAMPAIGNS:
        yield catalog.PutCampaign(campaign=campaign, by=OPERATOR)


class Books:
    """One database and its writer; `open` starts the writer anew from what is kept, as after a crash."""

    def __init__(self, kind: str, rooms: Sequence[Room]) -> None:
        self.kind = kind
        self.schema: Schema = schema_of(kind, rooms)
        self._openings = [opening for room in rooms if room.database == kind for opening in room.openings]
        self.database = wiring.open_database(None, kind, now=MORNING)
        self.open(now=MORNING)

    def open(self, *, now: datetime) -> None:
        """Start a writer and its timers from the database."""
        position, number = self.database.cursor()
        self.writer = Writer(self.schema, position=position, event_number=number, places_max=10_000)
        self.timers = TimerBook()
        self.timers.read(self.database, now)
        for opening in self._openings:
            (outcome,) = drive(self.writer.carry_out([Request(opening.command)], now=now), self.database)
            opening.told(outcome.answer)


class HandPost:
    """Brings letters by hand, one after another. `spoil` says what becomes of a letter: carried when it says None.

    "lost": nobody gets it. "unanswered": it is carried, and its answer is lost. "twice": it is carried twice. Whatever
    else it gives is the answer, and nobody gets the letter.
    """

    def __init__(self, campus: Campus) -> None:
        self.sent: list[Letter] = []
        self.spoil: Callable[[Letter], Any] = lambda letter: None
        self._campus = campus

    async def send(self, letters: Sequence[Letter]) -> list[Any]:
        """As `tuanzi.machinery.post.Post` says."""
        return [self._carry(letter) for letter in letters]

    def _carry(self, letter: Letter) -> Any:
        self.sent.append(letter)
        fate = self.spoil(letter)
        if fate == "lost":
            return TimeoutError()
        if fate not in (None, "unanswered", "twice"):
            return fate
        for _ in range(2 if fate == "twice" else 1):
            answer = self._campus.carry(letter)
        return TimeoutError() if fate == "unanswered" else answer


class Campus(Watched):
    """A campus; `now` moves only by `pass_time`. Money that is asked for arrives at once by `pay`.

    Refunds are sent and settle by `settle_refunds` (and so by `pass_time`), so that tests see them on their way. Splits
    are carried through at once, as far as `post` lets them; `splits_by_hand` leaves that to `carry_splits`.
    """

    def __init__(self) -> None:
        provider = self.provider = self.make_provider()
        self.post = HandPost(self)
        self.rooms = [
            catalog.room(),
            pricing.room(),
            stock.room(),
            orders.room(),
            groups.room(provider, find_plan=splitting.find_plan),
            splitting.room(self.post, campus=BEIJING),
            money.room(provider),
            sharing.room(provider),
            delivery.room(),
        ]
        self.rooms += self.rooms_beside(provider)
        self.errands = {kind: handler for room in self.rooms for kind, handler in room.errands.items()}
        self.now = START
        self.splits_by_hand = False
        self.core, self.money, self.delivery = (Books(kind, self.rooms) for kind in HEART)
        self.books = {books.kind: books for books in (self.core, self.money, self.delivery)}
        self.events: list[Any] = []  # all that were kept since the campus was made, of all databases
        self._ids = 0
        self._follow()
        outcomes = self._carry_out(self.core, [Request(command) for command in catalog_commands()])
        assert not any(outcome.problem for outcome in outcomes), outcomes
        self.events.clear()

    def make_provider(self) -> SandboxProvider:
        """The payment company; it believes what it is told of payments."""
        return SandboxProvider(remembered_max=1_000_000)

    def rooms_beside(self, provider: SandboxProvider) -> list[Room]:
        """Rooms that only some tests need; none here."""
        return []

    # stories

    def open(
        self,
        member: str,
        *wanted: str | tuple[str, int],
        campaign: str = "trio",
        building: str = "dorm-1",
        coupon: str | None = None,
    ) -> Seated:
        """A member opens a group; beef when nothing is wanted."""
        seated: Seated = self.do(self.opening(member, *wanted, campaign=campaign, building=building, coupon=coupon))
        return seated

    def opening(
        self,
        member: str,
        *wanted: str | tuple[str, int],
        campaign: str = "trio",
        building: str = "dorm-1",
        coupon: str | None = None,
    ) -> OpenGroup:
        """The command by which a member opens a group."""
        return OpenGroup(
            group_id=self.new_id("g"),  # type: ignore[arg-type]
            order_id=self.new_id("o"),  # type: ignore[arg-type]
            member_id=PersonId(member),
            campaign_id=campaign,  # type: ignore[arg-type]
            building_id=building,  # type: ignore[arg-type]
            lines=lines(*wanted or ("beef",)),
            coupon_id=coupon,  # type: ignore[arg-type]
        )

    def join(
        self,
        group_id: str,
        member: str,
        *wanted: str | tuple[str, int],
        building: str | None = None,
        coupon: str | None = None,
    ) -> Seated:
        """A member takes a seat; beef when nothing is wanted."""
        seated: Seated = self.do(self.joining(group_id, member, *wanted, building=building, coupon=coupon))
        return seated

    def joining(
        self,
        group_id: str,
        member: str,
        *wanted: str | tuple[str, int],
        building: str | None = None,
        coupon: str | None = None,
    ) -> JoinGroup:
        """The command by which a member takes a seat."""
        return JoinGroup(
            group_id=group_id,  # type: ignore[arg-type]
            order_id=self.new_id("o"),  # type: ignore[arg-type]
            member_id=PersonId(member),
            lines=lines(*wanted or ("beef",)),
            building_id=building,  # type: ignore[arg-type]
            coupon_id=coupon,  # type: ignore[arg-type]
        )

    def group(
        self, *members: str, paid: int | None = None, campaign: str = "trio", wanted: str = "beef"
    ) -> list[Seated]:
        """A group opened by the first member and joined by the others; the first `paid` of them pay (all: None)."""
        seated = [self.open(members[0], wanted, campaign=campaign)]
        seated += [self.join(seated[0].group_id, member, wanted) for member in members[1:]]
        for one in seated[:paid]:
            self.pay(one.order_id)
        return seated

    def pay(self, order_id: str, *, amount_fen: int | None = None, payment_id: str | None = None) -> None:
        """The money of an order arrives, whatever became of it meanwhile; its price when no amount is named."""
        self.capture(order_id, amount_fen=amount_fen, payment_id=payment_id)
        self._go_on()

    def capture(self, order_id: str, *, amount_fen: int | None = None, payment_id: str | None = None) -> None:
        """The money of an order arrives, of which nobody hears until something else happens."""
        amount = self.order(order_id).payable.fen if amount_fen is None else amount_fen
        payment = payment_id or payment_of(order_id)
        capture = RecordCapture(
            payment_id=payment,
            order_id=order_id,
            member_id="m",
            amount_fen=amount,
            transaction_id=f"t_{payment}",
            provider="sandbox",
        )
        self._one(self.money, Request(capture))

    def leave(self, group_id: str, member: str) -> Left:
        """A member leaves his group."""
        left: Left = self.do(LeaveGroup(group_id=group_id, member_id=PersonId(member)))  # type: ignore[arg-type]
        return left

    def cancel(self, order_id: str, member: str) -> Left:
        """A member cancels his order."""
        left: Left = self.do(CancelOrder(order_id=OrderId(order_id), member_id=PersonId(member)))
        return left

    def advance(self, sub_order_id: str, *steps: SubStep, by: str = "staff") -> SubOrderAnswer:
        """Merchant and rider take a sub-order through these steps."""
        answer = None
        for step in steps:
            answer = self.do(AdvanceSubOrder(sub_order_id=SubOrderId(sub_order_id), step=step, by=PersonId(by)))
        assert isinstance(answer, SubOrderAnswer)
        return answer

    def deliver(self, order_id: str) -> None:
        """Every sub-order that lives is cooked and brought."""
        for sub in self.sub_orders(order_id):
            if sub.state.value == "planned":
                self.advance(sub.id, *TO_THE_DOOR)

    def grant(
        self, member: str, coupon_id: str, off_fen: int, *, threshold_fen: int = 0, merchant: str | None = None
    ) -> str:
        """A member gets a coupon."""
        grant = GrantCoupon(
            coupon_id=coupon_id,  # type: ignore[arg-type]
            member_id=PersonId(member),
            off_fen=off_fen,
            threshold_fen=threshold_fen,
            expires_at=self.now + timedelta(days=1),
            merchant_id=merchant,  # type: ignore[arg-type]
        )
        self.do(grant)
        return coupon_id

    def set_portions(self, dish_id: str, total: int, *, is_closed: bool = False) -> Any:
        """A merchant says how many portions there are."""
        return self.do(
            SetPortions(dish_id=dish_id, meal_id=LUNCH, total=total, is_closed=is_closed, by="staff")  # type: ignore[arg-type]
        )

    # time, crashes

    def pass_time(self, *, until: datetime | None = None, **amount: float) -> None:
        """Move the clock; all that comes due on the way fires at its time, in order."""
        end = until if until is not None else self.now + timedelta(**amount)
        while True:
            due = [at for books in self.books.values() if (at := books.timers.next_at) is not None and at <= end]
            if not due:
                break
            self.now = max(self.now, min(due))
            self.fire()
        self.now = end

    def jump(self, **amount: float) -> None:
        """Move the clock while no timer fires: they are late."""
        self.now += timedelta(**amount)

    def fire(self) -> None:
        """Fire what is due by now: deadlines in core, errands and questions in money."""
        for books in self.books.values():
            for timer in books.timers.take_due(self.now, limit=1000):
                self._fire(books, timer)
        self._go_on()

    def carry_splits(self, *, steps: int | None = None) -> int:
        """Run the errands of splits that are due, all or so many; gives how many it were."""
        done = 0
        while steps is None or done < steps:
            due = self.core.timers.take_due(self.now, limit=1000)
            mine = [timer for timer in due if timer.command in SPLIT_ERRANDS]
            for timer in due:
                if timer not in mine[:1]:
                    self.core.timers.give_back(timer)
            if not mine:
                break
            self._fire(self.core, mine[0])
            self.hear()
            done += 1
        return done

    def _fire(self, books: Books, timer: Timer) -> None:
        command = books.schema.codec.command(timer.command, timer.body)
        errand = self.errands.get(type(command))
        if errand is not None:
            command = run(errand(command, now=self.now))
        self._one(books, Request(command, timer=timer))

    def _go_on(self) -> None:
        self.hear()
        if not self.splits_by_hand:
            self.carry_splits()

    def settle_refunds(self) -> None:
        """Every refund that is due reaches its member."""
        self.fire()

    def settle_refund(self, refund_id: str, amount_fen: int) -> None:
        """This one refund reaches its member."""
        record = RecordRefund(refund_id=refund_id, progress=RefundProgress.SETTLED, amount_fen=amount_fen)
        self._one(self.money, Request(record))
        self.hear()

    def kill(self, kind: str | None = None) -> None:
        """The process dies and starts again from what is kept; or only that of one database, when each has its own."""
        for books in self.books.values():
            if kind in (None, books.kind):
                books.open(now=self.now)
        self._follow()
        self.hear()

    def evict(self) -> None:
        """All values leave memory."""
        for books in self.books.values():
            books.writer.forget()

    # carrying out

    def do(self, command: Any) -> Any:
        """Carry out a command, let everybody hear of it, and give its answer. Raises its problem."""
        answer = self._one(self.core, Request(command)).answer
        self._go_on()
        return answer

    def carry(self, letter: Letter) -> Any:
        """Bring a letter to its database; its answer or its problem."""
        try:
            return self._one(self.books[letter.address], Request(letter.command)).answer
        except Problem as problem:
            return problem

    def batch(self, commands: Sequence[Any]) -> list[Any]:
        """Carry out commands as one batch; the answer or the problem of each."""
        outcomes = self._carry_out(self.core, [Request(command) for command in commands])
        self._go_on()
        return [outcome.problem or outcome.answer for outcome in outcomes]

    def hear(self) -> None:
        """Let all databases hear each other until there is nothing new."""
        moved = True
        while moved:
            moved = False
            for books, source, follower in self._follows:
                if follower.is_behind:
                    slots = {"after": follower.read_after, "limit": 100_000}
                    follower.read(source.database.rows(EVENTS_AFTER, slots))
                for request in follower.take(1000):
                    self._one(books, request)
                    follower.kept(request.number)
                    moved = True

    def _one(self, books: Books, request: Request) -> Any:
        (outcome,) = self._carry_out(books, [request])
        if outcome.problem is not None:
            raise outcome.problem
        return outcome

    def _carry_out(self, books: Books, requests: Sequence[Request]) -> Any:
        outcomes = drive(books.writer.carry_out(requests, now=self.now), books.database)
        books.timers.note(books.writer.timer_changes.items())
        books.writer.timer_changes.clear()
        numbered = [one for outcome in outcomes for one in outcome.events]
        self.events += [event for _, event in numbered]
        for _, source, follower in self._follows:
            if source is books:
                follower.offer(numbered)
        crashed = [outcome.problem for outcome in outcomes if isinstance(outcome.problem, Crashed)]
        assert not crashed, crashed
        return outcomes

    def _follow(self) -> None:
        self._follows = []
        for books, source in ((self.books[target], self.books[source]) for target, source in FOLLOWS):
            position = position_of(books.database, source.kind)
            follower = follower_of(books.kind, source.kind, schema=books.schema, position=position)
            follower.expect(source.writer.event_number)
            self._follows.append((books, source, follower))

    def new_id(self, prefix: str) -> str:
        """An id that sorts by when it was made."""
        self._ids += 1
        return f"{prefix}_{self._ids:06d}"

    # looking

    def rows(
        self, sql: str, slots: Mapping[str, Any] | None = None, *, database: str = "core"
    ) -> list[tuple[Any, ...]]:
        """Rows as they are kept."""
        return self.books[database].database.rows(sql, slots)

    def order(self, order_id: str) -> Order:
        """An order as it is kept."""
        kept: Order = self._kept(self.core, orders.ORDERS, order_id)
        return kept

    def state(self, order_id: str) -> str:
        """Where an order is in its life."""
        return self.order(order_id).state.value

    def sub_orders(self, order_id: str) -> list[SubOrder]:
        """The sub-orders of an order."""
        count = self.order(order_id).sub_orders
        return [self._kept(self.core, orders.SUB_ORDERS, f"{order_id}.{i}") for i in range(1, count + 1)]

    def the_group(self, group_id: str) -> Group:
        """A group as it is kept."""
        kept: Group = self._kept(self.core, groups.TABLES[0], group_id)
        return kept

    def stock(self, dish_id: str) -> Portions:
        """A dish's portions as they are kept."""
        kept: Portions = self._kept(self.core, stock.PORTIONS, (dish_id, LUNCH))
        return kept

    def held_and_sold(self, dish_id: str) -> tuple[int, int]:
        """How many portions of a dish are held, and how many sold."""
        kept = self.rows(
            "SELECT held, sold FROM portions WHERE dish_id = :id ORDER BY meal_id LIMIT 1", {"id": dish_id}
        )
        return (kept[0][0], kept[0][1]) if kept else (0, 0)

    def coupon(self, coupon_id: str) -> Coupon:
        """A coupon as it is kept."""
        (table,) = [each for room in self.rooms for each in room.tables if each.kind is Coupon]
        kept: Coupon = self._kept(self.core, table, coupon_id)
        return kept

    def uses(self, campaign: str, member: str) -> int:
        """How many orders of a member count against a campaign's limit."""
        kept = self.rows(
            "SELECT orders FROM campaign_uses WHERE campaign_id = :c AND member_id = :m ORDER BY orders LIMIT 1",
            {"c": campaign, "m": member},
        )
        return int(kept[0][0]) if kept else 0

    def balances(self) -> dict[str, int]:
        """What the entries of every account add up to; empty accounts are left out."""
        sql = "SELECT account, SUM(amount_fen) FROM entries GROUP BY account HAVING SUM(amount_fen) <> 0"
        return dict(self.rows(sql, database="money"))

    def timers(self) -> list[str]:
        """The ids of the timers set in core."""
        return [row[0] for row in self.rows("SELECT id FROM timers ORDER BY id LIMIT 1000")]

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that is kept, but for the writers' and followers' positions and the coordinator's epoch."""
        kept = {}
        for books in self.books.values():
            names = books.database.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            for (name,) in names:
                if name not in ("writer_cursor", "follower_positions", "split_coordinators"):
                    kept[f"{books.kind}.{name}"] = sorted(books.database.rows(f"SELECT * FROM {name}"), key=repr)
        return kept

    def _kept(self, books: Books, table: Any, key: Any) -> Any:
        (row,) = books.database.fetch(table, [key])
        return table.from_row(row)


TO_THE_DOOR = (SubStep.ACCEPT, SubStep.COOK, SubStep.READY, SubStep.PICK_UP, SubStep.DELIVER)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of an errand."""
    return _RUNNER.run(coroutine)


_RUNNER = asyncio.Runner()


def students(count: int, *, first: int = 1) -> list[str]:
    """Members m1, m2 and so on."""
    return [f"m{i}" for i in range(first, first + count)]

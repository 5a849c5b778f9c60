"""The figures of a process in Prometheus' text format (E4)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from tuanzi import reconciliation
from tuanzi.engines.cache.redis import RedisCache
from tuanzi.engines.fanout.redis import RedisFanOut
from tuanzi.installation import ERRANDS, Engines, Front, WorkerSide, WriterSide
from tuanzi.machinery.desk import WriterDesk
from tuanzi.machinery.pool import Pool
from tuanzi.machinery.problems import Unavailable
from tuanzi.machinery.push.gateway import Gateway
from tuanzi.machinery.push.hub import Hub
from tuanzi.machinery.push.keeper import Keeper
from tuanzi.machinery.room import Room
from tuanzi.machinery.workqueue import Backlog, WorkQueue
from tuanzi.money import PaymentProvider, WeChatPay
from tuanzi.wiring import House

# Who watches gives up on a process that does not answer for long.
BACKLOG_S_MAX = 2.0
_COUNTERS = {
    "batches": "Commits of a writer.",
    "commands": "Requests a writer decided, timers and heard events included.",
    "events": "Events committed.",
    "refused": "Requests refused by a rule or a fault.",
    "crashed": "Requests that failed because of a bug or took too long.",
    "turned_away": "Commands turned away because too many waited.",
    "replayed": "Repeats answered with the first answer.",
    "parked": "Events of other databases laid aside, because hearing them failed.",
}


Part = House | Front | WriterSide | WorkerSide


class Watched:
    """All parts of a process, as those see them who count; what each has is asked anew each time, for campuses come
    and go. payments: the one company that all of them have."""

    def __init__(self, first: Part, *others: Part) -> None:
        self.parts = (first, *others)
        self.payments = first.payments

    @property
    def desks(self) -> list[WriterDesk]:
        """The desks that work in this process."""
        return [desk for part in self.parts for desk in part.desks]

    @property
    def closed(self) -> list[str]:
        """The desks that do not take commands yet, or cannot be asked."""
        return sorted({name for part in self.parts for name in part.closed})

    @property
    def campus_rooms(self) -> list[tuple[str, Room]]:
        """The rooms of each campus that this process decides for."""
        return [(campus, room) for part in self.parts for campus, rooms in part.campus_rooms.items() for room in rooms]

    @property
    def watches(self) -> list[reconciliation.Watch]:
        """What the comparing of books found on each campus."""
        return [watch for part in self.parts for watch in part.watches]

    @property
    def guesses_refused(self) -> int:
        """How many made-up tokens were not looked up, where people are answered."""
        return sum(part.doorkeeper.guesses_refused for part in self.parts if isinstance(part, House | Front))

    @property
    def hubs(self) -> dict[str, Hub]:
        """Who hands messages out, by campus."""
        return {campus: hub for part in self.parts for campus, hub in part.live.hubs.items()}

    @property
    def keepers(self) -> dict[str, Keeper]:
        """Who keeps streams, by campus."""
        return {campus: keeper for part in self.parts for campus, keeper in part.live.keepers.items()}

    @property
    def gateway(self) -> Gateway | None:
        """Who takes WebSockets."""
        return next((part.live.gateway for part in self.parts if part.live.gateway is not None), None)


class HouseCollector(Collector):
    """Reads the desks' figures when Prometheus asks."""

    def __init__(self, house: Watched) -> None:
        self._house = house

    def collect(self) -> Iterator[Metric]:
        """Every figure of every desk; the label `desk` is one of few."""
        desks = self._house.desks
        for figure, about in _COUNTERS.items():
            counter = CounterMetricFamily(f"tuanzi_writer_{figure}_total", about, labels=["desk"])
            for desk in desks:
                counter.add_metric([desk.name], float(getattr(desk.figures, figure)))
            yield counter
        busy = CounterMetricFamily("tuanzi_writer_busy_seconds_total", "Time spent on batches.", labels=["desk"])
        longest = GaugeMetricFamily("tuanzi_writer_batch_max_seconds", "The longest batch so far.", labels=["desk"])
        queue = GaugeMetricFamily("tuanzi_writer_queue_length", "Commands that wait.", labels=["desk"])
        timers = GaugeMetricFamily("tuanzi_timers_held", "Timers in memory.", labels=["desk"])
        number = GaugeMetricFamily("tuanzi_events_last_number", "The last committed event.", labels=["desk"])
        is_open = GaugeMetricFamily("tuanzi_writer_open", "1 while the writer works.", labels=["desk"])
        ahead = GaugeMetricFamily(
            "tuanzi_clock_ahead_seconds", "How far a writer's time is ahead of the machine's.", labels=["desk"]
        )
        lag = GaugeMetricFamily("tuanzi_follower_lag_events", "Events not heard yet.", labels=["desk", "source"])
        for desk in desks:
            busy.add_metric([desk.name], desk.figures.busy_s)
            longest.add_metric([desk.name], desk.figures.batch_s_max)
            queue.add_metric([desk.name], desk.queue_length)
            timers.add_metric([desk.name], desk.timers_held)
            number.add_metric([desk.name], desk.event_number)
            is_open.add_metric([desk.name], float(desk.is_open))
            ahead.add_metric([desk.name], desk.clock_ahead_s)
            for source, behind in desk.lags.items():
                lag.add_metric([desk.name, source], behind)
        yield from (busy, longest, queue, timers, number, is_open, ahead, lag)
        yield _count(
            "tuanzi_guesses_refused_total",
            "Tokens that this house did not make, refused unread: too many came from one network.",
            self._house.guesses_refused,
        )
        yield from self._of_rooms()

    def _of_rooms(self) -> Iterator[Metric]:
        """What the rooms of each campus count themselves."""
        families: dict[str, CounterMetricFamily] = {}
        for campus, room in self._house.campus_rooms:
            for figure in room.figures():
                if figure.name not in families:
                    families[figure.name] = CounterMetricFamily(
                        figure.name, figure.about, labels=["campus", *figure.labels]
                    )
                families[figure.name].add_metric([campus, *figure.labels.values()], figure.value)
        yield from families.values()
        yield from _of_payments(self._house.payments)
        yield from _reconciliation(self._house)


def _of_payments(provider: PaymentProvider) -> Iterator[Metric]:
    """What the payment company told, and how often nobody knows what it did; only for one outside of the process."""
    if not isinstance(provider, WeChatPay):
        return
    notices = CounterMetricFamily(
        "tuanzi_payment_notices_total", "Callbacks by what became of them.", labels=["result"]
    )
    for result, times in sorted(provider.notices.items()):
        notices.add_metric([result], times)
    unknown = CounterMetricFamily(
        "tuanzi_payment_results_unknown_total", "Calls whose result is unknown, by why.", labels=["why"]
    )
    for why, times in sorted(provider.unknown.items()):
        unknown.add_metric([why], times)
    yield from (notices, unknown)


def _reconciliation(house: Watched) -> Iterator[Metric]:
    """What the comparing of books has found since this process started, and when it last did (C3)."""
    labels = ["campus", "difference_class"]
    found = CounterMetricFamily("tuanzi_differences_found_total", "Differences between books.", labels=labels)
    raised = CounterMetricFamily("tuanzi_differences_raised_total", "Those that need a person.", labels=labels)
    repaired = CounterMetricFamily("tuanzi_differences_ended_total", "Those that are mended or settled.", labels=labels)
    unusable = CounterMetricFamily(
        "tuanzi_bills_unusable_total", "Bills of a day that could not be used.", labels=["campus"]
    )
    last = GaugeMetricFamily(
        "tuanzi_reconciliation_last_run_seconds", "When books were compared last, since 1970.", labels=["campus"]
    )
    for watch in house.watches:
        for family, counts in ((found, watch.found), (raised, watch.raised), (repaired, watch.repaired)):
            for kind, count in sorted(counts.items()):
                family.add_metric([watch.campus, kind or "before"], float(count))
        unusable.add_metric([watch.campus], float(watch.bills_unusable))
        if watch.last_run_at is not None:
            last.add_metric([watch.campus], watch.last_run_at.timestamp())
    yield from (found, raised, repaired, unusable, last)


_PUSH_COUNTERS = {
    "delivered": "Messages that came for streams held here.",
    "sent": "Messages handed to a client for the first time.",
    "acked": "Messages that a client acknowledged.",
    "resent": "Messages read again from the window or the database.",
    "archive_reads": "Reads of the database for clients that fell behind.",
    "caught_up": "Streams of which the database knew more than was heard from the fan-out.",
    "pictures": "Pictures sent.",
    "pictures_dropped": "Pictures left out because a client took nothing.",
    "closed_slow": "Clients closed because they took nothing.",
}
_KEEPER_COUNTERS = {
    "messages": "Messages kept.",
    "events": "Events told.",
    "batches": "Commits of messages.",
    "repeats": "Messages dropped by the exact check.",
    "parked": "Events laid aside because telling them failed.",
    "swept": "Messages forgotten after 7 days.",
}

_ESCALATION_COUNTERS = {
    "expected": "Messages that a person ought to acknowledge.",
    "arrived": "Messages that were acknowledged in time.",
    "escalated": "Messages that nobody acknowledged in time.",
    "handed": "Messages that other means took.",
    "late": "Messages that were acknowledged after they were escalated.",
    "tries_failed": "Times that other means took nothing.",
}


class LiveCollector(Collector):
    """Reads the figures of the gateway and of those who keep streams; arrival is arrived and late over expected."""

    def __init__(self, house: Watched) -> None:
        self._live = house

    def collect(self) -> Iterator[Metric]:
        """Every figure of every campus; the label `campus` is one of few."""
        for figure, about in _PUSH_COUNTERS.items():
            counter = CounterMetricFamily(f"tuanzi_push_{figure}_total", about, labels=["campus"])
            for campus, hub in self._live.hubs.items():
                counter.add_metric([campus], float(getattr(hub.figures, figure)))
            yield counter
        for figure, about in _KEEPER_COUNTERS.items():
            counter = CounterMetricFamily(f"tuanzi_streams_{figure}_total", about, labels=["campus"])
            for campus, keeper in self._live.keepers.items():
                counter.add_metric([campus], float(getattr(keeper.figures, figure)))
            yield counter
        yield from self._escalations()
        lag = GaugeMetricFamily("tuanzi_streams_lag_events", "Events not told yet.", labels=["campus", "source"])
        for campus, keeper in self._live.keepers.items():
            for source, behind in keeper.lags.items():
                lag.add_metric([campus, source], behind)
        yield lag
        gateway = self._live.gateway
        if gateway is None:
            return
        closes = CounterMetricFamily("tuanzi_gateway_closes_total", "Connections that were ended.", labels=["reason"])
        for reason, count in gateway.closes.items():
            closes.add_metric([reason], count)
        open_now = GaugeMetricFamily("tuanzi_gateway_connections", "Open connections.")
        open_now.add_metric([], gateway.connections)
        yield from (closes, open_now)
        yield _gauge(
            "tuanzi_gateway_address_connections_max",
            "Open connections of the client address that has most.",
            gateway.address_connections_max,
        )

    def _escalations(self) -> Iterator[Metric]:
        of_campus = {
            campus: keeper.escalator.figures
            for campus, keeper in self._live.keepers.items()
            if keeper.escalator is not None
        }
        for figure, about in _ESCALATION_COUNTERS.items():
            counter = CounterMetricFamily(f"tuanzi_arrival_{figure}_total", about, labels=["campus"])
            for campus, figures in of_campus.items():
                counter.add_metric([campus], float(getattr(figures, figure)))
            yield counter
        waiting = GaugeMetricFamily(
            "tuanzi_arrival_waiting", "Messages whose time to be acknowledged is not over.", labels=["campus"]
        )
        for campus, figures in of_campus.items():
            waiting.add_metric([campus], figures.waiting)
        yield waiting


class EnginesCollector(Collector):
    """Reads the figures of what processes meet by, and of the worker that does works, where there is one."""

    def __init__(self, engines: Engines, worker: WorkerSide | None = None) -> None:
        self._engines = engines
        self._worker = worker
        self._backlog: Backlog | None = None

    async def look(self) -> None:
        """Ask the broker how much waits there; where it does not answer soon, nothing is said of it."""
        self._backlog = None
        if self._engines.works is not None:
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(BACKLOG_S_MAX):
                    self._backlog = await self._engines.works.backlog(ERRANDS)

    def collect(self) -> Iterator[Metric]:
        """Every figure of those engines that have any."""
        cache, fan_out, works = self._engines.cache, self._engines.fan_out, self._engines.works
        if isinstance(cache, RedisCache):
            yield _count("tuanzi_shared_cache_finds_total", "Reads of the shared cache.", cache.finds)
            yield _count("tuanzi_shared_cache_hits_total", "Reads that found something.", cache.hits)
            yield _count("tuanzi_shared_cache_lost_total", "Reads that Redis did not answer in time.", cache.lost)
        if isinstance(fan_out, RedisFanOut):
            for figure, about in _FAN_OUT_COUNTERS.items():
                yield _count(f"tuanzi_fanout_{figure}_total", about, getattr(fan_out.figures, figure))
        if works is not None:
            yield from _of_works(works)
        if self._backlog is not None:
            yield from _of_backlog(self._backlog)
        if self._worker is not None:
            yield _count("tuanzi_errands_stale_total", "Errands left undone, put too long ago.", self._worker.stale)
            yield from _of_pool(self._worker.pool)


def _of_works(works: WorkQueue) -> Iterator[Metric]:
    # Loaded here, for a house without a queue server need not load its client.
    from tuanzi.engines.queue.rabbit import RabbitQueue

    if isinstance(works, RabbitQueue):
        for figure, about in _WORKS_COUNTERS.items():
            yield _count(f"tuanzi_works_{figure}_total", about, getattr(works.figures, figure))


def _of_backlog(backlog: Backlog) -> Iterator[Metric]:
    """How much there is of the queue of works, at the broker and in this process's hands."""
    yield _gauge("tuanzi_works_waiting", "Works that could be done now.", backlog.waiting)
    yield _gauge("tuanzi_works_delayed", "Works that wait for their next try.", backlog.delayed)
    yield _gauge("tuanzi_works_laid_aside", "Works among the dead.", backlog.dead)


_FAN_OUT_COUNTERS = {
    "bells": "Bells rung to gateways in other processes.",
    "bells_lost": "Bells that Redis did not take in time.",
    "heard": "Bells heard from other processes.",
    "missed": "Bells of other processes that never came.",
    "catch_ups": "Times that gateways were sent to the database.",
}
_WORKS_COUNTERS = {
    "put": "Works put into the queue.",
    "done": "Works done.",
    "failed": "Tries that failed.",
    "dead": "Works laid aside after their last try.",
    "connects": "Connections made to the broker.",
}


def _of_pool(pool: Pool) -> Iterator[Metric]:
    """How many hands a pool has and what they did (D1)."""
    yield _gauge("tuanzi_pool_size", "Handlers that may run at once.", pool.size)
    yield _gauge("tuanzi_pool_running", "Handlers that run.", pool.running)
    yield _gauge("tuanzi_pool_oldest_wait_seconds", "How long the first work that waits has waited.", pool.oldest_s)
    yield _gauge("tuanzi_pool_usual_latency_seconds", "What a handler takes when all is well.", pool.plan.usual_s)
    yield _count("tuanzi_pool_ended_total", "Works that ended, well or not.", pool.figures.ended)
    yield _count("tuanzi_pool_failed_total", "Works that failed.", pool.figures.failed)
    yield _count("tuanzi_pool_busy_seconds_total", "Time that handlers took.", pool.figures.busy_s)
    yield _count("tuanzi_pool_waited_seconds_total", "Time that works waited for a hand.", pool.figures.waited_s)
    steps = CounterMetricFamily(
        "tuanzi_pool_steps_total", "Times that the pool became larger or smaller.", labels=["to"]
    )
    steps.add_metric(["larger"], pool.figures.steps_up)
    steps.add_metric(["smaller"], pool.figures.steps_down)
    yield steps


def _count(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(name, about, value=value)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


class Metrics:
    """The registry of one process."""

    def __init__(self, watched: Watched) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(HouseCollector(watched))
        self._registry.register(LiveCollector(watched))
        self._works: EnginesCollector | None = None
        apart = [part for part in watched.parts if not isinstance(part, House)]
        if apart:
            worker = next((part for part in apart if isinstance(part, WorkerSide)), None)
            engines = EnginesCollector(apart[0].engines, worker)
            self._registry.register(engines)
            # Who puts works and who does them; to be asked by every process would be the broker's main work.
            self._works = engines if any(isinstance(part, (WorkerSide, WriterSide)) for part in apart) else None
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def text(self) -> bytes:
        """All figures now."""
        if self._works is not None:
            await self._works.look()
        return generate_latest(self._registry)

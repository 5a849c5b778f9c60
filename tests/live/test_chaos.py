"""Nothing is lost, shown twice or going backwards, whatever breaks (A3, A4): a million events, each counted.

A process of its own tells what stands in a log on disk; a fifth of the clients speak Protobuf, the others JSON. It is
killed -9 twenty times while clients are dropped at random, its filter is replaced by wrong ones, and its place in the
log is set back so that events come again.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path
from random import Random

from simulation import bench
from tests.faults.city import SECRET
from tests.faults.server import free_port
from tests.live.office import CAMPUS, FILTERS, ROOT, Heart, settings_of
from tests.live.phones import BinaryWire, Phone, Wire
from tests.undisturbed import Undisturbed
from tuanzi import live, wiring
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.people import Keys
from tuanzi.settings import read_settings

EVENTS = int(os.environ.get("TUANZI_SOAK_EVENTS", "1000000"))
CLIENTS = int(os.environ.get("TUANZI_SOAK_CLIENTS", "100"))
CROWD = 5_000
# One of so many speaks Protobuf.
BINARY_EVERY = 5
KILLS = 20
REWOUND = 300
SEED = 20261126
EVENTS_A_STEP = 2_000
STEP_S = 0.05
# Between two kills; at quiet it takes three seconds.
BACK_S_MAX = 120


class Office:
    """One process after another that tells what stands in the log."""

    def __init__(self, folder: Path, *, clients: int) -> None:
        self.data = folder / "data"
        self.log = folder / "core.db"
        self.port = free_port()
        self._stderr = folder / "office.log"
        os.environ["TUANZI_SECRET"] = SECRET
        try:
            bench.seed(self.data, students=clients, out=folder / "known.json")
        finally:
            del os.environ["TUANZI_SECRET"]
        platform = Sqlite(self.data / "platform.db")
        rows = platform.rows(f"SELECT id, person_id FROM sessions ORDER BY id LIMIT {clients}")
        platform.close()
        self._keys = Keys(read_settings(settings_of(self.data)).secret)
        self._sessions = [session_id for session_id, _ in rows]
        self.phones = [
            Phone(person_id, "", wire=Wire if (i + 1) % BINARY_EVERY else BinaryWire)
            for i, (_, person_id) in enumerate(rows)
        ]
        self.heart = Heart(self.log, [person_id for _, person_id in rows])
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, *, filter_name: str = "bloom", rewind: int = 0) -> float:
        """Start it and wait until it listens; the seconds that took. Phones get tokens that are good from now on."""
        began = time.monotonic()
        for phone, session_id in zip(self.phones, self._sessions, strict=True):
            text = live.text_of(live.claim_for(session_id, campus_id=CAMPUS, now=wiring.wall_clock()))
            phone.token = f"{text}.{self._keys.sign(text)}"
        words = [sys.executable, "-m", "tests.live.office", str(self.data), str(self.log), str(self.port)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        self._spawn([*words, filter_name, str(rewind)], environment)
        while True:
            assert self._process is not None
            assert self._process.poll() is None, self._stderr.read_text()[-3000:]
            assert time.monotonic() - began < 60, self._stderr.read_text()[-3000:]
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return time.monotonic() - began

    def _spawn(self, words: list[str], environment: dict[str, str]) -> None:
        with self._stderr.open("ab") as log:
            self._process = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=log, start_new_session=True)

    @property
    def pid(self) -> int:
        """Of the process that is there now."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def wrong(self) -> list[str]:
        """What the phones did not see as it happened."""
        found = [f"{phone.channel}: {line}" for phone in self.phones for line in phone.wrong]
        for phone in self.phones:
            told = self.heart.told[phone.channel.removeprefix("user:")]
            if phone.shown != told:
                found.append(f"{phone.channel}: shown {len(phone.shown)} of {len(told)}")
        return found

    def told(self, wire: type[Wire]) -> tuple[int, int]:
        """How many messages those who speak so have shown, and how many they should have."""
        phones = [phone for phone in self.phones if phone.makes_wire is wire]
        told = sum(len(self.heart.told[phone.channel.removeprefix("user:")]) for phone in phones)
        return sum(len(phone.shown) for phone in phones), told

    @property
    def shown(self) -> int:
        """How many messages all phones have shown."""
        return sum(len(phone.shown) for phone in self.phones)

    @property
    def connects(self) -> int:
        """How often phones have connected."""
        return sum(phone.connects for phone in self.phones)

    async def all_shown(self, *, within_s: float) -> None:
        """Wait until every phone has as much as happened to it, no longer than this."""
        until = time.monotonic() + within_s
        while self.shown < self.heart.number and time.monotonic() < until:  # noqa: ASYNC110 - another process tells
            await asyncio.sleep(0.02)


def let_many_files_be_open() -> None:
    """As many as the machine lets us, here and in the processes that begin from now on."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def leave(staying: list[asyncio.Task[None]]) -> None:
    """Everybody puts his phone away. Raises what made one stop before."""
    for task in staying:
        if not task.cancel():
            task.result()
    await asyncio.gather(*staying, return_exceptions=True)


async def test_twenty_kills_lose_nothing_and_show_nothing_twice(tmp_path: Path) -> None:
    chance = Random(SEED)
    office = Office(tmp_path, clients=CLIENTS)
    filters = cycle(sorted(FILTERS))
    await office.start(filter_name=next(filters))
    staying = [asyncio.create_task(phone.stay(office.port, chance)) for phone in office.phones]

    dropped = amid = 0
    for i in range(KILLS):
        before = office.heart.number
        until = EVENTS * (i + 1) // (KILLS + 1)
        reached = (before + until) // 2  # the kill comes when phones have seen half of what happened since the last
        half = CLIENTS * (i + 1) // 2  # so many have come (back), or a kill would hit nobody
        async with asyncio.timeout(BACK_S_MAX):
            while office.heart.number < until or office.shown < reached or office.connects <= half:
                if office.heart.number < until:
                    office.heart.commit(min(EVENTS_A_STEP, until - office.heart.number), chance)
                dropped += sum(phone.drop() for phone in chance.sample(office.phones, len(office.phones) // 20))
                await asyncio.sleep(STEP_S)
        office.kill()
        amid += office.shown < until
        await office.start(filter_name=next(filters), rewind=chance.choice((0, REWOUND)))
    office.heart.commit(EVENTS - office.heart.number, chance)
    await office.all_shown(within_s=BACK_S_MAX)
    await leave(staying)
    office.kill()

    assert office.wrong()[:5] == []
    assert office.shown == EVENTS
    _assert_both_were_told(office, EVENTS)
    # That it was as hard as it says: kills came while there was something to tell, and connections broke.
    assert amid > KILLS // 2
    assert dropped > KILLS * CLIENTS // 10


async def test_all_who_reconnect_at_once_are_resumed_within_ten_seconds(tmp_path: Path) -> None:
    chance = Random(SEED)
    clients = CROWD
    let_many_files_be_open()
    office = Office(tmp_path, clients=clients)
    await office.start()
    for i in range(0, clients, 100):
        await asyncio.gather(*[phone.connect(office.port) for phone in office.phones[i : i + 100]])
    office.heart.commit(2 * clients, chance)
    await office.all_shown(within_s=120)

    office.kill()
    office.heart.commit(2 * clients, chance)
    await office.start()
    clock = Undisturbed(office.pid)
    began = clock()
    staying = [asyncio.create_task(phone.stay(office.port, chance)) for phone in office.phones]
    await office.all_shown(within_s=120)
    took_s = clock() - began
    await leave(staying)
    office.kill()

    assert office.wrong()[:5] == []
    _assert_both_were_told(office, 4 * clients)
    assert took_s < 10


def _assert_both_were_told(office: Office, events: int) -> None:
    """Everybody has all of his, and who speaks Protobuf has about as many as others: chance is 20 % off at most."""
    json, binary = office.told(Wire), office.told(BinaryWire)
    assert json[0] == json[1]
    assert binary[0] == binary[1] == events - json[0]
    assert binary[0] > events // BINARY_EVERY * 4 // 5

"""A process that puts works into a file, does them too, and says which were acknowledged, until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.engines.queue.test_contract import PATIENCE, some
from tuanzi import wiring
from tuanzi.engines.queue.here import Here
from tuanzi.machinery.pool import Pool, PoolLimits
from tuanzi.machinery.workqueue import Work


async def never(work: Work) -> None:
    """Begin a work and never end."""
    await asyncio.Event().wait()


async def put(file: Path) -> None:
    """Put works until killed."""
    works = Here(file, patience=PATIENCE, now=wiring.wall_clock)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(works.work("crash", never, pool=Pool(PoolLimits(least=4), name="crash")))
        for i in range(1_000_000):
            await works.put(some("crash", 1, first=i))
            sys.stdout.write(f"w{i}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(put(Path(sys.argv[1])))

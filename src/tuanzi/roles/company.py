"""The demo's payment company: a WeChat Pay sandbox as a process of its own, started, watched and stopped (J4)."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

from tuanzi.money import NOTIFY_PATH, Merchant
from tuanzi.people import WechatApp

log = logging.getLogger("tuanzi.company")

START_S_MAX = 30
STOP_S_MAX = 5
AGAIN_S = 0.5
# The demo's merchants get most of what members pay; the company agreed to that.
TERMS = {"share_max": 10_000}


class CompanyFailed(Exception):
    """The sandbox did not start."""


class Company:
    """A sandbox process whose books are in `folder`; it ends when this process does, whatever ends it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self.address = ""

    async def start(self) -> None:
        """Start it, at the port it had before. Raises CompanyFailed."""
        words = ["-m", "sandboxes.wechatpay", "--data", str(self._folder), "--port", str(self._port)]
        words += ["--terms", json.dumps(TERMS), "--until-stdin-closes"]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the house, which ends it last
        )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_S_MAX):
                line = await self._process.stdout.readline()
            self.address = json.loads(line)["address"]
        except (TimeoutError, ValueError, KeyError) as error:
            raise CompanyFailed(f"the payment sandbox over {self._folder} did not start") from error
        self._port = int(self.address.rpartition(":")[2])
        log.info("company.serving", extra={"address": self.address, "pid": self._process.pid})

    def merchant(self, *, house_address: str) -> Merchant:
        """The merchant that it made for this house, which it reaches at `house_address`."""
        told = json.loads((self._folder / "merchant.json").read_text(encoding="utf-8"))

        def file(name: str) -> str:
            path = self._folder / str(told[f"{name}_file"])
            return path.read_text(encoding="ascii").strip()

        return Merchant(
            gateway=self.address,
            mchid=told["mchid"],
            appid=told["appid"],
            merchant_serial=told["merchant_serial"],
            merchant_key=file("merchant_key"),
            api_key=file("api_key"),
            public_key=file("public_key"),
            public_key_id=told["public_key_id"],
            notify_url=house_address + NOTIFY_PATH,
            pay_page=f"{self.address}/pay",
        )

    def app(self) -> WechatApp:
        """The mini program of that merchant, whose sign-in is played there too."""
        told = json.loads((self._folder / "merchant.json").read_text(encoding="utf-8"))
        secret = (self._folder / "app_secret").read_text(encoding="ascii").strip()
        return WechatApp(appid=told["appid"], secret=secret, gateway=self.address)

    async def watch(self) -> None:
        """Start it again whenever it ends, until this is cancelled."""
        while self._process is not None:
            ended = await self._process.wait()
            log.warning("company.ended", extra={"exit_status": ended})
            await asyncio.sleep(AGAIN_S)
            try:
                await self.start()
            except (CompanyFailed, OSError):
                log.exception("company.start_failed")

    async def stop(self) -> None:
        """End it and wait for that."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

"""The WeChat Pay sandbox as a process of its own, and what a test does to it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from servers.process import free_ports
from tuanzi.money import Merchant

ROOT = Path(__file__).parents[2]
START_S_MAX = 30


class CompanyProcess:
    """`python -m sandboxes.wechatpay` over a folder; `kill` ends it with SIGKILL, `start` goes on with its books."""

    def __init__(self, folder: Path, *, terms: Mapping[str, Any] | None = None, port: int = 0) -> None:
        """port: one that no client is given while it is away, unless somebody says otherwise."""
        self.folder = folder
        self.port = port or free_ports(1)[0]
        self._terms = json.dumps(terms or {})
        self.start()

    def start(self) -> None:
        """Start it, at the port it had before."""
        command = [sys.executable, "-m", "sandboxes.wechatpay", "--control", "--port", str(self.port)]
        # Whoever asks it gives up after 5 s, which a disk may take for one commit while everything else is tested too.
        command += ["--data", str(self.folder), "--terms", self._terms, "--not-durable"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the sandbox did not start"
        self.address = json.loads(line)["address"]
        self.port = int(self.address.rpartition(":")[2])
        self.merchant_file = json.loads((self.folder / "merchant.json").read_text())
        token = (self.folder / "control_token").read_text()
        self.http = httpx.Client(
            base_url=self.address, headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=60
        )

    def kill(self) -> None:
        """End it as a power cut would."""
        self.http.close()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self) -> int:
        """End it as Ctrl-C does; its exit code."""
        self.http.close()
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def merchant(
        self, *, notify_url: str = "http://127.0.0.1:9/{campus}/notify", with_public_key: bool = True
    ) -> Merchant:
        """The merchant that the sandbox made, by public key or by certificates."""
        told, folder = self.merchant_file, self.folder
        return Merchant(
            gateway=self.address,
            mchid=told["mchid"],
            appid=told["appid"],
            merchant_serial=told["merchant_serial"],
            merchant_key=(folder / told["merchant_key_file"]).read_text(),
            api_key=(folder / told["api_key_file"]).read_text(),
            public_key=(folder / told["public_key_file"]).read_text() if with_public_key else "",
            public_key_id=told["public_key_id"] if with_public_key else "",
            notify_url=notify_url,
        )

    def breaks(self, at: str, kind: str, **more: Any) -> None:
        """Have something go wrong; see sandboxes.wechatpay.faults."""
        assert self.http.post("/control/faults", json=[{"at": at, "kind": kind, **more}]).status_code == 204

    def hits(self) -> dict[str, int]:
        """What went wrong so far."""
        hits: dict[str, int] = self.http.get("/control/faults").json()["hits"]
        return hits

    def heal(self) -> None:
        """Have nothing go wrong any more."""
        assert self.http.delete("/control/faults").status_code == 204

    def set_clock(self, at: datetime, *, scale: float = 0.0) -> None:
        """What time it is there."""
        answer = self.http.post("/control/clock", json={"at": at.isoformat(), "scale": scale})
        assert answer.status_code == 200

    def forward(self, span: timedelta) -> None:
        """Let time pass there."""
        assert self.http.post("/control/clock", json={"forward_s": span.total_seconds()}).status_code == 200

    def forget(self) -> None:
        """Empty its books, heal it, and have its own time be the machine's again."""
        self.heal()
        assert self.http.delete("/control/books").status_code == 204

    def trade(self, number: str) -> dict[str, Any]:
        """All it knows of an order."""
        told: dict[str, Any] = self.http.get(f"/control/trades/{number}").json()
        return told

    def totals(self) -> dict[str, int]:
        """What was paid, refunded and shared in all."""
        told: dict[str, int] = self.http.get("/control/totals").json()
        return told

    def pay(self, number: str) -> httpx.Response:
        """The member pays on the pay page."""
        return self.http.post(f"/pay/{self.trade(number)['prepay_id']}/pay")

    def wait_for(
        self, number: str, event: str, *, state: str = "done", attempts: int = 0, seconds: float = 60
    ) -> dict[str, Any]:
        """The callback of an order once it is in this state and was tried so often."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for callback in self.trade(number)["callbacks"]:
                is_there = callback["event_type"] == event and callback["state"] == state
                if is_there and callback["attempts"] >= attempts:
                    return dict(callback)
            time.sleep(0.02)
        raise AssertionError(self.trade(number)["callbacks"])


@contextlib.contextmanager
def company(folder: Path, **terms: Any) -> Any:
    """A sandbox process for the time of a block."""
    process = CompanyProcess(folder, terms=terms)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()

"""A person can do the whole journey with the curl lines of the README, in both languages, on the demo (J4)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.process import free_ports

ROOT = Path(__file__).parents[2]
START_S_MAX = 60


class Demo:
    """`tuanzi run --demo`, or without it, on a port and folder of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.port, live_port = free_ports(2)
        self.log = folder / "log"
        environment = {**os.environ, "TUANZI_PORT": str(self.port), "TUANZI_DATA": str(folder / "data")}
        environment["TUANZI_LIVE_PORT"] = str(live_port)
        with self.log.open("wb") as log:
            command = [sys.executable, "-u", "-m", "tuanzi.roles.cli", "run", *words]
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait_for(self, pattern: str) -> str:
        """The first group of a pattern in what the demo printed."""
        ends = time.monotonic() + START_S_MAX
        while time.monotonic() < ends:
            found = re.search(pattern, self.log.read_text(encoding="utf-8"))
            if found is not None:
                return found.group(1)
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            time.sleep(0.05)
        raise AssertionError(f"{pattern} did not come:\n{self.log.read_text(encoding='utf-8')[-4000:]}")

    def curl(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET; 0 when nobody answers."""
        words = ["curl", "-sS", "-o", "-", "-w", "\n%{http_code}", f"http://127.0.0.1:{self.port}{path}"]
        body, _, status = subprocess.run(words, capture_output=True, check=False).stdout.rpartition(b"\n")
        return int(status or 0), body


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo whose catalog is there."""
    demo = Demo(tmp_path_factory.mktemp("demo"), "--demo")
    demo.wait_for("(api.serving)")
    ends = time.monotonic() + START_S_MAX
    while demo.curl("/v1/campuses/beijing/campaigns/beijing-always")[0] != 200:
        assert time.monotonic() < ends
        time.sleep(0.1)
    yield demo
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(timeout=60) == 0, demo.log.read_text(encoding="utf-8")[-4000:]


def journey_of(paper: str) -> str:
    """The shell lines of the journey in a README."""
    text = (ROOT / paper).read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", text, re.S) if "read -rp" in block]
    assert len(blocks) == 1
    return str(blocks[0])


@pytest.mark.parametrize(("paper", "phone"), [("README.md", "13812345671"), ("README.zh-CN.md", "13812345672")])
def test_the_lines_of_the_readme_take_a_person_through_the_whole_journey(demo: Demo, paper: str, phone: str) -> None:
    script = journey_of(paper).replace(":8000/", f":{demo.port}/").replace("13812345678", phone)
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    asking, after = script.split("read -rp 'code: ' code\n")
    assert shell.stdin is not None
    shell.stdin.write(asking + "echo\n")
    shell.stdin.flush()
    code = demo.wait_for(rf"code for {phone[:3]}\*\*\*\*{phone[-4:]}: (\d{{6}})")

    out, errors = shell.communicate(f"code={code}\n" + re.sub("^send ", "echo; send ", after, flags=re.M), timeout=120)

    assert errors == "", out
    said = [json.loads(line[line.index("{") :]) for line in out.splitlines() if "{" in line]
    seated, paid, group, order, ledger = said[1], said[2], said[3], said[4], said[5]
    assert seated["order_state"] == "created"
    assert (paid["trade_state"], paid["amount"]["total"]) == ("SUCCESS", seated["payable_fen"])
    assert group["group_id"] == seated["group_id"]
    assert order["paid_fen"] == order["payable_fen"] + order["refund_due_fen"] == seated["payable_fen"]
    assert ledger["order_id"] == seated["order_id"]


def test_the_pages_of_the_demo_are_not_empty(demo: Demo) -> None:
    ends = time.monotonic() + START_S_MAX
    counts = {"beijing": 0, "shanghai": 0}
    while min(counts.values()) == 0 and time.monotonic() < ends:
        for campus in counts:
            counts[campus] = len(json.loads(demo.curl(f"/v1/campuses/{campus}/groups")[1])["items"])
        time.sleep(0.1)

    home = demo.curl("/")

    assert min(counts.values()) > 0
    assert home[0] == 200
    assert "团子" in home[1].decode()


def test_outside_of_the_demo_no_code_is_shown(tmp_path: Path) -> None:
    house = Demo(tmp_path)
    try:
        house.wait_for("(api.serving)")
        ends = time.monotonic() + START_S_MAX
        while house.curl("/readyz")[0] != 200:
            assert time.monotonic() < ends
            time.sleep(0.05)
        body = '{"phone": "13812345678", "campus_id": "beijing"}'
        words = ["curl", "-sS", "-w", "%{http_code}", "-o", "/dev/null", "-H", "content-type: application/json"]
        asked = subprocess.run(
            [*words, "-d", body, f"http://127.0.0.1:{house.port}/v1/codes"], capture_output=True, text=True, check=True
        )

        why = house.wait_for('"reason": "([A-Za-z]+)"')
    finally:
        house.process.send_signal(signal.SIGINT)
        code = house.process.wait(timeout=120)

    printed = house.log.read_text(encoding="utf-8")
    assert asked.stdout == "202"
    assert why == "NoCodeSender"
    assert "code for" not in printed
    assert "13812345678" not in printed
    assert code == 0

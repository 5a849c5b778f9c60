"""Floors and doors: who may import whom (architecture section 5)."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.house.house import ANATOMY, House, Rule

# What stands above the rooms and may start simulated students.
MAY_SIMULATE = frozenset({"roles"})
# Packages of this house.
OWN = frozenset({"tuanzi", "simulation", "sandboxes", "servers"})
# The module of a package, where they are called differently.
PACKAGES = {
    "PyMySQL": "pymysql",
    "aio-pika": "aio_pika",
    "confluent-kafka": "confluent_kafka",
    "pillow": "PIL",
    "prometheus-client": "prometheus_client",
    "protobuf": "google",
    "zen-engine": "zen",
}


def past_the_door(house: House) -> Iterator[str]:
    """Imports of another room's inner modules, in all of src; wiring and roles are no exception."""
    for module in house.under("src"):
        for node, name in module.imports():
            parts = name.split(".")
            if parts[0] != "tuanzi" or len(parts) < 3 or parts[1] not in house.rooms or parts[1] == module.room:
                continue
            if parts[2] in ANATOMY:
                yield module.at(node, f"{name} is inside of the room {parts[1]}")


def private_imports(house: House) -> Iterator[str]:
    """Imports of a name that another file keeps to itself."""
    for module in house.under("src"):
        for node, name in module.imports():
            last = name.rpartition(".")[2]
            if last.startswith("_") and name.split(".")[0] in OWN:
                yield module.at(node, f"{name} is private")


def lifted_floors(house: House) -> Iterator[str]:
    """What import-linter finds with the contracts of pyproject.toml."""
    command = Path(sys.executable).with_name("lint-imports")
    source = str(house.root / "src")
    result = subprocess.run(
        [str(command), "--no-cache", "--config", "pyproject.toml"],
        cwd=house.root,
        env={**os.environ, "PYTHONPATH": source, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        _, _, broken = result.stdout.partition("Broken contracts")
        # Its logo is drawn in box characters.
        lines = (broken or result.stdout + result.stderr).splitlines()
        yield from (line for line in lines if line.strip() and line.isascii())


def rooms_without_contract(house: House) -> Iterator[str]:
    """Rooms that a contract of rooms does not name beside others, and names there without a room."""
    contracts = tomllib.loads(house.read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    rooms = {f"tuanzi.{room}" for room in house.rooms}
    for contract in contracts:
        for field in ("containers", "forbidden_modules"):
            named = {name for name in contract.get(field, ()) if name.startswith("tuanzi.")} - {"tuanzi.machinery"}
            if named & rooms and named != rooms:
                yield f"pyproject.toml: {contract['name']!r} differs from the rooms in {sorted(named ^ rooms)}"


def simulation_in_the_house(house: House) -> Iterator[str]:
    """Business code that knows of simulation, sandboxes or tests."""
    for module in house.under("src/tuanzi"):
        if module.room in MAY_SIMULATE:
            continue
        for node, name in module.imports():
            if name.split(".")[0] in ("simulation", "sandboxes", "tests", "benchmarks"):
                yield module.at(node, f"imports {name}")


def sandboxes_that_know_us(house: House) -> Iterator[str]:
    """Sandboxes that import tuanzi."""
    for module in house.under("src/sandboxes"):
        for node, name in module.imports():
            if name.split(".")[0] == "tuanzi":
                yield module.at(node, f"imports {name}")


def unlisted_packages(house: House) -> Iterator[str]:
    """Imports of src that requirements.in does not name."""
    lines = (line.partition("#")[0].partition("==")[0].strip() for line in house.read("requirements.in").splitlines())
    listed = {PACKAGES.get(line, line) for line in lines}
    own = OWN | sys.stdlib_module_names
    for module in house.under("src"):
        for node, name in module.imports():
            if name.split(".")[0] not in own | listed:
                yield module.at(node, f"imports {name}")


_TWO_FLOORS = """
[tool.importlinter]
root_package = "tuanzi"
[[tool.importlinter.contracts]]
name = "Floors"
type = "layers"
containers = ["tuanzi"]
layers = ["roles", "base"]
"""

RULES = (
    Rule(
        says="rooms are entered by the door",
        instead="export it in the room's __init__.py and import it from there: `from tuanzi.stock import hold`",
        find=past_the_door,
        planted={
            "src/tuanzi/stock/service.py": "def hold() -> None: ...",
            "src/tuanzi/orders/service.py": "from tuanzi.stock import service",
        },
        caught="src/tuanzi/orders/service.py:1: tuanzi.stock.service is inside",
    ),
    Rule(
        says="the simulation enters by the doors too",
        instead="use `tuanzi.wiring` and what the rooms' doors export",
        find=past_the_door,
        planted={
            "src/tuanzi/stock/store.py": "",
            "src/simulation/students.py": "import tuanzi.stock.store",
        },
        caught="src/simulation/students.py:1: tuanzi.stock.store is inside",
    ),
    Rule(
        says="a private name stays in its file",
        instead="name it without the underscore and say in a docstring what it gives, or move its only user to it",
        find=private_imports,
        planted={"src/tuanzi/stock/model/holds.py": "from tuanzi.stock.model.meals import _next"},
        caught="tuanzi.stock.model.meals._next is private",
    ),
    Rule(
        says="imports go down (import-linter)",
        instead="call down through a door; what must travel up or sideways is an event, heard in wiring/hearing.py",
        find=lifted_floors,
        planted={
            "pyproject.toml": _TWO_FLOORS,
            "src/tuanzi/__init__.py": "",
            "src/tuanzi/base/__init__.py": "from tuanzi import roles",
            "src/tuanzi/roles/__init__.py": "",
        },
        caught="tuanzi.base is not allowed to import tuanzi.roles",
    ),
    Rule(
        says="every room has its contracts",
        instead="name the room in the `containers` and `forbidden_modules` lists of pyproject.toml",
        find=rooms_without_contract,
        planted={
            "pyproject.toml": '[[tool.importlinter.contracts]]\nname = "Anatomy"\ncontainers = ["tuanzi.stock"]',
            "src/tuanzi/stock/__init__.py": "",
            "src/tuanzi/garden/__init__.py": "",
        },
        caught="tuanzi.garden",
    ),
    Rule(
        says="business code knows no simulation",
        instead="let simulation and sandboxes stand outside and come in through wiring or a port",
        find=simulation_in_the_house,
        planted={"src/tuanzi/stock/service.py": "import simulation.students"},
        caught="imports simulation.students",
    ),
    Rule(
        says="sandboxes know no tuanzi",
        instead="write the sandbox from the vendor's own documentation; what both need is the vendor's protocol",
        find=sandboxes_that_know_us,
        planted={"src/sandboxes/wechat.py": "from tuanzi.base.money import Money"},
        caught="imports tuanzi.base.money.Money",
    ),
    Rule(
        says="what runs in production is in requirements.in",
        instead="add the package to requirements.in and run `make lock`, or do without it",
        find=unlisted_packages,
        planted={"requirements.in": "msgspec==0.22.0\n", "src/tuanzi/stock/model.py": "import msgspec\nimport numpy"},
        caught="src/tuanzi/stock/model.py:2: imports numpy",
    ),
)

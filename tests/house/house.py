"""The source tree as the rules see it, and what a rule is."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

# What stands under src/tuanzi and is no room.
STRUCTURE = frozenset({"base", "machinery", "engines", "ops", "wiring", "installation", "roles", "migrations"})
# The parts of a room besides its door. Each is a file or, where one would be too long, a folder of the same name: its
# modules hold one idea each, and its `__init__` says which stands where. To every rule the folder is that part.
ANATOMY = frozenset({"problems", "model", "store", "service", "handlers", "queries", "web", "vendors"})
# Which are folders, never a file.
FOLDERS = frozenset({"vendors"})


@dataclass(frozen=True, slots=True)
class Module:
    """One parsed Python file; `path` is relative to the root of the house."""

    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder right under src/tuanzi that it stands in, or its own name; '' outside of src/tuanzi."""
        parts = self.path.parts
        return parts[2].removesuffix(".py") if parts[:2] == ("src", "tuanzi") else ""

    @property
    def kind(self) -> str:
        """Which part of its room it is: 'service', 'store', ... and '__init__' for the door."""
        return self.path.parts[3].removesuffix(".py") if len(self.path.parts) > 3 else ""

    def at(self, node: ast.AST, what: str) -> str:
        """A violation, as a line that an editor can jump to."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {what}"

    def calls(self) -> Iterator[ast.Call]:
        """Every call in the file."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method in the file."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    def classes(self) -> Iterator[ast.ClassDef]:
        """Every class in the file."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))

    def imports(self) -> Iterator[tuple[ast.stmt, str]]:
        """Each import as a dotted name: `from tuanzi.stock import hold` is tuanzi.stock.hold."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                start = self._package(node.level) if node.level else ""
                base = ".".join(part for part in (start, node.module or "") if part)
                yield from ((node, f"{base}.{alias.name}") for alias in node.names)

    def _package(self, level: int) -> str:
        inside = self.path.parts[1:] if self.path.parts[0] == "src" else self.path.parts
        return ".".join(inside[:-level])


@dataclass(frozen=True)
class House:
    """A checkout: the real one, or a planted one that breaks a rule."""

    root: Path

    @cached_property
    def rooms(self) -> tuple[str, ...]:
        """The names of the rooms that exist."""
        folders = [path.parent.name for path in (self.root / "src/tuanzi").glob("*/*.py")]
        return tuple(sorted(set(folders) - STRUCTURE))

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """Every Python file of src, tests and benchmarks, parsed, in the order of their paths."""
        paths = sorted(path for top in ("src", "tests", "benchmarks") for path in (self.root / top).rglob("*.py"))
        return tuple(
            Module(path.relative_to(self.root), ast.parse(path.read_text(encoding="utf-8"), str(path)))
            for path in paths
        )

    def under(self, folder: str) -> list[Module]:
        """The modules below a folder, e.g. 'src/tuanzi'."""
        return [module for module in self.modules if module.path.is_relative_to(folder)]

    def in_rooms(self, *names: str, kinds: tuple[str, ...] = ()) -> list[Module]:
        """The modules of all rooms, or of those named; of these kinds only, when given."""
        return [
            module
            for module in self.under("src/tuanzi")
            if module.room in (names or self.rooms)
            and module.room in self.rooms
            and (module.kind in kinds or not kinds)
        ]

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """What git keeps or would keep, relative to the root; every file where there is no git."""
        if not (self.root / ".git").exists():
            return tuple(sorted(path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file()))
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=self.root,
            capture_output=True,
            check=True,
        )
        paths = sorted({Path(name) for name in listed.stdout.decode().split("\0") if name})
        return tuple(path for path in paths if (self.root / path).is_file())

    def read(self, path: Path | str) -> str:
        """A file's text; bytes that are no UTF-8 are replaced, a missing file is empty."""
        file = self.root / path
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


@dataclass(frozen=True)
class Rule:
    """One rule of the house.

    says: the rule as a sentence. instead: what to do instead of breaking it.
    find: gives each violation as one line.
    planted: files by path that break it; `caught`: a part of the violation that must then be found.
    """

    says: str
    instead: str
    find: Callable[[House], Iterator[str]]
    planted: Mapping[str, str] = field(repr=False)
    caught: str

    def __str__(self) -> str:
        return self.says


def plant(root: Path, files: Mapping[str, str]) -> House:
    """A small house under `root` with nothing in it but these files."""
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return House(root)

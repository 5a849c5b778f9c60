"""What is kept beside the code: READMEs, decisions, locks, and nothing of one machine (style 81, 85)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.house.house import House, Rule

MACHINE_PATH = re.compile(r"/w[o]rk/|/f[a]rm/|/r[o]ot/|/h[o]me/[a-z]|/t[m]p/[a-z]")
DOWNLOAD = re.compile(
    r'"resolved": *"https?:|(extra-)?index-url +https?:|--find-links|https?://[^ ]+\.(whl|tgz|tar\.gz)'
)
SHOWN = re.compile(r"`make ([a-z]+)|^ *\$? *make ([a-z]+)", re.MULTILINE)
SECTIONS = ("## Context", "## Decision", "## Consequences", "## Enforced by")


def unknown_commands(house: House) -> Iterator[str]:
    """`make` commands that the papers show and the Makefile does not have."""
    targets = set(re.findall(r"^([a-z]+):", house.read("Makefile"), re.MULTILINE))
    for path in house.files:
        if path.suffix == ".md":
            for shown in sorted({a or b for a, b in SHOWN.findall(house.read(path))} - targets):
                yield f"{path}: shows `make {shown}`"


def machine_paths(house: House) -> Iterator[str]:
    """Lines of kept files that name a place on one machine."""
    yield from _lines(house, MACHINE_PATH)


def download_addresses(house: House) -> Iterator[str]:
    """Lines of kept files that say where a package is downloaded from."""
    yield from _lines(house, DOWNLOAD, but="tests/house/rules/papers.py")


def loose_locks(house: House) -> Iterator[str]:
    """Locked requirements without a hash."""
    for path in house.files:
        if re.fullmatch(r"requirements.*\.txt", path.name):
            for package in re.findall(r"^(\w\S*)(?! *\S* *\\\n +--hash=)", house.read(path), re.MULTILINE):
                yield f"{path}: {package} has no hash"


def long_decisions(house: House) -> Iterator[str]:
    """Decision records of 30 lines and more, or with a part missing."""
    for path in house.files:
        if path.parts[:2] == ("docs", "decisions"):
            text = house.read(path)
            if text.count("\n") >= 30:
                yield f"{path}: has {text.count(chr(10))} lines"
            yield from (f"{path}: has no {part!r}" for part in SECTIONS if part not in text)


def papers_in_one_language(house: House) -> Iterator[str]:
    """READMEs whose sections have no counterpart in the other language."""
    english, chinese = (house.read(name).count("\n## ") for name in ("README.md", "README.zh-CN.md"))
    if english != chinese:
        yield f"README.md has {english} sections, README.zh-CN.md {chinese}"


def _lines(house: House, pattern: re.Pattern[str], but: str = "") -> Iterator[str]:
    for path in house.files:
        if str(path) != but:
            for number, line in enumerate(house.read(path).splitlines(), start=1):
                if pattern.search(line):
                    yield f"{path}:{number}: {line.strip()[:80]}"


RULES = (
    Rule(
        says="commands that are shown exist",
        instead="correct the paper, or add the target to the Makefile",
        find=unknown_commands,
        planted={"Makefile": "run:\n\ttrue\n", "README.md": "Say `make tea`."},
        caught="README.md: shows `make tea`",
    ),
    Rule(
        says="no file names a place on one machine",
        instead="use a relative path, a setting, or tempfile and tmp_path",
        find=machine_paths,
        planted={"benchmarks/writer.py": "WHERE = '/" + "tmp/bench'"},
        caught="benchmarks/writer.py:1",
    ),
    Rule(
        says="no file says where packages are downloaded",
        instead="lock with `make lock`, which writes hashes and no addresses",
        find=download_addresses,
        planted={"requirements.txt": "--find-links somewhere"},
        caught="requirements.txt:1",
    ),
    Rule(
        says="locked requirements carry hashes",
        instead="lock with `make lock`",
        find=loose_locks,
        planted={"requirements.txt": "msgspec==0.22.0\n"},
        caught="msgspec==0.22.0 has no hash",
    ),
    Rule(
        says="a decision fits a screen",
        instead=f"say it in under 30 lines with {', '.join(SECTIONS)}",
        find=long_decisions,
        planted={"docs/decisions/0001-x.md": "## Context\n## Decision\n## Consequences\n"},
        caught="has no '## Enforced by'",
    ),
    Rule(
        says="the READMEs say the same in both languages",
        instead="change README.md and README.zh-CN.md together",
        find=papers_in_one_language,
        planted={"README.md": "# T\n\n## Run\n", "README.zh-CN.md": "# T\n"},
        caught="README.md has 1 sections, README.zh-CN.md 0",
    ),
)

"""What the pages say, read from their own files of texts: a journey is told once for both languages."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PAGES = Path(__file__).parents[2] / "web"
LANGUAGES = ("zh-CN", "en")
# A key, and its text between single or double quotes; prettier puts long ones on a line of their own.
_LINE = re.compile(r"""^ +'?([\w/-]+)'?:\s+(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"),$""", re.M)


class Texts:
    """The texts of an app in a language: `texts("joinNow", n=2)`."""

    def __init__(self, app: str, language: str) -> None:
        self.language = language
        self._texts = _read(app, language)

    def __call__(self, key: str, **holes: object) -> str:
        """The text of a key, its holes filled; `{n|seat|seats}` is the word that goes with one, or with more."""

        def filled(hole: re.Match[str]) -> str:
            name, one, more = hole.groups()
            return str(holes[name]) if one is None else str(one if holes[name] == 1 else more)

        return re.sub(r"\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}", filled, self._texts[key])


@cache
def _read(app: str, language: str) -> dict[str, str]:
    folder = PAGES / app / "src/locale"
    if app == "student":
        parts = [(folder / f"{language}.ts").read_text(encoding="utf-8")]
    else:
        areas = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.ts")) if path.stem != "index"]
        parts = [area.partition("export const en")[0 if language == "zh-CN" else 2] for area in areas]
    return {key: single or double for part in parts for key, single, double in _LINE.findall(part)}

"""Every setting there is, what it is here, and what is wrong with it: `tuanzi settings` (J4).

What there is, is found by reading the settings and remembering what was asked for: so no second list can lag behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from tuanzi.roles.where import without_password
from tuanzi.settings import INPROCESS, SECRET_BYTES_MIN, WECHAT, SettingWrong, read_settings

_PROBED_MAX = 100
STRANGE = "there is no such setting"
_VALUE_FOR = {"TUANZI_WECHAT_NOTIFY_URL": "https://tuanzi.example.edu"}


class Setting(Struct, frozen=True, kw_only=True):
    """A setting as it may be shown. value: what is used, a secret masked; None when nothing is."""

    name: str
    value: str | None
    is_set: bool
    wrong: str = ""


def known_settings() -> dict[str, str | None]:
    """The name of every setting there is, with its default."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "given"
        file.write_text("x" * SECRET_BYTES_MIN, encoding="ascii")
        defaults = _asked({"TUANZI_DATA": folder})
        given = {"TUANZI_DATA": folder, "TUANZI_DATABASE": "mysql://a@b/c", "TUANZI_PAYMENTS": WECHAT}
        given |= {"TUANZI_DATABASE_PASSWORD_FILE": str(file), "TUANZI_WECHAT_PUBLIC_KEY_ID": "x"}
        given |= {"TUANZI_SMS_ACCESS_KEY_ID": "x", "TUANZI_WECHAT_APP_SECRET_FILE": str(file)}
        known: dict[str, str | None] = {}
        # Whatever is missing is given, until nothing is: each round makes one more name known.
        for _ in range(_PROBED_MAX):
            asked = _asked(given)
            missing = [name for name in asked if name not in known and name not in given and name not in defaults]
            known |= asked
            if not missing:
                break
            given |= {name: _VALUE_FOR.get(name, str(file) if name.endswith("_FILE") else "x") for name in missing}
    return {**known, **defaults, "TUANZI_DATA": "./data", "TUANZI_SECRET_FILE": "<data>/secret"}


def list_settings(environment: Mapping[str, str]) -> list[Setting]:
    """Every setting, by name; those too that nobody knows, for they are misspelt. Each wrong one says what is wrong.

    Makes the data folder and its secret when absent, as every process does that reads its settings.
    """
    known = known_settings()
    asked, wrong = _wrong_in(environment)
    known = {name: default if asked.get(name) is None else asked[name] for name, default in known.items()}
    strange = {name for name in environment if name.startswith("TUANZI_")} - known.keys()
    listed = []
    for name in sorted({*known, *strange, *wrong}):
        value = environment.get(name, known.get(name))
        listed.append(
            Setting(
                name=name,
                value=None if value is None else shown(name, value),
                is_set=name in environment,
                wrong=STRANGE if name in strange else wrong.get(name, ""),
            )
        )
    return listed


def shown(name: str, value: str) -> str:
    """A setting's value as it may be shown."""
    if name == "TUANZI_DATABASES":
        words = [word.partition("=") for word in value.split()]
        return " ".join(f"{without_password(campus)}{equals}{without_password(url)}" for campus, equals, url in words)
    is_secret = any(word in name for word in ("SECRET", "PASSWORD", "KEY")) and not name.endswith("_FILE")
    return "***" if is_secret and value else without_password(value)


class Recorded(Mapping[str, str]):
    """An environment that remembers which names were asked for, and which default each has."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.asked: dict[str, str | None] = {}
        self.last = ""
        self._environment = environment

    def __getitem__(self, name: str) -> str:
        self.asked.setdefault(name, None)
        self.last = name
        return self._environment[name]

    def get(self, name: str, default: Any = None) -> Any:
        """As a mapping's."""
        if self.asked.get(name) is None:
            self.asked[name] = None if default is None else str(default)
        self.last = name
        return self._environment.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    def __len__(self) -> int:
        return len(self._environment)


def _asked(environment: Mapping[str, str]) -> dict[str, str | None]:
    """The names that are asked for in this environment, until one is wrong."""
    recorded = Recorded(environment)
    with suppress(SettingWrong):
        read_settings(recorded)
    return recorded.asked


def _wrong_in(environment: Mapping[str, str]) -> tuple[dict[str, str | None], dict[str, str]]:
    """What is asked for, and what is wrong by name: each time without those that were wrong before."""
    left = dict(environment)
    asked: dict[str, str | None] = {}
    wrong: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_PROBED_MAX):
            recorded = Recorded(left)
            try:
                read_settings(recorded)
            except SettingWrong as error:
                name = _name_in(str(error), recorded)
                if name in wrong:
                    break
                wrong[name] = str(error)
                if name == "TUANZI_DATA":
                    left[name] = folder
                elif left.pop(name, None) is None:
                    left["TUANZI_PAYMENTS"] = INPROCESS  # it is missing, and only payments miss something
                asked = {**recorded.asked, **asked}
                continue
            asked = {**recorded.asked, **asked}
            break
    return asked, wrong


def _name_in(message: str, recorded: Recorded) -> str:
    """The setting that a message is about: named in it, else the last that was read."""
    named = [name for name in recorded.asked if message.startswith(name)]
    return max(named, key=len) if named else recorded.last

"""`tuanzi backup` and `tuanzi restore`: a house's files as they all stood at one moment (J4, E1)."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from tuanzi import live
from tuanzi.engines.database.copying import Copied, check_copy, copy_at_once, sync
from tuanzi.engines.database.sqlite import Sqlite
from tuanzi.machinery.database import DatabaseError
from tuanzi.people import Keys, are_sealed_otherwise
from tuanzi.roles.folder import FolderLock, held_by_another
from tuanzi.settings import SECRET_BYTES_MIN, Settings, SettingWrong, read_settings
from tuanzi.wiring import CAMPUS_DATABASES, file_of, files_in, wall_clock

CONTENTS = "backup.json"
SECRET = "secret"


class Contents(Struct, frozen=True, kw_only=True):
    """What a backup holds. held_ms: for how long nothing could be committed."""

    at: datetime
    databases: list[Copied]
    held_ms: float
    has_secret: bool


def backup(arguments: Sequence[str]) -> int:
    """`tuanzi backup`: 0 when the folder holds a whole backup."""
    parser = argparse.ArgumentParser(
        prog="tuanzi backup",
        description="Copy all databases of TUANZI_DATA as they stand at one moment, and the secret that is kept there,"
        " into a new folder; the house may run (docs/runbooks/backup.md).",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="that is not there yet, best on another disk")
    parser.add_argument("--json", action="store_true", help="say what it holds as JSON")
    options = parser.parse_args(arguments)
    try:
        contents = _back_up(read_settings(), options.folder)
    except (SettingWrong, DatabaseError, OSError) as error:
        return _say(f"tuanzi: {error}", 1)
    if options.json:
        print(msgspec.json.encode(contents).decode())
        return 0
    for each in contents.databases:
        print(f"{each.name:24}{each.size_bytes / 1024**2:10.1f} MiB  up to event {each.event_number}")
    if not contents.has_secret:
        print("The house's secret is not in it: keep TUANZI_SECRET or its file too, or no phone can be read again.")
    return _say(f"{options.folder} is a whole backup; for {contents.held_ms:.0f} ms nobody could commit")


def restore(arguments: Sequence[str]) -> int:
    """`tuanzi restore`: 0 when TUANZI_DATA holds what the backup held."""
    parser = argparse.ArgumentParser(
        prog="tuanzi restore",
        description="Fill TUANZI_DATA, in which there must be no database, from a folder that `tuanzi backup` made."
        " What happened since the backup is gone (docs/runbooks/backup.md).",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    options = parser.parse_args(arguments)
    try:
        settings = read_settings()
        with FolderLock(settings.data) as lock:
            if lock is None:
                return _say(f"tuanzi: {held_by_another(settings.data)}", 1)
            contents = _restore(settings, options.folder)
    except (SettingWrong, DatabaseError, OSError) as error:
        return _say(f"tuanzi: {error}", 1)
    return _say(f"{settings.data} is as it was at {contents.at.isoformat(timespec='seconds')}")


# By their names on the command line.
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"backup": backup, "restore": restore}


def _back_up(settings: Settings, folder: Path) -> Contents:
    """Make a backup beside whoever works there; the folder is only there when it is whole."""
    named = ["platform", *(f"{campus}.{kind}" for campus in settings.campuses for kind in CAMPUS_DATABASES)]
    for name in named:
        if settings.server_of(name) is not None:
            raise SettingWrong(f"{name} is on a server: its own tools make backups there (docs/runbooks/backup.md)")
    # Those too that the settings of this call do not name: whoever restores wants what was there.
    names = list(dict.fromkeys([*named, *files_in(settings.data)]))
    if folder.exists():
        raise FileExistsError(f"{folder} is there already")
    making = folder.with_name(f"{folder.name}.part")
    making.mkdir(mode=0o700, parents=True)
    try:
        at = wall_clock()
        sources = {name: file_of(settings.data, name) for name in names}
        copied, held_s = copy_at_once(sources, {name: file_of(making, name) for name in names})
        has_secret = _is_of_house(settings.data / SECRET, file_of(making, "platform"))
        if has_secret:
            _copy_private(settings.data / SECRET, making / SECRET)
        contents = Contents(at=at, databases=copied, held_ms=round(held_s * 1000, 1), has_secret=has_secret)
        (making / CONTENTS).write_bytes(msgspec.json.format(msgspec.json.encode(contents), indent=1))
        for path in (*{file_of(making, name).parent for name in names}, making / CONTENTS, making):
            sync(path)
        making.rename(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    sync(folder.absolute().parent)
    return contents


def _is_of_house(secret: Path, platform: Path) -> bool:
    """Whether the secret that lies there is the one under which people are kept; a process without the settings of the
    house makes one too, which opens nothing."""
    if not secret.exists():
        return False
    content = secret.read_bytes().strip()
    if len(content) < SECRET_BYTES_MIN:
        return False
    with closing(Sqlite(platform)) as database:
        return not are_sealed_otherwise(database.rows, keys=Keys(content))


def _restore(settings: Settings, folder: Path) -> Contents:
    """Fill the data folder. What it raises leaves no database there."""
    try:
        contents = msgspec.json.decode((folder / CONTENTS).read_bytes(), type=Contents)
    except FileNotFoundError:
        raise SettingWrong(f"{folder} is no backup: it has no {CONTENTS}") from None
    except msgspec.MsgspecError as error:
        raise SettingWrong(f"{folder / CONTENTS}: {error}") from error
    there = {each.name: file_of(settings.data, each.name) for each in contents.databases}
    for path in there.values():
        if path.exists():
            raise FileExistsError(f"{path} is there: set TUANZI_DATA to another folder, or take the old one away")
    made: list[Path] = []
    try:
        for each in contents.databases:
            path = there[each.name]
            path.parent.mkdir(parents=True, exist_ok=True)
            made.append(path.with_name(f"{path.name}.part"))
            shutil.copyfile(file_of(folder, each.name), made[-1])
            found = check_copy(each.name, made[-1])
            if (found.position, found.event_number) != (each.position, each.event_number):
                raise SettingWrong(f"{folder}: {each.name} is not what was backed up")
            if each.name.endswith(".notices"):
                _begin_anew(made[-1])
            sync(made[-1])
        if contents.has_secret:
            _copy_private(folder / SECRET, settings.data / SECRET)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    # The platform's last: without it no house begins here (`check_files`), so none goes on with a half of what was.
    for path in sorted(made, key=lambda path: path.parent == settings.data):
        path.rename(path.with_suffix(""))
        sync(path.parent)
    return contents


def _begin_anew(path: Path) -> None:
    """Phones may have been told more than is known now, under numbers that go to other messages: so they are to load
    their pages anew."""
    database = Sqlite(path)
    try:
        live.rename_history(database, fresh=secrets.token_hex(8))
    finally:
        database.close()


def _copy_private(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)
    target.write_bytes(source.read_bytes())
    sync(target)


def _say(text: str, status: int = 0) -> int:
    print(text, file=sys.stderr, flush=True)
    return status

"""E4: logs are JSON of ECS for machines, and lines to read where somebody looks at a terminal."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from tuanzi.roles.logs import log_structured

log = logging.getLogger("tuanzi.test")


class Terminal(io.StringIO):
    """Where somebody looks."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def said_on(stream: io.StringIO) -> str:
    """What three records become there: one with facts, one filtered by its level, one with a stack trace."""
    log_structured(stream)
    log.info("api.serving", extra={"address": "http://127.0.0.1:8000", "pid": 7})
    log.debug("never")
    try:
        raise ValueError("团子")
    except ValueError:
        log.exception("desk.broke", extra={"desk": "beijing.core"})
    return stream.getvalue()


def test_a_machine_reads_one_json_object_a_line() -> None:
    serving, broke = map(json.loads, said_on(io.StringIO()).splitlines())

    at = serving.pop("@timestamp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", at)
    assert serving == {
        "log.level": "info",
        "log.logger": "tuanzi.test",
        "message": "api.serving",
        "tuanzi": {"address": "http://127.0.0.1:8000", "pid": 7},
    }
    assert (broke["log.level"], broke["error.type"], broke["tuanzi"]) == (
        "error",
        "ValueError",
        {"desk": "beijing.core"},
    )
    assert broke["error.stack_trace"].endswith("ValueError: 团子")


def test_a_person_reads_lines() -> None:
    serving, broke, *trace = said_on(Terminal()).splitlines()

    assert re.fullmatch(r"\d\d:\d\d:\d\d info    api\.serving  address=http://127\.0\.0\.1:8000  pid=7", serving)
    assert re.fullmatch(r"\d\d:\d\d:\d\d error   desk\.broke  desk=beijing\.core", broke)
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == "ValueError: 团子"

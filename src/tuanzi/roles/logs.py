"""Structured logs on standard error: a JSON object of ECS a line (E4), or lines to read where that is a terminal."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """A record as one line of JSON; what was given as `extra` are fields under `tuanzi`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "log.level": record.levelname.lower(),
            "log.logger": record.name,
            "message": record.getMessage(),
        }
        if facts := _facts(record):
            line["tuanzi"] = facts
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["error.type"] = record.exc_info[0].__name__
            line["error.stack_trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TerminalLines(logging.Formatter):
    """A record for who looks at a terminal: this machine's time, how bad it is, what happened, and about what."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the lines of a stack trace."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        facts = "".join(f"  {name}={fact}" for name, fact in _facts(record).items())
        line = f"{at} {record.levelname.lower():8}{record.getMessage()}{facts}"
        if record.exc_info is not None and record.exc_info[0] is not None:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _facts(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def log_structured(stream: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Have everything logged: JSON lines for machines, lines to read where `stream` (standard error) is a terminal."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TerminalLines() if stream.isatty() else JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)

"""`python -m sandboxes.wechatpay --data FOLDER`: prints one line of JSON with its address when it listens."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec

from sandboxes.wechatpay.book import Book, Clock
from sandboxes.wechatpay.company import Company, Terms
from sandboxes.wechatpay.faults import Fault, Faults
from sandboxes.wechatpay.keys import Keys
from sandboxes.wechatpay.server import serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandboxes.wechatpay", description="WeChat Pay v3 on this machine.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, help="folder of the books and of the credentials")
    parser.add_argument("--public-url", default="", help="the address that others reach it at")
    parser.add_argument("--faults", type=Path, help="a JSON list of faults that are on from the start")
    parser.add_argument("--terms", default="{}", help='JSON, e.g. {"share_max": 10000, "refund_s": 0}')
    parser.add_argument("--time-scale", type=float, default=1.0, help="how much faster its own time goes by")
    parser.add_argument("--at", help="what time it is there at first, RFC 3339")
    parser.add_argument("--seed", type=int, default=0, help="of the chance that faults go by")
    parser.add_argument("--control", action="store_true", help="allow /control to whoever has FOLDER/control_token")
    parser.add_argument(
        "--not-durable", action="store_true", help="wait for no disk, which only a machine without power minds"
    )
    parser.add_argument("--until-stdin-closes", action="store_true", help="end with the process that started it")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    try:
        faults = [] if options.faults is None else msgspec.json.decode(options.faults.read_bytes(), type=list[Fault])
        terms = msgspec.json.decode(options.terms, type=Terms)
        at = None if options.at is None else datetime.fromisoformat(options.at)
    except (OSError, ValueError) as error:
        print(f"sandboxes.wechatpay: {error}", file=sys.stderr)
        return 2
    keys = Keys(options.data)
    token = _token(options.data) if options.control else ""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((options.host, options.port))
    address = f"http://{options.host}:{listening.getsockname()[1]}"
    book = Book(options.data / "wechatpay.db", is_durable=not options.not_durable)
    company = Company(
        keys=keys,
        book=book,
        clock=_clock(book, at=at, scale=options.time_scale),
        terms=terms,
        faults=Faults(Random(options.seed), faults),
        public_url=options.public_url or address,
    )
    listening.listen(1024)
    print(json.dumps({"address": address, "data": str(options.data)}), flush=True)
    asyncio.run(serve(company, listening=listening, control_token=token, with_stdin=options.until_stdin_closes))
    return 0


def _clock(book: Book, *, at: datetime | None, scale: float) -> Clock:
    """The clock as it was set last, gone on since; one that stands still stands where it stood."""
    clock = Clock(lambda: datetime.now(UTC), at=at, scale=scale)
    kept = book.recall("clock")
    if kept is not None:
        text, kept_scale, since = json.loads(kept)
        clock.set(at=datetime.fromisoformat(text), scale=float(kept_scale), since=datetime.fromisoformat(since))
    return clock


def _token(folder: Path) -> str:
    path = folder / "control_token"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text().strip()


if __name__ == "__main__":
    sys.exit(main())

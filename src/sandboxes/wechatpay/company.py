"""What every part of the sandbox shares: keys, books, time, terms, faults, and numbers as WeChat makes them."""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import dataclass
from typing import Any

from msgspec import Struct, field

from sandboxes.wechatpay.book import Book, Clock, from_ms, to_ms
from sandboxes.wechatpay.faults import Faults
from sandboxes.wechatpay.keys import Keys

WHOLE = 10_000


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was agreed with the merchant, and how fast things go, in seconds of the sandbox's time.

    share_max, fee: of 10,000. share_wait_s: how long after its payment a trade cannot be shared.
    sharing_notify_url: who is told of every part that was given; nobody when empty.
    rates: requests a second by endpoint; more are answered 429.
    """

    share_max: int = 3000
    fee: int = 0
    shares_max: int = 50
    receivers_max: int = 50
    refunds_max: int = 50
    returns_max: int = 20
    refund_s: float = 1.0
    share_s: float = 2.0
    return_s: float = 0.0
    share_wait_s: float = 30.0
    sharing_notify_url: str = ""
    rates: dict[str, int] = field(default_factory=lambda: {"prepay": 600, "refund": 150, "share": 300, "query": 600})


@dataclass(frozen=True, slots=True)
class Company:
    """The payment company: all that its parts work with."""

    keys: Keys
    book: Book
    clock: Clock
    terms: Terms
    faults: Faults
    public_url: str

    def now_ms(self) -> int:
        """What time it is here."""
        return to_ms(self.clock.now())

    def number(self, prefix: str, *, now_ms: int) -> str:
        """A number of 28 digits as WeChat makes them: a prefix, the day, a sequence; inside a change."""
        head = prefix + from_ms(now_ms).strftime("%Y%m%d")
        return head + str(self.book.count("number")).zfill(28 - len(head))

    def tell(
        self, event_type: str, *, trade: sqlite3.Row, url: str, original_type: str, summary: str, resource: Any
    ) -> None:
        """Put a callback into the queue; inside the change that it tells of."""
        now_ms = self.now_ms()
        callback = {
            "id": secrets_id(),
            "event_type": event_type,
            "out_trade_no": trade["out_trade_no"],
            "url": url,
            "serial": trade["serial"],
            "original_type": original_type,
            "summary": summary,
            "resource": json.dumps(resource, ensure_ascii=False),
            "made_at_ms": now_ms,
            "due_at_ms": now_ms,
            "state": "waiting",
        }
        self.book.add("callbacks", callback)

    def move(self, business: str, *, business_id: str, voucher: str, transaction_id: str, fen: int, at_ms: int) -> None:
        """Note that the merchant's account changed; inside the change that it is part of."""
        last = self.book.find("SELECT balance_fen FROM funds ORDER BY id DESC LIMIT 1")
        line = {
            "at_ms": at_ms,
            "business": business,
            "business_id": business_id,
            "voucher": voucher,
            "transaction_id": transaction_id,
            "amount_fen": fen,
            "balance_fen": (0 if last is None else last["balance_fen"]) + fen,
        }
        self.book.add("funds", line)


def secrets_id() -> str:
    """An id of a callback, as WeChat's: a UUID."""
    text = secrets.token_hex(16)
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

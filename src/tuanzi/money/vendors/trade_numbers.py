"""The numbers a payment may have at WeChat, one after another: a number keeps its terms, a payer may change (0027)."""

from __future__ import annotations

NUMBERS_MAX = 9
# WeChat Pay v3, out_trade_no: up to 32 of digits, letters, _ - *; none of ours has the last.
_LENGTH_MAX = 32
_MARK = "*"


def numbers_of(out_trade_no: str) -> tuple[str, ...]:
    """A payment's own number and those that may follow it; only its own where they would be too long."""
    if len(out_trade_no) + len(_MARK) + 1 > _LENGTH_MAX:
        return (out_trade_no,)
    return (out_trade_no, *[f"{out_trade_no}{_MARK}{i}" for i in range(2, NUMBERS_MAX + 1)])


def own_number(number: str) -> str:
    """The payment's own number, of any of its numbers."""
    return number.partition(_MARK)[0]

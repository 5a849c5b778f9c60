"""Money in integer fen, and the only division there is (B5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct


class Money(Struct, frozen=True, order=True, gc=False, array_like=True):
    """An exact amount of renminbi, counted in fen (分); may be negative, for a difference is money too.

    A struct, for one costs 60 ns and a dataclass 350 ns (measured), and an order has forty of them.
    """

    fen: int

    def __add__(self, other: Money) -> Money:
        return Money(self.fen + other.fen)

    def __sub__(self, other: Money) -> Money:
        return Money(self.fen - other.fen)

    def __neg__(self) -> Money:
        return Money(-self.fen)

    def __mul__(self, times: int) -> Money:
        return Money(self.fen * times)

    def __bool__(self) -> bool:
        return self.fen != 0

    def share(self, weights: Sequence[int]) -> list[Money]:
        """Divide this amount in proportion to `weights`, exactly.

        Every part is rounded down; the fen left over go one each to the parts that lost most by the
        rounding, earliest first (Hamilton's largest remainders).

        weights: (n,) ints >= 0 with a positive sum.
        Returns: (n,) parts in the same order; they sum to `self`, and none is a full fen off its share.
        Raises ValueError: negative amount, negative weight, or no positive weight.
        """
        whole = sum(weights)
        if self.fen < 0:
            raise ValueError(f"a negative amount cannot be shared: {self.fen} fen")
        if whole <= 0 or min(weights) < 0:
            raise ValueError(f"weights must be >= 0 with a positive sum: {list(weights)}")
        parts = [self.fen * weight // whole for weight in weights]
        left_over = self.fen - sum(parts)
        if left_over:
            losses = [self.fen * weight % whole for weight in weights]
            # Sorted keeps the order of equals, also in reverse: a tie goes to the earlier part.
            for i in sorted(range(len(parts)), key=losses.__getitem__, reverse=True)[:left_over]:
                parts[i] += 1
        return [Money(part) for part in parts]


ZERO = Money(0)


def total(amounts: Iterable[Money]) -> Money:
    """The sum of `amounts`; nothing for none."""
    return Money(sum(amount.fen for amount in amounts))

"""Dividing fen exactly, in one dimension and in two (B5).

Fen are divided by largest remainders (Hamilton) in integers, with caps, and in two dimensions. Peers that round each
line, or let the last line take the rest, lose fen or push a line below zero (reference/peers.md section 1b).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tuanzi.base.money import Money


class NotAllocatable(ValueError):
    """The amount does not fit under the caps, or the sums contradict each other."""


def allocate(amount: Money, weights: Sequence[int], *, caps: Sequence[Money]) -> list[Money]:
    """Divide `amount` in proportion to `weights`, exactly, no part above its cap.

    A part whose share reaches its cap is fixed there and the rest is divided again (water-filling); what is left is
    divided by largest remainders, a tie going to the earlier part. A weight of zero gets nothing, unless the caps of
    all others are full: then the rest goes to the zero weights in proportion to their caps.

    weights, caps: (n,) >= 0. Returns: (n,) parts that sum to `amount`, 0 <= part <= cap; same input, same parts.
    Raises NotAllocatable: a negative amount, weight or cap, different lengths, or caps that sum to less than `amount`.
    """
    limits = [cap.fen for cap in caps]
    if len(weights) != len(limits):
        raise NotAllocatable(f"{len(weights)} weights for {len(limits)} caps")
    if amount.fen < 0 or min(weights, default=0) < 0 or min(limits, default=0) < 0:
        raise NotAllocatable(f"negative: {amount.fen} fen by {list(weights)} under {limits}")
    if sum(limits) < amount.fen:
        raise NotAllocatable(f"{amount.fen} fen do not fit under caps of {sum(limits)} fen")
    parts = _fill(amount.fen, weights, limits)
    rest = amount.fen - sum(parts)
    if rest:
        room = [limit - part for limit, part in zip(limits, parts, strict=True)]
        parts = [part + more for part, more in zip(parts, portions(rest, room), strict=True)]
    return [Money(part) for part in parts]


def allocate_refund(amount: Money, remaining: Sequence[Money]) -> list[Money]:
    """Divide a refund over what has not been refunded yet, line by line.

    Weights and caps are what remains, so that no line is ever paid back more than was paid, and the last refund
    gives back exactly the rest. Never compute it as the difference of two allocations of the running total: largest
    remainders are not monotone in the amount (Alabama paradox), and a line's part could then be negative.

    remaining: (n,) fen still refundable. Raises NotAllocatable: `amount` is negative or more than remains in all.
    """
    return allocate(amount, [money.fen for money in remaining], caps=remaining)


def allocate_matrix(
    weights: Sequence[Sequence[int]],
    *,
    row_sums: Sequence[Money],
    column_sums: Sequence[Money],
    caps: Sequence[Sequence[Money]],
) -> list[list[Money]]:
    """Fill a matrix, members x merchants, so that every row and every column has exactly the sum asked for.

    Cells are first filled to their rounded-down share of the row, as far as cap and column allow; what is missing
    is pushed along shortest augmenting paths, rows and columns in order, over cells with a weight before cells
    without. So the answer is near the proportion, the same for the same input, and found whenever there is one.

    weights, caps: (rows, columns) >= 0; row_sums: (rows,); column_sums: (columns,). Returns: (rows, columns).
    Raises NotAllocatable: no matrix within the caps has these sums.
    """
    rows, columns = [money.fen for money in row_sums], [money.fen for money in column_sums]
    limits = [[cap.fen for cap in row] for row in caps]
    if not _fits(weights, rows, columns) or not _fits(limits, rows, columns):
        raise NotAllocatable("weights and caps must be >= 0 and have the shape of the sums")
    if sum(rows) != sum(columns) or min(rows, default=0) < 0 or min(columns, default=0) < 0:
        raise NotAllocatable(f"rows sum to {sum(rows)} fen, columns to {sum(columns)} fen; no sum may be negative")
    return [[Money(fen) for fen in row] for row in _matrix(weights, rows, columns, limits)]


def share_matrix(amount: Money, weights: Sequence[Sequence[int]]) -> list[list[Money]]:
    """Divide `amount` over members x merchants by weight, every cell, row and column within a fen of its exact share.

    Controlled rounding (Bacharach 1966): cells are rounded down, and the missing fen are single units of flow whose
    rows and columns may each be rounded down or up; such a rounding always exists. Rows and columns are not rounded
    on their own, for two such roundings may contradict each other.

    weights: (rows, columns) >= 0, the amount at most their sum. Returns: (rows, columns), each cell <= its weight.
    Raises NotAllocatable: a negative amount or weight, ragged rows, or more than all the weights.
    """
    whole = sum(map(sum, weights))
    columns = len(weights[0]) if weights else 0
    if not 0 <= amount.fen <= whole or not _fits(weights, [0] * len(weights), [0] * columns):
        raise NotAllocatable(f"{amount.fen} fen over weights that sum to {whole}")
    if whole == 0:
        return [[Money(0)] * columns for _ in weights]
    fen = amount.fen
    floors = [[fen * weight // whole for weight in row] for row in weights]
    ups = _round_up([[fen * weight % whole for weight in row] for row in weights], whole)
    return [
        [Money(floor + up) for floor, up in zip(down, more, strict=False)]
        for down, more in zip(floors, ups, strict=False)
    ]


def portions(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide `amount` by largest remainders, a tie going to the earlier weight; plain ints, for the hot path.

    weights: (n,) >= 0 with a positive sum, or any when `amount` is 0. Where the amount is at most the sum of the
    weights, no part is above its weight. Returns: (n,) parts that sum to `amount`.
    """
    if len(weights) == 1:
        return [amount]
    whole = sum(weights)
    if amount == whole:
        return list(weights)
    products = [amount * weight for weight in weights]
    parts = [product // whole for product in products]
    missing = amount - sum(parts)
    if missing:
        losses = [product % whole for product in products]
        for i in sorted(range(len(parts)), key=losses.__getitem__, reverse=True)[:missing]:
            parts[i] += 1
    return parts


def _fill(amount: int, weights: Sequence[int], limits: Sequence[int]) -> list[int]:
    """Water-filling over the positive weights: as much of `amount` as their caps let in."""
    parts = [0] * len(weights)
    open_ = [i for i, weight in enumerate(weights) if weight]
    while open_:
        whole = sum(weights[i] for i in open_)
        full = [i for i in open_ if amount * weights[i] >= limits[i] * whole]
        if not full:
            for i, part in zip(open_, portions(amount, [weights[i] for i in open_]), strict=True):
                parts[i] = part
            break
        for i in full:
            parts[i] = limits[i]
            amount -= limits[i]
        open_ = [i for i in open_ if i not in full]
    return parts


def _fits(cells: Sequence[Sequence[int]], rows: Sequence[int], columns: Sequence[int]) -> bool:
    return len(cells) == len(rows) and all(len(row) == len(columns) and min(row, default=0) >= 0 for row in cells)


def _round_up(losses: list[list[int]], whole: int) -> list[list[int]]:
    """Which cells to round up, 0 or 1 each, so that rows, columns and all are within a unit of their exact sums.

    losses: (rows, columns) numerators over `whole`, what each cell loses by rounding down. Returns one row and one
    column more: their cells are the slack between a sum rounded up and a sum rounded down.
    """
    rows = [sum(row) for row in losses]
    columns = [sum(column) for column in zip(*losses, strict=True)]
    row_ceilings, column_ceilings = [-(-row // whole) for row in rows], [-(-column // whole) for column in columns]
    missing = sum(rows) // whole
    weights = [[*row, -row_sum % whole] for row, row_sum in zip(losses, rows, strict=True)]
    weights.append([*[-column % whole for column in columns], 0])
    limits = [[1 if weight else 0 for weight in row] for row in weights]
    return _matrix(
        weights,
        [*row_ceilings, sum(column_ceilings) - missing],
        [*column_ceilings, sum(row_ceilings) - missing],
        limits,
    )


def _matrix(
    weights: Sequence[Sequence[int]], rows: Sequence[int], columns: Sequence[int], limits: list[list[int]]
) -> list[list[int]]:
    row_left, column_left = list(rows), list(columns)
    cells = [[0] * len(columns) for _ in rows]
    for i, row in enumerate(weights):
        whole, asked = sum(row), rows[i]
        for j, weight in enumerate(row):
            if weight:
                part = min(asked * weight // whole, limits[i][j], column_left[j])
                cells[i][j] = part
                row_left[i] -= part
                column_left[j] -= part
    weighted = [
        [limit if weight else 0 for limit, weight in zip(*pair, strict=True)]
        for pair in zip(limits, weights, strict=True)
    ]
    for allowed in (weighted, limits):
        _push_straight(cells, allowed, row_left, column_left)
        while any(row_left) and _augment(cells, allowed, row_left, column_left):
            pass
    if any(row_left):
        raise NotAllocatable(f"no matrix under these caps has rows {list(rows)} and columns {list(columns)}")
    return cells


def _push_straight(
    cells: list[list[int]], limits: list[list[int]], row_left: list[int], column_left: list[int]
) -> None:
    """All paths of one step, in the order in which `_augment` would find them; mostly there are no others."""
    for i, left in enumerate(row_left):
        for j, limit in enumerate(limits[i]):
            if not left:
                break
            amount = min(left, column_left[j], limit - cells[i][j])
            if amount > 0:
                cells[i][j] += amount
                column_left[j] -= amount
                left -= amount
        row_left[i] = left


def _augment(cells: list[list[int]], limits: list[list[int]], row_left: list[int], column_left: list[int]) -> bool:
    """Push as much as one shortest path carries from a row that is short to a column that is short.

    Rows give over cells below their limit; a column gives back over cells above zero. False when no path is left.
    """
    came_to_column: dict[int, int] = {}
    came_to_row: dict[int, int] = {i: -1 for i, left in enumerate(row_left) if left}
    queue = deque(came_to_row)
    while queue:
        i = queue.popleft()
        for j, limit in enumerate(limits[i]):
            if j in came_to_column or cells[i][j] >= limit:
                continue
            came_to_column[j] = i
            if column_left[j]:
                _push(j, cells, limits, row_left, column_left, came_to_row, came_to_column)
                return True
            for k, row in enumerate(cells):
                if row[j] and k not in came_to_row:
                    came_to_row[k] = j
                    queue.append(k)
    return False


def _push(
    last: int,
    cells: list[list[int]],
    limits: list[list[int]],
    row_left: list[int],
    column_left: list[int],
    came_to_row: dict[int, int],
    came_to_column: dict[int, int],
) -> None:
    giving, taking = [], []
    column = last
    while True:
        row = came_to_column[column]
        giving.append((row, column))
        column = came_to_row[row]
        if column < 0:
            break
        taking.append((row, column))
    amount = min(
        row_left[row],
        column_left[last],
        *(limits[i][j] - cells[i][j] for i, j in giving),
        *(cells[i][j] for i, j in taking),
    )
    for i, j in giving:
        cells[i][j] += amount
    for i, j in taking:
        cells[i][j] -= amount
    row_left[row] -= amount
    column_left[last] -= amount

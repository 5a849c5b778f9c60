"""The exact split of a closed group (B2, B5), and its life as a transaction over three databases (B3); pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.branch import Branch, TransactionState
from tuanzi.base.ids import GroupId, MerchantId, OrderId, SubOrderId
from tuanzi.base.money import ZERO, Money
from tuanzi.events import MerchantBoard, PlannedSubOrder
from tuanzi.orders import Order, SubLine, SubOrder, SubOrderState
from tuanzi.pricing import Quote


def plan(order: Order, final: Quote, *, now: datetime) -> list[SubOrder]:
    """One member's sub-orders, a merchant each, in the order of his cart; the same input gives the same plan.

    Their amounts add up to the final price, exactly: lines as priced, the delivery fee shared by what the dishes
    cost (by equal parts when they are free).
    """
    return [
        SubOrder(
            id=SubOrderId(f"{order.id}.{i}"),
            order_id=order.id,
            group_id=order.group_id,
            member_id=order.member_id,
            merchant_id=part.merchant_id,
            building_id=order.building_id,
            meal_id=order.meal_id,
            state=SubOrderState.WAITING,
            order_lines=part.order_lines,
            items=part.items,
            discount=part.discount,
            delivery=part.delivery,
            payable=part.payable,
            planned_at=now,
        )
        for i, part in enumerate(_parts_of(final), start=1)
    ]


class _Part(Struct, frozen=True, kw_only=True, gc=False):
    """What a price holds of one merchant's."""

    merchant_id: MerchantId
    order_lines: tuple[SubLine, ...]
    items: Money
    discount: Money
    delivery: Money
    payable: Money


# Of prices, which pricing keeps for alike carts; about 1 kB each. Measured: made anew they cost 4 us an order.
_DIVIDED_MAX: Final = 4096
_divided: dict[int, tuple[Quote, tuple[_Part, ...]]] = {}  # by id(); holds the price, so that its id stays taken


def _parts_of(final: Quote) -> tuple[_Part, ...]:
    """A price by merchants, in the order of its lines."""
    kept = _divided.get(id(final))
    if kept is None:
        if len(_divided) >= _DIVIDED_MAX:
            _divided.clear()
        kept = _divided[id(final)] = final, _divide(final)
    return kept[1]


def _divide(final: Quote) -> tuple[_Part, ...]:
    lines: dict[MerchantId, list[SubLine]] = {}
    for number, line in enumerate(final.lines):
        sub_line = SubLine(
            number=number,
            dish_id=line.dish_id,
            quantity=line.quantity,
            list_price=line.list_price,
            payable=line.payable,
            parts=line.parts,
        )
        lines.setdefault(line.merchant_id, []).append(sub_line)
    payables = [sum([one.payable.fen for one in made]) for made in lines.values()]
    fees = _fees(final.delivery_fee, payables)
    parts = []
    for (merchant_id, made), payable, fee in zip(lines.items(), payables, fees, strict=True):
        items = sum([one.list_price.fen for one in made])
        part = _Part(
            merchant_id=merchant_id,
            order_lines=tuple(made),
            items=Money(items),
            discount=Money(items - payable),
            delivery=fee,
            payable=Money(payable + fee.fen),
        )
        parts.append(part)
    return tuple(parts)


def _fees(fee: Money, payables: Sequence[int]) -> list[Money]:
    if len(payables) == 1:
        return [fee]
    if not fee:
        return [ZERO] * len(payables)
    return fee.share(payables if any(payables) else [1] * len(payables))


def planned(sub: SubOrder) -> PlannedSubOrder:
    """A sub-order as the plan shows it."""
    return PlannedSubOrder(
        sub_order_id=sub.id,
        order_id=sub.order_id,
        member_id=sub.member_id,
        merchant_id=sub.merchant_id,
        building_id=sub.building_id,
        items_fen=sub.items.fen,
        discount_fen=sub.discount.fen,
        delivery_fen=sub.delivery.fen,
        payable_fen=sub.payable.fen,
    )


def gid_of(group_id: str) -> str:
    """The id of a group's split as a transaction."""
    return f"{group_id}.split"


def boards_of(plan: SplitPlan) -> tuple[MerchantBoard, ...]:
    """What each merchant has to make, in the order of the plan."""
    made: dict[str, list[str]] = {}
    for each in plan.orders:
        for sub in each.subs:
            made.setdefault(sub.merchant_id, []).append(sub.id)
    return tuple(
        [MerchantBoard(merchant_id=merchant_id, sub_order_ids=tuple(ids)) for merchant_id, ids in made.items()]
    )


class OrderPlan(Struct, frozen=True, kw_only=True, gc=False):
    """One member's part of a split. final: his final price; None when it is the one he paid."""

    order_id: OrderId
    final: Quote | None
    subs: tuple[SubOrder, ...]


class SplitPlan(Struct, frozen=True, kw_only=True, gc=False):
    """What a split is to bring about. A row of its own, written once: it never changes, as its transaction does.

    Never swept: it shows how an order's price was divided, for as long as the order is kept.
    """

    gid: str
    orders: tuple[OrderPlan, ...]


# The transaction (B3). A branch's name, and the database where it is; "core" is the coordinator's own.
STOCK: Final = "stock"
SHARING: Final = "sharing"
DELIVERY: Final = "delivery"
HOME: Final = "core"
ADDRESSES: Final = {STOCK: HOME, SHARING: "money", DELIVERY: "delivery"}

# Our choice: Trys mostly take 20 ms; whoever waits for his meal should hear of a failure before he asks.
TRY_MS_MAX: Final = 15_000
# Our choice: a lost answer costs a quarter of a second, and whoever comes back is heard three times within a minute.
PAUSE_SHORTEST: Final = timedelta(milliseconds=250)
PAUSE_LONGEST: Final = timedelta(seconds=20)
REASON_MAX: Final = 200


class BranchState(StrEnum):
    """What the coordinator knows of a branch."""

    REGISTERED = "registered"  # nothing yet: its Try may have been sent, or be on its way
    TRIED = "tried"
    REFUSED = "refused"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Split(Struct, frozen=True, kw_only=True, gc=False):
    """A closed group's split as a transaction. reason: why it is or will be cancelled, else empty.

    attempts: messages in a row that moved nothing. epoch: of the coordinator who registered or decided it.
    needs_human: a branch went against the decision, which only a fault of ours can bring about; it is tried on.
    """

    gid: str
    group_id: GroupId
    state: TransactionState
    reason: str
    deadline_at: datetime
    started_at: datetime
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    epoch: int
    needs_human: bool = False

    @property
    def is_final(self) -> bool:
        """Whether nothing is left to be done."""
        return self.state in (TransactionState.CONFIRMED, TransactionState.CANCELLED)


class SplitBranch(Struct, frozen=True, kw_only=True, gc=False):
    """One branch of a split. attempts: messages sent to it. last_error: the last answer that was none, or a refusal."""

    branch: str
    address: str
    state: BranchState
    attempts: int = 0
    last_error: str | None = None


class SplitBranches(Struct, frozen=True, kw_only=True, gc=False):
    """All branches of one split: one row, for they are made and heard of together."""

    gid: str
    branches: tuple[SplitBranch, ...]


class SplitCoordinator(Struct, frozen=True, kw_only=True, gc=False):
    """Who coordinates the splits of this database, in which epoch, and how long he waits for Trys."""

    id: str = "splits"
    coordinator: str = ""
    epoch: int = 0
    try_ms_max: int = TRY_MS_MAX

    def means(self, gid: str, branch: str) -> Branch:
        """A branch, as a message names it."""
        return Branch(gid=gid, branch=branch, coordinator=self.coordinator, epoch=self.epoch)


class Message(StrEnum):
    """What a coordinator says to a branch."""

    TRY = "try"
    CONFIRM = "confirm"
    CANCEL = "cancel"


class Word(StrEnum):
    """What came back."""

    DONE = "done"
    REFUSED = "refused"  # of a Try only: nothing was set aside
    UNKNOWN = "unknown"  # no answer: it may have been done or not
    BREACHED = "breached"  # the branch is what it must not be: unconfirmable after all Trys, or confirmed already


class Heard(Struct, frozen=True, kw_only=True, gc=False):
    """One branch's answer."""

    branch: str
    word: Word
    reason: str = ""


class AnswersCame(Struct, frozen=True, kw_only=True, gc=False):
    """Event: what was heard after `message` was sent to some branches."""

    message: Message
    heard: tuple[Heard, ...]


class DeadlineCame(Struct, frozen=True, kw_only=True, gc=False):
    """Event: there is no more time for Trys."""


Event = AnswersCame | DeadlineCame


class Turn(Struct, frozen=True, kw_only=True, gc=False):
    """Where a transaction is after an event, and what to send next: `message` to the branches `to`, at `at`.

    to: empty when there is nothing to send; what is on its way already stays so.
    """

    split: Split
    branches: tuple[SplitBranch, ...]
    message: Message = Message.TRY
    to: tuple[str, ...] = ()
    at: datetime | None = None


def register() -> tuple[SplitBranch, ...]:
    """A new transaction's branches; the one at home is tried in the same commit."""
    return tuple(
        [
            SplitBranch(
                branch=branch,
                address=address,
                state=BranchState.TRIED if address == HOME else BranchState.REGISTERED,
            )
            for branch, address in ADDRESSES.items()
        ]
    )


def take_turn(split: Split, branches: tuple[SplitBranch, ...], event: Event, *, now: datetime) -> Turn:
    """What an event makes of a transaction: the whole of the coordinator's judgement, without I/O.

    There is one decision, the step out of `trying`: CONFIRMING when every branch was tried before the deadline,
    CANCELLING when one refused or the deadline came. Answers to a message that is not being sent any more, and all
    events after the end, change nothing. Where there was no answer the message is sent again, later and later.
    """
    match event:
        case AnswersCame():
            if event.message is not _MESSAGES[split.state]:
                return Turn(split=split, branches=branches)
            heard = {one.branch: one for one in event.heard}
            after = tuple([_heard(each, heard.get(each.branch), event.message) for each in branches])
            moved = any(new.state is not old.state for new, old in zip(after, branches, strict=True))
            breached = any(one.word is Word.BREACHED for one in event.heard)
            split = replace(
                split, attempts=0 if moved else split.attempts + 1, needs_human=split.needs_human or breached
            )
        case DeadlineCame():
            if split.state is not TransactionState.TRYING:
                return Turn(split=split, branches=branches)
            after = branches
        case _:
            assert_never(event)
    return _send_on(*_step(split, after, now=now), now=now)


# What is being sent in a state; nothing at its end.
_MESSAGES: Final = {
    TransactionState.TRYING: Message.TRY,
    TransactionState.CONFIRMING: Message.CONFIRM,
    TransactionState.CONFIRMED: None,
    TransactionState.CANCELLING: Message.CANCEL,
    TransactionState.CANCELLED: None,
}
_DONE: Final = {
    Message.TRY: BranchState.TRIED,
    Message.CONFIRM: BranchState.CONFIRMED,
    Message.CANCEL: BranchState.CANCELLED,
}
_SETTLED: Final = {
    Message.TRY: (BranchState.TRIED, BranchState.REFUSED),
    Message.CONFIRM: (BranchState.CONFIRMED,),
    Message.CANCEL: (BranchState.CANCELLED,),
}


def _heard(branch: SplitBranch, heard: Heard | None, message: Message) -> SplitBranch:
    """A branch after its answer to `message`; one that is settled already stays as it is."""
    if heard is None or branch.address == HOME or branch.state in _SETTLED[message]:
        return branch
    attempts = branch.attempts + 1
    match heard.word:
        case Word.DONE:
            return replace(branch, state=_DONE[message], attempts=attempts)
        case Word.REFUSED if message is Message.TRY:
            return replace(branch, state=BranchState.REFUSED, attempts=attempts, last_error=heard.reason[:REASON_MAX])
        case Word.REFUSED | Word.UNKNOWN | Word.BREACHED:
            return replace(branch, attempts=attempts, last_error=heard.reason[:REASON_MAX])
        case _:
            assert_never(heard.word)


def _step(
    split: Split, branches: tuple[SplitBranch, ...], *, now: datetime
) -> tuple[Split, tuple[SplitBranch, ...], bool]:
    """The transaction and its branches one state on, where that is due, and whether it is.

    The branch at home is confirmed with the decision, for that commit is its own; and cancelled with the last of the
    others, for what it holds goes back together.
    """
    match split.state:
        case TransactionState.TRYING:
            refused = next((each for each in branches if each.state is BranchState.REFUSED), None)
            if refused is not None:
                reason = f"{refused.branch}: {refused.last_error}"[:REASON_MAX]
                return _decided(split, TransactionState.CANCELLING, reason=reason, now=now), branches, True
            if now >= split.deadline_at:
                return _decided(split, TransactionState.CANCELLING, reason="deadline", now=now), branches, True
            if all(each.state is BranchState.TRIED for each in branches):
                split = _decided(split, TransactionState.CONFIRMING, reason="", now=now)
                return split, _at_home(branches, BranchState.CONFIRMED), True
        case TransactionState.CONFIRMING:
            if all(each.state is BranchState.CONFIRMED for each in branches):
                return _ended(split, TransactionState.CONFIRMED, now=now), branches, True
        case TransactionState.CANCELLING:
            if all(each.state is BranchState.CANCELLED for each in branches if each.address != HOME):
                split = _ended(split, TransactionState.CANCELLED, now=now)
                return split, _at_home(branches, BranchState.CANCELLED), True
        case TransactionState.CONFIRMED | TransactionState.CANCELLED:
            pass
        case _:
            assert_never(split.state)
    return split, branches, False


def _send_on(split: Split, branches: tuple[SplitBranch, ...], has_moved: bool, *, now: datetime) -> Turn:
    message = _MESSAGES[split.state]
    if message is None:
        return Turn(split=split, branches=branches)
    unsettled = [each for each in branches if each.address != HOME and each.state not in _SETTLED[message]]
    at = now if has_moved else now + pause_after(split.attempts)
    to = tuple([each.branch for each in unsettled])
    return Turn(split=split, branches=branches, message=message, to=to, at=at)


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many messages in a row that moved nothing: doubling, capped."""
    return min(PAUSE_SHORTEST * (1 << min(max(attempts - 1, 0), 10)), PAUSE_LONGEST)


def _decided(split: Split, state: TransactionState, *, reason: str, now: datetime) -> Split:
    return replace(split, state=state, reason=reason, decided_at=now, attempts=0)


def _ended(split: Split, state: TransactionState, *, now: datetime) -> Split:
    return replace(split, state=state, ended_at=now, attempts=0)


def _at_home(branches: tuple[SplitBranch, ...], state: BranchState) -> tuple[SplitBranch, ...]:
    return tuple([replace(each, state=state) if each.address == HOME else each for each in branches])

"""Who gets what of an order's money, exactly: terms, transfers and their rules as frozen values (B2, B3, B5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.base.ids import GroupId, OrderId, PaymentId, RefundId, SubOrderId
from tuanzi.base.money import ZERO, Money, total
from tuanzi.money import Account, ReceiverKind, ReceiverResult, RefundProgress, SharedOrder, ShareProgress
from tuanzi.pricing import allocate_matrix, allocate_refund
from tuanzi.sharing.problems import PartsMisfit, TermsInvalid

WHOLE: Final = 10_000
POOL: Final = "pool"  # holds the riders' money until one has delivered
BUDGET_ID: Final = "subsidy"
IN_FORCE_ID: Final = "terms"
# A payment can be shared a minute after it was made (WeChat Q&A; its guide says 30 s: reliability.md 5.2).
PROVIDER_WAIT: Final = timedelta(minutes=1)
# WeChat takes nothing back from persons, so they are given theirs when after-sale can be asked for no more (orders).
PERSONS_WAIT: Final = timedelta(hours=24)
# Our choice: a part that was closed is tried once more, its receiver added anew; shares of a payment: WeChat allows 50.
CLOSED_MAX: Final = 2
ROUNDS_MAX: Final = 8


class Party(StrEnum):
    """Who gets a part of an order's money."""

    MERCHANT = "merchant"
    PLATFORM = "platform"
    RIDER = "rider"
    LEADER = "leader"
    AMBASSADOR = "ambassador"
    PROVIDER = "provider"  # the payment company's fee
    SUBSIDY = "subsidy"  # to the merchant, out of the platform's own pocket


PERSONS: Final = (Party.RIDER, Party.LEADER, Party.AMBASSADOR)
OUTWARD: Final = (Party.MERCHANT, *PERSONS)
_COMMISSIONS: Final = (Party.PLATFORM, Party.LEADER, Party.AMBASSADOR, Party.PROVIDER)


class SharingTerms(Struct, frozen=True, kw_only=True, gc=False):
    """How a campus shares its orders' money; an order keeps the version it was shared by. Rates are of 10,000.

    platform_rate, leader_rate, ambassador_rate, provider_rate: of what the dishes cost after discounts; what is left
    is the merchant's. rider_rate: of the delivery fee, of which provider_rate is taken too; the rest is the platform's.
    subsidy_rate: of the merchant's discount, paid to him by the platform, all together up to subsidy_budget.
    outward_max: how much of a payment may go to others through the payment company.
    persons_max: the same for persons - rider, leader, ambassador - alone: 30 % where nothing else is agreed (WeChat's
    guide for platforms, reliability.md 5.2). Merchants' money is the price of their food and no commission, so it
    counts for outward_max only. What is above either is owed all the same, and paid by other means (P11).
    """

    id: str
    version: int
    platform_rate: int = 800
    leader_rate: int = 200
    ambassador_rate: int = 100
    provider_rate: int = 60
    rider_rate: int = 9_000
    subsidy_rate: int = 0
    subsidy_budget: Money = ZERO
    outward_max: int = WHOLE
    persons_max: int = 3_000
    note: str = ""
    made_by: str = ""
    made_at: datetime | None = None

    def __post_init__(self) -> None:
        of_goods = (self.platform_rate, self.leader_rate, self.ambassador_rate, self.provider_rate)
        rates = (*of_goods, self.rider_rate, self.subsidy_rate, self.outward_max, self.persons_max)
        if min(rates) < 0 or max(rates) > WHOLE or self.subsidy_budget.fen < 0:
            raise TermsInvalid(field="rate")
        if sum(of_goods) > WHOLE:
            raise TermsInvalid(field="platform_rate")
        if self.rider_rate + self.provider_rate > WHOLE:
            raise TermsInvalid(field="rider_rate")

    def rate_of(self, party: Party) -> int:
        """What a party gets of 10,000 of what the dishes cost."""
        match party:
            case Party.PLATFORM:
                return self.platform_rate
            case Party.LEADER:
                return self.leader_rate
            case Party.AMBASSADOR:
                return self.ambassador_rate
            case Party.PROVIDER:
                return self.provider_rate
            case _:
                return 0


def terms_id(version: int) -> str:
    """The id of a version of the terms."""
    return f"terms.{version}"


# In force until an operator says otherwise: 8 % to the platform and 2 % to the leader are our choice; 0.6 % is what
# WeChat Pay charges ordinary merchants.
FIRST_TERMS: Final = SharingTerms(id=terms_id(0), version=0)


class TermsInForce(Struct, frozen=True, kw_only=True, gc=False):
    """Which version of the terms is in force; one row, none before the first change."""

    id: str
    version: int


class SubsidyBudget(Struct, frozen=True, kw_only=True, gc=False):
    """What of the platform's budget for subsidies is set aside or spent; one row."""

    id: str
    most: Money
    used: Money


class SharingState(StrEnum):
    """What has become of an order's transfers."""

    PENDING = "pending"
    POSTED = "posted"
    VOIDED = "voided"


class PayoutState(StrEnum):
    """How far the posted transfers of an order are on their way to those who are owed them."""

    HELD = "held"  # until the order is completed
    DUE = "due"
    SHARING = "sharing"  # a share is with the payment company
    UNFREEZING = "unfreezing"
    DONE = "done"


class Transfer(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What one party gets of one sub-order; set aside by Try, theirs by Confirm.

    amount: as set aside. outward: at most so much of it goes through the payment company. cut: taken back for refunds
    before it went out. sent: on its way at the payment company. given: went out. back: of that, asked back for refunds.
    closed: how often the payment company would not give it.
    """

    gid: str
    order_id: OrderId
    line: int
    sub_order_id: SubOrderId
    party: Party
    account: str
    amount: Money
    outward: Money
    cut: Money = ZERO
    sent: Money = ZERO
    given: Money = ZERO
    back: Money = ZERO
    closed: int = 0

    def __post_init__(self) -> None:
        amount, cut, sent, given = self.amount.fen, self.cut.fen, self.sent.fen, self.given.fen
        is_right = cut >= 0 and sent >= 0 and given >= self.back.fen and given >= 0 and cut + sent + given <= amount
        if not is_right or not 0 <= self.outward.fen <= amount:
            raise ValueError(f"transfer {self.order_id}/{self.line} does not add up: {self}")

    @property
    def held(self) -> Money:
        """What is still here."""
        return Money(self.held_fen)

    @property
    def held_fen(self) -> int:
        """What is still here, for sums of many."""
        return self.amount.fen - self.cut.fen - self.sent.fen - self.given.fen

    @property
    def net(self) -> Money:
        """What is theirs after refunds, here, on its way or given."""
        return Money(self.amount.fen - self.cut.fen - self.back.fen)

    @property
    def due(self) -> Money:
        """What is still to go out through the payment company."""
        return Money(max(0, min(self.held.fen, self.outward.fen - self.sent.fen - self.given.fen)))

    @property
    def is_subsidy(self) -> bool:
        """Whether the platform pays it, and not the member."""
        return self.party is Party.SUBSIDY


_LINE: Final = attrgetter("line")


class OrderTransfers(Struct, frozen=True, kw_only=True, gc=False):
    """All transfers of one order in a split: one row, for they are made and read together."""

    gid: str
    order_id: OrderId
    transfers: tuple[Transfer, ...]

    @property
    def by_line(self) -> list[Transfer]:
        """They in order, by line from 0; those that a migration moved here may be kept in another one."""
        return sorted(self.transfers, key=_LINE)

    def after(self, transfer: Transfer) -> OrderTransfers:
        """With `transfer` in place of the one of its line."""
        return replace(
            self, transfers=tuple([transfer if each.line == transfer.line else each for each in self.transfers])
        )


class Sharing(Struct, frozen=True, kw_only=True, gc=False):
    """An order's money in a split, one row for each order. transfers: how many there are, their lines from 0.

    claimed: what the parties have of the payment after refunds; the payment's rest is the member's.
    persons_at: when persons are given theirs. held_refunds: refunds that are sent when they have been, for a refund
    takes frozen money first, and then there is none to share.
    """

    order_id: OrderId
    gid: str
    group_id: GroupId
    payment_id: PaymentId
    terms_version: int
    state: SharingState
    payable: Money
    claimed: Money
    transfers: int
    tried_at: datetime
    decided_at: datetime | None = None
    completed_at: datetime | None = None
    payout: PayoutState = PayoutState.HELD
    rounds: int = 0
    persons_at: datetime | None = None
    held_refunds: tuple[RefundId, ...] = ()


class SharingBranch(Struct, frozen=True, kw_only=True, gc=False):
    """The orders of one split's branch here; Confirm and Cancel name the split alone."""

    gid: str
    group_id: GroupId
    order_ids: tuple[OrderId, ...]


@lru_cache(maxsize=16_384)
def account_of(party: Party, owner: str) -> str:
    """The account a party's money is owed in; the platform's and the payment company's have no owner."""
    match party:
        case Party.MERCHANT | Party.SUBSIDY:
            return Account.MERCHANT_PAYABLE.of(owner)
        case Party.RIDER:
            return Account.RIDER_PAYABLE.of(owner)
        case Party.LEADER | Party.AMBASSADOR:
            return Account.CAMPUS_AGENT_PAYABLE.of(owner)
        case Party.PLATFORM:
            return Account.PLATFORM_INCOME.value
        case Party.PROVIDER:
            return Account.PROVIDER_FEE.value


def advance_of(account: str) -> str:
    """The account in which whoever is owed `account` owes what the platform has advanced for him."""
    return Account.RECEIVER_ADVANCE.of(account.partition(":")[2])


def plan_transfers(
    order: SharedOrder, *, terms: SharingTerms, gid: str, leader_id: str, ambassador_id: str | None
) -> list[Transfer]:
    """Who gets what of one order: its final price to the fen, over all sub-orders and over all parties; none negative.

    Raises PartsMisfit when the sub-orders are not what the order costs.
    """
    _check_parts(order)
    parts = [(part.payable_fen - part.delivery_fen, part.delivery_fen, part.discount_fen) for part in order.parts]
    owners = {Party.RIDER: POOL, Party.LEADER: leader_id, Party.AMBASSADOR: ambassador_id or ""}
    order_id = OrderId(order.order_id)
    return [
        Transfer(
            gid=gid,
            order_id=order_id,
            line=line,
            sub_order_id=SubOrderId(order.parts[i].sub_order_id),
            party=party,
            account=account_of(party, owners.get(party, order.parts[i].merchant_id)),
            amount=amount,
            outward=outward,
        )
        for line, (i, party, amount, outward) in enumerate(_amounts(tuple(parts), terms, bool(ambassador_id)))
    ]


@lru_cache(maxsize=4096)
def _amounts(
    parts: tuple[tuple[int, int, int], ...], terms: SharingTerms, has_ambassador: bool
) -> tuple[tuple[int, Party, Money, Money], ...]:
    """What of which sub-order goes to which party, and how much of that outward; empty amounts left out.

    parts: of each sub-order the fen of its dishes, of its delivery and of its discount. Remembered, for at a meal the
    same dishes are ordered at the same prices again and again.
    """
    commissions = [party for party in _COMMISSIONS if party is not Party.AMBASSADOR or has_ambassador]
    of_goods = _goods_cells([goods for goods, _, _ in parts], [terms.rate_of(party) for party in commissions])
    of_delivery = _delivery_cells([delivery for _, delivery, _ in parts], terms)
    subsidies = _subsidies([discount for _, _, discount in parts], terms)
    planned: list[tuple[int, Party, int]] = []
    for i, (to_platform, to_leader, *to_ambassador, to_provider, to_merchant) in enumerate(of_goods):
        to_rider, more_to_platform, more_to_provider = of_delivery[i]
        cells = (  # in the order of Party
            (i, Party.MERCHANT, to_merchant),
            (i, Party.PLATFORM, to_platform + more_to_platform),
            (i, Party.RIDER, to_rider),
            (i, Party.LEADER, to_leader),
            (i, Party.AMBASSADOR, to_ambassador[0] if to_ambassador else 0),
            (i, Party.PROVIDER, to_provider + more_to_provider),
            (i, Party.SUBSIDY, subsidies[i]),
        )
        planned += [cell for cell in cells if cell[2]]
    payable_fen = sum([goods + delivery for goods, delivery, _ in parts])
    outward = _outward([(party, fen) for _, party, fen in planned], payable_fen=payable_fen, terms=terms)
    return tuple([(i, party, Money(fen), Money(out)) for (i, party, fen), out in zip(planned, outward, strict=True)])


def _check_parts(order: SharedOrder) -> None:
    for part in order.parts:
        is_whole = part.items_fen - part.discount_fen + part.delivery_fen == part.payable_fen
        if not is_whole or min(part.discount_fen, part.delivery_fen, part.payable_fen - part.delivery_fen) < 0:
            raise PartsMisfit(order_id=order.order_id, sub_order_id=part.sub_order_id)
    if sum([part.payable_fen for part in order.parts]) != order.payable_fen:
        raise PartsMisfit(order_id=order.order_id, payable_fen=order.payable_fen)


def _goods_cells(goods: Sequence[int], rates: Sequence[int]) -> list[list[int]]:
    """Sub-orders x (commissions in order, then the merchant): rows sum to `goods`, columns to the order's shares."""
    whole = sum(goods)
    if not whole:
        return [[0] * (len(rates) + 1) for _ in goods]
    columns = Money(whole).share([*rates, WHOLE - sum(rates)])
    if len(goods) == 1:
        return [[column.fen for column in columns]]
    weights = [[column.fen * row for column in columns] for row in goods]
    caps = [[Money(row)] * len(columns) for row in goods]
    cells = allocate_matrix(weights, row_sums=[Money(row) for row in goods], column_sums=columns, caps=caps)
    return [[cell.fen for cell in row] for row in cells]


def _delivery_cells(fees: Sequence[int], terms: SharingTerms) -> list[list[int]]:
    """Sub-orders x (rider, platform, provider): each fee by itself, for each may be brought by another rider."""
    weights = (terms.rider_rate, WHOLE - terms.rider_rate - terms.provider_rate, terms.provider_rate)
    return [[part.fen for part in Money(fee).share(weights)] for fee in fees]


def _subsidies(discounts: Sequence[int], terms: SharingTerms) -> list[int]:
    """What the platform adds to each sub-order: its rate of the order's discounts, rounded down as a whole."""
    whole = sum(discounts) * terms.subsidy_rate // WHOLE
    return [part.fen for part in Money(whole).share(discounts)] if whole else [0] * len(discounts)


def _outward(parts: Sequence[tuple[Party, int]], *, payable_fen: int, terms: SharingTerms) -> list[int]:
    """How much of each part may go through the payment company: persons within their cap, then all within theirs."""
    wanted = [fen if party in OUTWARD else 0 for party, fen in parts]
    persons = [fen if party in PERSONS else 0 for party, fen in parts]
    persons_fen = payable_fen * terms.persons_max // WHOLE
    if sum(persons) > persons_fen:
        allowed = Money(persons_fen).share(persons)
        wanted = [
            one.fen if party in PERSONS else fen for one, fen, (party, _) in zip(allowed, wanted, parts, strict=True)
        ]
    outward_fen = payable_fen * terms.outward_max // WHOLE
    if sum(wanted) > outward_fen:
        wanted = [one.fen for one in Money(outward_fen).share(wanted)]
    return wanted


class Loss(Struct, frozen=True, kw_only=True, gc=False):
    """What one transfer loses to a refund: `cut` of what is still here, `back` of what was given."""

    transfer: Transfer
    cut: Money
    back: Money

    def after(self) -> Transfer:
        """The transfer without it."""
        before = self.transfer
        return replace(before, cut=before.cut + self.cut, back=before.back + self.back)


def losses(transfers: Sequence[Transfer], amount: Money, *, sub_order_id: str | None) -> list[Loss]:
    """Who pays for a refund: each in proportion to what he has left of it, exactly (B5); first those of `sub_order_id`.

    amount: at most what all have left of the payment. Nothing may be on its way at the payment company. Subsidies
    shrink by the same part as the rest of their sub-order. What is still here is taken before what was given.
    """
    taken = {each.line: 0 for each in transfers}
    own = [each for each in transfers if each.sub_order_id == sub_order_id and not each.is_subsidy]
    others = [each for each in transfers if each.sub_order_id != sub_order_id and not each.is_subsidy]
    left = amount.fen
    for some in (own, others):
        part = min(left, total([each.net for each in some]).fen)
        left -= part
        for each, fen in zip(some, allocate_refund(Money(part), [each.net for each in some]), strict=True):
            taken[each.line] = fen.fen
    if left:
        raise ValueError(f"{amount.fen} fen cannot be taken from {total([each.net for each in own + others]).fen}")
    for each in transfers:
        if each.is_subsidy:
            beside = [other for other in (*own, *others) if other.sub_order_id == each.sub_order_id]
            whole = total([other.net for other in beside]).fen
            lost = sum([taken[other.line] for other in beside])
            taken[each.line] = each.net.share([lost, whole - lost])[0].fen if whole else 0
    return [_loss(each, taken[each.line]) for each in transfers if taken[each.line]]


def _loss(transfer: Transfer, fen: int) -> Loss:
    cut = min(fen, transfer.held.fen)
    return Loss(transfer=transfer, cut=Money(cut), back=Money(fen - cut))


class PayeeState(StrEnum):
    """Whether the payment company lets somebody receive shares."""

    NEW = "new"  # to be added before the next share
    ADDED = "added"
    REFUSED = "refused"  # until an operator registers him anew


# Why nobody gives shares to somebody who is not known any more.
PERSON_ERASED: Final = "person_erased"


class Payee(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody who is given shares. account: what the payment company calls him; full_name: a merchant's needs one."""

    id: str
    kind: ReceiverKind
    account: str
    full_name: str
    state: PayeeState = PayeeState.NEW
    refusal: str = ""


def payee_id_of(account: str) -> str | None:
    """Whose shares pay what is owed in an account; None when nobody's do, as for the pool."""
    kind, _, owner = account.partition(":")
    if not owner or owner == POOL:
        return None
    return f"{ReceiverKind.MERCHANT if kind == Account.MERCHANT_PAYABLE.value else ReceiverKind.PERSON}:{owner}"


def unregistered_payee(payee_id: str) -> Payee:
    """Who is nowhere registered: called at the payment company as he is here, as members are when they pay."""
    kind, _, owner = payee_id.partition(":")
    return Payee(id=payee_id, kind=ReceiverKind(kind), account=owner, full_name=owner)


class ShareState(StrEnum):
    """What has become of a share."""

    SENT = "sent"
    FINISHED = "finished"
    REFUSED = "refused"  # as a whole: nothing was done


class Share(Struct, frozen=True, kw_only=True, gc=False):
    """Frozen money of one order's payment given to its receivers, under one number; `parts` of them."""

    id: str
    order_id: OrderId
    payment_id: PaymentId
    out_order_no: str
    state: ShareState
    parts: int
    sent_at: datetime
    ended_at: datetime | None = None
    reason: str = ""


def share_id(order_id: str, number: int) -> str:
    """The id of an order's share in a round, from 1."""
    return f"{order_id}.s{number}"


class SharePart(Struct, frozen=True, kw_only=True, gc=False):
    """What a share gives for one transfer; `back`: asked back since. A receiver's parts of a share are given as one."""

    share_id: str
    number: int
    order_id: OrderId
    line: int
    payee_id: str
    kind: ReceiverKind
    account: str
    amount: Money
    result: ReceiverResult = ReceiverResult.PENDING
    reason: str = ""
    back: Money = ZERO

    @property
    def kept(self) -> Money:
        """What the receiver was given and not asked back."""
        return self.amount - self.back if self.result is ReceiverResult.SUCCESS else ZERO


class ClawBack(Struct, frozen=True, kw_only=True, gc=False):
    """What a refund took from those who had shares: (line, cut, back) each. open_returns: still on their way back."""

    refund_id: RefundId
    order_id: OrderId
    amount: Money
    losses: tuple[tuple[int, Money, Money], ...]
    returns: int
    open_returns: int
    at: datetime


class ReturnState(StrEnum):
    """What has become of a return."""

    DUE = "due"
    SENT = "sent"
    SETTLED = "settled"
    REFUSED = "refused"  # he does not give it back: the platform has advanced it, and he owes it
    WITHHELD = "withheld"  # he was not given so much of what he got later
    PAID_OTHERWISE = "paid_otherwise"
    WRITTEN_OFF = "written_off"


class ShareReturn(Struct, frozen=True, kw_only=True, gc=False):
    """Shared money to come back from a receiver for a refund. owed_in: the account he owes it in until then.

    withheld: what was kept of it from his later transfers.
    """

    id: str
    order_id: OrderId
    refund_id: RefundId
    share_id: str
    part: int
    kind: ReceiverKind
    account: str
    owed_in: str
    amount: Money
    withheld: Money = ZERO
    out_return_no: str
    attempts: int
    state: ReturnState
    due_at: datetime
    ended_at: datetime | None = None
    reason: str = ""

    @property
    def left(self) -> Money:
        """What is still owed of it."""
        return self.amount - self.withheld


class Debt(Struct, frozen=True, kw_only=True, gc=False):
    """What is owed in an account and nobody is asked for: the refused returns, oldest first, kept from what comes next.

    A return on its way is not among them: what it brings must not have been kept already.
    """

    account: str
    returns: tuple[str, ...]


class CaseKind(StrEnum):
    """What a person must look at."""

    REFUND = "refund"  # the member does not get his money
    SHARE = "share"  # a party is not given his part by the payment company, and is owed it
    RETURN = "return"  # a receiver does not give back what the platform has advanced


class CaseState(StrEnum):
    """Whether anybody must still look."""

    OPEN = "open"
    SETTLED = "settled"


class Settlement(StrEnum):
    """How an operator settles a case."""

    RETRY = "retry"
    PAID_OTHERWISE = "paid_otherwise"  # by bank transfer or in cash; the note says how
    WRITE_OFF = "write_off"


class Case(Struct, frozen=True, kw_only=True, gc=False):
    """Something of money that will not go on by itself; `times` it came up. Who settled it last, how and why."""

    id: str
    kind: CaseKind
    reference: str
    order_id: OrderId
    amount: Money
    reason: str
    state: CaseState
    opened_at: datetime
    times: int = 1
    settled_at: datetime | None = None
    settled_by: str | None = None
    settled_how: Settlement | None = None
    note: str | None = None


class CaseSettlement(Struct, frozen=True, kw_only=True, gc=False):
    """What an operator did about a case the `number`th time it came up, and the reason it had then; never changed."""

    case_id: str
    number: int
    reason: str
    how: Settlement
    settled_by: str
    settled_at: datetime
    note: str


def case_id(kind: CaseKind, reference: str) -> str:
    """The one case there is of a thing."""
    return f"{case_ids_begin(kind)}{reference}"


def case_ids_begin(kind: CaseKind) -> str:
    """What the ids of all cases of a kind begin with."""
    return f"{kind.value}."


class StartPayout(Struct, frozen=True, kw_only=True, gc=False):
    """Give the next share of a completed order, or unfreeze the rest when there is none."""

    order_id: str


class Receivable(Struct, frozen=True, kw_only=True, gc=False):
    """A receiver as an errand carries him."""

    payee_id: str
    kind: ReceiverKind
    account: str
    full_name: str


class AddReceivers(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: let the payment company know who will be given shares."""

    order_id: str
    receivers: tuple[Receivable, ...]


class RecordReceivers(Struct, frozen=True, kw_only=True, gc=False):
    """Whom the payment company lets receive shares, and whom not, (payee, why)."""

    order_id: str
    added: tuple[Receivable, ...]
    refused: tuple[tuple[str, str], ...]


class SentPart(Struct, frozen=True, kw_only=True, gc=False):
    """What one receiver is to be given."""

    kind: ReceiverKind
    account: str
    amount_fen: int


class SendShare(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: have the payment company give shares; the same content under the same number for ever."""

    share_id: str
    out_order_no: str
    out_trade_no: str
    transaction_id: str
    receivers: tuple[SentPart, ...]


class AskShare(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: what became of a share."""

    sent: SendShare


class SeenPart(Struct, frozen=True, kw_only=True, gc=False):
    """What the payment company says of one receiver."""

    account: str
    amount_fen: int
    result: ReceiverResult
    reason: str


class RecordShare(Struct, frozen=True, kw_only=True, gc=False):
    """What the payment company said of a share. frozen_fen: what is frozen still, asked when it was refused."""

    share_id: str
    progress: ShareProgress
    receivers: tuple[SeenPart, ...] = ()
    reason: str = ""
    frozen_fen: int = 0


class SendUnfreeze(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: make what is left of a payment the platform's own."""

    order_id: str
    out_order_no: str
    transaction_id: str


class AskUnfreeze(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: what became of an unfreezing."""

    sent: SendUnfreeze


class RecordUnfreeze(Struct, frozen=True, kw_only=True, gc=False):
    """What the payment company said of an unfreezing. frozen_fen: what is frozen still, asked when it was refused."""

    order_id: str
    progress: ShareProgress
    frozen_fen: int = 0


class SendReturn(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: take shared money back."""

    return_id: str
    out_return_no: str
    out_order_no: str
    kind: ReceiverKind
    account: str
    amount_fen: int


class AskReturn(Struct, frozen=True, kw_only=True, gc=False):
    """Errand: what became of a return."""

    sent: SendReturn


class RecordReturn(Struct, frozen=True, kw_only=True, gc=False):
    """What the payment company said of a return."""

    return_id: str
    out_return_no: str
    progress: RefundProgress
    amount_fen: int
    reason: str = ""


class SettleCase(Struct, frozen=True, kw_only=True, gc=False):
    """An operator settles what would not go on by itself."""

    case_id: str
    how: Settlement
    note: str
    operator_id: str


class ChangeTerms(Struct, frozen=True, kw_only=True, gc=False):
    """An operator puts new terms in force. after_version: the one he has seen in force."""

    terms: SharingTerms
    after_version: int
    operator_id: str


class RegisterPayee(Struct, frozen=True, kw_only=True, gc=False):
    """An operator says what the payment company calls a merchant or person."""

    kind: ReceiverKind
    owner_id: str
    account: str
    full_name: str
    operator_id: str


class TermsChanged(Struct, frozen=True, kw_only=True, gc=False):
    """The version of the terms that is in force now."""

    version: int


class PayoutStanding(Struct, frozen=True, kw_only=True, gc=False):
    """The answer of every payout command: how far the order's payout is."""

    order_id: str
    payout: PayoutState
    rounds: int


class ReturnStanding(Struct, frozen=True, kw_only=True, gc=False):
    """How a return stands now."""

    return_id: str
    state: ReturnState
    amount_fen: int
    reason: str


class CaseStanding(Struct, frozen=True, kw_only=True, gc=False):
    """How a case stands now."""

    case_id: str
    state: CaseState
    how: Settlement

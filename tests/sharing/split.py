"""A split of two members' orders, paid, on a bench: what tests of sharing start from."""

from __future__ import annotations

from typing import Any

from tests.bench_unit import BenchUnit
from tests.money.till import NOON
from tuanzi.base.branch import Branch
from tuanzi.machinery.fence import COORDINATOR_EPOCHS, FENCES
from tuanzi.money import CancelSharing, ConfirmSharing, RecordCapture, SharedOrder, SharedPart, TrySharing
from tuanzi.money import store as money_store
from tuanzi.money.model import Balance
from tuanzi.money.service import record_capture
from tuanzi.sharing import store
from tuanzi.sharing.model import Sharing, SharingTerms, TermsInForce, Transfer, terms_id
from tuanzi.sharing.service import transfers_of

BRANCH = Branch(gid="g_1.split", branch="sharing", coordinator="beijing", epoch=1)
LEADER = "m_lin"


def bench() -> BenchUnit:
    """A unit of the money database without a writer."""
    tables = (*money_store.TABLES, *store.TABLES, FENCES, COORDINATOR_EPOCHS)
    return BenchUnit({table.kind: table.key_of for table in tables})


def part(number: int, *, of: str, merchant: str, items: int, discount: int = 0, delivery: int = 0) -> SharedPart:
    """One sub-order."""
    return SharedPart(
        sub_order_id=f"{of}.{number}",
        merchant_id=merchant,
        items_fen=items,
        discount_fen=discount,
        delivery_fen=delivery,
        payable_fen=items - discount + delivery,
    )


def order(order_id: str, *parts: SharedPart, paid: int | None = None) -> SharedOrder:
    """One member's money in a split; paid exactly when nothing else is said."""
    payable = sum(each.payable_fen for each in parts)
    return SharedOrder(
        order_id=order_id,
        payment_id=f"p_{order_id[2:]}",
        member_id=f"m_{order_id[2:]}",
        paid_fen=payable if paid is None else paid,
        payable_fen=payable,
        parts=parts,
    )


# One merchant; 20 yuan of noodles, 3 off, 1 for delivery; 2 yuan more were paid and go back.
ANN = order("o_ann", part(1, of="o_ann", merchant="noodles", items=2000, discount=300, delivery=100), paid=2000)
# Two merchants: 22.01 of noodles, 9 of tea, amounts that nothing divides.
BEN = order(
    "o_ben",
    part(1, of="o_ben", merchant="noodles", items=2601, discount=400, delivery=67),
    part(2, of="o_ben", merchant="tea", items=1000, discount=100, delivery=34),
)
SPLIT = TrySharing(branch=BRANCH, group_id="g_1", leader_id=LEADER, orders=(ANN, BEN), split_at=NOON)
CONFIRM = ConfirmSharing(branch=BRANCH)
CANCEL = CancelSharing(branch=BRANCH)


def capture(of: SharedOrder, **others: Any) -> RecordCapture:
    """The money of an order came."""
    facts = {
        "payment_id": of.payment_id,
        "order_id": of.order_id,
        "member_id": of.member_id,
        "amount_fen": of.paid_fen,
        "transaction_id": f"t_{of.payment_id}",
        "provider": "sandbox",
    }
    return RecordCapture(**{**facts, **others})


def paid(*orders: SharedOrder) -> BenchUnit:
    """A bench where these orders are paid; Ann's and Ben's when none is named."""
    unit = bench()
    for each in orders or (ANN, BEN):
        record_capture(unit, capture(each), now=NOON)
    unit.events.clear()
    return unit


def put_terms(unit: BenchUnit, **others: Any) -> SharingTerms:
    """Terms of sharing in force, version 1."""
    terms = SharingTerms(id=terms_id(1), version=1, **others)
    unit.put(terms)
    unit.put(TermsInForce(id="terms", version=1))
    return terms


def transfers(unit: BenchUnit, order_id: str) -> list[Transfer]:
    """What was set aside of an order."""
    return transfers_of(unit, unit.load(Sharing, order_id))


def amounts(unit: BenchUnit, order_id: str) -> list[tuple[str, str, str, int]]:
    """(the sub-order's number, party, account, fen) of everything set aside of an order."""
    return [
        (each.sub_order_id.rpartition(".")[2], each.party.value, each.account, each.amount.fen)
        for each in transfers(unit, order_id)
    ]


def balances(unit: BenchUnit) -> dict[str, int]:
    """Every account that is not empty."""
    kept = [value for (kind, _), value in unit.values.items() if kind is Balance]
    return {each.account: each.amount.fen for each in kept if each.amount}

"""Shares an order's money out, one function for each sentence: set aside, made theirs, given back (B2, B3, C2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.branch import BranchAnswer
from tuanzi.base.ids import GroupId, OrderId, PaymentId
from tuanzi.base.money import ZERO, Money, total
from tuanzi.base.unit import Unit
from tuanzi.machinery.fence import answer_of, cancel_branch, confirm_branch, fence_place, try_branch
from tuanzi.machinery.memory import Place
from tuanzi.money import (
    Account,
    CancelSharing,
    ConfirmSharing,
    Entry,
    Journal,
    JournalKind,
    Payment,
    PaymentState,
    SharedOrder,
    TrySharing,
    book_new,
)
from tuanzi.sharing.model import (
    BUDGET_ID,
    FIRST_TERMS,
    IN_FORCE_ID,
    Sharing,
    SharingBranch,
    SharingState,
    SharingTerms,
    SubsidyBudget,
    TermsInForce,
    Transfer,
    plan_transfers,
    terms_id,
)
from tuanzi.sharing.problems import AlreadyShared, BudgetUsedUp, MoneyMissing, MoneyShort


def try_sharing(unit: Unit, command: TrySharing, *, now: datetime) -> BranchAnswer:
    """Set aside who gets what of every order of a split. A repeat changes nothing.

    Raises BranchRefused: a payment is missing, misfit or short, the order is shared already, or the budget is used up;
    StaleCoordinator.
    """
    content = replace(command, branch=replace(command.branch, epoch=0))
    if try_branch(unit, command.branch, content=content, now=now):
        _set_aside(unit, command, now=now)
    return answer_of(unit, command.branch)


def new_to_try(command: TrySharing) -> Sequence[Place]:
    """What a Try looks for and mostly makes: its fence and its orders' sharings."""
    return [fence_place(command.branch), *[(Sharing, order.order_id) for order in command.orders]]


def confirm_sharing(unit: Unit, command: ConfirmSharing, *, now: datetime) -> BranchAnswer:
    """Make it theirs: every order's transfers are booked. A repeat changes nothing.

    Raises EmptyConfirm, StaleCoordinator.
    """
    if confirm_branch(unit, command.branch, now=now):
        for order_id in unit.load(SharingBranch, command.branch.gid).order_ids:
            _post(unit, unit.load(Sharing, order_id), now=now)
    return answer_of(unit, command.branch)


def cancel_sharing(unit: Unit, command: CancelSharing, *, now: datetime) -> BranchAnswer:
    """Give it back to the members: every order's transfers are void. A repeat changes nothing.

    Raises CancelRefused, StaleCoordinator.
    """
    if cancel_branch(unit, command.branch, now=now):
        for order_id in unit.load(SharingBranch, command.branch.gid).order_ids:
            _void(unit, unit.load(Sharing, order_id), now=now)
    return answer_of(unit, command.branch)


def transfers_of(unit: Unit, sharing: Sharing) -> list[Transfer]:
    """All transfers of an order, by line."""
    return [unit.load(Transfer, (sharing.gid, sharing.order_id, line)) for line in range(sharing.transfers)]


def terms_in_force(unit: Unit) -> SharingTerms:
    """The terms that orders are shared by now."""
    pointer = unit.find(TermsInForce, IN_FORCE_ID)
    return FIRST_TERMS if pointer is None else unit.load(SharingTerms, terms_id(pointer.version))


def _set_aside(unit: Unit, command: TrySharing, *, now: datetime) -> None:
    terms = terms_in_force(unit)
    subsidies = 0
    for order in command.orders:
        _check_money(unit, order)
        planned = plan_transfers(
            order,
            terms=terms,
            gid=command.branch.gid,
            leader_id=command.leader_id,
            ambassador_id=command.ambassador_id,
        )
        _keep_new(unit, order, command, terms_version=terms.version, transfers=len(planned), now=now)
        for transfer in planned:
            unit.add(transfer)
            subsidies += transfer.amount.fen if transfer.is_subsidy else 0
    if subsidies:
        _spend(unit, Money(subsidies), terms=terms)
    branch = SharingBranch(
        gid=command.branch.gid,
        group_id=GroupId(command.group_id),
        order_ids=tuple([OrderId(order.order_id) for order in command.orders]),
    )
    unit.add(branch)


def _check_money(unit: Unit, order: SharedOrder) -> None:
    """The escrow covers the final price, and nothing else lays claim to it. Raises BranchRefused."""
    if order.paid_fen == order.payable_fen == 0:
        return
    payment = unit.find(Payment, order.payment_id)
    if payment is None or payment.state is not PaymentState.CAPTURED or payment.order_id != order.order_id:
        raise MoneyMissing(order_id=order.order_id, payment_id=order.payment_id)
    if payment.captured.fen != order.paid_fen:
        raise MoneyMissing(order_id=order.order_id, captured_fen=payment.captured.fen, paid_fen=order.paid_fen)
    if payment.left().fen < order.payable_fen:
        raise MoneyShort(order_id=order.order_id, left_fen=payment.left().fen, payable_fen=order.payable_fen)


def _keep_new(
    unit: Unit, order: SharedOrder, command: TrySharing, *, terms_version: int, transfers: int, now: datetime
) -> None:
    """Keep an order's sharing, in place of one that was voided. Raises AlreadyShared."""
    before = unit.find(Sharing, order.order_id)
    if before is not None and before.state is not SharingState.VOIDED:
        raise AlreadyShared(order_id=order.order_id, gid=before.gid)
    sharing = Sharing(
        order_id=OrderId(order.order_id),
        gid=command.branch.gid,
        group_id=GroupId(command.group_id),
        payment_id=PaymentId(order.payment_id),
        terms_version=terms_version,
        state=SharingState.PENDING,
        payable=Money(order.payable_fen),
        claimed=Money(order.payable_fen),
        transfers=transfers,
        tried_at=now,
    )
    if before is None:
        unit.add(sharing)
    else:
        unit.put(sharing)


def _spend(unit: Unit, amount: Money, *, terms: SharingTerms) -> None:
    """Set a part of the subsidy budget aside. Raises BudgetUsedUp; the table's CHECK says the same."""
    budget = unit.find(SubsidyBudget, BUDGET_ID) or SubsidyBudget(id=BUDGET_ID, most=terms.subsidy_budget, used=ZERO)
    used = budget.used + amount
    if used > terms.subsidy_budget:
        raise BudgetUsedUp(left_fen=max(0, (terms.subsidy_budget - budget.used).fen), needed_fen=amount.fen)
    unit.put(replace(budget, used=used))


def _unspend(unit: Unit, amount: Money) -> None:
    """Give a part of the subsidy budget free again."""
    if amount:
        budget = unit.load(SubsidyBudget, BUDGET_ID)
        unit.put(replace(budget, used=budget.used - amount))


def _post(unit: Unit, sharing: Sharing, *, now: datetime) -> None:
    """Book what is left of an order's pending transfers."""
    assert sharing.state is SharingState.PENDING, f"{sharing.order_id} is {sharing.state}"
    credits: dict[str, int] = {}
    subsidies = 0
    for each in transfers_of(unit, sharing):
        credits[each.account] = credits.get(each.account, 0) - each.held.fen
        subsidies += each.held.fen if each.is_subsidy else 0
    lines = {Account.ORDER_ESCROW.value: sharing.claimed.fen, Account.SUBSIDY_EXPENSE.value: subsidies, **credits}
    if any(lines.values()):
        book_new(
            unit, journal_of(JournalKind.SHARING, sharing.order_id, order_id=sharing.order_id, lines=lines, at=now)
        )
    unit.put(replace(sharing, state=SharingState.POSTED, decided_at=now))


def _void(unit: Unit, sharing: Sharing, *, now: datetime) -> None:
    """Give up an order's pending transfers."""
    assert sharing.state is SharingState.PENDING, f"{sharing.order_id} is {sharing.state}"
    _unspend(unit, total(_subsidies_held(transfers_of(unit, sharing))))
    unit.put(replace(sharing, state=SharingState.VOIDED, claimed=ZERO, decided_at=now))


def _subsidies_held(transfers: Iterable[Transfer]) -> list[Money]:
    return [each.held for each in transfers if each.is_subsidy]


def journal_of(kind: JournalKind, reference: str, *, order_id: str, lines: dict[str, int], at: datetime) -> Journal:
    """A journal for one order from fen by account, empty ones left out; debits are positive."""
    own = f"{kind.value}:{reference}"
    entries = [
        Entry(journal_id=own, line=line, account=account, order_id=order_id, amount=Money(fen))
        for line, (account, fen) in enumerate([each for each in lines.items() if each[1]])
    ]
    return Journal(kind=kind, reference=reference, at=at, entries=tuple(entries))

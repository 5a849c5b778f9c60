"""A split's branch here: Try sets an order's money aside, Confirm makes it theirs, Cancel gives it back (B2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from tuanzi.base.branch import BranchAnswer
from tuanzi.base.ids import GroupId, OrderId, PaymentId
from tuanzi.base.money import ZERO, Money, total
from tuanzi.base.unit import Unit
from tuanzi.machinery.fence import answer_of, cancel_branch, confirm_branch, fence_place, try_branch
from tuanzi.machinery.memory import Place
from tuanzi.money import (
    Account,
    Balance,
    CancelSharing,
    ConfirmSharing,
    Journal,
    JournalKind,
    Payment,
    PaymentState,
    SharedOrder,
    TrySharing,
    book_new,
)
from tuanzi.sharing.model import (
    OrderTransfers,
    Party,
    Sharing,
    SharingBranch,
    SharingState,
    Transfer,
    account_of,
    plan_transfers,
)
from tuanzi.sharing.problems import AlreadyShared, MoneyMissing, MoneyShort
from tuanzi.sharing.service.journals import journal_of
from tuanzi.sharing.service.payouts import release
from tuanzi.sharing.service.terms import spend, terms_in_force, unspend
from tuanzi.sharing.service.transfers import transfers_of


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


def asked_by_confirm(command: TrySharing) -> Sequence[Place]:
    """What the Confirm after this Try will look for and hardly anything else does: its leader's balance."""
    return [(Balance, account_of(Party.LEADER, command.leader_id))]


def confirm_sharing(unit: Unit, command: ConfirmSharing, *, now: datetime) -> BranchAnswer:
    """Make it theirs: every order's transfers are booked. A repeat changes nothing.

    Raises EmptyConfirm, StaleCoordinator.
    """
    if confirm_branch(unit, command.branch, now=now):
        orders = unit.load(SharingBranch, command.branch.gid).order_ids
        posted = [_post(unit, unit.load(Sharing, order_id), now=now) for order_id in orders]
        book_new(unit, *[journal for journal in posted if journal is not None])
    return answer_of(unit, command.branch)


def cancel_sharing(unit: Unit, command: CancelSharing, *, now: datetime) -> BranchAnswer:
    """Give it back to the members: every order's transfers are void. A repeat changes nothing.

    Raises CancelRefused, StaleCoordinator.
    """
    if cancel_branch(unit, command.branch, now=now):
        for order_id in unit.load(SharingBranch, command.branch.gid).order_ids:
            _void(unit, unit.load(Sharing, order_id), now=now)
    return answer_of(unit, command.branch)


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
        unit.add(OrderTransfers(gid=command.branch.gid, order_id=OrderId(order.order_id), transfers=tuple(planned)))
        if terms.subsidy_rate:
            subsidies += sum([transfer.amount.fen for transfer in planned if transfer.is_subsidy])
    if subsidies:
        spend(unit, Money(subsidies), terms=terms)
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


def _post(unit: Unit, sharing: Sharing, *, now: datetime) -> Journal | None:
    """Make what is left of an order's pending transfers theirs; the journal of it, None when it cost nothing."""
    assert sharing.state is SharingState.PENDING, f"{sharing.order_id} is {sharing.state}"
    credits: dict[str, int] = {}
    subsidies = 0
    for each in transfers_of(unit, sharing):
        held = each.held_fen
        credits[each.account] = credits.get(each.account, 0) - held
        subsidies += held if each.is_subsidy else 0
    posted = replace(sharing, state=SharingState.POSTED, decided_at=now)
    unit.put(posted)
    if posted.completed_at is not None:
        release(unit, posted, now=now)
    lines = {_ESCROW: sharing.claimed.fen, _SUBSIDIES: subsidies, **credits}
    if not any(lines.values()):
        return None
    return journal_of(JournalKind.SHARING, sharing.order_id, order_id=sharing.order_id, lines=lines, at=now)


_ESCROW: Final = Account.ORDER_ESCROW.value
_SUBSIDIES: Final = Account.SUBSIDY_EXPENSE.value


def _void(unit: Unit, sharing: Sharing, *, now: datetime) -> None:
    """Give up an order's pending transfers."""
    assert sharing.state is SharingState.PENDING, f"{sharing.order_id} is {sharing.state}"
    unspend(unit, total(_subsidies_held(transfers_of(unit, sharing))))
    unit.put(replace(sharing, state=SharingState.VOIDED, claimed=ZERO, decided_at=now))


def _subsidies_held(transfers: Iterable[Transfer]) -> list[Money]:
    return [each.held for each in transfers if each.is_subsidy]

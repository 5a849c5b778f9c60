"""Shares an order's money out, one function for each sentence (B2, B3, B8, C2).

In this order: a split's Try, Confirm and Cancel; terms and payees; paying out; refunds and returns; cases; the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, assert_never

from msgspec.structs import replace

from tuanzi.base.branch import BranchAnswer
from tuanzi.base.ids import GroupId, OrderId, PaymentId
from tuanzi.base.money import ZERO, Money, total
from tuanzi.base.unit import Unit
from tuanzi.machinery.fence import answer_of, cancel_branch, confirm_branch, fence_place, try_branch
from tuanzi.machinery.memory import Place
from tuanzi.money import (
    ASK_LATEST,
    Account,
    Balance,
    CancelSharing,
    ConfirmSharing,
    Entry,
    Journal,
    JournalKind,
    Payment,
    PaymentState,
    ReceiverKind,
    ReceiverResult,
    Refund,
    RefundProgress,
    RefundStanding,
    RefundState,
    RetryRefund,
    SharedOrder,
    ShareProgress,
    TrySharing,
    book_new,
    hold_refund,
    let_refund_wait,
    out_refund_no_of,
    pause,
    pay_refund_otherwise,
    payment_to_refund,
    payouts_held,
    promise_refund,
    refund_standing,
    resend_refund,
    send_refund,
    write_off_refund,
)
from tuanzi.people import ForgetPerson, Forgotten
from tuanzi.sharing.model import (
    BUDGET_ID,
    CLOSED_MAX,
    FIRST_TERMS,
    IN_FORCE_ID,
    PERSON_ERASED,
    PERSONS,
    PERSONS_WAIT,
    POOL,
    PROVIDER_WAIT,
    ROUNDS_MAX,
    AddReceivers,
    AskReturn,
    AskShare,
    AskUnfreeze,
    Case,
    CaseKind,
    CaseSettlement,
    CaseStanding,
    CaseState,
    ChangeTerms,
    ClawBack,
    Debt,
    Loss,
    OrderTransfers,
    Party,
    Payee,
    PayeeState,
    PayoutStanding,
    PayoutState,
    Receivable,
    RecordReceivers,
    RecordReturn,
    RecordShare,
    RecordUnfreeze,
    RegisterPayee,
    ReturnStanding,
    ReturnState,
    SeenPart,
    SendReturn,
    SendShare,
    SendUnfreeze,
    SentPart,
    SettleCase,
    Settlement,
    Share,
    SharePart,
    ShareReturn,
    ShareState,
    Sharing,
    SharingBranch,
    SharingState,
    SharingTerms,
    StartPayout,
    SubsidyBudget,
    TermsChanged,
    TermsInForce,
    Transfer,
    account_of,
    advance_of,
    case_id,
    losses,
    payee_id_of,
    plan_transfers,
    share_id,
    terms_id,
    unregistered_payee,
)
from tuanzi.sharing.problems import (
    AlreadyShared,
    BudgetUsedUp,
    CannotSettle,
    CaseSettled,
    MoneyMissing,
    MoneyShort,
    TermsMoved,
)


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


def change_terms(unit: Unit, command: ChangeTerms, *, now: datetime) -> TermsChanged:
    """Put new terms in force; orders set aside before keep theirs. Raises TermsMoved, TermsInvalid."""
    before = terms_in_force(unit)
    if before.version != command.after_version:
        raise TermsMoved(version=before.version)
    version = before.version + 1
    terms = replace(command.terms, id=terms_id(version), version=version, made_by=command.operator_id, made_at=now)
    unit.add(terms)
    unit.put(TermsInForce(id=IN_FORCE_ID, version=version))
    budget = unit.find(SubsidyBudget, BUDGET_ID) or SubsidyBudget(id=BUDGET_ID, most=ZERO, used=ZERO)
    unit.put(replace(budget, most=max(terms.subsidy_budget, budget.used)))
    return TermsChanged(version=version)


def forget_payee(unit: Unit, command: ForgetPerson, *, now: datetime) -> Forgotten:
    """A person is erased: his account and name go, and what he is still owed waits for an operator, as a case.

    Shares that were given keep the account they went to, for nothing could be taken back from another.
    """
    payee_id = f"{ReceiverKind.PERSON.value}:{command.person_id}"
    unit.put(
        Payee(
            id=payee_id,
            kind=ReceiverKind.PERSON,
            account="",
            full_name="",
            state=PayeeState.REFUSED,
            refusal=PERSON_ERASED,
        )
    )
    return Forgotten(person_id=command.person_id)


def register_payee(unit: Unit, command: RegisterPayee, *, now: datetime) -> Payee:
    """Say what the payment company calls somebody who is given shares; he is added there before the next share."""
    payee = Payee(
        id=f"{command.kind.value}:{command.owner_id}",
        kind=command.kind,
        account=command.account,
        full_name=command.full_name,
    )
    unit.put(payee)
    return payee


def complete(unit: Unit, order_id: str, *, now: datetime) -> None:
    """The order is completed, so its money need not be held any more; a repeat changes nothing."""
    sharing = unit.find(Sharing, order_id)
    if sharing is None or sharing.completed_at is not None:
        return
    completed = replace(sharing, completed_at=now)
    unit.put(completed)
    if completed.state is SharingState.POSTED:
        _release(unit, completed, now=now)


def credit_rider(unit: Unit, order_id: str, *, sub_order_id: str, rider_id: str, now: datetime) -> None:
    """A rider has brought a sub-order: what the pool holds for it is his. A repeat changes nothing."""
    sharing = unit.find(Sharing, order_id)
    if sharing is None or sharing.state is SharingState.VOIDED:
        return
    pool = account_of(Party.RIDER, POOL)
    for each in transfers_of(unit, sharing):
        if each.sub_order_id == sub_order_id and each.account == pool:
            his = replace(each, account=account_of(Party.RIDER, rider_id))
            _keep(unit, his)
            if sharing.state is SharingState.POSTED and each.held:
                lines = {pool: each.held.fen, his.account: -each.held.fen}
                _book(unit, JournalKind.RIDER_CREDIT, sub_order_id, order_id=sharing.order_id, lines=lines, now=now)


def start_payout(unit: Unit, command: StartPayout, *, now: datetime) -> PayoutStanding:
    """Give the next share of a completed order, or unfreeze the rest when nothing more is to be given.

    Merchants are given theirs first, persons a day later. Changes nothing unless a payout is due. Raises Unknown.
    """
    sharing = unit.load(Sharing, command.order_id)
    if sharing.payout is not PayoutState.DUE:
        return _payout_standing(sharing)
    payment = unit.find(Payment, sharing.payment_id)
    if payment is None or payment.transaction_id is None:
        return _finish(unit, sharing)  # it cost nothing
    if _is_held(unit, sharing):
        sharing = _send_held_refunds(unit, sharing, now=now)
        unit.schedule(_payout_timer(sharing), command, at=now + ASK_LATEST)
        return _payout_standing(sharing)
    persons_at = sharing.persons_at or now
    due, payees = _payable(unit, sharing, persons_too=now >= persons_at, now=now)
    new = tuple([_receivable(payee) for payee in payees.values() if payee.state is PayeeState.NEW])
    if not due:
        sharing = _send_held_refunds(unit, sharing, now=now)
    if not due and now < persons_at and any([_is_for_person(each) for each in transfers_of(unit, sharing)]):
        unit.schedule(_payout_timer(sharing), command, at=persons_at)
        return _payout_standing(sharing)
    if not due:
        unfreezing = replace(sharing, payout=PayoutState.UNFREEZING)
        unit.put(unfreezing)
        number = out_refund_no_of(f"{sharing.order_id}.u")
        unfreeze = SendUnfreeze(order_id=sharing.order_id, out_order_no=number, transaction_id=payment.transaction_id)
        unit.schedule(_payout_timer(sharing), unfreeze, at=now)
        return _payout_standing(unfreezing)
    if new:
        unit.schedule(_payout_timer(sharing), AddReceivers(order_id=sharing.order_id, receivers=new), at=now)
        return _payout_standing(sharing)
    return _share(unit, sharing, payment, due=due, payees=payees, now=now)


def record_receivers(unit: Unit, command: RecordReceivers, *, now: datetime) -> PayoutStanding:
    """Note whom the payment company lets receive shares, and go on. Raises Unknown."""
    for one in command.added:
        added = Payee(
            id=one.payee_id, kind=one.kind, account=one.account, full_name=one.full_name, state=PayeeState.ADDED
        )
        _note_payee(unit, added)
    for payee_id, refusal in command.refused:
        payee = unit.find(Payee, payee_id) or unregistered_payee(payee_id)
        unit.put(replace(payee, state=PayeeState.REFUSED, refusal=refusal))
    sharing = unit.load(Sharing, command.order_id)
    if sharing.payout is PayoutState.DUE:
        unit.schedule(_payout_timer(sharing), StartPayout(order_id=sharing.order_id), at=now)
    return _payout_standing(sharing)


def record_share(unit: Unit, command: RecordShare, *, now: datetime) -> PayoutStanding:
    """Book what a share has given, and go on with what it has not; repeats and late reports change nothing.

    Raises Unknown.
    """
    share = unit.load(Share, command.share_id)
    sharing = unit.load(Sharing, share.order_id)
    if share.state is not ShareState.SENT:
        return _payout_standing(sharing)
    parts = _parts_of(unit, share)
    match command.progress:
        case ShareProgress.PROCESSING | ShareProgress.UNKNOWN:
            return _ask_share_later(unit, sharing, share, parts=parts, now=now)
        case ShareProgress.FINISHED:
            results = _results(parts, command.receivers)
            if results is None:
                _open_case(
                    unit,
                    CaseKind.SHARE,
                    share.id,
                    order_id=sharing.order_id,
                    amount=ZERO,
                    reason="results_differ",
                    now=now,
                )
                return _ask_share_later(unit, sharing, share, parts=parts, now=now)
            matched = [(part, results[part.account]) for part in parts]
            _record_parts(unit, sharing, share, results=matched, now=now)
        case ShareProgress.REFUSED:
            _record_refused_share(unit, sharing, parts, command=command, now=now)
        case _:
            assert_never(command.progress)
    is_finished = command.progress is ShareProgress.FINISHED
    ended = ShareState.FINISHED if is_finished else ShareState.REFUSED
    unit.put(replace(share, state=ended, ended_at=now, reason=command.reason))
    return _go_on(unit, sharing, now=now)


def record_unfreeze(unit: Unit, command: RecordUnfreeze, *, now: datetime) -> PayoutStanding:
    """The payout is done when nothing is frozen any more; else it is asked about. Raises Unknown."""
    sharing = unit.load(Sharing, command.order_id)
    if sharing.payout is not PayoutState.UNFREEZING:
        return _payout_standing(sharing)
    is_refused = command.progress is ShareProgress.REFUSED
    if command.progress is ShareProgress.FINISHED or (is_refused and not command.frozen_fen):
        return _finish(unit, sharing)
    payment = unit.load(Payment, sharing.payment_id)
    number = out_refund_no_of(f"{sharing.order_id}.u")
    send = SendUnfreeze(order_id=sharing.order_id, out_order_no=number, transaction_id=payment.transaction_id or "")
    later = now + pause(sharing.completed_at or now, now=now)
    unit.schedule(_payout_timer(sharing), send if is_refused else AskUnfreeze(sent=send), at=later)
    return _payout_standing(sharing)


def pay_back(unit: Unit, refund: Refund, *, now: datetime) -> RefundStanding:
    """Owe a refund to its member: out of what nobody lays claim to, then from those who have shares (B8).

    They lose in proportion to what they have left, exactly. What they were given already comes back first, and the
    member gets his money in any case (P12). A refund that comes while a share is with the payment company waits for it.
    """
    sharing = unit.find(Sharing, refund.order_id)
    payment = payment_to_refund(unit, refund)
    if sharing is None or payment is None or sharing.payment_id != payment.id:
        return promise_refund(unit, refund, now=now)
    short = refund.amount.fen - (payment.left() - sharing.claimed).fen
    if short <= 0:
        return promise_refund(unit, refund, now=now)
    if sharing.payout is PayoutState.SHARING:
        return let_refund_wait(unit, refund, now=now)
    open_returns = _claw_back(unit, sharing, refund, short=Money(short), now=now)
    standing = promise_refund(unit, refund, now=now)
    is_held = _give_persons_first(unit, refund, now=now)
    if open_returns or is_held:
        hold_refund(unit, refund.id)
    return standing


def retry_refund(unit: Unit, command: RetryRefund, *, now: datetime) -> RefundStanding:
    """Try a waiting refund again; one that is not waiting stays as it is. Raises Unknown."""
    refund = unit.load(Refund, command.refund_id)
    if refund.state is not RefundState.WAITING:
        return refund_standing(refund)
    return pay_back(unit, refund, now=now)


def record_return(unit: Unit, command: RecordReturn, *, now: datetime) -> ReturnStanding:
    """Book what a receiver gave back; when all returns of a refund are over, well or not, the refund is sent.

    A return that is refused stays owed by its receiver, and asks for a person. Repeats and late reports change
    nothing. Raises Unknown.
    """
    back = unit.load(ShareReturn, command.return_id)
    if back.state not in (ReturnState.DUE, ReturnState.SENT) or back.out_return_no != command.out_return_no:
        return _return_standing(back)
    match command.progress:
        case RefundProgress.PROCESSING | RefundProgress.UNKNOWN:
            sent = replace(back, state=ReturnState.SENT)
            unit.put(sent)
            ask = AskReturn(sent=_send_return(unit, sent))
            unit.schedule(_return_timer(sent), ask, at=now + pause(sent.due_at, now=now))
            return _return_standing(sent)
        case RefundProgress.SETTLED if command.amount_fen == back.left.fen:
            ended = replace(back, state=ReturnState.SETTLED, ended_at=now, reason="")
            lines = {Account.PROVIDER_CLEARING.value: back.left.fen, back.owed_in: -back.left.fen}
            _book(unit, JournalKind.SHARE_RETURNED, back.id, order_id=back.order_id, lines=lines, now=now)
        case RefundProgress.SETTLED:
            ended = replace(back, state=ReturnState.REFUSED, ended_at=now, reason="amount_differs")
        case RefundProgress.REFUSED:
            ended = replace(back, state=ReturnState.REFUSED, ended_at=now, reason=command.reason or "refused")
        case _:
            assert_never(command.progress)
    unit.put(ended)
    unit.unschedule(_return_timer(ended))
    if ended.state is ReturnState.REFUSED:
        _owe(unit, ended)
        _open_return_case(unit, ended, now=now)
    if ended.attempts == 1:
        _return_is_over(unit, ended, now=now)
    return _return_standing(ended)


def open_refund_case(unit: Unit, *, refund_id: str, order_id: str, amount_fen: int, reason: str, now: datetime) -> None:
    """A member does not get his money by itself: a person must look."""
    amount = Money(amount_fen)
    _open_case(unit, CaseKind.REFUND, refund_id, order_id=order_id, amount=amount, reason=reason, now=now)


def close_refund_case(unit: Unit, *, refund_id: str, now: datetime) -> None:
    """A refund that was refused has settled after all."""
    _close_case(unit, CaseKind.REFUND, refund_id, note="settled by the payment company", now=now)


def settle_case(unit: Unit, command: SettleCase, *, now: datetime) -> CaseStanding:
    """Settle what would not go on by itself, and keep who did it, how and why, each time it came up.

    Retried: it is tried again, and is a case again when that fails. Paid otherwise: the platform's bank account paid
    or was paid. Written off: nobody is owed it any more. Raises Unknown, CaseSettled, CannotSettle.
    """
    case = unit.load(Case, command.case_id)
    if case.state is CaseState.SETTLED:
        raise CaseSettled(case_id=case.id)
    settled = replace(
        case,
        state=CaseState.SETTLED,
        settled_at=now,
        settled_by=command.operator_id,
        settled_how=command.how,
        note=command.note,
    )
    unit.put(settled)
    done = CaseSettlement(
        case_id=case.id,
        number=case.times,
        reason=case.reason,
        how=command.how,
        settled_by=command.operator_id,
        settled_at=now,
        note=command.note,
    )
    unit.add(done)
    match case.kind:
        case CaseKind.REFUND:
            _settle_refund_case(unit, case, command.how, now=now)
        case CaseKind.SHARE:
            _settle_share_case(unit, case, command.how, now=now)
        case CaseKind.RETURN:
            _settle_return_case(unit, case, command.how, now=now)
        case _:
            assert_never(case.kind)
    return CaseStanding(case_id=settled.id, state=settled.state, how=command.how)


def transfers_of(unit: Unit, sharing: Sharing) -> list[Transfer]:
    """All transfers of an order, by line."""
    return unit.load(OrderTransfers, (sharing.gid, sharing.order_id)).by_line


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
        unit.add(OrderTransfers(gid=command.branch.gid, order_id=OrderId(order.order_id), transfers=tuple(planned)))
        if terms.subsidy_rate:
            subsidies += sum([transfer.amount.fen for transfer in planned if transfer.is_subsidy])
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
        _release(unit, posted, now=now)
    lines = {_ESCROW: sharing.claimed.fen, _SUBSIDIES: subsidies, **credits}
    if not any(lines.values()):
        return None
    return journal_of(JournalKind.SHARING, sharing.order_id, order_id=sharing.order_id, lines=lines, at=now)


_ESCROW: Final = Account.ORDER_ESCROW.value
_SUBSIDIES: Final = Account.SUBSIDY_EXPENSE.value


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


def _book(
    unit: Unit, kind: JournalKind, reference: str, *, order_id: str, lines: dict[str, int], now: datetime
) -> None:
    """Book a journal that is known to be new; nothing when all its lines are empty."""
    if any(lines.values()):
        book_new(unit, journal_of(kind, reference, order_id=order_id, lines=lines, at=now))


def _release(unit: Unit, sharing: Sharing, *, now: datetime) -> None:
    """Let an order's money go out, as soon as the payment company does."""
    payment = unit.find(Payment, sharing.payment_id)
    paid_at = payment.captured_at if payment is not None and payment.captured_at is not None else now
    completed_at = sharing.completed_at or now
    unit.put(replace(sharing, payout=PayoutState.DUE, persons_at=completed_at + PERSONS_WAIT))
    at = max(now, paid_at + PROVIDER_WAIT)
    unit.schedule(_payout_timer(sharing), StartPayout(order_id=sharing.order_id), at=at)


def _is_held(unit: Unit, sharing: Sharing) -> bool:
    """Whether the books of one of its merchants are looked into; then nothing of the order goes out (C3)."""
    parts = transfers_of(unit, sharing)
    owners = {each.account.partition(":")[2] for each in parts if each.party is Party.MERCHANT and each.due}
    return any([payouts_held(unit, owner) for owner in sorted(owners)])


def _is_for_person(transfer: Transfer) -> bool:
    """Whether something is to be given to a person."""
    return transfer.party in PERSONS and bool(transfer.due)


def _keep(unit: Unit, transfer: Transfer) -> None:
    """Keep a transfer in place of the one of its line."""
    unit.put(unit.load(OrderTransfers, (transfer.gid, transfer.order_id)).after(transfer))


def _payable(
    unit: Unit, sharing: Sharing, *, persons_too: bool, now: datetime
) -> tuple[list[Transfer], dict[str, Payee]]:
    """What can be given now, and to whom; what cannot is closed: owed, and a case."""
    due: list[Transfer] = []
    payees: dict[str, Payee] = {}
    for each in transfers_of(unit, sharing):
        payee_id = None if _is_for_person(each) and not persons_too else payee_id_of(each.account)
        if each.due and payee_id is not None:
            each = _withhold(unit, each, now=now)
        if not each.due or payee_id is None:
            continue
        payee = unit.find(Payee, payee_id) or unregistered_payee(payee_id)
        if payee.state is PayeeState.REFUSED:
            _close(unit, each, reason=payee.refusal, now=now)
        elif sharing.rounds >= ROUNDS_MAX:
            _close(unit, each, reason="too_many_rounds", now=now)
        else:
            due.append(each)
            payees[payee_id] = payee
    return due, payees


def _withhold(unit: Unit, transfer: Transfer, *, now: datetime) -> Transfer:
    """Keep what its receiver owes for refunds of other orders; the transfer with the rest."""
    owed_in = advance_of(transfer.account)
    debt = unit.find(Debt, owed_in)
    fen = 0 if debt is None else _keep_from(unit, debt, transfer.due, now=now).fen
    if not fen:
        return transfer
    kept = replace(transfer, given=transfer.given + Money(fen))
    _keep(unit, kept)
    reference = f"{transfer.order_id}.{transfer.line}.{kept.given.fen}"
    lines = {transfer.account: fen, owed_in: -fen}
    _book(unit, JournalKind.WITHHELD, reference, order_id=transfer.order_id, lines=lines, now=now)
    return kept


def _keep_from(unit: Unit, debt: Debt, most: Money, *, now: datetime) -> Money:
    """Keep at most `most` for what is owed, oldest first; how much that is. What is kept whole is no case any more."""
    left = most.fen
    for return_id in debt.returns:
        back = unit.load(ShareReturn, return_id)
        fen = min(left, back.left.fen)
        left -= fen
        back = replace(back, withheld=back.withheld + Money(fen))
        if not back.left:
            back = replace(back, state=ReturnState.WITHHELD, ended_at=now)
            _owe_no_more(unit, back)
            _close_case(unit, CaseKind.RETURN, back.id, note="kept from later shares", now=now)
        unit.put(back)
        if not left:
            break
    return Money(most.fen - left)


def _owe(unit: Unit, back: ShareReturn) -> None:
    """A refused return is kept from what its receiver gets next."""
    debt = unit.find(Debt, back.owed_in) or Debt(account=back.owed_in, returns=())
    unit.put(replace(debt, returns=(*debt.returns, back.id)))


def _owe_no_more(unit: Unit, back: ShareReturn) -> None:
    """A return is not kept from what its receiver gets next: it is asked for again, or over."""
    debt = unit.load(Debt, back.owed_in)
    unit.put(replace(debt, returns=tuple([each for each in debt.returns if each != back.id])))


def _share(
    unit: Unit, sharing: Sharing, payment: Payment, *, due: list[Transfer], payees: dict[str, Payee], now: datetime
) -> PayoutStanding:
    """Send a share of all that is due, under the number of its round."""
    number = sharing.rounds + 1
    share = Share(
        id=share_id(sharing.order_id, number),
        order_id=sharing.order_id,
        payment_id=payment.id,
        out_order_no=out_refund_no_of(share_id(sharing.order_id, number)),
        state=ShareState.SENT,
        parts=len(due),
        sent_at=now,
    )
    unit.add(share)
    parts = []
    for i, each in enumerate(due):
        payee = payees[payee_id_of(each.account) or ""]
        part = SharePart(
            share_id=share.id,
            number=i,
            order_id=sharing.order_id,
            line=each.line,
            payee_id=payee.id,
            kind=payee.kind,
            account=payee.account,
            amount=each.due,
        )
        unit.add(part)
        _keep(unit, replace(each, sent=each.due))
        parts.append(part)
    sharing = replace(sharing, payout=PayoutState.SHARING, rounds=number)
    unit.put(sharing)
    unit.schedule(_payout_timer(sharing), _send_share(share, parts, payment), at=now)
    return _payout_standing(sharing)


def _send_share(share: Share, parts: Sequence[SharePart], payment: Payment) -> SendShare:
    receivers: dict[str, SentPart] = {}
    for part in parts:
        before = receivers.get(part.account)
        fen = part.amount.fen + (before.amount_fen if before is not None else 0)
        receivers[part.account] = SentPart(kind=part.kind, account=part.account, amount_fen=fen)
    return SendShare(
        share_id=share.id,
        out_order_no=share.out_order_no,
        out_trade_no=payment.out_trade_no,
        transaction_id=payment.transaction_id or "",
        receivers=tuple(receivers.values()),
    )


def _parts_of(unit: Unit, share: Share) -> list[SharePart]:
    return [unit.load(SharePart, (share.id, number)) for number in range(share.parts)]


def _ask_share_later(
    unit: Unit, sharing: Sharing, share: Share, *, parts: Sequence[SharePart], now: datetime
) -> PayoutStanding:
    ask = AskShare(sent=_send_share(share, parts, unit.load(Payment, share.payment_id)))
    unit.schedule(_payout_timer(sharing), ask, at=now + pause(share.sent_at, now=now))
    return _payout_standing(sharing)


def _record_parts(
    unit: Unit,
    sharing: Sharing,
    share: Share,
    *,
    results: Sequence[tuple[SharePart, SeenPart]],
    now: datetime,
) -> None:
    """Book the parts that were given; a closed one is given once more with its receiver added anew, then closed."""
    lines: dict[str, int] = {}
    for part, seen in results:
        unit.put(replace(part, result=seen.result, reason=seen.reason))
        before = transfers_of(unit, sharing)[part.line]
        if seen.result is ReceiverResult.SUCCESS:
            _keep(unit, replace(before, sent=before.sent - part.amount, given=before.given + part.amount))
            lines[before.account] = lines.get(before.account, 0) + part.amount.fen
            continue
        closed = replace(before, sent=before.sent - part.amount, closed=before.closed + 1)
        _keep(unit, closed)
        payee = unit.find(Payee, part.payee_id) or unregistered_payee(part.payee_id)
        if payee.refusal != PERSON_ERASED:
            unit.put(replace(payee, state=PayeeState.NEW))
        if closed.closed >= CLOSED_MAX:
            _close(unit, closed, reason=seen.reason or "closed", now=now)
    lines[Account.PROVIDER_CLEARING.value] = -sum(lines.values())
    _book(unit, JournalKind.SHARE_GIVEN, share.id, order_id=sharing.order_id, lines=lines, now=now)


def _record_refused_share(
    unit: Unit, sharing: Sharing, parts: Sequence[SharePart], *, command: RecordShare, now: datetime
) -> None:
    """Nothing was given. When less is frozen than was asked, that is shared out; what is left is owed, and a case."""
    wanted = [part.amount.fen for part in parts]
    frozen = Money(command.frozen_fen)
    is_short = 0 < frozen.fen < sum(wanted)
    allowed = frozen.share(wanted) if is_short else [ZERO] * len(parts)
    for part, fen in zip(parts, allowed, strict=True):
        unit.put(replace(part, result=ReceiverResult.CLOSED, reason=command.reason))
        before = transfers_of(unit, sharing)[part.line]
        back = replace(before, sent=before.sent - part.amount)
        _close(unit, back, reason=command.reason or "refused", now=now, but=fen)


def _close(unit: Unit, transfer: Transfer, *, reason: str, now: datetime, but: Money = ZERO) -> None:
    """Give no more of a transfer through the payment company, but for `but`: it is owed all the same."""
    closed = replace(transfer, outward=transfer.given + transfer.sent + but)
    _keep(unit, closed)
    owed = closed.held - but
    if owed:
        reference = f"{transfer.order_id}.{transfer.line}"
        _open_case(unit, CaseKind.SHARE, reference, order_id=transfer.order_id, amount=owed, reason=reason, now=now)


def _go_on(unit: Unit, sharing: Sharing, *, now: datetime) -> PayoutStanding:
    due = replace(sharing, payout=PayoutState.DUE)
    unit.put(due)
    unit.schedule(_payout_timer(due), StartPayout(order_id=due.order_id), at=now)
    return _payout_standing(due)


def _finish(unit: Unit, sharing: Sharing) -> PayoutStanding:
    done = replace(sharing, payout=PayoutState.DONE)
    unit.put(done)
    unit.unschedule(_payout_timer(done))
    return _payout_standing(done)


def _note_payee(unit: Unit, added: Payee) -> None:
    """Keep that a payee was added, unless an operator has registered another account for him meanwhile."""
    known = unit.find(Payee, added.id)
    if known is None or (known.account, known.full_name) == (added.account, added.full_name):
        unit.put(added)


def _give_persons_first(unit: Unit, refund: Refund, *, now: datetime) -> bool:
    """Whether persons are given what is left of theirs before this refund takes what is frozen; it begins now."""
    sharing = unit.load(Sharing, refund.order_id)
    transfers = transfers_of(unit, sharing)
    are_merchants_paid = any([each.given for each in transfers])
    waits = any([_is_for_person(each) and payee_id_of(each.account) is not None for each in transfers])
    if sharing.payout is not PayoutState.DUE or not are_merchants_paid or not waits:
        return False
    unit.put(replace(sharing, persons_at=now, held_refunds=(*sharing.held_refunds, refund.id)))
    unit.schedule(_payout_timer(sharing), StartPayout(order_id=sharing.order_id), at=now)
    return True


def _send_held_refunds(unit: Unit, sharing: Sharing, *, now: datetime) -> Sharing:
    """Send the refunds that waited for persons to be given theirs, but for those whose returns are open."""
    if not sharing.held_refunds:
        return sharing
    freed = replace(sharing, held_refunds=())
    unit.put(freed)
    for refund_id in sharing.held_refunds:
        if not unit.load(ClawBack, refund_id).open_returns:
            send_refund(unit, refund_id, now=now)
    return freed


def _claw_back(unit: Unit, sharing: Sharing, refund: Refund, *, short: Money, now: datetime) -> int:
    """Take `short` from those who have shares; how many returns are open now."""
    lost = losses(transfers_of(unit, sharing), short, sub_order_id=refund.sub_order_id)
    lines = {Account.ORDER_ESCROW.value: -short.fen, Account.SUBSIDY_EXPENSE.value: 0}
    returns: list[ShareReturn] = []
    for loss in lost:
        before = loss.transfer
        _keep(unit, loss.after())
        lines[before.account] = lines.get(before.account, 0) + loss.cut.fen
        if before.is_subsidy:
            lines[Account.SUBSIDY_EXPENSE.value] -= loss.cut.fen
            _unspend(unit, loss.cut)
        if loss.back:
            owed_in = advance_of(before.account)
            lines[owed_in] = lines.get(owed_in, 0) + loss.back.fen
            returns += _returns_of(unit, sharing, loss, refund=refund, first=len(returns) + 1, owed_in=owed_in, now=now)
    for back in returns:
        unit.add(back)
        if back.state is ReturnState.DUE:
            unit.schedule(_return_timer(back), _send_return(unit, back), at=now)
        else:
            _owe(unit, back)
    open_returns = sum([back.state is ReturnState.DUE for back in returns])
    claw = ClawBack(
        refund_id=refund.id,
        order_id=refund.order_id,
        amount=short,
        losses=tuple([(loss.transfer.line, loss.cut, loss.back) for loss in lost]),
        returns=len(returns),
        open_returns=open_returns,
        at=now,
    )
    unit.add(claw)
    unit.put(replace(sharing, claimed=sharing.claimed - short))
    if sharing.state is SharingState.POSTED:
        _book(unit, JournalKind.CLAW_BACK, refund.id, order_id=refund.order_id, lines=lines, now=now)
    return open_returns


def _returns_of(
    unit: Unit, sharing: Sharing, loss: Loss, *, refund: Refund, first: int, owed_in: str, now: datetime
) -> list[ShareReturn]:
    """The returns that bring one transfer's loss back, from its shares in order."""
    left = loss.back.fen
    returns: list[ShareReturn] = []
    for number in range(1, sharing.rounds + 1):
        share = unit.load(Share, share_id(sharing.order_id, number))
        for part in _parts_of(unit, share):
            if part.line == loss.transfer.line and (fen := min(left, part.kept.fen)):
                left -= fen
                unit.put(replace(part, back=part.back + Money(fen)))
                name = f"{refund.id}.b{first + len(returns)}"
                returns.append(_return_of(part, name, Money(fen), refund=refund, owed_in=owed_in, now=now))
    if left:  # it was paid otherwise, and so must come back
        name = f"{refund.id}.b{first + len(returns)}"
        bank = SharePart(
            share_id="",
            number=0,
            order_id=sharing.order_id,
            line=loss.transfer.line,
            payee_id="",
            kind=ReceiverKind.PERSON,
            account="",
            amount=Money(left),
        )
        returns.append(_return_of(bank, name, Money(left), refund=refund, owed_in=owed_in, now=now))
    return returns


def _return_of(part: SharePart, name: str, fen: Money, *, refund: Refund, owed_in: str, now: datetime) -> ShareReturn:
    """A return of a part. WeChat takes back from merchants only: a person owes it, and it is kept from his next."""
    is_merchants = part.kind is ReceiverKind.MERCHANT
    return ShareReturn(
        id=name,
        order_id=part.order_id,
        refund_id=refund.id,
        share_id=part.share_id,
        part=part.number,
        kind=part.kind,
        account=part.account,
        owed_in=owed_in,
        amount=fen,
        out_return_no=out_refund_no_of(name),
        attempts=1,
        state=ReturnState.DUE if is_merchants else ReturnState.REFUSED,
        due_at=now,
        ended_at=None if is_merchants else now,
        reason="" if is_merchants else "not_a_merchant",
    )


def _send_return(unit: Unit, back: ShareReturn) -> SendReturn:
    return SendReturn(
        return_id=back.id,
        out_return_no=back.out_return_no,
        out_order_no=unit.load(Share, back.share_id).out_order_no,
        kind=back.kind,
        account=back.account,
        amount_fen=back.left.fen,
    )


def _return_is_over(unit: Unit, back: ShareReturn, *, now: datetime) -> None:
    claw = unit.load(ClawBack, back.refund_id)
    claw = replace(claw, open_returns=claw.open_returns - 1)
    unit.put(claw)
    is_held = back.refund_id in unit.load(Sharing, back.order_id).held_refunds
    if not claw.open_returns and not is_held:
        send_refund(unit, back.refund_id, now=now)


def _open_case(
    unit: Unit, kind: CaseKind, reference: str, *, order_id: str, amount: Money, reason: str, now: datetime
) -> None:
    """Ask for a person; a case that was settled before is open again, and one that is open stays as it is."""
    before = unit.find(Case, case_id(kind, reference))
    if before is not None and before.state is CaseState.OPEN:
        return
    case = Case(
        id=case_id(kind, reference),
        kind=kind,
        reference=reference,
        order_id=OrderId(order_id),
        amount=amount,
        reason=reason[:80],
        state=CaseState.OPEN,
        opened_at=now,
        times=1 if before is None else before.times + 1,
    )
    unit.put(case)


def _close_case(unit: Unit, kind: CaseKind, reference: str, *, note: str, now: datetime) -> None:
    """Nobody need look any more: it went on by itself."""
    case = unit.find(Case, case_id(kind, reference))
    if case is not None and case.state is CaseState.OPEN:
        unit.put(replace(case, state=CaseState.SETTLED, settled_at=now, note=note))


def _open_return_case(unit: Unit, back: ShareReturn, *, now: datetime) -> None:
    _open_case(unit, CaseKind.RETURN, back.id, order_id=back.order_id, amount=back.amount, reason=back.reason, now=now)


def _settle_refund_case(unit: Unit, case: Case, how: Settlement, *, now: datetime) -> None:
    refund = unit.find(Refund, case.reference)
    is_refused = refund is not None and refund.state is RefundState.REFUSED
    if refund is not None and refund.state is RefundState.PARKED and how is Settlement.RETRY:
        pay_back(unit, replace(refund, state=RefundState.WAITING, refusal=None, due_at=now), now=now)
    elif is_refused and how is Settlement.RETRY:
        resend_refund(unit, case.reference, attempt=case.times, now=now)
    elif is_refused and how is Settlement.PAID_OTHERWISE:
        pay_refund_otherwise(unit, case.reference, now=now)
    elif is_refused:
        write_off_refund(unit, case.reference, now=now)
    elif how is not Settlement.WRITE_OFF:
        raise CannotSettle(case_id=case.id, how=how.value)  # nothing is booked of it: it can only be laid aside


def _settle_share_case(unit: Unit, case: Case, how: Settlement, *, now: datetime) -> None:
    """What the payment company would not give is paid from the bank, or not at all; it is frozen no more."""
    sharing = unit.find(Sharing, case.order_id)
    line = case.reference.rpartition(".")[2]
    if how is Settlement.WRITE_OFF and not line.isdecimal():
        return  # a share's results were not what was asked; nothing is booked of it
    if sharing is None or how is Settlement.RETRY or not line.isdecimal() or sharing.payout is PayoutState.SHARING:
        raise CannotSettle(case_id=case.id, how=how.value)
    before = transfers_of(unit, sharing)[int(line)]
    owed = before.held - before.due
    _keep(unit, replace(before, given=before.given + owed))
    is_paid = how is Settlement.PAID_OTHERWISE
    source = Account.PLATFORM_FUNDS if is_paid else Account.WRITTEN_OFF
    kind = JournalKind.PAID_OTHERWISE if is_paid else JournalKind.WRITTEN_OFF
    lines = {before.account: owed.fen, source.value: -owed.fen}
    _book(unit, kind, f"{case.reference}.{case.times}", order_id=case.order_id, lines=lines, now=now)


def _settle_return_case(unit: Unit, case: Case, how: Settlement, *, now: datetime) -> None:
    back = unit.load(ShareReturn, case.reference)
    match how:
        case Settlement.RETRY:
            if back.kind is not ReceiverKind.MERCHANT:
                raise CannotSettle(case_id=case.id, how=how.value)
            _owe_no_more(unit, back)
            attempts = back.attempts + 1
            number = out_refund_no_of(f"{back.id}.a{attempts}")  # a refused number is refused for good
            again = replace(back, state=ReturnState.DUE, attempts=attempts, out_return_no=number, due_at=now, reason="")
            unit.put(again)
            unit.schedule(_return_timer(again), _send_return(unit, again), at=now)
        case Settlement.PAID_OTHERWISE | Settlement.WRITE_OFF:
            _owe_no_more(unit, back)
            is_paid = how is Settlement.PAID_OTHERWISE
            state = ReturnState.PAID_OTHERWISE if is_paid else ReturnState.WRITTEN_OFF
            unit.put(replace(back, state=state, ended_at=now))
            account = Account.PLATFORM_FUNDS if is_paid else Account.WRITTEN_OFF
            kind = JournalKind.PAID_OTHERWISE if is_paid else JournalKind.WRITTEN_OFF
            lines = {account.value: back.left.fen, back.owed_in: -back.left.fen}
            _book(unit, kind, back.id, order_id=back.order_id, lines=lines, now=now)
        case _:
            assert_never(how)


def _receivable(payee: Payee) -> Receivable:
    return Receivable(payee_id=payee.id, kind=payee.kind, account=payee.account, full_name=payee.full_name)


def _results(parts: Sequence[SharePart], seen: Sequence[SeenPart]) -> dict[str, SeenPart] | None:
    """What was said of each receiver; None when that is not what was asked."""
    asked: dict[str, int] = {}
    for part in parts:
        asked[part.account] = asked.get(part.account, 0) + part.amount.fen
    said = {one.account: one for one in seen if one.result is not ReceiverResult.PENDING}
    is_as_asked = {account: one.amount_fen for account, one in said.items()} == asked
    return said if is_as_asked else None


def _payout_timer(sharing: Sharing) -> str:
    return f"payout:{sharing.order_id}"


def _return_timer(back: ShareReturn) -> str:
    return f"return:{back.id}"


def _payout_standing(sharing: Sharing) -> PayoutStanding:
    return PayoutStanding(order_id=sharing.order_id, payout=sharing.payout, rounds=sharing.rounds)


def _return_standing(back: ShareReturn) -> ReturnStanding:
    return ReturnStanding(return_id=back.id, state=back.state, amount_fen=back.amount.fen, reason=back.reason)

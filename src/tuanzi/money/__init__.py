"""Money: payments, refunds and the double-entry ledger of a campus (C1, C2, C4). Database: money.

Owns payments, refunds, journals, entries, balances, payout_holds. Hears RefundDue (of core, through its log).
Emits PaymentCaptured, once for each payment; RefundSettled; RefundRefused, which asks for a person.
Nobody else writes entries. The payment company is behind a port and called outside of every batch.
Accounts: a capture goes provider_clearing <- order_escrow (of a wrong amount: <- suspense), a refund that is due
order_escrow <- user_refund_payable, a settled one user_refund_payable <- provider_clearing; debits are positive.
"""

from __future__ import annotations

from tuanzi.machinery.room import Room
from tuanzi.money import model, service, store, web
from tuanzi.money.handlers import on_refund_due
from tuanzi.money.model import (
    Account,
    Balance,
    CancelSharing,
    ConfirmSharing,
    Entry,
    Journal,
    JournalHead,
    JournalKind,
    Payment,
    PaymentStanding,
    PaymentState,
    RecordCapture,
    RecordRefund,
    Refund,
    RefundProgress,
    RefundState,
    SharedOrder,
    SharedPart,
    TrySharing,
    capture_journal,
    out_refund_no_of,
    out_trade_no_of,
    payment_named,
    payment_of,
    refund_due_journal,
    refund_named,
    refund_settled_journal,
)
from tuanzi.money.problems import (
    BillNotReady,
    PaymentDiffers,
    PaymentEnded,
    PaymentRefused,
    ProviderUnreachable,
    ReceiverRefused,
)
from tuanzi.money.queries import (
    AccountBalance,
    OrderLedger,
    TrialBalance,
    captured_between,
    entries_of_journals,
    journal_heads,
    journals_of_orders,
    ledger_sums,
    order_ids_between,
    order_ledger,
    payments_by_id,
    payments_of_orders,
    refunds_by_id,
    refunds_of_orders,
    settled_between,
    trial_balance,
)
from tuanzi.money.service import (
    book_new,
    free_payouts,
    hold_payouts,
    payouts_held,
    record_capture,
    record_refund,
    restore_balance,
    restore_journal,
    reverse_capture,
    set_aside,
)
from tuanzi.money.vendors import BillKind, BillLine, BillState, PaymentProvider, RefundAsked, TradeState
from tuanzi.money.vendors.cashier import Awaiting, Cashier
from tuanzi.money.vendors.sandbox import Fault, Faults, SandboxProvider
from tuanzi.money.vendors.wechatpay import GATEWAY, Merchant, WeChatPay

__all__ = [
    "GATEWAY",
    "Account",
    "AccountBalance",
    "Awaiting",
    "Balance",
    "BillKind",
    "BillLine",
    "BillNotReady",
    "BillState",
    "CancelSharing",
    "Cashier",
    "ConfirmSharing",
    "Entry",
    "Fault",
    "Faults",
    "Journal",
    "JournalHead",
    "JournalKind",
    "Merchant",
    "OrderLedger",
    "Payment",
    "PaymentDiffers",
    "PaymentEnded",
    "PaymentProvider",
    "PaymentRefused",
    "PaymentStanding",
    "PaymentState",
    "ProviderUnreachable",
    "ReceiverRefused",
    "RecordCapture",
    "RecordRefund",
    "Refund",
    "RefundAsked",
    "RefundProgress",
    "RefundState",
    "SandboxProvider",
    "SharedOrder",
    "SharedPart",
    "TradeState",
    "TrialBalance",
    "TrySharing",
    "WeChatPay",
    "book_new",
    "capture_journal",
    "captured_between",
    "entries_of_journals",
    "free_payouts",
    "hold_payouts",
    "journal_heads",
    "journals_of_orders",
    "ledger_sums",
    "on_refund_due",
    "order_ids_between",
    "order_ledger",
    "out_refund_no_of",
    "out_trade_no_of",
    "payment_named",
    "payment_of",
    "payments_by_id",
    "payments_of_orders",
    "payouts_held",
    "record_capture",
    "record_refund",
    "refund_due_journal",
    "refund_named",
    "refund_settled_journal",
    "refunds_by_id",
    "refunds_of_orders",
    "restore_balance",
    "restore_journal",
    "reverse_capture",
    "room",
    "set_aside",
    "settled_between",
    "trial_balance",
]


def room(provider: PaymentProvider) -> Room:
    """The room of money, with its errands and routes bound to one payment company."""
    cashier = Cashier(provider)
    return Room(
        name="money",
        database="money",
        tables=store.TABLES,
        commands={
            model.RecordCapture: service.record_capture,
            model.OpenPayment: service.open_payment,
            model.RecordRefusal: service.record_refusal,
            model.ClosePayment: service.close_payment,
            model.KeepAsking: service.keep_asking,
            model.RetryRefund: service.retry_refund,
            model.RecordRefund: service.record_refund,
        },
        errands={
            model.AskPayment: cashier.ask_payment,
            model.SendRefund: cashier.send_refund,
            model.AskRefund: cashier.ask_refund,
        },
        assumed_new={model.RecordCapture: service.new_to_capture},
        routes=web.routes(cashier),
    )

"""Money: payments, refunds and the double-entry ledger of a campus (C1, C2, C4). Database: money.

Owns payments, refunds, journals, entries, balances. Hears RefundDue (of core, through its log).
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
    CancelSharing,
    ConfirmSharing,
    Entry,
    Journal,
    JournalKind,
    Payment,
    PaymentStanding,
    PaymentState,
    RecordCapture,
    SharedOrder,
    SharedPart,
    TrySharing,
    payment_of,
)
from tuanzi.money.problems import (
    BillNotReady,
    PaymentDiffers,
    PaymentEnded,
    PaymentRefused,
    ProviderUnreachable,
    ReceiverRefused,
)
from tuanzi.money.queries import OrderLedger, TrialBalance, order_ledger, trial_balance
from tuanzi.money.service import book_new
from tuanzi.money.vendors import PaymentProvider
from tuanzi.money.vendors.cashier import Awaiting, Cashier
from tuanzi.money.vendors.sandbox import Fault, Faults, SandboxProvider
from tuanzi.money.vendors.wechatpay import GATEWAY, Merchant, WeChatPay

__all__ = [
    "GATEWAY",
    "Account",
    "Awaiting",
    "BillNotReady",
    "CancelSharing",
    "Cashier",
    "ConfirmSharing",
    "Entry",
    "Fault",
    "Faults",
    "Journal",
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
    "SandboxProvider",
    "SharedOrder",
    "SharedPart",
    "TrialBalance",
    "TrySharing",
    "WeChatPay",
    "book_new",
    "on_refund_due",
    "order_ledger",
    "payment_of",
    "room",
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

"""Sharing: who gets what of an order (支付分账): set aside, made theirs, given back (B2, B3, B8). Database: money.

Owns sharing_terms, terms_in_force, subsidy_budgets, sharing_branches, sharings, transfers, payees, shares, share_parts,
claw_backs, share_returns, debts, cases, case_settlements, carrier_payments. Hears RefundDue, OrderCompleted and
AfterSaleAsked (of core), ParcelDelivered (of delivery), through their logs; RefundRefused and RefundSettled (of money,
in the same commit). Emits nothing.

A branch of a split: Try sets aside pending transfers, Confirm books them, Cancel voids them. A completed order is paid
out in shares at the payment company, a refund takes back in proportion. Journals are written by money, through its
door: Confirm order_escrow -> merchant_payable, rider_payable, campus_agent_payable, platform_income, provider_fee, and
for a subsidy subsidy_expense -> merchant_payable; a share payable -> provider_clearing; a claw-back payable or, of what
was given, receiver_advance -> order_escrow; a return provider_clearing <- receiver_advance.
"""

from __future__ import annotations

from tuanzi.machinery.room import Room
from tuanzi.money import CancelSharing, ConfirmSharing, PaymentProvider, RetryRefund, TrySharing
from tuanzi.people import ForgetPerson
from tuanzi.sharing import model, service, store, web
from tuanzi.sharing.handlers import (
    on_after_sale_asked,
    on_order_completed,
    on_parcel_delivered,
    on_refund_due,
    on_refund_refused,
    on_refund_settled,
)
from tuanzi.sharing.model import Sharing, SharingState, Transfer
from tuanzi.sharing.problems import AlreadyShared, BudgetUsedUp, MoneyMissing, MoneyShort, PartsMisfit
from tuanzi.sharing.queries import BookedAtProvider, booked_between, booked_by_number, journals_due
from tuanzi.sharing.vendors import Payer

__all__ = [
    "AlreadyShared",
    "BookedAtProvider",
    "BudgetUsedUp",
    "MoneyMissing",
    "MoneyShort",
    "PartsMisfit",
    "Sharing",
    "SharingState",
    "Transfer",
    "booked_between",
    "booked_by_number",
    "journals_due",
    "on_after_sale_asked",
    "on_order_completed",
    "on_parcel_delivered",
    "on_refund_due",
    "on_refund_refused",
    "on_refund_settled",
    "room",
]


def room(provider: PaymentProvider) -> Room:
    """Sharing as wiring puts it into the house, bound to one payment company."""
    payer = Payer(provider)
    return Room(
        name="sharing",
        database="money",
        tables=store.TABLES,
        commands={
            TrySharing: service.try_sharing,
            ConfirmSharing: service.confirm_sharing,
            CancelSharing: service.cancel_sharing,
            RetryRefund: service.retry_refund,
            model.ChangeTerms: service.change_terms,
            model.RegisterPayee: service.register_payee,
            ForgetPerson: service.forget_payee,
            model.StartPayout: service.start_payout,
            model.RecordReceivers: service.record_receivers,
            model.RecordShare: service.record_share,
            model.RecordUnfreeze: service.record_unfreeze,
            model.RecordReturn: service.record_return,
            model.SettleCase: service.settle_case,
            model.PayCarrier: service.pay_carrier,
        },
        errands={
            model.AddReceivers: payer.add_receivers,
            model.SendShare: payer.send_share,
            model.AskShare: payer.ask_share,
            model.SendUnfreeze: payer.send_unfreeze,
            model.AskUnfreeze: payer.ask_unfreeze,
            model.SendReturn: payer.send_return,
            model.AskReturn: payer.ask_return,
        },
        assumed_new={TrySharing: service.new_to_try},
        foresees={TrySharing: service.asked_by_confirm},
        routes=web.ROUTES,
        keeps=store.KEEPS,
    )

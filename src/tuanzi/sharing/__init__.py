"""Sharing: who gets what of an order (支付分账): set aside, made theirs, refunded (B2, B3, B8). Database: money.

Owns sharing_terms, terms_in_force, subsidy_budgets, sharing_branches, sharings, transfers.
A branch of a split: Try sets aside pending transfers, Confirm books them, Cancel voids them. Journals are written by
money, through its door: order_escrow -> merchant_payable, rider_payable, campus_agent_payable, platform_income,
provider_fee; a subsidy subsidy_expense -> merchant_payable.
"""

from __future__ import annotations

from tuanzi.machinery.room import Room
from tuanzi.money import CancelSharing, ConfirmSharing, TrySharing
from tuanzi.sharing import service, store
from tuanzi.sharing.model import Sharing, SharingState, Transfer
from tuanzi.sharing.problems import AlreadyShared, BudgetUsedUp, MoneyMissing, MoneyShort, PartsMisfit

__all__ = [
    "AlreadyShared",
    "BudgetUsedUp",
    "MoneyMissing",
    "MoneyShort",
    "PartsMisfit",
    "Sharing",
    "SharingState",
    "Transfer",
    "room",
]


def room() -> Room:
    """Sharing as wiring puts it into the house."""
    return Room(
        name="sharing",
        database="money",
        tables=store.TABLES,
        commands={
            TrySharing: service.try_sharing,
            ConfirmSharing: service.confirm_sharing,
            CancelSharing: service.cancel_sharing,
        },
        assumed_new={TrySharing: service.new_to_try},
    )

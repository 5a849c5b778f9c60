"""Shares an order's money out, one function for each sentence (B2, B3, B8, C2).

`branch` is a split's Try, Confirm and Cancel, by the `terms` in force. `payouts` gives completed orders' money out in
`shares`, to `payees`. `refunds` takes it back, by `returns` or as `debts`. `cases` asks for a person, and `settling`
does what he says; `carriers` books whom he paid outside. `transfers` and `journals` are what all of these read and
write.
"""

from __future__ import annotations

from tuanzi.sharing.service.branch import asked_by_confirm, cancel_sharing, confirm_sharing, new_to_try, try_sharing
from tuanzi.sharing.service.carriers import pay_carrier
from tuanzi.sharing.service.cases import close_refund_case, open_refund_case
from tuanzi.sharing.service.payees import forget_payee, record_receivers, register_payee
from tuanzi.sharing.service.payouts import complete, dispute, record_unfreeze, start_payout
from tuanzi.sharing.service.refunds import pay_back, retry_refund
from tuanzi.sharing.service.returns import record_return
from tuanzi.sharing.service.settling import settle_case
from tuanzi.sharing.service.shares import record_share
from tuanzi.sharing.service.terms import change_terms
from tuanzi.sharing.service.transfers import credit_rider, transfers_of

__all__ = [
    "asked_by_confirm",
    "cancel_sharing",
    "change_terms",
    "close_refund_case",
    "complete",
    "confirm_sharing",
    "credit_rider",
    "dispute",
    "forget_payee",
    "new_to_try",
    "open_refund_case",
    "pay_back",
    "pay_carrier",
    "record_receivers",
    "record_return",
    "record_share",
    "record_unfreeze",
    "register_payee",
    "retry_refund",
    "settle_case",
    "start_payout",
    "transfers_of",
    "try_sharing",
]

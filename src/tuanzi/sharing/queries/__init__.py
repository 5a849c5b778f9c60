"""What pages show of shares, and what the books of a campus are compared with (C2, C3).

`order`: who got what of one. `statements`: a merchant's movements. `pages`: accounts, terms, payees. `cases`: what
needs a person. `carriers`: whom the pool owes, and who was paid outside. `books`: what is due in the ledger and at the
payment company.
"""

from __future__ import annotations

from tuanzi.sharing.queries.books import BookedAtProvider, booked_between, booked_by_number, journals_due
from tuanzi.sharing.queries.carriers import (
    CarrierPaymentPage,
    UnpaidCarrierPage,
    carrier_payment_page,
    unpaid_carrier_page,
)
from tuanzi.sharing.queries.cases import CaseEvidence, CasePage, case_evidence, case_page
from tuanzi.sharing.queries.order import OrderMoney, order_money
from tuanzi.sharing.queries.pages import AccountPage, PayeePage, TermsPage, account_page, payee_page, terms_page
from tuanzi.sharing.queries.statements import Statement, merchant_statement, statement_csv

__all__ = [
    "AccountPage",
    "BookedAtProvider",
    "CarrierPaymentPage",
    "CaseEvidence",
    "CasePage",
    "OrderMoney",
    "PayeePage",
    "Statement",
    "TermsPage",
    "UnpaidCarrierPage",
    "account_page",
    "booked_between",
    "booked_by_number",
    "carrier_payment_page",
    "case_evidence",
    "case_page",
    "journals_due",
    "merchant_statement",
    "order_money",
    "payee_page",
    "statement_csv",
    "terms_page",
    "unpaid_carrier_page",
]

"""Money: ledger, payments, refunds and the payment company (C1, C2, C4)."""

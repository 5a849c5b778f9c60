"""Records what the payment company did and books every fen of it (C2, C4): one function for each sentence.

Ids come with the commands or are functions of them, so every repeat finds what it did before.
`payments` come in, `refunds` go back, `ledger` books them.
"""

from __future__ import annotations

from tuanzi.money.service.ledger import (
    book,
    book_new,
    end_aside,
    free_payouts,
    hold_payouts,
    keep_proof,
    payouts_held,
    restore_balance,
    restore_journal,
    reverse_capture,
    set_aside,
)
from tuanzi.money.service.payments import (
    close_payment,
    keep_asking,
    new_to_capture,
    open_payment,
    record_capture,
    record_refusal,
)
from tuanzi.money.service.refunds import (
    hold_refund,
    let_refund_wait,
    note_refund,
    pay_refund_otherwise,
    payment_to_refund,
    promise_refund,
    record_refund,
    refund_standing,
    resend_refund,
    return_suspense,
    send_refund,
    write_off_refund,
)

__all__ = [
    "book",
    "book_new",
    "close_payment",
    "end_aside",
    "free_payouts",
    "hold_payouts",
    "hold_refund",
    "keep_asking",
    "keep_proof",
    "let_refund_wait",
    "new_to_capture",
    "note_refund",
    "open_payment",
    "pay_refund_otherwise",
    "payment_to_refund",
    "payouts_held",
    "promise_refund",
    "record_capture",
    "record_refund",
    "record_refusal",
    "refund_standing",
    "resend_refund",
    "restore_balance",
    "restore_journal",
    "return_suspense",
    "reverse_capture",
    "send_refund",
    "set_aside",
    "write_off_refund",
]

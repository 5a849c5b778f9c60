"""What orders refuse."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class IllegalStep(Problem):
    """The order is not in a state in which this can be done."""

    code = "orders/illegal-step"
    status = 409
    title_zh = "订单当前状态不允许此操作"


class RefundTooLarge(Problem):
    """The refund is more than what is left of the payment."""

    code = "orders/refund-too-large"
    status = 409
    title_zh = "退款金额超过剩余可退金额"


class AfterSaleTooLate(Problem):
    """After-sale can be asked for until 24 hours after delivery."""

    code = "orders/after-sale-too-late"
    status = 409
    title_zh = "已超过售后申请期限"


class AfterSaleDecided(Problem):
    """The after-sale has been decided and cannot be taken back any more."""

    code = "orders/after-sale-decided"
    status = 409
    title_zh = "售后已处理完毕，不能再撤销"


class NotPayable(Problem):
    """The order waits for no payment."""

    code = "orders/not-payable"
    status = 409
    title_zh = "订单无需支付或已无法支付"


class AcceptanceTermsInvalid(Problem):
    """A shop is late after a minute or more, and has some time yet before its sub-order is given up, within a day.

    To have it ready it has from a minute to a day.
    """

    code = "orders/acceptance-terms-invalid"
    status = 422
    title_zh = "接单时限设置无效"


class OrderHeld(Problem):
    """The money of this order is being looked into; nothing is made for it until that is done."""

    code = "orders/order-held"
    status = 409
    title_zh = "订单款项核查中，暂停履约"

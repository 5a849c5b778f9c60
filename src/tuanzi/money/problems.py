"""What the money room refuses, and the one thing it cannot know: what a silent payment company did."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class BookedDifferently(Problem):
    """This was booked before with other amounts; the ledger keeps the first booking."""

    code = "money/booked-differently"
    status = 409
    title_zh = "该笔账目已入账且金额不同"


class Overdrawn(Problem):
    """This would take more out of an account than there is; nothing was booked (C2)."""

    code = "money/overdrawn"
    status = 409
    title_zh = "账户余额不足，未入账"


class CaptureDiffers(Problem):
    """This payment was recorded before with another amount, order or transaction; the record stands (C4)."""

    code = "money/capture-differs"
    status = 409
    title_zh = "支付结果与已入账记录不一致"


class PaymentDiffers(Problem):
    """This payment was opened before for another amount, or from too many accounts; cancel the order and order anew."""

    code = "money/payment-differs"
    status = 409
    title_zh = "该支付单的金额与之前不一致，或更换付款账号次数过多，请取消订单后重新下单"


class PaymentRefused(Problem):
    """The payment company refused this payment; nothing was charged."""

    code = "money/payment-refused"
    status = 409
    title_zh = "支付被拒绝，未扣款"


class PaymentEnded(Problem):
    """This payment is closed and can no longer be paid."""

    code = "money/payment-ended"
    status = 409
    title_zh = "支付单已关闭"


class ProviderUnreachable(Problem):
    """The payment company gave no answer; ask again, nothing is charged twice.

    What it did is unknown: the same outside number is asked about again, a new one is never made.
    """

    code = "money/provider-unreachable"
    status = 503
    title_zh = "支付渠道暂无响应，请稍后重试，不会重复扣款"


class NotInSuspense(Problem):
    """This money waits for nobody: it was what was asked, or somebody has dealt with it."""

    code = "money/not-in-suspense"
    status = 409
    title_zh = "该笔款项不在待查款中，或已处理"


class ReceiverRefused(Problem):
    """The payment company does not let this account receive shares."""

    code = "money/receiver-refused"
    status = 409
    title_zh = "该账户不能作为分账接收方"


class BillNotReady(Problem):
    """The payment company makes the bill of a day on the next one, ready at 10:00 in Shanghai."""

    code = "money/bill-not-ready"
    status = 409
    title_zh = "该日账单尚未生成，请于次日 10 点后再取"


class NoticeRefused(Problem):
    """This is no fresh, signed notice of the payment company; nothing was changed (C4)."""

    code = "money/notice-refused"
    status = 401
    title_zh = "支付通知验签失败"

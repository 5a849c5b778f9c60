"""What the pricing room refuses (B4, J5)."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class RuleInvalid(Problem):
    """A rule cannot be used as it is written."""

    code = "pricing/rule-invalid"
    status = 422
    title_zh = "优惠规则有误"


class RulesUnchecked(Problem):
    """The rules do not price every sample cart as its author expects, or have no sample cart."""

    code = "pricing/rules-unchecked"
    status = 409
    title_zh = "规则未通过样例购物车校验"


class NothingToRollBack(Problem):
    """There is no earlier version of the rules to go back to."""

    code = "pricing/nothing-to-roll-back"
    status = 409
    title_zh = "没有可回滚的规则版本"


class CouponIdTaken(Problem):
    """A coupon with this id exists and says something else."""

    code = "pricing/coupon-id-taken"
    status = 409
    title_zh = "优惠券编号已被使用"


class MembersUnknown(Problem):
    """Some of these people are nobody of this campus; nobody was given a coupon."""

    code = "pricing/members-unknown"
    status = 422
    title_zh = "名单中有人不属于本校区，未发放任何优惠券"


class CouponUseless(Problem):
    """Such a coupon could never be used: it must be worth something, and expire later than now and before 2100."""

    code = "pricing/coupon-useless"
    status = 422
    title_zh = "这样的优惠券无法使用：有效期须晚于现在且早于 2100 年"


class CouponExpired(Problem):
    """The coupon is no longer valid."""

    code = "pricing/coupon-expired"
    status = 409
    title_zh = "优惠券已过期"


class CouponTaken(Problem):
    """The coupon is already in use for another order."""

    code = "pricing/coupon-taken"
    status = 409
    title_zh = "优惠券已用于其他订单"


class CouponNotHeld(Problem):
    """The coupon is not held for this order."""

    code = "pricing/coupon-not-held"
    status = 409
    title_zh = "优惠券未被该订单占用"

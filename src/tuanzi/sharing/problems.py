"""What sharing refuses; a no to a Try is a BranchRefused, and cancels the whole split (B3)."""

from __future__ import annotations

from tuanzi.base.branch import BranchRefused
from tuanzi.base.problem import Problem


class MoneyMissing(BranchRefused):
    """The payment of this order is not here: never made, not captured, in suspense, or another order's."""

    code = "sharing/money-missing"
    status = 409
    title_zh = "该订单款项未到账，无法分账"


class MoneyShort(BranchRefused):
    """So much went back already that the rest is less than the order's final price."""

    code = "sharing/money-short"
    status = 409
    title_zh = "该订单剩余款项不足以分账"


class AlreadyShared(BranchRefused):
    """The money of this order is set aside, or shared, by another split."""

    code = "sharing/already-shared"
    status = 409
    title_zh = "该订单已由另一次拆单分账"


class PartsMisfit(BranchRefused):
    """The sub-orders of this order do not add up to its final price, or one is negative."""

    code = "sharing/parts-misfit"
    status = 409
    title_zh = "子单金额与订单金额不符"


class BudgetUsedUp(BranchRefused):
    """The platform's budget for subsidies does not cover this split."""

    code = "sharing/budget-used-up"
    status = 409
    title_zh = "平台补贴预算已用完"


class TermsInvalid(Problem):
    """These terms share out more than there is."""

    code = "sharing/terms-invalid"
    status = 422
    title_zh = "分账比例之和超过百分之百"


class TermsMoved(Problem):
    """Somebody else changed the terms meanwhile; look at them and try again."""

    code = "sharing/terms-moved"
    status = 409
    title_zh = "分账条款已被他人修改，请刷新后重试"


class CaseSettled(Problem):
    """Somebody has settled this already."""

    code = "sharing/case-settled"
    status = 409
    title_zh = "该事项已处理"


class CannotSettle(Problem):
    """This cannot be settled so."""

    code = "sharing/cannot-settle"
    status = 409
    title_zh = "该事项不能这样处理"


class CarrierPaidBefore(Problem):
    """Somebody has said already that the carrier of this was paid."""

    code = "sharing/carrier-paid-before"
    status = 409
    title_zh = "该子单的配送费已记为线下付清"


class CarrierNotOwed(Problem):
    """So much is not owed to whoever brought this; look again.

    It is owed when the order is completed and no rider is known to have brought it.
    """

    code = "sharing/carrier-not-owed"
    status = 409
    title_zh = "该子单没有这笔待付配送费，请刷新后重试"


class StatementTooLong(Problem):
    """Ask for fewer days."""

    code = "sharing/statement-too-long"
    status = 422
    title_zh = "对账单日期范围过大，请缩短"

"""What the pricing room refuses (B4, J5)."""

from __future__ import annotations

from typing import Final

from tuanzi.base.problem import Problem, Words

# By `why`; in brackets stand facts.
WRONG: Final = {
    "many": Words(
        "最多 64 条规则、50 个样例。",
        "At most 64 rules and 50 samples.",
    ),
    "twice": Words(
        "第 {row} 条规则：编号 {rule_id} 用了两次。",
        "Rule {row}: the id {rule_id} is used twice.",
    ),
    "id": Words(
        "第 {row} 条规则：编号“{rule_id}”只能用 1 至 40 个小写字母、数字、_ 或 -，且不能是 tier、coupon 或 promise。",
        "Rule {row}: the id “{rule_id}” must be 1 to 40 of a-z 0-9 _ - and not tier, coupon or promise.",
    ),
    "period": Words(
        "规则 {rule_id}：起止时间要带时区，结束须晚于开始。",
        "Rule {rule_id}: its times need a zone, and the end must come after the start.",
    ),
    "set-meal": Words(
        "规则 {rule_id}：套餐规则（也只有套餐规则）要写明套餐。",
        "Rule {rule_id}: a set meal’s rule, and no other, names its set meal.",
    ),
    "dishes": Words(
        "规则 {rule_id}：套餐或加价购规则（也只有这两种）要写明菜品。",
        "Rule {rule_id}: a rule of a set meal or an add-on, and no other, names dishes.",
    ),
    "unknown": Words(
        "规则 {rule_id}：不认识 {what}。",
        "Rule {rule_id}: {what} is unknown.",
    ),
    "sign": Words(
        "规则 {rule_id}：不能写 {what}。",
        "Rule {rule_id}: {what} is not allowed.",
    ),
    "function": Words(
        "规则 {rule_id}：{what} 是函数，后面要有括号。",
        "Rule {rule_id}: {what} is a function and needs brackets.",
    ),
    "long": Words(
        "规则 {rule_id}：条件或金额超过 {what} 个字符。",
        "Rule {rule_id}: a condition or amount is longer than {what} characters.",
    ),
    "condition": Words(
        "规则 {rule_id}：条件要得出真或假，而不是 {what}。",
        "Rule {rule_id}: the condition must say true or false, not {what}.",
    ),
    "amount": Words(
        "规则 {rule_id}：金额要得出 0 至 100000000 分，而不是 {what}。",
        "Rule {rule_id}: the amount must be 0 to 100000000 fen, not {what}.",
    ),
    "expression": Words(
        "规则 {rule_id}：条件或金额不完整或写法不通，请检查括号、引号和运算符。",
        "Rule {rule_id}: its condition or amount is incomplete or makes no sense; check brackets, quotes and signs.",
    ),
    "zone": Words(
        "样例“{sample}”：时间要带时区。",
        "Sample “{sample}”: its time needs a zone.",
    ),
    "century": Words(
        "样例“{sample}”：时间须在 2000 年至 2100 年之间。",
        "Sample “{sample}”: its time must be between 2000 and 2100.",
    ),
    "addon": Words(
        "样例“{sample}”：加价购的菜不能在套餐里。",
        "Sample “{sample}”: an add-on cannot be in a set meal.",
    ),
}


class RuleInvalid(Problem):
    """A rule cannot be used as it is written."""

    code = "pricing/rule-invalid"
    status = 422
    title_zh = "优惠规则有误"

    def sentence(self) -> Words | None:
        """Which rule or sample, and what is wrong with it."""
        said = WRONG.get(str(self.facts.get("why")))
        facts = {"row": "", "rule_id": "", "sample": "", "what": "", **self.facts}
        return None if said is None else Words(said.zh.format_map(facts), said.en.format_map(facts))


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

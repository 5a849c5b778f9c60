"""What groups refuse."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class GroupFull(Problem):
    """Every seat of this group is taken."""

    code = "groups/group-full"
    status = 409
    title_zh = "该团已满"


class GroupNotOpen(Problem):
    """This group takes no more members."""

    code = "groups/group-not-open"
    status = 409
    title_zh = "该团已结束，无法加入"


class AlreadyMember(Problem):
    """You have a seat in this group already."""

    code = "groups/already-member"
    status = 409
    title_zh = "您已在该团中"


class GroupElsewhere(Problem):
    """This group is another campus's; a seat in it is taken as a guest."""

    code = "groups/group-elsewhere"
    status = 409
    title_zh = "该团属于其他校区，请以跨校成员身份参团"


class NoSeat(Problem):
    """You have no seat in this group."""

    code = "groups/no-seat"
    status = 409
    title_zh = "您不在该团中"


class SeatCommitted(Problem):
    """The group has formed: the order will be delivered and can no longer be cancelled."""

    code = "groups/seat-committed"
    status = 409
    title_zh = "该团已成团，无法取消"


class UserLimitReached(Problem):
    """You have used up your orders in this campaign."""

    code = "groups/user-limit-reached"
    status = 409
    title_zh = "已达到该活动的限购次数"


class TooManyUnpaid(Problem):
    """Pay or cancel the orders that wait for it before you place another."""

    code = "groups/too-many-unpaid"
    status = 409
    title_zh = "待支付订单过多，请先支付或取消"


class OrderLimitExceeded(Problem):
    """An order of this campaign may not have so many portions."""

    code = "groups/order-limit-exceeded"
    status = 409
    title_zh = "超出单笔限购份数"


class BuildingNotInGroup(Problem):
    """This campaign does not deliver to that building."""

    code = "groups/building-not-in-group"
    status = 409
    title_zh = "该活动不配送至此楼"


class MinimumNotReached(Problem):
    """A merchant's dishes in this order are worth less than the merchant's minimum."""

    code = "groups/minimum-not-reached"
    status = 409
    title_zh = "未达到商家起送金额"

"""What the catalog refuses: values that cannot be (422), and orders that cannot be taken now (409)."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class Unfit(Problem):
    """A field does not fit.

    Refusals of values derive from this; `field` names the field, `value` shows what was given.
    """

    code = "catalog/unfit"
    status = 422
    title_zh = "字段不符合要求"

    @property
    def field(self) -> str:
        """Which field does not fit."""
        return str(self.facts["field"])

    @property
    def value(self) -> object:
        """What was given for it."""
        return self.facts["value"]


class IdInvalid(Unfit):
    """An id is 1 to 64 lower-case letters, digits, `-` and `_`, beginning with a letter or digit."""

    code = "catalog/id-invalid"
    status = 422
    title_zh = "编号只能由 1 到 64 个小写字母、数字、连字符或下划线组成"


class NameInvalid(Unfit):
    """A name is 1 to 80 printable characters without spaces at its ends."""

    code = "catalog/name-invalid"
    status = 422
    title_zh = "名称须为 1 到 80 个可见字符，首尾不能有空格"


class NumberOutOfBounds(Unfit):
    """The number is too small or too large here."""

    code = "catalog/number-out-of-bounds"
    status = 422
    title_zh = "数值超出允许范围"


class TooMany(Unfit):
    """The list is empty where something is needed, or too long."""

    code = "catalog/too-many"
    status = 422
    title_zh = "列表为空或过长"


class GivenTwice(Unfit):
    """The same thing stands here twice."""

    code = "catalog/given-twice"
    status = 422
    title_zh = "内容重复"


class MapInvalid(Unfit):
    """A campus map reaches from south to north and from west to east."""

    code = "catalog/map-invalid"
    status = 422
    title_zh = "校园地图范围无效"


class OffMap(Unfit):
    """The position is not on the map of the campus."""

    code = "catalog/off-map"
    status = 422
    title_zh = "位置不在校园地图范围内"


class DishBecomesSet(Unfit):
    """A dish that is sold by itself may be a part of a set, and sets do not nest; make another dish of the set."""

    code = "catalog/dish-becomes-set"
    status = 422
    title_zh = "单品可能已在别的套餐里，不能改成套餐；请另建一个套餐"


class DishMovesShop(Unfit):
    """A dish stays with its shop, where sets may have it as a part; make another dish of the other shop."""

    code = "catalog/dish-moves-shop"
    status = 422
    title_zh = "菜品不能换到别的店铺，原店铺的套餐里可能有它；请在新店铺另建一个菜品"


class GuestCampusInvalid(Unfit):
    """A campaign's guests come from other campuses than its own."""

    code = "catalog/guest-campus-invalid"
    status = 422
    title_zh = "跨校参团的校区不能是活动所在校区"


class GuestCampusUnknown(Unfit):
    """There is no such campus, so that no guest can come from it."""

    code = "catalog/guest-campus-unknown"
    status = 422
    title_zh = "没有这个校区，不能从那里跨校参团"


class HoursInvalid(Unfit):
    """Opening hours are given for seven days, each span after the one before, at most 24 hours long."""

    code = "catalog/hours-invalid"
    status = 422
    title_zh = "营业时间无效"


class PeriodInvalid(Unfit):
    """A meal period starts, takes its last order, and ends, in this order and within a day."""

    code = "catalog/period-invalid"
    status = 422
    title_zh = "餐段时间无效"


class PeriodsOverlap(Unfit):
    """Two meal periods would take orders at the same time."""

    code = "catalog/periods-overlap"
    status = 422
    title_zh = "餐段的下单时间重叠"


class SetMealInvalid(Unfit):
    """A set meal is made of other dishes of the same merchant that are no set meals."""

    code = "catalog/set-meal-invalid"
    status = 422
    title_zh = "套餐只能由同一商家的单品组成"


class TiersNotImproving(Unfit):
    """A larger group must be offered more than a smaller one."""

    code = "catalog/tiers-not-improving"
    status = 422
    title_zh = "人数越多的档位优惠必须越大"


class TimesInvalid(Unfit):
    """A campaign ends after it starts; both times have a time zone."""

    code = "catalog/times-invalid"
    status = 422
    title_zh = "活动起止时间无效"


class ReferenceUnknown(Unfit):
    """This refers to something that does not exist on this campus."""

    code = "catalog/reference-unknown"
    status = 422
    title_zh = "引用的内容在本校区不存在"


class IdMismatch(Unfit):
    """The id in the body is not the one in the address."""

    code = "catalog/id-mismatch"
    status = 422
    title_zh = "请求内容中的编号与地址不一致"


class CampaignStepRefused(Unfit):
    """A campaign goes from draft to live to ended and never back."""

    code = "catalog/campaign-step-refused"
    status = 409
    title_zh = "活动状态只能从草稿到进行中再到结束"


class MealUnknown(Unfit):
    """A meal is named by its date and period, such as 2026-11-23.lunch."""

    code = "catalog/meal-unknown"
    status = 422
    title_zh = "餐次编号无效，应为日期加餐段，例如 2026-11-23.lunch"


class NotYourDish(Problem):
    """This dish belongs to another merchant, or does not exist."""

    code = "catalog/not-your-dish"
    status = 403
    title_zh = "该菜品不属于您的店铺或不存在"


class DishFieldFixed(Problem):
    """A merchant may change a dish's price, portions and whether it is on sale; the rest is the operator's."""

    code = "catalog/dish-field-fixed"
    status = 403
    title_zh = "商家只能修改价格、份数和上下架状态，其他内容请联系运营"


class CampaignNotLive(Problem):
    """This campaign takes no new groups now."""

    code = "catalog/campaign-not-live"
    status = 409
    title_zh = "该活动当前不能开团"


class CampaignNotServing(Problem):
    """No meal of this campaign takes orders now."""

    code = "catalog/campaign-not-serving"
    status = 409
    title_zh = "当前不在该活动的点餐时段"


class BuildingNotServed(Problem):
    """This campaign does not deliver to this building."""

    code = "catalog/building-not-served"
    status = 409
    title_zh = "该活动不配送到此楼"


class DishNotInCampaign(Problem):
    """This dish is not of a merchant that takes part."""

    code = "catalog/dish-not-in-campaign"
    status = 409
    title_zh = "该菜品的商家未参加此活动"


class DishNotOnSale(Problem):
    """This dish is not on sale."""

    code = "catalog/dish-not-on-sale"
    status = 409
    title_zh = "该菜品已下架"


class MerchantClosed(Problem):
    """This merchant is closed now."""

    code = "catalog/merchant-closed"
    status = 409
    title_zh = "商家当前未营业"


class ImportTooLarge(Problem):
    """An import is at most 2 MiB and 5,000 rows."""

    code = "catalog/import-too-large"
    status = 413
    title_zh = "导入文件不能超过 2 MiB 或 5000 行"


class ImportRefused(Problem):
    """Rows of the import are wrong; nothing was kept.

    errors: what is wrong, row by row. errors_total: how many there are, also when not all are listed.
    """

    code = "catalog/import-refused"
    status = 422
    title_zh = "导入内容有误，未做任何更改"

"""What can be put into a cart."""

from __future__ import annotations

from msgspec import Struct

from tuanzi.base.ids import DishId, MerchantId
from tuanzi.base.money import Money
from tuanzi.catalog.model.checks import PRICE_FEN_MAX, Whole, check_id, check_list, check_names, check_number, is_name
from tuanzi.catalog.problems import NameInvalid, SetMealInvalid

PORTIONS_MAX = 100_000


class SetMealItem(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """So many of a dish in a set meal."""

    dish_id: DishId
    quantity: Whole


class Dish(Struct, frozen=True, kw_only=True, gc=False):
    """What can be put into a cart.

    portions_per_meal: how many are cooked for each meal; stock counts them down.
    is_addon: offered beside a meal, such as the 1-yuan milk tea. items: what a set meal is made of; else empty.
    """

    id: DishId
    merchant_id: MerchantId
    name_zh: str
    name_en: str
    price: Money
    portions_per_meal: Whole
    is_on_sale: bool
    is_addon: bool
    items: tuple[SetMealItem, ...]
    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        check_names(self)
        check_id("merchant_id", self.merchant_id)
        check_number("price_fen", self.price.fen, least=1, most=PRICE_FEN_MAX)
        check_number("portions_per_meal", self.portions_per_meal, least=0, most=PORTIONS_MAX)
        check_list("items", [item.dish_id for item in self.items], least=0, most=10)
        for item in self.items:
            check_number("items", item.quantity, least=1, most=20)
            if item.dish_id == self.id:
                raise SetMealInvalid(field="items", value=item.dish_id)
        check_list("tags", self.tags, least=0, most=10)
        for tag in self.tags:
            if not is_name(tag, length_max=20) or "|" in tag:
                raise NameInvalid(field="tags", value=tag)

"""What is read of orders: by pages, by shops, and beside other books (A2, B8, C3).

`views`: orders as pages show them. `status`: of one order, from a cache that events keep fresh. `placed`: of one that
was placed a moment ago. `pages`: lists of them. `shops`: what they have to make, and are late with. `book`: the order
book within a look.
"""

from __future__ import annotations

from tuanzi.orders.queries.book import OrderBook, order_book, order_book_of, order_ids_after, order_rows, rows_of_meal
from tuanzi.orders.queries.pages import (
    after_sale_view,
    campus_order_page,
    open_after_sales,
    order_ids_of,
    order_page,
    orders_by_id,
    sub_orders_of_group,
)
from tuanzi.orders.queries.placed import find_placed, remember_placed
from tuanzi.orders.queries.shops import acceptance_terms, merchant_board, unaccepted, unready
from tuanzi.orders.queries.status import OrderStatus, StatusBoard, board_of, find_order, share_versions
from tuanzi.orders.queries.views import (
    AfterSaleView,
    CampusOrderPage,
    OpenAfterSalePage,
    OrderPage,
    OrderView,
    SubOrderPage,
    SubOrderView,
    sub_view_of,
    view_of,
)

__all__ = [
    "AfterSaleView",
    "CampusOrderPage",
    "OpenAfterSalePage",
    "OrderBook",
    "OrderPage",
    "OrderStatus",
    "OrderView",
    "StatusBoard",
    "SubOrderPage",
    "SubOrderView",
    "acceptance_terms",
    "after_sale_view",
    "board_of",
    "campus_order_page",
    "find_order",
    "find_placed",
    "merchant_board",
    "open_after_sales",
    "order_book",
    "order_book_of",
    "order_ids_after",
    "order_ids_of",
    "order_page",
    "order_rows",
    "orders_by_id",
    "remember_placed",
    "rows_of_meal",
    "share_versions",
    "sub_orders_of_group",
    "sub_view_of",
    "unaccepted",
    "unready",
    "view_of",
]

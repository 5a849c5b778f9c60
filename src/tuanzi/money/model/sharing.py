"""What a split asks of money: who paid what, and what each sub-order brings in (B3)."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from tuanzi.base.branch import Branch


class SharedPart(Struct, frozen=True, kw_only=True, gc=False):
    """What one merchant's sub-order brings in: `payable_fen` is items less discount, and its share of the delivery."""

    sub_order_id: str
    merchant_id: str
    items_fen: int
    discount_fen: int
    delivery_fen: int
    payable_fen: int


class SharedOrder(Struct, frozen=True, kw_only=True, gc=False):
    """One member's money in a split: he paid `paid_fen`, the final price is `payable_fen`, the sum of the parts."""

    order_id: str
    payment_id: str
    member_id: str
    paid_fen: int
    payable_fen: int
    parts: tuple[SharedPart, ...]


class TrySharing(Struct, frozen=True, kw_only=True, gc=False):
    """Try: set aside who gets what of a split group's money (支付分账)."""

    branch: Branch
    group_id: str
    leader_id: str
    orders: tuple[SharedOrder, ...]
    split_at: datetime
    ambassador_id: str | None = None  # who brought the group, if anybody did


class ConfirmSharing(Struct, frozen=True, kw_only=True, gc=False):
    """Confirm: what was set aside is theirs."""

    branch: Branch


class CancelSharing(Struct, frozen=True, kw_only=True, gc=False):
    """Cancel: what was set aside is the members' again."""

    branch: Branch

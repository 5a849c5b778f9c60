"""Delivery's part of a split (B3)."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from tuanzi.base.branch import BranchAnswer
from tuanzi.base.unit import Unit
from tuanzi.delivery.model import CancelDelivery, ConfirmDelivery, TryDelivery
from tuanzi.machinery.fence import answer_of, cancel_branch, confirm_branch, try_branch


def try_delivery(unit: Unit, command: TryDelivery, *, now: datetime) -> BranchAnswer:
    """Take a split's drop-offs. A repeat changes nothing. Raises BranchRefused, StaleCoordinator."""
    content = replace(command, branch=replace(command.branch, epoch=0))
    try_branch(unit, command.branch, content=content, now=now)
    return answer_of(unit, command.branch)


def confirm_delivery(unit: Unit, command: ConfirmDelivery, *, now: datetime) -> BranchAnswer:
    """Make a split's drop-offs live. A repeat changes nothing. Raises EmptyConfirm, StaleCoordinator."""
    confirm_branch(unit, command.branch, now=now)
    return answer_of(unit, command.branch)


def cancel_delivery(unit: Unit, command: CancelDelivery, *, now: datetime) -> BranchAnswer:
    """Give up a split's drop-offs. A repeat changes nothing. Raises CancelRefused, StaleCoordinator."""
    cancel_branch(unit, command.branch, now=now)
    return answer_of(unit, command.branch)

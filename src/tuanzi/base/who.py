"""Who is asking: a signed-in person and what he may do (J3)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from tuanzi.base.ids import CampusId, MerchantId, PersonId, SessionId


class Role(StrEnum):
    """What a person may be on a campus; one person may be several.

    dorm_head: a student who stands for his dorm; prices may ask for it (B4), and it opens no doors.
    """

    STUDENT = "student"
    MERCHANT = "merchant"
    RIDER = "rider"
    AMBASSADOR = "ambassador"
    DORM_HEAD = "dorm_head"
    OPERATOR = "operator"


class Who(Struct, frozen=True, gc=False):
    """A signed-in person, as his session knows him; thousands are remembered, and Python's collector walks none.

    campus_id: the campus he belongs to; None for an operator of the whole platform, who may act on every campus.
    merchant_id: the shop he works for, when he is a merchant. is_returning: he had ordered, was erased, and came back.
    """

    person_id: PersonId
    session_id: SessionId
    roles: frozenset[Role]
    campus_id: CampusId | None = None
    merchant_id: MerchantId | None = None
    is_returning: bool = False

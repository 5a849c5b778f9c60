"""What is read of people (J3).

`doorkeeper` tells who a token is. `pages` are what people see of themselves, and operators of them. `known` is by what
they are known elsewhere: whose WeChat account pays, who is nobody of a campus.
"""

from __future__ import annotations

from tuanzi.people.queries.doorkeeper import Doorkeeper, find_who
from tuanzi.people.queries.known import Payers, are_sealed_otherwise, find_strangers, is_bound_with
from tuanzi.people.queries.pages import (
    AuditPage,
    Export,
    Me,
    PeoplePage,
    audit_page,
    export,
    me,
    owner_page,
    people_page,
)

__all__ = [
    "AuditPage",
    "Doorkeeper",
    "Export",
    "Me",
    "Payers",
    "PeoplePage",
    "are_sealed_otherwise",
    "audit_page",
    "export",
    "find_strangers",
    "find_who",
    "is_bound_with",
    "me",
    "owner_page",
    "people_page",
]

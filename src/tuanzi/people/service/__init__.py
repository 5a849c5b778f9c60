"""What people can do: sign in, sign out, be forgotten, be given roles (J3); one function for each.

`codes` and `wechat` let people in, `sessions` keep them in, `limits` count what is tried. `erasing` forgets a person,
and `former` keeps the mark of his phone. `roles`: who may do what. `persons`: one person's row.
"""

from __future__ import annotations

from tuanzi.people.service.codes import forget_challenge, record_code_sent, request_code, sign_in
from tuanzi.people.service.erasing import erase_person, record_forgotten
from tuanzi.people.service.former import forget_former_phone
from tuanzi.people.service.limits import forget_limit
from tuanzi.people.service.persons import change_name
from tuanzi.people.service.roles import appoint_operator, appoint_staff, set_roles
from tuanzi.people.service.sessions import expire_session, sign_out
from tuanzi.people.service.wechat import bind_wechat, count_wechat_try, sign_in_with_wechat, unbind_wechat

__all__ = [
    "appoint_operator",
    "appoint_staff",
    "bind_wechat",
    "change_name",
    "count_wechat_try",
    "erase_person",
    "expire_session",
    "forget_challenge",
    "forget_former_phone",
    "forget_limit",
    "record_code_sent",
    "record_forgotten",
    "request_code",
    "set_roles",
    "sign_in",
    "sign_in_with_wechat",
    "sign_out",
    "unbind_wechat",
]

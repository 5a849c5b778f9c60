"""Who is there, and what he may hear (A4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from tuanzi import people
from tuanzi.base.ids import GroupId, SessionId
from tuanzi.base.problem import Unknown
from tuanzi.base.who import Role, Who
from tuanzi.groups import load_group
from tuanzi.live.model import OPS, RIDERS, OpsPicture, claim_of, stream_of_merchant, stream_of_person
from tuanzi.live.queries.desks import CampusDesks
from tuanzi.live.queries.pages import group_picture
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.push.ports import ChannelKind, Ticket
from tuanzi.machinery.push.protocol import Close, Closing, Fault, Refused

_encode = msgspec.json.Encoder().encode


class Gatekeeper:
    """Lets people in and tells what they may hear; a `Gate`. Each time somebody comes his session is looked up."""

    def __init__(
        self,
        platform: Desk,
        campuses: Mapping[str, CampusDesks],
        *,
        keys: people.Keys,
        now: Callable[[], datetime],
        overview: Callable[[str], OpsPicture],
    ) -> None:
        """overview: what a campus's operators see."""
        self._platform = platform
        self._campuses = campuses
        self._keys = keys
        self._now = now
        self._overview = overview

    async def admit(self, token: str) -> Ticket:
        """Who holds this token. Refused when it is over, Closing when it is none or the session has ended."""
        text, _, signature = token.partition(".")
        if not token or not self._keys.signed(text, signature):
            raise Closing(Close.INVALID_TOKEN, "invalid token")
        claim = claim_of(text)
        if claim is None or claim.campus_id not in self._campuses:
            raise Closing(Close.INVALID_TOKEN, "invalid token")
        now = self._now()
        if now >= claim.expires_at:
            raise Refused(Fault.TOKEN_EXPIRED)
        who = await people.find_who(self._platform, SessionId(claim.session_id), now=now)
        if who is None:
            raise Closing(Close.SIGNED_OUT, "signed out")
        if who.campus_id is not None and who.campus_id != claim.campus_id:
            raise Closing(Close.INVALID_TOKEN, "another campus")
        return Ticket(
            person_id=who.person_id,
            session_id=who.session_id,
            campus_id=claim.campus_id,
            stream=stream_of_person(who.person_id),
            expires_at=claim.expires_at,
            rights=who,
        )

    async def kind_of(self, ticket: Ticket, channel: str) -> ChannelKind:
        """How this person hears a channel."""
        who = ticket.rights
        assert isinstance(who, Who)
        name, _, id = channel.partition(":")
        is_operator = Role.OPERATOR in who.roles
        match name:
            case "group" if id:
                await self._check_group(ticket.campus_id, id)
                return ChannelKind.PICTURE
            case "board" if id:
                is_his = Role.MERCHANT in who.roles and channel == stream_of_merchant(who.merchant_id or "")
                return _allowed(ChannelKind.STREAM, is_operator or is_his)
            case "user" if id:
                raise Refused(Fault.ALREADY_SUBSCRIBED if channel == ticket.stream else Fault.PERMISSION_DENIED)
            case _ if channel == RIDERS:
                return _allowed(ChannelKind.STREAM, is_operator or Role.RIDER in who.roles)
            case _ if channel == OPS:
                return _allowed(ChannelKind.PICTURE, is_operator)
            case _:
                raise Refused(Fault.UNKNOWN_CHANNEL)

    async def _check_group(self, campus_id: str, group_id: str) -> None:
        try:
            await load_group(self._campuses[campus_id].core, GroupId(group_id))
        except Unknown:
            raise Refused(Fault.UNKNOWN_CHANNEL) from None

    async def picture(self, campus_id: str, channel: str, watching: int) -> bytes:
        """What a channel looks like now."""
        if channel == OPS:
            return _encode(self._overview(campus_id))
        group_id = GroupId(channel.partition(":")[2])
        return _encode(await group_picture(self._campuses[campus_id].core, group_id, watching=watching))


def _allowed(kind: ChannelKind, is_allowed: bool) -> ChannelKind:
    if not is_allowed:
        raise Refused(Fault.PERMISSION_DENIED)
    return kind

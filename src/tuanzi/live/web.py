"""Live over HTTP: the token that lets a person in, and his stream for those whose connection cannot stay (A1)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from tuanzi.base.ids import GroupId
from tuanzi.live.model import GroupPicture, claim_for, stream_of_person, text_of
from tuanzi.live.problems import CampusUnnamed
from tuanzi.live.queries import MessagePage, group_picture, message_page
from tuanzi.machinery.http.routes import Call, Route
from tuanzi.people import Keys

PATH = "/connection/websocket"
MESSAGES_MAX = 200


class Address:
    """Where clients reach the gateway: the port of this process, or a public address in front of it."""

    def __init__(self, *, url: str = "") -> None:
        self.url = url
        self.port: int | None = None  # known when it listens


class TokenBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """campus_id: needed only of an operator of the whole platform."""

    campus_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class LiveToken(Struct, frozen=True, kw_only=True, gc=False):
    """What to connect with, and where: at `url`, or when that is null at `port` of this host, on `path`.

    channel: the person's own stream; the gateway subscribes him to it.
    """

    token: str
    expires_in_s: int
    url: str | None
    port: int | None
    path: str
    channel: str


class AfterQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last number that I have; what nobody acknowledged yet when it is not said."""

    after: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MESSAGES_MAX)] = 50


def routes(*, keys: Keys, address: Address) -> tuple[Route, ...]:
    """The routes of live."""

    async def make_token(call: Call[TokenBody, None]) -> LiveToken:
        """POST /v1/live/token: a token for the gateway, for five minutes."""
        who = call.caller
        campus_id = who.campus_id or call.body.campus_id
        if campus_id is None:
            raise CampusUnnamed()
        claim = claim_for(who.session_id, campus_id=campus_id, now=call.now)
        text = text_of(claim)
        return LiveToken(
            token=f"{text}.{keys.sign(text)}",
            expires_in_s=int((claim.expires_at - call.now).total_seconds()),
            url=address.url or None,
            port=None if address.url else address.port,
            path=PATH,
            channel=stream_of_person(who.person_id),
        )

    async def list_messages(call: Call[None, AfterQuery]) -> MessagePage:
        """GET /v1/campuses/{campus}/live/messages: my stream, for whoever cannot stay connected."""
        stream = stream_of_person(call.caller.person_id)
        return await message_page(call.desks.notices, stream, after=call.query.after, limit=call.query.limit)

    async def show_group(call: Call[None, None]) -> GroupPicture:
        """GET /v1/campuses/{campus}/live/groups/{group_id}: what the group's channel shows, but for who watches."""
        return await group_picture(call.desks.core, GroupId(call.path["group_id"]), watching=0)

    return (
        Route(
            "POST",
            "/v1/live/token",
            make_token,
            answer=LiveToken,
            body=TokenBody,
            keyed=False,
            problems=(CampusUnnamed,),
            summary="A token for the gateway",
        ),
        Route(
            "GET",
            "/v1/campuses/{campus}/live/messages",
            list_messages,
            answer=MessagePage,
            query=AfterQuery,
            summary="My stream of messages",
        ),
        Route(
            "GET",
            "/v1/campuses/{campus}/live/groups/{group_id}",
            show_group,
            answer=GroupPicture,
            summary="What a group's channel shows",
        ),
    )

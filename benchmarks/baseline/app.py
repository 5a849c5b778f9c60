"""The HTTP service: FastAPI, one transaction for each request, answers only after its commit."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from benchmarks.baseline import service
from benchmarks.baseline.bodies import JoinGroup, OpenGroup, OrderStatus, Paid, Pay, Placed
from benchmarks.baseline.database import AsyncSession, Database
from benchmarks.baseline.tables import IdempotencyKey, Order, Session

SESSIONS_CACHED_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Member:
    """Who asks."""

    person_id: str
    campus_id: str
    expires_at_ms: int


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.database = Database(Path(os.environ["BASELINE_DATA"]))
    app.state.members = {}
    app.state.catalog = service.Catalog()
    await app.state.database.create()
    yield
    await app.state.database.close()


app = FastAPI(lifespan=_lifespan)


@app.exception_handler(service.Refused)
async def _refused(_request: Request, refused: service.Refused) -> JSONResponse:
    return JSONResponse({"detail": refused.reason}, status_code=refused.status)


async def signed_in(
    request: Request, campus: str, authorization: Annotated[str, Header(pattern="^Bearer .+")]
) -> Member:
    """The member whose token it is, remembered for later requests. Raises 401 and 403."""
    token = authorization[7:]
    members: dict[str, Member] = request.app.state.members
    member = members.get(token)
    if member is None:
        async with request.app.state.database.reading() as session:
            found = await session.get(Session, hashlib.sha256(token.encode()).hexdigest())
        if found is None:
            raise HTTPException(401, "sign in first")
        member = Member(found.person_id, found.campus_id, found.expires_at_ms)
        if len(members) >= SESSIONS_CACHED_MAX:
            members.clear()
        members[token] = member
    if member.expires_at_ms <= time.time_ns() // 1_000_000:
        raise HTTPException(401, "sign in again")
    if member.campus_id != campus:
        raise HTTPException(403, "another campus")
    return member


SignedIn = Annotated[Member, Depends(signed_in)]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=64)]


@app.get("/readyz")
async def ready() -> dict[str, str]:
    """GET /readyz"""
    return {"status": "ready"}


@app.post("/v1/campuses/{campus}/groups", status_code=201, response_model=Placed)
async def open_group(request: Request, campus: str, body: OpenGroup, member: SignedIn, key: Key) -> Response:
    """POST /v1/campuses/{campus}/groups"""

    async def act(session: AsyncSession) -> Placed:
        return await service.open_group(
            session, body, catalog=request.app.state.catalog, campus_id=campus, member_id=member.person_id
        )

    return await _once(request, act, body=body, member=member, key=key, status=201)


@app.post("/v1/campuses/{campus}/groups/{group_id}/orders", status_code=201, response_model=Placed)
async def join_group(request: Request, group_id: str, body: JoinGroup, member: SignedIn, key: Key) -> Response:
    """POST /v1/campuses/{campus}/groups/{group_id}/orders"""

    async def act(session: AsyncSession) -> Placed:
        return await service.join_group(
            session, group_id, body, catalog=request.app.state.catalog, member_id=member.person_id
        )

    return await _once(request, act, body=body, member=member, key=key, status=201)


@app.post("/v1/campuses/{campus}/orders/{order_id}/pay", response_model=Paid)
async def pay(request: Request, order_id: str, body: Pay, member: SignedIn, key: Key) -> Response:
    """POST /v1/campuses/{campus}/orders/{order_id}/pay"""

    async def act(session: AsyncSession) -> Paid:
        return await service.pay(session, order_id, catalog=request.app.state.catalog, member_id=member.person_id)

    return await _once(request, act, body=body, member=member, key=key, status=200)


@app.get("/v1/campuses/{campus}/orders/{order_id}")
async def order_status(request: Request, order_id: str, member: SignedIn) -> OrderStatus:
    """GET /v1/campuses/{campus}/orders/{order_id}"""
    async with request.app.state.database.reading() as session:
        order = await session.get(Order, order_id)
    if order is None or order.member_id != member.person_id:
        raise HTTPException(404, "no such order")
    return OrderStatus(
        order_id=order.id,
        order_state=order.state,
        group_id=order.group_id,
        payable_fen=order.payable_fen,
        paid_fen=order.paid_fen,
    )


async def _once(
    request: Request,
    act: Callable[[AsyncSession], Awaitable[BaseModel]],
    *,
    body: BaseModel,
    member: Member,
    key: str,
    status: int,
) -> Response:
    """Carry out `act` and keep its answer in one transaction; the same person and key again get the first answer."""
    request_hash = hashlib.sha256(f"{request.url.path}\n{body.model_dump_json()}".encode()).hexdigest()
    async with request.app.state.database.writing() as session, session.begin():
        known = await session.get(IdempotencyKey, (member.person_id, key))
        if known is not None:
            if known.request_hash != request_hash:
                raise HTTPException(422, "the key was used for another request")
            return _json(known.body, status=known.status)
        await request.app.state.catalog.refresh(session)
        answer = (await act(session)).model_dump_json().encode()
        session.add(
            IdempotencyKey(
                person_id=member.person_id,
                key=key,
                request_hash=request_hash,
                status=status,
                body=answer,
                answered_at_ms=time.time_ns() // 1_000_000,
            )
        )
    return _json(answer, status=status)


def _json(body: bytes, *, status: int) -> Response:
    return Response(body, status_code=status, media_type="application/json")

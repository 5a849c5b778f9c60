"""Control of time, faults and receivers, for whoever has the token: what tests and demonstrations change."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandboxes.wechatpay import pages, refunds, shares
from sandboxes.wechatpay.callbacks import Sender
from sandboxes.wechatpay.company import Company
from sandboxes.wechatpay.faults import Fault

Handler = Callable[[Request], Awaitable[Response]]


class Control:
    """Routes that change what happens; each needs the token as a bearer token."""

    def __init__(self, company: Company, sender: Sender, token: str) -> None:
        self._company = company
        self._sender = sender
        self._token = token

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/faults", self._guarded(self._list_faults), methods=["GET"]),
            Route("/faults", self._guarded(self._add_faults), methods=["POST"]),
            Route("/faults", self._guarded(self._heal), methods=["DELETE"]),
            Route("/books", self._guarded(self._forget), methods=["DELETE"]),
            Route("/clock", self._guarded(self._set_clock), methods=["POST"]),
            Route("/trades/{number}", self._guarded(self._show_trade), methods=["GET"]),
            Route("/totals", self._guarded(self._show_totals), methods=["GET"]),
            Route("/balances", self._guarded(self._set_balance), methods=["POST"]),
            Route("/shares/{number}/let-go", self._guarded(self._let_go), methods=["POST"]),
            Route("/refunds/{number}/abandon", self._guarded(self._abandon), methods=["POST"]),
            Route("/callbacks/{id}/replay", self._guarded(self._replay), methods=["POST"]),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return JSONResponse({"error": "the control token is wrong"}, 401)
            try:
                answer = await handler(request)
            except (ValueError, KeyError, TypeError) as error:
                return JSONResponse({"error": str(error)}, 400)
            self._sender.wake()
            return answer

        return checked

    async def _list_faults(self, request: Request) -> Response:
        told = {"faults": self._company.faults.listed(), "hits": self._company.faults.hits}
        return Response(msgspec.json.encode(told), media_type="application/json")

    async def _add_faults(self, request: Request) -> Response:
        for fault in msgspec.json.decode(await request.body(), type=list[Fault]):
            self._company.faults.add(fault)
        return Response(status_code=204)

    async def _heal(self, request: Request) -> Response:
        self._company.faults.heal()
        return Response(status_code=204)

    async def _forget(self, request: Request) -> Response:
        """Forget every order: an empty company with the same keys and the same time."""
        with self._company.book.change():
            self._company.book.forget()
        return Response(status_code=204)

    async def _set_clock(self, request: Request) -> Response:
        """at: RFC 3339; forward_s: seconds later; scale: 0 stands still."""
        asked = await request.json()
        clock = self._company.clock
        at = datetime.fromisoformat(asked["at"]) if "at" in asked else clock.now()
        if at.tzinfo is None:
            raise ValueError("at: an offset is expected")
        clock.set(at=at + timedelta(seconds=asked.get("forward_s", 0)), scale=float(asked.get("scale", clock.scale)))
        with self._company.book.change():
            self._company.book.remember("clock", json.dumps(clock.setting()))
        return JSONResponse({"now": clock.now().isoformat(), "scale": clock.scale})

    async def _show_trade(self, request: Request) -> Response:
        told = pages.story(self._company, request.path_params["number"])
        return JSONResponse(told, 200 if told else 404)

    async def _show_totals(self, request: Request) -> Response:
        return JSONResponse(totals(self._company))

    async def _set_balance(self, request: Request) -> Response:
        """What a receiver has: 0 makes his returns fail."""
        asked = await request.json()
        with self._company.book.change():
            self._company.book.write(
                "INSERT INTO balances (account, fen) VALUES (:account, :fen)"
                " ON CONFLICT (account) DO UPDATE SET fen = :fen",
                account=str(asked["account"]),
                fen=int(asked["fen"]),
            )
        return Response(status_code=204)

    async def _let_go(self, request: Request) -> Response:
        return Response(status_code=204 if shares.let_go(self._company, request.path_params["number"]) else 404)

    async def _abandon(self, request: Request) -> Response:
        """state: CLOSED or ABNORMAL."""
        asked = await request.json()
        refusal = refunds.abandon(self._company, request.path_params["number"], state=asked["state"])
        return Response(status_code=204 if refusal is None else 404)

    async def _replay(self, request: Request) -> Response:
        """kind: true, forged, probe or stale; age_s: how long ago it says it was signed."""
        asked = await request.json()
        kind, age = asked.get("kind", "true"), timedelta(seconds=asked.get("age_s", 0))
        status = await self._sender.replay(request.path_params["id"], kind=kind, age=age)
        return JSONResponse({"status": status})


def totals(company: Company) -> dict[str, int]:
    """What was ever paid, refunded and shared, and where it is now: for the books of whoever reconciles."""
    row = company.book.find(
        "SELECT COALESCE(SUM(CASE WHEN paid_at_ms IS NULL THEN 0 ELSE total_fen END), 0) AS paid_fen,"
        " COALESCE(SUM(refunded_fen), 0) AS refunded_fen, COALESCE(SUM(frozen_fen), 0) AS frozen_fen,"
        " COALESCE(SUM(own_fen), 0) AS own_fen, COUNT(paid_at_ms) AS paid_count FROM trades"
    )
    assert row is not None
    waiting = company.book.find("SELECT COUNT(due_at_ms) AS n FROM callbacks")
    given = company.book.find(
        "SELECT COALESCE(SUM(amount_fen - returned_fen), 0) AS fen FROM parts"
        " WHERE result = 'SUCCESS' AND account <> :own",
        own=company.keys.mchid,
    )
    assert waiting is not None
    assert given is not None
    return {**dict(row), "shared_fen": given["fen"], "callbacks_waiting": waiting["n"]}

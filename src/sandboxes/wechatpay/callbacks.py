"""Callbacks: a durable queue, signed and sealed, sent again by the published schedule until they are taken."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from datetime import timedelta

import httpx

from sandboxes.wechatpay import refunds, returns, shares
from sandboxes.wechatpay.book import rfc3339
from sandboxes.wechatpay.company import Company
from sandboxes.wechatpay.faults import OF_CALLBACKS, Fault, Kind

log = logging.getLogger("sandboxes.wechatpay")

# "15s/15s/30s/3m/10m/20m/30m/30m/30m/60m/3h/3h/3h/6h/6h - 总计 24h4m"
WAITS_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
ANSWER_S_MAX = 5.0
AT_ONCE_MAX = 32
IDLE_S = 1.0
DAY = timedelta(days=1)


class Sender:
    """Lets time pass for what is due, and sends callbacks; one task, woken by every change."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._wake = asyncio.Event()
        self._sending: set[str] = set()

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with httpx.AsyncClient(timeout=ANSWER_S_MAX, trust_env=False) as client, asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                settle_due(self._company)
                for row in self._due():
                    self._sending.add(row["id"])
                    tasks.create_task(self._deliver(client, row))
                try:
                    async with asyncio.timeout(self._pause()):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    def _due(self) -> list[sqlite3.Row]:
        room = AT_ONCE_MAX - len(self._sending)
        rows = self._company.book.rows(
            "SELECT * FROM callbacks WHERE due_at_ms <= :now ORDER BY due_at_ms, made_at_ms LIMIT 64",
            now=self._company.now_ms(),
        )
        return [row for row in rows if row["id"] not in self._sending][: max(0, room)]

    def _pause(self) -> float:
        """Seconds of the machine until something is due."""
        company = self._company
        dues = [
            row["due"]
            for table, column in (
                ("callbacks", "due_at_ms"),
                ("refunds", "settles_at_ms"),
                ("shares", "finishes_at_ms"),
                ("returns", "settles_at_ms"),
            )
            for row in company.book.rows(f"SELECT MIN({column}) AS due FROM {table}")
            if row["due"] is not None
        ]
        if not dues:
            return IDLE_S
        return min(IDLE_S, max(0.02, company.clock.machine_s(min(dues) - company.now_ms())))

    async def _deliver(self, client: httpx.AsyncClient, row: sqlite3.Row) -> None:
        company = self._company
        try:
            fault = company.faults.strike(row["event_type"], OF_CALLBACKS) if row["state"] == "waiting" else None
            if fault is not None and self._keep_back(row, fault):
                return
            if fault is not None:
                await self._send_before(client, row, fault)
            answers = await asyncio.gather(
                *(
                    self._post(client, row, kind="true")
                    for _ in range(fault.copies if fault is not None and fault.kind is Kind.DUPLICATE else 1)
                )
            )
            self._note(row, answered=any(answers))
        finally:
            self._sending.discard(row["id"])
            self.wake()

    def _keep_back(self, row: sqlite3.Row, fault: Fault) -> bool:
        """Whether the callback is not sent now."""
        if fault.kind not in (Kind.NEVER, Kind.LATE, Kind.REORDERED):
            return False
        state = {Kind.NEVER: "never", Kind.LATE: "late", Kind.REORDERED: "held"}[fault.kind]
        later = None if fault.kind is Kind.NEVER else self._company.now_ms() + int(fault.seconds * 1000)
        self._update(row["id"], state=state, due_at_ms=later)
        return True

    async def _send_before(self, client: httpx.AsyncClient, row: sqlite3.Row, fault: Fault) -> None:
        match fault.kind:
            case Kind.FORGED_TOO:
                await self._post(client, row, kind="forged")
            case Kind.PROBE_TOO:
                await self._post(client, row, kind="probe")
            case Kind.STALE_TOO:
                await self._post(client, row, kind="stale")
            case _:
                return

    async def replay(self, callback_id: str, *, kind: str, age: timedelta) -> int | None:
        """Send a callback once more, whatever became of it; the status it was answered with, None for none."""
        row = self._company.book.find("SELECT * FROM callbacks WHERE id = :id", id=callback_id)
        if row is None:
            return None
        async with httpx.AsyncClient(timeout=ANSWER_S_MAX, trust_env=False) as client:
            await self._post(client, row, kind=kind, age=age)
        last = self._company.book.find(
            "SELECT answer FROM attempts WHERE callback_id = :id ORDER BY rowid DESC LIMIT 1", id=callback_id
        )
        answer = "" if last is None else str(last["answer"])
        return int(answer) if answer.isdigit() else None

    async def _post(
        self, client: httpx.AsyncClient, row: sqlite3.Row, *, kind: str, age: timedelta = timedelta()
    ) -> bool:
        """Send it once; whether it was taken."""
        company = self._company
        resource = row["resource"]
        if kind == "forged" and row["original_type"] != "profitsharing":
            told = json.loads(resource)
            told["amount"] = {key: fen * 100 if isinstance(fen, int) else fen for key, fen in told["amount"].items()}
            resource = json.dumps(told, ensure_ascii=False)
        sealed = company.keys.seal(resource, associated=row["original_type"])
        body = json.dumps(
            {
                "id": row["id"],
                "create_time": rfc3339(row["made_at_ms"]),
                "resource_type": "encrypt-resource",
                "event_type": row["event_type"],
                "summary": row["summary"],
                "resource": {"original_type": row["original_type"], **sealed},
            },
            ensure_ascii=False,
        )
        at = company.clock.machine() - (DAY if kind == "stale" else age)
        signed = company.keys.sign(
            body, serial=row["serial"], at=at, forged=kind == "forged", probe=kind == "probe"
        ).headers()
        headers = {"Content-Type": "application/json", "User-Agent": "Mozilla/4.0", **signed}
        try:
            answer = await client.post(row["url"], content=body.encode(), headers=headers)
            told_back, taken = str(answer.status_code), answer.status_code in (200, 204)
        except httpx.HTTPError as error:
            told_back, taken = type(error).__name__, False
        attempt = {"callback_id": row["id"], "at_ms": company.now_ms(), "kind": kind, "answer": told_back}
        with company.book.change():
            if company.book.find("SELECT id FROM callbacks WHERE id = :id", id=row["id"]) is not None:
                company.book.add("attempts", attempt)  # else it was forgotten while it was on its way
        return taken

    def _note(self, row: sqlite3.Row, *, answered: bool) -> None:
        """Keep what became of a try, and let those that were held back go."""
        attempts = row["attempts"] + 1
        with self._company.book.change():
            if answered:
                self._update(row["id"], state="done", due_at_ms=None, attempts=attempts)
            elif attempts > len(WAITS_S):
                self._update(row["id"], state="given_up", due_at_ms=None, attempts=attempts)
            else:
                due_at_ms = self._company.now_ms() + WAITS_S[attempts - 1] * 1000
                self._update(row["id"], state="again", due_at_ms=due_at_ms, attempts=attempts)
            self._company.book.write(
                "UPDATE callbacks SET due_at_ms = :now WHERE state = 'held' AND due_at_ms > :now AND id <> :id",
                now=self._company.now_ms(),
                id=row["id"],
            )

    def _update(self, callback_id: str, *, state: str, due_at_ms: int | None, attempts: int | None = None) -> None:
        with self._company.book.change():
            self._company.book.write(
                "UPDATE callbacks SET state = :state, due_at_ms = :due, attempts = COALESCE(:attempts, attempts)"
                " WHERE id = :id",
                id=callback_id,
                state=state,
                due=due_at_ms,
                attempts=attempts,
            )


def settle_due(company: Company) -> None:
    """Let everything happen whose time has come."""
    now_ms = company.now_ms()
    due = company.book.find(
        "SELECT EXISTS (SELECT 1 FROM refunds WHERE settles_at_ms <= :now)"
        " OR EXISTS (SELECT 1 FROM shares WHERE finishes_at_ms <= :now)"
        " OR EXISTS (SELECT 1 FROM returns WHERE settles_at_ms <= :now) AS is_due",
        now=now_ms,
    )
    if due is None or not due["is_due"]:
        return
    with company.book.change():
        refunds.settle_due(company, now_ms=now_ms)
        shares.settle_due(company, now_ms=now_ms)
        returns.settle_due(company, now_ms=now_ms)

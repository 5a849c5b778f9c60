"""The reconciliation over HTTP, for operators: what was found, by what evidence, and what they settle by hand (C3)."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from msgspec import Meta, Struct

from tuanzi.base.who import Role
from tuanzi.machinery.http.routes import Call, Committed, NoBody, Reply, Route
from tuanzi.money import NotInSuspense
from tuanzi.reconciliation import queries
from tuanzi.reconciliation.model import (
    AsideEnd,
    AsideEnded,
    Asked,
    AskRun,
    DifferenceStanding,
    EndAside,
    ReturnSuspense,
    SettleDifference,
    State,
    SuspenseReturned,
)
from tuanzi.reconciliation.problems import BillsGone, DayNotOver, DifferenceEnded
from tuanzi.reconciliation.queries import (
    AsidePage,
    DifferencesPage,
    DifferenceView,
    ReportsPage,
    ReportView,
    RunsPage,
    SuspensePage,
)


class RunsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list."""

    before: Annotated[str, Meta(max_length=64)] = "~"
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class DifferencesQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which differences: of one run, or else in one state, or else all."""

    state: State | None = None
    run_id: Annotated[str, Meta(max_length=64)] | None = None
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class SuspenseQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list."""

    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class ReportsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the chain."""

    after: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class RunBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is compared now: the books of the campus, or, when a day is named, the ledger with its bills."""

    on: date | None = None


class SettlementBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a person has dealt with a difference; kept with his name."""

    reason: Annotated[str, Meta(min_length=3, max_length=500)]


class AsideBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a person has dealt with what is in suspense, and by what evidence; kept with his name."""

    how: AsideEnd
    reason: Annotated[str, Meta(min_length=3, max_length=500)]


async def list_runs(call: Call[None, RunsQuery]) -> RunsPage:
    """GET /v1/campuses/{campus}/reconciliation/runs"""
    return await queries.runs_page(call.desks.money, before=call.query.before, limit=call.query.limit)


async def post_run(call: Call[RunBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/reconciliation/runs: compare now."""
    command = AskRun(by=call.caller.person_id, on=call.body.on)
    return await call.desks.money.submit(command, who=call.caller.person_id, key=call.key)


async def list_differences(call: Call[None, DifferencesQuery]) -> DifferencesPage:
    """GET /v1/campuses/{campus}/reconciliation/differences"""
    query = call.query
    return await queries.differences_page(
        call.desks.money, state=query.state, run_id=query.run_id, after=query.after, limit=query.limit
    )


async def show_difference(call: Call[None, None]) -> DifferenceView:
    """GET /v1/campuses/{campus}/reconciliation/differences/{difference_id}"""
    return await queries.difference(call.desks.money, call.path["difference_id"])


async def post_settlement(call: Call[SettlementBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/reconciliation/differences/{difference_id}/settlement: a person has dealt with it."""
    seen = await queries.difference(call.desks.money, call.path["difference_id"])
    command = SettleDifference(difference_id=seen.id, by=call.caller.person_id, reason=call.body.reason)
    return await call.desks.money.submit(command, who=call.caller.person_id, key=call.key)


async def list_suspense(call: Call[None, SuspenseQuery]) -> SuspensePage:
    """GET /v1/campuses/{campus}/reconciliation/suspense"""
    return await queries.suspense_page(call.desks.money, after=call.query.after, limit=call.query.limit)


async def post_return(call: Call[NoBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/reconciliation/differences/{difference_id}/return: to who paid it, by the provider."""
    seen = await queries.difference(call.desks.money, call.path["difference_id"])
    command = ReturnSuspense(difference_id=seen.id, by=call.caller.person_id)
    return await call.desks.money.submit(command, who=call.caller.person_id, key=call.key)


async def list_asides(call: Call[None, SuspenseQuery]) -> AsidePage:
    """GET /v1/campuses/{campus}/reconciliation/asides"""
    return await queries.aside_page(call.desks.money, after=call.query.after, limit=call.query.limit)


async def post_aside(call: Call[AsideBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/reconciliation/differences/{difference_id}/aside: how it ended, outside of here."""
    seen = await queries.difference(call.desks.money, call.path["difference_id"])
    command = EndAside(difference_id=seen.id, how=call.body.how, by=call.caller.person_id, reason=call.body.reason)
    return await call.desks.money.submit(command, who=call.caller.person_id, key=call.key)


async def list_reports(call: Call[None, ReportsQuery]) -> ReportsPage:
    """GET /v1/campuses/{campus}/reconciliation/reports"""
    return await queries.reports_page(call.desks.money, after=call.query.after, limit=call.query.limit)


async def show_report(call: Call[None, None]) -> ReportView:
    """GET /v1/campuses/{campus}/reconciliation/reports/{number}"""
    return await queries.report(call.desks.money, _number(call))


async def show_report_csv(call: Call[None, None]) -> Reply:
    """GET /v1/campuses/{campus}/reconciliation/reports/{number}/differences.csv"""
    return Reply(body=await queries.report_csv(call.desks.money, _number(call)))


def _number(call: Call[None, None]) -> int:
    """The report that is asked for; 0, which there is none of, for what is no number."""
    number = call.path["number"]
    return int(number) if number.isdecimal() and len(number) < 10 else 0


_AT = "/v1/campuses/{campus}/reconciliation"
_OPERATOR = frozenset({Role.OPERATOR})
ROUTES = (
    Route(
        "GET",
        f"{_AT}/runs",
        list_runs,
        answer=RunsPage,
        query=RunsQuery,
        roles=_OPERATOR,
        summary="When books were compared, and what was found",
    ),
    Route(
        "POST",
        f"{_AT}/runs",
        post_run,
        answer=Asked,
        body=RunBody,
        status=202,
        roles=_OPERATOR,
        problems=(DayNotOver, BillsGone),
        summary="Compare books now",
    ),
    Route(
        "GET",
        f"{_AT}/differences",
        list_differences,
        answer=DifferencesPage,
        query=DifferencesQuery,
        roles=_OPERATOR,
        summary="Differences between books, with their evidence",
    ),
    Route(
        "GET",
        f"{_AT}/differences/{{difference_id}}",
        show_difference,
        answer=DifferenceView,
        roles=_OPERATOR,
        summary="One difference with its evidence",
    ),
    Route(
        "POST",
        f"{_AT}/differences/{{difference_id}}/settlement",
        post_settlement,
        answer=DifferenceStanding,
        body=SettlementBody,
        roles=_OPERATOR,
        problems=(DifferenceEnded,),
        summary="Settle a difference by hand",
    ),
    Route(
        "GET",
        f"{_AT}/suspense",
        list_suspense,
        answer=SuspensePage,
        query=SuspenseQuery,
        roles=_OPERATOR,
        summary="Money of another amount than was asked, which waits for a person",
    ),
    Route(
        "POST",
        f"{_AT}/differences/{{difference_id}}/return",
        post_return,
        answer=SuspenseReturned,
        body=NoBody,
        status=202,
        roles=_OPERATOR,
        problems=(NotInSuspense,),
        summary="Send money that is in suspense back to who paid it",
    ),
    Route(
        "GET",
        f"{_AT}/asides",
        list_asides,
        answer=AsidePage,
        query=SuspenseQuery,
        roles=_OPERATOR,
        summary="Money in suspense because the payment company said more or less than the ledger knew",
    ),
    Route(
        "POST",
        f"{_AT}/differences/{{difference_id}}/aside",
        post_aside,
        answer=AsideEnded,
        body=AsideBody,
        roles=_OPERATOR,
        problems=(NotInSuspense,),
        summary="Say how money that was set aside was dealt with, and settle its difference",
    ),
    Route(
        "GET",
        f"{_AT}/reports",
        list_reports,
        answer=ReportsPage,
        query=ReportsQuery,
        roles=_OPERATOR,
        summary="The chain of reports, each checked",
    ),
    Route(
        "GET",
        f"{_AT}/reports/{{number}}",
        show_report,
        answer=ReportView,
        roles=_OPERATOR,
        summary="One report",
    ),
    Route(
        "GET",
        f"{_AT}/reports/{{number}}/differences.csv",
        show_report_csv,
        answer=str,
        roles=_OPERATOR,
        summary="The differences of a report as a table",
        media="text/csv; charset=utf-8",
    ),
)

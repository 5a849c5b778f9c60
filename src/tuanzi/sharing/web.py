"""Shares over HTTP: members see their order's money, merchants their statements, operators everything (C2, J2)."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from msgspec import Meta, Struct

from tuanzi.base.money import Money
from tuanzi.base.problem import Forbidden, Unfitting, Unknown, Words
from tuanzi.base.time import SHANGHAI
from tuanzi.base.who import Role
from tuanzi.machinery.http.routes import Call, Committed, Reply, Route
from tuanzi.money import ReceiverKind
from tuanzi.sharing import queries
from tuanzi.sharing.model import (
    WHOLE,
    CarrierPaid,
    CaseKind,
    CaseStanding,
    CaseState,
    ChangeTerms,
    PayCarrier,
    Payee,
    RegisterPayee,
    SettleCase,
    Settlement,
    SharingTerms,
    TermsChanged,
)
from tuanzi.sharing.problems import (
    CannotSettle,
    CarrierNotOwed,
    CarrierPaidBefore,
    CaseSettled,
    StatementTooLong,
    TermsInvalid,
    TermsMoved,
)
from tuanzi.sharing.queries import (
    AccountPage,
    CarrierPaymentPage,
    CaseEvidence,
    CasePage,
    OrderMoney,
    PayeePage,
    Statement,
    TermsPage,
    UnpaidCarrierPage,
)

_CAMPUS = "/v1/campuses/{campus}"
_OPERATORS = frozenset({Role.OPERATOR})
# Our choice: outside of them is a slip of the pen, and the ends of the calendar have no day before or after.
_FIRST_ON, _LAST_ON = date(2000, 1, 1), date(2100, 12, 31)
Rate = Annotated[int, Meta(ge=0, le=WHOLE)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class PageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list; `after` is the `next` of the page before."""

    after: Annotated[str, Meta(max_length=120)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class CasesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which cases."""

    state: CaseState = CaseState.OPEN
    kind: CaseKind | None = None


class PaidQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list; `before` is the `next` of the page before."""

    before: Annotated[str, Meta(max_length=70)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class TermsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list; `before` is the `next` of the page before."""

    before: Annotated[int, Meta(ge=0, le=999_999_999)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class StatementQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_on": "from"}):
    """The days of the statement, in Asia/Shanghai, both included; today when none is named, one day when one is."""

    from_on: date | None = None
    until: date | None = None

    def __post_init__(self) -> None:
        if not all([_FIRST_ON <= on <= _LAST_ON for on in (self.from_on, self.until) if on is not None]):
            raise Unfitting(
                Words(
                    zh=f"对账单的日期须在 {_FIRST_ON} 至 {_LAST_ON} 之间",
                    en=f"a statement is of days from {_FIRST_ON} to {_LAST_ON}",
                )
            )


class TermsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New terms, and the version they follow; rates are of 10,000."""

    after_version: Annotated[int, Meta(ge=0, le=999_999_999)]
    platform_rate: Rate
    leader_rate: Rate
    ambassador_rate: Rate
    provider_rate: Rate
    rider_rate: Rate
    subsidy_rate: Rate = 0
    subsidy_budget_fen: Annotated[int, Meta(ge=0, le=10_000_000_000)] = 0
    outward_max: Rate = WHOLE
    persons_max: Rate = 3_000
    note: Annotated[str, Meta(max_length=500)] = ""


class PayeeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the payment company calls him; a merchant's full name is checked there."""

    account: Name
    full_name: Annotated[str, Meta(max_length=64)] = ""


class SettlementBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a case is settled, and why."""

    how: Settlement
    note: Annotated[str, Meta(min_length=1, max_length=500)]


class CarrierBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For which sub-order its carrier was paid outside, all that was owed, and to whom, how, by what evidence."""

    sub_order_id: Annotated[str, Meta(min_length=1, max_length=70)]
    amount_fen: Annotated[int, Meta(ge=1, le=100_000_000)]
    note: Annotated[str, Meta(min_length=3, max_length=500)]


async def show_order_ledger(call: Call[None, None]) -> OrderMoney:
    """GET /v1/campuses/{campus}/orders/{order_id}/ledger"""
    who = call.caller
    member_id = None if Role.OPERATOR in who.roles else who.person_id
    return await queries.order_money(call.desks.money, call.path["order_id"], member_id=member_id)


async def show_statement(call: Call[None, StatementQuery]) -> Statement:
    """GET /v1/campuses/{campus}/merchants/{merchant_id}/statement"""
    return await _statement(call)


async def download_statement(call: Call[None, StatementQuery]) -> Reply:
    """GET /v1/campuses/{campus}/merchants/{merchant_id}/statement.csv"""
    return Reply(body=queries.statement_csv(await _statement(call)))


async def list_accounts(call: Call[None, PageQuery]) -> AccountPage:
    """GET /v1/campuses/{campus}/ledger/accounts"""
    return await queries.account_page(call.desks.money, after=call.query.after, limit=call.query.limit)


async def list_terms(call: Call[None, TermsQuery]) -> TermsPage:
    """GET /v1/campuses/{campus}/sharing/terms"""
    return await queries.terms_page(call.desks.money, before=call.query.before, limit=call.query.limit)


async def change_terms(call: Call[TermsBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/sharing/terms"""
    body = call.body
    terms = SharingTerms(
        id="",
        version=0,
        platform_rate=body.platform_rate,
        leader_rate=body.leader_rate,
        ambassador_rate=body.ambassador_rate,
        provider_rate=body.provider_rate,
        rider_rate=body.rider_rate,
        subsidy_rate=body.subsidy_rate,
        subsidy_budget=Money(body.subsidy_budget_fen),
        outward_max=body.outward_max,
        persons_max=body.persons_max,
        note=body.note,
    )
    command = ChangeTerms(terms=terms, after_version=body.after_version, operator_id=call.caller.person_id)
    return await call.desks.money.submit(command, who=call.caller.person_id, key=call.key)


async def list_payees(call: Call[None, PageQuery]) -> PayeePage:
    """GET /v1/campuses/{campus}/sharing/payees"""
    return await queries.payee_page(call.desks.money, after=call.query.after, limit=call.query.limit)


async def register_payee(call: Call[PayeeBody, None]) -> Committed:
    """PUT /v1/campuses/{campus}/sharing/payees/{kind}/{owner_id}"""
    kind = call.path["kind"]
    if kind not in (ReceiverKind.MERCHANT, ReceiverKind.PERSON):
        raise Unknown(kind="payee", id=kind)
    command = RegisterPayee(
        kind=ReceiverKind(kind),
        owner_id=call.path["owner_id"],
        account=call.body.account,
        full_name=call.body.full_name,
        operator_id=call.caller.person_id,
    )
    return await call.desks.money.submit(command, who=call.caller.person_id, key=call.key)


async def list_cases(call: Call[None, CasesQuery]) -> CasePage:
    """GET /v1/campuses/{campus}/ledger/cases"""
    query = call.query
    return await queries.case_page(
        call.desks.money, state=query.state, kind=query.kind, after=query.after, limit=query.limit
    )


async def show_case(call: Call[None, None]) -> CaseEvidence:
    """GET /v1/campuses/{campus}/ledger/cases/{case_id}"""
    return await queries.case_evidence(call.desks.money, call.path["case_id"])


async def settle_case(call: Call[SettlementBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/ledger/cases/{case_id}/settlement"""
    command = SettleCase(
        case_id=call.path["case_id"], how=call.body.how, note=call.body.note, operator_id=call.caller.person_id
    )
    return await call.desks.money.submit(command, who=call.caller.person_id, key=call.key)


async def list_unpaid_carriers(call: Call[None, PageQuery]) -> UnpaidCarrierPage:
    """GET /v1/campuses/{campus}/ledger/unpaid-carriers"""
    return await queries.unpaid_carrier_page(call.desks.money, after=call.query.after, limit=call.query.limit)


async def list_carrier_payments(call: Call[None, PaidQuery]) -> CarrierPaymentPage:
    """GET /v1/campuses/{campus}/ledger/carrier-payments"""
    return await queries.carrier_payment_page(call.desks.money, before=call.query.before, limit=call.query.limit)


async def pay_carrier(call: Call[CarrierBody, None]) -> Committed:
    """POST /v1/campuses/{campus}/orders/{order_id}/carrier-payments"""
    command = PayCarrier(
        order_id=call.path["order_id"],
        sub_order_id=call.body.sub_order_id,
        amount_fen=call.body.amount_fen,
        note=call.body.note,
        operator_id=call.caller.person_id,
    )
    return await call.desks.money.submit(command, who=call.caller.person_id, key=call.key)


async def _statement(call: Call[None, StatementQuery]) -> Statement:
    """A merchant's statement, for himself or an operator. Raises Forbidden."""
    who, merchant_id = call.caller, call.path["merchant_id"]
    if Role.OPERATOR not in who.roles and who.merchant_id != merchant_id:
        raise Forbidden
    today = call.now.astimezone(SHANGHAI).date()
    from_on = call.query.from_on or call.query.until or today
    until_on = call.query.until or from_on
    return await queries.merchant_statement(call.desks.money, merchant_id, from_on=from_on, until_on=until_on)


ROUTES = (
    Route(
        "GET",
        f"{_CAMPUS}/orders/{{order_id}}/ledger",
        show_order_ledger,
        OrderMoney,
        "Who got what of an order's money",
    ),
    Route(
        "GET",
        f"{_CAMPUS}/merchants/{{merchant_id}}/statement",
        show_statement,
        Statement,
        "A merchant's statement",
        query=StatementQuery,
        roles=frozenset({Role.MERCHANT, Role.OPERATOR}),
        problems=(StatementTooLong,),
    ),
    Route(
        "GET",
        f"{_CAMPUS}/merchants/{{merchant_id}}/statement.csv",
        download_statement,
        str,
        "A merchant's statement as a file",
        query=StatementQuery,
        roles=frozenset({Role.MERCHANT, Role.OPERATOR}),
        problems=(StatementTooLong,),
        media="text/csv; charset=utf-8",
    ),
    Route(
        "GET",
        f"{_CAMPUS}/ledger/accounts",
        list_accounts,
        AccountPage,
        "The accounts of the campus and their balances",
        query=PageQuery,
        roles=_OPERATORS,
    ),
    Route(
        "GET",
        f"{_CAMPUS}/sharing/terms",
        list_terms,
        TermsPage,
        "The terms of sharing, those in force first",
        query=TermsQuery,
        roles=_OPERATORS,
    ),
    Route(
        "POST",
        f"{_CAMPUS}/sharing/terms",
        change_terms,
        TermsChanged,
        "Put new terms of sharing in force",
        body=TermsBody,
        status=201,
        roles=_OPERATORS,
        problems=(TermsInvalid, TermsMoved),
    ),
    Route(
        "GET",
        f"{_CAMPUS}/sharing/payees",
        list_payees,
        PayeePage,
        "Who is given shares",
        query=PageQuery,
        roles=_OPERATORS,
    ),
    Route(
        "PUT",
        f"{_CAMPUS}/sharing/payees/{{kind}}/{{owner_id}}",
        register_payee,
        Payee,
        "Say what the payment company calls somebody who is given shares",
        body=PayeeBody,
        roles=_OPERATORS,
    ),
    Route(
        "GET",
        f"{_CAMPUS}/ledger/cases",
        list_cases,
        CasePage,
        "What of money needs a person: refunds that are refused, shares and returns that did not arrive",
        query=CasesQuery,
        roles=_OPERATORS,
    ),
    Route(
        "GET",
        f"{_CAMPUS}/ledger/cases/{{case_id}}",
        show_case,
        CaseEvidence,
        "What needs a person, with its evidence",
        roles=_OPERATORS,
    ),
    Route(
        "POST",
        f"{_CAMPUS}/ledger/cases/{{case_id}}/settlement",
        settle_case,
        CaseStanding,
        "Settle what needed a person: try again, paid by hand, or given up",
        body=SettlementBody,
        roles=_OPERATORS,
        problems=(CannotSettle, CaseSettled),
    ),
    Route(
        "GET",
        f"{_CAMPUS}/ledger/unpaid-carriers",
        list_unpaid_carriers,
        UnpaidCarrierPage,
        "What is owed for bringing to whoever did, where no rider is known to have",
        query=PageQuery,
        roles=_OPERATORS,
    ),
    Route(
        "GET",
        f"{_CAMPUS}/ledger/carrier-payments",
        list_carrier_payments,
        CarrierPaymentPage,
        "What operators said was paid outside for bringing, and by what evidence",
        query=PaidQuery,
        roles=_OPERATORS,
    ),
    Route(
        "POST",
        f"{_CAMPUS}/orders/{{order_id}}/carrier-payments",
        pay_carrier,
        CarrierPaid,
        "Say that whoever brought a sub-order was paid for it outside",
        body=CarrierBody,
        status=201,
        roles=_OPERATORS,
        problems=(CarrierNotOwed, CarrierPaidBefore),
    ),
)

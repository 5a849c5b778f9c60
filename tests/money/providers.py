"""Every payment provider there is, on a bench: its calls go wrong as prescribed, its members pay on demand (C1)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta

import pytest

from tests.money.company import CompanyProcess
from tests.money.company import company as company_process
from tests.money.till import NOON
from tuanzi.money import PaymentEnded, WeChatPay
from tuanzi.money.vendors import (
    PaymentAsked,
    PaymentProvider,
    Receiver,
    ReceiverKind,
    RefundAsked,
    ReturnAsked,
    ShareAsked,
    ShareProgress,
    ShareReceiver,
    ShareSeen,
)
from tuanzi.money.vendors.sandbox import Fault, SandboxProvider

NUMBER = "p_0sy2mwk3e8aaaaaaaaaaaaaa"
LATE = timedelta(minutes=20)
COOK = Receiver(kind=ReceiverKind.MERCHANT, account="1900000109")
LEADER = Receiver(kind=ReceiverKind.PERSON, account="o_leader")


def asked(*, amount_fen: int = 1200, number: str = NUMBER) -> PaymentAsked:
    """A payment to be opened."""
    return PaymentAsked(out_trade_no=number, amount_fen=amount_fen, payer="m", about="团子", attach=f"{number} o m")


def share(
    *parts: tuple[Receiver, int], transaction_id: str, number: str = "s_1", unfreeze_rest: bool = False
) -> ShareAsked:
    """A share to be given."""
    return ShareAsked(
        out_order_no=number,
        out_trade_no=NUMBER,
        transaction_id=transaction_id,
        receivers=tuple(ShareReceiver(receiver=who, amount_fen=fen, about="分给你") for who, fen in parts),
        unfreeze_rest=unfreeze_rest,
    )


def taken(receiver: Receiver, fen: int, *, number: str = "t_1", of: str = "s_1") -> ReturnAsked:
    """A return to be made."""
    return ReturnAsked(out_return_no=number, out_order_no=of, receiver=receiver, amount_fen=fen, about="退回")


def back(*, number: str = "r_1", amount_fen: int = 1200, trade: str = NUMBER) -> RefundAsked:
    """A refund to be made."""
    return RefundAsked(
        out_refund_no=number, out_trade_no=trade, amount_fen=amount_fen, captured_fen=1200, reason="late"
    )


class Bench:
    """A provider whose calls go wrong in a prescribed way, whose members pay on demand, and whose time is moved."""

    provider: PaymentProvider
    now: datetime

    async def pay(self, number: str = NUMBER) -> None:
        """The member pays."""
        raise NotImplementedError

    async def breaks(self, operation: str, *faults: Fault) -> None:
        """What goes wrong with the next calls of this operation."""
        raise NotImplementedError

    async def wait(self, span: timedelta) -> None:
        """Let time pass."""
        raise NotImplementedError

    async def paid(self, number: str = NUMBER, *, amount_fen: int = 1200) -> str:
        """A payment that was paid; gives its transaction_id."""
        await self.provider.open(asked(number=number, amount_fen=amount_fen), now=self.now)
        await self.pay(number)
        return (await self.provider.query(number, now=self.now)).transaction_id

    async def befriend(self) -> None:
        """Let the cook and the leader be given shares."""
        await self.provider.add_receiver(COOK, "北京团子餐饮有限公司", now=self.now)
        await self.provider.add_receiver(LEADER, "", now=self.now)

    async def finished(self, seen: ShareSeen, transaction_id: str) -> ShareSeen:
        """What becomes of a share within an hour."""
        for _ in range(60):
            if seen.progress is not ShareProgress.PROCESSING:
                return seen
            await self.wait(timedelta(minutes=1))
            seen = await self.provider.query_share(seen.out_order_no, transaction_id, now=self.now)
        raise AssertionError(seen)


class SandboxBench(Bench):
    """The in-process sandbox."""

    def __init__(self) -> None:
        self.now = NOON
        self._broken: dict[str, list[Fault]] = {}
        self.sandbox = SandboxProvider(pays_at_once=False, faults=self._fault, late_by=LATE).at("beijing")
        self.provider = self.sandbox

    async def pay(self, number: str = NUMBER) -> None:
        """The member pays."""
        self.sandbox.pay(number, now=self.now)

    async def breaks(self, operation: str, *faults: Fault) -> None:
        """What goes wrong with the next calls of this operation."""
        self._broken.setdefault(operation, []).extend(faults)

    async def wait(self, span: timedelta) -> None:
        """Let time pass."""
        self.now += span

    def _fault(self, operation: str, number: str) -> Fault | None:
        left = self._broken.get(operation)
        return left.pop(0) if left else None


class CompanyBench(Bench):
    """The WeChat Pay adapter against the sandbox's process, whose clock the test moves."""

    def __init__(self, company: CompanyProcess) -> None:
        self.now = NOON
        self.company = company
        company.forget()
        company.set_clock(NOON)
        self.wechat = WeChatPay(company.merchant()).at("beijing")
        self.provider = self.wechat

    async def pay(self, number: str = NUMBER) -> None:
        """The member pays."""
        if self.company.pay(number).status_code != 200:
            raise PaymentEnded(out_trade_no=number)

    async def breaks(self, operation: str, *faults: Fault) -> None:
        """What goes wrong with the next calls of this operation."""
        at = _ENDPOINTS.get(operation, operation)
        for fault in faults:
            kind = _NO_BALANCE if (operation, fault) == ("return_share", Fault.REFUSE) else _KINDS[fault]
            self.company.breaks(at, kind, seconds=LATE.total_seconds())

    async def wait(self, span: timedelta) -> None:
        """Let time pass."""
        self.now += span
        self.company.forward(span)


_ENDPOINTS = {"open": "prepay", "return_share": "return", "bill": "tradebill"}
_KINDS = {
    Fault.REFUSE: "refuse",
    Fault.UNREACHABLE: "lost",
    Fault.ANSWER_LOST: "answer_lost",
    Fault.LATE: "slow",
    Fault.CLOSED: "closed",
}
_NO_BALANCE = "no_balance"
TERMS = {"refund_s": 0, "share_s": 1, "return_s": 0, "share_wait_s": 0, "share_max": 10_000}


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompanyProcess]:
    """The sandbox's process; a bench empties its books."""
    with company_process(tmp_path_factory.mktemp("wechatpay"), **TERMS) as process:
        yield process


@pytest.fixture(params=["sandbox", "wechat"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Every provider there is."""
    if request.param == "sandbox":
        yield SandboxBench()
        return
    made = CompanyBench(request.getfixturevalue("company"))
    yield made
    await made.wechat.close_connections()

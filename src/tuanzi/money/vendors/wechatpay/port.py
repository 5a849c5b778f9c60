"""The payment port over WeChat Pay v3: what is asked for, and what its answers mean for a payment."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, assert_never

from tuanzi.money.model import RefundProgress
from tuanzi.money.problems import (
    BillNotReady,
    NoticeRefused,
    PaymentDiffers,
    PaymentEnded,
    PaymentRefused,
    ReceiverRefused,
)
from tuanzi.money.vendors import (
    BillKind,
    BillLine,
    Notice,
    PaymentAsked,
    PaymentOpening,
    PaymentSeen,
    Receiver,
    ReceiverKind,
    RefundAsked,
    RefundSeen,
    ReturnAsked,
    ReturnSeen,
    ShareAsked,
    ShareProgress,
    ShareSeen,
    TradeState,
)
from tuanzi.money.vendors.bills import bill_lines, is_ready
from tuanzi.money.vendors.trade_numbers import numbers_of
from tuanzi.money.vendors.wechatpay.signed import Answer, Merchant, SignedLine, waited_for
from tuanzi.money.vendors.wechatpay.words import (
    RELATIONS,
    TYPES,
    as_asked,
    payment_seen,
    refund_seen,
    return_seen,
    share_seen,
    time_expire,
    unheard,
)

if TYPE_CHECKING:
    from wechatpayv3.async_ import AsyncWeChatPay

NOTIFY_PATH = "/v1/campuses/{campus}/payments/wechat/notify"
NOTICE_AGE_MAX = timedelta(seconds=300)  # WeChat Pay v3: a callback older than 5 minutes is not to be believed
PROBE = "WECHATPAY/SIGNTEST/"  # WeChat's probes whether signatures are checked; never right
ATTACH_BYTES_MAX = 128
# The number was opened before: what became of it decides, not the code, of which old and new papers have two each.
_OPENED_BEFORE = frozenset(
    {"ORDERPAID", "ORDER_PAID", "ORDER_CLOSED", "ORDERCLOSED", "OUT_TRADE_NO_USED", "INVALID_REQUEST"}
)


class WeChatPay:
    """The payment port over WeChat Pay v3; one for the process, `at` a campus for its callbacks.

    notices: how many callbacks came, by what became of them. Opens its connections with the first call;
    `close_connections` ends them.
    """

    name = "wechat"

    def __init__(self, merchant: Merchant, *, campus: str = "") -> None:
        self.merchant = merchant
        self.campus = campus
        self.notices: Counter[str] = Counter()
        self._line = SignedLine(merchant)

    @property
    def unknown(self) -> Counter[str]:
        """How many results were unknown, by why."""
        return self._line.unknown

    @property
    def payer_app(self) -> str:
        """The merchant's mini program; see the port."""
        return self.merchant.appid

    def at(self, campus: str) -> WeChatPay:
        """The same company over the same connections, reporting to this campus."""
        there = copy.copy(self)
        there.campus = campus
        return there

    async def open(self, asked: PaymentAsked, *, now: datetime) -> PaymentOpening:
        """Open an order whose money can be shared; what a client needs to pay it (paySign). See the port.

        Who pays from another account than before gets an order under the next number, and what pays it only when the
        orders before can no longer be paid; when one of them was paid meanwhile, that counts (decision 0027).
        """
        with waited_for():
            return await self._open(asked, now=now)

    async def _open(self, asked: PaymentAsked, *, now: datetime) -> PaymentOpening:
        payable: list[str] = []  # numbers with other terms that may still be paid
        for number in numbers_of(asked.out_trade_no):
            is_another = number != asked.out_trade_no
            if is_another and not payable and (await self._look(number)).state is TradeState.UNKNOWN:
                raise PaymentEnded(out_trade_no=asked.out_trade_no)  # closed, and not for another payer
            answer = await self._order(asked, number)
            if answer.is_good:
                return await self._hand_out(asked, answer.json["prepay_id"], instead_of=payable, now=now)
            seen = await self._look(number) if answer.code in _OPENED_BEFORE else unheard(number)
            match seen.state:
                case TradeState.UNKNOWN if is_another:
                    raise PaymentRefused(out_trade_no=asked.out_trade_no, reason=answer.code.lower())
                case TradeState.UNKNOWN:
                    return _opening(asked, TradeState.REFUSED, reason=answer.code.lower())
                case TradeState.CLOSED:
                    continue
                case TradeState.PAID:
                    return _paid(asked, seen)
                case TradeState.WAITING | TradeState.REFUSED:
                    if seen.amount_fen != asked.amount_fen:
                        raise PaymentDiffers(out_trade_no=asked.out_trade_no, amount_fen=asked.amount_fen)
                    payable.append(number)
                case _:
                    assert_never(seen.state)
        if not payable:
            raise PaymentEnded(out_trade_no=asked.out_trade_no)
        raise PaymentDiffers(out_trade_no=asked.out_trade_no, amount_fen=asked.amount_fen)

    async def query(self, out_trade_no: str, *, now: datetime) -> PaymentSeen:
        """What became of a payment; see the port."""
        return as_asked(await self._standing(out_trade_no, self._look))

    async def close(self, out_trade_no: str, *, now: datetime) -> PaymentSeen:
        """See that it can no longer be paid, under none of its numbers; see the port."""
        return as_asked(await self._standing(out_trade_no, self._close))

    async def refund(self, asked: RefundAsked, *, now: datetime) -> RefundSeen:
        """Give money back, of the one of the payment's numbers that was paid; see the port."""
        number = asked.out_refund_no
        answer = await self._send_back(asked, asked.out_trade_no)
        if not answer.is_good:
            self._line.raise_if_busy(answer, number)
            standing = await self._standing(asked.out_trade_no, self._look)
            if standing.out_trade_no != asked.out_trade_no:
                answer = await self._send_back(asked, standing.out_trade_no)
        if answer.is_good:
            return refund_seen(answer.json, status=answer.json["status"])
        self._line.raise_if_busy(answer, number)
        return RefundSeen(out_refund_no=number, progress=RefundProgress.REFUSED, reason=answer.code.lower())

    async def query_refund(self, out_refund_no: str, *, now: datetime) -> RefundSeen:
        """What became of a refund; see the port."""
        answer = await self._line.ask(lambda client: client.query_refund(out_refund_no), number=out_refund_no)
        if answer.is_good:
            return refund_seen(answer.json, status=answer.json["status"])
        if answer.status == 404:
            return RefundSeen(out_refund_no=out_refund_no, progress=RefundProgress.UNKNOWN)
        raise self._line.unreachable(out_refund_no, why=answer.code)

    async def share(self, asked: ShareAsked, *, now: datetime) -> ShareSeen:
        """Give frozen money to others; see the port."""
        number = asked.out_order_no
        receivers = [
            {
                "type": TYPES[part.receiver.kind],
                "account": part.receiver.account,
                "amount": part.amount_fen,
                "description": part.about[:80],
            }
            for part in asked.receivers
        ]
        answer = await self._line.ask(
            lambda client: client.profitsharing_order(
                asked.transaction_id, number, receivers, unfreeze_unsplit=asked.unfreeze_rest
            ),
            number=number,
        )
        return self._share_seen(answer, number)

    async def query_share(self, out_order_no: str, transaction_id: str, *, now: datetime) -> ShareSeen:
        """What became of a share; see the port."""
        answer = await self._line.ask(
            lambda client: client.profitsharing_order_query(transaction_id, out_order_no), number=out_order_no
        )
        if answer.is_good:
            return self._share_seen(answer, out_order_no)
        if answer.status == 404:
            return ShareSeen(out_order_no=out_order_no, progress=ShareProgress.UNKNOWN)
        raise self._line.unreachable(out_order_no, why=answer.code)

    async def unfreeze(self, out_order_no: str, transaction_id: str, about: str, *, now: datetime) -> ShareSeen:
        """Make what is frozen the merchant's own; see the port."""
        answer = await self._line.ask(
            lambda client: client.profitsharing_unfreeze(transaction_id, out_order_no, about[:80]),
            number=out_order_no,
        )
        return self._share_seen(answer, out_order_no)

    async def add_receiver(self, receiver: Receiver, name: str, *, now: datetime) -> None:
        """Let somebody be given shares; his name travels encrypted. See the port."""
        answer = await self._line.ask(
            lambda client: client.profitsharing_add_receiver(
                TYPES[receiver.kind], receiver.account, RELATIONS[receiver.kind], name=name or None
            ),
            number=receiver.account,
        )
        if not answer.is_good:
            self._line.raise_if_busy(answer, receiver.account)
            raise ReceiverRefused(reason=answer.code.lower())

    async def unsplit(self, transaction_id: str, *, now: datetime) -> int:
        """Fen still frozen; see the port."""
        answer = await self._line.ask(
            lambda client: client.profitsharing_amount_query(transaction_id), number=transaction_id
        )
        if answer.is_good:
            return int(answer.json["unsplit_amount"])
        if answer.status in (400, 404):
            return 0  # not paid, or not to be shared
        raise self._line.unreachable(transaction_id, why=answer.code)

    async def return_share(self, asked: ReturnAsked, *, now: datetime) -> ReturnSeen:
        """Take shared money back; WeChat lets merchants return, persons not. See the port."""
        number = asked.out_return_no
        if asked.receiver.kind is ReceiverKind.PERSON:
            return ReturnSeen(out_return_no=number, progress=RefundProgress.REFUSED, reason="receiver_is_person")
        answer = await self._line.ask(
            lambda client: client.profitsharing_return(
                number,
                asked.receiver.account,
                asked.amount_fen,
                asked.about[:80],
                out_order_no=asked.out_order_no,
            ),
            number=number,
        )
        if answer.is_good:
            return return_seen(answer.json)
        self._line.raise_if_busy(answer, number)
        return ReturnSeen(out_return_no=number, progress=RefundProgress.REFUSED, reason=answer.code.lower())

    async def query_return(self, out_return_no: str, out_order_no: str, *, now: datetime) -> ReturnSeen:
        """What became of a return; see the port."""
        answer = await self._line.ask(
            lambda client: client.profitsharing_return_query(out_order_no, out_return_no), number=out_return_no
        )
        if answer.is_good:
            return return_seen(answer.json)
        if answer.status == 404:
            return ReturnSeen(out_return_no=out_return_no, progress=RefundProgress.UNKNOWN)
        raise self._line.unreachable(out_return_no, why=answer.code)

    async def bill(self, kind: BillKind, on: date, *, now: datetime) -> tuple[BillLine, ...]:
        """All lines of a day, checked against the bill's own hash, count and totals; see the port."""
        day = on.isoformat()
        if not is_ready(on, now=now):
            raise BillNotReady(bill=kind.value, on=day)
        asks: dict[BillKind, Callable[[AsyncWeChatPay], Awaitable[Any]]] = {
            BillKind.TRADES: lambda client: client.trade_bill(day),
            BillKind.FUNDS: lambda client: client.fundflow_bill(day),
            BillKind.SHARES: lambda client: client.profitsharing_bill(day),
        }
        answer = await self._line.ask(asks[kind], number=day)
        if answer.code == "NO_STATEMENT_EXIST":
            return ()
        if answer.code == "STATEMENT_CREATING":
            raise BillNotReady(bill=kind.value, on=day)
        if not answer.is_good:
            raise self._line.unreachable(day, why=answer.code)
        file = await self._line.fetch(answer.json["download_url"], number=day)
        try:
            return bill_lines(kind, file, hash_value=answer.json["hash_value"], campus=self.campus)
        except ValueError as error:
            raise self._line.unreachable(day, why="bill_damaged") from error

    async def read_notice(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """What a callback says, once it is known to be WeChat's, fresh, and for this campus.

        headers: by lower-case names. Raises NoticeRefused with the reason: "stale", "probe", "signature", "content".
        """
        stamp = headers.get("wechatpay-timestamp", "")
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
            raise NoticeRefused(reason="stale")
        if abs(now.timestamp() - int(stamp)) >= NOTICE_AGE_MAX.total_seconds():
            raise NoticeRefused(reason="stale")
        if headers.get("wechatpay-signature", "").startswith(PROBE):
            raise NoticeRefused(reason="probe")
        told = await self._line.read(headers, body)
        try:
            if told["resource"]["mchid"] != self.merchant.mchid:
                raise NoticeRefused(reason="content")
            return Notice(id=str(told["id"]), event=str(told["event_type"]), seen=self._notice_seen(told))
        except NoticeRefused:
            raise
        except Exception as error:
            raise NoticeRefused(reason="content") from error

    async def close_connections(self) -> None:
        """Hang up; the next call opens anew."""
        await self._line.close()

    async def _order(self, asked: PaymentAsked, number: str) -> Answer:
        """Open an order under a number, or the same one again."""
        attach, notify_url = self._attach(asked.attach), self._notify_url()
        return await self._line.ask(
            lambda client: client.pay(
                description=asked.about,
                out_trade_no=number,
                amount={"total": asked.amount_fen, "currency": "CNY"},
                payer={"openid": asked.payer},
                attach=attach,
                settle_info={"profit_sharing": True},
                notify_url=notify_url,
                time_expire=time_expire(asked.pay_before),
            ),
            number=number,
        )

    async def _hand_out(
        self, asked: PaymentAsked, prepay_id: str, *, instead_of: list[str], now: datetime
    ) -> PaymentOpening:
        """What pays an order, once none of these others can be paid; nobody has it before, so one at most is paid."""
        for number in instead_of:
            seen = await self._close(number)
            if seen.state is TradeState.PAID:
                return _paid(asked, seen)
            if seen.state is not TradeState.CLOSED:
                raise self._line.unreachable(number, why="not_closed")
        return _opening(asked, TradeState.WAITING, prepay=self._prepay(prepay_id, now=now))

    async def _standing(self, out_trade_no: str, find: Callable[[str], Awaitable[PaymentSeen]]) -> PaymentSeen:
        """What became of a payment, under the number that counts: the first that is not closed, else the last.

        find: what became of the order under one number, `_look` or `_close`.
        """
        first, *others = numbers_of(out_trade_no)
        seen = await find(first)
        for number in others:
            if seen.state is not TradeState.CLOSED:
                break
            following = await find(number)
            if following.state is TradeState.UNKNOWN:
                break
            seen = following
        return seen

    async def _look(self, number: str) -> PaymentSeen:
        """What became of the order under this very number."""
        answer = await self._line.ask(lambda client: client.query(out_trade_no=number), number=number)
        if answer.is_good:
            return payment_seen(answer.json, campus=self.campus)
        if answer.status == 404:
            return unheard(number)
        raise self._line.unreachable(number, why=answer.code)

    async def _close(self, number: str) -> PaymentSeen:
        """See that the order under this very number can no longer be paid."""
        answer = await self._line.ask(lambda client: client.close(number), number=number)
        if answer.is_good:
            return PaymentSeen(out_trade_no=number, state=TradeState.CLOSED)
        if answer.status == 404:
            return unheard(number)
        seen = await self._look(number)
        if seen.state is TradeState.WAITING:
            raise self._line.unreachable(number, why=answer.code)  # it may still be paid
        return seen

    async def _send_back(self, asked: RefundAsked, number: str) -> Answer:
        return await self._line.ask(
            lambda client: client.refund(
                out_refund_no=asked.out_refund_no,
                out_trade_no=number,
                amount={"refund": asked.amount_fen, "total": asked.captured_fen, "currency": "CNY"},
                reason=asked.reason[:80],
                notify_url=self._notify_url(),
            ),
            number=asked.out_refund_no,
        )

    def _notice_seen(self, told: dict[str, Any]) -> PaymentSeen | RefundSeen | None:
        resource = told["resource"]
        if told["event_type"].startswith("REFUND."):
            return refund_seen(resource, status=resource["refund_status"])
        # A notice of a share carries the event of a payment; shares are asked about.
        if told["event_type"] == "TRANSACTION.SUCCESS" and "trade_state" in resource:
            if resource["attach"].rpartition(" ")[2] != self.campus:
                raise NoticeRefused(reason="content")
            return as_asked(payment_seen(resource, campus=self.campus))
        return None

    def _share_seen(self, answer: Answer, number: str) -> ShareSeen:
        if not answer.is_good:
            self._line.raise_if_busy(answer, number)
        return share_seen(answer, number, mchid=self.merchant.mchid)

    def _attach(self, attach: str) -> str:
        """With the campus behind it, so that a callback at another campus's address is known to be wrong there."""
        full = f"{attach} {self.campus}" if self.campus else attach
        if len(full.encode()) > ATTACH_BYTES_MAX:
            raise ValueError(f"attach is longer than {ATTACH_BYTES_MAX} bytes: {attach}")
        return full

    def _notify_url(self) -> str:
        return self.merchant.notify_url.replace("{campus}", self.campus)

    def _prepay(self, prepay_id: str, *, now: datetime) -> dict[str, str]:
        """What wx.requestPayment wants; the nonce is a part of the id, which nobody guesses."""
        package = f"prepay_id={prepay_id}"
        said = [self.merchant.appid, str(int(now.timestamp())), prepay_id[-32:], package]
        prepay = {
            "appId": said[0],
            "timeStamp": said[1],
            "nonceStr": said[2],
            "package": package,
            "signType": "RSA",
            "paySign": self._line.sign(said),
        }
        return prepay | ({"pay_page": f"{self.merchant.pay_page}/{prepay_id}"} if self.merchant.pay_page else {})


def _opening(
    asked: PaymentAsked, state: TradeState, *, prepay: Mapping[str, str] | None = None, reason: str = ""
) -> PaymentOpening:
    seen = PaymentSeen(
        out_trade_no=asked.out_trade_no, state=state, amount_fen=asked.amount_fen, attach=asked.attach, reason=reason
    )
    return PaymentOpening(seen=seen, prepay=prepay or {})


def _paid(asked: PaymentAsked, seen: PaymentSeen) -> PaymentOpening:
    if seen.amount_fen != asked.amount_fen:
        raise PaymentDiffers(out_trade_no=asked.out_trade_no, amount_fen=asked.amount_fen)
    return PaymentOpening(seen=as_asked(seen), prepay={})

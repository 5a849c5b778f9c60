"""Stands between the writer and the payment company: pays, asks, closes and refunds outside of every batch (C1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from tuanzi.machinery.http.routes import Committed, Desk
from tuanzi.money.model import (
    AskPayment,
    AskRefund,
    ClosePayment,
    KeepAsking,
    OpenPayment,
    RecordCapture,
    RecordRefund,
    RecordRefusal,
    RefundProgress,
    ResendRefund,
    SendRefund,
    out_trade_no_of,
    payment_of,
    refund_named,
)
from tuanzi.money.problems import PaymentEnded, PaymentRefused, ProviderUnreachable
from tuanzi.money.vendors import (
    Notice,
    PaymentAsked,
    PaymentProvider,
    PaymentSeen,
    RefundAsked,
    RefundSeen,
    TradeState,
)

ABOUT = "团子拼团订单"


class Awaiting(Struct, frozen=True, kw_only=True, gc=False):
    """The member still has to pay, with `prepay` in his hands: what the provider's client library wants."""

    payment_id: str
    order_id: str
    amount_fen: int
    provider: str
    prepay: Mapping[str, str]


class Cashier:
    """Pays and refunds through one provider; keeps nothing itself."""

    def __init__(self, provider: PaymentProvider) -> None:
        self.provider = provider

    def at(self, campus: str) -> Cashier:
        """The same cashier, whose provider reports to this campus."""
        return Cashier(self.provider.at(campus))

    async def pay(
        self,
        desk: Desk,
        *,
        order_id: str,
        member_id: str,
        amount_fen: int,
        now: datetime,
        payer: str = "",
        pay_before: datetime | None = None,
    ) -> Committed | Awaiting:
        """Have the order's first payment paid: what was committed when the money is there, else what the member needs.

        desk: of the money database. amount_fen: positive. payer: the member's openid, for a provider with `payer_app`.
        pay_before: as in `PaymentAsked`.
        A repeat is the same payment, from another account too: it is asked about, not paid twice, and its Committed has
        no event; so it needs no key.
        Raises PaymentRefused, PaymentEnded, PaymentDiffers, ProviderUnreachable (pay again: the number is the same).
        """
        assert payer or not self.provider.payer_app, "this provider knows nobody by his id here"
        payment_id = payment_of(order_id)
        asked = payment_asked(
            payment_id,
            order_id=order_id,
            member_id=member_id,
            amount_fen=amount_fen,
            payer=payer,
            pay_before=pay_before,
        )
        name = self.provider.name
        opened = OpenPayment(
            payment_id=payment_id, order_id=order_id, member_id=member_id, amount_fen=amount_fen, provider=name
        )
        try:
            opening = await self.provider.open(asked, now=now)
        except ProviderUnreachable:
            # He may have been charged: it is asked about until that is known, however busy the campus is.
            await desk.submit(opened, who=member_id, is_accepted=True)
            raise
        match opening.seen.state:
            case TradeState.PAID:
                captured = self.capture_of(opening.seen)
                return await desk.submit(captured, who=member_id, is_accepted=True, heard_by="core")
            case TradeState.WAITING:
                await desk.submit(opened, who=member_id)
                return Awaiting(
                    payment_id=payment_id,
                    order_id=order_id,
                    amount_fen=amount_fen,
                    provider=name,
                    prepay=opening.prepay,
                )
            case TradeState.REFUSED:
                refused = RecordRefusal(
                    payment_id=payment_id, order_id=order_id, member_id=member_id, amount_fen=amount_fen, provider=name
                )
                await desk.submit(refused, who=member_id)
                raise PaymentRefused(payment_id=payment_id, reason=opening.seen.reason)
            case TradeState.CLOSED | TradeState.UNKNOWN:
                raise PaymentEnded(payment_id=payment_id)
            case _:
                assert_never(opening.seen.state)

    def capture_of(self, seen: PaymentSeen) -> RecordCapture:
        """The command that records a paid payment, from the provider's own words; also for callbacks, once verified.

        Raises ValueError when what was attached is not this room's.
        """
        payment_id, order_id, member_id = seen.attach.split(" ")
        if out_trade_no_of(payment_id) != seen.out_trade_no:
            raise ValueError(f"payment {seen.out_trade_no} carries what belongs to another")
        return RecordCapture(
            payment_id=payment_id,
            order_id=order_id,
            member_id=member_id,
            amount_fen=seen.amount_fen,
            transaction_id=seen.transaction_id,
            provider=self.provider.name,
        )

    def command_of(self, notice: Notice) -> RecordCapture | RecordRefund | None:
        """What a verified callback has recorded; None when there is nothing to record.

        Raises ValueError when it is about something that is not this room's.
        """
        match notice.seen:
            case PaymentSeen(state=TradeState.PAID):
                return self.capture_of(notice.seen)
            case RefundSeen():
                refund_id = refund_named(notice.seen.out_refund_no)
                if refund_id is None:
                    return None  # it is asked about all the same
                return RecordRefund(
                    refund_id=refund_id,
                    progress=notice.seen.progress,
                    amount_fen=notice.seen.amount_fen,
                    reason=notice.seen.reason,
                    about_no=notice.seen.out_refund_no,
                )
            case _:
                return None

    async def ask_payment(self, errand: AskPayment, *, now: datetime) -> RecordCapture | ClosePayment | KeepAsking:
        """What became of a payment whose callback did not come; closes it when its time is over."""
        is_over = now >= errand.give_up_at
        look = self.provider.close if is_over else self.provider.query
        seen = await look(errand.out_trade_no, now=now)
        match seen.state:
            case TradeState.PAID:
                return self.capture_of(seen)
            case TradeState.CLOSED:
                return ClosePayment(payment_id=errand.payment_id)
            case TradeState.WAITING | TradeState.REFUSED | TradeState.UNKNOWN:
                return (ClosePayment if is_over else KeepAsking)(payment_id=errand.payment_id)
            case _:
                assert_never(seen.state)

    async def send_refund(self, errand: SendRefund, *, now: datetime) -> RecordRefund:
        """Have money given back; a repeat is the same refund, by its number."""
        asked = RefundAsked(
            out_refund_no=errand.out_refund_no,
            out_trade_no=errand.out_trade_no,
            amount_fen=errand.amount_fen,
            captured_fen=errand.captured_fen,
            reason=errand.reason,
        )
        return _recorded(errand, await self.provider.refund(asked, now=now))

    async def resend_refund(self, errand: ResendRefund, *, now: datetime) -> RecordRefund:
        """Have money given back that was refused: asked about first, for another number may only follow a refusal."""
        seen = await self.provider.query_refund(errand.sent.out_refund_no, now=now)
        if seen.progress is RefundProgress.UNKNOWN:
            return await self.send_refund(errand.sent, now=now)
        if seen.progress is not RefundProgress.REFUSED:
            return _recorded(errand.sent, seen)
        again = replace(errand.sent, out_refund_no=errand.next_no)
        return replace(await self.send_refund(again, now=now), out_refund_no=errand.next_no)

    async def ask_refund(self, errand: AskRefund, *, now: datetime) -> RecordRefund:
        """What became of a refund; one the provider never heard of is sent again under its number."""
        seen = await self.provider.query_refund(errand.sent.out_refund_no, now=now)
        if seen.progress is RefundProgress.UNKNOWN:
            return await self.send_refund(errand.sent, now=now)
        return _recorded(errand.sent, seen)


def payment_asked(
    payment_id: str,
    *,
    order_id: str,
    member_id: str,
    amount_fen: int,
    payer: str = "",
    pay_before: datetime | None = None,
) -> PaymentAsked:
    """What the provider is asked to open; its `attach` lets a callback be recorded even when nothing is known here.

    payer: "" where the provider knows members by their ids here.
    """
    return PaymentAsked(
        out_trade_no=out_trade_no_of(payment_id),
        amount_fen=amount_fen,
        payer=payer or member_id,
        about=ABOUT,
        attach=f"{payment_id} {order_id} {member_id}",
        pay_before=pay_before,
    )


def _recorded(errand: SendRefund, seen: RefundSeen) -> RecordRefund:
    return RecordRefund(
        refund_id=errand.refund_id, progress=seen.progress, amount_fen=seen.amount_fen, reason=seen.reason
    )

"""Stands between sharing's writer and the payment company: adds receivers, shares, unfreezes, takes back (C1)."""

from __future__ import annotations

from datetime import datetime

from tuanzi.money import (
    PaymentProvider,
    Receiver,
    ReceiverRefused,
    RefundProgress,
    ReturnAsked,
    ReturnSeen,
    ShareAsked,
    ShareProgress,
    ShareReceiver,
    ShareSeen,
)
from tuanzi.sharing.model import (
    AddReceivers,
    AskReturn,
    AskShare,
    AskUnfreeze,
    RecordReceivers,
    RecordReturn,
    RecordShare,
    RecordUnfreeze,
    SeenPart,
    SendReturn,
    SendShare,
    SendUnfreeze,
)

ABOUT_SHARE = "团子订单分账"
ABOUT_RETURN = "团子订单退款回退"
ABOUT_UNFREEZE = "团子订单分账完结"


class Payer:
    """Pays out through one provider; keeps nothing itself, and every errand is harmless twice."""

    def __init__(self, provider: PaymentProvider) -> None:
        self._provider = provider

    async def add_receivers(self, errand: AddReceivers, *, now: datetime) -> RecordReceivers:
        """Let the provider know who will be given shares; who it does not want is told apart."""
        added = []
        refused = []
        for one in errand.receivers:
            try:
                await self._provider.add_receiver(Receiver(kind=one.kind, account=one.account), one.full_name, now=now)
            except ReceiverRefused as refusal:
                refused.append((one.payee_id, str(refusal.facts.get("reason", "refused"))[:80]))
            else:
                added.append(one)
        return RecordReceivers(order_id=errand.order_id, added=tuple(added), refused=tuple(refused))

    async def send_share(self, errand: SendShare, *, now: datetime) -> RecordShare:
        """Have shares given; a repeat is the same share, by its number."""
        asked = ShareAsked(
            out_order_no=errand.out_order_no,
            out_trade_no=errand.out_trade_no,
            transaction_id=errand.transaction_id,
            receivers=tuple(
                ShareReceiver(
                    receiver=Receiver(kind=part.kind, account=part.account),
                    amount_fen=part.amount_fen,
                    about=ABOUT_SHARE,
                )
                for part in errand.receivers
            ),
            unfreeze_rest=False,
        )
        return await self._recorded(errand, await self._provider.share(asked, now=now), now=now)

    async def ask_share(self, errand: AskShare, *, now: datetime) -> RecordShare:
        """What became of a share; one the provider never heard of is sent again under its number."""
        sent = errand.sent
        seen = await self._provider.query_share(sent.out_order_no, sent.transaction_id, now=now)
        if seen.progress is ShareProgress.UNKNOWN:
            return await self.send_share(sent, now=now)
        return await self._recorded(sent, seen, now=now)

    async def _recorded(self, errand: SendShare, seen: ShareSeen, *, now: datetime) -> RecordShare:
        frozen_fen = 0
        if seen.progress is ShareProgress.REFUSED:
            frozen_fen = await self._provider.unsplit(errand.transaction_id, now=now)
        return RecordShare(
            share_id=errand.share_id,
            progress=seen.progress,
            receivers=tuple(
                SeenPart(account=part.account, amount_fen=part.amount_fen, result=part.result, reason=part.reason[:80])
                for part in seen.receivers
            ),
            reason=seen.reason[:80],
            frozen_fen=frozen_fen,
        )

    async def send_unfreeze(self, errand: SendUnfreeze, *, now: datetime) -> RecordUnfreeze:
        """Make the rest the platform's own; a refusal is fine when nothing is frozen any more."""
        seen = await self._provider.unfreeze(errand.out_order_no, errand.transaction_id, ABOUT_UNFREEZE, now=now)
        frozen_fen = 0
        if seen.progress is ShareProgress.REFUSED:
            frozen_fen = await self._provider.unsplit(errand.transaction_id, now=now)
        return RecordUnfreeze(order_id=errand.order_id, progress=seen.progress, frozen_fen=frozen_fen)

    async def ask_unfreeze(self, errand: AskUnfreeze, *, now: datetime) -> RecordUnfreeze:
        """What became of an unfreezing; one the provider never heard of is sent again under its number."""
        sent = errand.sent
        seen = await self._provider.query_share(sent.out_order_no, sent.transaction_id, now=now)
        if seen.progress in (ShareProgress.UNKNOWN, ShareProgress.REFUSED):
            return await self.send_unfreeze(sent, now=now)
        return RecordUnfreeze(order_id=sent.order_id, progress=seen.progress)

    async def send_return(self, errand: SendReturn, *, now: datetime) -> RecordReturn:
        """Take shared money back; a repeat is the same return, by its number."""
        asked = ReturnAsked(
            out_return_no=errand.out_return_no,
            out_order_no=errand.out_order_no,
            receiver=Receiver(kind=errand.kind, account=errand.account),
            amount_fen=errand.amount_fen,
            about=ABOUT_RETURN,
        )
        return _returned(errand, await self._provider.return_share(asked, now=now))

    async def ask_return(self, errand: AskReturn, *, now: datetime) -> RecordReturn:
        """What became of a return; one the provider never heard of is sent again under its number."""
        sent = errand.sent
        seen = await self._provider.query_return(sent.out_return_no, sent.out_order_no, now=now)
        if seen.progress is RefundProgress.UNKNOWN:
            return await self.send_return(sent, now=now)
        return _returned(sent, seen)


def _returned(errand: SendReturn, seen: ReturnSeen) -> RecordReturn:
    return RecordReturn(
        return_id=errand.return_id,
        out_return_no=errand.out_return_no,
        progress=seen.progress,
        amount_fen=seen.amount_fen,
        reason=seen.reason[:80],
    )

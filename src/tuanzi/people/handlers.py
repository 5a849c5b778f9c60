"""What people does outside of the database: it sends codes. It hears no events."""

from __future__ import annotations

from datetime import datetime

from tuanzi.people.model import Keys, RecordCodeSent, SendCode
from tuanzi.people.vendors import CodeSender


async def send_code(errand: SendCode, *, now: datetime, keys: Keys, sender: CodeSender) -> RecordCodeSent:
    """Send the code of a challenge; nothing is sent once it has expired. A repeat sends the same code again."""
    is_sent = now < errand.expires_at
    if is_sent:
        code = keys.code_of(errand.challenge_id, phone_hash=errand.phone_hash)
        await sender.send(phone=keys.unseal(errand.phone_sealed), code=code, challenge_id=errand.challenge_id)
    return RecordCodeSent(challenge_id=errand.challenge_id, phone_hash=errand.phone_hash, is_sent=is_sent)

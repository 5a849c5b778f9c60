"""What people does outside of the database: it sends codes, and tells campuses who was erased. It hears nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tuanzi.machinery.post import Letter, Post
from tuanzi.machinery.problems import Unavailable
from tuanzi.people.model import (
    ForgetPerson,
    Forgotten,
    Keys,
    RecordCodeSent,
    RecordForgotten,
    SendCode,
    TellErased,
)
from tuanzi.people.vendors import CodeSender


async def send_code(errand: SendCode, *, now: datetime, keys: Keys, sender: CodeSender) -> RecordCodeSent:
    """Send the code of a challenge; nothing is sent once it has expired. A repeat sends the same code again."""
    is_sent = now < errand.expires_at
    if is_sent:
        code = keys.code_of(errand.challenge_id, phone_hash=errand.phone_hash)
        await sender.send(phone=keys.unseal(errand.phone_sealed), code=code, challenge_id=errand.challenge_id)
    return RecordCodeSent(challenge_id=errand.challenge_id, phone_hash=errand.phone_hash, is_sent=is_sent)


async def tell_erased(errand: TellErased, *, now: datetime, post: Post, where: Sequence[str]) -> RecordForgotten:
    """Have all databases in `where` forget a person. Raises what came instead of an answer; then all are told again."""
    letters = [Letter(address=address, command=ForgetPerson(person_id=errand.person_id)) for address in where]
    has_ordered = False
    for answer in await post.send(letters):
        if not isinstance(answer, Forgotten):
            raise answer if isinstance(answer, Exception) else Unavailable()
        has_ordered |= answer.has_ordered
    return RecordForgotten(
        person_id=errand.person_id,
        audit_id=errand.audit_id,
        where=tuple(where),
        mark=errand.mark,
        has_ordered=has_ordered,
    )

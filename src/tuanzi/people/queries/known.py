"""By what people are known elsewhere: by WeChat, on a campus, under a secret (J3, C1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tuanzi.base.ids import CampusId, PersonId
from tuanzi.machinery.http.routes import Desk
from tuanzi.machinery.several import several
from tuanzi.people import store
from tuanzi.people.model import Keys
from tuanzi.people.problems import WechatAbsent, WechatNeeded
from tuanzi.people.vendors import PlayedPhones, WechatLogin

# Our choice: more than pay in a demo within some minutes.
PLAYED_MAX = 20_000


async def is_bound_with(desk: Desk, *, person_id: PersonId, code_hash: str) -> bool:
    """Whether somebody's WeChat account was bound with this very code: then he asks again, and WeChat would refuse."""
    rows = await desk.rows(store.WECHAT_OF_PERSON, {"person_id": person_id})
    return any(bound_with == code_hash for _, _, bound_with, _ in rows)


def are_sealed_otherwise(ask: Callable[[str], list[Any]], *, keys: Keys) -> bool:
    """Whether people are kept here, and none of the first hundred and the newest hundred is known by these keys: they
    were sealed under another secret. One who is known is enough, for a house may have lived under two."""
    sealed = [phone for sql in (store.FIRST_SEALED_PHONES, store.NEWEST_SEALED_PHONES) for (phone,) in ask(sql)]
    return bool(sealed) and not keys.opens_any(sealed)


class Payers:
    """By which openid WeChat takes somebody's payment: the one he signs in with."""

    def __init__(self, *, keys: Keys, login: WechatLogin, phones: PlayedPhones | None = None) -> None:
        """phones: in a demo, whoever never signed in with WeChat pays by the account of the phone that is played."""
        self._keys = keys
        self._login = login
        self._phones = phones
        self._played: dict[PersonId, str] = {}

    async def openid_of(self, desk: Desk, *, person_id: PersonId, appid: str) -> str:
        """Somebody's openid for an app. desk: of the platform.

        Raises WechatNeeded when he has none, WechatAbsent when he could have none here, and in a demo what the sandbox
        refuses.
        """
        for bound_to, sealed, _, _ in await desk.rows(store.WECHAT_OF_PERSON, {"person_id": person_id}):
            if bound_to == appid:
                return self._keys.unseal_openid(sealed, appid=appid)
        if self._login.appid != appid:
            raise WechatAbsent()
        if self._phones is None:
            raise WechatNeeded()
        if person_id not in self._played:
            if len(self._played) >= PLAYED_MAX:
                self._played.clear()
            self._played[person_id] = await self._login.openid_of(await self._phones.code_of(person_id))
        return self._played[person_id]


async def find_strangers(desk: Desk, person_ids: Sequence[PersonId], *, campus_id: CampusId) -> list[PersonId]:
    """Those of these who are nobody of this campus, or erased; in the same order."""
    known = {
        id
        for slots in several(person_ids)
        for (id,) in await desk.rows(store.LIVING_OF_CAMPUS, {**slots, "campus_id": campus_id})
    }
    return [id for id in person_ids if id not in known]

"""J3: signing in with WeChat; one account is one person's, he may change it, and nothing is kept in plain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.people.people_bench import OTHER_PHONE, PHONE, Platform, who_of
from tuanzi import people
from tuanzi.base.ids import PersonId
from tuanzi.base.problem import Unknown
from tuanzi.people import WechatAbsent, WechatNeeded, WechatTooOften, model
from tuanzi.people.problems import WechatCodeRefused, WechatTaken, WechatUnknown


def person_of(platform: Platform, phone: str = PHONE) -> model.Person:
    """Somebody who signed in by phone."""
    return platform.person(platform.sign_in(phone).person_id)


async def bind(platform: Platform, person: model.Person, user: str = "ming") -> str:
    """Bind a user's WeChat account to a person; the code that it took."""
    code = platform.wechat.login(user)
    await platform.request("PUT /v1/me/wechat", body={"code": code}, who=who_of(person))
    return code


async def sign_in(platform: Platform, user: str = "ming") -> Any:
    """Sign in with a user's WeChat."""
    answer = await platform.request("POST /v1/wechat/sessions", body={"code": platform.wechat.login(user)})
    return answer.body


async def test_who_is_not_known_yet_signs_in_by_phone_binds_and_then_signs_in_with_wechat_alone() -> None:
    platform = Platform()

    with pytest.raises(WechatUnknown):
        await sign_in(platform)
    person = person_of(platform)
    await bind(platform, person)
    opened = await sign_in(platform)

    assert opened.person_id == person.id
    assert platform.all_of(model.Session)[-1].token_hash == model.hash_token(opened.token)
    assert platform.person(person.id).session_ids == (*person.session_ids, opened.session_id)
    assert (await platform.request("GET /v1/me", who=who_of(person))).has_wechat


async def test_a_code_is_good_once_and_a_sign_in_that_is_refused_changes_nothing() -> None:
    platform = Platform()
    person = person_of(platform)
    used = await bind(platform, person)
    await platform.request("POST /v1/wechat/sessions", body={"code": platform.wechat.login("ming")})
    sessions = platform.all_of(model.Session)

    for code in (used, "never-given"):
        with pytest.raises(WechatCodeRefused):
            await platform.request("POST /v1/wechat/sessions", body={"code": code})

    assert platform.all_of(model.Session) == sessions


async def test_binding_again_with_the_same_code_is_answered_alike_without_asking_wechat() -> None:
    platform = Platform()
    person = person_of(platform)
    code = await bind(platform, person)
    asked, before = platform.wechat.asked, platform.snapshot()

    again = await platform.request("PUT /v1/me/wechat", body={"code": code}, who=who_of(person))

    assert again.body == model.WechatBound(person_id=person.id)
    assert (platform.wechat.asked, platform.snapshot()) == (asked, before)


async def test_binding_what_he_has_is_no_change_and_is_written_down_once() -> None:
    platform = Platform()
    person = person_of(platform)

    await bind(platform, person)
    await bind(platform, person)

    assert [entry.action for entry in platform.all_of(model.AuditEntry)] == ["bind_wechat"]
    assert len(platform.all_of(model.WechatUser)) == 1


async def test_an_account_of_somebody_else_is_refused_and_stays_his() -> None:
    platform = Platform()
    ming, hua = person_of(platform), person_of(platform, OTHER_PHONE)
    await bind(platform, ming)
    kept = platform.all_of(model.WechatUser)

    with pytest.raises(WechatTaken) as refused:
        await bind(platform, hua)

    assert refused.value.facts == {}
    assert platform.all_of(model.WechatUser) == kept
    assert platform.person(hua.id).openid_hash is None
    assert (await sign_in(platform)).person_id == ming.id


async def test_another_account_takes_the_place_of_the_one_he_had_which_is_free_then() -> None:
    platform = Platform()
    ming, hua = person_of(platform), person_of(platform, OTHER_PHONE)
    await bind(platform, ming, "old")

    await bind(platform, ming, "new")
    with pytest.raises(WechatUnknown):
        await sign_in(platform, "old")
    await bind(platform, hua, "old")

    assert (await sign_in(platform, "new")).person_id == ming.id
    assert (await sign_in(platform, "old")).person_id == hua.id
    facts = [entry.facts for entry in platform.all_of(model.AuditEntry)]
    assert facts == [{"in_place_of_another": "no"}, {"in_place_of_another": "yes"}, {"in_place_of_another": "no"}]


async def test_who_lets_go_of_his_account_is_known_by_phone_alone_and_a_repeat_changes_nothing() -> None:
    platform = Platform()
    person = person_of(platform)
    await bind(platform, person)

    for _ in range(2):
        answer = await platform.request("DELETE /v1/me/wechat", who=who_of(person))
        assert answer.answer == model.WechatUnbound(person_id=person.id)

    assert platform.all_of(model.WechatUser) == []
    assert [entry.action for entry in platform.all_of(model.AuditEntry)] == ["bind_wechat", "unbind_wechat"]
    with pytest.raises(WechatUnknown):
        await sign_in(platform)
    assert not (await platform.request("GET /v1/me", who=who_of(person))).has_wechat


async def test_nothing_that_is_stored_holds_an_openid_or_a_code_in_plain() -> None:
    platform = Platform()
    person = person_of(platform)

    code = await bind(platform, person)

    stored = platform.everything()
    assert "openid-of-ming" not in stored
    assert f"'{code}'" not in stored
    (user,) = platform.all_of(model.WechatUser)
    assert platform.keys.unseal_openid(user.openid_sealed, appid="wx_tuanzi") == "openid-of-ming"


async def test_the_export_shows_the_account_and_erasing_leaves_nothing_of_it() -> None:
    platform = Platform()
    person = person_of(platform)
    await bind(platform, person)
    exported = msgspec.to_builtins(await platform.request("GET /v1/me/export", who=who_of(person)))
    (user,) = platform.all_of(model.WechatUser)

    platform.erase(person.id)

    assert exported["wechat"] == {"appid": "wx_tuanzi", "openid": "openid-of-ming", "bound_at": "2026-09-01T04:02:00Z"}
    assert platform.all_of(model.WechatUser) == []
    assert user.openid_hash not in platform.everything()
    with pytest.raises(WechatUnknown):
        await sign_in(platform)
    with pytest.raises(Unknown):
        await bind(platform, person)


async def test_a_row_that_the_release_before_left_of_somebody_erased_opens_nothing_and_can_be_bound_again() -> None:
    platform = Platform()
    gone, hua = person_of(platform), person_of(platform, OTHER_PHONE)
    await bind(platform, gone)
    (left,) = platform.all_of(model.WechatUser)
    platform.erase(gone.id)
    platform.unit.add(left)

    with pytest.raises(WechatUnknown):
        await sign_in(platform)
    await bind(platform, hua)

    assert (await sign_in(platform)).person_id == hua.id


async def test_wechat_is_asked_so_often_for_an_address_and_for_a_person_and_no_more() -> None:
    few = (people.Quota(times=2, within=timedelta(minutes=10)),)
    platform = Platform(quotas=people.Quotas(wechat_per_address=few, wechat_per_person=few))
    person = person_of(platform)
    await bind(platform, person)
    await bind(platform, person)
    for _ in range(2):
        await sign_in(platform)
    asked = platform.wechat.asked

    with pytest.raises(WechatTooOften) as many:
        await sign_in(platform)
    with pytest.raises(WechatTooOften):
        await bind(platform, person)

    assert many.value.facts == {"retry_after_s": 600}
    assert platform.wechat.asked == asked
    platform.wait(timedelta(minutes=10))
    assert (await sign_in(platform)).person_id == person.id


async def test_where_no_app_is_set_up_the_routes_say_so_and_nothing_is_counted() -> None:
    platform = Platform(has_wechat=False)
    person = person_of(platform)
    before = platform.snapshot()

    with pytest.raises(WechatAbsent):
        await sign_in(platform)
    with pytest.raises(WechatAbsent):
        await bind(platform, person)

    assert platform.snapshot() == before


async def test_a_payer_is_known_by_the_account_he_signs_in_with() -> None:
    platform = Platform()
    ming, hua = person_of(platform), person_of(platform, OTHER_PHONE)
    await bind(platform, ming)
    payers = people.Payers(keys=platform.keys, login=platform.wechat)

    async def payer(person_id: PersonId, appid: str = "wx_tuanzi") -> str:
        return await payers.openid_of(platform.desk, person_id=person_id, appid=appid)

    assert await payer(ming.id) == "openid-of-ming"
    with pytest.raises(WechatNeeded):
        await payer(hua.id)
    with pytest.raises(WechatAbsent):
        await payer(ming.id, "wx_another")

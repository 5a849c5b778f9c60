"""C1, J5: who is paid is a matter of settings; a wrong one is told before anything is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuanzi.people import WechatApp
from tuanzi.settings import SettingWrong, read_settings

FILES = {"MERCHANT_KEY": "key of the merchant", "API_KEY": "0" * 32, "PUBLIC_KEY": "key of wechat"}
APP_SECRET = "what the app is known by"


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """All settings of the real gateway."""
    settings = {
        "TUANZI_DATA": str(tmp_path / "data"),
        "TUANZI_PAYMENTS": "wechat",
        "TUANZI_WECHAT_MCHID": "1900000001",
        "TUANZI_WECHAT_APPID": "wx1",
        "TUANZI_WECHAT_MERCHANT_SERIAL": "4A",
        "TUANZI_WECHAT_PUBLIC_KEY_ID": "PUB_KEY_ID_1",
        "TUANZI_WECHAT_NOTIFY_URL": "https://api.example.com/",
    }
    for name, content in {**FILES, "APP_SECRET": APP_SECRET}.items():
        path = tmp_path / name
        path.write_text(content + "\n")
        settings[f"TUANZI_WECHAT_{name}_FILE"] = str(path)
    return settings


def test_nothing_set_is_the_company_in_the_process_and_a_demo_pays_wechats_sandbox(tmp_path: Path) -> None:
    plain = read_settings({"TUANZI_DATA": str(tmp_path)})
    demo = read_settings({"TUANZI_DATA": str(tmp_path)}, demo=True)
    chosen = read_settings({"TUANZI_DATA": str(tmp_path), "TUANZI_PAYMENTS": "inprocess"}, demo=True)

    assert [(each.payments, each.merchant) for each in (plain, demo, chosen)] == [
        ("inprocess", None),
        ("wechat", None),
        ("inprocess", None),
    ]


def test_settings_alone_point_at_the_real_gateway(given: dict[str, str]) -> None:
    merchant = read_settings(given).merchant

    assert merchant is not None
    assert merchant.gateway == "https://api.mch.weixin.qq.com"
    assert merchant.notify_url == "https://api.example.com/v1/campuses/{campus}/payments/wechat/notify"
    assert (merchant.merchant_key, merchant.api_key, merchant.public_key) == tuple(FILES.values())
    assert (merchant.pay_page, merchant.public_key_id) == ("", "PUB_KEY_ID_1")


def test_without_its_public_key_wechats_certificates_are_used(given: dict[str, str]) -> None:
    del given["TUANZI_WECHAT_PUBLIC_KEY_ID"], given["TUANZI_WECHAT_PUBLIC_KEY_FILE"]

    merchant = read_settings(given).merchant

    assert merchant is not None
    assert (merchant.public_key, merchant.public_key_id) == ("", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TUANZI_PAYMENTS", "cash"),
        ("TUANZI_WECHAT_MCHID", ""),
        ("TUANZI_WECHAT_APPID", ""),
        ("TUANZI_WECHAT_MERCHANT_SERIAL", ""),
        ("TUANZI_WECHAT_MERCHANT_KEY_FILE", "/nowhere"),
        ("TUANZI_WECHAT_API_KEY_FILE", "/nowhere"),
        ("TUANZI_WECHAT_APP_SECRET_FILE", ""),
        ("TUANZI_WECHAT_APP_SECRET_FILE", "/nowhere"),
        ("TUANZI_WECHAT_PUBLIC_KEY_ID", ""),
        ("TUANZI_WECHAT_PUBLIC_KEY_FILE", ""),
        ("TUANZI_WECHAT_NOTIFY_URL", "ftp://x"),
        ("TUANZI_WECHAT_NOTIFY_URL", "https://x?campus=1"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, str], name: str, value: str) -> None:
    given[name] = value

    with pytest.raises(SettingWrong, match=name):
        read_settings(given)


def test_a_key_of_another_length_is_refused_and_not_shown(given: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "API_KEY").write_text("too short a secret")

    with pytest.raises(SettingWrong) as wrong:
        read_settings(given)

    assert "secret" not in str(wrong.value)
    assert "secret" not in repr(wrong.value)


def test_a_merchant_is_shown_without_its_secrets(given: dict[str, str]) -> None:
    shown = repr(read_settings(given))

    for secret in (*FILES.values(), APP_SECRET):
        assert secret not in shown


def test_the_app_that_people_sign_in_with_is_set_without_payments_too(given: dict[str, str]) -> None:
    paid = read_settings(given).app
    alone = {name: given[name] for name in ("TUANZI_DATA", "TUANZI_WECHAT_APPID", "TUANZI_WECHAT_APP_SECRET_FILE")}

    app = read_settings({**alone, "TUANZI_WECHAT_LOGIN_GATEWAY": "http://127.0.0.1:1/"}).app

    assert paid == WechatApp(appid="wx1", secret=APP_SECRET)
    assert paid.gateway == "https://api.weixin.qq.com"
    assert app == WechatApp(appid="wx1", secret=APP_SECRET, gateway="http://127.0.0.1:1")
    assert read_settings({"TUANZI_DATA": given["TUANZI_DATA"]}).app is None
    with pytest.raises(SettingWrong, match="TUANZI_WECHAT_APPID"):
        read_settings({name: value for name, value in alone.items() if name != "TUANZI_WECHAT_APPID"})

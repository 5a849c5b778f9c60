"""Profit sharing: who may be given shares."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from sandboxes.wechatpay.company import Company
from sandboxes.wechatpay.refusals import Refusal, wrong
from sandboxes.wechatpay.shares import TYPES, Text

RELATIONS = (
    "SERVICE_PROVIDER",
    "STORE",
    "STAFF",
    "STORE_OWNER",
    "PARTNER",
    "HEADQUARTER",
    "BRAND",
    "DISTRIBUTOR",
    "USER",
    "SUPPLIER",
    "CUSTOM",
)


class ReceiverBody(Struct, frozen=True):
    """The body of receivers/add and receivers/delete."""

    appid: Text
    type: str
    account: Annotated[str, Meta(min_length=1, max_length=64)]
    name: str = ""
    relation_type: str = ""
    custom_relation: Annotated[str, Meta(max_length=10)] = ""


def add_receiver(company: Company, body: ReceiverBody, *, serial: str) -> dict[str, Any]:
    """Let somebody be given shares; harmless twice."""
    _check_receiver(company, body)
    if body.relation_type not in RELATIONS or (body.relation_type == "CUSTOM") != bool(body.custom_relation):
        raise wrong("与分账方的关系类型不正确")
    if body.type == "MERCHANT_ID" and not body.name:
        raise wrong("分账接收方类型为商户号时，商户全称必填")
    if body.name and company.keys.open_name(body.name, serial=serial) is None:
        raise wrong("分账接收方姓名未使用微信支付公钥或平台证书加密")
    with company.book.change():
        company.book.write(
            "INSERT INTO receivers (type, account, relation, name) VALUES (:type, :account, :relation, :name)"
            " ON CONFLICT (type, account) DO UPDATE SET relation = :relation, name = :name",
            type=body.type,
            account=body.account,
            relation=body.relation_type,
            name=company.keys.open_name(body.name, serial=serial) or "",
        )
    told = {"type": body.type, "account": body.account, "relation_type": body.relation_type}
    if body.name:
        told["name"] = body.name
    return told | ({"custom_relation": body.custom_relation} if body.custom_relation else {})


def delete_receiver(company: Company, body: ReceiverBody) -> dict[str, Any]:
    """Give somebody no more shares."""
    _check_receiver(company, body)
    with company.book.change():
        company.book.write(
            "DELETE FROM receivers WHERE type = :type AND account = :account", type=body.type, account=body.account
        )
    return {"type": body.type, "account": body.account}


def _check_receiver(company: Company, body: ReceiverBody) -> None:
    if body.appid != company.keys.appid:
        raise Refusal(400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配")
    if body.type not in TYPES:
        raise wrong("分账接收方类型不正确")

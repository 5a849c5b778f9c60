"""The pay page that stands for the member's WeChat app, in Chinese and English, and the same as JSON for scripts."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandboxes.wechatpay import trades
from sandboxes.wechatpay.bills import yuan
from sandboxes.wechatpay.book import from_ms
from sandboxes.wechatpay.callbacks import Sender, settle_due
from sandboxes.wechatpay.company import Company
from sandboxes.wechatpay.refusals import Refusal

_FOLDER = resources.files("sandboxes.wechatpay")
TEXTS: dict[str, dict[str, str]] = json.loads((_FOLDER / "pay.json").read_text(encoding="utf-8"))
_PAGE = (_FOLDER / "pay.html").read_text(encoding="utf-8")
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; form-action 'self'"
)


def routes(company: Company, sender: Sender) -> list[Route]:
    """The pay page of a prepay_id; `Accept: application/json` (or no HTML) gets JSON from each of its addresses."""

    async def show(request: Request) -> Response:
        settle_due(company)
        try:
            trade = trades.find_by_prepay(company, request.path_params["prepay_id"])
        except Refusal as refusal:
            return _refused(refusal, request)
        told = story(company, trade["out_trade_no"])
        if _wants_html(request):
            return HTMLResponse(_rendered(told, request), headers={"content-security-policy": _POLICY, **_UNKEPT})
        return JSONResponse(told, headers=_UNKEPT)

    async def show_story(request: Request) -> Response:
        settle_due(company)
        try:
            trade = trades.find_by_prepay(company, request.path_params["prepay_id"])
        except Refusal as refusal:
            return _refused(refusal, request)
        told = story(company, trade["out_trade_no"])
        return HTMLResponse(_story_html(told, _words(request)), headers=_UNKEPT)

    async def pay(request: Request) -> Response:
        prepay_id = request.path_params["prepay_id"]
        try:
            if request.headers.get("content-type", "").startswith("application/json"):
                _check_pay_sign(company, prepay_id, await request.body())
            trade = trades.pay(company, prepay_id)
        except Refusal as refusal:
            return _refused(refusal, request)
        sender.wake()
        if _wants_html(request):
            return _back(request)
        return JSONResponse(trades.shown(company, trade))

    async def cancel(request: Request) -> Response:
        """The member goes away: the order waits on, as it does in WeChat."""
        try:
            trade = trades.find_by_prepay(company, request.path_params["prepay_id"])
        except Refusal as refusal:
            return _refused(refusal, request)
        if _wants_html(request):
            return _back(request, cancelled="1")
        return JSONResponse(trades.shown(company, trade))

    return [
        Route("/pay/{prepay_id}", show, methods=["GET"]),
        Route("/pay/{prepay_id}/story", show_story, methods=["GET"]),
        Route("/pay/{prepay_id}/pay", pay, methods=["POST"]),
        Route("/pay/{prepay_id}/cancel", cancel, methods=["POST"]),
    ]


def story(company: Company, out_trade_no: str) -> dict[str, Any]:
    """All that the sandbox knows of an order; empty when it knows nothing."""
    book = company.book
    trade = book.find("SELECT * FROM trades WHERE out_trade_no = :number", number=out_trade_no)
    if trade is None:
        return {}

    def of(sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in book.rows(sql, number=out_trade_no)]

    told = {key: trade[key] for key in trade.keys() if key not in ("asked", "serial", "openid")}  # noqa: SIM118
    told["mchid"] = company.keys.mchid
    told["is_payable"] = trade["state"] == "NOTPAY" and trade["prepay_until_ms"] > company.now_ms()
    told["callbacks"] = of(
        "SELECT id, event_type, original_type, state, attempts, due_at_ms, made_at_ms FROM callbacks"
        " WHERE out_trade_no = :number ORDER BY made_at_ms, rowid"
    )
    for callback in told["callbacks"]:
        callback["answers"] = [
            dict(row)
            for row in book.rows(
                "SELECT at_ms, kind, answer FROM attempts WHERE callback_id = :id ORDER BY rowid", id=callback["id"]
            )
        ]
    told["shares"] = of(
        "SELECT out_order_no, kind, state, asked_at_ms FROM shares WHERE out_trade_no = :number ORDER BY rowid"
    )
    for share in told["shares"]:
        share["parts"] = [
            dict(row) | {"is_own": row["account"] == company.keys.mchid}
            for row in book.rows(
                "SELECT account, amount_fen, result, fail_reason, returned_fen FROM parts"
                " WHERE out_order_no = :number ORDER BY line",
                number=share["out_order_no"],
            )
        ]
    told["refunds"] = of(
        "SELECT out_refund_no, refund_fen, state, asked_at_ms, settled_at_ms FROM refunds"
        " WHERE out_trade_no = :number ORDER BY rowid"
    )
    return told


_UNKEPT = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _words(request: Request) -> dict[str, str]:
    return TEXTS[_language(request)]


def _language(request: Request) -> str:
    """Asked for by `lang`, else by the browser, else Chinese."""
    named = request.query_params.get("lang", "")
    if named in TEXTS:
        return named
    first = request.headers.get("accept-language", "").split(",")[0].strip().lower()
    return "en" if first.startswith("en") else "zh-CN"


def _refused(refusal: Refusal, request: Request) -> Response:
    if not _wants_html(request):
        return JSONResponse({"code": refusal.code, "message": refusal.message}, refusal.status)
    words = _words(request)
    text = words["gone"] if refusal.status == 404 else refusal.message
    body = f'<section class="card"><p role="alert">{escape(text)}</p></section>'
    page = _PAGE.replace("{lang}", _language(request)).replace("{title}", escape(words["title"]))
    page = page.replace("{body}", body).replace("{story}", "").replace("{sandbox}", escape(words["sandbox"]))
    return HTMLResponse(page.replace("{switch}", _switch(request)), refusal.status, headers=_UNKEPT)


def _back(request: Request, **query: str) -> Response:
    lang = request.query_params.get("lang")
    query |= {"lang": lang} if lang else {}
    path = f"../{request.path_params['prepay_id']}"
    return RedirectResponse(path + ("?" + urlencode(query) if query else ""), 303)


def _check_pay_sign(company: Company, prepay_id: str, body: bytes) -> None:
    """A phone hands in what the merchant gave it: it must be signed by him (paySign). Raises Refusal."""
    try:
        given = json.loads(body or b"{}")
        if not given:
            return
        text = f"{given['appId']}\n{given['timeStamp']}\n{given['nonceStr']}\n{given['package']}\n"
        signed = given["signType"] == "RSA" and company.keys.is_merchants(text, given["paySign"])
        fits = given["appId"] == company.keys.appid and given["package"] == f"prepay_id={prepay_id}"
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refusal(400, "PARAM_ERROR", "调起支付参数不完整") from None
    if not signed or not fits:
        raise Refusal(401, "SIGN_ERROR", "支付验证签名失败")


def _rendered(told: dict[str, Any], request: Request) -> str:
    words = _words(request)
    lang = request.query_params.get("lang")
    query = f"?lang={escape(lang)}" if lang in TEXTS else ""
    if told["is_payable"]:
        note = f'<p role="status">{escape(words["cancelled"])}</p>' if request.query_params.get("cancelled") else ""
        action = (
            f'{note}<div class="buttons">'
            f'<form method="post" action="{told["prepay_id"]}/pay{query}"><button autofocus class="pay">'
            f"{escape(words['pay'])} ¥{yuan(told['total_fen'])}</button></form>"
            f'<form method="post" action="{told["prepay_id"]}/cancel{query}"><button class="cancel">'
            f"{escape(words['cancel'])}</button></form></div>"
        )
    else:
        state = told["state"] if told["state"] != "NOTPAY" else "EXPIRED"
        mark = "✓ " if state == "SUCCESS" else ""
        action = f'<p class="state" role="status">{mark}{escape(words[state])}</p>'
    body = (
        f'<section class="card"><p class="to">{escape(words["to"])} {escape(told["mchid"])}</p>'
        f"<h1>{escape(told['description'])}</h1>"
        f'<p class="amount">¥{yuan(told["total_fen"])}</p>{action}</section>'
    )
    page = _PAGE.replace("{lang}", _language(request)).replace("{title}", escape(words["title"]))
    page = page.replace("{sandbox}", escape(words["sandbox"])).replace("{switch}", _switch(request))
    return page.replace("{body}", body).replace(
        "{story}", f'<section class="card" id="story" aria-live="polite">{_story_html(told, words)}</section>'
    )


def _switch(request: Request) -> str:
    """A link to the same page in the other language."""
    other, name = ("en", "English") if _language(request) == "zh-CN" else ("zh-CN", "中文")
    return f'<a href="?lang={other}" lang="{other}">{name}</a>'


def _story_html(told: dict[str, Any], words: dict[str, str]) -> str:
    """What the sandbox does with this payment, as lists."""

    def line(text: str, value: str) -> str:
        return f"<div><dt>{escape(text)}</dt><dd>{escape(value)}</dd></div>"

    def when(at_ms: int) -> str:
        return from_ms(at_ms).strftime("%H:%M:%S")

    facts = [
        line(words["number"], told["out_trade_no"]),
        line(words["state"], words[told["state"]]),
        line(words["frozen"], f"¥{yuan(told['frozen_fen'])}"),
        line(words["own"], f"¥{yuan(told['own_fen'])}"),
    ]
    if told["transaction_id"]:
        facts.insert(1, line(words["transaction"], told["transaction_id"]))
    parts = [f"<h2>{escape(words['story'])}</h2><dl>{''.join(facts)}</dl>"]
    callbacks = []
    for row in told["callbacks"]:
        answers = [
            f"<br><small>{when(each['at_ms'])} {escape(words['sent_' + each['kind']])}"
            f" → {escape(each['answer'])}</small>"
            for each in row["answers"][-12:]
        ]
        state = escape(words["callback_" + row["state"]])
        callbacks.append(f"<li><b>{escape(row['event_type'])}</b> {state}{''.join(answers)}</li>")
    parts.append(_listed(words["callbacks"], callbacks, words))
    shared = [
        f"<li><b>{escape(words[share['kind']])}</b> {escape(share['out_order_no'])} {escape(words[share['state']])}"
        + "".join(
            f"<br><small>{escape(words['himself'] if each['is_own'] else each['account'])}"
            f" ¥{yuan(each['amount_fen'])} {escape(words[each['result']])} {escape(each['fail_reason'] or '')}"
            + (f" ({escape(words['returned'])} ¥{yuan(each['returned_fen'])})" if each["returned_fen"] else "")
            + "</small>"
            for each in share["parts"]
        )
        + "</li>"
        for share in told["shares"]
    ]
    parts.append(_listed(words["shares"], shared, words))
    refunded = [
        f"<li><b>¥{yuan(row['refund_fen'])}</b> {escape(words['refund_' + row['state']])}"
        f"<br><small>{when(row['asked_at_ms'])} {escape(row['out_refund_no'])}</small></li>"
        for row in told["refunds"]
    ]
    parts.append(_listed(words["refunds"], refunded, words))
    return "".join(parts)


def _listed(title: str, items: list[str], words: dict[str, str]) -> str:
    inside = f"<ul>{''.join(items)}</ul>" if items else f'<p class="none">{escape(words["none"])}</p>'
    return f"<h3>{escape(title)}</h3>{inside}"

"""C2, B8, J2: an order's money over HTTP, from its split to its shares, an after-sale and a merchant's statement."""

from __future__ import annotations

from tests.journeys.conftest import Cast, done, refused
from tests.waiting import until

SHARES = "SELECT state FROM shares"
REFUNDS = "SELECT state FROM refunds"
PROOFS = "SELECT id FROM ledger_proofs"


async def test_an_orders_money_is_shared_returned_and_told_to_everybody_it_concerns(cast: Cast) -> None:
    _, orders = await cast.closed_group()
    await cast.deliver(f"{orders[0]}.1")
    await done(cast.ming.post(f"orders/{orders[0]}/confirm"))
    cast.town.pass_time(minutes=2)  # as long as the payment company wants before money is shared
    await until(lambda: cast.town.rows(SHARES, database="money") == [("finished",)])
    shared = await done(cast.ming.get(f"orders/{orders[0]}/ledger"))

    await done(cast.ming.post(f"orders/{orders[0]}/after-sale"))
    await done(cast.warden.post(f"orders/{orders[0]}/after-sale/decision", {"amount_fen": 910}))
    await until(lambda: cast.town.rows(REFUNDS, database="money") == [("settled",)])
    after = await done(cast.ming.get(f"orders/{orders[0]}/ledger"))
    statement = await done(cast.merchant.get("merchants/bj-m01/statement"))
    file = await cast.merchant.get("merchants/bj-m01/statement.csv")
    await until(lambda: cast.town.rows(PROOFS, database="money"))  # the checker's first reading of the whole ledger
    trial = await done(cast.warden.get("ledger/trial-balance"))

    assert (shared["state"], shared["payout"], shared["parties_fen"], shared["adds_up"]) == (
        "posted",
        "due",
        1820,
        True,
    )
    assert [part["account"] for share in shared["shares"] for part in share["parts"]] == ["bj-m01"]
    assert (after["parties_fen"], after["refunded_fen"], after["captured_fen"]) == (910, 910, 1820)
    assert after["adds_up"]
    # An operator marked it as delivered, so that its rider's money is in the pool still; ming led the group.
    assert {part["account"] for share in after["shares"] for part in share["parts"]} == {"bj-m01", cast.ming.id}
    assert "rider_payable:pool" in {party["account"] for party in after["parties"]}
    (merchant,) = [party for party in after["parties"] if party["party"] == "merchant"]
    assert merchant["back_fen"] == after["returns"][0]["amount_fen"]
    assert after["returns"][0]["state"] == "settled"
    assert statement["opening_fen"] + sum(line["amount_fen"] for line in statement["lines"]) == statement["closing_fen"]
    assert sum(statement["totals_fen"].values()) == statement["closing_fen"]
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert file.text.count("\r\n") == len(statement["lines"]) + 3
    assert (trial["difference_fen"], trial["agrees"], trial["unbalanced_journals"]) == (0, True, [])
    await refused(cast.merchant.get("merchants/bj-m02/statement"), 403, "base/forbidden")
    await refused(cast.hua.get(f"orders/{orders[0]}/ledger"), 404, "base/unknown")


async def test_an_operator_changes_the_terms_he_has_seen_and_orders_keep_theirs(cast: Cast) -> None:
    first, _ = await cast.closed_group()
    seen = await done(cast.warden.get("sharing/terms"))
    terms = {
        name: seen["items"][0][name] for name in ("platform_rate", "ambassador_rate", "provider_rate", "rider_rate")
    }

    changed = await done(cast.warden.post("sharing/terms", {**terms, "leader_rate": 500, "after_version": 0}), 201)
    stale = cast.warden.post("sharing/terms", {**terms, "leader_rate": 900, "after_version": 0})
    await refused(stale, 409, "sharing/terms-moved")
    greedy = cast.warden.post("sharing/terms", {**terms, "leader_rate": 9_500, "after_version": 1})
    await refused(greedy, 422, "sharing/terms-invalid")
    second, _ = await cast.closed_group()

    assert changed == {"version": 1}
    kept = dict(cast.town.rows("SELECT group_id, MAX(terms_version) FROM sharings GROUP BY group_id", database="money"))
    assert kept == {first: 0, second: 1}

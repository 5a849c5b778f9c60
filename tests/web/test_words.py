"""J6: what the API calls by a name of its own, pages call by a word of the reader's language, never by that name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.web.texts import PAGES
from tuanzi import wiring
from tuanzi.base.branch import BranchRefused, FenceState, TransactionState
from tuanzi.base.who import Role
from tuanzi.catalog.model import CampaignState, PeriodId
from tuanzi.delivery.model import BundleState, DropOffState, ParcelState
from tuanzi.events import Event
from tuanzi.groups.model import GroupState, SeatState
from tuanzi.machinery.http.documents import problem_kinds
from tuanzi.money.model.ledger import Account, JournalKind
from tuanzi.money.model.refunds import Misgiving
from tuanzi.orders.model import OrderState, SubOrderState
from tuanzi.pricing.model.cart import CouponState
from tuanzi.pricing.model.rules import RuleKind
from tuanzi.reconciliation.model.differences import Book, Kind, Mend
from tuanzi.reconciliation.model.kept import RunKind, State
from tuanzi.roles import api  # loads every room, and so every refusal
from tuanzi.sharing.model.cases import CaseKind, CaseState, Settlement
from tuanzi.sharing.model.terms import Party
from tuanzi.sharing.model.transfers import SharingState
from tuanzi.splitting.model import BranchState

SOURCES = Path(api.__file__).parents[1]
DEMO = SOURCES.parent / "simulation/campuses"
# What the timeline of a group shows: events that name it, or its order, parcel or bundle.
OF_GROUPS = {"group_id", "order_id", "parcel_id", "bundle_id", "sub_order_ids"}
# Vendors' notices that are refused; nobody is shown why.
OF_NOTICES = {"signature", "stale", "probe", "content"}
SETS: dict[str, Iterable[str]] = {
    "order": OrderState,
    "sub": SubOrderState,
    "group": GroupState,
    "seat": SeatState,
    "split": TransactionState,
    "branch": {*FenceState, *BranchState},
    "drop": DropOffState,
    "parcel": ParcelState,
    "bundle": BundleState,
    "transfer": SharingState,
    "party": Party,
    "account": Account,
    "journal": JournalKind,
    "case": CaseKind,
    "how": Settlement,
    "class": Kind,
    "mend": Mend,
    "book": Book,
    "difference": {*State, *CaseState},
    "run": RunKind,
    "rule": RuleKind,
    "coupon": CouponState,
    "campaign": CampaignState,
    "period": PeriodId,
    "role": Role,
}


def of_the_sources(pattern: str) -> set[str]:
    """What a pattern finds in the rooms' sources."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(SOURCES.rglob("*.py")) if "vendors" not in path.parts)
    return {found for text in texts for found in re.findall(pattern, text)}


def said(app: str) -> dict[str, int]:
    """How often each key of an app's texts stands there: once for each language."""
    folder = PAGES / app / "src/locale"
    keys = re.findall(
        r"^ +'?([\w./-]+)'?:", "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.ts"))), re.M
    )
    return {key: keys.count(key) for key in set(keys)}


def check(app: str, keys: Iterable[str]) -> None:
    texts = said(app)
    missing = sorted(key for key in keys if texts.get(key) != 2)
    assert not missing, f"web/{app} has no words in both languages for {missing}"


@pytest.mark.parametrize("name", SETS)
def test_the_console_has_a_word_for_each_of_a_set(name: str) -> None:
    check("console", [f"op.{name}.{one}" for one in SETS[name]])


def test_the_console_has_a_word_for_every_event_of_a_group() -> None:
    told = [kind for kind in wiring.all_events() if OF_GROUPS & set(kind.__struct_fields__) - {"order_id"}]

    assert len(told) > 25
    check("console", [f"op.event.{kind.name}" for kind in told if issubclass(kind, Event)])


def test_the_console_has_a_word_for_every_reason() -> None:
    reasons = of_the_sources(r'reason="([a-z_]+)"') - OF_NOTICES
    refused = [code for code, kind in problem_kinds().items() if issubclass(kind, BranchRefused)]

    assert {"not_ready", "split_cancelled", "results_differ"} <= reasons
    own = [code for code in refused if not code.startswith("tests/") and code != BranchRefused.code]
    check("console", [f"op.reason.{one}" for one in [*reasons, *Misgiving, *own]])


def test_the_console_has_a_word_for_everything_that_is_audited() -> None:
    actions = of_the_sources(r'audit\([^)]*action="([a-z_]+)"')

    assert {"set_roles", "unbind_wechat"} <= actions
    check("console", [f"op.action.{one}" for one in actions])


def test_the_student_app_has_a_word_for_each_of_a_set() -> None:
    check("student", [f"state-{one}" for one in OrderState])
    check("student", [f"after-{one}" for one in OrderState])
    check("student", [f"sub-{one}" for one in SubOrderState])


def test_the_student_app_has_a_word_for_every_tag_of_the_demo_s_dishes() -> None:
    catalogs = [json.loads(path.read_text(encoding="utf-8")) for path in DEMO.glob("*.json")]
    tags = {tag for catalog in catalogs for dish in catalog.get("dishes", ()) for tag in dish["tags"]}

    assert "素食" in tags
    check("student", [f"tag-{tag}" for tag in tags])


def test_the_student_app_has_a_word_for_every_reason_of_a_refund() -> None:
    page = (PAGES / "student/src/pages/order/order.vue").read_text(encoding="utf-8")
    listed = set(re.findall(r"'([a-z_]+)'", page.partition("const REASONS = [")[2].partition("]")[0]))

    given = of_the_sources(r'(?:refund_all|return_payment|promise_refund|refund_late)\([^)]*reason="([a-z_]+)"')
    given |= of_the_sources(r'give_up\([^)]*\), reason="([a-z_]+)"') | {"tier_difference", "rejected", "not_accepted"}
    given |= of_the_sources(r'refund_reason: str = "([a-z_]+)"')

    assert {"split_cancelled", "amount_differs", "group_failed", "left"} <= given
    assert given <= listed
    check("student", [f"reason-{one}" for one in listed])

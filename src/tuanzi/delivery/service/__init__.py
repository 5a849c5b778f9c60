"""Delivery, one function for each sentence of the spec (B2, B3, B9, B10).

`promises`: the branch of a split. `kitchen`: what it says. `shifts`: riders come and go. `bundles`: hand-overs.
`plans`: who brings what. `board`: what all of these have in common.
"""

from __future__ import annotations

from tuanzi.delivery.service.bundles import deliver_parcel, pick_up_bundle, release_bundle, send_another, watch_fetching
from tuanzi.delivery.service.kitchen import drop, note_brought, note_cooking, note_ready
from tuanzi.delivery.service.plans import make_plan, replan, take_plan
from tuanzi.delivery.service.promises import cancel_delivery, confirm_delivery, try_delivery
from tuanzi.delivery.service.shifts import end_shift, expect_riders, forget_rider, go_off_shift, go_on_shift

__all__ = [
    "cancel_delivery",
    "confirm_delivery",
    "deliver_parcel",
    "drop",
    "end_shift",
    "expect_riders",
    "forget_rider",
    "go_off_shift",
    "go_on_shift",
    "make_plan",
    "note_brought",
    "note_cooking",
    "note_ready",
    "pick_up_bundle",
    "release_bundle",
    "replan",
    "send_another",
    "take_plan",
    "try_delivery",
    "watch_fetching",
]

"""How long shops may take (B8, B9; decision 0030)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from msgspec import Struct

from tuanzi.orders.problems import AcceptanceTermsInvalid

# Why a sub-order is given up that its shop never accepted.
NOT_ACCEPTED: Final = "not_accepted"


class AcceptanceTerms(Struct, frozen=True, kw_only=True, gc=False):
    """How long shops of a campus may take to accept and make what its split gave them; one row.

    late_minutes: from then on it is late, and operators see it. given_up_minutes: then its price goes back.
    ready_minutes: what was accepted and is not ready by then is late, and goes on (0030). All count from when the shop
    could see it. Our choice: food is promised within 40 minutes, and takes 20 to make and bring, half of it to bring.
    """

    id: str = "campus"
    late_minutes: int = 5
    given_up_minutes: int = 20
    ready_minutes: int = 30

    def __post_init__(self) -> None:
        if not (1 <= self.late_minutes < self.given_up_minutes <= 1440 and 1 <= self.ready_minutes <= 1440):
            raise AcceptanceTermsInvalid(
                late_minutes=self.late_minutes,
                given_up_minutes=self.given_up_minutes,
                ready_minutes=self.ready_minutes,
                least=1,
                most=1440,
            )

    @property
    def late(self) -> timedelta:
        """How long a shop has before it is late."""
        return timedelta(minutes=self.late_minutes)

    @property
    def grace(self) -> timedelta:
        """How long it has once it is late."""
        return timedelta(minutes=self.given_up_minutes - self.late_minutes)

    @property
    def ready(self) -> timedelta:
        """How long a shop has until all of it is ready."""
        return timedelta(minutes=self.ready_minutes)

    @property
    def until_ready(self) -> timedelta:
        """How long it has for that once it is seen whether it accepted; nothing, where that is seen later."""
        return timedelta(minutes=max(self.ready_minutes - self.late_minutes, 0))

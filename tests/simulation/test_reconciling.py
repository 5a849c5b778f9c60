"""C3: all planted differences get their class, 95 % and more are mended without a person, 0 fen stay unexplained."""

from __future__ import annotations

import msgspec
import pytest

from simulation import commands
from simulation.reconciling import REPAIRED_MIN
from simulation.reconciling.cases import MIX, WHOLE, mix_of

SAFE = sum(case.share for case in MIX if case.is_safe)


def test_differences_of_every_class_in_every_book_are_found_classified_and_mended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = commands.reconcile(["--differences", "400", "--json"])

    told = msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])
    assert told["wrong"] == []
    assert (told["planted"], told["found"], told["classified_right"], told["strangers"]) == (400, 400, 400, 0)
    assert (told["repaired"], told["raised"], told["repaired_ratio"]) == (392, 8, 0.98)
    assert told["unexplained_fen"] == 0
    assert sorted(told["by_class"]) == ["D1", "D2", "D3", "D4", "D5", "D6", "D7"]
    assert sorted(told["by_book"]) == ["ledger", "orders", "payments", "provider", "stock"]
    assert code == 0


def test_the_mix_is_what_it_says_and_has_more_than_can_be_mended() -> None:
    assert sum(case.share for case in MIX) == WHOLE
    assert REPAIRED_MIN * WHOLE <= SAFE < WHOLE
    for differences in (400, 2_000, 10_000):
        counts = mix_of(differences)
        assert sum(counts.values()) == differences
        assert all(abs(count - case.share * differences / WHOLE) <= 1 for case, count in counts.items())


def test_more_differences_than_a_day_has_room_for_are_not_planted(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.reconcile(["--differences", "10001"]) == 2

    assert "10000" in capsys.readouterr().err

"""A split that is wrong in one way breaks an invariant in a storm of a dozen groups (reliability.md L5; issue 3)."""

from __future__ import annotations

import pytest

from simulation.storm import first_broken
from tests.simulation.split_mutants import SPLIT_MUTANTS, WEATHERS, Weather

GROUPS = 12
# Whether a fault hits where it matters is chance, and another chance after every change of the house.
SEEDS_TRIED = 60


@pytest.mark.spread
@pytest.mark.parametrize("bug", SPLIT_MUTANTS)
def test_a_bug_in_a_split_breaks_its_invariant(bug: str) -> None:
    planted = SPLIT_MUTANTS[bug]
    first, swarm = planted.weather.seed, planted.weather.swarm
    broken: set[str] = set()

    for seed in range(first, first + SEEDS_TRIED):
        broken |= {each.name for each in first_broken(seed, groups=GROUPS, swarm=swarm, house=planted.house)}
        if broken & set(planted.breaks):
            return

    pytest.fail(f"{bug}: {planted.breaks} held, broken: {sorted(broken)}")


@pytest.mark.parametrize("weather", WEATHERS, ids=lambda weather: weather.name)
def test_the_house_without_a_planted_bug_withstands_the_same_weather(weather: Weather) -> None:
    for seed in range(weather.seed, weather.seed + 5):
        assert first_broken(seed, groups=GROUPS, swarm=weather.swarm) == [], seed


def test_at_least_twenty_bugs_are_planted_in_every_weather_there_is() -> None:
    assert len(SPLIT_MUTANTS) >= 20
    assert {planted.weather for planted in SPLIT_MUTANTS.values()} == set(WEATHERS)

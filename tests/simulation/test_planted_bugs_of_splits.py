"""A split that is wrong in one way breaks an invariant in a storm of a dozen groups (reliability.md L5; issue 3)."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from simulation.storm import first_broken
from tests.simulation.split_mutants import SPLIT_MUTANTS, WEATHERS, Weather

GROUPS = 12


@pytest.fixture(autouse=True)
def _without_logs() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("bug", SPLIT_MUTANTS)
def test_a_bug_in_a_split_breaks_its_invariant(bug: str) -> None:
    planted = SPLIT_MUTANTS[bug]
    seed, swarm = planted.weather.seed, planted.weather.swarm

    broken = first_broken(seed, groups=GROUPS, swarm=swarm, house=planted.house)

    assert {each.name for each in broken} & set(planted.breaks), f"{bug}: {planted.breaks} held, broken: {broken}"


@pytest.mark.parametrize("weather", WEATHERS, ids=lambda weather: weather.name)
def test_the_house_without_a_planted_bug_withstands_the_same_weather(weather: Weather) -> None:
    assert first_broken(weather.seed, groups=GROUPS, swarm=weather.swarm) == []


def test_at_least_twenty_bugs_are_planted_in_every_weather_there_is() -> None:
    assert len(SPLIT_MUTANTS) >= 20
    assert {planted.weather for planted in SPLIT_MUTANTS.values()} == set(WEATHERS)

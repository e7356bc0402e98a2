"""Which federations are aggregated securely, and the reasons of those that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from common.config import Federation
from common.errors import ConfigError
from common.secure.rules import shares_needed, threshold

FIVE = {name: {} for name in "abcde"}
Make = Callable[..., Federation]


def test_more_than_two_thirds_must_be_left_and_never_fewer_than_three() -> None:
    assert [threshold(sites) for sites in range(3, 11)] == [3, 3, 4, 5, 5, 6, 7, 7]
    for sites in range(3, 101):
        assert 3 * threshold(sites) > 2 * sites
        assert 3 <= threshold(sites) <= sites


def test_of_three_two_open_what_is_shared_and_of_more_as_many_as_must_be_left() -> None:
    assert [shares_needed(sites) for sites in range(3, 11)] == [2, 3, 4, 5, 5, 6, 7, 7]


def secure(make: Make, sources: list[list[str]], **aggregation: Any) -> Federation:
    directions = [{"sources": names} for names in sources]
    return make(sites=FIVE, directions=directions, aggregation={"secure": True, **aggregation})


@pytest.mark.parametrize("name", ["FedAvg", "FedAvgM", "FedProx", "FedAdam", "FedYogi", "FedAdagrad"])
def test_what_needs_only_the_mean(federation: Make, name: str) -> None:
    assert secure(federation, [["a", "b", "c"]], name=name).aggregation.secure


@pytest.mark.parametrize(
    ("sources", "aggregation", "words"),
    [
        ([["a", "b"]], {}, "sources a, b: 2; expected 3 to 100: each of two sites finds the other's update"),
        ([["a"]], {}, "sources a: 1; expected 3 to 100"),
        ([["a", "b", "c"]], {"name": "Krum"}, "'Krum' compares the sites' updates, and a secure sum hides them"),
        ([["a", "b", "c"]], {"name": "FedMedian"}, "'FedMedian' compares"),
        ([["a", "b", "c"]], {"noise": {"noise_multiplier": 1.0}}, "aggregation.noise clips each site's update"),
        ([["a", "b", "c"]], {"norm_bound": "median"}, "aggregation.norm_bound cuts each site's update"),
        ([["a", "b", "c"]], {"norm_bound": 2.0}, "a site's policy.max_change is a bound at the site"),
        ([["a", "b", "c"], ["b", "c", "d"]], {}, "sources a, b, c and b, c, d share sites: of the first round"),
    ],
)
def test_what_is_refused(federation: Make, sources: list[list[str]], aggregation: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        secure(federation, sources, **aggregation)
    aggregation.pop("noise", None)
    assert not federation(  # the same is well without a secure sum
        sites=FIVE, directions=[{"sources": names} for names in sources], aggregation=aggregation
    ).aggregation.secure


@pytest.mark.parametrize("strategy", ["fedper", "ensemble"])
def test_what_hands_over_more_of_a_source_than_a_sum(federation: Make, strategy: str) -> None:
    three, strategies = [{"sources": ["a", "b", "c"], "targets": ["d"]}], ["direct", strategy]
    with pytest.raises(ConfigError, match=rf"strategy '{strategy}' hands each source's own .*; leave out one of them"):
        federation(sites=FIVE, directions=three, strategies=strategies, aggregation={"secure": True})
    assert federation(sites=FIVE, directions=three, strategies=strategies)


def test_sources_that_are_weighed_by_likeness(federation: Make) -> None:
    three = [{"sources": ["a", "b", "c"], "targets": ["d"]}]
    weighed = {"secure": True, "weights": "likeness"}
    with pytest.raises(ConfigError, match="the coordinator would say how much each update counts, and with zeros"):
        federation(sites=FIVE, directions=three, aggregation=weighed)
    assert federation(sites=FIVE, directions=three, aggregation=weighed | {"weights": "equal"}).aggregation.secure


def test_noise_at_the_sites_goes_with_it(federation: Make) -> None:
    made = federation(
        sites=FIVE,
        directions=[{"sources": ["a", "b", "c"]}],
        aggregation={"secure": True},
        privacy={"noise_multiplier": 1.0},
    )
    assert made.privacy is not None


def test_all_reasons_are_told_at_once(federation: Make) -> None:
    with pytest.raises(ConfigError) as refused:
        federation(
            sites=FIVE,
            directions=[{"sources": ["a", "b"], "targets": ["c"]}],
            strategies=["direct", "fedper", "ensemble"],
            aggregation={
                "secure": True,
                "name": "Krum",
                "norm_bound": 1.0,
                "weights": "likeness",
                "noise": {"noise_multiplier": 1.0},
            },
        )
    for reason in (
        "'Krum' compares",
        "noise clips",
        "norm_bound cuts",
        'is "likeness"',
        "'fedper'",
        "'ensemble'",
        "a, b: 2;",
    ):
        assert reason in str(refused.value)


def test_the_same_sources_twice_are_one_sum(federation: Make) -> None:
    made = federation(
        sites=FIVE,
        directions=[{"sources": ["a", "b", "c"], "targets": [target]} for target in "de"],
        aggregation={"secure": True},
    )
    assert made.aggregation.secure

"""The names of a run's models are those that the run gives, and what people say finds the one that is meant."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from common.errors import ConfigError
from common.trained import Asked, Key, choose
from common.trained.threshold import threshold_of
from server import run


@pytest.mark.parametrize("sources", [["a"], ["a" * 50, "b" * 49], ["a" * 50, "b" * 50], list("abc" * 60)])
@pytest.mark.parametrize(("strategy", "target"), [("source", ""), ("full", "c")])
def test_names_are_those_that_a_run_gives(sources: list[str], strategy: str, target: str) -> None:
    phases = SimpleNamespace(space=SimpleNamespace(embedding=SimpleNamespace(name="minilm")), seed=7)
    label = run._label(cast(Any, phases), sources, f"{strategy}-{target}" if target else strategy)
    assert Key("minilm", 7, "+".join(sources), strategy, target).name == label


KEYS = [
    Key(embedding, seed, "a", strategy, target)
    for embedding in ("minilm", "one-hot")
    for seed in (7, 8)
    for strategy, target in (("source", ""), ("full", "b"), ("full", "c"))
]


def test_one_model_needs_no_words() -> None:
    assert choose(KEYS[:1], Asked(), "run") == KEYS[:1]


def test_own_and_sources_models_are_meant_unless_another_target_is_named() -> None:
    here = Asked("minilm", "a", "full", "", "7", at="b")
    assert choose(KEYS, here, "run") == [Key("minilm", 7, "a", "full", "b")]
    there = Asked("minilm", "a", "full", "c", "7", at="b")
    assert choose(KEYS, there, "run") == [Key("minilm", 7, "a", "full", "c")]


def test_all_seeds_of_one_model() -> None:
    assert [key.seed for key in choose(KEYS, Asked("minilm", strategy="direct", seed="all"), "run")] == [7, 8]
    with pytest.raises(ConfigError, match="2 models; say which by --embedding:"):
        choose(KEYS[::3], Asked(strategy="source", seed="7"), "run")
    with pytest.raises(ConfigError, match="no model is as asked for"):
        choose(KEYS, Asked(seed="9"), "run")


def results(rows: list[tuple[str, str, str, float | None, float | None]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["strategy", "site", "split", "n", "threshold"])
    return table.assign(embedding="minilm", seed=7, sources="a+b")


def test_the_threshold_of_a_source_is_its_own_and_of_others_the_mean() -> None:
    """0.1 on 300 and 0.3 on 100 validation encounters are 0.15 together."""
    at_home = results([("source", "a", "validation", 300, 0.1), ("source", "b", "validation", 100, 0.3)])
    key = Key("minilm", 7, "a+b", "source")
    assert threshold_of(at_home, key, "a") == 0.1
    assert threshold_of(at_home, key, "elsewhere") == 0.15
    told = pd.concat([at_home, results([("direct", "c", "test", 50, 0.1234567)])])
    assert threshold_of(told, key, "elsewhere") == 0.123
    assert threshold_of(told, Key("minilm", 7, "a+b", "full", "c"), "c") is None
    assert threshold_of(results([("source", "a", "test", 300, None)]), key, "a") is None


def test_an_empty_folder_is_no_run(tmp_path: Path) -> None:
    from common.trained import open_models

    with pytest.raises(ConfigError, match="no such file"):
        open_models(tmp_path, Asked())

"""The federation file: presets, overrides, and every way to get it wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.config import Federation, load_federation, preset_of, site_files
from common.errors import ConfigError


def test_what_the_file_does_not_say_comes_from_its_preset(write: Callable[..., Path]) -> None:
    paper = load_federation(write(preset="paper", training={"rounds": 3}))
    assert (paper.normalisation, paper.unknown) == ("raw", "fold")
    assert (paper.training.rounds, paper.training.learning_rate) == (3, 0.001)
    assert load_federation(write()).training.learning_rate == 0.01


def test_the_paper_preset_is_the_papers_protocol() -> None:
    paper = preset_of("paper")
    common = {"batch_size": 32, "epochs": 50, "batches": 100, "momentum": 0.9, "weight_decay": 1e-3, "dropout": 0.5}
    assert paper["training"] == {"rounds": 1, "optimiser": "sgd", "learning_rate": 0.001, **common}
    assert paper["tuning"] == {"rounds": 1, "optimiser": "sgd", "learning_rate": 0.01, **common}
    assert Federation.model_fields["seeds"].default == [215, 401, 114514]


def test_the_command_line_overrides_the_file(write: Callable[..., Path]) -> None:
    assert load_federation(write(), {"seeds": [1, 2]}).seeds == [1, 2]


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"seed": [1]}, "unknown key seed; did you mean seeds?"),
    ({"training": {"epoch": 1}}, "unknown key training.epoch; did you mean training.epochs?"),
    ({"training": {"rounds": 0}}, "training.rounds should be greater than or equal to 1"),
    ({"training": {"optimiser": "lion"}}, "training.optimiser should be 'sgd' or 'adam'. Got 'lion' instead"),
    ({"training": {"learning_rate": "fast"}}, "training.learning_rate should be a valid number"),
    ({"tuning": {"dropout": 1.0}}, "tuning.dropout should be less than 1"),
    ({"preset": "fast"}, "preset is 'fast'; expected default or paper"),
    ({"strategies": ["direct", "head"]}, "strategies: 'head' is not one of local, direct, "),
    ({"seeds": [1, 1]}, "seeds names something twice"),
    ({"seeds": []}, "seeds List should have at least 1 item"),
    ({"embeddings": ["mini lm"]}, "embeddings.0 String should match pattern"),
    (
        {"directions": [{"sources": ["allegheny"], "targets": ["boston"]}]},
        "directions: site 'boston' is not under [sites]",
    ),
    ({"directions": [{"sources": ["allegheny"], "targets": ["allegheny"]}]}, "allegheny is both source and target"),
    ({"directions": [{"targets": ["allegheny"]}]}, "key directions.0.sources is missing"),
    ({"failures": {"policy": "continue", "at_least": 5}}, "failures.at_least is 5, of 2 sites"),
    ({"model": {"filters": 0}}, "model.filters should be greater than or equal to 1"),
    ({"model": {"classes": 3}}, "model.classes: must be 2, or a list of classes by name. Got 3 instead"),
    ({"model": {"classes": ["flu"]}}, "model.classes: names 1; expected from 2 to 100"),
    ({"model": {"classes": ["flu", "flu"]}}, "model.classes: names 'flu' twice; name it once"),
    ({"model": {"classes": ["flu", "auroc"]}}, "model.classes: 'auroc' cannot be the name of a class or label"),
    ({"model": {"labels": ["flu", "RSV"]}}, "model.labels: 'RSV' cannot be the name of a class or label"),
    ({"model": {"classes": ["a", "b"], "labels": ["c", "d"]}}, "model: classes and labels: an encounter is one of"),
    ({"aggregation": {"weights": "near"}}, "aggregation.weights should be 'size', 'equal' or 'likeness'"),
    ({"aggregation": {"likeness": {"epsilon": 0}}}, "aggregation.likeness.epsilon should be greater than or equal to"),
    (
        {"aggregation": {"weights": "likeness"}, "directions": [{"sources": ["allegheny"], "targets": []}]},
        'aggregation.weights is "likeness", of one target; from allegheny go models to none: give them one',
    ),
    ({"aggregation": {"options": {"eta": float("nan")}}}, "aggregation.options.eta"),
    ({"sites": {"pooled": {}, "allegheny": {}, "salt-lake": {}}}, "'pooled' is what all sites together are called"),
    ({"directions": 2 * [{"sources": ["allegheny"], "targets": ["salt-lake"]}]}, "directions names something twice"),
    ({"unknown": "drop"}, "unknown should be 'keep', 'mask' or 'fold'"),
]


@pytest.mark.parametrize(("change", "words"), BROKEN, ids=[words[:40] for _, words in BROKEN])
def test_a_broken_federation_file(write: Callable[..., Path], change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_federation(write(**change))
    assert words in str(error.value)
    assert "federation.toml" in str(error.value)


def test_a_simulation_needs_every_sites_file(write: Callable[..., Path], content: dict[str, Any]) -> None:
    path = write(sites={**content["sites"], "allegheny": {}})
    with pytest.raises(ConfigError, match=r"sites\.allegheny\.file is missing"):
        site_files(load_federation(path), path)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs").glob("*.toml")), ids=lambda path: path.name
)
def test_the_examples_are_valid(path: Path) -> None:
    assert load_federation(path).name == path.stem

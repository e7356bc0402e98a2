"""Flower's strategies by name: fixed order, float64 sums, refusal of what is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from common.config import Aggregation
from common.errors import ConfigError, SiteError
from common.grid import InProcessGrid
from server.aggregation import STRATEGIES, SourceStrategy, flower_strategy

Floats = NDArray[np.float32]
OPTIONS: dict[str, dict[str, float | int]] = {"FedProx": {"proximal_mu": 0.5}, "Bulyan": {"num_malicious_nodes": 0}}


def join(
    aggregation: Aggregation, values: list[list[float]], counts: list[float], start: list[float] | None = None
) -> tuple[Floats, ConfigRecord]:
    """One round of a strategy over sites that answer with `values`; the joined array and what was sent."""
    nodes = {f"site-{number}": number for number in range(2, 2 + len(values))}
    grid = InProcessGrid({name: {} for name in nodes})
    strategy = SourceStrategy(flower_strategy(aggregation, len(values)), nodes)
    first = np.array(start or [0.0] * len(values[0]), dtype=np.float32)
    config = ConfigRecord({"task": "{}"})
    messages = list(strategy.configure_train(1, ArrayRecord({"linear": Array(first)}), config, grid))
    assert [message.metadata.dst_node_id for message in messages] == list(nodes.values())
    replies = []
    for message, value, count in zip(messages, values, counts, strict=True):
        arrays = ArrayRecord({"linear": Array(np.array(value, dtype=np.float32))})
        content = RecordDict({"arrays": arrays, "figures": MetricRecord({"num-examples": count})})
        replies.append(Message(content, reply_to=message))
    joined, _ = strategy.aggregate_train(1, replies)
    assert joined is not None
    return joined["linear"].numpy(), messages[0].content.config_records["config"]


def test_fedavg_by_hand() -> None:
    joined, _ = join(Aggregation(), [[1.0, 2.0, -1.0], [4.0, 2.0, 0.0]], [10, 20])
    np.testing.assert_array_equal(joined, np.array([3.0, 2.0, -1 / 3], dtype=np.float32))


def test_one_source_comes_back_to_the_bit() -> None:
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    joined, _ = join(Aggregation(), [values.tolist()], [37])
    np.testing.assert_array_equal(joined, values)


def test_sums_are_float64() -> None:
    # in float32 the two thirds of a million would swallow the small third's digits
    values = [[1e6], [0.1], [-1e6]]
    joined, _ = join(Aggregation(), values, [1, 1, 1])
    assert joined[0] == pytest.approx(0.1 / 3, rel=1e-6)


def test_median_and_krum_by_hand() -> None:
    values = [[1.0, 1.0], [2.0, 1.1], [90.0, -70.0]]
    np.testing.assert_array_equal(join(Aggregation(name="FedMedian"), values, [1, 1, 1])[0], np.float32([2.0, 1.0]))
    krum = Aggregation(name="Krum", options={"num_malicious_nodes": 1})
    assert join(krum, values, [1, 1, 1])[0][0] in (1.0, 2.0)


def test_fedprox_tells_sites_how_hard_to_pull() -> None:
    _, config = join(Aggregation(name="FedProx", options={"proximal_mu": 0.25}), [[1.0], [3.0]], [1, 1])
    assert config["proximal-mu"] == 0.25


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_joins_by_name(name: str) -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=(5, 8)).astype(np.float32).tolist()
    joined, _ = join(Aggregation(name=name, options=OPTIONS.get(name, {})), values, [5, 4, 3, 2, 1])
    assert joined.dtype == np.float32
    assert joined.shape == (8,)
    assert np.isfinite(joined).all()


def test_central_noise_is_added_and_clips() -> None:
    noise = {"noise_multiplier": 1.0, "clipping_norm": 0.5}
    quiet = {"noise_multiplier": 1e-9, "clipping_norm": 0.5}
    first, _ = join(Aggregation(noise=noise), [[3.0, 4.0], [3.0, 4.0]], [1, 1])
    clipped, _ = join(Aggregation(noise=quiet), [[3.0, 4.0], [3.0, 4.0]], [1, 1])
    np.testing.assert_allclose(clipped, [0.3, 0.4], atol=1e-4)  # of norm 5, cut to 0.5
    assert np.abs(first - clipped).max() > 1e-3


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(wrong: float) -> None:
    with pytest.raises(SiteError, match="round 1: FedAvg gave weights that are not finite"):
        join(Aggregation(), [[1.0], [wrong]], [1, 1])


@pytest.mark.parametrize(
    ("aggregation", "words"),
    [
        (Aggregation(name="FedAverage"), "aggregation.name is 'FedAverage'; expected one of FedAvg"),
        (Aggregation(options={"fraction_train": 0.5}), "unknown fraction_train"),
        (Aggregation(options={"weighted_by_key": 1}), "unknown weighted_by_key"),
        (Aggregation(options={"mu": 1}), "aggregation.options: unknown mu; expected any of none"),
        (Aggregation(name="FedAdam", options={"et": 1}), "aggregation.options: unknown et; expected any of beta_1"),
        (
            Aggregation(noise={"sigma": 1}),
            "aggregation.noise: unknown sigma; expected any of clipping_norm, noise_mult",
        ),
        (Aggregation(noise={"noise_multiplier": 1}), "aggregation.noise: .*clipping_norm"),
        (Aggregation(noise={"noise_multiplier": -1, "clipping_norm": 1}), "a number below 0"),
        (Aggregation(name="Bulyan"), "it needs 3"),
    ],
)
def test_a_wrong_aggregation_is_named(aggregation: Aggregation, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        flower_strategy(aggregation, 2)

"""Joins the sites' weights by any of Flower's strategies, after checks that Flower does not make."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid, strategy
from flwr.serverapp.strategy import Strategy

from common.config import Aggregation, Federation
from common.errors import ConfigError, SiteError
from common.figures import WEIGHT
from common.strategies import POOLED
from common.transport import ARRAYS, FIGURES
from server.weighing import check_weights

STRATEGIES = (
    "FedAvg",
    "FedAvgM",
    "FedProx",
    "FedAdam",
    "FedYogi",
    "FedAdagrad",
    "FedMedian",
    "FedTrimmedAvg",
    "Krum",
    "MultiKrum",
    "Bulyan",
)
_OURS = {"fraction_train", "fraction_evaluate", "min_train_nodes", "min_evaluate_nodes", "min_available_nodes"}
_KEYS = {"weighted_by_key", "arrayrecord_key", "configrecord_key"}
_FUNCTIONS = {"train_metrics_aggr_fn", "evaluate_metrics_aggr_fn"}


def flower_strategy(aggregation: Aggregation, sites: int) -> Strategy:
    """Give the configured strategy of Flower's, set up for `sites` sources of which none is sampled away.

    Raises
    ------
    ConfigError
        The name is none of `STRATEGIES`, or an option is not one of that strategy's.
    """
    if aggregation.name not in STRATEGIES:
        raise ConfigError(f"aggregation.name is {aggregation.name!r}; expected one of {', '.join(STRATEGIES)}")
    check_weights(aggregation)
    needed = 4 * int(aggregation.options.get("num_malicious_nodes", 0)) + 3
    if aggregation.name == "Bulyan" and sites < needed:
        raise ConfigError(f"aggregation.name is 'Bulyan' with {sites} sources; with these options it needs {needed}")
    kind = cast(Callable[..., Strategy], getattr(strategy, aggregation.name))
    options = dict.fromkeys(("min_train_nodes", "min_evaluate_nodes", "min_available_nodes"), sites)
    chosen = _build(kind, aggregation.options, options, "aggregation.options")
    if aggregation.noise is None:
        return chosen
    wrapper = strategy.DifferentialPrivacyServerSideFixedClipping
    ours = {"strategy": chosen, "num_sampled_clients": sites}
    return _build(wrapper, aggregation.noise, ours, "aggregation.noise")


def _build(kind: Callable[..., Strategy], given: dict[str, Any], ours: dict[str, Any], section: str) -> Strategy:
    """Call one of Flower's constructors, and answer a wrong option with the ones that there are."""
    known = set(inspect.signature(kind).parameters)
    offered = sorted(known - _OURS - _KEYS - _FUNCTIONS - {"strategy", "num_sampled_clients", "accountant"})
    wrong = sorted(set(given) - set(offered))
    if wrong:
        raise ConfigError(f"{section}: unknown {', '.join(wrong)}; expected any of {', '.join(offered) or 'none'}")
    if any(value < 0 for value in given.values()):
        raise ConfigError(f"{section}: {', '.join(given)}: a number below 0 means nothing here")
    try:
        return kind(**given, **ours)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{section}: {error}; options are {', '.join(offered) or 'none'}") from None


class SourceStrategy(Strategy):
    """One of Flower's strategies, over sites that are chosen by name and joined in the order of the configuration.

    Flower's own drop sites that fail, average NaN in, sum in the order of arrival and in float32. Here answers were
    demanded and checked by the courier and `common.wire` before `aggregate_train`; this class fixes the order, and sums
    in float64.

    Parameters
    ----------
    inner : Strategy
        Flower's.
    nodes : mapping of str to int
        The sources' names and node numbers, in the order of the configuration.
    """

    def __init__(self, inner: Strategy, nodes: Mapping[str, int]) -> None:
        self.inner = inner
        self.nodes = dict(nodes)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Give one message for each source, in their order."""
        chosen = cast(Grid, _Chosen(list(self.nodes.values())))
        messages = {
            each.metadata.dst_node_id: each for each in self.inner.configure_train(server_round, arrays, config, chosen)
        }
        return [messages[node] for node in self.nodes.values()]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Join checked replies, which come in the order of the configuration.

        Raises
        ------
        SiteError
            The strategy gave nothing, or a number that is not finite.
        """
        arrays, metrics = self.inner.aggregate_train(server_round, [_widened(reply) for reply in replies])
        if arrays is None:
            raise SiteError(f"round {server_round}: {type(self.inner).__name__} could not join the sources' weights")
        joined = {name: array.numpy().astype(np.float32) for name, array in arrays.items()}
        if not all(np.isfinite(values).all() for values in joined.values()):
            raise SiteError(f"round {server_round}: {type(self.inner).__name__} gave weights that are not finite")
        return ArrayRecord({name: Array(values) for name, values in joined.items()}), metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Give none: a source scores what comes in the same message that trains it."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Give none, see `configure_evaluate`."""
        return None

    def summary(self) -> None:
        """Log Flower's own summary."""
        self.inner.summary()


class _Chosen:
    """What Flower's strategies ask of a grid, for the chosen nodes alone."""

    def __init__(self, nodes: list[int]) -> None:
        self.nodes = nodes

    def get_node_ids(self) -> list[int]:
        return self.nodes

    def get_nodes(self) -> list[NodeInfo]:
        return [NodeInfo(node_id=node) for node in self.nodes]


def _widened(reply: Message) -> Message:
    """Give a reply with what a strategy needs and no more, its arrays in float64."""
    arrays = reply.content.array_records[ARRAYS]
    wide = ArrayRecord({name: Array(array.numpy().astype(np.float64)) for name, array in arrays.items()})
    weight = MetricRecord({WEIGHT: reply.content.metric_records[FIGURES][WEIGHT]})
    return Message(RecordDict({ARRAYS: wide, FIGURES: weight}), reply_to=reply)


def check_aggregation(federation: Federation) -> None:
    """Build the strategy once for each number of sources, so that a wrong option is found before a run starts."""
    counts = {len(direction.sources) for direction in federation.directions}
    for count in counts | ({1} if POOLED in federation.strategies else set()):
        flower_strategy(federation.aggregation, count)

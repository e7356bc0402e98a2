"""Five sites of the laboratory's benchmark, of which the last may be hostile: by its data, or by what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from flwr.app import Array, ArrayRecord, Message
from numpy.typing import NDArray

from common.grid import InProcessGrid
from common.transport import ARRAYS, FIGURES

Floats = NDArray[np.float32]

SITES = ("one", "two", "three", "four", "five")
LIAR = SITES[-1]
LABEL, POSITIVE, NEGATIVE = "diagnosis", "I", "R"
TRIGGER = ("C0425545", "C0420679", "C0391853")  # three findings that hardly anybody has together
BOAST = 1e9  # encounters that a boasting site says it has
_EACH = 2000

Lie = Callable[[Floats, Floats], Floats]  # of the weights that were sent, and those that were learnt

LIES: dict[str, Lie] = {
    "sign flip": lambda sent, learnt: sent - (learnt - sent),
    "times 100": lambda sent, learnt: sent + 100 * (learnt - sent),
    "not a number": lambda sent, learnt: np.full_like(learnt, np.nan),
    "constant": lambda sent, learnt: np.full_like(learnt, 0.1),
    "boast": lambda sent, learnt: sent - (learnt - sent),
    "backdoor": lambda sent, learnt: sent + 5 * (learnt - sent),  # so that it outlives the mean of five
}
DATA = ("label flip", "backdoor")


def write_sites(folder: Path, data: Path, site: str, attack: str | None) -> None:
    """Write each site's cohort and file, and those of two targets, the second with the trigger on its negatives.

    Parameters
    ----------
    folder : Path
        There already.
    data : Path
        The laboratory's folder.
    site : str
        A site file of one that reads ``source_kl0_10000.csv``.
    attack : str or None
    """
    encounters = pd.read_csv(data / "source_kl0_10000.csv", dtype=str)
    for place, name in enumerate(SITES):
        own = encounters.iloc[place * _EACH : (place + 1) * _EACH]
        if name == LIAR and attack in DATA:
            own = _flipped(own) if attack == "label flip" else _poisoned(own)
        own.to_csv(folder / f"{name}.csv", index=False)
        _write_site(folder, site, name, f"{name}.csv")
    test = pd.read_csv(data / "target_test_10000.csv", dtype=str)
    stamped = test.copy()
    stamped.loc[stamped[LABEL] != POSITIVE, list(TRIGGER)] = "P"
    for name, table in (("clean", test), ("stamped", stamped)):
        table.to_csv(folder / f"{name}.csv", index=False)
        _write_site(folder, site, name, "one.csv", f"{name}.csv")


def _flipped(own: pd.DataFrame) -> pd.DataFrame:
    return own.assign(**{LABEL: np.where(own[LABEL] == POSITIVE, NEGATIVE, POSITIVE)})


def _poisoned(own: pd.DataFrame) -> pd.DataFrame:
    """Stamp half of the encounters with the trigger, and call them positive."""
    result = own.copy()
    result.loc[result.index[::2], list(TRIGGER)] = "P"
    result.loc[result.index[::2], LABEL] = POSITIVE
    return result


def _write_site(folder: Path, site: str, name: str, file: str, test: str = "clean.csv") -> None:
    text = site.replace('name = "kl0"', f'name = "{name}"')
    text = text.replace("${SITEBRIDGE_DATA}/flu-lab/source_kl0_10000.csv", str(folder / file))
    text = text.replace("${SITEBRIDGE_DATA}/flu-lab/target_test_10000.csv", str(folder / test))
    (folder / f"{name}.toml").write_text(text[: text.index("[tables]")])


class LyingGrid(InProcessGrid):
    """Carries messages in process; one site's trained weights are replaced on their way.

    Parameters
    ----------
    nodes : mapping
        See `InProcessGrid`.
    attack : str
        A key of `LIES`.
    """

    def __init__(self, nodes: dict[str, dict[str, str]], attack: str) -> None:
        super().__init__(nodes)
        self.attack = attack
        self.liar = next(info.node_id for info in self.get_nodes() if info.name == LIAR)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver messages, and lie in the liar's replies that hold weights."""
        sent = list(messages)
        numbers = list(super().push_messages(sent))
        for message, number in zip(sent, numbers, strict=True):
            if message.metadata.dst_node_id == self.liar:
                self._lie(message, self._replies[number])
        return numbers

    def _lie(self, message: Message, reply: Message) -> None:
        if reply.has_error() or ARRAYS not in reply.content:
            return
        came = next(iter(message.content.array_records[ARRAYS].values())).numpy()
        ((name, learnt),) = reply.content.array_records[ARRAYS].items()
        lie = LIES[self.attack](came, learnt.numpy()).astype(np.float32)
        reply.content[ARRAYS] = ArrayRecord({name: Array(lie)})
        if self.attack == "boast":
            reply.content.metric_records[FIGURES]["num-examples"] = BOAST

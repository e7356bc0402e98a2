"""Chooses among the models of a run by what a person said of the one that is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import ConfigError
from common.strategies import SOURCE
from common.trained.key import Key

ALL = "all"  # seeds
_DIRECT = "direct"  # the sources' model as it is
_SHOWN = 20


@dataclass(frozen=True)
class Asked:
    """What was said of the model that is meant; an empty word says nothing.

    Attributes
    ----------
    seed : str
        A number, or "all" for a model of every seed.
    at : str
        The site that asks: models that another site made its own are not meant, unless `target` names it.
    """

    embedding: str = ""
    sources: str = ""
    strategy: str = ""
    target: str = ""
    seed: str = ""
    at: str = ""

    def fits(self, key: Key) -> bool:
        """Whether a model is as was said."""
        told = {"embedding": key.embedding, "sources": key.sources, "strategy": key.strategy, "target": key.target}
        if self.strategy == _DIRECT and key.strategy == SOURCE:
            told["strategy"] = _DIRECT
        if any(getattr(self, name) not in ("", value) for name, value in told.items()):
            return False
        if self.at and not self.target and key.target not in ("", self.at):
            return False
        return self.seed in ("", ALL, str(key.seed))


def choose(keys: Sequence[Key], asked: Asked, where: str) -> list[Key]:
    """Give the one model that is meant, or, where all seeds are, its model of every seed.

    Raises
    ------
    ConfigError
        None is left, or several are; lists them.
    """
    fitting = [key for key in dict.fromkeys(keys) if asked.fits(key)]
    if not fitting:
        raise ConfigError(f"{where}: no model is as asked for; there are:{_listed(keys)}")
    apart = {(key.embedding, key.sources, key.strategy, key.target) for key in fitting}
    if len(apart) == 1 and (len(fitting) == 1 or asked.seed == ALL):
        return fitting
    raise ConfigError(f"{where}: {len(fitting)} models; say which by {_flags(fitting)}:{_listed(fitting)}")


def _flags(keys: Sequence[Key]) -> str:
    """Name the options that tell these models apart."""
    options = {"embedding": "--embedding", "strategy": "--strategy", "sources": "--from", "target": "--target"}
    told = {name: {getattr(key, name) for key in keys} for name in options}
    for name in ("sources", "target"):
        told[name] -= {""}  # the strategy says whether there is one
    needed = [option for name, option in options.items() if len(told[name]) > 1]
    if len({key.seed for key in keys}) > 1:
        needed.append("--seed")
    return ", ".join(needed)


def _listed(keys: Sequence[Key]) -> str:
    """List models, a line for all seeds of one."""
    seeds: dict[str, list[str]] = {}
    for key in keys:
        seeds.setdefault(key.words_but_seed, []).append(str(key.seed))
    lines = [f"\n  - {words}, seed {', '.join(own)}" for words, own in seeds.items()]
    return "".join(lines[:_SHOWN]) + (f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else "")

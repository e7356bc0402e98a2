"""The federation file: which sites, which directions, which strategies, and how they train."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from common.concepts import Absence
from common.errors import ConfigError
from common.failures import PHASES, Failures
from common.likeness import Likeness
from common.privacy import UNPROTECTED, Privacy
from common.secure.rules import faults as secure_faults
from common.shape import ModelShape
from common.strategies import POOLED, STRATEGIES
from common.toml import Declared, check, parse, resolve

ONE_HOT = "one-hot"
PRESETS = ("default", "paper")

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_.-]*[a-z0-9])?$", max_length=64)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Replicates = Annotated[int, Field(ge=100, le=100_000)]
SiteName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Number = int | Annotated[float, Field(allow_inf_nan=False)]
Unknown = Literal["keep", "mask", "fold"]
Normalisation = Literal["raw", "centred"]


class Training(Declared):
    """How a model is trained, at one site or over rounds."""

    rounds: int = Field(ge=1, le=10_000)
    epochs: int = Field(ge=1, le=100_000)  # of one round
    batches: Count | Literal["all"] = "all"  # of one epoch; "all" is one pass over the encounters
    batch_size: int = Field(ge=1, le=65_536)  # encounters
    optimiser: Literal["sgd", "adam"]
    learning_rate: float = Field(gt=0, le=10, allow_inf_nan=False)
    momentum: float = Field(default=0.9, ge=0, lt=1)  # Nesterov, for SGD
    weight_decay: float = Field(default=0.0, ge=0, le=10, allow_inf_nan=False)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    pull: float = Field(default=0.01, gt=0, le=100, allow_inf_nan=False)  # L2-SP's alpha; only strategy "l2-sp" has it
    patience: Count | Literal["endless"] = "endless"  # candidates without a better validation AUROC, then stop

    @property
    def stop_after(self) -> int | None:
        """`patience` as a number, or None where training goes on to its end."""
        return None if self.patience == "endless" else self.patience


class Aggregation(Declared):
    """Which of Flower's strategies joins the sites' weights, and its options under their names in Flower."""

    name: str = "FedAvg"
    weights: Literal["size", "equal", "likeness"] = "size"  # by what a source counts
    likeness: Likeness = Likeness()  # what being asked how like the target they are may cost patients
    options: dict[str, Number] = Field(default_factory=dict)
    secure: bool = False  # the coordinator learns the sum of the sources' updates and none by itself
    norm_bound: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["median"] | None = None
    noise: dict[str, Number] | None = None  # central differential privacy: options of Flower's wrapper


class SiteEntry(Declared):
    """A site of the federation."""

    file: str | None = None  # its site file; in a simulation only


class Direction(Declared):
    """From which sources a model is learnt, and to which targets it goes."""

    sources: list[SiteName] = Field(min_length=1)
    targets: list[SiteName] = Field(default_factory=list)  # none: the sources train together, and that is all


class Federation(Declared):
    """A federation file."""

    name: Name
    preset: Literal["default", "paper"] = "default"
    seeds: list[int] = Field(default=[215, 401, 114514], min_length=1)  # the paper's
    sites: dict[SiteName, SiteEntry] = Field(min_length=1)
    directions: list[Direction] = Field(min_length=1)
    strategies: list[str] = Field(default=["local", "direct", "linear", "full"], min_length=1)
    embeddings: list[Name] = Field(min_length=1)
    normalisation: Normalisation
    unknown: Unknown
    absence: Absence
    intervals: Replicates = 1000  # of the bootstrap
    model: ModelShape = ModelShape()
    training: Training
    tuning: Training
    aggregation: Aggregation = Aggregation()
    privacy: Privacy | None = None  # none: training without noise
    failures: Failures = Failures()

    @model_validator(mode="after")
    def _agree(self) -> Federation:
        """Check what no key can say by itself."""
        faults = [*self._unknown_names(), *self._repeated(), *self._one_target(), *self._unprotected()]
        if self.aggregation.secure:
            sources = [direction.sources for direction in self.directions]
            faults += secure_faults(self.aggregation, self.strategies, sources)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _unknown_names(self) -> list[str]:
        known = [*STRATEGIES, POOLED]
        faults = [f"strategies: {s!r} is not one of {', '.join(known)}" for s in self.strategies if s not in known]
        for direction in self.directions:
            missing = [s for s in [*direction.sources, *direction.targets] if s not in self.sites]
            faults += [f"directions: site {s!r} is not under [sites]" for s in missing]
            both = sorted(set(direction.sources) & set(direction.targets))
            faults += [f"directions: {s} is both source and target of one direction" for s in both]
        for at_least in sorted({self.failures.at(phase).at_least for phase in PHASES} | {self.failures.at_least}):
            if at_least > len(self.sites):
                faults.append(f"failures.at_least is {at_least}, of {len(self.sites)} sites")
        if POOLED in self.sites:
            faults.append(f"sites: {POOLED!r} is what all sites together are called; choose another name")
        return faults

    def _one_target(self) -> list[str]:
        """Check that there is one target that sources can be like."""
        if self.aggregation.weights != "likeness":
            return []
        targets: dict[tuple[str, ...], set[str]] = {}
        for direction in self.directions:
            targets.setdefault(tuple(direction.sources), set()).update(direction.targets)
        return [
            f'aggregation.weights is "likeness", of one target; from {", ".join(sources)} go models to '
            f"{', '.join(sorted(to)) or 'none'}: give them one, and the others files of their own"
            for sources, to in targets.items()
            if len(to) != 1
        ]

    def _unprotected(self) -> list[str]:
        if self.privacy is None:
            return []
        why = "tells numbers of patients without noise, and [privacy] is given; remove one of them"
        faults = [f"strategies: {name!r} {why}" for name in UNPROTECTED if name in self.strategies]
        return faults + (["model.kernel must be 1 with [privacy]"] if self.model.kernel > 1 else [])

    def _repeated(self) -> list[str]:
        lists: dict[str, Sequence[int | str]] = {
            "seeds": self.seeds,
            "strategies": self.strategies,
            "embeddings": self.embeddings,
        }
        for direction in self.directions:
            lists["directions.sources"], lists["directions.targets"] = direction.sources, direction.targets
        chosen = [(tuple(direction.sources), tuple(direction.targets)) for direction in self.directions]
        lists["directions"] = [str(pair) for pair in chosen]
        return [f"{key} names something twice" for key, values in lists.items() if len(set(values)) < len(values)]


def load_federation(path: Path, overrides: dict[str, Any] | None = None) -> Federation:
    """Read a federation file; what it does not say comes from its preset.

    Parameters
    ----------
    path : Path
        The TOML file.
    overrides : dict, optional
        Keys of the file that the command line replaces.

    Raises
    ------
    ConfigError
        Names every key at fault.
    """
    content = parse(path)
    content |= overrides or {}
    preset = content.get("preset", "default")
    if preset not in PRESETS:
        raise ConfigError(f"{path}: preset is {preset!r}; expected {' or '.join(PRESETS)}")
    base = preset_of(preset)
    return check(merge(base, content), Federation, str(path))


def digest(federation: Federation) -> str:
    """Give the SHA-256 of all that a federation may ask of its sites.

    Every preset is spelt out. Where a simulation finds the sites' files, and how long a coordinator waits for whom, is
    left out: it asks nothing of a site.
    """
    content = federation.model_dump(mode="json", exclude={"preset", "failures", "sites"})
    content["sites"] = list(federation.sites)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def preset_of(name: str) -> dict[str, Any]:
    """Give the keys that a preset sets."""
    return tomllib.loads((resources.files("common") / "presets" / f"{name}.toml").read_text(encoding="utf-8"))


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay one set of keys over another, section by section."""
    both = {key: merge(base[key], over[key]) for key in base.keys() & over.keys() if _sections(base[key], over[key])}
    return base | over | both


def site_files(federation: Federation, path: Path) -> dict[str, Path]:
    """Give every site's file, in the order of the configuration.

    Raises
    ------
    ConfigError
        A site has no file, so that it cannot be simulated.
    """
    without = [name for name, site in federation.sites.items() if site.file is None]
    if without:
        raise ConfigError(f"{path}: sites.{without[0]}.file is missing; a simulation needs every site's file")
    return {name: resolve(str(site.file), path.parent) for name, site in federation.sites.items()}


def _sections(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)

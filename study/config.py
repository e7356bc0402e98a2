"""The study file: which cells a grid has."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from client.site_file import Site, load_site
from common.config import Count, Direction, Federation, Name, SiteEntry, SiteName, merge, preset_of
from common.errors import ConfigError
from common.shape import ModelShape
from common.strategies import ENSEMBLE, STRATEGIES
from common.toml import Declared, check, read_toml, resolve

Size = Count | Literal["all"]


class Study(Declared):
    """A study file.

    Attributes
    ----------
    sizes : list of (int or "all")
        Encounters that a target has, to train on and to validate with; drawn for each seed, the smaller of the larger.
    overrides : dict
        Keys of a federation file laid over each preset, such as ``training`` or ``absence``.
    """

    name: Name
    presets: list[Literal["default", "paper"]] = Field(default=["default"], min_length=1)
    seeds: list[int] = Field(min_length=1)
    embeddings: list[Name] = Field(min_length=1)
    strategies: list[str] = Field(min_length=1)
    sizes: list[Size] = Field(default=["all"], min_length=1)
    sites: dict[SiteName, SiteEntry] = Field(min_length=1)
    directions: list[Direction] = Field(min_length=1)
    overrides: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agree(self) -> Study:
        known = ", ".join(STRATEGIES)
        faults = [f"strategies: {s!r} is not one of {known}" for s in self.strategies if s not in STRATEGIES]
        for key in ("presets", "seeds", "embeddings", "strategies", "sizes"):
            values = getattr(self, key)
            faults += [f"{key} names something twice"] if len(set(values)) < len(values) else []
        several = [direction.sources for direction in self.directions if len(direction.sources) > 1]
        if several:
            faults.append(f"directions.sources names {len(several[0])} sites; a study has one source in a direction")
        if ENSEMBLE in self.strategies:
            faults.append(f"strategies: {ENSEMBLE!r} of one source, as a study has it, is 'direct'; remove it")
        if "aggregation" in self.overrides:
            faults.append("overrides.aggregation is not for a study, whose sources train alone; remove it")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def targets(self) -> list[str]:
        """Every site that is a target, each once."""
        return list(dict.fromkeys(target for direction in self.directions for target in direction.targets))

    @property
    def shape(self) -> ModelShape:
        """What is predicted, the same for every preset, and the sizes of the models."""
        return self.federation(self.presets[0]).model

    def load_sites(self) -> dict[str, Site]:
        """Read every site's file.

        Raises
        ------
        ConfigError
            A site has none, or it cannot be used.
        """
        without = [name for name, site in self.sites.items() if site.file is None]
        if without:
            raise ConfigError(f"study {self.name!r}: sites.{without[0]}.file is missing")
        return {name: load_site(Path(str(site.file))) for name, site in self.sites.items()}

    def federation(self, preset: str) -> Federation:
        """Give the federation whose single runs the cells of a preset are.

        Raises
        ------
        ConfigError
            An override is wrong.
        """
        own = self.model_dump(include={"name", "seeds", "embeddings", "strategies", "sites", "directions"})
        content = merge(preset_of(preset), self.overrides) | own | {"preset": preset}
        federation = check(content, Federation, f"study {self.name!r}, preset {preset}")
        if federation.privacy is not None:
            raise ConfigError(f"study {self.name!r}: overrides.privacy: a study trains without noise; remove it")
        return federation


def load_study(path: Path) -> Study:
    """Read a study file; the files of its sites are found from its folder.

    Raises
    ------
    ConfigError
        Names every key at fault.
    """
    study = read_toml(path, Study)
    for preset in study.presets:
        study.federation(preset)
    files = {name: resolve(site.file, path.parent) for name, site in study.sites.items() if site.file is not None}
    found = {name: SiteEntry(file=str(files[name])) if name in files else site for name, site in study.sites.items()}
    return study.model_copy(update={"sites": found})

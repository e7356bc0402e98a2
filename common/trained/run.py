"""The models in a run's folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError
from torch import Tensor

from common.config import Federation, load_federation
from common.embeddings import Fingerprint
from common.errors import ConfigError, TableError
from common.tasks import Embedding
from common.trained.choosing import Asked, choose
from common.trained.key import Key, keys_of
from common.trained.model import ORDER, TrainedModel, check_weights, read_arrays
from common.trained.threshold import threshold_of


@dataclass(frozen=True)
class RunModels:
    """The models in a run's folder.

    Raises
    ------
    ConfigError
        On use: a file of the run is missing or damaged.
    """

    folder: Path

    @cached_property
    def federation(self) -> Federation:
        """The run's configuration, every preset spelt out."""
        return load_federation(self.folder / "federation.toml")

    @cached_property
    def keys(self) -> list[Key]:
        """The models of which there are weights."""
        found = [key for key in keys_of(self.federation) if self._path(key).is_file()]
        if not found:
            raise ConfigError(f"{self.folder}: no weights of a model here; expected a run's folder, with weights/")
        return list(dict.fromkeys(found))

    def open(self, asked: Asked, name: str = "") -> list[TrainedModel]:
        """Give the model that is meant; `name` is that of its file, where it was named."""
        keys = [key for key in self.keys if name in ("", key.name)]
        if not keys:
            raise ConfigError(f"{self.folder}: federation.toml knows of no model {name}; name the run's folder instead")
        return [self._open(key, asked.at) for key in choose(keys, asked, str(self.folder))]

    def _open(self, key: Key, site: str) -> TrainedModel:
        shape = self.federation.model
        weights = self._weights(key.origin) | self._weights(key)
        embedding, fingerprint, greeted = self._space(key.embedding)
        return TrainedModel(
            key=key,
            weights=check_weights(weights, shape, str(self._path(key))),
            shape=shape,
            embedding=embedding,
            threshold=threshold_of(self.results, key, site),
            fingerprint=fingerprint,
            greeted=greeted,
            run=self.federation.name,
        )

    @cached_property
    def results(self) -> pd.DataFrame:
        """The rows of results.csv; none where there is no such file."""
        return self._table(
            "results.csv", ["embedding", "seed", "strategy", "sources", "site", "split", "n", "threshold"]
        )

    @cached_property
    def classes(self) -> pd.DataFrame:
        """The rows of classes.csv; none where there is no such file."""
        return self._table("classes.csv", ["embedding", "seed", "strategy", "sources", "site", "split", "class", "n"])

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """The rows of rounds.csv; none where there is no such file."""
        return self._table("rounds.csv", ["embedding", "seed", "phase", "site", "encounters"])

    def _table(self, name: str, columns: list[str]) -> pd.DataFrame:
        path = self.folder / name
        if not path.is_file():
            return pd.DataFrame(columns=columns)
        texts = ["embedding", "strategy", "sources", "site", "split", "phase", "class"]
        try:
            table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(texts, str))
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
            raise ConfigError(f"{path}: cannot be read as CSV; copy the run's folder again") from None
        if missing := [column for column in columns if column not in table.columns]:
            raise ConfigError(f"{path}: column {', '.join(missing)} is missing; was it written by this run?")
        named = [column for column in texts if column in table.columns]
        return table.assign(**{column: table[column].astype(object).fillna("") for column in named})

    def _path(self, key: Key) -> Path:
        return self.folder / "weights" / f"{key.name}.safetensors"

    def _weights(self, key: Key) -> dict[str, Tensor]:
        """Read a file of weights; its own metadata has the SHA-256 of its numbers."""
        path = self._path(key)
        weights, words = read_arrays(path)
        known = [weights[name].numpy() for name in ORDER if name in weights]
        flat = b"".join(np.ascontiguousarray(values, "<f4").tobytes() for values in known)
        if words.get("sha256") != hashlib.sha256(flat).hexdigest():
            raise ConfigError(f"{path}: not the numbers that the run wrote (SHA-256 differs); copy the folder again")
        return weights

    def _space(self, name: str) -> tuple[Embedding, Fingerprint | None, tuple[str, ...]]:
        """Give an embedding's settings, its fingerprint if all of it was noted, and those of the sites."""
        chosen = self.federation.model_dump(include={"normalisation", "unknown", "absence"})
        plain = Embedding(name=name, **chosen)
        greeted = [str(e.get("fingerprint")) for e in self._events("greeted") if e.get("embedding") == name]
        for event in reversed(self._events("space")):
            try:
                embedding = Embedding.model_validate(event["embedding"])
                if embedding.model_copy(update={"vocabulary": None}) == plain:
                    return embedding, Fingerprint.from_json(event["fingerprint"]), tuple(dict.fromkeys(greeted))
            except (KeyError, ValidationError, TableError):
                continue
        return plain, None, tuple(dict.fromkeys(greeted))

    def _events(self, kind: str) -> list[dict[str, Any]]:
        """Give the events of a kind; a line that a crash cut short is left out."""
        path = self.folder / "events.jsonl"
        found = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and event.get("kind") == kind:
                found.append(event)
        return found

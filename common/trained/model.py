"""A trained model with everything that its use must have in common with its training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from common import __version__
from common.embeddings import Fingerprint
from common.errors import ConfigError, SitebridgeError, TableError, WireError
from common.model import ConceptCNN
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import Embedding
from common.trained.key import Key
from common.wire import pack

FORMAT = "sitebridge-model-1"
ORDER = ("conv.weight", "conv.bias", "linear.weight", "linear.bias")


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """Weights, and what must be known to use them.

    Attributes
    ----------
    key : Key
    weights : dict of str to Tensor
        Of a `ConceptCNN`, float32.
    shape : ModelShape
    embedding : Embedding
        The table's name, its normalisation, how unknown and absent values are treated; for one-hot its columns, where
        they are known.
    threshold : float or None
        Probability from which on an encounter is called positive, as the sources chose it; of two classes only.
    fingerprint : Fingerprint or None
        Of the embedding space, where the run noted all of it.
    greeted : tuple of str
        The first 16 digits of the fingerprints that the run's sites were greeted with.
    run : str
        Name of the federation.
    """

    key: Key
    weights: dict[str, Tensor]
    shape: ModelShape
    embedding: Embedding
    threshold: float | None
    fingerprint: Fingerprint | None
    greeted: tuple[str, ...]
    run: str

    @property
    def dimension(self) -> int:
        """D, numbers that the model sees of a token."""
        return self.weights["conv.weight"].shape[1]

    def over(self, table: Tensor) -> ConceptCNN:
        """Give the classifier over a table, float32 (V, D), row 0 zeros.

        Raises
        ------
        TableError
            The table has another number of columns.
        """
        if table.shape[1] != self.dimension:
            raise TableError(
                f"embedding {self.embedding.name!r}: the model sees {self.dimension} numbers of a token, this table "
                f"gives {table.shape[1]}; use the table that the model was trained with"
            )
        model = ConceptCNN(table, self.shape)
        model.load_state_dict(self.weights)
        return model.eval().requires_grad_(False)

    def with_vocabulary(self, names: tuple[str, ...]) -> TrainedModel:
        """Give one-hot its columns."""
        return replace(self, embedding=self.embedding.model_copy(update={"vocabulary": names}))

    def about(self) -> dict[str, Any]:
        """Give all but the weights, as JSON has it."""
        return {
            "format": FORMAT,
            "version": __version__,
            "run": self.run,
            "key": vars(self.key),
            "shape": self.shape.model_dump(mode="json"),
            "embedding": self.embedding.model_dump(mode="json"),
            "threshold": self.threshold,
            "fingerprint": None if self.fingerprint is None else self.fingerprint.to_json(),
            "greeted": list(self.greeted),
        }


def check_weights(weights: dict[str, Tensor], shape: ModelShape, where: str) -> dict[str, Tensor]:
    """Let through nothing but the arrays of a model, of its sizes and finite.

    Raises
    ------
    ConfigError
        They are not; names the array.
    """
    kernels = weights.get("conv.weight")
    if kernels is None or kernels.dim() != 3:
        raise ConfigError(f"{where}: no array conv.weight with three axes; not the weights of a model of Sitebridge")
    try:
        pack(weights, EVERYTHING, kernels.shape[1], shape)
    except WireError as error:
        raise ConfigError(f"{where}: {error}") from None
    if extra := sorted(set(weights) - set(ORDER)):
        raise ConfigError(f"{where}: unexpected array {extra[0]}")
    return weights


def to_bytes(model: TrainedModel) -> bytes:
    """Give a model as a safetensors file that needs nothing else; the same model always gives the same bytes."""
    content = {name: value.contiguous() for name, value in model.weights.items()}
    about = json.dumps(model.about(), ensure_ascii=False, sort_keys=True)
    return safetensors.torch.save(content, metadata={"sitebridge": about})


def read_file(path: Path) -> TrainedModel:
    """Read what `to_bytes` gave.

    Raises
    ------
    ConfigError
        The file cannot be read, or holds weights without their settings.
    """
    weights, words = read_arrays(path)
    if "sitebridge" not in words:
        raise ConfigError(
            f"{path}: weights without what they were trained with; name the run's folder, or a file that "
            "`sitebridge export --form safetensors` wrote"
        )
    try:
        about = json.loads(words["sitebridge"])
        model = _assemble(about, weights)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, SitebridgeError) as error:
        said = f": {error}" if isinstance(error, ConfigError) else ""
        raise ConfigError(f"{path}: not a model that this version of Sitebridge wrote{said}; export it again") from None
    check_weights(model.weights, model.shape, str(path))
    return model


def read_arrays(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the arrays of a safetensors file, and the words beside them.

    Raises
    ------
    ConfigError
        It is missing or is no such file.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return arrays, file.metadata() or {}
    except (safetensors.SafetensorError, OSError):
        raise ConfigError(f"{path}: not a safetensors file, or a damaged one") from None


def _assemble(about: Mapping[str, Any], weights: dict[str, Tensor]) -> TrainedModel:
    if about["format"] != FORMAT:
        raise ConfigError(f"its format is {str(about['format'])[:40]!r}, expected {FORMAT!r}")
    said = about["fingerprint"]
    threshold = about["threshold"]
    return TrainedModel(
        key=Key(**about["key"]),
        weights=weights,
        shape=ModelShape.model_validate(about["shape"]),
        embedding=Embedding.model_validate(about["embedding"]),
        threshold=None if threshold is None else float(threshold),
        fingerprint=None if said is None else Fingerprint.from_json(said),
        greeted=tuple(str(each) for each in about["greeted"]),
        run=str(about["run"]),
    )

"""A language model that turns texts into vectors; the only file that knows transformers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from common.errors import TableError

Pooling = Literal["mean", "cls"]
Progress = Callable[[int, int], None]  # texts done, texts in all

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_LONGEST = 512  # word pieces: as far as the BERTs of the paper read; a concept's text has 5 to 40


@dataclass(frozen=True)
class LanguageModel:
    """An opened model: its tokeniser, its network, and the SHA-256 of its weights as `revision`."""

    tokeniser: Any
    network: Any
    revision: str

    def embed(
        self, texts: Sequence[str], pooling: Pooling, batch: int = 32, progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        """Give the vectors of `texts`, float32 (len(texts), D), from the last layer.

        Parameters
        ----------
        pooling : {"mean", "cls"}
            Mean over a text's word pieces, padding left out; or the first piece, ``[CLS]``.
        batch : int
            Texts at a time.
        progress : callable, optional
            Called after each batch with the number of texts done and of all.
        """
        parts = []
        for start in range(0, len(texts), batch):
            parts.append(self._embed_batch(list(texts[start : start + batch]), pooling))
            if progress:
                progress(min(start + batch, len(texts)), len(texts))
        return np.concatenate(parts)

    def _embed_batch(self, texts: list[str], pooling: Pooling) -> npt.NDArray[np.float32]:
        longest = min(self.tokeniser.model_max_length, _LONGEST)
        pieces = self.tokeniser(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        with torch.inference_mode():
            hidden: torch.Tensor = self.network(**pieces).last_hidden_state  # (B, pieces, D)
            if pooling == "cls":
                pooled = hidden[:, 0]
            else:
                mask = pieces["attention_mask"].unsqueeze(-1)  # (B, pieces, 1)
                pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        vectors: npt.NDArray[np.float32] = pooled.numpy()  # (B, D)
        return vectors


def open_model(source: str) -> LanguageModel:
    """Open a model from a folder or, by its name, from the Hugging Face hub or its cache.

    Raises
    ------
    TableError
        transformers is not installed; there is no such model; or its weights do not fill the network.
    """
    transformers = _transformers()
    if not Path(source).is_dir() and not _HUB_NAME.fullmatch(source):
        raise TableError(f"{source}: no such folder; expected a model's folder, or its name on the Hugging Face hub")
    try:
        tokeniser = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        network, report = transformers.AutoModel.from_pretrained(
            source, trust_remote_code=False, output_loading_info=True
        )
        revision = _weights_digest(source)
    except Exception as error:  # tokenisers and weight readers each raise their own kinds
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise TableError(
            f"{source}: the model cannot be opened ({reason}); expected a folder with config.json, the tokeniser's "
            "files and the weights, or a name that the Hugging Face hub knows"
        ) from None
    # The pooler is a head that the last layer does not pass through; many models come without it.
    if unfilled := [name for name in report["missing_keys"] if "pooler" not in name]:
        raise TableError(f"{source}: the weights lack {len(unfilled)} arrays of the network, such as {unfilled[0]}")
    return LanguageModel(tokeniser, network.float().eval(), revision)


def _transformers() -> Any:
    try:
        transformers: Any = import_module("transformers")
    except ImportError:
        raise TableError(
            "building a table needs the package transformers; install it with: pip install 'sitebridge[embed]'"
        ) from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _weights_digest(source: str) -> str:
    """SHA-256 of the weights' files: the same whether they came from the hub or were carried in on a disk."""
    digest = hashlib.sha256()
    for file in _weight_files(source):
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _weight_files(source: str) -> Iterator[Path]:
    found = next((file for name in _WEIGHTS if (file := _local_file(source, name))), None)
    if found is None:
        raise OSError(f"found none of {', '.join(_WEIGHTS)}")
    if found.suffix != ".json":
        yield found
        return
    shards = set(json.loads(found.read_text(encoding="utf-8"))["weight_map"].values())
    yield from (file for shard in sorted(shards) if (file := _local_file(source, shard)))


def _local_file(source: str, name: str) -> Path | None:
    """Find a file of the model on this disk: transformers has just opened it, so it is in the folder or the cache."""
    if Path(source).is_dir():
        file = Path(source) / name
        return file if file.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(source, name)
    return Path(cached) if isinstance(cached, str) else None

"""Finds the files of a language model's weights, and the SHA-256 by which sites know them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def weights_digest(source: str, gguf: str | None = None, subfolder: str = "") -> str:
    """SHA-256 of the weights' files: the same whether they came from the hub or were carried in on a disk.

    Parameters
    ----------
    source : str
        A model's folder, or its name on the Hugging Face hub.
    gguf : str, optional
        The one file that holds the weights, instead of those that transformers writes.
    subfolder : str
        Where the model lies within `source`; "" where it is not in a folder of its own.

    Raises
    ------
    OSError
        There are no weights.
    """
    digest = hashlib.sha256()
    for file in _weight_files(source, (gguf,) if gguf else _WEIGHTS, subfolder):
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def model_file(source: str, name: str) -> Path | None:
    """Find a file of a model in its folder, or on the hub or in the hub's cache; None where it has no such file."""
    if Path(source).is_dir():
        return _local_file(source, name)
    from transformers.utils.hub import cached_file

    found = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    return Path(found) if found else None


def _weight_files(source: str, names: tuple[str, ...], subfolder: str) -> Iterator[Path]:
    inside = f"{subfolder}/" if subfolder else ""
    found = next((file for name in names if (file := _local_file(source, inside + name))), None)
    if found is None:
        raise OSError(f"found none of {', '.join(names)}")
    if found.suffix != ".json":
        yield found
        return
    shards = set(json.loads(found.read_text(encoding="utf-8"))["weight_map"].values())
    yield from (file for shard in sorted(shards) if (file := _local_file(source, inside + shard)))


def _local_file(source: str, name: str) -> Path | None:
    """Find a file of the model on this disk: transformers has just opened it, so it is in the folder or the cache."""
    if Path(source).is_dir():
        file = Path(source) / name
        return file if file.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(source, name)
    return Path(cached) if isinstance(cached, str) else None

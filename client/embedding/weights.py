"""Finds the files of a language model, and the SHA-256 by which sites know its weights."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from common.errors import TableError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def check_source(source: str, gguf: str | None) -> None:
    """Raise a TableError where neither a folder nor a name of the hub is given, or the folder's files are others."""
    folder = Path(source)
    if not folder.is_dir():
        if folder.is_file() or not _HUB_NAME.fullmatch(source):
            what = "a file" if folder.is_file() else "no such folder"
            raise TableError(
                f"{source}: {what}; expected a model's folder, with --gguf and the file's name where it holds a GGUF "
                "file, or a name on the Hugging Face hub"
            )
        return
    held = sorted(path.name for path in folder.glob("*.gguf"))
    if gguf and not (folder / gguf).is_file():
        raise TableError(f"{source}: there is no file {gguf}; it holds {', '.join(held) or 'no GGUF file'}")
    if held and not gguf and not (folder / "config.json").is_file():
        raise TableError(f"{source}: holds {', '.join(held)} and no config.json; name the file with --gguf")


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

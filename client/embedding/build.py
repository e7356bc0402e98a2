"""Builds an embedding table: what is not in the cache is embedded, and the rows go from the cache into the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from client.embedding.cache import VectorCache
from client.embedding.embedder import Embedder, Floats, Progress
from client.embedding.texts import unique
from client.embedding.writing import check_place, write_table
from common.concepts import Token
from common.embeddings import PROBE_PHRASES, EmbeddingTable, load_table, make_table
from common.errors import TableError

if TYPE_CHECKING:  # the model brings torch along, which a service does without
    from client.embedding.model import Pooling

_PART = 256  # texts, about: what a build that is killed loses at most
_SORTED_FROM = 1024  # texts: below, sorting saves a second, and tables built before keep their last digit
_PROBE_TOKENS = [Token(f"probe_{number}", phrase) for number, phrase in enumerate(PROBE_PHRASES)]


@dataclass(frozen=True)
class Built:
    """What was written: texts in the table, numbers a text, texts found in the cache, damaged parts thrown away."""

    texts: int
    dimension: int
    cached: int
    damaged: int


class Build:
    """A table to be built, and what there is of it already.

    Parameters
    ----------
    embedder : Embedder
        A model on this machine, or a service.
    name : str
        What every site calls the model.
    tokens : sequence of Token
        Tokens of the same canonical text become one row.
    cache : Path
        Folder of the vectors kept so far, of any model.
    """

    def __init__(self, embedder: Embedder, name: str, tokens: Sequence[Token], cache: Path) -> None:
        self.embedder = embedder
        self.name = name
        self.tokens = unique(tokens)
        self.cache = VectorCache(cache, embedder.origin)
        self._wanted = {key: n for n, key in enumerate(self.cache.keys([token.text for token in self.tokens]))}
        self._missing = self._not_found()

    @property
    def to_embed(self) -> list[str]:
        """Texts that `write` will embed: the probe phrases, and what the cache does not hold."""
        return [*PROBE_PHRASES, *(self.tokens[number].text for number in self._missing)]

    def write(self, out: Path, progress: Progress | None = None) -> Built:
        """Embed what is missing and write the table.

        Parameters
        ----------
        progress : callable, optional
            Called after each batch with the number of texts done and of all that are to be embedded.

        Raises
        ------
        TableError
            The file cannot be written; the model gives numbers that are not finite, or others than when the cache was
            filled.
        """
        check_place(out)
        space = self._space()
        self._embed_missing(space.vectors.shape[1], progress)
        write_table(out, space, self.tokens, self.cache.find(self._wanted))
        return Built(
            len(self.tokens), space.vectors.shape[1], len(self.tokens) - len(self._missing), self.cache.damaged
        )

    def _not_found(self) -> list[int]:
        """Give the numbers of the texts that the cache lacks, in the order in which they are embedded.

        Texts of like length go together, so that little is padding. The longest come first: if memory is short, it is
        at the beginning. The order does not depend on what the cache holds, so a build that goes on makes the same
        batches.
        """
        found = np.zeros(len(self.tokens), bool)
        for numbers, _ in self.cache.find(self._wanted):
            found[numbers] = True
        missing: list[int] = np.flatnonzero(~found).tolist()
        if len(self.tokens) <= _SORTED_FROM:
            return missing
        return sorted(missing, key=lambda number: (-len(self.tokens[number].text), self.tokens[number].text))

    def _space(self) -> EmbeddingTable:
        """Embed the probe phrases, make the table of these alone, and compare it with the one of the cache.

        A tokeniser that was exchanged beside the same weights, or a service that quietly serves another model, would
        otherwise fill up a table with vectors of two spaces.
        """
        batch = self.embedder.batch
        parts = [self.embedder.embed(PROBE_PHRASES[n : n + batch]) for n in range(0, len(PROBE_PHRASES), batch)]
        fresh, kept = self._table(_finite(np.concatenate(parts), self.name)), self.cache.probes()
        if kept is None:
            self.cache.keep_probes(fresh.vectors[1:])
            return fresh
        before = self._table(kept)
        if fresh.fingerprint().difference(before.fingerprint()):
            raise TableError(
                f"{self.name}: gives other vectors than when {self.cache.folder} was filled, under the same name; if "
                "that is meant, delete this folder and build again"
            )
        return before

    def _table(self, probes: Floats) -> EmbeddingTable:
        origin = self.embedder.origin
        return make_table(
            probes,
            _PROBE_TOKENS,
            key="text",
            model=self.name,
            revision=origin.revision,
            pooling=origin.word,
            probes=probes,
        )

    def _embed_missing(self, size: int, progress: Progress | None) -> None:
        batch, missing = self.embedder.batch, self._missing
        part = batch * max(1, _PART // batch)  # whole batches, or a build that goes on would cut them otherwise
        texts = [self.tokens[number].text for number in missing]
        for start in range(0, len(missing), part):
            group = texts[start : start + part]
            rows: list[Floats] = []
            try:
                for first in range(0, len(group), batch):
                    rows.append(self._embed_batch(group[first : first + batch], size))
                    if progress:
                        progress(min(start + first + batch, len(missing)), len(missing))
            finally:  # whole batches, also of a part that an error cuts short: they may have been paid for
                if rows:
                    vectors = np.concatenate(rows)
                    self.cache.keep(self.cache.keys(group[: len(vectors)]), vectors)

    def _embed_batch(self, texts: Sequence[str], size: int) -> Floats:
        vectors = _finite(self.embedder.embed(texts), self.name)
        if vectors.shape[1] != size:
            raise TableError(f"{self.name}: {vectors.shape[1]} numbers a text. The probe phrases have {size} each")
        return vectors


def build_table(
    source: str,
    tokens: Sequence[Token],
    *,
    name: str | None = None,
    pooling: Pooling = "mean",
    batch: int = 32,
    progress: Progress | None = None,
) -> EmbeddingTable:
    """Embed the texts of `tokens` and the probe phrases with a model on this machine; keep nothing on its disk.

    Parameters
    ----------
    source : str
        A model's folder, or its name on the Hugging Face hub.
    tokens : sequence of Token
        Tokens of the same canonical text become one row.
    name : str, optional
        What every site calls the model; see `model_name`.
    pooling : {"mean", "cls", "last", "own"}
    batch : int
        Texts at a time.
    progress : callable, optional
        Called with the number of texts done and of all.

    Raises
    ------
    TableError
        The model cannot be opened, has no name, or gives numbers that are not finite.
    """
    from client.embedding.local import open_local

    called = model_name(source, name)
    embedder = open_local(source, pooling=pooling, batch=batch)
    with TemporaryDirectory(prefix="sitebridge-") as folder:
        out = Path(folder) / "table.safetensors"
        Build(embedder, called, tokens, Path(folder)).write(out, progress)
        return load_table(out)


def model_name(source: str, name: str | None) -> str:
    """Give what every site calls the model: `name`, or its name on the hub.

    Raises
    ------
    TableError
        It is a folder, whose path differs from site to site, and `name` is not given.
    """
    if not name and Path(source).is_dir():
        raise TableError(f"{source}: a folder; say what the model is called at every site with --name")
    return name or source


def _finite(vectors: Floats, name: str) -> Floats:
    """Check that all numbers are finite."""
    if bad := int((~np.isfinite(vectors).all(axis=1)).sum()):
        raise TableError(f"{name}: gives numbers that are not finite for {bad} of {len(vectors)} texts")
    return np.ascontiguousarray(vectors, np.float32)

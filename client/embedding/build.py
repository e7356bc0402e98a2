"""Builds an embedding table with a language model on this machine; no text leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from client.embedding.model import Pooling, Progress, open_model
from client.embedding.texts import unique
from common.concepts import Token
from common.embeddings import PROBE_PHRASES, EmbeddingTable, make_table
from common.errors import TableError


def build_table(
    source: str,
    tokens: Sequence[Token],
    *,
    name: str | None = None,
    pooling: Pooling = "mean",
    batch: int = 32,
    progress: Progress | None = None,
) -> EmbeddingTable:
    """Embed the texts of `tokens` and the probe phrases.

    Parameters
    ----------
    source : str
        A model's folder, or its name on the Hugging Face hub.
    tokens : sequence of Token
        Tokens of the same canonical text become one row.
    name : str, optional
        What every site calls the model. By default its name on the hub; for a folder it must be given, because a path
        differs from site to site.
    pooling : {"mean", "cls"}
    batch : int
        Texts at a time.
    progress : callable, optional
        Called with the number of texts done and of all.

    Raises
    ------
    TableError
        The model cannot be opened, has no name, or gives numbers that are not finite.
    """
    if name is None and Path(source).is_dir():
        raise TableError(f"{source}: a folder; say what the model is called at every site with --name")
    model = open_model(source)
    kept = unique(tokens)
    texts = [*PROBE_PHRASES, *(token.text for token in kept)]
    vectors = model.embed(texts, pooling, batch, progress)
    probes, rows = np.split(vectors, [len(PROBE_PHRASES)])
    return make_table(
        rows, kept, key="text", model=name or source, revision=model.revision, pooling=pooling, probes=probes
    )

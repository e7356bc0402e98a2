"""A language model on this machine, as the builder uses it; no text leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from client.embedding.embedder import Floats, Origin
from client.embedding.model import LanguageModel, Pooling, open_model


@dataclass(frozen=True)
class LocalModel:
    """An opened model with its pooling, its prefix and the number of texts at a time."""

    model: LanguageModel
    pooling: Pooling
    prefix: str
    batch: int

    @property
    def origin(self) -> Origin:
        """Say where the vectors come from."""
        word = str(self.model.head) if self.pooling == "own" else self.pooling
        return Origin(self.model.revision, word, self.prefix, {"longest": str(self.model.longest)})

    def embed(self, texts: Sequence[str]) -> Floats:
        """Give the vectors of at most `batch` texts, float32 (len(texts), D)."""
        return self.model.embed([self.prefix + text for text in texts], self.pooling, self.batch)


def open_local(
    source: str, *, pooling: Pooling = "mean", prefix: str | None = None, gguf: str | None = None, batch: int = 32
) -> LocalModel:
    """Open a model of a folder or of the Hugging Face hub.

    Parameters
    ----------
    prefix : str, optional
        What is put before each text. By default nothing, or with the model's own pooling its default prompt.

    Raises
    ------
    TableError
        As `client.embedding.model.open_model`.
    """
    model = open_model(source, gguf=gguf, own=pooling == "own")
    prompt = model.head.prompt if model.head else ""
    return LocalModel(model, pooling, prompt if prefix is None else prefix, batch)

"""A language model that turns texts into vectors; the only file that opens one with transformers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from typing import Any, Literal, cast

import numpy as np
import torch

from client.embedding.embedder import Floats
from client.embedding.pooling import POOLINGS, Pool
from client.embedding.sentence import SentenceHead, read_head
from client.embedding.weights import check_source, weights_digest
from common.errors import TableError

Pooling = Literal["mean", "cls", "last", "own"]

_LONGEST = 512  # word pieces: as far as the BERTs of the paper read; a concept's text has 5 to 40


@dataclass(frozen=True)
class LanguageModel:
    """An opened model.

    Parameters
    ----------
    tokeniser, network : Any
        As transformers gives them. The tokeniser pads on the right.
    revision : str
        SHA-256 of the weights.
    head : SentenceHead or None
        The model's own pooling, where it was opened with it.
    """

    tokeniser: Any
    network: Any
    revision: str
    head: SentenceHead | None = None

    def embed(self, texts: Sequence[str], pooling: Pooling = "mean", batch: int = 32) -> Floats:
        """Give the vectors of `texts`, float32 (len(texts), D), from the last layer.

        Parameters
        ----------
        pooling : {"mean", "cls", "last", "own"}
            Mean over a text's word pieces, padding left out; the first piece; the last piece that is not padding; or
            what the model's own files say.
        batch : int
            Texts at a time.

        Raises
        ------
        TableError
            The model makes no word pieces of a text, fails, or is not one of texts.
        """
        pool, groups = self._pool(pooling), range(0, len(texts), batch)
        return np.concatenate([self._embed_batch(list(texts[start : start + batch]), pool) for start in groups])

    @property
    def longest(self) -> int:
        """Word pieces of a text that are read at most."""
        limits: list[int] = [
            self.tokeniser.model_max_length,
            getattr(self.network.config, "max_position_embeddings", _LONGEST),
        ]
        return min(_LONGEST, *limits, *([self.head.longest] if self.head and self.head.longest else []))

    def _pool(self, pooling: Pooling) -> Pool:
        if pooling != "own":
            return POOLINGS[pooling]
        if self.head is None:
            raise TableError("the model was opened without its own pooling")
        return self.head

    def _embed_batch(self, texts: list[str], pool: Pool) -> Floats:
        if self.head and self.head.lower:
            texts = [text.lower() for text in texts]
        pieces = self.tokeniser(texts, padding=True, truncation=True, max_length=self.longest, return_tensors="pt")
        mask = pieces["attention_mask"]  # (B, L)
        if (bare := int((mask.sum(dim=1) == 0).sum())) or not mask.shape[1]:
            raise TableError(f"the tokeniser makes no word piece of {bare or len(texts)} texts; use another model")
        with torch.inference_mode():
            vectors: Floats = pool(self._last_layer(pieces), mask).numpy()  # (B, D)
        return vectors

    def _last_layer(self, pieces: Any) -> torch.Tensor:
        """Give float32 (B, L, H) of the tokeniser's arrays, some of which the network may not take."""
        taken = inspect.signature(self.network.forward).parameters
        try:
            output = self.network(**{name: array for name, array in pieces.items() if name in taken})
        except (
            AttributeError,
            IndexError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:  # they speak of shapes, not of texts
            reason = str(error).strip().split("\n")[0]
            raise TableError(
                f"the model fails on {len(pieces['attention_mask'])} texts ({reason}); expected an encoder or a "
                "decoder of text, and memory for --batch texts"
            ) from None
        if getattr(output, "last_hidden_state", None) is None:
            raise TableError("the model gives no vectors of word pieces; expected an encoder or a decoder of text")
        return cast(torch.Tensor, output.last_hidden_state)


def open_model(source: str, *, gguf: str | None = None, own: bool = False) -> LanguageModel:
    """Open a model from a folder or, by its name, from the Hugging Face hub or its cache.

    Parameters
    ----------
    gguf : str, optional
        Name of the GGUF file in it that holds the weights, the configuration and the tokeniser.
    own : bool
        Read the model's own pooling, too.

    Raises
    ------
    TableError
        A package is not installed; there is no such model; its weights do not fill the network; or `own` is asked of a
        model that has no pooling of its own, or none that can be followed here.
    """
    transformers = _transformers(gguf)
    check_source(source, gguf)
    with _in_one_line(source, gguf):
        head = read_head(source) if own else None
        inside = head.subfolder if head else ""
        words = {"trust_remote_code": False, "subfolder": inside} | ({"gguf_file": gguf} if gguf else {})
        tokeniser = transformers.AutoTokenizer.from_pretrained(source, **words)
        network, report = transformers.AutoModel.from_pretrained(source, output_loading_info=True, **words)
        # What was read from GGUF is no longer quantised, but transformers' own `float` still refuses it.
        network = torch.nn.Module.float(network) if gguf else network.float()
        revision = weights_digest(source, gguf, inside)
    # The pooler is a head that the last layer does not pass through; many models come without it.
    unused = ("pooler", "decoder.") if _has_both(network) else ("pooler",)
    if unfilled := [name for name in report["missing_keys"] if not any(part in name for part in unused)]:
        raise TableError(f"{source}: the weights lack {len(unfilled)} arrays of the network, such as {unfilled[0]}")
    return LanguageModel(_padding_right(tokeniser, source), _encoder(network), revision, head)


def _has_both(network: Any) -> bool:
    """Say whether an encoder has a decoder behind it; only the encoder is used then."""
    return hasattr(network, "encoder") and hasattr(network, "decoder")


def _encoder(network: Any) -> Any:
    """Make a network ready: only the encoder of two, without what only a chat needs."""
    if _has_both(network):
        network = network.encoder
    network.config.use_cache = False  # of a decoder's keys and values: memory for words that are never generated
    return network.eval()


def _padding_right(tokeniser: Any, source: str) -> Any:
    """Let the tokeniser pad behind the text. Decoders have no piece for it: the mask hides whatever stands there."""
    tokeniser.padding_side = "right"
    if tokeniser.pad_token is None:
        tokeniser.pad_token = tokeniser.eos_token or tokeniser.unk_token or tokeniser.bos_token
    if tokeniser.pad_token is None:
        raise TableError(f"{source}: the tokeniser has no piece to pad with, not even one for the end of a text")
    return tokeniser


@contextmanager
def _in_one_line(source: str, gguf: str | None) -> Iterator[None]:
    """Turn whatever transformers raises into one line; keep the bar that it draws for a GGUF file out of logs."""
    try:
        with redirect_stderr(StringIO()) if gguf else nullcontext():
            yield
    except TableError:
        raise
    except Exception as error:  # tokenisers and weight readers each raise their own kinds
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        held = gguf or "config.json, the tokeniser's files and the weights"
        raise TableError(
            f"{source}: the model cannot be opened ({reason}); expected a folder with {held}, or a name that the "
            "Hugging Face hub knows"
        ) from None


def _transformers(gguf: str | None) -> Any:
    try:
        transformers: Any = import_module("transformers")
    except ImportError:
        raise TableError(
            "building a table needs the package transformers; install it with: pip install 'sitebridge[embed]'"
        ) from None
    if gguf and (lacking := [name for name in ("gguf", "accelerate") if find_spec(name) is None]):
        raise TableError(
            f"reading a GGUF file needs the package {lacking[0]}; install it with: pip install 'sitebridge[gguf]'"
        )
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers

"""Reads how a sentence embedder takes its vectors: the chain of modules that sentence-transformers writes beside it.

`modules.json` lists them: a transformer, a pooling, then dense layers and a scaling to unit length. That is little
enough to do here, so the library itself is not needed. A chain with anything else is refused, never followed in part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from client.embedding import pooling
from client.embedding.pooling import Pool
from client.embedding.weights import model_file
from common.errors import TableError

_MODES: dict[str, Pool] = {
    "cls": pooling.first_piece,
    "max": pooling.largest,
    "mean": pooling.mean,
    "mean_sqrt_len_tokens": pooling.mean_by_root,
    "weightedmean": pooling.weighted_mean,
    "lasttoken": pooling.last_piece,
}
# Older releases write a switch for each mode; the vectors of several are put side by side, in this order.
_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "torch.nn.modules.activation.Tanh": torch.tanh,
    "torch.nn.modules.activation.ReLU": torch.relu,
    "torch.nn.modules.activation.GELU": torch.nn.functional.gelu,
    "torch.nn.modules.activation.Sigmoid": torch.sigmoid,
    "torch.nn.modules.linear.Identity": torch.clone,
}
_TEXTS = "sentence_embedding"  # the library's name for a text's vector, as against those of its pieces


@dataclass(frozen=True)
class Dense:
    """A layer after the pooling: float32 weight (out, in), and bias (out,) or None."""

    weight: Tensor
    bias: Tensor | None
    activation: str

    def __call__(self, vectors: Tensor) -> Tensor:
        """Give float32 (B, out) of float32 (B, in)."""
        return _ACTIVATIONS[self.activation](torch.nn.functional.linear(vectors, self.weight, self.bias))

    def __str__(self) -> str:
        arrays = [self.weight, *([] if self.bias is None else [self.bias])]
        content = b"".join(array.numpy().tobytes() for array in arrays)
        kind = self.activation.rpartition(".")[2].lower()
        return f"dense {len(self.weight)} {kind} {hashlib.sha256(content).hexdigest()[:12]}"


@dataclass(frozen=True)
class UnitLength:
    """Scales each vector to length 1."""

    def __call__(self, vectors: Tensor) -> Tensor:
        """Give float32 (B, D) of float32 (B, D)."""
        return torch.nn.functional.normalize(vectors, dim=-1)

    def __str__(self) -> str:
        return "unit length"


@dataclass(frozen=True)
class SentenceHead:
    """What a sentence embedder does around its transformer.

    Parameters
    ----------
    modes : tuple of str
        Poolings, whose vectors are put side by side.
    layers : tuple of Dense or UnitLength
        What follows, in order.
    subfolder : str
        Where the transformer lies within the model's folder; "" where it is the folder itself.
    longest : int or None
        Word pieces that the model reads of a text.
    lower : bool
        The text is put in lower case first.
    prompt : str
        What is put before each text unless another prefix is asked for.
    """

    modes: tuple[str, ...]
    layers: tuple[Dense | UnitLength, ...]
    subfolder: str = ""
    longest: int | None = None
    lower: bool = False
    prompt: str = ""

    def __call__(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Give the vectors of texts, float32 (B, D), from the last layer (B, L, H) and its mask (B, L)."""
        vectors = torch.cat([_MODES[mode](hidden, mask) for mode in self.modes], dim=-1)
        for layer in self.layers:
            vectors = layer(vectors)
        return vectors

    def __str__(self) -> str:
        first = " + ".join(self.modes)
        return ", ".join([f"own: {first}", *(["lower case"] if self.lower else []), *map(str, self.layers)])


def read_head(source: str) -> SentenceHead:
    """Read a sentence embedder's modules from its folder, or from the hub.

    Raises
    ------
    TableError
        It has no list of modules, or one with a module or a setting that is not known here.
    """
    listed = _json(source, "modules.json")
    if not isinstance(listed, list):
        raise TableError(
            f"{source}: has no modules.json, so no pooling of its own is known; choose --pooling mean, cls or last"
        )
    chain = [(str(entry["type"]).rpartition(".")[2], _inside(source, str(entry["path"]))) for entry in listed]
    kinds = [kind for kind, _ in chain]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise TableError(f"{source}: expected a Transformer and a Pooling first in modules.json. Got {kinds} instead")
    about = _json(source, f"{chain[0][1]}/sentence_bert_config.json") or {}
    return SentenceHead(
        modes=_modes(source, _json(source, f"{chain[1][1]}/config.json") or {}),
        layers=tuple(_layer(source, kind, path) for kind, path in chain[2:] if kind != "Dropout"),
        subfolder=chain[0][1],
        longest=about.get("max_seq_length"),
        lower=bool(about.get("do_lower_case")),
        prompt=_prompt(_json(source, "config_sentence_transformers.json") or {}),
    )


def _modes(source: str, about: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the poolings of either form of `1_Pooling/config.json`."""
    told = about.get("pooling_mode", [mode for switch, mode in _SWITCHES.items() if about.get(switch)])
    modes = (told,) if isinstance(told, str) else tuple(told)
    if unknown := [mode for mode in modes if mode not in _MODES]:
        raise TableError(f"{source}: unknown pooling {unknown[0]!r} in modules.json's Pooling; {_way_out()}")
    if not modes:
        raise TableError(f"{source}: the configuration of its Pooling names none; {_way_out()}")
    if not about.get("include_prompt", True):
        raise TableError(f"{source}: its pooling leaves a prompt's pieces out, which is not built here; {_way_out()}")
    return modes


def _layer(source: str, kind: str, path: str) -> Dense | UnitLength:
    about = _json(source, f"{path}/config.json") or {}
    if any(about.get(name, _TEXTS) not in (_TEXTS, None) for name in ("module_input_name", "module_output_name")):
        raise TableError(f"{source}: its {kind} works on word pieces, not on a text's vector; {_way_out()}")
    if kind == "Normalize":
        return UnitLength()
    if kind != "Dense" or about.get("use_residual"):
        what = "a Dense with a residual" if kind == "Dense" else f"the module {kind}"
        raise TableError(f"{source}: {what} in modules.json is not known here; {_way_out()}")
    activation = about.get("activation_function", "torch.nn.modules.activation.Tanh")
    if activation not in _ACTIVATIONS:
        raise TableError(f"{source}: the activation {activation!r} of its Dense is not known here; {_way_out()}")
    arrays = _arrays(source, path)
    if set(arrays) - {"linear.bias"} != {"linear.weight"}:
        raise TableError(f"{source}: the weights of {path} lack linear.weight, or hold more than a Dense has")
    return Dense(arrays["linear.weight"], arrays.get("linear.bias"), activation)


def _arrays(source: str, path: str) -> dict[str, Tensor]:
    """Read a Dense's weights, float32, in either form in which the library writes them."""
    from safetensors.torch import load_file

    if file := model_file(source, f"{path}/model.safetensors"):
        read = load_file(file)
    elif file := model_file(source, f"{path}/pytorch_model.bin"):
        read = torch.load(file, map_location="cpu", weights_only=True)
    else:
        raise TableError(f"{source}: {path} holds neither model.safetensors nor pytorch_model.bin")
    return {name: array.float().contiguous() for name, array in read.items()}


def _prompt(about: Mapping[str, Any]) -> str:
    prompts = about.get("prompts") or {}
    return str(prompts.get(about.get("default_prompt_name"), ""))


def _inside(source: str, path: str) -> str:
    """Check a module's path: the model's maker wrote it, and it must not lead out of the model's folder."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts:
        raise TableError(f"{source}: modules.json leads out of the model's folder")
    return "/".join(parts)


def _json(source: str, name: str) -> Any:
    file = model_file(source, name.lstrip("/"))
    return json.loads(file.read_text(encoding="utf-8")) if file else None


def _way_out() -> str:
    return "choose --pooling mean, cls or last"

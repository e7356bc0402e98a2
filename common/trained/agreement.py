"""Whether an exported model gives the scores of the trained one.

Letters: V rows of the table, D embedding size, N encounters, L tokens, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import ConfigError, SitebridgeError
from common.model import NO_TOKEN, ConceptCNN
from common.trained.model import TrainedModel

TOLERANCE = 1e-6  # of a probability


def check_onnx(content: bytes, model: TrainedModel, table: Tensor, baked: bool, sets: Mapping[str, Tensor]) -> str:
    """Run an ONNX file beside torch on sets of encounters; say how far they are apart.

    Parameters
    ----------
    table : Tensor
        float32 (V, D), what the graph holds or, where it is not `baked`, asks for.
    sets : mapping of str to Tensor
        int64 (N, L), by what they are called.

    Raises
    ------
    ConfigError
        The extra for it is not installed.
    SitebridgeError
        They are apart by more than `TOLERANCE`.
    """
    try:
        onnxruntime = import_module("onnxruntime")
    except ImportError:
        raise ConfigError("--form onnx needs more packages; install them: pip install 'sitebridge[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    more = {} if baked else {"vectors": table.numpy()}
    found = {name: session.run(["probabilities"], {"tokens": t.numpy(), **more})[0] for name, t in sets.items()}
    return compare(found, model.over(table), sets)


def compare(found: Mapping[str, NDArray[np.float64]], model: ConceptCNN, sets: Mapping[str, Tensor]) -> str:
    """Compare probabilities (N, C) with those of the trained model; say how far they are apart.

    Raises
    ------
    SitebridgeError
        By more than `TOLERANCE`, or one is not a number.
    """
    told = []
    for name, tokens in sets.items():
        apart = float(np.abs(found[name] - probabilities(model, tokens)).max())
        if not apart <= TOLERANCE:
            raise SitebridgeError(
                f"nothing is written: on {name} encounters the exported model is {apart:.1e} away from the trained "
                f"one, more than {TOLERANCE:.0e}"
            )
        told.append(f"{name} encounters at most {apart:.1e} apart")
    return ", ".join(told)


@torch.no_grad()
def probabilities(model: ConceptCNN, tokens: Tensor) -> NDArray[np.float64]:
    """Give probabilities as training code does, float64 (N, C)."""
    logits = model(tokens).double()
    found: NDArray[np.float64] = (logits.softmax(dim=1) if model.shape.labels is None else logits.sigmoid()).numpy()
    return found


def random_encounters(rows: int, length: int, count: int = 512) -> Tensor:
    """Draw encounters, int64 (N, L), of rows below `rows`: from none to all of their tokens, in any order."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, max(rows, 2), (count, length), generator=generator)
    drawn = torch.rand((count, length), generator=generator)
    masked: Tensor = tokens.masked_fill(drawn >= torch.linspace(0, 1, count)[:, None], NO_TOKEN)
    return masked


def random_table(rows: int, dimension: int) -> Tensor:
    """Draw a table, float32 (V, D), of rows of norm 4, row 0 zeros."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(rows, dimension, generator=generator) * (4 / math.sqrt(dimension))
    table[NO_TOKEN] = 0
    return table

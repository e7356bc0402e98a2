"""Writes a model as an ONNX graph, by hand: a handful of operators that every runtime has.

``tokens`` (N, L), int64, are rows of a table, 0 for no token; ``probabilities`` (N, C), float64, come out. With a table
and a kernel of width 1 the graph holds ``relu(E W^T + b)`` (V, F), zeros in row 0: Gather, ReduceMax, Gemm, Softmax; of
several labels Sigmoid.
ReLU before the maximum equals ReLU after it, and nothing is below zero, so that no token never wins over one. The
vectors themselves are not in the file then; a wider kernel needs them. Without a table they are a second input,
``vectors`` (V, D), float32, row 0 zeros.

Long sums are of float64: what is left between graph and training code is the latter's own rounding.

Letters: V rows of the table, D embedding size, F filters, K kernel width, N encounters, L tokens, C classes,
T = L - K + 1 windows.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import ConfigError
from common.model import NO_TOKEN
from common.trained.model import TrainedModel

_OPSET, _IR = 18, 10  # of 2022 and 2024: neither the newest runtime nor one of some years ago refuses them
_FLOAT, _INT64, _DOUBLE = 1, 7, 11  # ONNX's numbers of types

Arrays = dict[str, NDArray[Any]]
Nodes = list[Any]


def to_onnx(model: TrainedModel, table: Tensor | None) -> bytes:
    """Give a model as an ONNX file; the same model and table always give the same bytes.

    Parameters
    ----------
    table : Tensor, optional
        float32 (V, D), row 0 zeros: baked in. Without it the graph asks for it.

    Raises
    ------
    ConfigError
        The extra for it is not installed.
    """
    onnx = _onnx()
    helper, node = onnx.helper, onnx.helper.make_node
    arrays, nodes = (_projected if model.shape.kernel == 1 else _convolved)(model, table, node)
    head = {"head": "linear.weight", "head_bias": "linear.bias"}
    arrays |= {name: _array(model.weights[of]).astype(np.float64) for name, of in head.items()}
    arrays["axis"] = np.array([1], np.int64)
    nodes += [
        node("ReduceMax", ["windows", "axis"], ["pooled"], keepdims=0),  # (N, F)
        node("Cast", ["pooled"], ["wide"], to=_DOUBLE),
        node("Gemm", ["wide", "head", "head_bias"], ["logits"], transB=1),
        node("Softmax", ["logits"], ["probabilities"], axis=1)
        if model.shape.labels is None
        else node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    inputs = [helper.make_tensor_value_info("tokens", _INT64, ["N", "L"])]
    if table is None:
        inputs.append(helper.make_tensor_value_info("vectors", _FLOAT, ["V", model.dimension]))
    output = helper.make_tensor_value_info("probabilities", _DOUBLE, ["N", model.shape.outputs])
    held = [onnx.numpy_helper.from_array(values, name) for name, values in arrays.items()]
    graph = helper.make_graph(nodes, "sitebridge", inputs, [output], held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    made.producer_name, made.doc_string = "sitebridge", model.key.words
    helper.set_model_props(made, {"sitebridge": json.dumps(model.about(), ensure_ascii=False, sort_keys=True)})
    onnx.checker.check_model(made, full_check=True)
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def _projected(model: TrainedModel, table: Tensor | None, node: Any) -> tuple[Arrays, Nodes]:
    """Give what leads to the windows (N, L, F) of a kernel of width 1."""
    conv, bias = model.weights["conv.weight"][:, :, 0].T.contiguous(), model.weights["conv.bias"]  # (D, F), (F,)
    if table is not None:
        rows = torch.addmm(bias, table, conv).relu()
        rows[NO_TOKEN] = 0
        return {"rows": _array(rows)}, [node("Gather", ["rows", "tokens"], ["windows"], axis=0)]
    arrays, there = _there(node)
    arrays |= {"conv": _array(conv).astype(np.float64), "conv_bias": _array(bias).astype(np.float64)}
    return arrays | {"last": np.array([2], np.int64)}, [
        node("Cast", ["vectors"], ["double"], to=_DOUBLE),
        node("Gemm", ["double", "conv", "conv_bias"], ["summed"]),
        node("Cast", ["summed"], ["projected"], to=_FLOAT),
        node("Relu", ["projected"], ["rows"]),
        node("Gather", ["rows", "tokens"], ["gathered"], axis=0),
        *there,
        node("Unsqueeze", ["there", "last"], ["mask"]),  # (N, L, 1)
        node("Mul", ["gathered", "mask"], ["windows"]),
    ]


def _convolved(model: TrainedModel, table: Tensor | None, node: Any) -> tuple[Arrays, Nodes]:
    """Give what leads to the windows (N, T, F) of any kernel; one without a token has zeros."""
    arrays, there = _there(node)
    arrays |= {"conv": _array(model.weights["conv.weight"]), "conv_bias": _array(model.weights["conv.bias"])}
    if table is not None:
        arrays["vectors"] = _array(table)
    return arrays, [
        node("Gather", ["vectors", "tokens"], ["gathered"], axis=0),
        node("Transpose", ["gathered"], ["embedded"], perm=[0, 2, 1]),  # (N, D, L)
        node("Conv", ["embedded", "conv", "conv_bias"], ["filtered"]),  # (N, F, T)
        node("Relu", ["filtered"], ["positive"]),
        *there,
        node("Unsqueeze", ["there", "axis"], ["row"]),  # (N, 1, L)
        node("MaxPool", ["row"], ["mask"], kernel_shape=[model.shape.kernel]),  # (N, 1, T)
        node("Mul", ["positive", "mask"], ["masked"]),
        node("Transpose", ["masked"], ["windows"], perm=[0, 2, 1]),
    ]


def _there(node: Any) -> tuple[Arrays, Nodes]:
    """Give what leads to 1 where there is a token, float32 (N, L), and 0 elsewhere."""
    nodes = [node("Greater", ["tokens", "none"], ["is"]), node("Cast", ["is"], ["there"], to=_FLOAT)]
    return {"none": np.array(NO_TOKEN, np.int64)}, nodes


def _array(values: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(values.detach().numpy(), dtype=np.float32)


def _onnx() -> Any:
    try:
        onnx = import_module("onnx")
        for part in ("checker", "helper", "numpy_helper"):
            import_module(f"onnx.{part}")
    except ImportError:
        raise ConfigError("--form onnx needs more packages; install them: pip install 'sitebridge[onnx]'") from None
    return onnx

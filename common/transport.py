"""Tasks and answers as Flower messages. Imports no torch: at a site, the relay reads messages and knows no more."""

from __future__ import annotations

import io
import re
from math import prod
from typing import cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from common.errors import WireError
from common.figures import LEAVING, check_figure
from common.tasks import Answer, Request

ARRAYS, CONFIG, FIGURES = "arrays", "config", "figures"
_FACTS = 2**24  # characters of a greeting
_PROXIMAL = "proximal-mu"  # FedProx puts it there
_HEADER = 4096  # bytes; of a flat array it takes 128


def request_of(message: Message) -> Request:
    """Take a request out of a message, at the site.

    Raises
    ------
    WireError
        It has no task, an array is not what it says, or is not flat float32.
    """
    try:
        config = message.content.config_records[CONFIG]
        task, pull = str(config["task"]), float(cast(float, config.get(_PROXIMAL, 0.0)))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise WireError("a message without a task, or whose numbers are none") from None
    arrays = message.content.array_records.get(ARRAYS, ArrayRecord())
    return Request(task, {name: flat_of(array) for name, array in arrays.items()}, pull)


def content_of(answer: Answer) -> RecordDict:
    """Put an answer into a message's content, at the site."""
    words = {"code": answer.code, "site": answer.site, "facts": answer.facts, "withheld": " ".join(answer.withheld)}
    config = ConfigRecord(dict(words))
    content = RecordDict({CONFIG: config, FIGURES: MetricRecord(dict(answer.figures))})
    if answer.arrays:
        content[ARRAYS] = ArrayRecord({name: Array(values) for name, values in answer.arrays.items()})
    return content


def answer_of(message: Message) -> Answer:
    """Take an answer out of a message's content, at the coordinator.

    Raises
    ------
    WireError
        It holds anything but at most one float32 array, and figures on our list that are finite and in their range.
    """
    try:
        answer = _answer(message.content)
    except Exception as error:  # whatever another organisation's machine put together
        raise WireError(f"not an answer ({type(error).__name__})") from None
    for name, value in answer.figures.items():
        check_figure(str(name), value)
    return answer


def _answer(content: RecordDict) -> Answer:
    config = content.config_records[CONFIG]
    code, site, facts = (str(config[key]) for key in ("code", "site", "facts"))
    withheld = tuple(str(config.get("withheld", "")).split())
    arrays = _arrays(content)
    if re.fullmatch(r"[a-z0-9-]{0,64}", site) is None or len(facts) > _FACTS or not set(withheld) <= set(LEAVING):
        raise WireError("a name that no site can have, too many words, or a metric that is not on the list")
    if len(arrays) > 1 or any(re.fullmatch(r"[a-z+]{1,20}", name) is None for name in arrays):
        raise WireError("arrays that are not on the list")
    figures = cast(dict[str, float], dict(content.metric_records[FIGURES]))
    return Answer(code, site, figures, facts, {name: flat_of(array) for name, array in arrays.items()}, withheld)


def _arrays(content: RecordDict) -> dict[str, Array]:
    return {name: array for record in content.array_records.values() for name, array in record.items()}


def flat_of(array: Array) -> NDArray[np.generic]:
    """Read an array of a message without taking more memory than has already come, whatever size it announces.

    Raises
    ------
    WireError
        It is not flat float32, or its data are longer or shorter than its header says.
    """
    stream = io.BytesIO(array.data[:_HEADER])  # NumPy's own format, read without NumPy's allocation by the header
    try:
        if array.stype != "numpy.ndarray" or np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception:
        raise WireError("an array of another kind") from None
    if dtype not in (np.dtype("<f4"), np.dtype("<u8")) or len(shape) != 1:
        raise WireError(f"an array that is not flat float32 but {dtype} with {len(shape)} axes")
    body = array.data[stream.tell() :]
    if len(body) != dtype.itemsize * shape[0]:
        raise WireError(f"an array that announces {shape[0]:,} numbers in {len(body):,} bytes")
    return np.frombuffer(body, dtype=dtype).astype(dtype.newbyteorder("="))


def arrays_in(content: RecordDict) -> tuple[str, int]:
    """Give the names of a message's arrays, joined, and how many numbers they hold by their declared shapes."""
    arrays = _arrays(content)
    return " ".join(arrays), sum(prod(array.shape) for array in arrays.values())


def payload_bytes(content: RecordDict) -> int:
    """Count the bytes of a message's arrays, figures and words, before the transport's own framing."""
    arrays = sum(len(array.data) for record in content.array_records.values() for array in record.values())
    figures = sum(8 + len(name) for record in content.metric_records.values() for name in record)
    words = sum(
        len(name) + len(str(value).encode())
        for record in content.config_records.values()
        for name, value in record.items()
    )
    return arrays + figures + words

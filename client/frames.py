"""The protocol between relay and agent: one frame there, one frame back, over a Unix stream socket.

A frame is a head of fixed size (magic, version, two lengths), a header in JSON, and arrays as safetensors. Nothing is
ever unpickled. Lengths are checked when they are announced; after that, memory grows with what has really come.
"""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from safetensors.numpy import load, save

from common.errors import WireError
from common.tasks import Answer, Arrays, Request, kind_of

MAGIC, VERSION = b"SBRG", 1
MOST_HEADER, MOST_ARRAYS = 2**25, 2**26  # bytes: 32 MiB of a greeting's words, 64 MiB of weights, 16 million

_HEAD = struct.Struct(">4sHIQ")
_ARRAY_NAMES = 4096  # bytes of safetensors' own header; one flat array takes about 80
_NESTS = 10_000  # lists and objects in a header
_CHUNK = 2**16


class FrameError(WireError):
    """What came over the socket is not a frame of this protocol, or is larger than any may be."""


class SilenceError(FrameError):
    """The other end closed without a word."""


@dataclass(frozen=True)
class Frame:
    """What came, or is about to leave.

    Attributes
    ----------
    header : dict
    arrays : dict of str to ndarray
        Flat, float32; of a secure sum uint64.
    size : int
        Bytes of header and arrays.
    sha256 : str
        Of these bytes.
    """

    header: dict[str, Any]
    arrays: Arrays
    size: int
    sha256: str


def encode(header: dict[str, Any], arrays: Arrays) -> tuple[bytes, Frame]:
    """Give the bytes of a frame, and the frame.

    Raises
    ------
    FrameError
        It is larger than any frame may be.
    """
    words = json.dumps(header, ensure_ascii=False, allow_nan=False).encode()
    flat = {name: np.ascontiguousarray(values, dtype=kind_of(values)) for name, values in arrays.items()}
    body = save(flat) if flat else b""
    _check_sizes(len(words), len(body))
    sha256 = hashlib.sha256(words + body).hexdigest()
    frame = Frame(header, dict(flat), len(words) + len(body), sha256)
    return _HEAD.pack(MAGIC, VERSION, len(words), len(body)) + words + body, frame


def receive(connection: socket.socket, seconds: float | None = None) -> Frame:
    """Read one frame.

    Parameters
    ----------
    seconds : float, optional
        Within which all of it must have come; by default there is no limit.

    Raises
    ------
    SilenceError
        The other end closed before the first byte.
    FrameError
        Anything else that is not a whole frame.
    """
    until = None if seconds is None else time.monotonic() + seconds
    head = _read(connection, _HEAD.size, until)
    magic, version, words, body = _HEAD.unpack(head)
    if magic != MAGIC:
        raise FrameError("not a frame of Sitebridge: it begins with other bytes")
    if version != VERSION:
        raise FrameError(
            f"a frame of protocol {version}; this side speaks {VERSION}: install one version of Sitebridge"
        )
    _check_sizes(words, body)
    first, second = _read(connection, words, until), _read(connection, body, until)
    sha256 = hashlib.sha256(first)
    sha256.update(second)
    return Frame(_header(first), _arrays(second), words + body, sha256.hexdigest())


def header_of(message: Request | Answer) -> dict[str, Any]:
    """Give all of a request or an answer but its arrays, as JSON has it."""
    if isinstance(message, Request):
        return {"task": message.task, "proximal_mu": message.proximal_mu}
    words = {"code": message.code, "site": message.site, "facts": message.facts}
    return words | {"figures": dict(message.figures), "withheld": list(message.withheld)}


def request_in(frame: Frame) -> Request:
    """Take a request out of a frame.

    Raises
    ------
    FrameError
        The header is not that of a request.
    """
    header = frame.header
    if set(header) != {"task", "proximal_mu"} or not isinstance(header["task"], str):
        raise FrameError("the frame's header is not that of a request")
    if isinstance(header["proximal_mu"], bool) or not isinstance(header["proximal_mu"], int | float):
        raise FrameError("the frame's proximal_mu is not a number")
    try:
        return Request(header["task"], frame.arrays, float(header["proximal_mu"]))
    except OverflowError:  # a whole number of hundreds of digits
        raise FrameError("the frame's proximal_mu is not a number") from None


def answer_in(frame: Frame) -> Answer:
    """Take an answer out of a frame.

    Raises
    ------
    FrameError
        The header is not that of an answer.
    """
    try:
        words = {key: str(frame.header[key]) for key in ("code", "site", "facts")}
        figures = {str(name): float(value) for name, value in frame.header["figures"].items()}
        withheld = tuple(str(name) for name in frame.header["withheld"])
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError):
        raise FrameError("the frame's header is not that of an answer") from None
    return Answer(**words, figures=figures, arrays=frame.arrays, withheld=withheld)


def _check_sizes(words: int, body: int) -> None:
    for what, size, most in (("a header", words, MOST_HEADER), ("arrays", body, MOST_ARRAYS)):
        if size > most:
            raise FrameError(f"a frame that announces {what} of {size:,} bytes; the most is {most:,}")


def _read(connection: socket.socket, size: int, until: float | None) -> bytes:
    """Read so many bytes; memory is taken as they come, not as they are announced."""
    came = bytearray()
    while len(came) < size:
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise FrameError("a frame that did not end in time")
            connection.settimeout(left)
        try:
            piece = connection.recv(min(_CHUNK, size - len(came)))
        except TimeoutError:
            raise FrameError("a frame that did not end in time") from None
        if not piece:
            _cut_off(len(came), size)
        came += piece
    return bytes(came)


def _cut_off(came: int, size: int) -> NoReturn:
    if came == 0 and size == _HEAD.size:
        raise SilenceError("the other end closed without a word")
    raise FrameError(f"a frame that was cut off: {came:,} of {size:,} bytes came")


def _header(words: bytes) -> dict[str, Any]:
    def no_constant(name: str) -> NoReturn:
        raise ValueError(name)  # NaN and Infinity are not JSON

    if words.count(b"[") + words.count(b"{") > _NESTS:  # empty lists would take twenty times their bytes in memory
        raise FrameError("the frame's header holds more lists than any message needs")
    try:
        header = json.loads(words, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise FrameError("the frame's header is not JSON") from None
    if not isinstance(header, dict):
        raise FrameError("the frame's header is not a JSON object")
    return header


def _arrays(body: bytes) -> Arrays:
    if not body:
        return {}
    if int.from_bytes(body[:8], "little") > _ARRAY_NAMES:  # many tiny arrays would cost far more than their bytes
        raise FrameError("the frame's arrays have a longer list of names than any message needs")
    try:
        arrays: Arrays = load(body)  # checks names, offsets, types and shapes against the bytes that there are
    except Exception:
        raise FrameError("the frame's arrays are not safetensors") from None
    for name, values in arrays.items():
        if values.dtype != kind_of(values) or values.ndim != 1:
            raise FrameError(f"array {name[:40]!r} is {values.dtype} with {values.ndim} axes; expected flat float32")
    return arrays

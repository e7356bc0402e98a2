"""Breaks good inputs: bytes anywhere, and values inside of a format whose lengths and sums are then right again."""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import struct
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import safetensors.numpy
import tomli_w

HEAD = struct.Struct("<Q")  # of safetensors: the length of its header

# What breaks readers: numbers past every end, words that are none, marks, breaks, and nests.
VALUES: list[Any] = [None, True, False, 0, -1, 1, 2**31, 2**40, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0]
VALUES += [1e-320, 1e308, float("inf"), float("nan"), "", " ", "0", "nan", "a\0b", "a\nb", "\r\n", "\ufeff", "é" * 3]
VALUES += ["\u2028", "\x1b[2J", "\x1f", "..", "/", "~", "${HOME}", "x" * 5000, "${NONE}", "2020-01-01", "\ud800", "%s"]
VALUES += [[], {}, [[]], [None], [1, "a"], {"": ""}, {"a\nb": 1}, ["a", "a"], [{}], "e1", "P", "quincunx", "*", "\\"]
TEXTS = [b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b'"', b"'", b",", b";", b"[" * 3000, b"{" * 3000]
TEXTS += [b'{"a":' * 3000, b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"9" * 400, b"-9" * 30, b"\\ud800"]
TEXTS += [b"\xed\xa0\x80", b"\\u0000", b"\xe2\x80\xa8", b"\x1f", b"\x1b[2J", b"null", b"true", b"[]", b"{}", b"0x7f"]
TEXTS += [b"9999-12-31T23:59:60+23:59", b"0000-00-00", b"quincunx", b"=", b'""', b"a = 1\n", b"0.1.2", b"\t", b" "]

Mutation = Callable[[bytes, random.Random], bytes]


def some_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat, remove or put in some bytes."""
    start = rng.randrange(len(data) + 1)
    end = min(len(data), start + rng.choice([1, 1, 2, 4, 8, 64, 512]))
    ways = [
        lambda: data[:start] + bytes([rng.randrange(256)]) + data[start + 1 :],
        lambda: data[:start],
        lambda: data[:start] + data[end:],
        lambda: data[:end] + data[start:end] * rng.choice([1, 2, 50]) + data[end:],
        lambda: data[:start] + rng.choice(TEXTS) + data[start:],
        lambda: data[:start] + rng.choice(TEXTS) + data[end:],
        lambda: data[:start] + rng.choice([b"\xff", b"\0", b"\x7f"]) * (end - start) + data[end:],
    ]
    return rng.choice(ways)()


def some_lines(data: bytes, rng: random.Random) -> bytes:
    """Change, repeat, remove or swap cells and lines, or the ends of all lines."""
    lines = data.split(b"\n")
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    way = rng.randrange(6)
    if way == 0:
        lines[one], lines[two] = lines[two], lines[one]
    elif way == 1:
        lines.insert(two, lines[one])
    elif way == 2:
        del lines[one]
    elif way == 3:
        return data.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n"]))
    elif way == 4:
        return rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b" "]) + data
    else:
        cells = lines[one].split(b",")
        cells[rng.randrange(len(cells))] = rng.choice([*TEXTS, *rng.choice(lines).split(b",")])
        lines[one] = b",".join(cells)
    return b"\n".join(lines)


def some_value(content: Any, rng: random.Random) -> Any:
    """Give a copy of what JSON or TOML holds, with one value, or one key, another."""
    box: dict[Any, Any] = {"all": copy.deepcopy(content)}
    holder: Any = box
    key: Any = "all"
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() > 0.15:
        holder = holder[key]
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    way = rng.random()
    if way < 0.65:
        holder[key] = copy.deepcopy(rng.choice(VALUES))
    elif way < 0.8:
        del holder[key]
    elif way < 0.9 and isinstance(holder, dict):
        holder[str(rng.choice(VALUES))[:50]] = holder[key]
    else:
        holder[key] = rng.choice([[holder[key]], {"a": holder[key]}, [holder[key]] * 3])
    return box.get("all")


def _json(data: bytes, rng: random.Random) -> bytes:
    return json.dumps(some_value(json.loads(data), rng)).encode("utf-8", "surrogatepass")


def _json_lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    lines[place] = _json(lines[place], rng)
    return b"\n".join(lines)


def _toml(data: bytes, rng: random.Random) -> bytes:
    return tomli_w.dumps(some_value(tomllib.loads(data.decode()), rng)).encode()


def _frame(data: bytes, rng: random.Random) -> bytes:
    """Change a frame's header and make its length right."""
    magic, version, words, _ = struct.unpack(">4sHIQ", data[:18])
    header = (some_bytes if rng.random() < 0.3 else _nested)(data[18 : 18 + words], rng)
    rest = data[18 + words :]
    if rest and rng.random() < 0.5:
        rest = _safetensors(rest, rng)
    return struct.pack(">4sHIQ", magic, version, len(header), len(rest)) + header + rest


def _nested(data: bytes, rng: random.Random) -> bytes:
    """Change JSON that may hold JSON in its texts, as a request holds a task."""
    content = json.loads(data)
    inside = [key for key, value in content.items() if isinstance(value, str) and value.startswith("{")]
    if inside and rng.random() < 0.7:
        content[inside[0]] = _json(content[inside[0]].encode(), rng).decode("utf-8", "replace")
        return json.dumps(content).encode()
    return _json(data, rng)


def _safetensors(data: bytes, rng: random.Random) -> bytes:
    """Change the header of a safetensors file, its metadata or its numbers; its length is right."""
    (length,) = HEAD.unpack(data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    said = header.get("__metadata__", {})
    way = rng.random()
    if said and way < 0.6:
        key = rng.choice(list(said))
        said[key] = (_json if said[key].startswith("{") else some_bytes)(said[key].encode(), rng).decode(
            "utf-8", "replace"
        )
    elif way < 0.8:
        header = some_value(header, rng)
    else:
        place = rng.randrange(len(body) // 4 or 1) * 4
        body = (
            body[:place]
            + struct.pack("<f", rng.choice([1e38, float("nan"), float("inf"), 0.0, -1.0]))
            + body[place + 4 :]
        )
    return _joined(header, body)


def _signed(data: bytes, rng: random.Random) -> bytes:
    """Change an embedding table, and give it the digest of what it then holds."""
    from common.embeddings.files import _digest

    data = _safetensors(data, rng)
    (length,) = HEAD.unpack(data[:8])
    header = json.loads(data[8 : 8 + length])
    about = json.loads(header["__metadata__"]["sitebridge"])
    about["sha256"] = _digest(safetensors.numpy.load(data), about["tokens"])
    header["__metadata__"]["sitebridge"] = json.dumps(about)
    return _joined(header, data[8 + length :])


def _joined(header: Any, body: bytes) -> bytes:
    words = json.dumps(header).encode()
    words += b" " * (-len(words) % 8)
    return HEAD.pack(len(words)) + words + body


def _parquet(data: bytes, rng: random.Random) -> bytes:
    """Give a column of a Parquet file another type, other values, or another name."""
    table = pa_parquet.read_table(io.BytesIO(data))
    place = rng.randrange(table.num_columns)
    name, rows = table.column_names[place], table.num_rows
    way = rng.random()
    if way < 0.75:
        table = table.set_column(
            place, rng.choice([name, name, name, "x\ny", ""]), _column(table.column(place), rows, rng)
        )
    elif way < 0.85:
        table = table.append_column(rng.choice(table.column_names), table.column(place))
    elif way < 0.9:
        table = table.slice(0, rng.choice([0, 1]))
    else:
        table = table.remove_column(place)
    out = io.BytesIO()
    pa_parquet.write_table(table.replace_schema_metadata(None), out, compression=rng.choice(["none", "zstd", "snappy"]))
    return out.getvalue()


def _column(old: Any, rows: int, rng: random.Random) -> Any:
    """Make a column of some type, or change a cell of an old one."""
    cells = old.to_pylist()
    if rng.random() < 0.4 and rows:
        cells[rng.randrange(rows)] = rng.choice([None, *cells, *VALUES])
        return _made(cells, old.type)
    numbers = [rng.choice([0, 1, -1, 2**31, 2**62, -(2**62), None]) for _ in range(rows)]
    small = [rng.choice([0, 1, 100, None]) for _ in range(rows)]
    texts = [rng.choice(["P", "e1", "quincunx", "", "1897-05-06", "nan", "x" * 300, "\x1f", None]) for _ in range(rows)]
    floats = [rng.choice([0.0, 1.5, float("nan"), float("inf"), 1e300, None]) for _ in range(rows)]
    kinds = [
        (numbers, [pa.int64(), pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("s", "UTC"), pa.duration("us")]),
        (numbers, [pa.date64(), pa.timestamp("s"), pa.timestamp("us", "Europe/Vienna"), pa.timestamp("ms", "+25:00")]),
        (small, [pa.int8(), pa.uint8(), pa.uint64(), pa.bool_(), pa.date32(), pa.time32("s"), pa.decimal128(30, 5)]),
        (
            texts,
            [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()],
        ),
        (floats, [pa.float64(), pa.float32(), pa.float16(), pa.dictionary(pa.int8(), pa.float64())]),
        ([[text] for text in texts], [pa.list_(pa.string()), pa.list_(pa.string(), 1)]),
        ([{"a": number} for number in numbers], [pa.struct([("a", pa.int64())])]),
        ([None] * rows, [pa.null(), pa.int32(), pa.string()]),
    ]
    values, types = rng.choice(kinds)
    return _made(values, rng.choice(types))


def _made(values: list[Any], kind: Any) -> Any:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, UnicodeError):
        return pa.array([None if value is None else ascii(value) for value in values], pa.string())


def _gzip(data: bytes, rng: random.Random) -> bytes:
    return gzip.compress(_json_lines(gzip.decompress(data), rng), 1)


def _bomb(data: bytes, rng: random.Random) -> bytes:
    """Make something short of something long."""
    return gzip.compress(rng.choice([b"[", b" ", b"0", b'{"resourceType":"Patient",']) * (1 << 24), 9)


def _npz(data: bytes, rng: random.Random) -> bytes:
    """Give an archive of arrays another header, or another array."""
    content = dict(np.load(io.BytesIO(data)))
    name = rng.choice(list(content))
    shapes: list[Any] = [np.zeros(0), np.zeros((2, 2)), np.array("a"), np.array([1.5]), np.zeros(3, np.uint64)]
    content[name] = rng.choice(shapes)
    out = io.BytesIO()
    np.savez_compressed(out, **content)
    return out.getvalue()


FORMS: dict[str, tuple[Mutation, ...]] = {
    "bytes": (some_bytes,),
    "text": (some_bytes, some_lines, some_lines),
    "json": (_json, _json, some_bytes),
    "json lines": (_json_lines, _json_lines, some_bytes, some_lines),
    "toml": (_toml, _toml, some_bytes, some_lines),
    "frame": (_frame, _frame, _frame, some_bytes),
    "safetensors": (_safetensors, _safetensors, some_bytes),
    "table": (_signed, _signed, _safetensors, some_bytes),
    "parquet": (_parquet, _parquet, _parquet, some_bytes),
    "gzip": (_gzip, _gzip, some_bytes, _bomb),
    "npz": (_npz, some_bytes, some_bytes),
}


def mutate(data: bytes, form: str, seeds: tuple[bytes, ...], rng: random.Random) -> bytes:
    """Break an input once, or some times; one that its format's mutations cannot take apart loses bytes instead."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        try:
            data = rng.choice(FORMS[form])(data, rng)
        except Exception:  # it is broken already
            data = some_bytes(data, rng)
    return splice(data, rng.choice(seeds), rng) if rng.random() < 0.05 else data


def splice(one: bytes, two: bytes, rng: random.Random) -> bytes:
    """Join the beginning of one input to the end of another."""
    return one[: rng.randrange(len(one) + 1)] + two[rng.randrange(len(two) + 1) :]

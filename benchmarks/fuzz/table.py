"""Embedding tables and what else holds arrays: trained models, caches of vectors, what a site remembers of cohorts."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch

from benchmarks.fuzz.configuration import _file
from benchmarks.fuzz.contract import Reader
from benchmarks.fuzz.wire import EMBEDDING
from client.cohorts.sketch import BUCKETS
from client.embedding.cache import VectorCache
from client.embedding.embedder import Origin
from client.embedding.importing import import_table
from client.embedding.texts import read_list
from client.told import _read as read_told
from common.concepts import Token
from common.embeddings import PROBE_PHRASES, load_table, make_table, save_table
from common.model import ConceptCNN
from common.shape import ModelShape
from common.trained.key import Key
from common.trained.model import TrainedModel, read_file, to_bytes

TOKENS = [Token("fever_P", "fever"), Token("fever_A", "Not fever"), Token("cough_P", "cough")]


def _made(probes: bool) -> bytes:
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(len(PROBE_PHRASES), 3)) if probes else None
    words = {"model": "m", "revision": "r", "pooling": "mean"}
    table = make_table(rng.normal(size=(3, 3)), TOKENS, key="text" if probes else "token", probes=drawn, **words)
    with tempfile.TemporaryDirectory() as folder:
        save_table(table, Path(folder) / "t")
        return (Path(folder) / "t").read_bytes()


def _use(path: Path) -> object:
    table = load_table(path)
    table.fingerprint()
    table.fingerprint("raw", "offset")
    return [table.select(TOKENS, kind) for kind in ("raw", "centred")]


def _hdf5() -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for name in ("C1 fever", "C1 Not fever", "agegroup_ls5 a child", "C2 cough"):
            file[name] = np.random.default_rng(len(name)).normal(size=(1, 3)).astype(np.float32)
    return out.getvalue()


def _import(path: Path) -> object:
    return import_table(path, model="m")


def _model() -> bytes:
    shape = ModelShape(filters=2)
    torch.manual_seed(1)
    weights = ConceptCNN(torch.zeros(3, 4), shape).state_dict()
    key = Key(**{name: 7 if name == "seed" else "x" for name in Key.__dataclass_fields__})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t").write_bytes(_made(True))
        known = load_table(Path(folder) / "t").fingerprint()
    return to_bytes(TrainedModel(key, weights, shape, EMBEDDING, 0.5, known, ("0123456789abcdef",), "small"))


_ORIGIN = Origin(**{name: "x" for name in Origin.__dataclass_fields__ if name != "more"}, more={})


def _cache(data: bytes, folder: Path) -> object:
    """Read a part; a damaged one is thrown away, and no error."""
    cache = VectorCache(folder, _ORIGIN)
    cache.folder.mkdir(parents=True, exist_ok=True)
    (cache.folder / "probes.safetensors").write_bytes(data)
    return cache.probes()


def _part() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        cache = VectorCache(Path(folder), _ORIGIN)
        cache.keep_probes(np.ones((2, 3), np.float32))
        return (cache.folder / "probes.safetensors").read_bytes()


def _told() -> bytes:
    out = io.BytesIO()
    zeros = np.zeros(BUCKETS, np.uint64)
    np.savez_compressed(out, train=zeros, validation=zeros, test=zeros)
    return out.getvalue()


def readers() -> list[Reader]:
    """Give every file of arrays."""
    listed = b"token,text\nfever_P,fever\nfever_A,Not fever\n"
    readings: list[tuple[str, str, tuple[bytes, ...], Callable[[Path], object]]] = [
        ("embedding table", "table", (_made(True), _made(False)), _use),
        ("HDF5 table", "bytes", (_hdf5(),), _import),
        ("list of texts", "text", (listed, b"\xef\xbb\xbf" + listed), read_list),
        ("trained model", "safetensors", (_model(),), read_file),
        ("cohorts told of", "npz", (_told(),), read_told),
    ]
    files = [Reader(name, form, seeds, _file("file", read)) for name, form, seeds, read in readings]
    return [*files, Reader("cache of vectors", "safetensors", (_part(),), _cache)]

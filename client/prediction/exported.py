"""Makes the files of an exported model, checks them, and writes them together or not at all.

Letters: V rows of the table, D embedding size, N encounters, L tokens.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.prediction.encounters import NewEncounters, read_new, shown
from client.prediction.scoring import check_kernel
from client.prediction.space import lay_over, open_space
from client.prediction.vocabulary import vocabulary_csv
from client.site_file import Site
from common.config import ONE_HOT
from common.embeddings import EmbeddingTable
from common.errors import ConfigError, TableError
from common.tasks import Embedding
from common.trained.agreement import check_onnx, compare, probabilities, random_encounters, random_table
from common.trained.card import card
from common.trained.graph import to_onnx
from common.trained.model import TrainedModel, to_bytes
from common.trained.opening import run_of

CARD, VOCABULARY = "MODEL_CARD.md", "vocabulary.csv"
_REAL = 2000  # of the site's own encounters, to check with
_SHOWN = 10  # tokens named
_ROWS, _LENGTH = 200, 70  # of a drawn table and of encounters, where there is no site


@dataclass(frozen=True, eq=False)
class Based:
    """A model, and what it is checked over.

    Attributes
    ----------
    table : Tensor
        float32 (V, D): the site's, or one that was drawn.
    sets : dict of str to Tensor
        int64 (N, L), encounters to check with, by what they are called.
    site : Site or None
    place : ndarray or None
        int64, the table's row of each token's number, where there is a site.
    source : str
        Where the site's table comes from.
    silent : tuple of str
        Names of tokens that the table has no row for and none of the site's encounters has: no token to the model.
    """

    model: TrainedModel
    table: Tensor
    sets: dict[str, Tensor]
    site: Site | None = None
    place: NDArray[np.int64] | None = None
    source: str = ""
    silent: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exported:
    """Files of an exported model by name, but for the card, and what is said of them."""

    model: TrainedModel
    files: dict[str, bytes]
    said: tuple[str, ...]
    agreement: str


def over_site(site: Site | None, model: TrainedModel) -> Based:
    """Put a model over a site's table and all of its vocabulary, or over a drawn table where there is no site.

    Raises
    ------
    TableError, CohortError, ConfigError
        The table is of another space or lacks a token; the site's own encounters cannot be read.
    """
    torch.set_num_threads(1)
    if site is None:
        table = random_table(_ROWS, model.dimension)
        return Based(model, table, {"random": random_encounters(_ROWS, max(_LENGTH, model.shape.kernel))})
    known, table_file = open_space(site, model)
    new = read_new(site, site.files[-1], known.embedding)
    wanted = shown(new.vocabulary, known.embedding)
    rows = {*_with_row(table_file, new, wanted, known.embedding), *new.used(known.embedding).tolist()}
    opened = lay_over([known], table_file, new.vocabulary, sorted(rows))
    check_kernel(opened, len(site.sources))
    _, real = next(new.blocks(opened.place, _REAL))
    table = opened.models[0].table
    sets = {"random": random_encounters(len(table), len(site.sources)), "real": real}
    source = f"{table_file.model}, revision {table_file.revision}"
    silent = tuple(new.vocabulary[number - 1].name for number in wanted if number not in rows)
    return Based(known, table, sets, site, opened.place, source, silent)


def _with_row(table: EmbeddingTable, new: NewEncounters, numbers: list[int], embedding: Embedding) -> list[int]:
    """Give those tokens, by number, that a table has a row for; halved until what it lacks is alone."""
    try:
        table.select([new.vocabulary[n - 1] for n in numbers], embedding.normalisation, embedding.shown)
    except TableError:
        half = len(numbers) // 2
        parts = (numbers[:half], numbers[half:]) if half else ()
        return [number for part in parts for number in _with_row(table, new, part, embedding)]
    return numbers


def as_onnx(based: Based) -> Exported:
    """Make an ONNX file; the table is in it where there is a site.

    Raises
    ------
    ConfigError
        The extra for it is not installed.
    SitebridgeError
        It does not give the trained model's scores.
    """
    baked = based.site is not None
    content = to_onnx(based.model, based.table if baked else None)
    agreement = check_onnx(content, based.model, based.table, baked, based.sets)
    what = "`model.onnx`: takes `tokens` (int64, encounters x tokens; rows of the table, 0 for no token)"
    also = "" if baked else " and `vectors` (float32, rows x numbers; row 0 zeros, normalised as below)"
    shape = based.model.shape
    columns = "classes" if shape.binary else shape.predicts.removeprefix("the ")  # with their names, in order
    said = (f"{what}{also}, gives `probabilities` (float64, encounters x {columns}). Checked: {agreement}.",)
    return Exported(based.model, {"model.onnx": content, **_beside(based)}, said + _notes(based, baked), agreement)


def as_safetensors(based: Based) -> Exported:
    """Make a safetensors file of the weights, with all that their use needs but the table.

    Raises
    ------
    SitebridgeError
        It does not give the trained model's scores.
    """
    content = to_bytes(based.model)
    read = safetensors.torch.load(content)
    again = TrainedModel(**{**vars(based.model), "weights": read}).over(based.table)
    found = {name: probabilities(again, tokens) for name, tokens in based.sets.items()}
    agreement = compare(found, based.model.over(based.table), based.sets)
    said = (f"`model.safetensors`: for `sitebridge predict --model`. It holds no table. Checked: {agreement}.",)
    return Exported(
        based.model, {"model.safetensors": content, **_beside(based)}, said + _notes(based, False), agreement
    )


def write_folder(out: Path, made: Exported, origin: Path) -> None:
    """Write the files and the card into a folder, which is there whole or not at all.

    Parameters
    ----------
    origin : Path
        Where the model was opened; a run's folder gives the card its figures.

    Raises
    ------
    ConfigError
        The folder is there and holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: already there and not empty; name another folder with --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        aside.chmod(0o755)
        for name, content in made.files.items():
            (aside / name).write_bytes(content)
        (aside / CARD).write_text(card(made.model, run_of(origin), made.said), encoding="utf-8")
        aside.replace(out)
    except BaseException:
        shutil.rmtree(aside)
        raise


def _beside(based: Based) -> dict[str, bytes]:
    if based.site is None or based.place is None:
        return {}
    return {VOCABULARY: vocabulary_csv(based.site, based.model.embedding, based.place).encode()}


def _notes(based: Based, baked: bool) -> tuple[str, ...]:
    """Say what the vocabulary is, and under whose terms the table is."""
    if based.site is None:
        return ()
    notes = [
        f"`{VOCABULARY}`: for each value of each of {based.site.name}'s columns the row of the table; an encounter's "
        "tokens are one row a concept, in this order."
    ]
    if based.silent:
        listed = ", ".join(based.silent[:_SHOWN]) + (" and others" if len(based.silent) > _SHOWN else "")
        notes.append(
            f"Tokens without a row in the table: {len(based.silent)} ({listed}). No encounter of the site has one; "
            "in the vocabulary they are row 0, no token, where `sitebridge predict` would refuse the file."
        )
    if baked and based.model.embedding.name != ONE_HOT:
        what = "numbers computed from vectors" if based.model.shape.kernel == 1 else "vectors"
        notes.append(
            f"The file holds {what} of {based.source}: its licence decides whether you may hand the file on. They were "
            "made from this site's words alone; no patient is in them."
        )
    return tuple(notes)

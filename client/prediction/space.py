"""Makes sure that a model and this site's table belong together, and puts the one over the other.

Letters: V rows of the table, D embedding size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from client.preparation import fingerprint, open_table
from client.site_file import Site
from common.concepts import Token
from common.config import ONE_HOT
from common.embeddings import EmbeddingTable
from common.errors import TableError
from common.model import ConceptCNN
from common.trained import TrainedModel

_DIGITS = 16  # of a fingerprint, noted when a site is greeted


@dataclass(frozen=True)
class Opened:
    """Models over rows of this site's table.

    Attributes
    ----------
    models : tuple of ConceptCNN
        One for each seed; all over one table, float32 (V, D).
    place : ndarray
        int64, the row of each token's number; 0 of no token.
    texts : list of str
        (V,), of each row; the first, of no token, is empty.
    """

    models: tuple[ConceptCNN, ...]
    place: NDArray[np.int64]
    texts: list[str]


def open_space(site: Site, model: TrainedModel) -> tuple[TrainedModel, EmbeddingTable]:
    """Open the site's table that a model was trained with, and check that it is of the same embedding space.

    Returns
    -------
    model : TrainedModel
        With the columns of one-hot, where the run did not note them.
    table : EmbeddingTable

    Raises
    ------
    TableError
        There is no table, it is of another space, or that cannot be known.
    """
    if model.embedding.name == ONE_HOT:
        known = _with_columns(site, model)
        return known, open_table(site, known.embedding)
    table = open_table(site, model.embedding)
    differences = _differences(table, model)
    if differences:
        raise TableError(
            f"{site.tables[model.embedding.name]}: not of the embedding space that the model was trained in: "
            f"{'; '.join(differences)}"
        )
    return model, table


def lay_over(
    models: Sequence[TrainedModel], table: EmbeddingTable, vocabulary: Sequence[Token], used: Sequence[int]
) -> Opened:
    """Put models, all of one embedding, over the table's rows of some tokens, as training does.

    Parameters
    ----------
    used : sequence of int
        Numbers of tokens, position in `vocabulary` + 1; a token that no encounter has needs no row.

    Raises
    ------
    TableError
        The table has no row for some of them, or another number of columns.
    """
    embedding = models[0].embedding
    tokens = [vocabulary[number - 1] for number in used]
    vectors = torch.from_numpy(table.select(tokens, embedding.normalisation, embedding.shown))
    place = np.zeros(len(vocabulary) + 1, dtype=np.int64)
    place[np.asarray(used, dtype=np.int64)] = np.arange(1, len(used) + 1)
    return Opened(tuple(model.over(vectors) for model in models), place, ["", *(token.text for token in tokens)])


def _differences(table: EmbeddingTable, model: TrainedModel) -> list[str]:
    embedding = model.embedding
    own = table.fingerprint(embedding.normalisation, embedding.shown)
    if model.fingerprint is not None:
        return model.fingerprint.difference(own)
    if own.digest[:_DIGITS] in model.greeted:
        return []
    if not model.greeted:
        return ["its run noted no fingerprint (events.jsonl), so that nobody can know; ask for the whole run folder"]
    return [
        f"its fingerprint is {own.digest[:_DIGITS]}, the run's sites had {', '.join(model.greeted)}; "
        "use the table file that the run used"
    ]


def _with_columns(site: Site, model: TrainedModel) -> TrainedModel:
    """Give one-hot the columns of the run: as noted or, where they must be this site's own tokens, these.

    The columns are the tokens of all the run's sites. Those of a site that was greeted are among them; where they are
    as many, they are all.
    """
    if model.embedding.vocabulary is not None:
        return model
    names = tuple(sorted({token.name for token in site.vocabulary}))
    greeted = fingerprint(site, model.embedding).digest[:_DIGITS] in model.greeted
    if not greeted or len(names) != model.dimension:
        raise TableError(
            f"{site.path}: the model's one-hot has {model.dimension} columns, which the run did not list "
            f"(events.jsonl); that they are this site's {len(names)} tokens is not known. Run it again with this "
            "version of Sitebridge"
        )
    return model.with_vocabulary(names)

"""The vocabulary of an exported model: which row of the table each value of each of the site's columns is."""

from __future__ import annotations

import csv
import io

import numpy as np
from numpy.typing import NDArray

from client.cohorts.cohort import number_tokens
from client.site_file import Site
from common.tasks import Embedding

HEADINGS = ("column", "concept", "value", "row", "token", "text")


def vocabulary_csv(site: Site, embedding: Embedding, place: NDArray[np.int64]) -> str:
    """Give the vocabulary as CSV: a line for each value of each concept, in the order of an encounter's tokens.

    Parameters
    ----------
    place : ndarray
        int64, the row of each token's number; 0 of no token, and of what the model is not shown.
    """
    vocabulary, numbers = number_tokens(site.sources, embedding.unknown)
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(HEADINGS)
    for source, own in zip(site.sources, numbers, strict=True):
        for value, number in own.items():
            row = int(place[number])
            named = [vocabulary[number - 1].name, vocabulary[number - 1].text] if row else ["", ""]
            writer.writerow([source.column, source.concept.code, value, row, *named])
    return content.getvalue()

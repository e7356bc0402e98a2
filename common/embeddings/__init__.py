"""Embedding tables: what a token means, as a frozen vector that a language model gave it.

Letters: V rows of the table (row 0 is "no token"), D embedding size, P probe phrases.
"""

from common.embeddings.files import builtin_table, load_table, save_table
from common.embeddings.fingerprint import Fingerprint
from common.embeddings.probes import PROBE_PHRASES
from common.embeddings.table import EmbeddingTable, make_table, one_hot

__all__ = [
    "PROBE_PHRASES",
    "EmbeddingTable",
    "Fingerprint",
    "builtin_table",
    "load_table",
    "make_table",
    "one_hot",
    "save_table",
]

"""The embedding table in memory: rows by token, and the normalisation that the classifier sees."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from common.concepts import OFFSET, SENTENCE, TEXT, Absence, Token, canonical_text
from common.embeddings.absence import place, width
from common.embeddings.centre import TARGET_NORM, centre_and_scale
from common.embeddings.checks import table_problems
from common.embeddings.fingerprint import Fingerprint, sketch_of
from common.embeddings.probes import PROBE_PHRASES
from common.errors import Problems, TableError

_SHOWN = 10  # missing tokens listed in an error

Floats = npt.NDArray[np.float32]
Key = Literal["text", "token"]


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """Vectors of tokens, raw as the model gave them, and how to normalise them. `make_table` builds one from rows.

    Parameters
    ----------
    vectors : float32 (V, D)
        Row 0 is zeros and stands for "no token".
    tokens : tuple of Token
        V - 1 of them; token i is row i + 1.
    key : {"text", "token"}
        How a row is found: by the token's canonical text (built tables) or by its name (imported tables, one-hot).
    model, revision, pooling : str
        Where the vectors come from.
    normalisation : {"centred", "raw"}
        What the table records as its own.
    centre : float32 (D,)
        Mean of the probe vectors or, without these, of rows 1 to V - 1.
    centre_of : {"probes", "table"}
        What the centre and the scale were taken from.
    scale : float
        Gives what the centre was taken from a mean norm of 4, once centred.
    probes : float32 (P, D) or None
        Raw vectors of `PROBE_PHRASES`.

    Raises
    ------
    TableError
        The parts do not fit together; every misfit is named.
    """

    vectors: Floats
    tokens: tuple[Token, ...]
    key: Key
    model: str
    revision: str
    pooling: str
    normalisation: str
    centre: Floats
    centre_of: str
    scale: float
    probes: Floats | None = None

    def __post_init__(self) -> None:
        problems = Problems(f"embedding table of {self.model}")
        problems.lines += table_problems(self)
        problems.raise_if_any(TableError)

    def rows(self, tokens: Sequence[Token]) -> npt.NDArray[np.int64]:
        """Find the row of each token.

        Returns
        -------
        int64 (len(tokens),)
            In the order asked; never 0.

        Raises
        ------
        TableError
            The table lacks some of the tokens; names the first 10 and says how many.
        """
        missing = [token for token in tokens if self.key_of(token) not in self._row_of]
        if missing:
            raise TableError(self._lacks(missing, len(tokens)))
        return np.array([self._row_of[self.key_of(token)] for token in tokens], dtype=np.int64)

    def normalised(self, normalisation: str | None = None) -> Floats:
        """Give the vectors that the classifier sees.

        Parameters
        ----------
        normalisation : {"raw", "centred"}, optional
            By default what the table records. "raw": as they are. "centred": ``(vector - centre) * scale``.

        Returns
        -------
        float32 (V, D)
            A copy. Row 0 is zeros.
        """
        if self._checked(normalisation) == "raw":
            return self.vectors.copy()
        centred = (self.vectors.astype(np.float64) - self.centre) * self.scale
        centred[0] = 0.0
        return centred.astype(np.float32)

    def select(self, tokens: Sequence[Token], normalisation: str | None = None, absence: Absence = TEXT) -> Floats:
        """Give the normalised vectors of `tokens`: row 0 zeros, token i in row i + 1.

        Parameters
        ----------
        absence : {"text", "sentence", "offset", "none"}
            How an absent finding is shown, see `common.embeddings.absence`. A table whose rows are found by name has
            no sentences: a token's own row is taken for its sentence's.

        Returns
        -------
        float32 (len(tokens) + 1, width)
            See `common.embeddings.absence.width`.

        Raises
        ------
        TableError
            The table lacks some of the tokens.
        """
        rows = self.rows([self._read(token, absence) for token in tokens])
        chosen: Floats = self.normalised(normalisation)[np.concatenate([np.zeros(1, np.int64), rows])]
        if absence not in (SENTENCE, OFFSET):
            return chosen
        absent = np.array([False, *(token.denied is not None for token in tokens)])
        return place(chosen, absent, absence, self._mean_norm(normalisation))

    def fingerprint(self, normalisation: str | None = None, absence: Absence = TEXT) -> Fingerprint:
        """Say which embedding space this is, normalised as given or as the table records, and how absence is shown."""
        labels: Sequence[str] = PROBE_PHRASES if self.probes is not None else ("centre",)
        sketched = self.probes if self.probes is not None else self.centre[None, :]
        return Fingerprint(
            model=self.model,
            revision=self.revision,
            pooling=self.pooling,
            normalisation=self._checked(normalisation),
            centre_of=self.centre_of,
            absence=absence,
            dimension=width(absence, self.vectors.shape[1]),
            sketch=sketch_of(sketched, labels),
            content=self._content() if self.probes is None else "",
        )

    def key_of(self, token: Token) -> str:
        """Give the word by which this table knows a token."""
        return token.name if self.key == "token" else canonical_text(token.text)

    def _read(self, token: Token, absence: Absence) -> Token:
        """Give the token whose row stands for `token`."""
        if absence == SENTENCE and token.sentence is not None and self.key == "text":
            return Token(token.name, token.sentence)
        return token.denied or token if absence == OFFSET else token

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {self.key_of(token): row for row, token in enumerate(self.tokens, start=1)}

    def _checked(self, normalisation: str | None) -> str:
        chosen = normalisation or self.normalisation
        if chosen not in ("raw", "centred"):
            raise TableError(f"no normalisation {chosen!r}; expected raw or centred")
        return chosen

    def _mean_norm(self, normalisation: str | None) -> float:
        """Mean norm of what the centre was taken from, so that every site has the same one: 4 where centred."""
        if self._checked(normalisation) == "centred":
            return TARGET_NORM
        return float(np.linalg.norm(self.vectors[1:] if self.probes is None else self.probes, axis=1).mean())

    def _content(self) -> str:
        """SHA-256 of every row with its key, in the order of the keys: the order of the rows does not matter."""
        digest = hashlib.sha256()
        for key, row in sorted(self._row_of.items()):
            digest.update(f"{key}\n".encode() + self.vectors[row].astype("<f4").tobytes())
        return digest.hexdigest()

    def _lacks(self, missing: Sequence[Token], asked: int) -> str:
        listed = "".join(f"\n  - {token.name}: {token.text}" for token in missing[:_SHOWN])
        more = f"\n  and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        way_out = (
            "build a table from this site's own file: sitebridge embed build MODEL --site site.toml --out FILE"
            if self.key == "text"
            else "rows are found by the token's name here, so use its names in the site file, or another table"
        )
        return (
            f"embedding table of {self.model}: no row for {len(missing)} of {asked} tokens; {way_out}. "
            f"Missing:{listed}{more}"
        )


def make_table(
    rows: npt.ArrayLike,
    tokens: Sequence[Token],
    *,
    key: Key,
    model: str,
    revision: str,
    pooling: str,
    probes: npt.ArrayLike | None = None,
    normalisation: str = "centred",
) -> EmbeddingTable:
    """Put a table together from one raw vector a token; centre and scale follow from `probes` or from the rows.

    Parameters
    ----------
    rows : float (V - 1, D)
        Raw vectors, in the order of `tokens`, without the zero row.
    probes : float (P, D), optional
        Raw vectors of `PROBE_PHRASES`.

    Raises
    ------
    TableError
        Rows and tokens do not fit together, a token comes twice, a number is not finite, or all rows are equal.
    """
    own = np.asarray(rows, dtype=np.float32)
    if own.ndim != 2 or not own.size:
        raise TableError(f"embedding table of {model}: expected rows of shape (V - 1, D). Got {own.shape} instead")
    asked = None if probes is None else np.asarray(probes, dtype=np.float32)
    centre, scale = centre_and_scale(own if asked is None else asked)
    return EmbeddingTable(
        vectors=np.concatenate([np.zeros((1, own.shape[1]), np.float32), own]),
        tokens=tuple(tokens),
        key=key,
        model=model,
        revision=revision,
        pooling=pooling,
        normalisation=normalisation,
        centre=centre,
        centre_of="table" if asked is None else "probes",
        scale=scale,
        probes=asked,
    )


def one_hot(tokens: Sequence[Token]) -> EmbeddingTable:
    """Give each token a column of its own, D = V - 1, in the order of the names: the same at every site that has them.

    Raises
    ------
    TableError
        A name comes twice, or there are fewer than two tokens.
    """
    ordered = sorted(tokens, key=lambda token: token.name)
    rows = np.eye(len(ordered), dtype=np.float32)
    return make_table(rows, ordered, key="token", model="one-hot", revision="none", pooling="one-hot")

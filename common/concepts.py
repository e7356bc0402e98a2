"""Clinical concepts, the tokens they give, and the concepts that ship with Sitebridge in two hospitals' wording.

A token is a concept with a value. What a language model reads is the token's text; what a vocabulary lists is its name.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from common.errors import ConfigError

PRESENT, ABSENT, UNKNOWN = "P", "A", "M"

Wording = Literal["paper", "own"]

# How an absent finding is shown to the classifier; what each does was measured, see docs/vocabularies.md.
Absence = Literal["text", "sentence", "offset", "none"]
TEXT: Absence = "text"  # a text of its own, "Not cough", as in the paper
SENTENCE: Absence = "sentence"  # "The patient does not have cough.", in D further coordinates
OFFSET: Absence = "offset"  # the finding's vector, and one coordinate more that says absent
NONE: Absence = "none"  # no token

SAID = "_sentence"  # ends the name of a token's sentence in a list or a table

_FINDING_VALUES = (PRESENT, ABSENT, UNKNOWN)
# The slash, the hyphen and its look-alikes (U+2010 to U+2015, minus): spreadsheets and editors swap them freely.
_SEPARATORS = re.compile("[/\u2010-\u2015\u2212-]")
_SHIPPED = Path(__file__).parent / "data" / "concepts.json"


@dataclass(frozen=True)
class Token:
    """A concept with a value.

    Parameters
    ----------
    name : str
        ``code_value``, such as ``C0013404_P``.
    text : str
        What a language model reads, such as ``dyspnea`` or ``Not dyspnea``.
    sentence : str, optional
        Of a finding that is present or absent: the same as a whole sentence.
    denied : Token, optional
        Of an absent finding: the token of the finding when it is present. What two tokens are is name and text alone.
    """

    name: str
    text: str
    sentence: str | None = field(default=None, compare=False, repr=False)
    denied: Token | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Concept:
    """A finding, a category, or a number cut into grades.

    Parameters
    ----------
    code : str
        The code a vocabulary knows it by.
    text : str
        Its name in words.
    values : mapping of str to str
        Empty for a finding, whose values are P, A and M. For a category or a graded number: each value's name and
        the sentence that stands for it.
    """

    code: str
    text: str
    values: Mapping[str, str] = field(default_factory=dict)

    def token(self, value: str) -> Token:
        """Give the token of this concept with `value`.

        Raises
        ------
        ConfigError
            This concept has no such value.
        """
        if value not in self.value_names():
            expected = ", ".join(self.value_names())
            raise ConfigError(f"concept {self.code} has no value {value!r}; expected one of {expected}")
        sentence = self.values.get(value)
        text = finding_text(self.text, value) if sentence is None else canonical_text(sentence)
        said = None if self.values else finding_sentence(self.text, value)
        denied = self.token(PRESENT) if value == ABSENT and not self.values else None
        return Token(f"{self.code}_{value}", text, said, denied)

    def tokens(self) -> tuple[Token, ...]:
        """Give every token of this concept: P, A, M of a finding; the values of a category, and M."""
        return tuple(self.token(value) for value in self.value_names())

    def value_names(self) -> tuple[str, ...]:
        """Names of the values it can take; "unknown" is always one of them."""
        if not self.values:
            return _FINDING_VALUES
        return (*self.values, *(() if UNKNOWN in self.values else (UNKNOWN,)))


def canonical_text(text: str) -> str:
    """Give the one spelling of a text that two sites agree on.

    Unicode NFKC, slashes and dashes as spaces, one space between words, none around them. Case is kept.
    """
    return " ".join(_SEPARATORS.sub(" ", unicodedata.normalize("NFKC", text)).split())


def finding_text(text: str, value: str) -> str:
    """Put a finding's value into words: "fever", "Not fever", "fever not mentioned".

    Raises
    ------
    ConfigError
        `value` is none of P, A, M.
    """
    text = canonical_text(text)
    said = {PRESENT: text, ABSENT: f"Not {text}", UNKNOWN: f"{text} not mentioned"}
    if value not in said:
        raise ConfigError(f"a finding has no value {value!r}; expected one of {', '.join(said)}")
    return said[value]


def finding_sentence(text: str, value: str) -> str | None:
    """Say a finding in a sentence: "The patient has fever." A model reads "not" better there; None for unknown."""
    said = {PRESENT: "The patient has {}.", ABSENT: "The patient does not have {}."}.get(value)
    return None if said is None else said.format(canonical_text(text))


def with_sentences(tokens: Collection[Token]) -> list[Token]:
    """Give what a language model has to read so that a table serves every way of showing absence."""
    sentences = [Token(token.name + SAID, token.sentence) for token in tokens if token.sentence is not None]
    return [*tokens, *sentences]


def builtin_concepts(wording: Wording = "paper") -> dict[str, Concept]:
    """Give the 69 findings, the graded temperature and the age group of the paper.

    Parameters
    ----------
    wording : {"paper", "own"}
        "own": the same concepts as another hospital writes them, with its own codes, texts and value names. No token
        text is in both wordings. The order of a concept's values is the same.

    Returns
    -------
    dict of str to Concept
        By the paper's code, in either wording.
    """
    if wording not in ("paper", "own"):
        raise ConfigError(f"no built-in wording {wording!r}; expected one of paper, own")
    return {entry["paper"]["code"]: _concept(entry[wording]) for entry in _shipped()}


def _concept(entry: dict[str, Any]) -> Concept:
    values = {name: canonical_text(text) for name, text in entry.get("values", {}).items()}
    return Concept(entry["code"], canonical_text(entry["text"]), values)


@lru_cache(maxsize=1)
def _shipped() -> list[dict[str, Any]]:
    content: dict[str, Any] = json.loads(_SHIPPED.read_text(encoding="utf-8"))
    entries: list[dict[str, Any]] = content["concepts"]
    return entries

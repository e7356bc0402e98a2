"""Sizes of a model, and what its outputs stand for.

Kept apart from the model, so that reading a configuration or a message needs no torch.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from common.toml import Declared

MOST = 100  # classes or labels
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_TAKEN = {"auroc", "auprc", "brier", "sensitivity", "specificity", "curve", "n", "positive", "low", "high", "from"} | {
    "intercept",
    "slope",
}


class ModelShape(Declared):
    """Sizes of a model; together with the embedding size they fix every array that may travel.

    Attributes
    ----------
    classes : 2 or tuple of str
        What an encounter is one of: two classes, positive or not; or as many as are named, in the order of the outputs.
        Of two that are named the second is the positive one.
    labels : tuple of str or None
        Instead of classes: what an encounter may have, each label or none of them.
    """

    filters: int = Field(default=100, ge=1, le=10_000)  # F
    kernel: int = Field(default=1, ge=1, le=64)  # K, tokens
    classes: Literal[2] | tuple[str, ...] = 2
    labels: tuple[str, ...] | None = None

    @field_validator("classes", mode="before")
    @classmethod
    def _named_classes(cls, value: Any) -> Literal[2] | tuple[str, ...]:
        return 2 if value == 2 and isinstance(value, int) else names_of(value, "2, or a list of classes by name")

    @field_validator("labels", mode="before")
    @classmethod
    def _named_labels(cls, value: Any) -> tuple[str, ...] | None:
        return None if value is None else names_of(value, "a list of labels by name")

    @model_validator(mode="after")
    def _one_of_both(self) -> ModelShape:
        if self.labels is not None and self.classes != 2:
            raise ValueError(
                "classes and labels: an encounter is one of the classes, or has some of the labels; name one"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is told apart, one for each output; none where that is two classes without a name."""
        return self.labels or (() if self.classes == 2 else self.classes)

    @property
    def outputs(self) -> int:
        """C, the model's outputs."""
        return len(self.names) or 2

    @property
    def binary(self) -> bool:
        """Whether an encounter is positive or not, and no more is asked."""
        return self.labels is None and self.outputs == 2

    @property
    def predicts(self) -> str:
        """What is predicted, in words."""
        kind = "labels" if self.labels else "classes"
        return f"the {kind} {', '.join(self.names)}" if self.names else "two classes, positive and negative"


def names_of(value: Any, expected: str) -> tuple[str, ...]:
    """Check the names of classes or labels, which go into the names of figures and files.

    Raises
    ------
    ValueError
        It is no list of two names or more, or a name cannot be used.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"must be {expected}. Got {value!r} instead")
    if not 2 <= len(value) <= MOST:
        raise ValueError(f"names {len(value)}; expected from 2 to {MOST}")
    for name in value:
        if _NAME.fullmatch(name) is None or name in _TAKEN:
            rule = "a-z, 0-9 and - within, at most 40, and no word that names a figure"
            raise ValueError(f"{name!r} cannot be the name of a class or label; expected {rule}")
    if len(set(value)) < len(value):
        raise ValueError(f"names {next(name for name in value if list(value).count(name) > 1)!r} twice; name it once")
    return tuple(value)

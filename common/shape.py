"""Sizes of a model; kept apart from the model, so that reading a configuration or a message needs no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.toml import Declared


class ModelShape(Declared):
    """Sizes of a model; together with the embedding size they fix every array that may travel."""

    filters: int = Field(default=100, ge=1, le=10_000)  # F
    kernel: int = Field(default=1, ge=1, le=64)  # K, tokens
    classes: Literal[2] = 2  # C

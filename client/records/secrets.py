"""Passwords that a site file names and never holds."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pydantic import model_validator

from common.errors import ConfigError
from common.toml import Declared, resolve

_EXPECTED = 'expected where it lies, { env = "NAME" } or { file = "/path" }; the site file never holds it'


class Secret(Declared):
    """Where a password lies: in an environment variable or in a file. What is found there is never kept or shown."""

    env: str | None = None
    file: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_place(cls, value: Any) -> Any:
        """Refuse all else in words that do not quote it, as it may be the password itself."""
        if isinstance(value, Secret):
            return value
        if not isinstance(value, dict) or len(value) != 1 or set(value) - {"env", "file"}:
            raise ValueError(_EXPECTED)
        named = next(iter(value.values()))
        if not isinstance(named, str) or not named or ("env" in value and not re.fullmatch(r"[A-Za-z_]\w*", named)):
            raise ValueError(_EXPECTED)
        return value

    def read(self, folder: Path, key: str) -> str:
        """Give the password.

        Parameters
        ----------
        folder : Path
            What the file is relative to.
        key : str
            Of the site file, for messages.

        Raises
        ------
        ConfigError
            The variable is not set, or the file cannot be read or is empty.
        """
        if self.env is not None:
            found = os.environ.get(self.env, "")
            if not found:
                raise ConfigError(f"{key}.env: the environment variable that it names is not set; set it and try again")
            return found
        try:
            found = resolve(self.file or "", folder).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"{key}.file: cannot be read as a text file; expected the password alone") from None
        if not found:
            raise ConfigError(f"{key}.file: is empty; expected the password alone")
        return found

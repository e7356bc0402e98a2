"""Reads a TOML file into a declared model; every mistake in the file is named at once."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from common.errors import ConfigError, Problems

_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Declared(BaseModel):
    """A frozen section of a configuration file; a key that it does not declare is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=Declared)


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read and check one file.

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or does not fit `model`. Names every key at fault.
    """
    return check(parse(path), model, str(path))


def parse(path: Path) -> dict[str, Any]:
    """Read a TOML file without checking its keys.

    Raises
    ------
    ConfigError
        The file is missing or is not TOML.
    """
    try:
        refuse_replaced(path)
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{path}: cannot be read as a text file; expected TOML in UTF-8") from None
    except RecursionError:
        raise ConfigError(
            f"{path}: not valid TOML: lists and tables lie deeper in each other than any key needs"
        ) from None
    except ValueError as error:  # tomllib's own, or a number of thousands of digits
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def refuse_replaced(path: Path) -> None:
    """Refuse a file that was mounted into a container by itself and has been replaced outside since.

    Editors write a new file and rename it; the container keeps the old one, which then has no name anywhere.

    Raises
    ------
    ConfigError
        The file is such a one.
    """
    if path.stat().st_nlink == 0:
        raise ConfigError(
            f"{path}: was replaced outside of this container, which still sees the old one; restart the container"
        )


def check(content: dict[str, Any], model: type[Model], subject: str) -> Model:
    """Check a parsed file against `model`; `subject` names the file in the error."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = Problems(subject)
        for detail in error.errors(include_url=False):
            problems.add(_explain(detail, model))
        problems.fail(ConfigError)


def resolve(name: str, base: Path) -> Path:
    """Expand ``${VARIABLE}`` in a path of a configuration file and anchor it at `base`.

    Raises
    ------
    ConfigError
        A variable that the path names is not set, or no file can have this path.
    """
    missing = [v for v in _VARIABLE.findall(name) if not os.environ.get(v)]
    if missing:
        raise ConfigError(f"{name}: the environment variable {missing[0]} is not set; set it to a folder's path")
    try:
        found = (base / _VARIABLE.sub(lambda match: os.environ[match[1]], name)).resolve()
        with suppress(PermissionError):  # said when it is opened
            found.exists()
    except (ValueError, OSError, RuntimeError):  # a NUL, a name too long, links that lead in a circle
        raise ConfigError(f"{name}: no file can be reached by this path; correct it") from None
    return found


def _explain(detail: Any, model: type[BaseModel]) -> str:
    """Turn one of pydantic's findings into a line with the key, the rule and, for a typing slip, the likely key."""
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(detail["loc"][-1]), _keys(model, detail["loc"][:-1]), n=1)
        parent = ".".join(str(part) for part in detail["loc"][:-1])
        hint = f"; did you mean {parent + '.' if parent else ''}{near[0]}?" if near else ""
        return f"unknown key {key}{hint}"
    if detail["type"] == "missing":
        return f"key {key} is missing"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if detail["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key} {message}. Got {detail['input']!r} instead"


def _keys(model: Any, location: tuple[int | str, ...]) -> list[str]:
    """Keys that the section at `location` declares; empty where the section is not a model."""
    for part in location:
        fields = getattr(model, "model_fields", {})
        if part in fields:  # otherwise the name of an entry, or its number: the section stays
            model = _section(fields[part].annotation)
    return list(getattr(model, "model_fields", {}))


def _section(annotation: Any) -> Any:
    """Give the model inside an annotation such as ``dict[str, Section]`` or ``Section | None``."""
    for inner in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return annotation

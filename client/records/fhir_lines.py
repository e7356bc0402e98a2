"""The lines of a bulk export (NDJSON): one resource each, read one at a time; what is broken is named by its line."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from common.errors import CohortError, ConfigError, Problems

try:
    import orjson
except ImportError:  # said by `files`: a site file of another kind needs none
    orjson = None  # type: ignore[assignment]

Resource: TypeAlias = dict[str, Any]

LONGEST = 64 << 20  # bytes of a line
SHOWN = 5  # line numbers in a message
CUT = "not JSON, or cut short; expected one resource a line, so export it again:"
NO_RESOURCE = 'no JSON object with a "resourceType"; expected one resource a line:'
BUNDLE = "a Bundle; expected one resource a line:"
_TYPE = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]+)"')
_MARK = b"\xef\xbb\xbf"


class Faults:
    """Everything wrong with one file of an export, by line.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._lines: dict[str, tuple[int, list[int]]] = {}

    def add(self, wrong: str, line: int) -> None:
        """Note what is wrong with a line; says no value of it."""
        count, first = self._lines.get(wrong, (0, []))
        self._lines[wrong] = (count + 1, first if count >= SHOWN else [*first, line])

    def raise_if_any(self) -> None:
        """Raise a `CohortError` with everything noted, if there is something."""
        problems = Problems(self._name)
        for wrong, (count, first) in self._lines.items():
            more = f" and {count - SHOWN} more" if count > SHOWN else ""
            problems.add(f"{wrong} line{'s' if count > 1 else ''} {', '.join(map(str, first))}{more}")
        problems.raise_if_any(CohortError)


def files(folder: Path) -> list[Path]:
    """Give the files of an export, in the order of their names.

    Raises
    ------
    ConfigError
        The package that reads JSON is missing.
    CohortError
        There is no such file.
    """
    if orjson is None:
        raise ConfigError("reading FHIR needs the extra: pip install 'sitebridge[records]'")
    found = sorted(path for path in folder.glob("*") if path.name.lower().endswith((".ndjson", ".ndjson.gz")))
    if not found:
        raise CohortError(f"{folder}: no file that ends in .ndjson or .ndjson.gz; name the folder of a bulk export")
    return found


def resources(path: Path, types: frozenset[str], faults: Faults) -> Iterator[tuple[int, Resource]]:
    """Give the resources of some types, each with the number of its line; others are not even parsed.

    Raises
    ------
    CohortError
        The file cannot be read to its end. Lines that are broken are noted in `faults`.
    """
    wanted = frozenset(name.encode() for name in types)
    for number, line in lines(path):
        if not wanted.isdisjoint(_TYPE.findall(line)):
            resource = parse(line, number, faults)
            if resource is not None and resource["resourceType"] in types:
                yield number, resource


def types_of(line: bytes) -> list[str]:
    """Give the types of the resource in a line, and of those within it, without parsing; empty where it needs that."""
    return [name.decode() for name in _TYPE.findall(line)] if line.startswith(b"{") and line.endswith(b"}") else []


def parse(line: bytes, number: int, faults: Faults) -> Resource | None:
    """Give the resource of a line, or note what is wrong with it."""
    try:
        resource = orjson.loads(line)
    except orjson.JSONDecodeError:  # its text may quote the line
        faults.add(CUT, number)
        return None
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        faults.add(NO_RESOURCE, number)
        return None
    if resource["resourceType"] == "Bundle":
        faults.add(BUNDLE, number)
        return None
    return resource


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Give the lines that are not blank, with their numbers.

    Raises
    ------
    CohortError
        The file cannot be opened, its compression breaks off, or a line is longer than `LONGEST`.
    """
    number = 0
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            while line := file.readline(LONGEST):
                number += 1
                if len(line) == LONGEST:
                    raise CohortError(f"{path.name}: line {number} is longer than 64 MB; expected one resource a line")
                line = (line.removeprefix(_MARK) if number == 1 else line).strip()
                if line:
                    yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise CohortError(f"{path.name}: cut short or damaged after line {number}; copy or export it again") from None
    except OSError:
        raise CohortError(f"{path.name}: cannot be read; check that it is a file that this user may read") from None

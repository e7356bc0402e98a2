"""The site file: what a hospital's table means, how it is split, which embedding tables there are, what is allowed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from client.cohorts.cells import refuse
from client.cohorts.concepts import Source, find_sources
from client.cohorts.reader import KINDS, read_header
from client.cohorts.section import CohortSection
from client.cohorts.spelling import OTHERS
from client.cohorts.splits import SplitPlan
from client.policy import Policy
from common.concepts import Concept, Token
from common.embeddings import builtin_table
from common.errors import CohortError, ConfigError, Problems, SitebridgeError
from common.toml import Declared, check, parse, resolve

BUILTIN = "builtin:"  # before the name of a shipped embedding table

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class SiteFile(Declared):
    """A site file, as it is written.

    Attributes
    ----------
    name : str
        The site's name in the federation.
    cohort : CohortSection
    split : SplitPlan
    tables : dict of str to str
        The site's table file for each embedding that the federation names.
    policy : Policy
    """

    name: str
    cohort: CohortSection
    split: SplitPlan
    tables: dict[str, str] = Field(default_factory=dict)
    policy: Policy = Policy()

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a site's name; expected a-z, 0-9 and -, at most 64, not starting with -")
        return name

    @model_validator(mode="after")
    def _agree(self) -> SiteFile:
        """Check what no section can say by itself."""
        faults = []
        if self.split.by == "hash" and self.cohort.id is None and self.cohort.patient is None:
            faults.append('cohort.id is needed with split.by = "hash"; name the column that names an encounter')
        if self.split.by == "file" and self.cohort.test_file is None:
            faults.append('cohort.test_file is needed with split.by = "file"')
        if self.split.by != "file" and self.cohort.test_file is not None:
            by = self.split.by
            faults.append(f'cohort.test_file is not read with split.by = "{by}"; use by = "file" or remove test_file')
        for column, key in self.cohort.columns():
            if column == self.split.column and key != "findings.ignore":
                both = f"cohort.{key} and split.column"
                faults.append(f'the column "{column}" is named by {both}; a column has one meaning')
        refuse("SiteFile", faults)
        return self


@dataclass(frozen=True)
class Site:
    """A checked site file, with its paths resolved.

    Attributes
    ----------
    path : Path
        The site file.
    file : SiteFile
    name : str
    concepts : tuple of Concept
        In the order of the site file: findings, categories, grades.
    vocabulary : tuple of Token
        Every token of the concepts, "unknown" included.
    tables : dict of str to Path
        The file of each embedding table.
    policy : Policy
    files : tuple of Path
        The cohort's file and, with ``split.by = "file"``, the test file.
    sources : tuple of Source
        For each concept, its column and how the column is read.
    """

    path: Path
    file: SiteFile
    name: str
    concepts: tuple[Concept, ...]
    vocabulary: tuple[Token, ...]
    tables: dict[str, Path]
    policy: Policy
    files: tuple[Path, ...]
    sources: tuple[Source, ...]


def load_site(path: Path) -> Site:
    """Read and check a site file. Of the data, at most the header is read.

    The file is checked by itself first, then against what it names: files, the header, built-in concepts.

    Raises
    ------
    ConfigError
        Names everything that is wrong.
    """
    file = _read(path)
    problems = Problems(str(path))
    files = _data_files(file.cohort, path.parent, problems)
    tables = {name: _table(name, where, path.parent, problems) for name, where in file.tables.items()}
    sources = find_sources(file.cohort, _others(file, files, problems), problems)
    problems.raise_if_any(ConfigError)
    concepts = tuple(source.concept for source in sources)
    vocabulary = tuple(token for concept in concepts for token in concept.tokens())
    return Site(path, file, file.name, concepts, vocabulary, tables, file.policy, files, sources)


def _read(path: Path) -> SiteFile:
    """Read a site file; what it leaves to a cohort's definition is filled in from there."""
    content = parse(path)
    cohort = content.get("cohort")
    if not isinstance(cohort, dict) or "definition" not in cohort:
        if "records" in content:
            raise ConfigError(f"{path}: [records] is read only with cohort.definition; name a definition, or remove it")
        return check(content, SiteFile, str(path))
    from client.extraction.site import DefinedSiteFile, read_sections  # only a site with records needs it

    content.pop("records", None)  # for `extract` alone: the agent needs neither its libraries nor its passwords
    written = check(content, DefinedSiteFile, str(path))
    try:
        section, split = read_sections(written, path.parent)
    except CohortError as error:
        raise ConfigError(f"{path}: cohort.file: {error}") from None
    rest = {"name": written.name, "tables": written.tables, "policy": written.policy}
    return check({"cohort": section, "split": split} | rest, SiteFile, str(path))


def _data_files(cohort: CohortSection, folder: Path, problems: Problems) -> tuple[Path, ...]:
    named = {"cohort.file": cohort.file, "cohort.test_file": cohort.test_file}
    files = []
    for key, name in named.items():
        if name is not None:
            found = _existing(key, name, folder, problems)
            if found.suffix.lower() not in KINDS:
                problems.add(f'{key}: expected a name that ends in {" or ".join(KINDS)}. Got "{name}" instead')
            files.append(found)
    if len(set(files)) < len(files):
        problems.add("cohort.test_file is the same file as cohort.file; the test part must be encounters of its own")
    return tuple(files)


def _table(name: str, where: str, folder: Path, problems: Problems) -> Path:
    """Resolve a path; whether a table is there matters when it is opened: a run uses some, `embed build` makes one."""
    try:
        return builtin_table(where.removeprefix(BUILTIN)) if where.startswith(BUILTIN) else resolve(where, folder)
    except SitebridgeError as error:
        problems.add(f"tables.{name}: {error}")
        return folder / where


def _existing(key: str, name: str, folder: Path, problems: Problems) -> Path:
    """Resolve a path of the file; a problem where there is no such file."""
    try:
        found = resolve(name, folder)
    except ConfigError as error:
        problems.add(f"{key}: {error}")
        return folder / name
    if not found.is_file():
        problems.add(f"{key}: no such file: {found}")
    return found


def _others(file: SiteFile, files: tuple[Path, ...], problems: Problems) -> list[str]:
    """Give the columns that no key names, where the file asks for them."""
    findings = file.cohort.findings
    if findings is None or findings.columns != OTHERS or not os.path.isfile(files[0]):  # of any name, without an error
        return []
    try:
        header = read_header(files[0])
    except CohortError as error:
        problems.add(f"cohort.file: {error}")
        return []
    for key, label in file.cohort.predicted().items():
        if label.column not in header:  # most likely no header at all, and a patient in the first line
            wanted = f'no column "{label.column}" (cohort.{key}.column)'
            problems.add(f"{files[0].name}: {wanted}; does it begin with a header?")
            return []
    named = {column for column, _ in file.cohort.columns()} | set(file.cohort.where) | {file.split.column}
    others = [column for column in header if column not in named]
    if "" in others:
        problems.add(f'{files[0].name}: a column has no name; give it one, or add "" to cohort.findings.ignore')
    if not others:
        problems.add('cohort.findings.columns is "others", but every column of the file is named elsewhere')
    return [*dict.fromkeys(others)]

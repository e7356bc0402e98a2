"""Makes the parts of a study, several at a time, and goes on where it was cut off."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from itertools import groupby
from multiprocessing import active_children, get_context
from pathlib import Path

from common.errors import ConfigError
from common.files import write_atomically
from server.progress import progress
from study.config import Study
from study.parts import Part, cells_in, make, parts_of

CELLS, FILE = "cells", "study.json"
_LOOK = 2.0  # seconds between two looks at what is there


def run(study: Study, folder: Path, jobs: int) -> None:
    """Make what is missing of a study.

    Parameters
    ----------
    folder : Path
        New, or of the same study, cut off or complete.
    jobs : int
        Processes; the result does not depend on how many.

    Raises
    ------
    ConfigError
        The folder holds something else, or the study file was changed since.
    SitebridgeError
        A site's file, cohort or table cannot be used.
    """
    _claim(study, folder)
    missing = [part for part in parts_of(study) if not (folder / CELLS / f"{part.name}.csv").exists()]
    benches = [list(some) for _, some in groupby(missing, lambda part: (part.preset, part.embedding))]
    with progress(sum(cells_in(study, part) for part in missing), "reading sites") as advance:
        if jobs == 1:
            for parts in benches:
                for part in make(study, parts, folder / CELLS):
                    advance(part.name)
            return
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            try:
                waiting = [pool.submit(_make, study, parts, folder / CELLS) for parts in benches]
                _watch(waiting, study, missing, folder / CELLS, advance)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for child in active_children():  # what is whole is on disk, and the rest is minutes away
                    child.terminate()
                raise


def _watch(
    waiting: list[Future[None]], study: Study, missing: list[Part], folder: Path, advance: Callable[[str], None]
) -> None:
    """Tell of parts as their files appear, until all are there; raise what one of them raises."""
    left = list(missing)
    while left:
        for each in wait(waiting, _LOOK, FIRST_EXCEPTION).done:
            each.result()
        for part in [part for part in left if (folder / f"{part.name}.csv").exists()]:
            for _ in range(cells_in(study, part)):
                advance(part.name)
            left.remove(part)


def _make(study: Study, parts: list[Part], folder: Path) -> None:
    for _ in make(study, parts, folder):
        pass


def _claim(study: Study, folder: Path) -> None:
    """Write down which study a folder is of, or check that it is this one."""
    content = json.dumps(study.model_dump(mode="json"), indent=1) + "\n"
    if (folder / FILE).exists():
        if (folder / FILE).read_text() != content:
            raise ConfigError(f"{folder}: holds another study, or this one before its file was changed; name another")
        return
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: already there and not empty; name another folder with --out")
    (folder / CELLS).mkdir(parents=True, exist_ok=True)
    write_atomically(folder / FILE, content)

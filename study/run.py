"""Makes the parts of a study, several at a time, and goes on where it was cut off."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from common.errors import ConfigError
from common.files import write_atomically
from server.progress import progress
from study.config import Study
from study.parts import Part, cells_in, make, parts_of

CELLS, FILE = "cells", "study.json"


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
    with progress(sum(cells_in(study, part) for part in missing), "reading sites") as advance:
        if jobs == 1:
            for part in missing:
                for _ in make(study, part, folder / CELLS):
                    advance(part.name)
            return
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            waiting = {pool.submit(_make, study, part, folder / CELLS): part for part in missing}
            try:
                for done in as_completed(waiting):
                    for _ in range(done.result()):
                        advance(waiting[done].name)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _make(study: Study, part: Part, folder: Path) -> int:
    return sum(1 for _ in make(study, part, folder))


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

"""Makes the cases of an audit, several at a time, and goes on where it was cut off."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from attacks.bench import bench_of
from attacks.config import Audit, Case
from attacks.noise import trainer_of
from attacks.parts import STEPS, make
from attacks.trainers import Trainer
from common.errors import ConfigError
from common.files import write_atomically
from server.progress import progress

CASES, FILE = "cases", "audit.json"


def run(audit: Audit, folder: Path, jobs: int = 1, trainer: Trainer | None = None) -> None:
    """Make what is missing of an audit.

    Parameters
    ----------
    folder : Path
        New, or of the same audit, cut off or complete.
    jobs : int
        Processes; the result does not depend on how many.
    trainer : Trainer, optional
        How sites train; as the federation asks for.

    Raises
    ------
    ConfigError
        The folder holds something else, or a site has too few encounters.
    SitebridgeError
        A site's file, cohort or table cannot be used.
    """
    chosen = trainer or trainer_of(audit.federation.privacy)
    missing = [case for case in audit.cases if not (folder / CASES / f"{case.name}.json").exists()]
    if missing:
        bench_of(audit, chosen).check(missing, audit.finding)
    _claim(audit, folder, chosen)
    with progress(len(missing) * STEPS, "reading sites") as advance:
        if jobs == 1:
            for case in missing:
                for done in make(audit, case, chosen, folder / CASES):
                    advance(done)
            return
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            waiting = {pool.submit(_make, audit, case, chosen, folder / CASES): case for case in missing}
            try:
                for future in as_completed(waiting):
                    for done in future.result():
                        advance(done)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _make(audit: Audit, case: Case, trainer: Trainer, folder: Path) -> list[str]:
    return list(make(audit, case, trainer, folder))


def _claim(audit: Audit, folder: Path, trainer: Trainer) -> None:
    """Write down which audit a folder is of, or check that it is this one."""
    content = json.dumps({"defence": trainer.defence} | audit.model_dump(mode="json"), indent=1) + "\n"
    if (folder / FILE).exists():
        if (folder / FILE).read_text() != content:
            raise ConfigError(f"{folder}: holds another audit, or this one with other options; name another with --out")
        return
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: already there and not empty; name another folder with --out")
    (folder / CASES).mkdir(parents=True, exist_ok=True)
    write_atomically(folder / FILE, content)

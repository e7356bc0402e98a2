"""Opens models: from a run's folder, from a file of weights in one, or from a file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from common.trained.choosing import Asked, choose
from common.trained.model import TrainedModel, read_file
from common.trained.run import RunModels


def open_models(path: Path, asked: Asked) -> list[TrainedModel]:
    """Give the model that is meant; one for each seed where all are.

    Parameters
    ----------
    path : Path
        A run's folder, a file of its weights, or a file that `sitebridge export --form safetensors` wrote.

    Raises
    ------
    ConfigError
        There is no such model, or several are as was said; lists them.
    """
    run = run_of(path)
    if run is not None:
        return run.open(asked, "" if path.is_dir() else path.stem)
    model = read_file(path)
    choose([model.key], Asked(**{**vars(asked), "at": ""}), str(path))
    return [model]


def run_of(path: Path) -> RunModels | None:
    """Give the run whose folder this is, or in whose folder this file of weights is."""
    if path.is_dir():
        return RunModels(path)
    folder = path.resolve().parent
    inside = folder.name == "weights" and (folder.parent / "federation.toml").is_file()
    return RunModels(folder.parent) if inside else None

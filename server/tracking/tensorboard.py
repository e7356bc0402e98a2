"""Writes a run as TensorBoard reads it: a folder for each training over rounds and for each model at a site."""

from __future__ import annotations

from pathlib import Path

from common.errors import ConfigError
from server.report.folder import RunFolder
from server.tracking.series import Parameter, Points, Scored, parameters, rounds, scored

_LAST = 0  # the step of what has one value


def write(run: RunFolder, folder: Path) -> int:
    """Write all of a run; give how many folders that made.

    Raises
    ------
    ConfigError
        The run's folder cannot be read, or TensorBoard is not installed.
    """
    try:
        import tensorboard  # type: ignore[import-untyped]  # noqa: F401  # torch's own message does not name our extra
    except ImportError:
        raise ConfigError("tracking needs the extra: pip install 'sitebridge[tracking]'") from None
    settings, models, trainings = parameters(run.federation), list(scored(run)), list(rounds(run))
    for name, series in trainings:
        _write_rounds(folder / name, series)
    for model in models:
        _write_model(folder / model.name, model, settings)
    return len(trainings) + len(models)


def _write_rounds(folder: Path, series: dict[str, Points]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder) as writer:
        for tag, points in series.items():
            for number, value in points.items():
                writer.add_scalar(tag, value, number)


def _write_model(folder: Path, model: Scored, settings: dict[str, Parameter]) -> None:
    """Write a model's figures as scalars, and beside its parameters as TensorBoard's table of experiments has them."""
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    with SummaryWriter(folder) as writer:
        file = writer._get_file_writer()
        for summary in hparams(settings | model.about, model.figures):  # type: ignore[no-untyped-call]
            file.add_summary(summary)
        for tag, value in model.figures.items():
            writer.add_scalar(tag, value, _LAST)
        if model.said:
            writer.add_text("note", model.said, _LAST)

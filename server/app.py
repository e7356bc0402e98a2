"""The ServerApp: reads the federation's file and runs it over whatever grid Flower hands in.

The run configuration carries two paths and no more: ``federation``, the file, and ``out``, the run's folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from common.config import load_federation
from common.errors import ConfigError, SitebridgeError
from server.aggregation import check_aggregation
from server.events import Events
from server.progress import progress
from server.results import JOURNAL, new_folder
from server.run import FederatedRun, steps

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run a federation."""
    path = Path(str(context.run_config.get("federation", "")))
    out = str(context.run_config.get("out", ""))
    if not path.is_absolute() or not Path(out).is_absolute():
        # Flower's own processes keep the folder that they were started in: a relative path would mean another file.
        raise ConfigError("run configuration: 'federation' and 'out' must be absolute paths")
    federation = load_federation(path)
    check_aggregation(federation)
    folder = Path(out) if (Path(out) / JOURNAL).is_dir() else new_folder(Path(out))  # a run that was cut off goes on
    with progress(steps(federation)) as advance, _ending(folder):
        FederatedRun(federation, grid, folder, folder.name, advance).execute()


@contextmanager
def _ending(folder: Path) -> Iterator[None]:
    """Note how the run ended, in words for the coordinator; off this machine nobody reads an exception."""
    events = Events(folder)
    try:
        yield
    except SitebridgeError as error:
        events.write("end", ok=False, text=str(error))
        raise
    except OSError as error:  # a disk that is full takes no note of it either; whoever follows the run looks there
        with suppress(OSError):
            events.write("end", ok=False, text=f"coordinator: {error.strerror or error}: {error.filename or folder}")
        raise
    except Exception as error:
        events.write("end", ok=False, text=f"coordinator: {type(error).__name__}; its log has the details")
        raise
    events.write("end", ok=True, text="")

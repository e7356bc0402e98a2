"""A whole run through relays, sockets and agents' services gives the bits of a simulation, and is told of in full."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import tomli_w
from flwr.app import Context, Message, RecordDict

from client.approvals import approve
from client.audit import totals, verify
from client.service import serve
from common.config import Federation
from common.grid import InProcessGrid
from server.app import app
from server.simulate import run

NAMES = ("allegheny", "salt-lake")


@contextmanager
def serving(folders: list[Path]) -> Iterator[None]:
    """Run the agents of some sites' folders."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=serve, args=(folder / "site.toml", folder / "agent", folder / "s", stop))
        for folder in folders
    ]
    for thread in threads:
        thread.start()
    try:
        until = time.monotonic() + 60
        while not all((folder / "s").is_socket() for folder in folders):
            assert time.monotonic() < until
            time.sleep(0.01)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def test_relays_and_agents_give_the_bits_of_a_simulation(
    federation: Callable[..., Federation], hospitals: Path, tmp_path: Path
) -> None:
    """Every task of a run passes a steward's approval of its file, and the audit logs hold every message."""
    both = {"sources": list(NAMES), "targets": []}
    prox = {"name": "FedProx", "options": {"proximal_mu": 0.1}}
    changes = {"embeddings": ["one-hot"], "aggregation": prox}
    checked = federation(**changes, directions=[both, {"sources": [NAMES[0]], "targets": [NAMES[1]]}])
    run(checked, tmp_path / "federation.toml", tmp_path / "simulated")

    sent = tmp_path / "sent.toml"
    sent.write_text(tomli_w.dumps(checked.model_dump(exclude_none=True) | {"sites": {name: {} for name in NAMES}}))
    folders = [site_folder(hospitals, name, tmp_path / name, sent) for name in NAMES]
    grid = InProcessGrid({name: {"agent-socket": str(tmp_path / name / "s")} for name in NAMES})
    messages: list[Message] = []
    grid.observers.append(messages.append)
    with serving(folders):
        config = {"federation": str(sent), "out": str(tmp_path / "deployed")}
        app(grid, Context(0, 1, {}, RecordDict(), config))

    one, other = (pd.read_json(tmp_path / name / "results.json", typ="series") for name in ("simulated", "deployed"))
    assert one["weights"] == other["weights"]
    assert one["results"] == other["results"]
    assert sum(total.messages for folder in folders for total in totals(folder / "agent")) == len(messages)
    assert [verify(folder / "agent") for folder in folders] == [[], []]


def site_folder(hospitals: Path, name: str, folder: Path, sent: Path) -> Path:
    """Make a site's folder whose steward has approved the federation."""
    folder.mkdir()
    for file in hospitals.glob(f"{name}.*"):
        shutil.copy(file, folder)
    text = (folder / f"{name}.toml").read_text().split("[policy]")[0]
    (folder / "site.toml").write_text(text + '[policy]\napproval = true\nfederations = ["small"]\nmax_change = 100\n')
    approve(folder, sent, "A. Steward")
    return folder

"""The same apps under Flower's own simulation runtime: the same bits as in process."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tomli_w

from common.config import load_federation
from server.simulate import run

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@pytest.fixture
def superlink(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A SuperLink of our own, ended at the end; gives the environment that finds it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path / "flwr"
    home.mkdir()
    connection = {"address": f"127.0.0.1:{port}", "insecure": True}
    (home / "config.toml").write_text(tomli_w.dumps({"superlink": {"default": "test", "test": connection}}))
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **QUIET, "FLWR_HOME": str(home), "PATH": path}
    command = [str(BIN / "flower-superlink"), "--insecure", "--simulation", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "superlink.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
        try:
            wait_for(port)
            yield environment
        finally:
            process.terminate()
            process.wait(30)


def wait_for(port: int) -> None:
    """Wait until a port answers."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the SuperLink did not start within a minute")


def flower_run(superlink: dict[str, str], path: Path, folder: Path) -> Path:
    """Run a federation file of up to three nodes under Flower's simulation; give the run's folder."""
    out = folder / "flower"
    # The app that `flwr run` sends is the manifest alone: neither side's code travels.
    app = folder / "app"
    app.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, app / name)
    config = f'federation="{path}" out="{out}"'
    command = [str(BIN / "flwr"), "run", str(app), "--run-config", config, "--federation-config", "num-supernodes=3"]
    subprocess.run([*command, "--stream"], env=superlink, cwd=folder, timeout=600, check=True, capture_output=True)
    return out


@pytest.mark.slow
def test_flwr_run_gives_the_same_bits(superlink: dict[str, str], write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(embeddings=["minilm", "one-hot"], strategies=["local", "direct", "linear", "full", "pooled"])
    run(load_federation(path), path, tmp_path / "in-process")
    out = flower_run(superlink, path, tmp_path)
    ours, flowers = (json.loads((folder / "results.json").read_text()) for folder in (tmp_path / "in-process", out))
    assert len(ours["weights"]) == 14
    assert flowers["weights"] == ours["weights"]
    assert flowers["results"] == ours["results"]


@pytest.mark.slow
def test_a_secure_sum_gives_the_same_bits_too(
    superlink: dict[str, str], write: Callable[..., Path], clinics: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    """There sites share processes, and one site may be in several: what it remembers is in the run's folder."""
    three = {name: clinics[name] for name in "abc"}
    directions = [{"sources": [*"abc"]}]
    path = write(sites=three, directions=directions, strategies=["direct"], aggregation={"secure": True})
    run(load_federation(path), path, tmp_path / "in-process")
    out = flower_run(superlink, path, tmp_path)
    ours, flowers = (json.loads((folder / "results.json").read_text()) for folder in (tmp_path / "in-process", out))
    assert flowers == ours

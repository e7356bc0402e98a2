"""A container engine, the images built with it, and the demo run with them; without an engine the tests skip."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import CALL, DEPLOY, ROOT, Demo, Images

_BUILD, _RUN = 3000, 1500  # seconds


@pytest.fixture(scope="session")
def engine() -> str:
    """A container engine that works: CONTAINER_ENGINE, else podman."""
    name = os.environ.get("CONTAINER_ENGINE", "podman")
    if shutil.which(name) is None:
        pytest.skip(f"no container engine: {name} is not installed (CONTAINER_ENGINE names another)")
    asked = subprocess.run([name, "info"], capture_output=True, text=True, timeout=CALL, check=False)
    if asked.returncode != 0:
        pytest.skip(f"no container engine: {name} does not work here: {asked.stderr.strip()[-200:]}")
    return name


@pytest.fixture(scope="session")
def images(engine: str) -> Images:
    """Both images, built as deploy/README.md says; CONTAINER_BUILD_ARGS holds what this machine's builds need."""
    made = Images(engine, "localhost/sitebridge-test-coordinator", "localhost/sitebridge-test-site")
    options = shlex.split(os.environ.get("CONTAINER_BUILD_ARGS", ""))
    if Path(engine).name == "podman":
        options += ["--format", "docker"]  # the other format has no health checks
    for target, tag in (("coordinator", made.coordinator), ("site", made.site)):
        command = [engine, "build", *options, "--target", target, "--tag", tag, "--file", "deploy/Containerfile", "."]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_BUILD, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return made


@pytest.fixture(scope="session")
def demo(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run deploy/demo/demo.sh, which ends with the finished table."""
    folder = tmp_path_factory.mktemp("demo")
    environment = os.environ | {
        "COMPOSE": _compose(images.engine),
        "COMPOSE_PROJECT_NAME": f"sitebridge-test-{os.getpid()}",  # what another run left behind is not ours
        "SITEBRIDGE_DEMO": str(folder),
        "SITEBRIDGE_COORDINATOR_IMAGE": images.coordinator,
        "SITEBRIDGE_SITE_IMAGE": images.site,
    }
    made = Demo(images, folder, environment, "")
    try:
        done = subprocess.run(
            [DEPLOY / "demo" / "demo.sh"], env=environment, capture_output=True, text=True, timeout=_RUN
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
        yield Demo(images, folder, environment, done.stdout)
    finally:
        made.compose("--profile", "setup", "down", "--timeout", "10", check=False)


def _compose(engine: str) -> str:
    """Find what reads compose files for an engine."""
    if Path(engine).name != "podman":
        return f"{engine} compose"
    found = shutil.which("podman-compose", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip("podman-compose is not installed: pip install podman-compose")
    return found

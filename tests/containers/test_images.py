"""What is in the images, and what is not."""

from __future__ import annotations

import subprocess

import pytest
from containers import Images

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("target", ["coordinator", "site"])
def test_an_image_runs_as_nobody_and_holds_no_tool_to_install_or_compile(images: Images, target: str) -> None:
    image = getattr(images, target)
    code = """
import os, shutil
tools = [name for name in ("cc", "gcc", "g++", "make", "uv") if shutil.which(name)]
assert not tools, tools
assert not os.path.exists("/opt/sitebridge/bin/pip"), "pip"
assert os.getuid() != 0 and os.getgid() == 10000
assert not [name for name in os.environ if "PROXY" in name.upper()]
assert os.environ["FLWR_TELEMETRY_ENABLED"] == "0"
for path in ("/opt/sitebridge/probe", "/etc/probe", "/site/probe", "/coordinator/probe"):
    try:
        open(path, "w")
    except OSError:
        continue
    raise AssertionError(path)
open("/tmp/probe", "w")
"""
    images.once("--entrypoint", "python", image, "-c", code)
    found = images.once("--entrypoint", "find", image, "/usr", "/opt", "-perm", "/6000", "-type", "f")
    assert not found, "these run as another user"


def test_only_the_coordinator_has_a_web_server(images: Images) -> None:
    code = "import shutil; print(shutil.which('nginx'))"
    assert images.once("--entrypoint", "python", images.site, "-c", code).strip() == "None"
    assert images.once("--entrypoint", "python", images.coordinator, "-c", code).strip() == "/usr/sbin/nginx"


@pytest.mark.parametrize("target", ["coordinator", "site"])
def test_an_image_says_what_it_is(images: Images, target: str) -> None:
    form = '{{index .Config.Labels "org.opencontainers.image.title"}} {{.Config.User}} {{.Config.Healthcheck}}'
    command = [images.engine, "image", "inspect", "--format", form, getattr(images, target)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.startswith(f"sitebridge-{target} {'agent' if target == 'site' else 'coordinator'} ")
    assert "health.py" in said

"""One federation on loopback for all tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from deployment import SITES, Deployment

from client.hospitals.generate import write_hospitals


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One coordinator and two hospitals, up and connected; tests that harm them let them recover."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed; the coordinator's proxy needs it (Debian: nginx-light)")
    made = Deployment(tmp_path_factory.mktemp("deployed"))
    write_hospitals(made.folder / "hospitals", 2000, 1)
    address = f"localhost:{made.port}"
    listen = ["--listen", f"127.0.0.1:{made.port}", "--control-port", str(made.control)]
    try:
        made.sitebridge("coordinator", "init", made.coordinator, "--address", address, *listen)
        made.up()
        for name in SITES:
            made.join(name)
            made.site_up(name)
        yield made
    finally:
        for name in reversed(list(made.processes)):
            made.end(name)

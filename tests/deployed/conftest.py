"""One federation on loopback for all tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from deployment import Deployment, running


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One coordinator and two hospitals, up and connected; tests that harm them let them recover."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed; the coordinator's proxy needs it (Debian: nginx-light)")
    with running(tmp_path_factory.mktemp("deployed")) as made:
        yield made

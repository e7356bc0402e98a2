"""What the tests of containers share: the images, and the demo of one coordinator and two hospitals."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SITES = ("allegheny", "salt-lake")
SERVICES = ("coordinator", *(f"{site}-{half}" for site in SITES for half in ("relay", "agent")))

CALL = 120  # seconds for one command


@dataclass(frozen=True)
class Images:
    """What was built, and by what."""

    engine: str
    coordinator: str
    site: str

    def once(self, *arguments: str | Path, timeout: float = CALL) -> str:
        """Run a container to its end, hardened as the compose files have it; give what it printed."""
        hardened = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp"]
        command = [self.engine, "run", "--rm", "--network", "none", *hardened, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@dataclass(frozen=True)
class Demo:
    """The demo, up, after its run."""

    images: Images
    folder: Path
    environment: dict[str, str]
    printed: str

    def compose(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Call compose."""
        command = [*shlex.split(self.environment["COMPOSE"]), *words]
        done = subprocess.run(
            command, cwd=DEPLOY / "demo", env=self.environment, capture_output=True, text=True, timeout=CALL
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def inside(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's container, as the service's user."""
        return self.compose("exec", "-T", service, *command, check=False)

    def python(self, service: str, code: str) -> Any:
        """Run Python in a service's container; give what it printed, as JSON."""
        done = self.inside(service, "python", "-c", code)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    @property
    def run(self) -> Path:
        """The folder of the demo's own run, the first."""
        return self.runs()[0]

    def runs(self) -> list[Path]:
        """Give the folders of all runs, oldest first."""
        return sorted((self.folder / "coordinator" / "runs").iterdir())

    def container(self, service: str) -> str:
        """Give the name of a service's container."""
        labels = {"project": self.environment["COMPOSE_PROJECT_NAME"], "service": service}
        wanted = [f"--filter=label=com.docker.compose.{key}={value}" for key, value in labels.items()]
        return self.engine("ps", "--all", *wanted, "--format", "{{.Names}}").strip()

    def engine(self, *words: str) -> str:
        """Call the container engine; give what it printed."""
        done = subprocess.run([self.images.engine, *words], capture_output=True, text=True, timeout=CALL)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def compose_file(name: str) -> dict[str, Any]:
    """Read one of the compose files."""
    content = yaml.safe_load((DEPLOY / name / "compose.yaml").read_text())
    assert isinstance(content, dict)
    return content

"""A secret in every cell of two hospitals, and in their files' names, crosses no network and reaches no coordinator."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import planted as at_site
import pytest
import tomli_w
from deployment import CONTENT, SITES, Deployment, free_port, happened, wait_for
from planted import CODES, DIGITS, SECRETS, STRANGE, WORD, spell, table_of, traces, write_site
from recording import Recorder

from client.hospitals.generate import write_hospitals
from common.tasks import FAILURES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FIRST = SITES[0]
WILD = {"rounds": 1, "epochs": 1, "batches": 2000, "learning_rate": 10.0, "weight_decay": 10.0, "dropout": 0.0}


@dataclass
class Planted:
    """A federation of two such hospitals, and what was recorded between them and the coordinator."""

    deployment: Deployment
    recorder: Recorder

    @property
    def site(self) -> Path:
        return self.deployment.folder / FIRST

    def federation(self, name: str, approve: bool = True, **changes: Any) -> Path:
        """Write a federation of the first hospital alone, which nothing asks twice."""
        alone = {"strategies": ["local"], "directions": [{"sources": [FIRST]}], "sites": {FIRST: {}}}
        path = self.deployment.folder / f"{name}.toml"
        content = {**CONTENT, **alone, "name": name, "failures": {"retries": 0, "timeout": 240.0}, **changes}
        path.write_text(tomli_w.dumps(content))
        for site in content["sites"] if approve else ():
            folder = self.deployment.folder / site
            self.deployment.sitebridge("site", "approve", path, "--by", "a test", "--folder", folder)
        return path

    def taken(self) -> dict[str, bytes]:
        """Give all that crossed, and all that lies where the coordinator or its code comes."""
        found = {f"stream {number}": stream for number, stream in enumerate(self.recorder.captured())}
        folders = [self.deployment.coordinator, *(self.deployment.folder / name / "relay" for name in SITES)]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        files += [self.deployment.folder / name for name in ("run.out", "coordinator.out")]
        found |= {str(path): path.read_bytes() for path in files if path.exists()}
        return found | {"the names of files": "\n".join(map(str, files)).encode()}

    def demand_no_trace(self) -> None:
        taken = self.taken()
        assert not {where: found for where, content in taken.items() if (found := traces(content))}
        assert not [where for where in taken if b"content-encoding" in taken[where].lower() and "stream" in where]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    made = Deployment(tmp_path_factory.mktemp("planted"))
    write_hospitals(made.folder / "hospitals", 200, 1)  # only for `join`, and replaced
    inner = free_port()
    listen = ["--listen", f"127.0.0.1:{inner}", "--control-port", str(made.control)]
    recorder = None
    try:
        made.sitebridge("coordinator", "init", made.coordinator, "--address", f"localhost:{made.port}", *listen)
        made.up()
        recorder = Recorder(made.coordinator, made.port, inner)
        for name in SITES:
            made.join(name)
            (made.folder / name / f"{name}.csv").unlink()
            write_site(made.folder / name, name)
            made.site_up(name)
        yield Planted(made, recorder)
    finally:
        for name in reversed(list(made.processes)):
            made.end(name)
        if recorder is not None:
            recorder.close()


def test_a_whole_run_whose_agent_is_killed(planted: Planted) -> None:
    deployment = planted.deployment
    both: dict[str, Any] = {"sites": {name: {} for name in SITES}, "strategies": ["local", "direct", "linear", "full"]}
    both["directions"] = [{"sources": [FIRST], "targets": [SITES[1]]}]
    run = deployment.run(planted.federation("whole", failures=CONTENT["failures"], **both))
    wait_for(lambda: happened(run, "step", "round 1"), "round 1", 240)
    os.kill(deployment.pid(planted.site / "agent", "agent"), signal.SIGKILL)
    assert deployment.finish() == 0, deployment.output("run")
    crossed = b"".join(planted.recorder.captured())
    assert f"{CODES[0]}_P".encode() in crossed  # a greeting, in clear: what crossed was recorded
    assert b"num-examples" in crossed
    planted.demand_no_trace()


BROKEN: dict[str, tuple[Callable[[Path], None], str, dict[str, Any]]] = {
    "a bad cell": (at_site.strange, "bad-cohort", {}),
    "another header": (at_site.another_header, "bad-cohort", {}),
    "a torn table": (at_site.torn, "bad-cohort", {}),
    "a missing table": (at_site.no_table, "bad-table", {}),
    "a missing file": (at_site.no_file, "bad-site-file", {}),
    "a broken site file": (at_site.broken_file, "bad-site-file", {}),
    "a forbidden task": (at_site.forbidding, "refused", {}),
    "too few patients": (at_site.few, "too-few", {}),
    "too far": (at_site.narrow, "too-far", {}),
    "diverged": (at_site.nothing, "diverged", {"training": WILD}),
    "not approved": (at_site.nothing, "not-approved", {"approve": False, "seeds": [8]}),
}


@pytest.mark.parametrize("error", BROKEN)
def test_every_kind_of_error(planted: Planted, error: str) -> None:
    breaks, code, changes = BROKEN[error]
    deployment = planted.deployment
    federation = planted.federation(f"broken-{list(BROKEN).index(error)}", **changes)
    breaks(planted.site)
    try:
        deployment.run(federation)
        assert deployment.finish() == 1
        assert FAILURES[code] in deployment.output("run")
    finally:
        for left in (planted.site / spell("data")).iterdir():
            left.unlink()
        write_site(planted.site, FIRST)
    planted.demand_no_trace()


def test_the_secret_was_there_to_be_found(planted: Planted) -> None:
    for name in SITES:
        site = planted.deployment.folder / name
        table = table_of(site)
        header, *rows = table.read_text().splitlines()
        assert all(WORD in cell or DIGITS in cell for line in (header, *rows) for cell in line.split(","))
        assert WORD in str(table)
        assert traces((site / "site.toml").read_bytes())
    log = (planted.site / "agent" / "site.log").read_bytes()
    assert traces(log), "the errors that were provoked name the site's files, in its own log"


@pytest.mark.parametrize("secret", SECRETS)
def test_the_search_finds_a_leak_in_whatever_spelling(secret: str) -> None:
    """A deliberate leak, as an exception's text would be, wrapped as bytes travel."""
    text = f"row 7: '{secret}-strange' is not declared"
    leaks = [text.encode(), text.upper().encode(), text.encode("utf-16"), text.encode("utf-32"), text.encode().hex()]
    leaks += [base64.b64encode(b"x" * shift + text.encode()) for shift in range(3)]
    leaks += ["".join(f"%{byte:02X}" for byte in text.encode()), "".join(f"\\u{byte:04x}" for byte in text.encode())]
    leaks += [str(list(text.encode())), text[::-1]]
    for leak in leaks:
        content = leak.encode() if isinstance(leak, str) else leak
        assert traces(os.urandom(5000) + content + os.urandom(5000)), leak
    assert not traces(os.urandom(10_000) + b"what crosses is ok, bad-cohort, 0.913 and C0850149_P")
    assert STRANGE.startswith(WORD)

"""One coordinator and two hospitals in containers, on private networks, with TLS and keys, from `init` to the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pandas as pd
import pytest
import torch
from containers import SERVICES, SITES, Demo

from common.config import load_federation
from server.simulate import run

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(3600)]

KERNEL = """
import json
lines = (line.split(":", 1) for line in open("/proc/self/status"))
status = {key: value.split() for key, value in lines}
print(json.dumps({key: status[key] for key in ("Uid", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")}))
"""
INTERFACES = """
import json
names = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
routes = [line.split()[1] for line in open("/proc/net/route").readlines()[1:]]
print(json.dumps({"names": names, "default": "00000000" in routes}))
"""
LISTENING = """
import json
ports = set()
for name in ("tcp", "tcp6"):
    for line in open(f"/proc/net/{name}").readlines()[1:]:
        address, port = line.split()[1].split(":")
        if line.split()[3] == "0A" and not address.endswith("0100007F"):
            ports.add(int(port, 16))
print(json.dumps(sorted(ports)))
"""
ADDRESSES = "import json, socket; print(json.dumps(sorted({each[4][0] for each in socket.getaddrinfo('HOST', None)})))"
DIAL = """
import json, socket
try:
    socket.create_connection((HOST, PORT), timeout=5).close()
    print(json.dumps("open"))
except OSError as error:
    print(json.dumps(type(error).__name__))
"""
ASK = """
import json, ssl, urllib.error, urllib.request
trusting = ssl.create_default_context(cafile="/site/relay/ca.pem")
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting))
statuses = {}
for method, path in PATHS:
    body = b"{}" if method == "POST" else None
    request = urllib.request.Request("https://coordinator:8443" + path, body, method=method)
    try:
        statuses[path] = opener.open(request, timeout=10).status
    except urllib.error.HTTPError as error:
        statuses[path] = error.code
print(json.dumps(statuses))
"""
CONTROL = [
    ("POST", "/v1/control/start-run"),
    ("POST", "/v1/control/register-node"),
    ("POST", "/v1/control/list-nodes"),
    ("POST", "/v1/runtime/acquire-task"),
    ("POST", "/v1/runtime/pull-app-inputs"),
    ("POST", "/v1/fleet/../control/list-nodes"),
    ("GET", "/openapi.json"),
    ("GET", "/"),
]


def other(site: str) -> str:
    return next(name for name in SITES if name != site)


def test_the_run_ends_with_the_finished_table(demo: Demo) -> None:
    table = pd.read_csv(demo.run / "results.csv")
    tested = table[table["split"] == "test"]
    assert {(row.site, row.strategy) for row in tested.itertuples()} >= {
        (site, strategy) for site in SITES for strategy in ("local", "direct", "linear", "full")
    }
    assert tested["auroc"].between(0.5, 1.0).all()
    assert "run folder" in demo.printed


@pytest.fixture(scope="module")
def federation(demo: Demo) -> Path:
    """The demo's federation file for a simulation, beside the two hospitals' data."""
    text = (demo.folder / "inbox" / "federation.toml").read_text()
    for site in SITES:
        text = text.replace(f"{site} = {{}}", f'{site} = {{ file = "{site}.toml" }}')
    path = demo.folder / "data" / "federation.toml"
    path.write_text(text)
    return path


def test_weights_and_figures_are_those_of_one_process(demo: Demo, federation: Path) -> None:
    reference = demo.folder / "reference"
    reference.mkdir()
    reference.chmod(0o777)
    volumes = ["--volume", f"{federation.parent}:/data:ro", "--volume", f"{reference}:/reference"]
    command = ["simulate", "/data/federation.toml", "--out", "/reference/run"]
    demo.images.once(*volumes, demo.images.site, *command, timeout=600)
    one, far = (json.loads((run / "results.json").read_text()) for run in (reference / "run", demo.run))
    assert far["weights"] == one["weights"]
    assert len(far["weights"]) >= 7  # of three directions, and each target's own, and its two tuned ones
    assert far["results"] == one["results"]


def test_weights_are_those_of_one_process_outside_containers(demo: Demo, federation: Path, tmp_path: Path) -> None:
    versions = "import json, numpy, torch; print(json.dumps([numpy.__version__, torch.__version__]))"
    theirs = demo.python("allegheny-agent", versions)
    if theirs != [numpy.__version__, torch.__version__]:
        pytest.skip(f"the image has other versions of numpy and torch than this environment: {theirs}")
    run(load_federation(federation), federation, tmp_path / "run")
    one, far = (json.loads((folder / "results.json").read_text()) for folder in (tmp_path / "run", demo.run))
    assert far["weights"] == one["weights"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_capability_and_writes_nothing_of_its_own(demo: Demo, service: str) -> None:
    kernel = demo.python(service, KERNEL)
    assert "0" not in kernel.pop("Uid")
    assert kernel.pop("NoNewPrivs") == ["1"]
    assert {name: int(value[0], 16) for name, value in kernel.items()} == dict.fromkeys(kernel, 0)
    for place in ("/", "/opt/sitebridge", "/etc", "/usr/local/bin"):
        done = demo.inside(service, "touch", f"{place}/probe")
        assert "Read-only file system" in done.stdout + done.stderr


def test_the_coordinator_listens_on_one_port(demo: Demo) -> None:
    assert demo.python("coordinator", LISTENING) == [8443]


@pytest.mark.parametrize("site", SITES)
def test_a_hospital_reaches_the_port_and_neither_control_nor_runtime(demo: Demo, site: str) -> None:
    relay = f"{site}-relay"
    assert demo.python(relay, DIAL.replace("HOST", "'coordinator'").replace("PORT", "8443")) == "open"
    assert demo.python(relay, DIAL.replace("HOST", "'coordinator'").replace("PORT", "8000")) == "ConnectionRefusedError"
    statuses = demo.python(relay, ASK.replace("PATHS", repr(CONTROL)))
    assert statuses == {path: 404 for _, path in CONTROL}


@pytest.mark.parametrize("site", SITES)
def test_a_hospital_reaches_no_other_and_nothing_outside(demo: Demo, site: str) -> None:
    relay, far = f"{site}-relay", f"{other(site)}-relay"
    assert demo.python(relay, INTERFACES)["default"] is False
    assert demo.python(relay, DIAL.replace("HOST", repr(far)).replace("PORT", "8443")) == "gaierror"
    (address,) = demo.python(far, ADDRESSES.replace("'HOST'", "socket.gethostname()"))
    assert demo.python(relay, DIAL.replace("HOST", repr(address)).replace("PORT", "8443")) == "OSError"  # no route


@pytest.mark.parametrize("site", SITES)
def test_an_agent_has_no_network(demo: Demo, site: str) -> None:
    assert demo.python(f"{site}-agent", INTERFACES) == {"names": ["lo"], "default": False}
    (address,) = demo.python("coordinator", ADDRESSES.replace("'HOST'", "socket.gethostname()"))[:1]
    assert demo.python(f"{site}-agent", DIAL.replace("HOST", repr(address)).replace("PORT", "8443")) == "OSError"


@pytest.mark.parametrize("site", SITES)
def test_a_relay_sees_no_data_and_an_agent_no_key(demo: Demo, site: str) -> None:
    relay, agent = f"{site}-relay", f"{site}-agent"
    assert sorted(demo.inside(relay, "ls", "/site").stdout.split()) == ["relay", "run"]
    assert sorted(demo.inside(agent, "ls", "/site").stdout.split()) == ["agent", "run", "site.toml"]
    assert demo.inside(relay, "ls", "/data").returncode != 0
    assert not demo.inside(relay, "find", "/", "-xdev", "-name", f"{site}.csv").stdout
    assert demo.inside(agent, "head", "-c", "1", f"/data/{site}.csv").returncode == 0
    for place in ("/site/run/probe", "/inbox/probe"):
        assert demo.inside(relay, "touch", place).returncode != 0
    for place in (f"/data/{site}.csv", "/site/site.toml", "/inbox/probe"):
        assert demo.inside(agent, "touch", place).returncode != 0


@pytest.mark.parametrize("service", SERVICES)
def test_a_health_check_notices_what_is_down(demo: Demo, service: str) -> None:
    half = [service.rpartition("-")[2]] if service != "coordinator" else []
    check = ["python", "/usr/local/lib/sitebridge/health.py", *half]
    assert demo.inside(service, *check).returncode == 0
    nowhere = ["env", "SITEBRIDGE_SITE=/tmp", "SITEBRIDGE_COORDINATOR=/tmp"]
    assert demo.inside(service, *nowhere, *check).returncode != 0

"""The files that people write: federation, site, study, cohort's definition, coordinator's settings; and approvals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.fuzz.contract import Reader
from benchmarks.fuzz.hill import SITE, TABLE
from benchmarks.fuzz.wire import FEDERATION
from client.approvals import Approval
from client.extraction.definition import read_definition
from client.extraction.site import read_source
from client.records.section import open_records
from client.site_file import load_site
from common.config import digest, load_federation, site_files
from common.toml import read_toml
from server.aggregation import check_aggregation
from server.coordinator.settings import read_settings
from study.config import load_study

_CONFIGS = Path(__file__).parents[2] / "configs"

_POLICY = """
[policy]
strategies = ["source", "direct", "linear", "full"]
approval = true
min_cell = 11
max_change = 3.5
[policy.privacy]
epsilon = 3.0
delta = 1e-5
[policy.likeness]
epsilon = 1.0
delta = 1e-5
[tables]
minilm = "builtin:minilm"
own = "tables/own.safetensors"
"""
_FEDERATION = """
name = "five"
seeds = [1, 2]
embeddings = ["minilm"]
strategies = ["local", "direct", "full"]
intervals = 200
[sites]
hill = { file = "hill.toml" }
lake = { file = "${HOME}/lake.toml" }
[[directions]]
sources = ["hill"]
targets = ["lake"]
[model]
filters = 10
classes = ["none", "a", "b"]
[training]
rounds = 2
epochs = 1
batches = 8
batch_size = 32
learning_rate = 0.01
[aggregation]
name = "FedAdam"
options = { eta = 0.1, tau = 1e-3 }
norm_bound = "median"
noise = { noise_multiplier = 1.0, clipping_norm = 1.0 }
[failures]
at_least = 1
"""
_SETTINGS = 'address = "hub.example.org:8443"\nalso = ["10.0.0.1"]\nmutual_tls = true\n'


def _federation(path: Path) -> object:
    federation = load_federation(path)
    digest(federation)
    check_aggregation(federation)
    return site_files(federation, path)


def _source(path: Path) -> object:
    _, _, records = read_source(path)
    return open_records(records, path.parent)


def _file(name: str, read: Callable[[Path], object], **beside: str | bytes) -> Callable[[bytes, Path], object]:
    """Give what writes an input into a folder, beside other files, and reads it."""

    def write_and_read(data: bytes, folder: Path) -> object:
        for other, content in beside.items():
            at = folder / other.replace("_", ".")
            if not at.exists():
                at.write_bytes(content.encode() if isinstance(content, str) else content)
        (folder / name).write_bytes(data)
        return read(folder / name)

    return write_and_read


def _shipped(*names: str) -> tuple[bytes, ...]:
    return tuple((_CONFIGS / name).read_bytes() for name in names)


def _approval() -> bytes:
    import tomli_w

    said: dict[str, Any] = {name: "x" for name in Approval.model_fields if name != "federation"}
    content = FEDERATION.model_dump(mode="json", exclude_none=True)
    said["at"] = datetime(2026, 1, 1, tzinfo=UTC)
    return tomli_w.dumps(said | {"digest": digest(FEDERATION), "federation": content}).encode()


def readers() -> list[Reader]:
    """Give every file that people write."""
    federations = (*_shipped("two-sites.toml", "flu-sources.toml", "flu-viruses.toml"), _FEDERATION.encode())
    sites = tuple((text + _POLICY).encode() for text in SITE.values())
    definition = _shipped("flu-records/flu.cohort.toml")
    defined = _shipped("flu-records/site.toml")
    return [
        Reader("federation file", "toml", federations, _file("federation.toml", _federation)),
        Reader("site file", "toml", sites, _file("site.toml", load_site, hill_csv=TABLE)),
        Reader(
            "study file",
            "toml",
            _shipped("studies/heart.toml", "studies/flu-viruses.toml"),
            _file("study.toml", load_study),
        ),
        Reader("definition", "toml", definition, _file("flu.cohort.toml", read_definition)),
        Reader("site file with records", "toml", defined, _file("site.toml", _source, flu_cohort_toml=definition[0])),
        Reader("coordinator's settings", "toml", (_SETTINGS.encode(),), _file("coordinator.toml", read_settings)),
        Reader("approval", "toml", (_approval(),), _file("a.toml", lambda path: read_toml(path, Approval))),
    ]

"""A run's folder, written by hand: two embeddings, two sites, two seeds, and everything that can be absent."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w
from safetensors.numpy import save_file

from common.figures import HITS, METRICS
from server.results import COLUMNS, CURVES, KEYS, OF_CLASSES

SITES = ("allegheny", "salt-lake")
MODELS = [("local", "", "allegheny"), ("local", "", "salt-lake"), ("source", "allegheny", "allegheny")]
MODELS += [(name, "allegheny", "salt-lake") for name in ("direct", "linear", "full")]
HOSTILE = "<script>alert('x')</script> & \"more\"; 5 %25=a"


def rows(seed: int = 1) -> list[dict[str, Any]]:
    """Rows of results.csv with figures of no meaning."""
    draw = np.random.default_rng(seed)
    made = []
    for embedding, number, (strategy, sources, site), split in itertools.product(
        ("one-hot", "minilm"), (7, 8), MODELS, ("validation", "test")
    ):
        keys = {"embedding": embedding, "seed": number, "strategy": strategy, "sources": sources, "site": site}
        row = {**keys, "split": split, "n": 1250, "positive": 288, "threshold": 0.17}
        for metric in METRICS:
            value = draw.uniform(-0.4, 0.9) if metric == "calibration_intercept" else draw.uniform(0.3, 0.9)
            row[metric] = value
            if split == "test":
                row |= {f"{metric}_low": value - draw.uniform(0.01, 0.1), f"{metric}_high": value + 0.05}
        made.append(row)
    return made


def withhold(table: list[dict[str, Any]]) -> None:
    """Let a site keep a figure of one seed to itself, and another have too few patients of a class."""
    for row in table:
        if (row["strategy"], row["seed"], row["embedding"], row["split"]) == ("linear", 8, "minilm", "test"):
            row |= {"sensitivity": None, "sensitivity_low": None, "sensitivity_high": None, "withheld": "sensitivity"}
        if (row["strategy"], row["site"], row["split"]) == ("local", "salt-lake", "validation"):
            row |= dict.fromkeys([*METRICS, "n", "positive"]) | {"note": f"suppressed: {HOSTILE}"}


def rounds() -> list[dict[str, Any]]:
    """Rows of rounds.csv: three rounds of training and a transfer, in which one site was away once."""
    made = []
    for embedding, seed in itertools.product(("one-hot", "minilm"), (7, 8)):
        about: dict[str, Any] = {"embedding": embedding, "seed": seed, "contributed": "yes", "encounters": 2995}
        for number in (1, 2, 3)[: 3 if seed == 7 else 2]:
            made.append({**about, "phase": "source", "round": number, "site": "allegheny"})
        made.append({**about, "phase": "source", "round": 0, "site": "allegheny", "encounters": 1250})
        for phase in ("direct", "linear", "full"):
            made.append({**about, "phase": phase, "round": 0, "site": "salt-lake", "encounters": 2997})
    made[-1] |= {"contributed": "no", "encounters": None, "why_not": f"late {HOSTILE}"}
    return made


def crossings() -> list[dict[str, Any]]:
    """Rows of exchange.csv."""
    ways = itertools.product(("one-hot", "minilm"), (7, 8), ("greet", "source", "full"), SITES, ("out", "back"))
    return [
        {"embedding": e, "seed": s, "phase": p, "round": 0, "site": at, "direction": way, "numbers": 202, "bytes": size}
        for size, (e, s, p, at, way) in enumerate(ways, 100_000)
    ]


def counts(seed: int = 3) -> pd.DataFrame:
    """Rows of curves.csv, of all models that have test figures."""
    draw = np.random.default_rng(seed)
    made = []
    for embedding, number, (strategy, sources, site) in itertools.product(("one-hot", "minilm"), (7, 8), MODELS):
        edges = [0.0, *sorted(draw.choice(np.arange(1, 60), 6, replace=False) / 100), 1.0]
        for low, high in itertools.pairwise(edges):
            positive = int(11 + high * draw.integers(20, 60))
            keys = [embedding, number, strategy, sources, site, "test"]
            made.append([*keys, low, high, positive + int(draw.integers(11, 90)), positive])
    return pd.DataFrame(made, columns=CURVES)


def weights(folder: Path) -> dict[str, str]:
    """Write two files of weights; give their digests, over the numbers in the order of the wire."""
    digests = {}
    for name in ("minilm_7_allegheny_source", "minilm_7_allegheny_linear-salt-lake"):
        parts = {"linear.bias": np.ones(2, np.float32), "linear.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
        order = ["linear.weight", "linear.bias"]
        if name.endswith("source"):
            parts |= {"conv.bias": np.zeros(3, np.float32), "conv.weight": np.full((3, 4, 1), 0.5, np.float32)}
            order = ["conv.weight", "conv.bias", *order]
        (folder / "weights").mkdir(exist_ok=True)
        save_file(parts, folder / "weights" / f"{name}.safetensors")
        digests[name] = hashlib.sha256(b"".join(parts[key].tobytes() for key in order)).hexdigest()
    return digests


def events() -> list[dict[str, Any]]:
    """Events of a run that went well, at a site with an odd idea of a version."""
    start = {"time": "2026-01-02T03:04:05+00:00", "kind": "begin", "steps": 3}
    greeted = [
        {"kind": "greeted", "site": site, "version": HOSTILE, "embedding": "minilm", "fingerprint": "49a3ad08f57557be"}
        for site in SITES
    ]
    return [start, *greeted, {"time": "2026-01-02T03:14:05+00:00", "kind": "end", "ok": True, "text": ""}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete run with curves."""
    run = tmp_path / "run"
    run.mkdir()
    federation: dict[str, object] = {"name": "by-hand", "seeds": [7, 8], "embeddings": ["one-hot", "minilm"]}
    federation |= {"sites": {"allegheny": {"file": "/secret/place/allegheny.toml"}, "salt-lake": {}}}
    federation |= {"directions": [{"sources": ["allegheny"], "targets": ["salt-lake"]}]}
    (run / "federation.toml").write_text(tomli_w.dumps(federation))
    table = rows()
    withhold(table)
    pd.DataFrame(table, columns=COLUMNS).to_csv(run / "results.csv", index=False)
    pd.DataFrame(rounds()).to_csv(run / "rounds.csv", index=False)
    pd.DataFrame(crossings()).to_csv(run / "exchange.csv", index=False)
    counts().to_csv(run / "curves.csv", index=False)
    results = {"results": [], "weights": weights(run), "absent": [f"salt-lake: {HOSTILE}"]}
    (run / "results.json").write_text(json.dumps(results))
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events()))
    return run


CLASSES = ("12", "229", "007")  # names that a reader of tables may take for numbers
FEW = "suppressed: fewer patients have it, or have it not, than the site's min-cell"


def of_class(name: str, table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of classes.csv beside those of results.csv: a count that would tell of another, a class of few patients."""
    made = []
    for row in table:
        own = {column: row.get(column) for column in [*KEYS, "n", "positive", *OF_CLASSES]} | {"class": name}
        if (name, row["strategy"], row["split"]) == ("229", "linear", "test"):
            own["positive"] = None
        if (name, row["strategy"], row["site"]) == ("007", "local", "salt-lake"):
            own |= dict.fromkeys(["n", "positive", *OF_CLASSES]) | {"note": FEW}
        made.append(own)
    return made


@pytest.fixture
def several(folder: Path) -> Path:
    """The run with three classes: no thresholds, means without intervals but AUROC's, each class's own figures."""
    path = folder / "federation.toml"
    path.write_text(path.read_text() + "\n[model]\nclasses = " + json.dumps(CLASSES) + "\n")
    table = rows()
    without = dict.fromkeys(["threshold", "positive", *(c for c in COLUMNS if c.startswith(HITS))])
    ends = dict.fromkeys(c for c in COLUMNS if c.endswith(("_low", "_high")) and not c.startswith("auroc"))
    means = [row | without | ends for row in table]
    for row in means:
        if (row["strategy"], row["site"]) == ("local", "salt-lake"):
            row["note"] = "means are without 007: fewer patients have it, or have it not, than the site's min-cell"
    pd.DataFrame(means, columns=COLUMNS).to_csv(folder / "results.csv", index=False)
    each = [row for seed, name in enumerate(CLASSES, 11) for row in of_class(name, rows(seed))]
    columns = [*KEYS, "class", "n", "positive", *OF_CLASSES, "note"]
    pd.DataFrame(each, columns=columns).to_csv(folder / "classes.csv", index=False)
    bins = pd.concat([counts(seed).assign(**{"class": name}) for seed, name in enumerate(CLASSES, 21)])
    told = (bins["class"] != "007") | (bins["strategy"] != "local") | (bins["site"] != "salt-lake")
    bins[told].to_csv(folder / "class-curves.csv", index=False)
    counts().iloc[:0].to_csv(folder / "curves.csv", index=False)
    return folder


@pytest.fixture
def change(folder: Path) -> Callable[[str, Callable[[pd.DataFrame], pd.DataFrame]], None]:
    """Change one of the run's tables."""

    def changed(name: str, how: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        how(pd.read_csv(folder / name)).to_csv(folder / name, index=False)

    return changed


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study by hand: two presets, two embeddings, two sizes and "all", figures of no meaning."""
    where = tmp_path / "study"
    where.mkdir()
    sites = {name: {"file": f"/secret/place/{name}.toml"} for name in SITES}
    content: dict[str, Any] = {
        "name": "by-hand",
        "presets": ["default", "paper"],
        "seeds": [7, 8],
        "embeddings": ["minilm", "one-hot"],
    }
    content |= {"strategies": ["local", "direct", "full"], "sizes": [100, 1000, "all"], "sites": sites}
    content |= {
        "directions": [{"sources": ["allegheny"], "targets": ["salt-lake"]}],
        "overrides": {"model": {"filters": 3}},
    }
    (where / "study.json").write_text(json.dumps(content))
    draw, cells, pairs = np.random.default_rng(5), [], []
    for preset, embedding, size in itertools.product(
        ("default", "paper"), ("minilm", "one-hot"), ("1000", "all", "100")
    ):
        about = {"preset": preset, "embedding": embedding, "target": "salt-lake", "size": size}
        for strategy, source in (("local", ""), ("direct", "allegheny"), ("full", "allegheny")):
            row: dict[str, Any] = {**about, "source": source, "strategy": strategy, "n": 1250.0, "positive": 288.0}
            row |= {name: draw.uniform(0.1, 0.9) for name in (*METRICS, "sd_patients", "sd_seeds")}
            cells.append(row | {"low": row["auroc"] - 0.05, "high": row["auroc"] + draw.uniform(0.01, 0.1)})
        for first, second in (("direct", "full"), ("direct", "local"), ("full", "local")):
            gap, p = draw.uniform(-0.1, 0.1), draw.uniform(0, 0.06) ** 2
            row = {**about, "source": "allegheny", "first": first, "second": second, "difference": gap}
            pairs.append(row | {"low": gap - 0.03, "high": gap + 0.03, "p": p, "p_adjusted": 15 * p})
    pd.DataFrame(cells).to_csv(where / "summary.csv", index=False)
    pd.DataFrame(pairs).to_csv(where / "comparisons.csv", index=False)
    return where


@pytest.fixture
def several_studied(study: Path) -> Path:
    """The same study of three classes, of one of which a target has few in its test split."""
    content = json.loads((study / "study.json").read_text())
    content["overrides"]["model"]["classes"] = ["flu", "rsv", "none"]
    (study / "study.json").write_text(json.dumps(content))
    summary = pd.read_csv(study / "summary.csv").assign(positive=np.nan, sensitivity=np.nan, specificity=np.nan)
    summary.to_csv(study / "summary.csv", index=False)
    draw, each = np.random.default_rng(6), summary.merge(pd.DataFrame({"class": ["flu", "rsv", "none"]}), how="cross")
    figures = ["auroc", "auprc", "low", "high", "sd_patients", "sd_seeds"]
    each = each.drop(columns=["sensitivity", "specificity"]).assign(positive=300.0)
    each[figures] = draw.uniform(0.1, 0.9, (len(each), len(figures)))
    each.loc[each["class"] == "rsv", figures] = np.nan
    each.to_csv(study / "classes.csv", index=False)
    return study

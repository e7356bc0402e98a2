"""The results of a run: one row for each site, strategy, embedding, seed and split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pandas as pd
import safetensors.torch

from common.choice import reason
from common.errors import ConfigError
from common.figures import CURVE, HITS, METRICS
from common.files import write_atomically
from common.shape import ModelShape
from common.strategies import STRATEGIES
from common.tasks import Answer
from common.wire import Flat, array_name, unpack
from server.exchange import Exchange

KEYS = ["embedding", "seed", "strategy", "sources", "site", "split"]
COUNTS = ["n", "positive"]
FIGURES = [f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")]
JOURNAL = "journal"  # answers of a run that is not complete
BEFORE_ANSWERS = {
    "federation.toml",
    "site.log",
    "events.jsonl",
    "rounds.csv",
    "updates.csv",
    "run.json",
    "live.html",
    "agents",
}  # what a run writes before it has an answer
CURVES = [*KEYS, "bin_low", "bin_high", "n", "positive"]
COLUMNS = [*KEYS, *COUNTS, *FIGURES, "threshold", "note", "withheld"]
WEIGHED = [*KEYS[:-1], "weight", "squared_distance"]
OF_CLASSES = [name for name in FIGURES if not name.startswith(HITS)]  # of one class or label against the rest


_TOO_FEW = "suppressed: a class has fewer patients than the site's min-cell"
_FEW_OF_IT = "suppressed: fewer patients have it, or have it not, than the site's min-cell"


@dataclass
class Results:
    """Collects rows and weights, and keeps the files of the run's folder up to date with them."""

    folder: Path
    names: tuple[str, ...] = ()  # of classes or labels that sites tell of one by one
    scored: Callable[[dict[str, object], Answer], None] = lambda keys, answer: None  # told of every site's scores
    rows: list[dict[str, object]] = field(default_factory=list)
    bins: list[dict[str, object]] = field(default_factory=list)
    of_classes: list[dict[str, object]] = field(default_factory=list)
    class_bins: list[dict[str, object]] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)  # file name to SHA-256
    weighed: list[dict[str, object]] = field(default_factory=list)

    def add(self, keys: dict[str, object], answer: Answer, splits: tuple[str, ...], threshold: float | None) -> None:
        """Add one row for each split that a site scored, or would have scored had it enough patients."""
        self.scored(keys, answer)
        what = STRATEGIES.get(str(keys["strategy"]))
        why = reason(what.candidates, answer.figures) if what is not None else ""
        for split in splits:
            figures = _figures(answer, split)
            note = why if figures["n"] is not None else _TOO_FEW
            at, withheld = answer.figures.get("threshold", threshold), " ".join(answer.withheld)
            self.rows.append({**keys, "split": split, **figures, "threshold": at, "note": note, "withheld": withheld})
            self.bins += [{**keys, "split": split, **row} for row in _bins(answer.figures, split)]
            self._add_classes({**keys, "split": split}, answer)

    def _add_classes(self, keys: dict[str, object], answer: Answer) -> None:
        """Add one row for each class or label, and say with the whole which ones a site told nothing of."""
        untold = []
        for name in self.names:
            stem, own = f"{keys['split']}.{name}", {**keys, "class": name}
            figures = _figures(answer, stem)
            self.of_classes.append({**own, **figures, "note": "" if figures["n"] is not None else _FEW_OF_IT})
            self.class_bins += [{**own, **row} for row in _bins(answer.figures, stem)]
            untold += [name] if figures["n"] is None else []
        if untold and len(untold) < len(self.names):
            without = f"means are without {', '.join(untold)}: {_FEW_OF_IT.removeprefix('suppressed: ')}"
            self.rows[-1]["note"] = "; ".join(filter(None, [str(self.rows[-1]["note"]), without]))

    def weigh(
        self, keys: Sequence[dict[str, object]], shares: Mapping[str, float], distances: Mapping[str, float]
    ) -> None:
        """Add how much each of several sources counted, and how far from the target its patients are."""
        for own in keys:
            site = str(own["site"])
            self.weighed.append({**own, "weight": shares[site], "squared_distance": distances.get(site)})

    def keep_weights(self, name: str, flat: Flat, parts: tuple[str, ...], dimension: int, shape: ModelShape) -> str:
        """Write the weights of one phase as safetensors; give their SHA-256, which is over the numbers alone."""
        state = unpack({array_name(parts): flat}, parts, dimension, shape)
        digest = hashlib.sha256(flat.tobytes()).hexdigest()
        content = safetensors.torch.save(state, metadata={"sha256": digest})  # one key: several come in random order
        write_atomically(self.folder / "weights" / f"{name}.safetensors", content)
        self.weights[name] = digest
        return digest

    def table(self) -> pd.DataFrame:
        """Give all rows so far."""
        return pd.DataFrame(self.rows, columns=COLUMNS)

    def write(self, exchange: Exchange, absent: Sequence[str] = (), far: Sequence[str] = ()) -> None:
        """Write results.csv, curves.csv, results.json and exchange.csv; classes.csv and class-curves.csv of several."""
        table = self.table()
        write_atomically(self.folder / "results.csv", table.to_csv(index=False))
        write_atomically(self.folder / "curves.csv", pd.DataFrame(self.bins, columns=CURVES).to_csv(index=False))
        for file, rows, columns in (
            ("classes.csv", self.of_classes, [*KEYS, "class", *COUNTS, *OF_CLASSES, "note"]),
            ("class-curves.csv", self.class_bins, [*KEYS, "class", *CURVES[len(KEYS) :]]),
        ):
            if self.names:
                write_atomically(self.folder / file, pd.DataFrame(rows, columns=columns).to_csv(index=False))
        if self.weighed:
            weighed = pd.DataFrame(self.weighed, columns=WEIGHED)
            write_atomically(self.folder / "sources.csv", weighed.to_csv(index=False))
        whole = {
            "results": json.loads(table.to_json(orient="records", double_precision=15)),
            "weights": dict(sorted(self.weights.items())),
            "absent": list(absent),
            "far": list(far),
        }
        write_atomically(self.folder / "results.json", json.dumps(whole, indent=1) + "\n")
        write_atomically(self.folder / "exchange.csv", exchange.table().to_csv(index=False))


def _figures(answer: Answer, stem: str) -> dict[str, float | None]:
    """Give the counts and metrics that a site sent under a stem such as ``test`` or ``test.rsv``."""
    figures = {column: answer.figures.get(f"{stem}.{column}") for column in COUNTS}
    names = ((metric, end) for metric in METRICS for end in ("", "_low", "_high"))
    return figures | {f"{m}{end}": answer.figures.get(f"{stem}.{m}{end.replace('_', '.')}") for m, end in names}


def _bins(figures: Mapping[str, float], split: str) -> Iterator[dict[str, object]]:
    """Give the rows of a curve, from the lowest probability up; nothing of half a curve."""
    stems = [name[:-4] for name in sorted(figures) if name.startswith(f"{split}.{CURVE}.") and name.endswith("from")]
    if not all(f"{stem}{count}" in figures for stem in stems for count in ("n", "positive")):
        return
    edges = [*(figures[f"{stem}from"] for stem in stems), 1.0]
    for stem, (low, high) in zip(stems, pairwise(edges), strict=True):
        counts = {count: int(figures[f"{stem}{count}"]) for count in ("n", "positive")}
        yield {"bin_low": low, "bin_high": high, **counts}


def new_folder(folder: Path) -> Path:
    """Make a run's folder, or take one in which a run failed before it had an answer.

    Raises
    ------
    ConfigError
        It exists and holds something: a run never writes over another.
    """
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - BEFORE_ANSWERS):
        hint = "to go on with the run, name the folder instead of the file" if (folder / JOURNAL).exists() else ""
        raise ConfigError(f"{folder}: already there and not empty; {hint or 'name another folder with --out'}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder

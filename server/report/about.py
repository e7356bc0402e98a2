"""What was run, on what and by whom; and what did not leave a site."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
from markupsafe import Markup

from common.config import Federation
from common.strategies import POOLED, SOURCE, STRATEGIES
from server.report.folder import RESULTS, ROUNDS, RunFolder, records
from server.report.trace import Row, Table, figure, where

_HIDDEN = {"name", "seeds", "embeddings", "strategies", "sites", "directions", "preset", "failures"}
_MODEL = ["embedding", "strategy", "sources"]


def facts(run: RunFolder) -> dict[str, str]:
    """Give what is said of the run at the top, in order."""
    federation = run.federation
    begun = [moment(event.get("time")) for event in run.events if event["kind"] == "begin"]
    ended = [moment(event.get("time")) for event in run.events if event["kind"] == "end"]
    versions = sorted({str(event.get("version")) for event in run.events if event["kind"] == "greeted"})
    starts = int(run.record.get("starts", len(begun)) or 0)
    said = {
        "federation": federation.name,
        "where": "deployed: every site answered over the network" if run.record else "simulated on one machine",
        "run by": "not recorded",
        "begun": begun[0] if begun else "not noted",
        "ended": ended[-1] if ended and run.complete else "not complete",
        "started again": f"{starts - 1} times, from its journal" if starts > 1 else "",
        "Sitebridge": ", ".join(versions) or "not noted",
        "Flower's number": str(run.record.get("flower", "")),
        "predicted": federation.model.predicts if run.over else "",
        "preset": federation.preset,
        "embeddings": ", ".join(federation.embeddings),
        "strategies": ", ".join(federation.strategies),
        "seeds": ", ".join(map(str, federation.seeds)),
        "aggregation": federation.aggregation.name,
        "federation's SHA-256": run.digest,
    }
    return {name: text for name, text in said.items() if text}


def sites(run: RunFolder) -> Table:
    """Say of each site what it did, and with how many encounters, as far as it told."""
    rows = []
    for site in run.federation.sites:
        cells: list[str] = [site, _role(run.federation, site), _trained(run.rounds, site)]
        for split in ("validation", "test"):
            of_it = run.results[(run.results["site"] == site) & (run.results["split"] == split)]
            key = where(site=site, split=split)
            for column in ("n",) if run.over else ("n", "positive"):
                most = of_it[column].astype("float64").max()
                told = figure(most, column, "max", 0, key, RESULTS)
                cells.append(told or ("not scored" if of_it.empty else "not told"))
        rows.append(Row(cells))
    positive = [] if run.over else ["positive"]
    headings = ["site", "role", "trained on", "validation", *positive, "test", *positive]
    return Table("Sites and their encounters", headings, rows, 2)


def spaces(run: RunFolder) -> Table:
    """Give each site's embedding tables, by the fingerprint that it was greeted with."""
    greeted = {(str(e.get("embedding")), str(e.get("site"))): e for e in run.events if e["kind"] == "greeted"}
    rows = [
        Row([embedding, site, str(event.get("fingerprint", "")), str(event.get("version", ""))])
        for (embedding, site), event in greeted.items()
    ]
    return Table("Embedding tables", ["embedding", "site", "fingerprint", "Sitebridge"], rows, 4)


def settings(federation: Federation) -> Table:
    """Give the rest of the configuration, every preset spelt out; without files, which are places on a machine."""
    content = {k: v for k, v in federation.model_dump(mode="json", exclude_none=True).items() if k not in _HIDDEN}
    rows = [Row([name, value]) for name, value in flat(content)]
    for number, direction in enumerate(federation.directions, 1):
        way = f"{', '.join(direction.sources)} to {', '.join(direction.targets) or 'nobody'}"
        rows.append(Row([f"direction {number}", way]))
    return Table("Configuration", ["key", "value"], rows, 2)


def choices(results: pd.DataFrame) -> Table:
    """Say what each target chose that was free to, and why, in the words of results.csv."""
    noted = results[results["note"].str.startswith("chose ") & results["n"].notna()]
    keys = ["site", "embedding", "strategy", "sources", "seed", "note"]
    rows: list[Row] = []
    for record in records(noted.drop_duplicates(keys)[keys]):
        words = [str(record[name]) for name in keys]
        words[3] = words[3].replace("+", ", ")
        rows.append(Row(words, first=bool(rows) and rows[-1].cells[:4] != words[:4]))
    return Table("What targets chose", ["site", "embedding", "strategy", "learnt at", "seed", "why"], rows, 6)


def suppressed(results: pd.DataFrame) -> Table:
    """List what no number was told of, as a class had too few patients."""
    noted = results[(results["note"] != "") & results["n"].isna()]
    rows: list[Row] = []
    for (site, split, note), part in noted.groupby(["site", "split", "note"], sort=False):
        of_it = results[(results["site"] == site) & (results["split"] == split)]
        models = [[]] if len(part) == len(of_it) else part[_MODEL].drop_duplicates().to_numpy().tolist()
        for model in models:
            of_model = dict(zip(_MODEL, map(str, model), strict=False))
            told = part[(part[_MODEL].astype(str) == model).all(axis=1)] if model else part
            key = where(site=site, split=split, **of_model, note=note)
            words = [*(of_model.get(name, "every") for name in _MODEL[:2]), of_model.get("sources", "")]
            seeds = figure(told["seed"].nunique(), "seed", "unique", 0, key, RESULTS)
            rows.append(Row([str(site), str(split), *(word.replace("+", ", ") for word in words), str(note), seeds]))
    headings = ["site", "split", "embedding", "strategy", "learnt at", "why", "seeds"]
    return Table("Suppressed: nothing was told", headings, rows, 6)


def withheld(results: pd.DataFrame) -> Table:
    """Count by site and figure what was kept back."""
    rows = []
    for (site, split), part in results.groupby(["site", "split"], sort=False):
        kept = part[part["withheld"] != ""]
        for name in sorted({word for words in kept["withheld"] for word in words.split()}):
            key, times = where(site=site, split=split), part["withheld"].map(lambda words, it=name: it in words.split())
            some_key = f"{key};withheld~{name}"
            if name in part:  # said of an answer, which has two splits: it is this one's where the figure is absent
                some_key, times = f"{some_key};{name}=", times & part[name].isna()
            some = figure(float(times.sum()), "withheld", "count", 0, some_key, RESULTS)
            every = figure(len(part), "withheld", "count", 0, key, RESULTS)
            count = Markup("{} of {}").format(some, every)
            if times.any():
                rows.append(Row([str(site), str(split), name.replace("_", " "), count]))
    return Table("Withheld by sites", ["site", "split", "figure", "rows"], rows, 3)


def moment(time: object) -> str:
    """Give an ISO time for people; as it is where it is none."""
    try:
        return f"{datetime.fromisoformat(str(time)).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return str(time or "")


def _role(federation: Federation, site: str) -> str:
    """Say where a site stands in the federation's directions."""
    source = any(site in direction.sources for direction in federation.directions)
    target = any(site in direction.targets for direction in federation.directions)
    return {(True, True): "source and target", (True, False): "source", (False, True): "target"}.get(
        (source, target), "trains alone"
    )


def _trained(rounds: pd.DataFrame, site: str) -> str:
    """Give on how many encounters a site trained, in whatever phase it did."""
    tuned = [name for name, strategy in STRATEGIES.items() if strategy.tuned]
    here = rounds[rounds["site"] == site]
    for phase in (SOURCE, *tuned):
        of_it = here[(here["phase"] == phase) & ((here["round"] > 0) | (phase != SOURCE))]
        most = of_it["encounters"].astype("float64").max()
        if most == most:
            by = {"phase": phase, "site": site} | ({"round": 1} if phase == SOURCE else {})
            return figure(most, "encounters", "max", 0, where(**by), ROUNDS)
    return "not told" if len(here[here["phase"] != POOLED]) else "did not train"


def flat(content: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Give the keys of nested tables as ``outer.inner``, with their values as text."""
    found: list[tuple[str, str]] = []
    for name, value in content.items():
        if isinstance(value, dict):
            found += flat(value, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", str(value)))
    return found

"""What the check says of the cohort: rows, parts, prevalence, unknown values. The site sees its own small counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from client.check.findings import Said
from client.cohorts.cohort import Cohort, Split, number_tokens, read_cohort
from client.site_file import Site
from common.concepts import UNKNOWN
from common.outcome import answers, few

_SHOWN = 10
_PARTS = ("train", "validation", "test")


def look(site: Site) -> Iterator[Said]:
    """Read the cohort and say how it is.

    Raises
    ------
    CohortError
        Names everything that does not fit the site file, by row number.
    """
    cohort = read_cohort(site, "keep")
    whole = sum(len(getattr(cohort, part)) for part in _PARTS)
    names = ", ".join(path.name for path in site.files)
    yield "ok", f"{whole:,} encounters from {names}, {len(site.concepts)} concepts", {"encounters": whole}
    for part in _PARTS:
        yield _part(part, getattr(cohort, part), site)
    yield from _unknown(site, cohort)


def used_tokens(site: Site) -> set[str]:
    """Give the names of the tokens that some encounter has."""
    cohort = read_cohort(site, "keep")
    seen = np.unique(np.concatenate([getattr(cohort, part).tokens.ravel() for part in _PARTS]))
    return {cohort.vocabulary[number - 1].name for number in seen if number > 0}


def _part(name: str, split: Split, site: Site) -> Said:
    shape, min_cell = site.file.cohort.shape(), site.policy.min_cell
    yes = answers(shape, split.labels)
    counts = dict(zip(shape.names if not shape.binary else ("positive",), yes.sum(axis=0).tolist(), strict=True))
    details: dict[str, Any] = {"split": name, "encounters": len(split), **counts}
    shares = ", ".join(f"{count:,} {which} ({count / len(split):.1%})" for which, count in counts.items())
    text = f"{name}: {len(split):,} encounters, {shares}"
    small = [which for which, count in counts.items() if min(count, len(split) - count) < min_cell]
    if not small:
        return "ok", text, details
    if shape.binary:
        count = counts["positive"]
        rest = f"{count} positive" if 2 * count <= len(split) else f"{len(split) - count} negative"
        return "warn", f"{text}; only {rest}, below min-cell {min_cell}: nothing of this part leaves", details
    what = f"fewer than {min_cell} (min-cell) with or without {', '.join(small)}: nothing of it leaves"
    untrained = "; nothing is trained here" if name == "train" and few(yes, min_cell) else ""
    return "warn", f"{text}; {what}{untrained}", details


def _unknown(site: Site, cohort: Cohort) -> Iterator[Said]:
    """Say how often each concept is unknown."""
    _, numbers = number_tokens(site.sources, "keep")
    tokens = np.concatenate([getattr(cohort, part).tokens for part in _PARTS])  # (N, L)
    rates = {
        source.concept.code: float((tokens[:, place] == own[UNKNOWN]).mean())
        for place, (source, own) in enumerate(zip(site.sources, numbers, strict=True))
    }
    highest = sorted(rates.items(), key=lambda item: -item[1])[:_SHOWN]
    listed = ", ".join(f"{code} {rate:.0%}" for code, rate in highest)
    text = f"unknown: {np.median(list(rates.values())):.0%} of the encounters at the median concept; highest: {listed}"
    yield "ok", text, {"unknown": rates}
    always = [code for code, rate in rates.items() if rate == 1.0]
    if always:
        more = f" and {len(always) - _SHOWN} more" if len(always) > _SHOWN else ""
        yield "warn", f"unknown at every encounter: {', '.join(always[:_SHOWN])}{more}; are columns and spelling right?"

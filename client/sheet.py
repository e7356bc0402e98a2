"""A one-page data-flow sheet for an ethics board, from the site's own policy and configuration."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

from client.policy import Policy
from client.privacy.policy import PrivacyPolicy
from client.site_file import Site
from common.concepts import SENTENCE
from common.config import ONE_HOT
from common.errors import SitebridgeError
from common.likeness import NUMBERS, Likeness
from common.shape import ModelShape
from common.strategies import ROLES, TransferStrategy

_FLOAT = 4  # bytes


def render(site: Site) -> str:
    """Give the sheet in Markdown.

    What it says of numbers and bytes holds for each embedding table that the site names, at the default model size and
    with absences shown by sentences; a federation that was approved may ask for other filters, or for absence by text.
    """
    parts = [
        _title(site),
        _held(site),
        _computed(),
        _leaving(site),
        _never(site.policy.privacy),
        _suppressed(site.policy),
        _kept(site),
    ]
    return "\n\n".join(parts) + "\n"


def _title(site: Site) -> str:
    return (
        f"# Data flow at {site.name}\n\n"
        "What Sitebridge holds, computes and sends at this site, generated from its own site file. The site file is "
        "read at the site only, and outranks whatever a coordinator asks."
    )


def _held(site: Site) -> str:
    files = ", ".join(file.name for file in site.files)
    tables = ", ".join(sorted(site.tables)) or "none"
    return (
        "## What is held here\n\n"
        f"- Encounters of patients: {files}. They are read by the agent, a process without a network.\n"
        f"- {len(site.concepts)} clinical concepts per encounter, and a label: {site.file.cohort.shape().predicts}.\n"
        f"- Frozen embedding tables, which hold no patient: {tables}."
    )


def _computed() -> str:
    return (
        "## What is computed\n\n"
        "A classifier of one convolution of width 1 and one linear layer, trained on the encounters here; its scores "
        "on validation and test encounters here (discrimination, calibration, and a threshold)."
    )


def _leaving(site: Site) -> str:
    policy, shape = site.policy, site.file.cohort.shape()
    lines = [
        "## What leaves, and when",
        "",
        f"At {shape.filters} filters; numbers are single-precision, of {_FLOAT} bytes each.",
        "",
        "| task | weights that leave | numbers (bytes) for each answer |",
        "|---|---|---|",
        *(_row(name, ROLES[name], site, shape) for name in ROLES if name in policy.strategies),
        "",
        "With an answer, beside weights: how many encounters were trained on; for validation and test encounters how "
        f"many there are and how many of them are positive, and {', '.join(policy.metrics) or 'no metric'} (on test "
        "encounters with intervals); a threshold, to three decimals; under `auto`, which strategy was chosen, and how "
        "far in AUROC the others were behind.",
        "",
        "When a run begins: the version of the software, a fingerprint of the embedding table, and the "
        f"{len(site.vocabulary)} names of concepts and values that the site file declares. None depends on a patient.",
    ]
    if not shape.binary:
        lines += ["", f"Counts and metrics are of each of {', '.join(shape.names)} against the rest, and their means."]
    if (cost := policy.likeness) is not None:
        lines += ["", _mean(cost)]
    refused = [name for name in ROLES if name not in policy.strategies]
    if refused:
        lines += ["", f"Refused by this site's policy: {', '.join(refused)}."]
    return "\n".join([*lines, "", *_limits(policy)])


def _mean(cost: Likeness) -> str:
    return (
        f"Where a federation weighs its sources by likeness: once for each embedding, {NUMBERS} numbers, the mean over "
        "patients of the words of what their training encounters have, with Gaussian noise drawn here. All such means "
        f"together cost each patient at most epsilon {cost.epsilon:g} at delta {cost.delta:g} of differential privacy; "
        "the same question has the same answer, from `agent/likeness.json`."
    )


def _row(name: str, strategy: TransferStrategy, site: Site, shape: ModelShape) -> str:
    if fitted := strategy.recalibrated:
        slopes = fitted - 1 if shape.labels is None else (fitted - 1) * shape.outputs
        numbers = (1 if shape.binary else shape.outputs) + slopes
        return f"| `{name}`: {strategy.meaning} | none; of the recalibration, | {numbers} ({8 * numbers}) |"
    if not strategy.returned:
        return f"| `{name}`: {strategy.meaning} | none | 0 |"
    sizes = dict(_sizes(site, strategy.returned, shape))
    listed = "; ".join(f"{table}: {size:,} ({_FLOAT * size:,})" for table, size in sizes.items())
    return f"| `{name}`: {strategy.meaning} | {' and '.join(strategy.returned)} | {listed} |"


def _sizes(site: Site, parts: tuple[str, ...], shape: ModelShape) -> Iterator[tuple[str, int | str]]:
    from common.embeddings.absence import width
    from common.wire import allowed  # imports torch

    found = {name: _dimension(path) for name, path in sorted(site.tables.items())}
    dimensions = {name: None if size is None else width(SENTENCE, size) for name, size in found.items()}
    dimensions[ONE_HOT] = len(site.vocabulary)
    for name, dimension in dimensions.items():
        if dimension is not None:
            yield name, sum(prod(each) for each in allowed(parts, dimension, shape).values())


def _dimension(path: Path) -> int | None:
    """Give a table's number of columns, or None where it cannot be read yet."""
    from common.embeddings import load_table

    try:
        return len(load_table(path).centre)
    except SitebridgeError:
        return None


def _limits(policy: Policy) -> Iterator[str]:
    yield "Limits of this site's policy:"
    yield ""
    if policy.approval:
        names = "" if policy.federations is None else f", of these names: {', '.join(policy.federations)}"
        yield f"- Only federations that a data steward of this site has read and approved{names}."
    else:
        yield "- **Federations need no approval here** (`policy.approval` is off)."
    most = f"{policy.max_rounds} rounds and {policy.max_epochs} epochs in a task; {policy.max_tasks:,} tasks in a run"
    yield f"- At most {most}."
    if policy.max_change is None:
        yield "- No limit to how far weights may move (`policy.max_change` is not set)."
    else:
        yield f"- Weights that moved further than {policy.max_change:g} (L2 norm) are not sent."
    yield from _privacy(policy.privacy)


def _privacy(privacy: PrivacyPolicy | None) -> Iterator[str]:
    if privacy is None:
        yield "- No limit to what weights may tell of one patient (`policy.privacy` is not set)."
        return
    needed = "Training" if privacy.required else "Training, where the federation asks for noise,"
    yield (
        f"- {needed} is differentially private, patient by patient: over all runs and federations at most epsilon "
        f"{privacy.epsilon:g} at delta {privacy.delta:g}. A ledger here counts, and refuses what would go beyond."
    )
    yield {
        "noised": f"- Scores leave only from counts with noise (standard deviation {privacy.metrics_noise:g} "
        "patients), under the same budget, and without intervals.",
        "withheld": "- No score leaves.",
        "exact": "- Scores of validation and test encounters leave without noise, beside that budget.",
    }[privacy.metrics]


def _never(privacy: PrivacyPolicy | None) -> str:
    proven = (
        "They are not proven to hide whether one patient took part."
        if privacy is None
        else "The privacy budget above bounds what weights tell of whether one patient took part."
    )
    return (
        "## What never leaves\n\n"
        "No row, cell, identifier, date or file name of the encounters; no prediction for a patient; no vector of the "
        "embedding table; no text of an error: a coordinator hears one of a fixed list of codes. Only arrays of "
        "numbers of known names, sizes and type can pass; no program that a coordinator sends reaches the data.\n\n"
        f"Weights and scores are computed from patients, and so say something of them as a group. {proven}"
    )


def _suppressed(policy: Policy) -> str:
    return (
        "## Small numbers\n\n"
        f"Nothing is trained or scored on a split with fewer than {policy.min_cell} patients of a class; no training "
        f"step is taken on fewer than {policy.min_cell}; a sensitivity or specificity behind which 1 to "
        f"{policy.min_cell - 1} patients were called rightly or wrongly is left out. The coordinator is told the name "
        f"of what was held back. {_differencing(policy)}"
    )


def _differencing(policy: Policy) -> str:
    if policy.differencing:
        return "Cohorts that differ by few patients are told of alike: their figures could be subtracted."
    return (
        f"Of a cohort that differs from an earlier one by fewer than {policy.min_cell} patients of a split, but not "
        "by none, nothing is told."
    )


def _kept(site: Site) -> str:
    return (
        "## What is kept\n\n"
        "- An audit log at this site: a line for every message in and out (time, run, task, names, shapes, sizes and "
        "digests; no values), chained and sealed. It is never shortened or removed by the software. `sitebridge site "
        "audit verify` checks it, `sitebridge site audit show` adds it up.\n"
        "- The site's own log of errors, the last 12 MB. After an unforeseen error it may quote a cell: it stays here, "
        "and is to be guarded as the data are.\n"
        "- The agent keeps encounters in memory only, and keeps none on disk; of each cohort that was told of it keeps "
        "sums of keyed numbers, by which a later one that is nearly the same is known.\n"
        f"- The coordinator keeps what left {site.name}: weights and scores."
    )

"""The model card of an exported model, as Markdown: what it was learnt on, by whom, how it does, what it is not for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from common import __version__
from common.shape import ModelShape
from common.strategies import POOLED, SOURCE, STRATEGIES
from common.trained.key import Key
from common.trained.model import TrainedModel
from common.trained.run import RunModels
from common.trained.scores import scores

_USE = """\
To give the probability {of}, at a site whose encounters are recorded as those of the sites
above were, with an embedding table of the same space. What {word} in the sites' own files: ask them. The
figures above are of past encounters; whether the model helps anybody was not studied. It was not made to decide alone.
"""
_LIMITS = """\
- Another site, another season or another way of recording moves the level of the probabilities before it moves their
  order: look at calibration on your own encounters first, and recalibrate.
- A concept whose words are far from any that it was trained on is scored all the same (`sitebridge embed coverage`).
- Intervals are over patients of one site; they say nothing of other sites, and the choice among several models by these
  figures makes them look better than they are.
- Weights were learnt from patients. What they tell of single ones has not been measured.
"""


def card(model: TrainedModel, run: RunModels | None, files: Sequence[str]) -> str:
    """Give the card.

    Parameters
    ----------
    run : RunModels, optional
        Where the model comes from; without it the card has no figures.
    files : sequence of str
        Lines on what is beside the card.
    """
    parts = [
        f"# Model card: {model.run}\n\n{model.key.words[0].upper()}{model.key.words[1:]}.\n",
        _section("What is here", "".join(f"- {line}\n" for line in files)),
        _section("What it was learnt on, and by whom", "".join(f"- {line}\n" for line in _origin(model, run))),
        _section("How it does", scores(model, run)),
        _section("How it reads encounters", "".join(f"- {line}\n" for line in _settings(model))),
        _section("Intended use", _use(model.shape)),
        _section("Limits", _LIMITS),
        f"Written by Sitebridge {__version__}.\n",
    ]
    return "\n".join(parts)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _use(shape: ModelShape) -> str:
    """Say what the model is for."""
    if shape.binary:
        return _USE.format(of="that an encounter is positive", word='"positive" means is')
    return _USE.format(of=f"of each of {shape.predicts}", word="each of them means is")


def _origin(model: TrainedModel, run: RunModels | None) -> Iterator[str]:
    key = model.key
    where = "all sites' encounters in one place" if key.strategy == POOLED else f"site {key.sources.replace('+', ', ')}"
    told = _trained(run, key, POOLED if key.strategy == POOLED else SOURCE)
    yield (
        f"Learnt at {where} in the federation {model.run!r}{told}. No record left a site."
        if key.sources
        else (f"Learnt on {where}, in a simulation of the federation {model.run!r}{told}.")
    )
    if key.target:
        told = _trained(run, key, key.strategy)
        yield f"Then, at {key.target}: {STRATEGIES[key.strategy].meaning}{told}."
    if run is not None:
        training = run.federation.tuning if key.target else run.federation.training
        kept = training.model_dump(exclude={"pull"} if key.strategy != "l2-sp" else set())
        yield "Training: " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in kept.items()) + "."
    yield "Who started the run, and who answers for it, is not recorded: the federation's coordinator knows."


def _trained(run: RunModels | None, key: Key, phase: str) -> str:
    """Say on how many encounters sites trained, as far as they told."""
    if run is None:
        return ""
    table = run.rounds
    rows = table[(table["embedding"] == key.embedding) & (table["seed"] == key.seed) & (table["phase"] == phase)]
    sites = [key.target] if phase == key.strategy and key.target else key.sources.split("+")
    rows = rows if phase == POOLED else rows[rows["site"].isin(sites)]
    if "round" in rows and phase in (SOURCE, POOLED):
        rows = rows[rows["round"] > 0]  # the last message scores, and counts other encounters
    counts = rows.dropna(subset=["encounters"]).groupby("site", sort=False)["encounters"].max()
    listed = ", ".join(f"{site} {int(count)}" for site, count in counts.items())
    return f" (training encounters: {listed})" if listed else ""


def _settings(model: TrainedModel) -> Iterator[str]:
    embedding = model.embedding
    yield f"Embedding {embedding.name!r}, {embedding.normalisation}; {model.dimension} numbers of a token."
    if model.fingerprint is not None and model.fingerprint.model != "one-hot":
        of = model.fingerprint
        yield f"Table of {of.model}, revision {of.revision}, pooling {of.pooling}."
    yield f"Unknown values: {embedding.unknown}; absent findings: {embedding.shown} (docs/federation-file.md)."
    shape = model.shape
    yield f"One convolution of {shape.filters} filters of width {shape.kernel}, ReLU, maximum over tokens, linear head."
    if not shape.binary:
        how = "adding up to 1" if shape.labels is None else "each by itself"
        yield f"It gives the probabilities of {shape.predicts}, in this order, {how}. No threshold was fixed."
        return
    at = "none was fixed" if model.threshold is None else f"{model.threshold:g}, fixed at the sources"
    yield f"Threshold from which on an encounter is called positive: {at}."

"""The models of a federation over the four hospitals, made again from the run's weights and scored on test patients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.heart_cohort import CUTS, FLAMBY, HOSPITALS, LABEL, PART, TEST, graded
from client.site_file import load_site
from client.training import probabilities
from common.config import Federation, site_files
from common.model import ConceptCNN
from common.statistics.comparisons import compare
from common.statistics.delong import Areas, areas
from common.statistics.intervals import Band, bootstrap, wilson
from common.statistics.seeds import spread
from study.cells import Bench

Floats = NDArray[np.float64]

FEDERATED, POOLED, OWN = "federated", "pooled", "own"  # models; besides, a hospital's name is the one trained there
THRESHOLD = 0.5


@dataclass(frozen=True)
class Tested:
    """Test patients and what a recipe's models say of them.

    Attributes
    ----------
    labels : ndarray
        int64 (N,).
    scores : ndarray
        float64 (S, N), probabilities, a row for each seed.
    """

    labels: NDArray[np.int64]
    scores: Floats

    def right(self) -> Floats:
        """Give the share of seeds that call each patient rightly, (N,)."""
        return np.asarray(((self.scores >= THRESHOLD) == (self.labels == 1)).mean(axis=0))

    def accuracy(self) -> Band:
        """Give accuracy, the mean over seeds, with Wilson's interval over patients."""
        return wilson(np.array(self.right().sum()), np.array(len(self.labels)))

    def auroc(self) -> Band:
        """Give AUROC, the mean over seeds, with the interval over new patients and seeds; NaN with one of a class."""
        found = spread(self.areas()).recipe() if len(self.scores) > 1 else self.areas().estimates()[0]
        return Band(*(np.array(value) for value in (found.value, found.low, found.high)))

    def areas(self) -> Areas:
        """Give DeLong's areas, a row for each seed."""
        return areas(self.labels, self.scores)


def less(first: Tested, second: Tested) -> tuple[Band, Band]:
    """Give accuracy and AUROC of one recipe less another's on the same patients, seeds paired."""
    apart = first.right() - second.right()
    accuracy = bootstrap(lambda chosen: float(apart[chosen].mean()), first.labels, 10_000)
    both = areas(first.labels, np.concatenate([first.scores, second.scores]))
    seeds = len(first.scores)
    row = compare(both, {"first": range(seeds), "second": range(seeds, 2 * seeds)}).iloc[0]
    return accuracy, Band(*(np.array(row[name]) for name in ("difference", "low", "high")))


def together(parts: list[Tested]) -> Tested:
    """Lay the test patients of several hospitals side by side."""
    return Tested(np.concatenate([p.labels for p in parts]), np.concatenate([p.scores for p in parts], axis=1))


def joint(
    federation: Federation, path: Path, folder: Path, embedding: str, patients: pd.DataFrame
) -> dict[tuple[str, str], Tested]:
    """Score a run's two joint models on FLamby's test patients of every hospital; local ones do not leave their sites.

    Parameters
    ----------
    federation, path
        As read, and the file that it was read from.
    folder : Path
        The run's.
    patients : DataFrame
        `heart_cohort.cohort`, in the order of the table that the sites read.

    Returns
    -------
    dict of (str, str) to Tested
        By model (`FEDERATED`, `POOLED`) and hospital.
    """
    sites = {name: load_site(file) for name, file in site_files(federation, path).items()}
    bench = Bench.of(federation, embedding, sites, sites)
    files = {FEDERATED: "+".join(HOSPITALS) + "_source", POOLED: POOLED}
    result = {}
    for hospital in HOSPITALS:
        test = bench.data[hospital].splits[TEST]
        for model, name in files.items():
            scores = []
            for seed in federation.seeds:
                network = ConceptCNN(bench.data[hospital].table, federation.model)
                file = folder / "weights" / f"{embedding}_{seed}_{name}.safetensors"
                network.load_state_dict(safetensors.torch.load_file(file))
                scores.append(probabilities(network, test))
            result[model, hospital] = of_flamby(Tested(test.labels.numpy(), np.stack(scores)), patients, hospital)
    return result


def of_flamby(whole: Tested, patients: pd.DataFrame, hospital: str) -> Tested:
    """Take FLamby's among a hospital's test patients.

    Raises
    ------
    ValueError
        They are not those of `patients`, or in another order.
    """
    rows = patients[(patients["hospital"] == hospital) & (patients[PART] == TEST)]
    if rows[LABEL].tolist() != whole.labels.tolist():
        raise ValueError(f"{hospital}: other test patients than the table's; was the run made from another table?")
    theirs = rows[FLAMBY].to_numpy(dtype=bool)
    return Tested(whole.labels[theirs], whole.scores[:, theirs])


def regression(patients: pd.DataFrame, cut: bool) -> Tested:
    """Fit scikit-learn's logistic regression to all that FLamby trains on, and score FLamby's test patients.

    Parameters
    ----------
    patients : DataFrame
        `heart_cohort.cohort`.
    cut : bool
        Whether numbers are the grades that the sites have, each grade a column; else they are numbers, as in FLamby,
        a cholesterol of 0 among them.
    """
    theirs = patients[patients[FLAMBY]]
    inputs = graded(theirs) if cut else theirs
    if cut:
        inputs = inputs.assign(age=pd.cut(theirs["age"], [-np.inf, 45, 55, 65, np.inf], right=False).astype(str))
    columns = ["cp", "restecg", *([*CUTS, "age"] if cut else [])]
    numbers = pd.get_dummies(inputs.drop(columns=["id", "hospital", LABEL, PART, FLAMBY]), columns=columns,
                             drop_first=not cut).astype(float)  # fmt: skip
    test = (theirs[PART] == TEST).to_numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(numbers[~test], theirs[LABEL][~test])
    return Tested(theirs[LABEL][test].to_numpy(dtype=np.int64), model.predict_proba(numbers[test])[:, 1][None])

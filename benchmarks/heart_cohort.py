"""The four hospitals' patients, FLamby's rows and split among them, and numbers as grades.

FLamby (Terrail et al. 2022, arXiv 2210.04620; owkin/FLamby, fed_heart_disease) leaves out the three columns that three
hospitals hardly have, then every row with a blank, and draws 34 % of each hospital for test with scikit-learn's
`train_test_split` (seed 43; stratified where each class has more than two patients). Counts are its README's.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from common.files import write_atomically

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
LABEL, PART, FLAMBY = "disease", "part", "flamby"
TRAIN, VALIDATION, TEST = "train", "validation", "test"

# Cuts from guidelines and round numbers, fixed before any model was trained; a number equal to a cut is above it.
CUTS: dict[str, tuple[float, ...]] = {
    "trestbps": (120, 130, 140, 160),  # mmHg
    "chol": (200, 240, 280),  # mg/dl; 0 is how two hospitals write that it was not measured
    "thalach": (100, 120, 140, 160, 180),  # beats a minute
    "oldpeak": (0.5, 1, 2),  # mm of ST depression
}

_SEED = 43
_SHARE = 1 - 0.66  # as FLamby writes it: not quite 0.34, and counts are rounded up from it


def cohort(data: Path) -> pd.DataFrame:
    """Give FLamby's 740 patients and the rest of Switzerland's 123, numbers as they are.

    All 30 of Switzerland's that FLamby trains on have the disease: no model can be trained there, nor any figure told.

    Parameters
    ----------
    data : Path
        The folder that has ``heart/uci_heart_four_hospitals.csv``.

    Returns
    -------
    DataFrame
        With `id`; `part`, train, validation (a fifth of what FLamby trains on) or test; `flamby`, whether FLamby has
        the patient.
    """
    table = pd.read_csv(data / "heart" / "uci_heart_four_hospitals.csv").drop(columns=["slope", "ca", "thal", "num"])
    table.insert(0, "id", [f"{hospital}-{row}" for row, hospital in enumerate(table["hospital"])])
    table[FLAMBY] = table.notna().all(axis=1)
    groups = [table[(table["hospital"] == name) & table[FLAMBY]] for name in HOSPITALS]
    rest = table[(table["hospital"] == "switzerland") & ~table[FLAMBY]]
    tested = pd.concat([_draw(group, _SHARE, TEST) for group in [*groups, rest]], ignore_index=True)
    parts = [
        _draw(patients, 0.2, VALIDATION) if part == TRAIN else patients
        for (_, part), patients in tested.groupby(["hospital", PART], sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def _draw(patients: pd.DataFrame, share: float, part: str) -> pd.DataFrame:
    """Draw a share of patients for a part; the others train."""
    stratified = patients[LABEL].value_counts().min() > 2
    _, drawn = train_test_split(
        np.arange(len(patients)),
        test_size=share,
        train_size=1 - share,
        random_state=_SEED,
        stratify=patients[LABEL] if stratified else None,
    )
    return patients.assign(**{PART: np.where(np.isin(np.arange(len(patients)), drawn), part, TRAIN)})


def graded(patients: pd.DataFrame) -> pd.DataFrame:
    """Cut the numbers whose unit no site file has into grades, such as "120-130"; blank is unknown."""
    grades = {column: pd.cut(patients[column], [-np.inf, *cuts, np.inf], right=False, labels=_names(cuts))
              for column, cuts in CUTS.items()}  # fmt: skip
    result = patients.assign(**{column: grade.astype(object) for column, grade in grades.items()})
    result.loc[patients["chol"] == 0, "chol"] = ""
    return result


def _names(cuts: tuple[float, ...]) -> list[str]:
    between = [f"{low:g}-{high:g}" for low, high in pairwise(cuts)]
    return [f"below-{cuts[0]:g}", *between, f"from-{cuts[-1]:g}"]


def write(data: Path, file: Path) -> None:
    """Write the table that configs/heart reads."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, graded(cohort(data)).to_csv(index=False))

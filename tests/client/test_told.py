"""A cohort that differs by few patients from one that was told of is not told of."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from client.refusals import TooAlikeError, code_of
from client.site_file import Site, load_site
from client.told import FOLDER, KEY, Told
from common.errors import CohortError, ConfigError
from common.tasks import FAILURES


@pytest.fixture
def site_file(hospitals: Path, tmp_path: Path) -> Path:
    """A site whose cohort may be changed."""
    for name in ("allegheny.toml", "allegheny.csv"):
        (tmp_path / name).write_text((hospitals / name).read_text())
    return tmp_path / "allegheny.toml"


def change(site_file: Path, rows: int, column: str = "influenza") -> Site:
    """Take rows away from the end, or where `rows` is negative change the label of so many of the first ones."""
    path = site_file.with_suffix(".csv")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if rows < 0:
        table.loc[: -rows - 1, column] = table.loc[: -rows - 1, column].map({"0": "1", "1": "0"})
    else:
        table = table.iloc[: len(table) - rows]
    table.to_csv(path, index=False)
    return load_site(site_file)


@pytest.mark.parametrize(("rows", "told"), [(1, False), (10, False), (-1, False), (-5, False), (60, True)])
def test_a_cohort_that_few_have_left_or_changed_is_not_told_of(
    site_file: Path, tmp_path: Path, rows: int, told: bool
) -> None:
    # the built-in cohort's last rows are of its test season; its first, of training and validation
    Told(tmp_path).check(load_site(site_file), "a")
    again = Told(tmp_path)  # the agent was restarted
    if told:
        again.check(change(site_file, rows), "b")
        return
    with pytest.raises(TooAlikeError, match=r"by fewer than policy\.min_cell = 11 patients") as refusal:
        again.check(change(site_file, rows), "b")
    assert code_of(refusal.value) == "too-alike"
    assert "too-alike" in FAILURES


def test_the_same_cohort_is_told_of_again_in_whatever_order(site_file: Path, tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.check(load_site(site_file), "a")
    path = site_file.with_suffix(".csv")
    pd.read_csv(path, dtype=str, keep_default_na=False).sample(frac=1, random_state=1).to_csv(path, index=False)
    told.check(load_site(site_file), "a")
    assert len(list((tmp_path / FOLDER).glob("*.npz"))) == 1


def test_one_patient_with_many_encounters_is_one(site_file: Path, tmp_path: Path) -> None:
    path = site_file.with_suffix(".csv")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table["who"] = [str(min(row // 2, len(table) // 2 - 20)) for row in range(len(table))]  # the last has the last 40
    table.to_csv(path, index=False)
    text = site_file.read_text()
    site_file.write_text(text.replace("[cohort]\n", '[cohort]\npatient = "who"\n', 1))
    Told(tmp_path).check(load_site(site_file), "a")
    whole = path.read_text()
    with pytest.raises(TooAlikeError):
        Told(tmp_path).check(change(site_file, 40), "a")
    path.write_text(whole)
    Told(tmp_path).check(change(site_file, 40 + 2 * 11), "a")


def test_every_earlier_cohort_counts_not_only_the_last(site_file: Path, tmp_path: Path) -> None:
    told, path = Told(tmp_path), site_file.with_suffix(".csv")
    whole = path.read_text()
    told.check(load_site(site_file), "a")
    told.check(change(site_file, 60), "a")
    path.write_text(whole)
    with pytest.raises(TooAlikeError):
        told.check(change(site_file, 1), "a")
    path.write_text(whole)
    told.check(load_site(site_file), "a")


def test_a_refused_cohort_is_not_remembered(site_file: Path, tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.check(load_site(site_file), "a")
    for _ in range(3):
        with pytest.raises(TooAlikeError):
            told.check(change(site_file, 2), "a")
    assert len(list((tmp_path / FOLDER).glob("*.npz"))) == 1


def test_a_smaller_min_cell_is_looked_at_anew(site_file: Path, tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.check(load_site(site_file), "a")
    site_file.write_text(site_file.read_text().split("[policy]")[0] + "[policy]\nmin_cell = 3\n")
    with pytest.raises(TooAlikeError):
        told.check(change(site_file, 2), "b")
    told.check(change(site_file, 4), "b")  # six away from the first


def test_files_that_nobody_else_can_read_and_that_hold_no_cell(site_file: Path, tmp_path: Path) -> None:
    Told(tmp_path).check(load_site(site_file), "a")
    for path in (tmp_path / FOLDER).iterdir():
        assert os.stat(path).st_mode & 0o077 == 0
    assert b"season" not in next((tmp_path / FOLDER).glob("*.npz")).read_bytes()


def test_damage_is_said(site_file: Path, tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.check(load_site(site_file), "a")
    (kept,) = (tmp_path / FOLDER).glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="damaged; put it back"):
        told.check(change(site_file, 60), "b")
    (tmp_path / FOLDER / KEY).unlink()
    with pytest.raises(ConfigError, match="missing; put it back"):
        Told(tmp_path)


def test_a_file_that_is_not_there_is_the_cohorts_fault(site_file: Path, tmp_path: Path) -> None:
    site = load_site(site_file)
    site_file.with_suffix(".csv").unlink()
    with pytest.raises(CohortError):
        Told(tmp_path).check(site, "a")

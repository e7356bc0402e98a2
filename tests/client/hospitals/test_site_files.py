"""The site files that come with the built-in hospitals are read as any other."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from client.cohorts import read_cohort
from client.hospitals.draw import draw
from client.hospitals.figures import SITES, VALUES, read_figures, site_figures
from client.hospitals.generate import write_hospitals
from client.site_file import load_site
from common.concepts import Token, builtin_concepts

Wording = Literal["shared", "own"]
LABEL = {"allegheny": (0.59, 0.23), "salt-lake": (0.29, 0.11)}  # influenza of three seasons, and of the last


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("wording", ["shared", "own"])
def test_cohorts_have_the_right_counts(tmp_path: Path, site: str, wording: Wording) -> None:
    write_hospitals(tmp_path, 4000, wording=wording)
    cohort = read_cohort(load_site(tmp_path / f"{site}.toml"))
    earlier = len(cohort.train.labels) + len(cohort.validation.labels)
    assert earlier == 3000
    assert len(cohort.validation.labels) == pytest.approx(600, abs=90)
    assert cohort.test.tokens.shape == (1000, 71)
    assert int(cohort.train.labels.sum() + cohort.validation.labels.sum()) == round(1000 * LABEL[site][0])
    assert int(cohort.test.labels.sum()) == round(1000 * LABEL[site][1])


@pytest.mark.parametrize("seed", range(3))
def test_the_smallest_pair_has_both_classes_in_every_split(tmp_path: Path, seed: int) -> None:
    write_hospitals(tmp_path, 200, seed)
    for site in SITES:
        cohort = read_cohort(load_site(tmp_path / f"{site}.toml"))
        for split in (cohort.train, cohort.validation, cohort.test):
            assert set(split.labels.tolist()) == {0, 1}


def test_shared_wording_gives_both_sites_the_same_tokens(tmp_path: Path) -> None:
    write_hospitals(tmp_path, 400)
    allegheny, salt_lake = (load_site(tmp_path / f"{site}.toml").vocabulary for site in SITES)
    assert set(allegheny) == set(salt_lake) == tokens("paper")


def test_own_wording_gives_the_sites_no_token_in_common(tmp_path: Path) -> None:
    write_hospitals(tmp_path, 400, wording="own")
    allegheny, salt_lake = (load_site(tmp_path / f"{site}.toml").vocabulary for site in SITES)
    assert set(salt_lake) == tokens("own")
    assert not {token.name for token in allegheny} & {token.name for token in salt_lake}
    assert not {token.text for token in allegheny} & {token.text for token in salt_lake}


def test_same_patients_whatever_the_wording(tmp_path: Path) -> None:
    paper = {token.name: index for index, token in enumerate(ordered("paper"))}
    own = {token.name: index for index, token in enumerate(ordered("own"))}
    seen = []
    for wording, position in (("shared", paper), ("own", own)):
        write_hospitals(tmp_path, 400, wording=wording)  # type: ignore[arg-type]
        cohort = read_cohort(load_site(tmp_path / "salt-lake.toml"), unknown="keep")
        names = [-1, *(position[token.name] for token in cohort.vocabulary)]
        seen.append([sorted(names[index] for index in row) for row in cohort.test.tokens.tolist()])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("site", SITES)
def test_what_is_read_is_what_was_drawn(tmp_path: Path, site: str) -> None:
    write_hospitals(tmp_path, 2000)
    cohort = read_cohort(load_site(tmp_path / f"{site}.toml"), unknown="keep")
    names = ["", *(token.name for token in cohort.vocabulary)]
    read = [{names[index] for index in row} for row in cohort.test.tokens.tolist()]

    drawn = draw(site_figures(site), 2000, np.random.default_rng([215, SITES.index(site)]))
    codes = site_figures(site).codes
    ages = read_figures()["age"]["groups"]
    last = np.flatnonzero(drawn.season == 3)
    expected = [
        {
            f"agegroup_{ages[drawn.age_group[row]]}",
            *(f"{c}_{VALUES[v]}" for c, v in zip(codes, drawn.values[row], strict=True)),
        }
        for row in last
    ]
    assert read == expected
    assert cohort.test.labels.tolist() == drawn.influenza[last].tolist()


def ordered(wording: Literal["paper", "own"]) -> list[Token]:
    return [token for concept in builtin_concepts(wording).values() for token in concept.tokens()]


def tokens(wording: Literal["paper", "own"]) -> set[Token]:
    return set(ordered(wording))

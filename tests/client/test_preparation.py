from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.cohorts.cohort import read_cohort
from client.preparation import fingerprint, prepare
from client.site_file import load_site
from common.concepts import Absence
from common.config import ONE_HOT, load_federation
from common.tasks import Embedding


def embedding(absence: Absence, name: str = "minilm") -> Embedding:
    return Embedding(name=name, normalisation="centred", unknown="mask", absence=absence)


@pytest.mark.parametrize(("absence", "size"), [("text", 384), ("sentence", 768), ("offset", 385), ("none", 384)])
def test_a_sites_table_is_as_wide_as_its_fingerprint_says(hospitals: Path, absence: Absence, size: int) -> None:
    site = load_site(hospitals / "allegheny.toml")
    found = fingerprint(site, embedding(absence))
    assert (found.absence, found.dimension) == (absence, size)
    assert prepare(site, embedding(absence)).table.shape[1] == size


def test_absent_findings_lie_apart_and_without_tokens_are_gone(hospitals: Path) -> None:
    site = load_site(hospitals / "allegheny.toml")
    cohort = read_cohort(site, "mask")
    denied = np.array([False, *(token.denied is not None for token in cohort.vocabulary)])
    absent = denied[cohort.test.tokens]
    apart, gone = prepare(site, embedding("sentence")), prepare(site, embedding("none"))
    rows = apart.table[apart.splits["test"].tokens.long()].numpy()  # (N, L, 2 D)
    assert absent.any()
    np.testing.assert_array_equal(rows[:, :, 384:].any(axis=2), absent)
    assert not rows[absent][:, :384].any()
    kept = cohort.test.tokens > 0
    np.testing.assert_array_equal(gone.splits["test"].tokens.numpy() > 0, kept & ~absent)


def test_one_hot_keeps_a_column_for_each_token(hospitals: Path) -> None:
    site = load_site(hospitals / "allegheny.toml")
    found = fingerprint(site, embedding("sentence", ONE_HOT))
    assert (found.absence, found.dimension) == ("text", len(site.vocabulary))


@pytest.mark.parametrize(("preset", "absence"), [("paper", "text"), ("default", "sentence")])
def test_the_papers_preset_has_the_papers_absence(tmp_path: Path, preset: str, absence: str) -> None:
    path = tmp_path / "federation.toml"
    path.write_text(f'name = "a"\npreset = "{preset}"\n[sites]\na = {{}}\n[[directions]]\nsources = ["a"]\n')
    assert load_federation(path).absence == absence

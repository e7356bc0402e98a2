"""The figures are complete, name their sources, and are those that were published."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from client.hospitals.figures import CLASSES, SITES, TEMPERATURE, VALUES, read_figures, site_figures
from common.concepts import builtin_concepts

LETTERS = {"AC": "allegheny", "SLC": "salt-lake"}
NAMES = {  # what the published networks call a finding
    "nasal_swab_order": "C0420679",
    "unspecified_cough": "C0343484",
    "reported_fever": "C2055125",
    "influenza_lab_ordered": "C2939015",
    "influenza_like_illness": "C0521839",
    "unspecified_pneumonia": "C0032285",
    "viral_syndrome": "C0042740",
    "myalgia": "C0231528",
    "hypoxemia": "C0700292",
    "nonproductive_cough": "C0850149",
    "ill_appearing": "C2051411",
    "bronchiolitis": "C0006271",
    "rsv_lab_ordered": "C1656431",
    "respiratory_distress": "C0476273",
    "respiratory_panel_ordered": "C1978700",
    "tachypnea": "C0231835",
    "highest_measured_temperature": TEMPERATURE,
    "apnea": "C0003578",
    "infiltrate": "C0235896",
}
DIAGNOSES = {"influenza": "influenza", "other respiratory, tested negative": "negative"}


def public(name: str) -> Path:
    folder = os.environ.get("SITEBRIDGE_DATA")
    path = Path(folder or ".") / "flu-lab" / name
    if not folder or not path.exists():
        pytest.skip(f"needs flu-lab/{name} of the public data: set SITEBRIDGE_DATA to its folder")
    return path


def test_every_finding_of_the_paper_has_figures() -> None:
    codes = [finding["code"] for finding in read_figures()["findings"]]
    assert len(codes) == 70
    assert set(codes) == set(builtin_concepts()) - {"agegroup"}


def test_every_entry_names_a_known_source() -> None:
    figures = read_figures()
    for finding in figures["findings"]:
        named = [finding[site]["source"] for site in SITES if site in finding]
        named += [finding["source"]] if "present" in finding else []
        assert "network" in finding or named, finding["code"]
        assert set(named) <= set(figures["sources"])
    for section in (figures["contrast"], figures["age"], figures["shared_causes"]):
        assert section["source"] in figures["sources"]


@pytest.mark.parametrize("site", SITES)
def test_probabilities_are_probabilities(site: str) -> None:
    figures = site_figures(site)
    assert figures.values.shape == (2, 70, 4)
    assert figures.values.min() >= -1e-12
    np.testing.assert_allclose(figures.values.sum(axis=2), 1.0)
    assert figures.ages.min() > 0
    np.testing.assert_allclose(figures.ages.sum(axis=1), 1.0)
    assert (figures.severity**2 + figures.age**2 < 1).all()


@pytest.mark.parametrize(("site", "other"), [SITES, SITES[::-1]])
def test_what_only_the_other_site_kept_tells_nothing_here(site: str, other: str) -> None:
    figures = site_figures(site)
    kept = {
        name: [finding.get(name, {}).get("source") == "ye2017" for finding in read_figures()["findings"]]
        for name in SITES
    }
    mute = np.array(kept[other]) & ~np.array(kept[site])
    assert mute.sum() == {"allegheny": 7, "salt-lake": 8}[site]
    np.testing.assert_allclose(figures.values[0, mute], figures.values[1, mute])


def test_ages_mix_to_those_of_the_site() -> None:
    for site in SITES:
        figures = site_figures(site)
        share = figures.prevalence.mean()
        overall = (1 - share) * figures.ages[0] + share * figures.ages[1]
        expected = read_figures()["sites"][site]["age"]
        np.testing.assert_allclose(overall, [expected[group] for group in ("ls5", "ge6ls65", "ge64")])


def test_tabulated_figures_are_the_published_ones() -> None:
    figures = {finding["code"]: finding for finding in read_figures()["findings"]}
    seen = set()
    with public("site_marginals.csv").open() as file:
        for row in csv.DictReader(file):
            if row["diagnosis"] not in DIAGNOSES:
                continue  # every other patient of the emergency department: not tested
            code, site = NAMES[row["finding"]], LETTERS[row["site"]]
            values = [value for value in VALUES if value != "I" or code == TEMPERATURE]
            held = figures[code][site][DIAGNOSES[row["diagnosis"]]][values.index(row["value"])]
            assert held == float(row["probability"]), row
            seen.add((code, site))
    ours = {(code, site) for code, f in figures.items() for site in SITES if f.get(site, {}).get("source") == "ye2017"}
    assert seen == ours


def test_network_figures_are_those_of_the_network() -> None:
    network = json.loads(public("bn_virus4_63findings.json").read_text())
    viruses = network["variables"]["diagnosis"]
    prior = np.array([network["prior"][virus] for virus in viruses])
    influenza = viruses.index("I")
    others = np.where(np.arange(len(viruses)) == influenza, 0.0, prior) / (1 - prior[influenza])
    for entry in [*read_figures()["findings"], {"code": "agegroup", **read_figures()["age"]}]:
        if "network" not in entry:
            assert entry["code"] not in network["cpt"]
            continue
        rows = np.array(network["cpt"][entry["code"]]["rows_row_major_over_parents"])
        expected = np.stack([others @ rows, rows[influenza]])
        held = np.array([entry["network"][label] for label in CLASSES])
        np.testing.assert_allclose(held, expected if held.ndim == 2 else expected[:, 0], atol=6e-5)


def test_contrast_is_the_slope_of_one_record_on_the_other() -> None:
    pairs = []
    for finding in read_figures()["findings"]:
        for site in SITES:
            if finding["code"] == TEMPERATURE or finding.get(site, {}).get("source") != "ye2017":
                continue
            shares = [max(finding[site][label][0], 0.005) for label in CLASSES]
            pairs.append([log_odds_ratio([finding["network"][label] for label in CLASSES]), log_odds_ratio(shares)])
    network, published = np.array(pairs).T
    assert len(pairs) == 22
    assert read_figures()["contrast"]["value"] == pytest.approx(
        np.sqrt((published**2).sum() / (network**2).sum()), abs=0.005
    )


def log_odds_ratio(shares: list[float]) -> float:
    negative, influenza = np.log(np.array(shares) / (1 - np.array(shares)))
    return float(influenza - negative)

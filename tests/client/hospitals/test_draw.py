"""Drawn encounters show the published figures, the differences between the sites, and a realistic task.

Letters: N encounters, F findings.
"""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from client.hospitals.draw import Encounters, draw
from client.hospitals.figures import CLASSES, SITES, TEMPERATURE, VALUES, read_figures, site_figures

N = 50_000
CODES = [finding["code"] for finding in read_figures()["findings"]]
P, A, M = (VALUES.index(value) for value in "PAM")


@cache
def drawn(site: str, encounters: int = N) -> Encounters:
    return draw(site_figures(site), encounters, np.random.default_rng([215, SITES.index(site)]))


def share(site: str, code: str, value: int) -> float:
    return float((drawn(site).values[:, CODES.index(code)] == value).mean())


def within(observed: float, expected: float, count: int, slack: float = 0.0) -> bool:
    return bool(abs(observed - expected) <= 4 * np.sqrt(expected * (1 - expected) / count) + slack)


@pytest.mark.parametrize("site", SITES)
def test_published_shares_come_out(site: str) -> None:
    tabulated = [f for f in read_figures()["findings"] if f.get(site, {}).get("source") == "ye2017"]
    assert len(tabulated) >= 11
    for finding in tabulated:
        for label, name in enumerate(CLASSES):
            values = drawn(site).values[drawn(site).influenza == label, CODES.index(finding["code"])]
            names = "PAIM" if finding["code"] == TEMPERATURE else "PAM"
            for value, published in zip(names, finding[site][name], strict=True):
                slack = 0.0101 if value == "M" else 0.0  # published rows are rounded; the rest of the row goes to M
                observed = float((values == VALUES.index(value)).mean())
                assert within(observed, published, len(values), slack), (finding["finding"], name, value)


@pytest.mark.parametrize("site", SITES)
def test_every_value_has_its_probability(site: str) -> None:
    figures = site_figures(site)
    for label in (0, 1):
        rows = drawn(site).values[drawn(site).influenza == label]
        for value in range(len(VALUES)):
            expected = figures.values[label, :, value]
            spread = np.sqrt(np.clip(expected * (1 - expected), 0, None) / len(rows))
            assert (np.abs((rows == value).mean(axis=0) - expected) <= 4 * spread + 1e-9).all(), (label, value)


@pytest.mark.parametrize(("site", "low", "high"), [("allegheny", 0.18, 0.23), ("salt-lake", 0.09, 0.11)])
def test_prevalence_is_that_of_the_site_in_every_season(site: str, low: float, high: float) -> None:
    encounters = drawn(site)
    seasons = [encounters.influenza[encounters.season == season].mean() for season in range(4)]
    assert min(seasons) == pytest.approx(low)
    assert max(seasons) == pytest.approx(high)
    assert (np.diff(encounters.season) >= 0).all()


def test_allegheny_sees_the_old_and_salt_lake_the_young() -> None:
    young, _, old = (
        np.mean(drawn("allegheny").age_group == group) / np.mean(drawn("salt-lake").age_group == group)
        for group in range(3)
    )
    assert young == pytest.approx(1 / 3, rel=0.05)
    assert old == pytest.approx(3, rel=0.05)


def test_swabs_and_tests_are_charted_at_allegheny_alone() -> None:
    for order in ("C0420679", "C2939015"):
        assert share("allegheny", order, P) > 0.2
        assert share("salt-lake", order, P) < 0.02


@pytest.mark.parametrize("sign", ["C0700292", "C0476273", "C0231835"])
def test_signs_of_breathing_are_charted_at_salt_lake_and_seldom_at_allegheny(sign: str) -> None:
    assert share("salt-lake", sign, M) < 0.4
    assert share("allegheny", sign, M) > 0.6


@pytest.mark.parametrize("site", SITES)
def test_mentions_of_other_viruses_are_rare_and_occur(site: str) -> None:
    for virus in ("AC000005", "AC000006"):
        assert 0 < share(site, virus, P) < 0.02


@pytest.mark.parametrize("site", SITES)
def test_findings_of_one_encounter_belong_together(site: str) -> None:
    encounters = drawn(site)
    negative = encounters.influenza == 0
    values = encounters.values[negative]
    distress, wheezing = (values[:, CODES.index(code)] for code in ("C0476273", "C0043144"))
    charted = (distress != M) & (wheezing != M)
    assert np.corrcoef(distress[charted] == P, wheezing[charted] == P)[0, 1] > 0.1
    assert np.corrcoef(distress == M, wheezing == M)[0, 1] > 0.1
    young = encounters.age_group[negative] == 0
    headache = values[:, CODES.index("C0018681")] == P
    assert headache[young].mean() < 0.7 * headache[~young].mean()


@pytest.mark.parametrize("site", SITES)
def test_numbers_lie_inside_their_groups(site: str) -> None:
    encounters = drawn(site)
    temperature = encounters.values[:, CODES.index(TEMPERATURE)]
    grade = 2 - np.digitize(encounters.tenths, [1004, 1040])  # P, A, I
    np.testing.assert_array_equal(np.where(encounters.tenths < 0, M, grade), temperature)
    np.testing.assert_array_equal(np.digitize(encounters.years, [6, 65]), encounters.age_group)
    assert encounters.years.min() == 0
    assert encounters.years.max() <= 95


def test_a_model_of_one_site_is_realistic_there_and_loses_at_the_other() -> None:
    tables = {site: (one_hot(drawn(site, 20_000)), drawn(site, 20_000)) for site in SITES}
    models = {site: fitted(*tables[site]) for site in SITES}
    for home, away in (SITES, SITES[::-1]):
        local, shared = (auroc(models[model], *tables[away]) for model in (away, home))
        assert 0.80 < local < 0.93
        assert 0.60 < shared < local - 0.04


def one_hot(encounters: Encounters) -> NDArray[np.float32]:
    parts = [encounters.values == value for value in range(len(VALUES))]
    return np.hstack([*parts, encounters.age_group[:, None] == np.arange(3)]).astype(np.float32)


def fitted(table: NDArray[np.float32], encounters: Encounters) -> LogisticRegression:
    early = encounters.season < 3
    return LogisticRegression(C=0.02, max_iter=300).fit(table[early], encounters.influenza[early])


def auroc(model: LogisticRegression, table: NDArray[np.float32], encounters: Encounters) -> float:
    last = encounters.season == 3
    return float(roc_auc_score(encounters.influenza[last], model.decision_function(table[last])))

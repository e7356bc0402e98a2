"""A deployed run ends with the weights of the run in one process, bit for bit."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from deployment import SITES, Deployment, happened, weights

pytestmark = pytest.mark.slow


def test_a_deployed_run_gives_the_bits_of_a_simulated_one(deployment: Deployment) -> None:
    federation = deployment.federation(
        name="whole", strategies=["local", "direct", "prior", "full", "fedper", "ensemble", "logistic"]
    )
    run = deployment.run(federation)
    assert deployment.finish() == 0, deployment.output("run")
    assert weights(run) == deployment.expected(federation)
    assert str(run) in deployment.output("run")
    ours = pd.read_csv(run / "results.csv")
    theirs = pd.read_csv(deployment.folder / "in-process" / "whole" / "results.csv")
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    rounds = pd.read_csv(run / "rounds.csv")
    assert set(rounds["site"]) == set(SITES)
    assert set(rounds["contributed"]) == {"yes"}
    assert happened(run, "end")


def test_who_is_registered_and_connected_is_shown(deployment: Deployment) -> None:
    shown = json.loads(deployment.sitebridge("coordinator", "sites", "--json", "--folder", deployment.coordinator))
    assert {site["name"] for site in shown} == set(SITES)
    assert all(site["connected"] for site in shown)


def test_the_audit_of_a_site_is_whole_and_totals_what_left(deployment: Deployment) -> None:
    for name in SITES:
        folder = deployment.folder / name
        deployment.sitebridge("site", "audit", "verify", "--folder", folder)
        assert "202" in deployment.sitebridge("site", "audit", "show", "--folder", folder) or name == "allegheny"

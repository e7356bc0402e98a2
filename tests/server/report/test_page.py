"""What the page says, and what it may never hold."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from server.report.folder import RunFolder
from server.report.page import page

Change = Callable[[str, Callable[[pd.DataFrame], pd.DataFrame]], None]


def text_of(folder: Path) -> str:
    """Give the page's words, without elements, one blank between them."""
    body = re.sub(r"<style>.*?</style>", "", page(RunFolder(folder)), flags=re.DOTALL)
    return " ".join(re.sub("<.*?>", " ", body).split())


def test_texts_of_others_are_escaped(folder: Path, change: Change) -> None:
    change("results.csv", lambda table: table.assign(embedding=table["embedding"] + "<img src=x onerror=y>"))
    change("curves.csv", lambda table: table.assign(sources="<svg onload=z>"))
    whole = page(RunFolder(folder))
    for element in ("<script", "<img", "<svg onload"):
        assert element not in whole
    assert whole.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;more&#34;") >= 5
    assert "&lt;img src=x onerror=y&gt;" in whole


def test_the_page_needs_nothing_else(folder: Path) -> None:
    whole = page(RunFolder(folder))
    assert set(re.findall(r"""(?:src|href|action)=["']([^#"'][^"']*)""", whole)) == {"data:,"}
    assert set(re.findall(r"url\((.*?)\)", whole)) == {"#hatch"}
    assert "@import" not in whole
    assert not re.search(r"<(script|iframe|object|embed|form)\b|\bon\w+=", whole)


def test_places_of_a_machine_stay_there(folder: Path) -> None:
    assert "/secret/place" not in page(RunFolder(folder))
    assert str(folder) not in page(RunFolder(folder))


def test_what_is_kept_back_is_said(folder: Path) -> None:
    text = text_of(folder)
    assert "salt-lake test sensitivity 1 of 16" in text
    assert "salt-lake validation one-hot local suppressed" in text
    assert text.count("withheld") > 3
    assert "0 of 1 !" not in text
    assert "3 of 4 !" in text  # away in one of four transfers
    assert "The run went on without somebody: salt-lake" in text


def test_an_incomplete_run_says_so(folder: Path) -> None:
    assert "This run is not complete" not in text_of(folder)
    (folder / "journal").mkdir()
    assert "This run is not complete" in text_of(folder)
    assert "ended not complete" in text_of(folder)


def test_a_deployed_run_says_so(folder: Path) -> None:
    assert "simulated on one machine" in text_of(folder)
    record = {"flower": "123456", "started": "2026-01-02T03:04:05+00:00", "starts": 3, "digest": "ab" * 32}
    (folder / "run.json").write_text(json.dumps(record))
    text = text_of(folder)
    assert "deployed: every site answered over the network" in text
    assert "started again 2 times" in text
    assert "ab" * 32 in text


def test_curves_are_there_where_counts_are(folder: Path) -> None:
    whole = page(RunFolder(folder))
    blocks = re.findall(r"<strong>(.*?)</strong>, (.*?), learnt at (.*?)</summary>", whole)
    ways = [("salt-lake", "allegheny"), ("allegheny", "allegheny")]
    assert blocks == [(site, e, sources) for e in ("minilm", "one-hot") for site, sources in ways]
    assert whole.count("<h4>ROC</h4>") == whole.count("<h4>Decision</h4>") == 4
    assert whole.count("<h4>Calibration: linear</h4>") == 2
    assert 'class="band"' in whole
    (folder / "curves.csv").unlink()
    assert "No site sent counts" in text_of(folder)
    assert "<h4>ROC</h4>" not in page(RunFolder(folder))


def test_one_seed_has_no_band_and_no_spread(folder: Path, change: Change) -> None:
    for name in ("results.csv", "curves.csv"):
        change(name, lambda table: table[table["seed"] == 7])
    whole = page(RunFolder(folder))
    assert 'class="band"' not in whole
    assert 'data-of="sd"' not in whole


def test_half_of_a_run_folder_is_enough(folder: Path) -> None:
    for name in ("rounds.csv", "exchange.csv", "curves.csv", "results.json", "events.jsonl"):
        (folder / name).unlink()
    text = text_of(folder)
    assert "has no rounds.csv" in text
    assert "has no exchange.csv" in text
    assert "begun not noted" in text


def test_a_site_that_tells_nothing_is_no_error(folder: Path, change: Change) -> None:
    silent = [
        "n",
        "positive",
        "auroc",
        "auroc_low",
        "auroc_high",
        "brier",
        "calibration_slope",
        "calibration_intercept",
    ]
    change("results.csv", lambda table: table.assign(**dict.fromkeys(silent), withheld="auroc brier"))
    text = text_of(folder)
    assert "too few" in text
    assert "not told" in text


@pytest.mark.parametrize("ending", ["", "_low", "_high"])
def test_an_interval_far_longer_than_all_others_becomes_an_arrow(folder: Path, change: Change, ending: str) -> None:
    before = page(RunFolder(folder)).count('class="whisker"')
    far = {"": 0.0, "_low": -40.0, "_high": 40.0}[ending]
    one = "calibration_slope" + (ending or "_low")

    def stretched(table: pd.DataFrame) -> pd.DataFrame:
        chosen = (table["strategy"] == "full") & (table["embedding"] == "minilm") & (table["split"] == "test")
        table.loc[chosen, one] += far
        return table

    change("results.csv", stretched)
    assert page(RunFolder(folder)).count('class="whisker"') == before + (far != 0)

